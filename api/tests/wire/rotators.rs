//! Registered rotators on the wire: what may be said about one, what is shown of it, and whom it serves.

use chrono::TimeDelta;
use engine::outcome::{Done, StepError, Verdict};
use engine::port::{Clock, Lease, RotationStore};
use engine::rotation::{Event, Outcome, Step};
use engine::secret::SecretBytes;
use serde_json::{Value, json};
use store::Room;

use crate::harness::{Server, v};

fn webhook() -> Value {
    json!({"Name": "hook", "Kind": "webhook", "Url": "https://hook.example/pawl"})
}

fn function() -> Value {
    json!({"Name": "f", "Kind": "lambda", "Endpoint": "http://127.0.0.1:9000"})
}

/// The first with the members of the second.
fn with(mut body: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members") };
    body.as_object_mut().expect("members").extend(members);
    body
}

fn certificate() -> &'static str {
    "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
}

impl Server {
    async fn says_no(&self, op: &str, body: Value, words: &str) {
        let answer = self.call(op, body.clone()).await;
        assert_eq!(answer.status, 400, "{op} {body}: {}", answer.text());
        assert!(answer.text().contains(words), "{op} {body}: {}", answer.text());
    }

    /// Opens a rotation of the secret `s` by `hook` and lets its setSecret be refused with this verdict.
    async fn stopped_at_set(&self, rotator: Value, verdict: Verdict) -> Lease {
        let name = rotator["Name"].clone();
        self.ok("pawl.CreateRotator", rotator).await;
        self.create("s").await;
        let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2), "RotationLambdaARN": name});
        self.ok("RotateSecret", rotate).await;
        let claims = self.store.claim("test", &Room::everywhere(1), self.clock.now()).await.expect("asked");
        let lease = claims[0].lease.clone();
        let made = Outcome::Created(SecretBytes::from("value-2"), Done::default());
        let mut error = StepError::new(verdict, "busy", "the receiver is busy");
        error.status = Some(503);
        self.store.apply(&lease, Event::Leased, 0.0).await.expect("begun");
        self.store.apply(&lease, Event::Ended { step: Step::Create, outcome: made }, 0.0).await.expect("made");
        let failed = Event::Ended { step: Step::Set, outcome: Outcome::Failed(error) };
        self.store.apply(&lease, failed, 0.0).await.expect("reported");
        self.store.release(&lease).await.expect("given back");
        lease
    }
}

#[tokio::test]
async fn a_webhook_is_shown_as_it_was_registered_and_its_key_this_once() {
    let server = Server::start().await;
    let reply = server.ok("pawl.CreateRotator", webhook()).await;
    let key = reply["SigningKey"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("whsec_") && key.len() == 6 + 44, "{key}");
    let expected = json!({
        "Name": "hook", "Kind": "webhook", "Url": "https://hook.example/pawl", "Mode": "managed", "Issues": false,
        "PasswordKey": "password", "Credentials": false, "Steps": [], "TimeoutSeconds": 10, "Concurrency": 16,
        "Enabled": true, "CreatedDate": 1_773_135_420.123, "LastChangedDate": 1_773_135_420.123, "Secrets": 0,
    });
    let dates = json!({"SigningKeys": [{"CreatedDate": 1_773_135_420.123}]});
    let shown = server.ok("pawl.DescribeRotator", json!({"Name": "hook"})).await;
    assert_eq!(shown, with(expected.clone(), dates.clone()));
    assert_eq!(reply, with(shown, json!({ "SigningKey": key })));
    let list = server.ok("pawl.ListRotators", json!({})).await;
    let names: Vec<_> = list["Rotators"].as_array().expect("a list").iter().map(|one| &one["Name"]).collect();
    assert_eq!(names, ["postgres", "mysql", "mariadb", "hook"]);
    assert_eq!(list["Rotators"][0], json!({"Name": "postgres", "Kind": "builtin", "Enabled": true}));
    assert_eq!(list["Rotators"][3], expected);
    assert_eq!(server.ok("pawl.DescribeRotator", json!({"Name": "mysql"})).await["Kind"], "builtin");
}

