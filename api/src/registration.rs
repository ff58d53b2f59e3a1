//! What an operator says about a rotator, made into a registration: new, or what is there with changes. What contradicts
//! itself is refused with a sentence.
//!
//! Never here: whether the rotator can be called ([`crate::workbench`]), where it is kept.

mod shown;

use std::time::Duration;

use axum::http::Uri;
use engine::registration::{
    CONCURRENCY, GRACE, Keys, Kind, LAMBDA_TIMEOUT, LONGEST_NAME, LONGEST_TIMEOUT, Lambda, MOST_CONCURRENCY, Mode,
    Registration, Settings, WEBHOOK_TIMEOUT, Webhook,
};
use engine::span;

pub(crate) use self::shown::{Details, Entry, spelled};
use crate::error::ApiError;
use crate::members::{Between, Items, Length, Matching, OneOf, Required, members};
use crate::op::Cx;
use crate::wire::Text;

/// The steps that a receiver may take beside the four.
const STEPS: [&str; 3] = ["check", "retire", "revoke"];
/// Certificates of a few authorities.
const LONGEST_PEM: usize = 65_536;
/// Nobody waits longer for the end of an old credential, or of an old key.
const LONGEST_SPAN: Duration = Duration::from_secs(30 * 24 * 3600);
/// What the runtime interface emulator calls the one function it has.
const EMULATED: &str = "function";

/// The name of a registered rotator.
pub(crate) const NAME: Matching =
    Matching("[A-Za-z0-9_-]+", |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
/// A function's name or ARN.
const FUNCTION: Matching = Matching("[A-Za-z0-9:_$.-]+", |text| {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_$.-".contains(&byte))
});
/// A region, an access key's id; or nothing.
const WORD: Matching =
    Matching("[\\w-]*", |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));

