//! Subscriptions, dead letters and events as people read them.

use serde_json::Value;

use crate::cli::output;
use crate::cli::shown::{date, duration, text};

/// One line a subscription.
pub(super) fn list(answer: &Value) {
    let row = |it: &Value| {
        vec![
            word(it, "Name"),
            word(it, "Format"),
            state(it).to_owned(),
            it["WaitingSecrets"].to_string(),
            it["DeadLetters"].to_string(),
            word(it, "Url"),
        ]
    };
    let rows = members(answer, "Subscriptions").iter().map(row).collect();
    output::table(&["name", "format", "state", "waiting", "dead", "url"], rows);
}

/// One subscription.
pub(super) fn subscription(it: &Value) {
    let filter = |name: &str| {
        let patterns = members(&it["Filter"], name).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
        Some(patterns).filter(|patterns| !patterns.is_empty())
    };
    let some = |name: &str| it[name].as_u64().filter(|count| *count > 0).map(|count| count.to_string());
    output::fields(&[
        ("name", text(&it["Name"])),
        ("url", text(&it["Url"])),
        ("format", text(&it["Format"])),
        ("state", Some(state(it).to_owned())),
        ("only kinds", filter("Kinds")),
        ("only secrets", filter("Secrets")),
        ("only labels", filter("Labels")),
        ("gives up after", it["GiveUpAfterSeconds"].as_f64().map(duration)),
        ("own authority", it["CaPem"].is_string().then(|| "yes".to_owned())),
        ("next offset", Some(it["NextOffset"].to_string())),
        ("secrets waiting", some("WaitingSecrets")),
        ("of these failing", some("FailingSecrets")),
        ("dead letters", some("DeadLetters")),
        ("missed", some("Missed").map(|count| format!("{count} events were pruned before it was told"))),
        ("made", date(&it["CreatedDate"])),
        ("last changed", date(&it["LastChangedDate"])),
    ]);
    for key in members(it, "SigningKeys") {
        let since = date(&key["CreatedDate"]).unwrap_or_default();
        let until = date(&key["ExpiryDate"]).map(|until| format!(", until {until}")).unwrap_or_default();
        output::say(format!("signing key since {since}{until}"));
    }
}

/// One line a dead letter.
pub(super) fn dead_letters(answer: &Value) {
    let row = |it: &Value| {
        vec![
            it["DeadLetterId"].to_string(),
            it["Event"]["Offset"].to_string(),
            word(&it["Event"], "Kind"),
            word(&it["Event"], "SecretName"),
            it["Attempts"].to_string(),
            date(&it["FailedDate"]).unwrap_or_default(),
            match it["Redelivering"] == true {
                true => "is being sent once more".to_owned(),
                false => word(it, "Reason"),
            },
        ]
    };
    let rows = members(answer, "DeadLetters").iter().map(row).collect();
    output::table(&["id", "offset", "kind", "secret", "attempts", "given up", "why"], rows);
}

/// One event in one line.
pub(super) fn event(it: &Value) -> String {
    let mut line = format!("{}  {}  {}", it["Offset"], date(&it["Time"]).unwrap_or_default(), word(it, "Kind"));
    for (name, member) in [
        ("", "SecretName"),
        ("", "Label"),
        ("version ", "VersionId"),
        ("step ", "Step"),
        ("rotator ", "Rotator"),
        ("subscription ", "Subscription"),
        ("by ", "Actor"),
    ] {
        if let Some(text) = text(&it[member]) {
            line.push_str(&format!("  {name}{text}"));
        }
    }
    line
}

fn state(it: &Value) -> &'static str {
    match (it["Enabled"] == true, it["FailingSecrets"].as_u64().unwrap_or(0) > 0) {
        (false, _) => "disabled",
        (true, true) => "failing",
        (true, false) => "enabled",
    }
}

fn word(it: &Value, member: &str) -> String {
    text(&it[member]).unwrap_or_default()
}

fn members<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map(Vec::as_slice).unwrap_or_default()
}