#[tokio::test]
async fn everything_that_can_be_said_is_kept() {
    let server = Server::start().await;
    let all = json!({
        "Mode": "callback", "Credentials": true, "Steps": ["retire", "check"], "Grace": "90s", "TimeoutSeconds": 900,
        "Concurrency": 10_000, "CaPem": certificate(), "ClientCertificatePem": certificate(),
        "ClientKeyPem": "canary-key", "Enabled": false,
    });
    let reply = server.ok("pawl.CreateRotator", with(webhook(), all)).await;
    let expected = json!({
        "Mode": "callback", "Credentials": true, "Steps": ["check", "retire"], "GraceSeconds": 90, "TimeoutSeconds": 900,
        "Concurrency": 10_000, "CaPem": certificate(), "ClientCertificatePem": certificate(), "Enabled": false,
    });
    for (member, value) in expected.as_object().expect("members") {
        assert_eq!(&reply[member], value, "{member}");
    }
    assert_eq!((reply.get("PasswordKey"), &reply["CallbackEndpoint"]), (None, &json!("https://pawl.example:7171")));
    let issuing = json!({"Name": "issuer", "Issues": true, "Steps": ["revoke", "retire"]});
    let reply = server.ok("pawl.CreateRotator", with(webhook(), issuing)).await;
    assert_eq!((&reply["Steps"], &reply["GraceSeconds"]), (&json!(["retire", "revoke"]), &json!(4500)));
    let signs =
        json!({"Function": "rotate", "Region": "eu-west-1", "AccessKeyId": "AKIAX", "SecretAccessKey": "canary"});
    let reply = server.ok("pawl.CreateRotator", with(function(), signs)).await;
    assert_eq!((&reply["Function"], &reply["AccessKeyId"]), (&json!("rotate"), &json!("AKIAX")));
    assert_eq!((reply.get("SigningKey"), &reply["TimeoutSeconds"]), (None, &json!(60)));
    for name in ["hook", "issuer", "f"] {
        let shown = server.ok("pawl.DescribeRotator", json!({ "Name": name })).await;
        assert!(!shown.to_string().contains("canary"), "{shown}");
    }
    assert!(!server.ok("pawl.ListRotators", json!({})).await.to_string().contains("canary"));
    assert!(server.trail.since().iter().all(|(record, _)| !record.to_string().contains("canary")));
}

#[tokio::test]
async fn what_contradicts_itself_is_refused_with_a_sentence() {
    let server = Server::start().await;
    for (body, words) in [
        (json!({"Name": "x"}), "Kind is needed"),
        (json!({"Name": "x", "Kind": "webhook"}), "needs Url"),
        (json!({"Name": "x", "Kind": "lambda"}), "needs Endpoint"),
        (with(webhook(), json!({"Name": "postgres"})), "built in: choose another name"),
        (with(webhook(), json!({"Name": "a b"})), "regular expression"),
        (with(webhook(), json!({"Name": "x".repeat(65)})), "length"),
        (with(webhook(), json!({"Url": "hook.example"})), "must begin with https"),
        (with(webhook(), json!({"Url": "ftp://hook.example"})), "must begin with https"),
        (with(webhook(), json!({"Url": "https://a b"})), "is no URL"),
        (with(webhook(), json!({"Url": "https://u:p@hook.example"})), "no user or password"),
        (with(webhook(), json!({"Url": "https://hook.example/#x"})), "no fragment"),
        (with(webhook(), json!({"Url": "http://169.254.169.254/"})), "The egress policy of this server refuses"),
        (with(webhook(), json!({"Issues": true, "Mode": "callback"})), "its Mode is managed"),
        (with(webhook(), json!({"Credentials": true})), "Credentials are for receivers that call back"),
        (with(webhook(), json!({"Issues": true, "PasswordKey": "p"})), "PasswordKey says where"),
        (with(webhook(), json!({"Mode": "callback", "PasswordKey": ""})), "PasswordKey says where"),
        (with(webhook(), json!({"Steps": ["revoke"]})), "give Issues too"),
        (with(webhook(), json!({"Steps": ["setSecret"]})), "setSecret is no step that can be declared"),
        (with(webhook(), json!({"Grace": "1h"})), "name retire in Steps too"),
        (with(webhook(), json!({"Steps": ["retire"], "Grace": "31d"})), "at most 30 days"),
        (with(webhook(), json!({"Steps": ["retire"], "Grace": "soon"})), "at most 30 days"),
        (with(webhook(), json!({"Mode": "other"})), "enum value set"),
        (with(webhook(), json!({"TimeoutSeconds": 901})), "less than or equal to 900"),
        (with(webhook(), json!({"Concurrency": 0})), "greater than or equal to 1"),
        (with(webhook(), json!({"CaPem": "canary"})), "CaPem is not text with certificates"),
        (with(webhook(), json!({"ClientKeyPem": "canary"})), "go together"),
        (with(webhook(), json!({"ClientCertificatePem": certificate()})), "go together"),
        (with(webhook(), json!({"Endpoint": "https://x"})), "Endpoint is for Lambda functions"),
        (with(function(), json!({"Url": "https://x"})), "Url is for webhooks"),
        (with(function(), json!({"Grace": "1m"})), "Grace is for webhooks"),
        (with(function(), json!({"Region": "eu-west-1"})), "together"),
        (with(function(), json!({"AccessKeyId": "AKIAX", "SecretAccessKey": "canary"})), "together"),
        (with(function(), json!({"Function": "a/b"})), "regular expression"),
    ] {
        server.says_no("pawl.CreateRotator", body, words).await;
    }
    let list = server.ok("pawl.ListRotators", json!({})).await;
    assert_eq!(list["Rotators"].as_array().map(Vec::len), Some(3), "a refusal stores nothing");
    server.ok("pawl.CreateRotator", webhook()).await;
    server.says_no("pawl.CreateRotator", webhook(), "A rotator hook is registered").await;
}

