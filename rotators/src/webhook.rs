//! Rotates by a receiver of our webhook contract: each step is an event that is posted to it, and its answer is the
//! verdict. In managed mode the event carries the values; in callback mode the receiver reads and writes them itself.
//!
//! Never here: the receiver's target. What it does is believed only as far as its answers keep to the contract.

mod answer;
mod event;
mod probe;
pub(crate) mod signature;

use engine::id::VersionId;
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Known, StepContext};
use engine::registration::{Mode, Registration, Webhook};
use engine::rotation::Step;
use engine::secret::SecretBytes;
use url::Url;
use zeroize::Zeroizing;

pub use self::answer::ErrorKind;
use self::answer::{Judge, Said, Success};
pub(crate) use self::event::Event;
use self::event::{Occasion, VERSION};
pub use self::probe::{Bend, Heard, Observed, Probe};
use self::signature::signatures;
use crate::call::{Call, Impression, Shared, called};
use crate::delivery::{Answer, Parcel, timeout_seconds};
use crate::desk::{Pass, PassOrder};
use crate::redact::{self, Redactor};
use crate::splice;

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 64 << 10;

/// A receiver.
#[derive(Clone, Copy)]
pub(crate) struct Receiver<'a> {
    pub shared: &'a Shared,
    pub registration: &'a Registration,
    pub webhook: &'a Webhook,
}

impl<'a> Receiver<'a> {
    pub(crate) async fn create(&self, cx: &StepContext<'a>, password: &SecretBytes) -> Result<Made, StepError> {
        if self.webhook.mode == Mode::Managed && !self.webhook.issues {
            return self.generate(cx.material.current.as_ref(), password);
        }
        let event = match self.webhook.mode {
            Mode::Managed => {
                let number = self.issue(cx);
                let tag = Some(format!("{}-{number}", cx.run.token));
                Event {
                    about: number.to_string(),
                    tag,
                    current: cx.material.current.as_ref(),
                    ..self.event(cx, "createSecret")
                }
            }
            // Whatever is written there stays, so that it is the same thing however often it is asked.
            Mode::Callback => Event { about: String::new(), ..self.event(cx, "createSecret") },
        };
        let call = Call { changing: self.webhook.issues, ..Call::of_step(self.shared, self.registration, cx) };
        let Success { value, note } = self.deliver(&call, &event, &cx.run.token).await?;
        Ok(Made { value, done: done(note) })
    }

    pub(crate) async fn set(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        let event = match cx.step {
            Step::Restore => self.restoring(cx, "setSecret")?,
            _ => self.event(cx, "setSecret"),
        };
        self.step(cx, event).await
    }

    pub(crate) async fn test(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        self.step(cx, self.event(cx, "testSecret")).await
    }

    pub(crate) async fn finish(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        self.step(cx, self.event(cx, "finishSecret")).await
    }

