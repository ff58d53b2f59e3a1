//! A service with logins that only a webhook can change, and receivers for it: managed, issuing, callback.
//!
//! Each looks at the service instead of remembering what it did, as docs/writing-a-rotator.md asks of authors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::secret::SecretBytes;
use serde_json::{Value, json};

use super::receiver::{Answer, Event};
use super::unique;
use super::wire::{Signed, call};

/// The one account of receivers that do not issue.
const ACCOUNT: &str = "app";

/// Users and their passwords: one each, as a service that makes lockouts easy has it.
#[derive(Default)]
pub(crate) struct Service(Mutex<BTreeMap<String, String>>);

impl Service {
    /// With the one account, and this password.
    pub(crate) fn with(password: &str) -> Arc<Self> {
        let this = Self::default();
        this.set(ACCOUNT, password);
        Arc::new(this)
    }

    pub(crate) fn set(&self, user: &str, password: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), password.to_owned());
    }

    pub(crate) fn remove(&self, user: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(user);
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Whether the value of a secret logs in.
    pub(crate) fn takes(&self, value: &Value) -> bool {
        let logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let user = value["username"].as_str().unwrap_or_default();
        logins.get(user).is_some_and(|password| value["password"] == **password)
    }

    fn change(&self, value: &Value) {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        self.set(&text("username"), &text("password"));
    }
}

/// The value of a secret for the one account.
pub(crate) fn account_value(password: &str) -> Value {
    json!({ "username": ACCOUNT, "password": password })
}

/// A value inside an event.
fn value_of(given: &Value) -> Value {
    given["SecretString"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn logged_in(works: bool) -> Answer {
    if works { Answer::done() } else { Answer::error(422, "Rejected", "The service refuses this credential.") }
}

/// A managed receiver: the event carries the values.
pub(crate) fn managed(service: &Service, event: &Event) -> Answer {
    let pending = value_of(&event.body["Pending"]);
    match event.step() {
        "setSecret" => service.change(&pending),
        "testSecret" => return logged_in(service.takes(&pending)),
        "finishSecret" | "check" | "retire" => {}
        other => return Answer::error(400, "NeedsPerson", &format!("There is no step {other}.")),
    }
    Answer::done()
}

/// A receiver that makes a new user each time; its name is the tag.
pub(crate) fn issuing(service: &Service, event: &Event) -> Answer {
    match event.step() {
        "createSecret" => {
            let user = event.body["Tag"].as_str().unwrap_or_default();
            let password = unique("Issued-");
            service.set(user, &password);
            let value = json!({ "username": user, "password": password }).to_string();
            return Answer::Json(200, json!({ "Status": "Done", "SecretString": value }));
        }
        "setSecret" | "finishSecret" => {}
        "testSecret" => return logged_in(service.takes(&value_of(&event.body["Pending"]))),
        "retire" => service.remove(value_of(&event.body["Retired"])["username"].as_str().unwrap_or_default()),
        "revoke" => {
            for tag in event.body["Tags"].as_array().into_iter().flatten() {
                service.remove(tag.as_str().unwrap_or_default());
            }
        }
        other => return Answer::error(400, "NeedsPerson", &format!("There is no step {other}.")),
    }
    Answer::done()
}

/// The credentials that an event carries.
pub(crate) fn credentials_of(event: &Event) -> Signed {
    let given = &event.body["Credentials"];
    let text = |key: &str| given[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", event.step())).to_owned();
    Signed {
        access_key_id: text("AccessKeyId"),
        secret: SecretBytes::from(text("SecretAccessKey")),
        session_token: Some(text("SessionToken")),
    }
}

/// A receiver that reads and writes the secret through the API by itself, as AWS's template has it.
pub(crate) fn callback(service: &Service, url: &str, by: &Signed, event: &Event) -> Answer {
    match called_back(service, url, by, event) {
        Ok(answer) => answer,
        Err(what) => Answer::error(500, "Retryable", &what),
    }
}

fn called_back(service: &Service, url: &str, by: &Signed, event: &Event) -> Result<Answer, String> {
    let (id, token) = (&event.body["SecretId"], &event.body["ClientRequestToken"]);
    let ask = |operation: &str, body: Value| match call(url, by, operation, &body) {
        Some((200, answer)) => Ok(answer),
        Some((status, answer)) => Err(format!("{operation}: {status} {}", answer["__type"])),
        None => Err(format!("{operation}: no answer")),
    };
    let stages = ask("DescribeSecret", json!({ "SecretId": id }))?["VersionIdsToStages"].clone();
    let mine = &stages[token.as_str().unwrap_or_default()];
    let has = |stage: &str| mine.as_array().is_some_and(|stages| stages.iter().any(|one| one == stage));
    let read =
        |stage: &str| ask("GetSecretValue", json!({ "SecretId": id, "VersionId": token, "VersionStage": stage }));
    match event.step() {
        "createSecret" if read("AWSPENDING").is_err() => {
            let current = ask("GetSecretValue", json!({ "SecretId": id, "VersionStage": "AWSCURRENT" }))?;
            let mut value = value_of(&current);
            value["password"] = unique("Written-").into();
            let mut put = json!({ "SecretId": id, "ClientRequestToken": token, "SecretString": value.to_string(),
                                  "VersionStages": ["AWSPENDING"] });
            if let Some(rotation) = event.body["RotationToken"].as_str() {
                put["RotationToken"] = rotation.into();
            }
            ask("PutSecretValue", put)?;
        }
        "setSecret" => {
            let stage = if has("AWSCURRENT") { "AWSCURRENT" } else { "AWSPENDING" };
            service.change(&value_of(&read(stage)?));
        }
        "testSecret" => {
            let stage = if has("AWSCURRENT") { "AWSCURRENT" } else { "AWSPENDING" };
            return Ok(logged_in(service.takes(&value_of(&read(stage)?))));
        }
        "finishSecret" if !has("AWSCURRENT") => {
            let stages = stages.as_object().into_iter().flatten();
            let current =
                |stages: &Value| stages.as_array().is_some_and(|list| list.iter().any(|one| one == "AWSCURRENT"));
            let from = stages.clone().find(|(_, stages)| current(stages)).map(|(version, _)| version.clone());
            ask(
                "UpdateSecretVersionStage",
                json!({ "SecretId": id, "VersionStage": "AWSCURRENT",
                "MoveToVersionId": token, "RemoveFromVersionId": from }),
            )?;
        }
        "createSecret" | "finishSecret" => {}
        other => return Ok(Answer::error(400, "NeedsPerson", &format!("There is no step {other}."))),
    }
    Ok(Answer::done())
}
