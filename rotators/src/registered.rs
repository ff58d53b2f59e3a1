//! Owns the rotators that operators register: who makes their calls, and the port by which a driver asks for them.
//! The registration is read anew before each call, so that a key that was changed in the middle of a rotation signs from
//! the next call on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::id::VersionId;
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Rotator, StepContext};
use engine::registration::{Kind, Registration};
use engine::secret::SecretBytes;
use url::Url;

use crate::breaker::{BreakerState, Breakers};
use crate::call::{MARGIN, Shared};
use crate::delivery::Clients;
use crate::desk::Desk;
use crate::egress::{Egress, Lookup, SystemLookup};
use crate::lambda::{Function, function_url};
use crate::tls::{BadPem, Trust};
use crate::webhook::{Observed, Probe, Receiver};

/// The longest URL that may be registered.
const LONGEST_URL: usize = 2048;

/// What the operator decides for all registered rotators.
#[derive(Clone)]
pub struct CallerSettings {
    /// Where they may be.
    pub egress: Egress,
    /// Certificates to trust beside the system's (`--target-ca`), PEM.
    pub target_ca: Option<Vec<u8>>,
    /// What answers for their names.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for CallerSettings {
    fn default() -> Self {
        Self { egress: Egress::default(), target_ca: None, lookup: Arc::new(SystemLookup) }
    }
}

/// Calls registered rotators. One for a server: connections and circuit breakers are in it. A clone is the same one.
#[derive(Clone)]
pub struct Callers(pub(crate) Arc<Shared>);

impl Callers {
    /// With a server's settings, and its desk.
    ///
    /// # Errors
    /// [`BadPem`] where `target_ca` holds no certificate.
    pub fn new(settings: CallerSettings, desk: Arc<dyn Desk>) -> Result<Self, BadPem> {
        let trust = Trust::new(settings.target_ca.as_deref())?;
        let clients = Clients::new(settings.egress, settings.lookup, trust);
        Ok(Self(Arc::new(Shared { clients, breakers: Breakers::default(), desk })))
    }

    /// The rotator of this registration, for one drive.
    #[must_use]
    pub fn rotator(&self, registration: &Registration) -> Box<dyn Rotator> {
        Box::new(Registered {
            shared: Arc::clone(&self.0),
            name: registration.name.clone(),
            patience: registration.settings.timeout() + MARGIN,
        })
    }

    /// Could this be called, as far as can be said without calling it?
    ///
    /// # Errors
    /// Why not, and what to do, in a sentence or two.
    pub fn accepts(&self, registration: &Registration) -> Result<(), String> {
        let url = match &registration.settings.kind {
            Kind::Webhook(webhook) => registered_url(&webhook.url)?,
            Kind::Lambda(lambda) => {
                let base = registered_url(&lambda.endpoint)?;
                if base.query().is_some() {
                    return Err("An endpoint has no query: give the base URL of the Lambda API.".to_owned());
                }
                if lambda.function.is_empty() {
                    return Err("Name the function (`function` for the runtime interface emulator).".to_owned());
                }
                function_url(registration, lambda).map_err(|error| error.message)?
            }
        };
        self.0.clients.accepts(registration, &url).map_err(|error| format!("{} {}", error.message, error.remedy))
    }

    /// The step `check` of one secret: can the receiver do its work there?
    ///
    /// # Errors
    /// By verdict, as of a step; NeedsPerson with the code `no-check` where the rotator does not take that step.
    pub async fn check(
        &self,
        registration: &Registration,
        arn: &str,
        token: &VersionId,
        current: Option<&SecretBytes>,
    ) -> Result<Done, StepError> {
        let registration = self.0.registration(&registration.name).await?;
        match &registration.settings.kind {
            Kind::Webhook(webhook) => {
                let receiver = Receiver { shared: &self.0, registration: &registration, webhook };
                receiver.check(arn, token, current).await
            }
            Kind::Lambda(_) => Err(StepError::new(
                Verdict::NeedsPerson,
                "no-check",
                format!("The rotator {} is a rotation function: those have no step check.", registration.name),
            )
            .remedy("Test its configuration with RotateSecret and RotateImmediately=false.")),
        }
    }

    /// One delivery of the conformance run, by this registration as it is given (its keys, its URL). None where it is no
    /// webhook: AWS's contract has nothing to bend.
    pub async fn probe(&self, registration: &Registration, probe: Probe<'_>) -> Option<Observed> {
        match &registration.settings.kind {
            Kind::Webhook(webhook) => {
                let receiver = Receiver { shared: &self.0, registration, webhook };
                Some(receiver.probe(&probe).await)
            }
            Kind::Lambda(_) => None,
        }
    }

    /// How this rotator's calls have been going, for people and metrics.
    #[must_use]
    pub fn breaker(&self, name: &str) -> BreakerState {
        self.0.breakers.state(name)
    }
}

/// A URL that may be kept: one that any HTTP client reads, without a login in it.
pub(crate) fn registered_url(text: &str) -> Result<Url, String> {
    if text.len() > LONGEST_URL {
        return Err(format!("The URL is longer than {LONGEST_URL} characters."));
    }
    let url = Url::parse(text).map_err(|error| format!("The URL cannot be read: {error}."))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("The URL holds a user name or password: events are signed, so take it out.".to_owned());
    }
    if url.fragment().is_some() {
        return Err("The URL has a fragment (#…), which no server would see: take it out.".to_owned());
    }
    Ok(url)
}

