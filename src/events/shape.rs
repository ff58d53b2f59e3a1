//! The shapes in which events are sent: CloudEvents 1.0, and those of AWS. docs/events.md shows each; a test compares.
//!
//! Never here: who gets which. No shape has a value of a secret: an event has none.

use chrono::SecondsFormat;
use engine::subscription::Format;
use serde_json::{Map, Value, json};
use store::{Identity, OutboxEvent};

const SERVICE: &str = "secretsmanager.amazonaws.com";

/// An event as it is sent.
pub(super) struct Shaped {
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// None: this shape has nothing for this event.
pub(super) fn of(event: &OutboxEvent, format: Format, identity: &Identity) -> Option<Shaped> {
    let (content_type, value) = match format {
        Format::CloudEvents => ("application/cloudevents+json", cloud_event(event, identity)),
        Format::EventBridge => ("application/json", event_bridge(event)?),
        Format::CloudTrail => ("application/json", cloud_trail(event)?),
    };
    Some(Shaped { content_type, body: value.to_string().into_bytes() })
}

fn cloud_event(event: &OutboxEvent, identity: &Identity) -> Value {
    let mut value = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": format!("urn:pawl:{}:{}", identity.region, identity.account_id),
        "type": format!("dev.pawl.{}", event.kind),
        "time": event.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "datacontenttype": "application/json",
        // Compares as text, as the extension wants it.
        "sequence": format!("{:020}", event.seq),
        "offset": event.offset.to_string(),
        "data": data(event),
    });
    if !event.arn.is_empty() {
        value["subject"] = event.arn.clone().into();
    }
    value
}

/// What there is to know, absent members left out.
fn data(event: &OutboxEvent) -> Value {
    let mut data = Map::new();
    if !event.arn.is_empty() {
        data.insert("secretArn".to_owned(), event.arn.clone().into());
        data.insert("secretName".to_owned(), event.name.clone().into());
    }
    if let Ok(Value::Object(facts)) = serde_json::to_value(&event.facts) {
        data.extend(facts);
    }
    Value::Object(data)
}

/// AWS tells of every label but AWSPENDING and AWSPREVIOUS, and so do our events.
fn event_bridge(event: &OutboxEvent) -> Option<Value> {
    let facts = &event.facts;
    let (true, Some(label), Some(version)) = (event.kind == "secret.label-updated", &facts.label, &facts.version_id)
    else {
        return None;
    };
    Some(enveloped(
        event,
        "Secret Label Updated",
        &json!({ "name": event.name, "labelUpdated": label, "versionId": version }),
    ))
}

fn cloud_trail(event: &OutboxEvent) -> Option<Value> {
    let name = service_event(&event.kind)?;
    let (region, account) = place_of(&event.arn);
    let token = event.facts.version_id.as_deref();
    let request = token.map_or_else(|| event.id.clone(), |token| format!("Rotation-{}-{token}", event.arn));
    let mut record = json!({
        "eventVersion": "1.08",
        "userIdentity": { "accountId": account, "invokedBy": SERVICE },
        "eventTime": event.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "eventSource": SERVICE,
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": SERVICE,
        "userAgent": SERVICE,
        "requestParameters": null,
        "responseElements": null,
        "additionalEventData": { "SecretId": event.arn },
        "requestID": request,
        "eventID": event.id,
        "readOnly": false,
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    });
    if name.ends_with("Failed") {
        let step = event.facts.step.as_deref().unwrap_or("testSecret");
        record["errorMessage"] = format!("Error when executing the rotator during {step} step").into();
    }
    Some(enveloped(event, "AWS Service Event via CloudTrail", &record))
}

fn service_event(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "rotation.started" => "RotationStarted",
        "rotation.succeeded" => "RotationSucceeded",
        "rotation.failed" | "rotation.postponed" => "RotationFailed",
        "rotation.abandoned" => "RotationAbandoned",
        "rotation.test-started" => "TestRotationStarted",
        "rotation.test-succeeded" => "TestRotationSucceeded",
        "rotation.test-failed" => "TestRotationFailed",
        "secret.deletion-scheduled" => "StartSecretVersionDelete",
        "secret.restored" => "CancelSecretVersionDelete",
        "secret.deleted" => "EndSecretVersionDelete",
        _ => return None,
    })
}