#[tokio::test]
async fn an_update_changes_what_is_said_and_nothing_else() {
    let server = Server::start().await;
    server.ok("pawl.CreateRotator", with(webhook(), json!({"PasswordKey": "pin", "CaPem": certificate()}))).await;
    let update = async |said: Value| server.ok("pawl.UpdateRotator", with(json!({"Name": "hook"}), said)).await;
    let reply = update(json!({"Concurrency": 3, "Url": "https://other.example/"})).await;
    assert_eq!((&reply["Concurrency"], &reply["PasswordKey"]), (&json!(3), &json!("pin")));
    assert_eq!((&reply["Url"], &reply["CaPem"]), (&json!("https://other.example/"), &json!(certificate())));
    assert_eq!(reply["SigningKeys"].as_array().map(Vec::len), Some(1));
    assert_eq!(update(json!({"CaPem": ""})).await.get("CaPem"), None);
    // The key for the generated password is of managed receivers; who becomes one gets the default.
    assert_eq!(update(json!({"Mode": "callback", "Credentials": true})).await.get("PasswordKey"), None);
    assert_eq!(update(json!({"Mode": "managed", "Credentials": false})).await["PasswordKey"], "password");
    assert_eq!(update(json!({"PasswordKey": ""})).await.get("PasswordKey"), None);
    assert_eq!(update(json!({"Concurrency": 4})).await.get("PasswordKey"), None);
    update(json!({"Steps": ["retire"], "Grace": "10m"})).await;
    assert_eq!(update(json!({"Steps": ["retire", "check"]})).await["GraceSeconds"], 600);
    assert_eq!(update(json!({"Steps": []})).await.get("GraceSeconds"), None);
    for (said, words) in [
        (json!({"Kind": "lambda"}), "keeps its kind"),
        (json!({"Credentials": true}), "Credentials are for receivers"),
        (json!({"Url": "https://169.254.0.1"}), "egress policy"),
        (json!({"Name": "nobody", "Concurrency": 3}), "No rotator nobody is registered"),
        (json!({"Name": "postgres", "Concurrency": 3}), "No rotator postgres is registered"),
        (json!({"Name": "nobody", "Enabled": true}), "No rotator nobody is registered"),
    ] {
        server.says_no("pawl.UpdateRotator", with(json!({"Name": "hook"}), said), words).await;
    }
    let signs = json!({"Region": "eu-west-1", "AccessKeyId": "AKIAX", "SecretAccessKey": "x"});
    server.ok("pawl.CreateRotator", with(function(), signs)).await;
    let half = "Another AccessKeyId has another secret half: give its SecretAccessKey too";
    server.says_no("pawl.UpdateRotator", json!({"Name": "f", "AccessKeyId": "AKIAY"}), half).await;
    server.says_no("pawl.UpdateRotator", json!({"Name": "f", "AccessKeyId": ""}), "together").await;
    let same = json!({"Name": "f", "AccessKeyId": "AKIAX", "Region": "eu-west-2"});
    assert_eq!(server.ok("pawl.UpdateRotator", same).await["Region"], "eu-west-2");
    let other = json!({"Name": "f", "AccessKeyId": "AKIAY", "SecretAccessKey": "y"});
    assert_eq!(server.ok("pawl.UpdateRotator", other).await["AccessKeyId"], "AKIAY");
    let unsigned = json!({"Name": "f", "AccessKeyId": "", "Region": "", "SecretAccessKey": ""});
    assert_eq!(server.ok("pawl.UpdateRotator", unsigned).await.get("AccessKeyId"), None);
    let mtls = json!({"Name": "f", "ClientCertificatePem": certificate(), "ClientKeyPem": "k"});
    assert_eq!(server.ok("pawl.UpdateRotator", mtls).await["ClientCertificatePem"], certificate());
    let plain = json!({"Name": "f", "ClientCertificatePem": ""});
    assert_eq!(server.ok("pawl.UpdateRotator", plain).await.get("ClientCertificatePem"), None);
}