    /// The receiver is asked to log in with AWSCURRENT. It has answered every earlier event itself, or that event's
    /// deadline is over and it does not act any more, so nothing can still land.
    pub(crate) async fn prove(&self, cx: &StepContext<'a>) -> Result<Proof, StepError> {
        match self.step(cx, self.restoring(cx, "testSecret")?).await {
            Ok(_) => Ok(Proof::CurrentLogsIn),
            Err(error) if error.verdict == Verdict::Rejected => Ok(Proof::CanRestore { held: None }),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn retire(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        let about = cx.run.retiring.as_ref().map(VersionId::to_string).unwrap_or_default();
        let common = Event { about, ..self.event(cx, "retire") };
        let event = match self.webhook.mode {
            Mode::Callback => Event { retired_version: cx.run.retiring.as_ref(), ..common },
            Mode::Managed => {
                let Some(retired) = cx.material.known.first() else {
                    // It is AWSCURRENT's value again, or was removed with its version.
                    return Ok(done(
                        "the old value is not kept beside AWSCURRENT's, so nothing was retired".to_owned(),
                    ));
                };
                Event { current: cx.material.wanted.as_ref(), retired: Some(&retired.value), ..common }
            }
        };
        self.step(cx, event).await
    }

    pub(crate) async fn revoke(&self, cx: &StepContext<'a>) -> Result<Done, StepError> {
        let tags: Vec<_> = cx.run.orphans().map(|n| format!("{}-{n}", cx.run.token)).collect();
        let current = cx.material.wanted.as_ref().filter(|_| self.managed());
        let event = Event { about: tags.join(" "), tags: Some(tags), current, ..self.event(cx, "revoke") };
        self.step(cx, event).await
    }

    /// The preflight: can the receiver reach its target, may it change the account?
    pub(crate) async fn check(
        &self,
        arn: &'a str,
        token: &'a VersionId,
        current: Option<&'a SecretBytes>,
    ) -> Result<Done, StepError> {
        if !self.webhook.checks {
            return Err(no_check(&self.registration.name));
        }
        let known = current.into_iter().collect();
        let current = current.filter(|_| self.managed());
        let event = Event { step: "check", arn, token: token.as_str(), attempt: 1, current, known, ..Event::default() };
        let budget = self.registration.settings.timeout();
        let call = Call {
            shared: self.shared,
            registration: self.registration,
            budget,
            guard: None,
            changing: false,
            writes: false,
        };
        Ok(done(self.deliver(&call, &event, token).await?.note))
    }

    fn managed(&self) -> bool {
        self.webhook.mode == Mode::Managed
    }

    /// The new value of a secret whose values Pawl makes.
    fn generate(&self, current: Option<&SecretBytes>, password: &SecretBytes) -> Result<Made, StepError> {
        let Some(key) = &self.webhook.password_key else {
            return Ok(password.clone().into());
        };
        let current = current.ok_or_else(crate::no_current)?;
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(current.expose()).is_ok();
        let spliced = || splice::replace(current.expose_str()?, key, password.expose_str()?);
        match spliced().filter(|_| is_json) {
            Some(value) => Ok(SecretBytes::from(value.as_str()).into()),
            None => Err(no_key(key)),
        }
    }

    /// The number of the credential that createSecret asks for. A receiver that cannot revoke is asked for the same one
    /// again until it is stored; one that can has ended every earlier one by now.
    fn issue(&self, cx: &StepContext<'_>) -> u32 {
        if self.webhook.revokes { cx.run.issued } else { cx.run.candidate + 1 }
    }

    /// The event of a step on the way forward.
    fn event(&self, cx: &StepContext<'a>, step: &'static str) -> Event<'a> {
        let material = cx.material;
        let common = Event {
            step,
            arn: cx.arn,
            token: cx.run.token.as_str(),
            about: cx.run.candidate.to_string(),
            attempt: cx.run.attempt.saturating_add(1),
            known: redact::values(material).collect(),
            ..Event::default()
        };
        if !matches!(cx.step, Step::Set | Step::Test | Step::Finish | Step::Prove | Step::Restore) {
            return common;
        }
        let known = material.known.iter();
        match self.webhook.mode {
            Mode::Managed => {
                let current = material.current.as_ref();
                let is_current =
                    |known: &&Known| current.is_some_and(|current| current.expose() == known.value.expose());
                let others = known.filter(|known| !is_current(known)).map(|known| &known.value).collect();
                Event { current, pending: material.wanted.as_ref(), others: Some(others), ..common }
            }
            Mode::Callback => {
                let own = [Some(&cx.run.token), material.current_version.as_ref()];
                let versions = known.filter_map(|known| known.version.as_ref());
                let others = versions.filter(|version| !own.contains(&Some(*version))).collect();
                Event { other_versions: Some(others), ..common }
            }
        }
    }

    /// The event of a step on the way back: AWSCURRENT's value is to work again, or is asked about.
    fn restoring(&self, cx: &StepContext<'a>, step: &'static str) -> Result<Event<'a>, StepError> {
        let material = cx.material;
        let (Some(version), Some(_)) = (&material.current_version, &material.wanted) else {
            return Err(no_way_back());
        };
        let common = self.event(cx, step);
        let about = format!("{} restoring {} {version}", common.about, cx.run.restores);
        let event = Event { about, restoring: true, ..common };
        Ok(match self.webhook.mode {
            Mode::Managed => event,
            Mode::Callback => {
                // The candidate is the first that may be live beside it; the token's version shows it.
                let others = material.known.iter().filter_map(|known| known.version.as_ref());
                let others = others.filter(|other| *other != version).collect();
                Event { token: version.as_str(), other_versions: Some(others), ..event }
            }
        })
    }

    async fn step(&self, cx: &StepContext<'a>, event: Event<'a>) -> Result<Done, StepError> {
        let call = Call::of_step(self.shared, self.registration, cx);
        Ok(done(self.deliver(&call, &event, &cx.run.token).await?.note))
    }

