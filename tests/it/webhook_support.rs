//! A receiver that behaves as it is told, a desk for it, and single steps of a registered rotator against it. Every error
//! and every note that a test provokes is searched for secrets on its way back.

pub(crate) mod receiver;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use engine::Time;
use engine::id::VersionId;
use engine::outcome::{Done, Made, Proof, StepError};
use engine::port::{Clock, Guard, Known, Material, Rotator, StepContext};
use engine::registration::{Keys, Kind, Lambda, Registration, Settings, SigningKey, Webhook};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use pawl::clock::SystemClock;
use rotators::{CallerSettings, Callers, Credentials, Desk, DeskError, Egress, LambdaRequest, Lookup, Pass, PassOrder};
use serde_json::json;

use crate::harness::unique;
use crate::rotator_support::Holds;

/// How long a call of a test's rotator may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// In every value and key of these tests, so that it can be searched for.
const CANARY: &str = "Canary9";

/// The server's side: one registration, and passes for it.
pub(crate) struct Office {
    pub(crate) registration: Mutex<Option<Arc<Registration>>>,
    /// Requests to Lambda that were signed: the access key and the path.
    pub(crate) signed: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl Desk for Office {
    async fn registration(&self, _: &str) -> Result<Option<Arc<Registration>>, DeskError> {
        Ok(self.registration.lock().expect("no panic in the lock").clone())
    }

    async fn pass(&self, order: &PassOrder<'_>) -> Result<Pass, DeskError> {
        let credentials = order.credentials.then(|| Credentials {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret: SecretBytes::from("Canary9-key"),
            session_token: SecretBytes::from("Canary9-session"),
            expires: SystemClock.now() + order.valid_for,
        });
        Ok(Pass {
            rotation_token: SecretBytes::from("Canary9-rotation-token-0123456789abcdef"),
            endpoint: Some("http://127.0.0.1:7171".to_owned()),
            region: "us-east-1".to_owned(),
            credentials,
        })
    }

    fn sign(&self, request: &LambdaRequest<'_>) -> Vec<(&'static str, String)> {
        let host = request.headers.iter().find(|(name, _)| *name == "host").expect("a host").1;
        let line = (request.access_key_id.to_owned(), format!("{host}{}", request.path));
        self.signed.lock().expect("no panic in the lock").push(line);
        vec![
            ("x-amz-date", "20261122T000000Z".to_owned()),
            ("authorization", "AWS4-HMAC-SHA256 by the test".to_owned()),
        ]
    }

    fn now(&self) -> Time {
        SystemClock.now()
    }
}

/// One registered rotator and one secret of it in the middle of a rotation.
pub(crate) struct Scene {
    pub(crate) office: Arc<Office>,
    pub(crate) callers: Callers,
    pub(crate) run: Run,
    pub(crate) material: Material,
    pub(crate) arn: String,
}

impl Scene {
    /// A managed receiver at this URL.
    pub(crate) fn new(url: &str) -> Self {
        Self::of(webhook(url), CallerSettings::default())
    }

    pub(crate) fn of(kind: Kind, settings: CallerSettings) -> Self {
        let registration = Mutex::new(Some(Arc::new(registration(kind))));
        let office = Arc::new(Office { registration, signed: Mutex::new(vec![]) });
        let callers = Callers::new(settings, Arc::<Office>::clone(&office)).expect("no CA given");
        let value = |password: &str| SecretBytes::from(json!({ "username": "app", "password": password }).to_string());
        let (current, wanted) = (value("Canary9-\"old\""), value("Canary9-new/+=4"));
        let version = |c: &str| VersionId::new(c.repeat(32)).expect("a version id");
        let known = |role: &str, value: &SecretBytes, c| Known {
            role: role.to_owned(),
            value: value.clone(),
            version: Some(version(c)),
        };
        let material = Material {
            known: vec![known("AWSCURRENT", &current, "c"), known("AWSPREVIOUS", &value("Canary9-older"), "p")],
            wanted: Some(wanted),
            current: Some(current),
            current_version: Some(version("c")),
            ..Material::default()
        };
        let run = Run { candidate: 1, ..Run::new(version("t"), String::new(), SystemClock.now()) };
        Self { office, callers, run, material, arn: unique("arn:aws:secretsmanager:us-east-1:0:secret:app-") }
    }

    /// The registration as it is now, changed.
    pub(crate) fn change(&self, how: impl FnOnce(&mut Registration)) {
        let mut held = self.office.registration.lock().expect("no panic in the lock");
        let mut changed = Registration::clone(held.as_ref().expect("registered"));
        how(&mut changed);
        *held = Some(Arc::new(changed));
    }

    pub(crate) fn change_webhook(&self, how: impl FnOnce(&mut Webhook)) {
        self.change(|registration| match &mut registration.settings.kind {
            Kind::Webhook(webhook) => how(webhook),
            Kind::Lambda(_) => panic!("a webhook"),
        });
    }