members! {
    /// The members of CreateRotator and UpdateRotator. An empty text takes a setting away.
    pub(crate) struct Said {
        pub(crate) name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
        kind "Kind": String [OneOf(&["webhook", "lambda"])],
        url "Url": String [Length(1..=2048)],
        mode "Mode": String [OneOf(&["managed", "callback"])],
        issues "Issues": bool [],
        password_key "PasswordKey": String [Length(0..=256)],
        credentials "Credentials": bool [],
        steps "Steps": Vec<String> [Items(0..=3, 1..=16)],
        grace "Grace": String [Length(1..=16)],
        endpoint "Endpoint": String [Length(1..=2048)],
        function "Function": String [Length(1..=256), FUNCTION],
        region "Region": String [Length(0..=64), WORD],
        access_key_id "AccessKeyId": String [Length(0..=128), WORD],
        secret_access_key "SecretAccessKey": Text [Length(0..=256)],
        timeout_seconds "TimeoutSeconds": i64 [Between(1..=seconds(LONGEST_TIMEOUT))],
        concurrency "Concurrency": i64 [Between(1..=MOST_CONCURRENCY as i64)],
        // Not repeated where it is too long.
        ca_pem "CaPem": String [],
        client_certificate_pem "ClientCertificatePem": String [],
        client_key_pem "ClientKeyPem": Text [Length(0..=LONGEST_PEM)],
        pub(crate) enabled "Enabled": bool [],
    }
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

/// A length of time as people write it: `90s`, `75m`, `24h`, `2d`, or a number of seconds.
pub(crate) fn span_of(member: &str, text: &str) -> Result<Duration, ApiError> {
    span::parse(text).filter(|length| *length <= LONGEST_SPAN).ok_or_else(|| {
        ApiError::invalid_parameter(format!(
            "{member} is a length of time of at most 30 days: a number of seconds, or a number with s, m, h or d such as \
             75m."
        ))
    })
}

/// Refuses the name of a rotator that is built in, or of an engine that one serves.
pub(crate) fn not_built_in(cx: &Cx<'_>, name: &str) -> Result<(), ApiError> {
    if (cx.state.builtin)(name) {
        return Err(ApiError::invalid_parameter(format!("{name} is a rotator that is built in: choose another name.")));
    }
    Ok(())
}

impl Said {
    /// Nothing is said but that it is not to be called: that is carried out whatever else is wrong.
    pub(crate) fn only_disables(&self) -> bool {
        self.enabled == Some(false) && !self.says_settings()
    }

    /// Something is said about how it is called, or with what.
    pub(crate) fn says_settings(&self) -> bool {
        self.of_webhooks().into_iter().chain(self.of_functions()).any(|(_, given)| given)
            || self.kind.is_some()
            || self.timeout_seconds.is_some()
            || self.concurrency.is_some()
            || self.ca_pem.is_some()
            || self.client_certificate_pem.is_some()
            || self.client_key_pem.is_some()
    }

    fn of_webhooks(&self) -> [(&'static str, bool); 7] {
        [
            ("Url", self.url.is_some()),
            ("Mode", self.mode.is_some()),
            ("Issues", self.issues.is_some()),
            ("PasswordKey", self.password_key.is_some()),
            ("Credentials", self.credentials.is_some()),
            ("Steps", self.steps.is_some()),
            ("Grace", self.grace.is_some()),
        ]
    }

    fn of_functions(&self) -> [(&'static str, bool); 5] {
        [
            ("Endpoint", self.endpoint.is_some()),
            ("Function", self.function.is_some()),
            ("Region", self.region.is_some()),
            ("AccessKeyId", self.access_key_id.is_some()),
            ("SecretAccessKey", self.secret_access_key.is_some()),
        ]
    }

    /// A new rotator. Its signing key is not among the keys.
    pub(crate) fn create(self) -> Result<(Settings, Keys), ApiError> {
        let (kind, timeout) = match self.kind.as_deref() {
            Some("webhook") => (Kind::Webhook(new_webhook(self.url.as_deref())?), WEBHOOK_TIMEOUT),
            Some("lambda") => (Kind::Lambda(new_function(self.endpoint.as_deref())?), LAMBDA_TIMEOUT),
            _ => return Err(ApiError::invalid_parameter("Kind is needed: webhook or lambda.")),
        };
        let settings = Settings {
            kind,
            timeout_seconds: timeout.as_secs(),
            concurrency: CONCURRENCY,
            ca: None,
            client_certificate: None,
        };
        self.applied(settings, Keys::default())
    }

    /// A rotator that is there, with what is said changed.
    pub(crate) fn update(self, there: &Registration) -> Result<(Settings, Keys), ApiError> {
        if self.kind.as_deref().is_some_and(|kind| kind != there.settings.kind_name()) {
            return Err(ApiError::invalid_parameter(
                "A rotator keeps its kind: register another one under another name.",
            ));
        }
        self.applied(there.settings.clone(), there.keys.clone())
    }

    fn applied(mut self, mut settings: Settings, mut keys: Keys) -> Result<(Settings, Keys), ApiError> {
        let (foreign, of) = match &settings.kind {
            Kind::Webhook(_) => (self.of_functions().to_vec(), "Lambda functions, and this is a webhook"),
            Kind::Lambda(_) => (self.of_webhooks().to_vec(), "webhooks, and this is a Lambda function"),
        };
        if let Some((member, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(ApiError::invalid_parameter(format!("{member} is for {of}: leave it out.")));
        }
        settings.timeout_seconds =
            self.timeout_seconds.and_then(|said| u64::try_from(said).ok()).unwrap_or(settings.timeout_seconds);
        settings.concurrency =
            self.concurrency.and_then(|said| u32::try_from(said).ok()).unwrap_or(settings.concurrency);
        self.apply_certificates(&mut settings, &mut keys)?;
        match &mut settings.kind {
            Kind::Webhook(webhook) => self.apply_to_webhook(webhook)?,
            Kind::Lambda(function) => self.apply_to_function(function, &mut keys)?,
        }
        Ok((settings, keys))
    }

    fn apply_certificates(&mut self, settings: &mut Settings, keys: &mut Keys) -> Result<(), ApiError> {
        settings.ca = pem("CaPem", self.ca_pem.take(), settings.ca.take())?;
        let (certificate, key) = (self.client_certificate_pem.take(), self.client_key_pem.take());
        let removed = certificate.as_deref() == Some("");
        settings.client_certificate = pem("ClientCertificatePem", certificate, settings.client_certificate.take())?;
        keys.client_key = match key {
            Some(key) if key.len() == 0 => None,
            Some(key) => Some(key.into_secret()),
            None => keys.client_key.take().filter(|_| !removed),
        };
        if settings.client_certificate.is_some() != keys.client_key.is_some() {
            return Err(ApiError::invalid_parameter(
                "A client certificate and its private key go together: give ClientCertificatePem and ClientKeyPem.",
            ));
        }
        Ok(())
    }

    fn apply_to_webhook(&mut self, webhook: &mut Webhook) -> Result<(), ApiError> {
        let had_splice = webhook.mode == Mode::Managed && !webhook.issues;
        if let Some(url) = self.url.take() {
            webhook.url = url_of("Url", url)?;
        }
        webhook.mode = match self.mode.as_deref() {
            None => webhook.mode,
            Some("callback") => Mode::Callback,
            Some(_) => Mode::Managed,
        };
        webhook.issues = self.issues.unwrap_or(webhook.issues);
        webhook.credentials = self.credentials.unwrap_or(webhook.credentials);
        let splices = webhook.mode == Mode::Managed && !webhook.issues;
        webhook.password_key = match self.password_key.take() {
            Some(_) if !splices => {
                return Err(ApiError::invalid_parameter(
                    "PasswordKey says where Pawl puts the password it makes: leave it out for a receiver that makes the \
                     value itself (Issues, or Mode callback).",
                ));
            }
            Some(key) => Some(key).filter(|key| !key.is_empty()),
            None if !splices => None,
            None if had_splice => webhook.password_key.take(),
            None => Some("password".to_owned()),
        };
        self.apply_steps(webhook)?;
        not_contradictory(webhook)
    }

    fn apply_steps(&mut self, webhook: &mut Webhook) -> Result<(), ApiError> {
        if let Some(steps) = self.steps.take() {
            if let Some(unknown) = steps.iter().find(|step| !STEPS.contains(&step.as_str())) {
                return Err(ApiError::invalid_parameter(format!(
                    "{unknown} is no step that can be declared: Steps may name check, retire and revoke. The four steps of \
                     a rotation are always sent."
                )));
            }
            let takes = |step: &str| steps.iter().any(|given| given == step);
            webhook.checks = takes("check");
            webhook.revokes = takes("revoke");
            webhook.retires_after = takes("retire").then(|| webhook.retires_after.unwrap_or(GRACE.as_secs()));
        }
        if let Some(grace) = self.grace.take() {
            if webhook.retires_after.is_none() {
                return Err(ApiError::invalid_parameter(
                    "Grace says when the step retire is sent: name retire in Steps too.",
                ));
            }
            webhook.retires_after = Some(span_of("Grace", &grace)?.as_secs());
        }
        Ok(())
    }

    fn apply_to_function(&mut self, function: &mut Lambda, keys: &mut Keys) -> Result<(), ApiError> {
        if let Some(endpoint) = self.endpoint.take() {
            function.endpoint = url_of("Endpoint", endpoint)?;
        }
        function.function = self.function.take().unwrap_or(std::mem::take(&mut function.function));
        let word = |said: Option<String>, there: Option<String>| said.or(there).filter(|word| !word.is_empty());
        function.region = word(self.region.take(), function.region.take());
        let before = function.access_key_id.take();
        function.access_key_id = word(self.access_key_id.take(), before.clone());
        let said = self.secret_access_key.take().map(Text::into_secret);
        let other = before.is_some() && function.access_key_id.is_some() && function.access_key_id != before;
        if other && said.is_none() {
            return Err(ApiError::invalid_parameter(
                "Another AccessKeyId has another secret half: give its SecretAccessKey too (--secret-access-key-file, or \
                 PAWL_LAMBDA_SECRET_ACCESS_KEY).",
            ));
        }
        keys.access_key_secret = said.or(keys.access_key_secret.take()).filter(|secret| !secret.expose().is_empty());
        let given = [function.region.is_some(), function.access_key_id.is_some(), keys.access_key_secret.is_some()];
        if given != [true; 3] && given != [false; 3] {
            return Err(ApiError::invalid_parameter(
                "A signature needs Region, AccessKeyId and SecretAccessKey together: leave all three out for the runtime \
                 interface emulator, which takes unsigned requests.",
            ));
        }
        Ok(())
    }
}

fn new_webhook(url: Option<&str>) -> Result<Webhook, ApiError> {
    let url = url.ok_or_else(|| ApiError::invalid_parameter("A webhook needs Url: where its events are posted."))?;
    Ok(Webhook::managed(url))
}

fn new_function(endpoint: Option<&str>) -> Result<Lambda, ApiError> {
    let endpoint = endpoint
        .ok_or_else(|| ApiError::invalid_parameter("A function needs Endpoint: where its Invoke API is called."))?;
    Ok(Lambda { endpoint: endpoint.to_owned(), function: EMULATED.to_owned(), region: None, access_key_id: None })
}

fn not_contradictory(webhook: &Webhook) -> Result<(), ApiError> {
    let callback = webhook.mode == Mode::Callback;
    let problem = if webhook.issues && callback {
        "A receiver that issues credentials gives them back in its answer, so its Mode is managed: leave Issues out, or \
         choose Mode managed."
    } else if webhook.credentials && !callback {
        "Credentials are for receivers that call back: choose Mode callback, or leave Credentials out."
    } else if webhook.revokes && !webhook.issues {
        "The step revoke ends credentials that the receiver issued: give Issues too, or leave revoke out of Steps."
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_parameter(problem))
}

/// A URL of ours to call. Whoever may see the registration may see it, so it carries no password.
fn url_of(member: &str, text: String) -> Result<String, ApiError> {
    let refused = |why: &str| Err(ApiError::invalid_parameter(format!("{member} {why}.")));
    let Ok(url) = text.parse::<Uri>() else {
        return refused("is no URL such as https://rotator.example/pawl");
    };
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            refused("must hold no user or password: who sees the rotator sees its URL")
        }
        (Some("http" | "https"), Some(_)) if text.contains('#') => refused("must have no fragment"),
        (Some("http" | "https"), Some(_)) => Ok(text),
        _ => refused("must begin with https:// (or http://, where this server allows that)"),
    }
}

/// What is said, or else what is there; an empty text is none.
fn pem(member: &str, said: Option<String>, there: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(said) = said else { return Ok(there) };
    if !said.is_empty() && (!said.contains("-----BEGIN CERTIFICATE-----") || said.len() > LONGEST_PEM) {
        return Err(ApiError::invalid_parameter(format!(
            "{member} is not text with certificates (-----BEGIN CERTIFICATE-----) of at most {LONGEST_PEM} bytes."
        )));
    }
    Ok(Some(said).filter(|said| !said.is_empty()))
}

/// Whether it can be called at all, as far as that is known without calling it.
pub(crate) async fn accepted(cx: &Cx<'_>, registration: &Registration) -> Result<(), ApiError> {
    match &cx.state.workbench {
        Some(workbench) => workbench.accepts(registration).await.map_err(ApiError::invalid_parameter),
        None => Ok(()),
    }
}