/// A registered rotator as a driver sees it.
struct Registered {
    shared: Arc<Shared>,
    name: String,
    patience: Duration,
}

/// How a registration is called.
enum Way<'a> {
    Webhook(Receiver<'a>),
    Lambda(Function<'a>),
}

impl Registered {
    async fn now(&self) -> Result<Arc<Registration>, StepError> {
        self.shared.registration(&self.name).await
    }

    fn way<'a>(&'a self, registration: &'a Registration) -> Way<'a> {
        let shared = self.shared.as_ref();
        match &registration.settings.kind {
            Kind::Webhook(webhook) => Way::Webhook(Receiver { shared, registration, webhook }),
            Kind::Lambda(lambda) => Way::Lambda(Function { shared, registration, lambda }),
        }
    }
}

#[async_trait]
impl Rotator for Registered {
    fn name(&self) -> &str {
        &self.name
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.create(cx, password).await,
            Way::Lambda(function) => function.create(cx).await,
        }
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.set(cx).await,
            Way::Lambda(function) => function.set(cx).await,
        }
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.test(cx).await,
            Way::Lambda(function) => function.test(cx).await,
        }
    }

    async fn finish(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.finish(cx).await,
            Way::Lambda(function) => function.finish(cx).await,
        }
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.prove(cx).await,
            Way::Lambda(function) => function.prove(cx).await,
        }
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.retire(cx).await,
            Way::Lambda(_) => Err(not_asked(&self.name)),
        }
    }

    async fn revoke(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.way(self.now().await?.as_ref()) {
            Way::Webhook(webhook) => webhook.revoke(cx).await,
            Way::Lambda(_) => Err(not_asked(&self.name)),
        }
    }
}

/// The machine asks a function for neither; only a registration that became another kind meanwhile comes here.
fn not_asked(name: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "no-step",
        format!("The rotator {name} is a rotation function now, and has no such step."),
    )
    .remedy("End the old credential by hand, then abandon this rotation.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{NoDesk, function, registration, webhook};

    fn callers(egress: &[&str]) -> Callers {
        let egress = Egress::parse(egress).expect("a policy");
        Callers::new(CallerSettings { egress, ..CallerSettings::default() }, Arc::new(NoDesk)).expect("no CA given")
    }

    #[test]
    fn a_registration_is_accepted_where_it_could_be_called() {
        let callers = callers(&["hooks.internal", "10.0.0.0/8"]);
        for kind in [
            webhook("https://hooks.example/rotate?team=a"),
            webhook("http://localhost:9000/"),
            webhook("http://hooks.internal/"),
            webhook("https://10.1.2.3/"),
            function("http://127.0.0.1:9000", "function"),
            function("https://lambda.eu-west-1.amazonaws.com", "arn:aws:lambda:eu-west-1:1:function:f"),
        ] {
            let asked = registration(kind);
            callers.accepts(&asked).unwrap_or_else(|error| panic!("{:?}: {error}", asked.settings.kind));
        }
    }

    #[test]
    fn a_registration_that_could_not_be_called_is_refused_with_the_reason() {
        let callers = callers(&[]);
        let long = format!("https://hooks.example/{}", "x".repeat(LONGEST_URL));
        for (kind, says) in [
            (webhook("hooks.example"), "cannot be read"),
            (webhook("http://hooks.example/"), "https is required"),
            (webhook("ftp://hooks.example/"), "not https"),
            (webhook("https://169.254.169.254/latest"), "metadata"),
            (webhook("https://0x0a000001/"), "private"),
            (webhook("https://user:pw@hooks.example/"), "user name"),
            (webhook("https://hooks.example/#x"), "fragment"),
            (webhook(&long), "longer"),
            (function("http://lambda.example", "f"), "https is required"),
            (function("https://lambda.example", ""), "Name the function"),
            (function("https://lambda.example?x", "f"), "query"),
        ] {
            let asked = registration(kind);
            let error = callers.accepts(&asked).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn certificates_that_cannot_be_used_are_refused_before_anything_is_called() {
        type Break = fn(&mut Registration);
        let cases: [(&str, Break); 5] = [
            ("ca holds no", |r| r.settings.ca = Some("no PEM".to_owned())),
            ("without its key", |r| r.settings.client_certificate = Some("x".to_owned())),
            ("without its certificate", |r| r.keys.client_key = Some(SecretBytes::from("canary-91"))),
            ("holds no certificate", |r| {
                r.settings.client_certificate = Some("x".to_owned());
                r.keys.client_key = Some(SecretBytes::from("canary-91"));
            }),
            ("ca holds a certificate that", |r| {
                r.settings.ca = Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned());
            }),
        ];
        for (says, break_it) in cases {
            let mut asked = registration(webhook("https://hooks.example/"));
            break_it(&mut asked);
            let error = callers(&[]).accepts(&asked).expect_err(says);
            assert!(error.contains(says) && !error.contains("canary"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_rotator_that_was_removed_says_so() {
        let callers = callers(&[]);
        let token = VersionId::new("t".repeat(32)).expect("a version id");
        let gone = callers.check(&registration(webhook("https://h.example")), "arn", &token, None).await;
        assert_eq!(gone.expect_err("not registered").code, "no-rotator");
    }
}