    pub(crate) fn registered(&self) -> Registration {
        let held = self.office.registration.lock().expect("no panic in the lock");
        Registration::clone(held.as_ref().expect("registered"))
    }

    pub(crate) async fn create(&self) -> Result<Made, StepError> {
        let password = SecretBytes::from("Canary9-generated");
        let made = self.act(Step::Create, &Holds, async |rotator, cx| rotator.create(cx, &password).await).await;
        seen(made.as_ref().map(|made| &made.done));
        made
    }

    pub(crate) async fn set(&self) -> Result<Done, StepError> {
        self.step(Step::Set).await
    }

    pub(crate) async fn test(&self) -> Result<Done, StepError> {
        self.step(Step::Test).await
    }

    pub(crate) async fn prove(&self) -> Result<Proof, StepError> {
        let proof = self.act(Step::Prove, &Holds, async |rotator, cx| rotator.prove(cx).await).await;
        seen(proof.as_ref());
        proof
    }

    pub(crate) async fn step(&self, step: Step) -> Result<Done, StepError> {
        self.step_under(step, &Holds).await
    }

    pub(crate) async fn step_under(&self, step: Step, guard: &dyn Guard) -> Result<Done, StepError> {
        let ended = self.act(step, guard, async |rotator, cx| match step {
            Step::Set | Step::Restore => rotator.set(cx).await,
            Step::Test => rotator.test(cx).await,
            Step::Finish => rotator.finish(cx).await,
            Step::Retire => rotator.retire(cx).await,
            Step::Revoke => rotator.revoke(cx).await,
            Step::Create | Step::Prove => panic!("has a method of its own"),
        });
        let ended = ended.await;
        seen(ended.as_ref());
        ended
    }

    async fn act<T>(
        &self,
        step: Step,
        guard: &dyn Guard,
        act: impl AsyncFnOnce(&dyn Rotator, &StepContext<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let rotator = self.callers.rotator(&self.registered());
        let cx = StepContext {
            arn: &self.arn,
            step,
            run: &self.run,
            material: &self.material,
            attempted: false,
            login_budget: 10,
            deadline: rotator.patience(),
            guard,
            scramble: &SecretBytes::from("Canary-scramble"),
            hold: false,
        };
        act(rotator.as_ref(), &cx).await
    }
}

/// No secret in what a rotator reports.
fn seen(ended: Result<&(impl std::fmt::Debug + ?Sized), &StepError>) {
    let text = format!("{ended:?}");
    for (spelling, form) in
        [(CANARY, "plain"), ("Q2FuYXJ5O", "Base64"), ("43616e61727939", "hex"), ("%43anary", "escaped")]
    {
        assert!(!text.contains(spelling), "a secret in {form} form: {text}");
    }
}

/// How long something took, on the clock that counts suspend.
pub(crate) async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let began = SystemClock.since_boot();
    let ended = what.await;
    (ended, SystemClock.since_boot().saturating_sub(began))
}

/// All of them at once, in this task.
pub(crate) async fn join_all<T>(calls: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut calls: Vec<_> = calls.into_iter().map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(|cx| {
        for (call, ended) in calls.iter_mut().filter(|(_, ended)| ended.is_none()) {
            if let std::task::Poll::Ready(result) = call.as_mut().poll(cx) {
                *ended = Some(result);
            }
        }
        match calls.iter().all(|(_, ended)| ended.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    calls.into_iter().filter_map(|(_, ended)| ended).collect()
}

pub(crate) fn webhook(url: &str) -> Kind {
    Kind::Webhook(Webhook::managed(url))
}

pub(crate) fn function(endpoint: &str) -> Kind {
    Kind::Lambda(Lambda {
        endpoint: endpoint.to_owned(),
        function: "function".to_owned(),
        region: None,
        access_key_id: None,
    })
}

pub(crate) fn signing_key(text: &str) -> SigningKey {
    SigningKey { secret: SecretBytes::from(text), created: SystemClock.now(), expires: None }
}

fn registration(kind: Kind) -> Registration {
    let timeout_seconds = TIMEOUT.as_secs();
    let settings = Settings { kind, timeout_seconds, concurrency: 16, ca: None, client_certificate: None };
    let keys = Keys { signing: vec![signing_key("Canary9-signing-key-of-32-bytes!")], ..Keys::default() };
    let now = SystemClock.now();
    Registration { name: "hook".to_owned(), settings, keys, disabled: false, created: now, changed: now }
}

/// A server's settings with this policy, and this answer to every name.
pub(crate) fn with_policy(entries: &[&str], lookup: Arc<dyn Lookup>) -> CallerSettings {
    CallerSettings { egress: Egress::parse(entries).expect("a policy"), lookup, ..CallerSettings::default() }
}