    /// One delivery and its verdict.
    async fn deliver(&self, call: &Call<'_>, event: &Event<'_>, token: &VersionId) -> Result<Success, StepError> {
        let issues = event.step == "createSecret" && self.webhook.issues && self.managed();
        let url = self.url()?;
        let who = called(self.registration, &url);
        let deadline = call.deadline();
        let order = PassOrder {
            arn: event.arn,
            token,
            valid_for: call.budget,
            credentials: self.webhook.credentials && !self.managed(),
            check: event.step == "check",
        };
        // What may not be repeated besides the values: it goes out with the event.
        let mut passed: Vec<SecretBytes> = vec![];
        let pack = |pass: &Pass| {
            passed = secrets_of(pass);
            let at = Occasion {
                mode: self.webhook.mode,
                version: VERSION,
                deadline,
                timeout_seconds: timeout_seconds(call.budget),
                pass,
            };
            let body = event.body(&at)?;
            let headers = self.signed(&event.id(), &body)?;
            Ok(Parcel { url, headers, body, cap: LARGEST_ANSWER, keep: LARGEST_ANSWER })
        };
        let weigh = |answer: &Answer| {
            let said = answer::read(answer, issues);
            Impression { healthy: matches!(said, Ok(Said::Error { .. })), doubtful: answer::is_doubtful(answer, &said) }
        };
        let answer = call.make(order, pack, weigh).await?;
        let said = answer::read(&answer, issues);
        // There may be a value that the receiver made, and that we do not know yet or never will.
        let strict = event.step == "revoke" || event.step == "createSecret";
        let redactor = self.redactor(event, &passed, &said).strict(strict);
        let judge = Judge {
            who: &who,
            step: event.step,
            changing: call.changing,
            final_value: event.step == "setSecret" && !self.managed(),
            redactor: &redactor,
        };
        judge.judge(&answer, said)
    }

    fn redactor(&self, event: &Event<'_>, passed: &[SecretBytes], said: &Result<Said, answer::Bad>) -> Redactor {
        let issued = match said {
            Ok(Said::Done { value: Some(value), .. }) => Some(value),
            Ok(Said::Done { message, .. }) if message.is_empty() => return Redactor::default(),
            _ => None,
        };
        let keys = self.registration.keys.signing.iter().map(|key| &key.secret);
        Redactor::new(event.secrets().chain(passed).chain(issued).chain(keys))
    }

    fn url(&self) -> Result<Url, StepError> {
        Url::parse(&self.webhook.url).map_err(|_| {
            StepError::new(
                Verdict::NeedsPerson,
                "bad-url",
                format!("The URL of the rotator {} cannot be read.", self.registration.name),
            )
            .remedy("Correct it with `pawl rotator update NAME`.")
        })
    }

    /// The headers, signed by every key that is live.
    fn signed(&self, id: &str, body: &Zeroizing<Vec<u8>>) -> Result<Vec<(&'static str, String)>, StepError> {
        let now = self.shared.desk.now();
        let keys = self.registration.keys.live(now).map(|key| &key.secret);
        let signature = signatures(keys, id, now.timestamp(), body);
        if signature.is_empty() {
            return Err(no_signing_key(&self.registration.name));
        }
        Ok(signed_headers(id, now.timestamp(), signature))
    }
}

fn signed_headers(id: &str, timestamp: i64, signature: String) -> Vec<(&'static str, String)> {
    vec![("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signature)]
}

fn secrets_of(pass: &Pass) -> Vec<SecretBytes> {
    let credentials = pass.credentials.iter().flat_map(|one| [one.secret.clone(), one.session_token.clone()]);
    credentials.chain([pass.rotation_token.clone()]).collect()
}

fn done(note: String) -> Done {
    Done { note, status: Some(200), ..Done::default() }
}

fn no_check(name: &str) -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-check", format!("The rotator {name} does not take the step check."))
        .remedy("Where its receiver does, say so with `pawl rotator update NAME --steps check,…`.")
}

fn no_key(key: &str) -> StepError {
    let message =
        format!("AWSCURRENT is not a JSON object with the key {key:?}, which the rotator puts passwords into.");
    StepError::new(Verdict::NeedsPerson, "missing-key", message)
        .remedy("Write a value that has this key, or name another key with `pawl rotator update NAME --password-key KEY` (--whole-value: the whole value is the password).")
}

fn no_way_back() -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "no-value",
        "The secret has no AWSCURRENT value that could be proven or put back.",
    )
    .remedy("Write a value that logs in with a plain PutSecretValue, then resume.")
}

fn no_signing_key(name: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "no-signing-key",
        format!("The rotator {name} has no signing key that is live."),
    )
    .remedy(format!("Make one with `pawl rotator rotate-key {name}` and give it to the receiver."))
}
