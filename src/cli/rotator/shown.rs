//! Rotators, deliveries and reports as people read them.

use std::net::IpAddr;

use serde_json::Value;

use crate::cli::rotation::show_view;
use crate::cli::shown::{date, duration, text, time};
use crate::cli::{Connection, output};

/// One line a rotator.
pub(crate) fn list(answer: &Value) {
    let row = |rotator: &Value| {
        vec![
            text(&rotator["Name"]).unwrap_or_default(),
            kind(rotator),
            state(rotator).to_owned(),
            rotator["Secrets"].as_u64().map(|count| count.to_string()).unwrap_or_default(),
            text(&rotator["Url"]).or_else(|| text(&rotator["Endpoint"])).unwrap_or_default(),
        ]
    };
    let rows = members(answer, "Rotators").iter().map(row).collect();
    output::table(&["name", "kind", "state", "secrets", "where"], rows);
}

/// One rotator.
pub(crate) fn rotator(rotator: &Value) {
    let yes = |value: &Value| (value == true).then(|| "yes".to_owned());
    let webhook = rotator["Kind"] == "webhook";
    let splices = webhook && rotator["Mode"] == "managed" && rotator["Issues"] != true;
    let password = text(&rotator["PasswordKey"]).unwrap_or_else(|| "the whole value".to_owned());
    let seconds = |member: &str| rotator[member].as_f64().map(duration);
    output::fields(&[
        ("name", text(&rotator["Name"])),
        ("kind", Some(kind(rotator))),
        ("state", Some(state(rotator).to_owned())),
        ("url", text(&rotator["Url"])),
        ("issues", yes(&rotator["Issues"])),
        ("password is", splices.then_some(password)),
        ("credentials", yes(&rotator["Credentials"])),
        ("steps", Some(texts(rotator, "Steps")).filter(|steps| !steps.is_empty())),
        ("grace", seconds("GraceSeconds")),
        ("endpoint", text(&rotator["Endpoint"])),
        ("function", text(&rotator["Function"])),
        ("signed for", text(&rotator["Region"])),
        ("access key", text(&rotator["AccessKeyId"])),
        ("timeout", seconds("TimeoutSeconds")),
        ("at once", rotator["Concurrency"].as_u64().map(|count| count.to_string())),
        ("own authority", rotator["CaPem"].is_string().then(|| "yes".to_owned())),
        ("mTLS", rotator["ClientCertificatePem"].is_string().then(|| "yes".to_owned())),
        ("registered", date(&rotator["CreatedDate"])),
        ("last changed", date(&rotator["LastChangedDate"])),
        ("secrets", secrets(rotator)),
    ]);
    for key in members(rotator, "SigningKeys") {
        let since = date(&key["CreatedDate"]).unwrap_or_default();
        let until = date(&key["ExpiryDate"]).map(|until| format!(", until {until}")).unwrap_or_default();
        output::say(format!("signing key since {since}{until}"));
    }
}

/// A step was sent once more: the rotation, and what else it waits for.
pub(crate) fn again(connection: &Connection, rotator: &str, answer: &Value) {
    show_view(connection, answer);
    if let Some(until) = date(&answer["NotCalledUntil"]) {
        output::progress(format!(
            "{rotator} failed again and again and is not called until {until}; the step waits for that"
        ));
    }
}

/// A receiver that calls back is told where. Says so where that leads it to nothing, or to its own machine.
pub(crate) fn callback_hint(answer: &Value) {
    if answer["Mode"] != "callback" {
        return;
    }
    let remedy = "set --public-url of `pawl serve`";
    match text(&answer["CallbackEndpoint"]) {
        None => output::progress(format!(
            "receivers are told no address of this server, which listens on every one: {remedy}"
        )),
        Some(told) if is_here(&told) && !text(&answer["Url"]).is_some_and(|url| is_here(&url)) => {
            output::progress(format!("receivers are told to call {told}, which another machine cannot: {remedy}"));
        }
        Some(_) => {}
    }
}

/// A URL of the machine that asks for it.
fn is_here(url: &str) -> bool {
    let url = url.parse::<reqwest::Url>().ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// One line a delivery.
pub(crate) fn deliveries(answer: &Value) {
    let row = |delivery: &Value| {
        let took = time(&delivery["Ended"]).zip(time(&delivery["Started"]));
        vec![
            delivery["Id"].to_string(),
            date(&delivery["Started"]).unwrap_or_default(),
            text(&delivery["SecretName"]).unwrap_or_default(),
            text(&delivery["VersionId"]).map(|id| id.chars().take(8).collect()).unwrap_or_default(),
            text(&delivery["Step"]).unwrap_or_default(),
            delivery["Attempt"].to_string(),
            took.map(|(ended, started)| duration((ended - started).as_seconds_f64())).unwrap_or_default(),
            delivery["Status"].as_u64().map(|status| status.to_string()).unwrap_or_default(),
            text(&delivery["Verdict"]).unwrap_or_default(),
            text(&delivery["Message"]).unwrap_or_default(),
        ]
    };
    let rows = members(answer, "Deliveries").iter().map(row).collect();
    let header = ["id", "when", "secret", "version", "step", "attempt", "took", "status", "verdict", "message"];
    output::table(&header, rows);
}

/// What was tried: what holds, and of what does not why it matters.
pub(crate) fn cases(answer: &Value) {
    for case in members(answer, "Cases") {
        let passed = case["Passed"] == true;
        let detail = text(&case["Detail"]).filter(|detail| !detail.is_empty());
        output::say(format!("{}  {}", if passed { "ok  " } else { "FAIL" }, text(&case["Name"]).unwrap_or_default()));
        if let Some(detail) = &detail {
            output::say(format!("      {detail}"));
        }
        if let Some(why) = text(&case["Why"]).filter(|_| !passed) {
            output::say(format!("      why it matters: {why}"));
        }
    }
}

fn kind(rotator: &Value) -> String {
    let kind = text(&rotator["Kind"]).unwrap_or_default();
    match text(&rotator["Mode"]) {
        Some(mode) => format!("{kind} ({mode})"),
        None => kind,
    }
}

fn state(rotator: &Value) -> &'static str {
    if rotator["Enabled"] == true { "enabled" } else { "disabled" }
}

/// `3: a, b, c`; of many the first only.
fn secrets(rotator: &Value) -> Option<String> {
    let count = rotator["Secrets"].as_u64()?;
    let names = texts(rotator, "SecretNames");
    Some(if names.is_empty() { count.to_string() } else { format!("{count}: {names}") })
}

fn texts(value: &Value, member: &str) -> String {
    members(value, member).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn members<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}