#[tokio::test]
async fn a_secret_is_given_to_a_rotator_by_its_name_or_a_function_arn() {
    let server = Server::start().await;
    server.ok("pawl.CreateRotator", webhook()).await;
    for (name, given) in
        [("one", "hook".to_owned()), ("two", "arn:aws:lambda:us-east-1:123456789012:function:hook".to_owned())]
    {
        server.create(name).await;
        let rotate = json!({"SecretId": name, "ClientRequestToken": v(2), "RotationLambdaARN": given});
        server.ok("RotateSecret", rotate).await;
        assert_eq!(server.ok("DescribeSecret", json!({"SecretId": name})).await["RotationLambdaARN"], given);
    }
    let claims = server.store.claim("test", &Room::everywhere(9), server.clock.now()).await.expect("asked");
    assert!(claims.len() == 2 && claims.iter().all(|claim| claim.lane == "hook"));
    let shown = server.ok("pawl.DescribeRotator", json!({"Name": "hook"})).await;
    assert_eq!((&shown["Secrets"], &shown["SecretNames"]), (&json!(2), &json!(["one", "two"])));
    let in_use = "The rotator hook serves these secrets: one, two. Give them another rotator, or delete them, first.";
    server.refused("pawl.DeleteRotator", json!({"Name": "hook"}), "InvalidRequestException", in_use).await;
    for name in ["one", "two"] {
        server.ok("DeleteSecret", json!({"SecretId": name, "ForceDeleteWithoutRecovery": true})).await;
    }
    server.ok("pawl.DeleteRotator", json!({"Name": "hook"})).await;
    let gone = "No rotator hook is registered.";
    for op in ["pawl.DeleteRotator", "pawl.DescribeRotator", "pawl.ListDeliveries", "pawl.RotateSigningKey"] {
        server.refused(op, json!({"Name": "hook"}), "ResourceNotFoundException", gone).await;
    }
}

#[tokio::test]
async fn nothing_is_begun_with_a_disabled_rotator_and_it_is_disabled_in_an_outage_too() {
    let server = Server::start().await;
    server.ok("pawl.CreateRotator", webhook()).await;
    server.create("s").await;
    server.trail.go_down();
    assert_eq!(server.call("pawl.UpdateRotator", json!({"Name": "hook", "Concurrency": 2})).await.status, 500);
    assert_eq!(server.call("pawl.UpdateRotator", json!({"Name": "hook", "Enabled": true})).await.status, 500);
    let both = json!({"Name": "hook", "Enabled": false, "Url": "https://x.example"});
    assert_eq!(server.call("pawl.UpdateRotator", both).await.status, 500);
    let reply = server.ok("pawl.UpdateRotator", json!({"Name": "hook", "Enabled": false})).await;
    assert_eq!(reply["Enabled"], false);
    server.trail.come_back();
    let disabled = "The rotator hook is disabled; enable it first.";
    let rotate = json!({"SecretId": "s", "ClientRequestToken": v(2), "RotationLambdaARN": "hook"});
    server.refused("RotateSecret", rotate.clone(), "InvalidRequestException", disabled).await;
    let enable = json!({"SecretId": "s", "Rotator": "hook", "AutomaticallyAfterDays": 30});
    server.refused("pawl.EnableRotation", enable, "InvalidRequestException", disabled).await;
    assert!(server.ok("DescribeSecret", json!({"SecretId": "s"})).await.get("RotationEnabled").is_none());
    server.ok("pawl.UpdateRotator", json!({"Name": "hook", "Enabled": true})).await;
    server.ok("RotateSecret", rotate).await;
}

