//! `pawl rotation enable`: its settings, and how a rotation's settings are shown.

use clap::Args;
use serde_json::{Value, json};

use super::super::limits;
use super::super::shown::{date, text};

/// How the credential is changed, and what becomes of the one before.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// single-user, dual-password or alternating-users; default: two passwords where server and privileges allow it
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
    /// With alternating-users: the two accounts that take turns, or default: USER and USER_clone, as AWS names them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    users: Option<Vec<String>>,
    /// How long the credential before goes on working, such as 15m [default: 75m]
    #[arg(long, value_name = "SPAN")]
    grace: Option<String>,
    /// at-grace-end, when-drained (nobody is seen to use it any more) or never [default: at-grace-end]
    #[arg(long, value_name = "WHEN")]
    retire: Option<String>,
    /// With --retire when-drained: for how long after the grace somebody is waited for [default: 1d]
    #[arg(long, value_name = "SPAN")]
    retire_deadline: Option<String>,
    /// How often AWSCURRENT is tried, such as 6h, or off [default: 1d]
    #[arg(long, value_name = "SPAN")]
    verify: Option<String>,
    /// Set AWSCURRENT again by itself where it is found not to log in (take back: --reconcile=false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    reconcile: Option<bool>,
    /// Nothing starts by schedule inside: START/END or cron(…)/LENGTH, a zone behind it; again for each; none takes all away
    #[arg(long, value_name = "WHEN")]
    blackout: Vec<String>,
    /// Let a superuser or an account of the server itself be rotated (take back: --allow-superuser=false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_superuser: Option<bool>,
}

impl SettingArgs {
    /// What is left out stays as it was.
    pub(crate) fn put(&self, body: &mut Value) {
        let texts = [
            ("Strategy", &self.strategy),
            ("Grace", &self.grace),
            ("Retire", &self.retire),
            ("RetireDeadline", &self.retire_deadline),
            ("Verify", &self.verify),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        for (name, value) in [("Reconcile", self.reconcile), ("AllowSuperuser", self.allow_superuser)] {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        if !self.blackout.is_empty() {
            body["Blackouts"] = limits::blackouts(&self.blackout);
        }
        self.put_users(body);
    }

    /// What was taken as it was said, and may not be what was meant.
    pub(crate) fn warn(&self) {
        limits::warn_of_past(&self.blackout);
    }

    fn put_users(&self, body: &mut Value) {
        match self.users.as_deref() {
            None => {}
            Some([one]) if one == "default" => body["Users"] = json!([]),
            Some(users) => body["Users"] = json!(users),
        }
    }
}

/// How the account's credential is changed.
pub(super) fn strategy(view: &Value) -> Option<String> {
    let users = view["Users"].as_array().map(|users| {
        let users: Vec<&str> = users.iter().filter_map(Value::as_str).collect();
        format!(" ({})", users.join(" and "))
    });
    Some(text(&view["Strategy"])? + &users.unwrap_or_default())
}

/// How long the credential before goes on working, and what becomes of it then.
pub(super) fn grace(view: &Value) -> Option<String> {
    let grace = text(&view["Grace"])?;
    Some(match view["Retire"].as_str() {
        Some("never") => "the credential before is left alone".to_owned(),
        Some("when-drained") => {
            let deadline = text(&view["RetireDeadline"]).unwrap_or_default();
            format!("{grace}, then until nobody is seen to use it, {deadline} at most")
        }
        _ => grace,
    })
}

/// The times in which nothing starts.
pub(super) fn blackouts(view: &Value) -> Option<String> {
    let texts: Vec<&str> = view["Blackouts"].as_array()?.iter().filter_map(Value::as_str).collect();
    Some(texts.join("; "))
}

/// How often AWSCURRENT is tried.
pub(super) fn verify(every: &str) -> String {
    if every == "off" { every.to_owned() } else { format!("every {every}") }
}

/// Which version's credential goes on working, and until when.
pub(super) fn retiring(view: &Value) -> Option<String> {
    let open = &view["Open"];
    let at = date(&open["RetireAt"]).map(|at| format!(" at {at}")).unwrap_or_default();
    Some(format!("version {}{at}", text(&open["RetiringVersionId"])?))
}