/// EventBridge's envelope.
fn enveloped(event: &OutboxEvent, detail_type: &str, detail: &Value) -> Value {
    let (region, account) = place_of(&event.arn);
    json!({
        "version": "0",
        "id": event.id,
        "detail-type": detail_type,
        "source": "aws.secretsmanager",
        "account": account,
        "time": event.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "region": region,
        "resources": [event.arn],
        "detail": detail,
    })
}

/// Region and account of an ARN.
fn place_of(arn: &str) -> (&str, &str) {
    let mut parts = arn.split(':').skip(3);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use store::Facts;

    use super::*;

    fn page() -> Vec<Value> {
        let page = include_str!("../../docs/events.md");
        let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
        blocks.map(|block| serde_json::from_str(block).expect("docs/events.md has JSON")).collect()
    }

    fn event(kind: &str, facts: Facts) -> OutboxEvent {
        OutboxEvent {
            id: "6a7e8feb-b491-4cf7-a9f1-bf3703467718".to_owned(),
            offset: 4711,
            seq: 12,
            kind: kind.to_owned(),
            arn: "arn:aws:secretsmanager:us-east-1:000000000000:secret:app/db-a1b2c3".to_owned(),
            name: "app/db".to_owned(),
            at: DateTime::from_timestamp_millis(1_773_135_420_250).expect("a date"),
            facts,
        }
    }

    fn moved() -> Facts {
        Facts {
            version_id: Some("11111111-2222-4333-8444-555555555555".to_owned()),
            label: Some("AWSCURRENT".to_owned()),
            previous_version_id: Some("99999999-8888-4777-8666-555555555555".to_owned()),
            actor: Some("schedule".to_owned()),
            ..Facts::default()
        }
    }

    fn sent(event: &OutboxEvent, format: Format) -> Option<Value> {
        let identity = Identity {
            partition: "aws".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        };
        let shaped = of(event, format, &identity)?;
        Some(serde_json::from_slice(&shaped.body).expect("JSON"))
    }

    #[test]
    fn what_is_sent_is_what_the_page_shows() {
        let failed = Facts { step: Some("setSecret".to_owned()), label: None, previous_version_id: None, ..moved() };
        let shown = page();
        let label = event("secret.label-updated", moved());
        let failed = event("rotation.failed", failed);
        for (n, (event, format)) in
            [(&label, Format::CloudEvents), (&label, Format::EventBridge), (&failed, Format::CloudTrail)]
                .into_iter()
                .enumerate()
        {
            assert_eq!(sent(event, format).as_ref(), shown.get(n), "{format:?}");
        }
    }

    #[test]
    fn a_shape_of_awss_has_nothing_for_what_aws_does_not_tell() {
        for (kind, bridge, trail) in [
            ("secret.label-updated", true, false),
            ("secret.label-removed", false, false),
            ("secret.version-created", false, false),
            ("rotation.started", false, true),
            ("rotation.configured", false, false),
            ("secret.deleted", false, true),
            ("subscription.events-missed", false, false),
        ] {
            let event = event(kind, moved());
            assert_eq!(sent(&event, Format::EventBridge).is_some(), bridge, "{kind}");
            assert_eq!(sent(&event, Format::CloudTrail).is_some(), trail, "{kind}");
            assert!(sent(&event, Format::CloudEvents).is_some(), "{kind}");
        }
    }

    #[test]
    fn what_is_about_no_secret_has_no_subject() {
        let event =
            OutboxEvent { arn: String::new(), name: String::new(), ..event("rotator.removed", Facts::default()) };
        let sent = sent(&event, Format::CloudEvents).expect("everything");
        assert!(sent.get("subject").is_none() && sent["data"].get("secretArn").is_none(), "{sent}");
    }
}