#[tokio::test]
async fn a_signing_key_is_changed_without_a_gap() {
    let server = Server::start().await;
    let first = server.ok("pawl.CreateRotator", webhook()).await;
    let reply = server.ok("pawl.RotateSigningKey", json!({"Name": "hook"})).await;
    assert_ne!(reply["SigningKey"], first["SigningKey"]);
    assert_eq!(reply["PreviousExpiryDate"], json!(1_773_221_820.123), "a day");
    let shown = server.ok("pawl.DescribeRotator", json!({"Name": "hook"})).await;
    let expected = json!([
        {"CreatedDate": 1_773_135_420.123, "ExpiryDate": 1_773_221_820.123}, {"CreatedDate": 1_773_135_420.123},
    ]);
    assert_eq!(shown["SigningKeys"], expected);
    server
        .says_no("pawl.RotateSigningKey", json!({"Name": "hook"}), "Two signing keys of the rotator hook are live")
        .await;
    server.ok("pawl.RotateSigningKey", json!({"Name": "hook", "Replace": true, "Overlap": "1h"})).await;
    server.clock.advance(TimeDelta::hours(1));
    let shown = server.ok("pawl.DescribeRotator", json!({"Name": "hook"})).await;
    assert_eq!(shown["SigningKeys"].as_array().map(Vec::len), Some(1));
    server
        .says_no("pawl.RotateSigningKey", json!({"Name": "hook", "Overlap": "x"}), "Overlap is a length of time")
        .await;
    server.ok("pawl.CreateRotator", function()).await;
    server.says_no("pawl.RotateSigningKey", json!({"Name": "f"}), "it has no signing key").await;
    let told = server.trail.since().into_iter().map(|(record, _)| record.to_string()).collect::<String>();
    assert!(!told.contains("whsec_") && told.contains(r#""about":"hook""#), "{told}");
}

#[tokio::test]
async fn deliveries_say_what_was_sent_and_what_came_back() {
    let server = Server::start().await;
    server.stopped_at_set(with(webhook(), json!({"Issues": true})), Verdict::Retry).await;
    let list = server.ok("pawl.ListDeliveries", json!({"Name": "hook"})).await;
    let [set, create] = &list["Deliveries"].as_array().expect("a list")[..] else { panic!("{list}") };
    assert_eq!((&create["Step"], &create["Verdict"]), (&json!("createSecret"), &json!("done")));
    let expected = json!({
        "Id": set["Id"], "SecretARN": create["SecretARN"], "SecretName": "s", "VersionId": v(2), "Step": "setSecret",
        "Attempt": 1, "Started": 1_773_135_420.123, "Ended": 1_773_135_420.123, "Status": 503, "Verdict": "retry",
        "Message": "the receiver is busy",
    });
    assert_eq!(set, &expected);
    let older = server.ok("pawl.ListDeliveries", json!({"Name": "hook", "Before": set["Id"]})).await;
    assert_eq!(older["Deliveries"], json!([create]));
    let one = server.ok("pawl.ListDeliveries", json!({"Name": "hook", "Limit": 1})).await;
    assert_eq!(one["Deliveries"], json!([set]));
    let past = "The rotation has moved on from that step: sending it again could set an old value.";
    let again = |id: &Value| json!({"Name": "hook", "DeliveryId": id});
    server.refused("pawl.Redeliver", again(&create["Id"]), "InvalidRequestException", past).await;
    let none = "This rotator has no delivery of this number.";
    server.refused("pawl.Redeliver", again(&json!(9999)), "ResourceNotFoundException", none).await;
    server.clock.advance(TimeDelta::milliseconds(5));
    let view = server.ok("pawl.Redeliver", again(&set["Id"])).await;
    assert_eq!((&view["Open"]["Step"], &view["DueDate"]), (&json!("setSecret"), &json!(1_773_135_420.128)));
    assert_eq!(view.get("NotCalledUntil"), None);
    server.ok("pawl.PauseRotation", json!({"SecretId": "s"})).await;
    let paused = "The rotation of this secret is paused: resume it first.";
    server.refused("pawl.Redeliver", again(&set["Id"]), "InvalidRequestException", paused).await;
}

#[tokio::test]
async fn a_person_who_has_seen_awscurrent_log_in_may_say_so() {
    let server = Server::start().await;
    server.stopped_at_set(webhook(), Verdict::NeedsPerson).await;
    let works = json!({"SecretId": "s", "CurrentWorks": true});
    server.says_no("pawl.AbandonRotation", works.clone(), "has not been given up: abandon it first").await;
    let view = server.ok("pawl.AbandonRotation", json!({"SecretId": "s"})).await;
    assert_eq!(view["Open"]["Step"], "prove");
    assert_eq!(server.ok("pawl.AbandonRotation", works.clone()).await["State"], "idle");
    server.says_no("pawl.AbandonRotation", works, "No rotation of this secret is open").await;
    let history = server.ok("pawl.ListRotationHistory", json!({"SecretId": "s", "Limit": 1})).await;
    let said = history["History"][0]["Message"].as_str().expect("a sentence");
    assert!(said.starts_with("admin says that AWSCURRENT logs in"), "{said}");
}

#[tokio::test]
async fn runs_and_preflights_are_the_servers_to_make() {
    let server = Server::start().await;
    let case = |detail: &str| json!([{"Name": "case", "Passed": true, "Why": "why", "Detail": detail}]);
    let report = server.ok("pawl.TestRotator", json!({"Name": "hook", "SecretId": "s"})).await;
    assert_eq!(report, json!({"Run": "run-1", "Finished": false, "Cases": []}));
    let report = server.ok("pawl.TestRotator", json!({"Name": "hook", "SecretId": "s", "Run": "run-1"})).await;
    assert_eq!(report, json!({"Run": "run-1", "Finished": true, "Cases": case("s")}));
    server.says_no("pawl.TestRotator", json!({"Name": "mysql", "SecretId": "s"}), "mysql cannot be tested.").await;
    let report = server.ok("pawl.CheckRotator", json!({"SecretId": "s"})).await;
    assert_eq!(report, json!({"Rotator": "own", "Cases": case("s")}));
    let report = server.ok("pawl.CheckRotator", json!({"SecretId": "s", "Name": "hook"})).await;
    assert_eq!(report["Rotator"], "hook");
    server.says_no("pawl.CheckRotator", json!({"SecretId": "gone"}), "can't find the specified secret").await;
    let broken = server.call("pawl.CheckRotator", json!({"SecretId": "broken"})).await;
    assert!(broken.status == 500 && !broken.text().contains("canary"), "{}", broken.text());
}

#[tokio::test]
async fn rotation_is_not_enabled_where_the_rotators_own_check_says_no() {
    let server = Server::start().await;
    server.ok("pawl.CreateRotator", with(webhook(), json!({"Name": "picky", "Steps": ["check"]}))).await;
    server.create("s").await;
    let enable = json!({"SecretId": "s", "Rotator": "picky", "RotateImmediately": true});
    server.says_no("pawl.EnableRotation", enable, "The account may not change its password.").await;
    let secret = server.ok("DescribeSecret", json!({"SecretId": "s"})).await;
    assert!(secret.get("RotationEnabled").is_none() && secret.get("RotationLambdaARN").is_none(), "{secret}");
}

#[tokio::test]
async fn a_rotator_that_is_left_alone_for_a_while_says_until_when() {
    let server = Server::start().await;
    for name in ["hook", "broken"] {
        server.ok("pawl.CreateRotator", with(webhook(), json!({"Name": name}))).await;
    }
    let shown = server.ok("pawl.DescribeRotator", json!({"Name": "broken"})).await;
    assert_eq!(shown["NotCalledUntil"], json!(0));
    assert!(server.ok("pawl.DescribeRotator", json!({"Name": "hook"})).await.get("NotCalledUntil").is_none());
}

#[tokio::test]
async fn a_step_that_is_sent_again_says_when_its_rotator_is_left_alone_for_a_while() {
    let server = Server::start().await;
    server.stopped_at_set(with(webhook(), json!({"Name": "broken"})), Verdict::Retry).await;
    let list = server.ok("pawl.ListDeliveries", json!({"Name": "broken"})).await;
    let again = json!({"Name": "broken", "DeliveryId": list["Deliveries"][0]["Id"]});
    let view = server.ok("pawl.Redeliver", again).await;
    assert_eq!((&view["NotCalledUntil"], &view["Open"]["Step"]), (&json!(0), &json!("setSecret")));
}
