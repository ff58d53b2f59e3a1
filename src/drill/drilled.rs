//! A rotator with a drill around it: each of its deliveries is made more than once, and bent ones before the first.
//!
//! Whatever a receiver does with a bent event, it is the same work on the same value as the real one asks for: a receiver
//! that fails the drill still ends with the target and AWSCURRENT agreeing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Rotator, StepContext};
use engine::registration::{Kind, Mode};
use engine::rotation::Step;
use engine::secret::SecretBytes;
use rotators::{Bend, ErrorKind, Heard, Observed, Probe};
use serde_json::Value;

use super::{Drill, Seen, Trial};

/// What is asked in good time by a short deadline, in milliseconds.
const SHORT: i64 = 2000;
/// What an answer may be late by all the same.
const LATE: Duration = Duration::from_millis(500);
/// How long a function's answer is waited for before its connection is cut.
const CUT_AFTER: Duration = Duration::from_millis(200);
/// How long a callback's createSecret whose connection was cut may go on.
const SETTLED: Duration = Duration::from_secs(1);
/// How often the revoking of what was issued on the side is asked for, and the pause between.
const REVOKES: u32 = 5;
const REVOKE_AGAIN: Duration = Duration::from_secs(1);
/// Added to a candidate's number, so that what is asked on the side is no repeat of what is asked for the rotation.
const ASIDE: u32 = 1000;

/// The bent deliveries, and what each of them tries.
const BENT: [(Trial, Bend); 9] = [
    (Trial::NoSignature, Bend::NoSignature),
    (Trial::WrongKey, Bend::WrongKey),
    (Trial::TamperedBody, Bend::TamperedBody),
    (Trial::Stale, Bend::Timestamp(-600)),
    (Trial::Future, Bend::Timestamp(600)),
    (Trial::Replay, Bend::ReplayedSignature),
    (Trial::UnknownStep, Bend::UnknownStep),
    (Trial::UnknownVersion, Bend::UnknownVersion),
    (Trial::PastDeadline, Bend::Deadline(-1000)),
];

pub(super) struct Drilled {
    inner: Box<dyn Rotator>,
    drill: Arc<Drill>,
}

impl Drilled {
    pub(super) fn new(inner: Box<dyn Rotator>, drill: Arc<Drill>) -> Self {
        Self { inner, drill }
    }

    /// The step as the rotation asks for it, and again, with everything around it.
    async fn drilled(&self, cx: &StepContext<'_>, password: Option<&SecretBytes>) -> Result<Made, StepError> {
        if !self.is_delivered(cx.step) {
            return self.once(cx, password).await;
        }
        let ends = self.drill.clock.since_boot() + cx.deadline;
        if self.drill.bends() {
            self.bend(cx).await;
        }
        self.cut(cx, password).await;
        let asked = self.until(ends, cx);
        let first = self.answered(cx, self.once(&asked, password).await)?;
        let took = asked.deadline - self.until(ends, cx).deadline;
        if cx.step == Step::Test {
            self.aside(cx).await;
        }
        match cx.step == Step::Create && self.revokes() {
            // Each is another credential, and the machine asks for none that it has.
            true => Ok(first),
            false => self.again(&self.until(ends, cx), password, first, took).await,
        }
    }

    /// The same step with what is left of its time.
    fn until<'a>(&self, ends: Duration, cx: &StepContext<'a>) -> StepContext<'a> {
        StepContext { deadline: ends.saturating_sub(self.drill.clock.since_boot()), ..*cx }
    }

    async fn once(&self, cx: &StepContext<'_>, password: Option<&SecretBytes>) -> Result<Made, StepError> {
        let made = |done: Done| Made { value: None, done };
        match (cx.step, password) {
            (Step::Create, Some(password)) => self.inner.create(cx, password).await,
            (Step::Test, _) => self.inner.test(cx).await.map(made),
            (Step::Finish, _) => self.inner.finish(cx).await.map(made),
            _ => self.inner.set(cx).await.map(made),
        }
    }

    /// Whether anything is sent: values of a managed receiver that issues none are made here.
    fn is_delivered(&self, step: Step) -> bool {
        step != Step::Create || self.is_callback() || self.issues()
    }

    fn is_callback(&self) -> bool {
        match &self.drill.registration.settings.kind {
            Kind::Webhook(webhook) => webhook.mode == Mode::Callback,
            Kind::Lambda(_) => true,
        }
    }

    fn issues(&self) -> bool {
        matches!(&self.drill.registration.settings.kind, Kind::Webhook(webhook) if webhook.issues)
    }

    fn revokes(&self) -> bool {
        matches!(&self.drill.registration.settings.kind, Kind::Webhook(webhook) if webhook.revokes)
    }

    /// Everything that a receiver must refuse.
    async fn bend(&self, cx: &StepContext<'_>) {
        for (trial, bend) in BENT {
            if let Some(observed) = self.probe(trial, Probe { bend, ..self.event(cx) }, cx).await {
                self.drill.note(trial, refused(trial, cx.step, &observed));
            }
        }
    }

    /// The event is sent, and nobody reads the answer.
    async fn cut(&self, cx: &StepContext<'_>, password: Option<&SecretBytes>) {
        let timeout = self.drill.registration.settings.timeout();
        let issuing = cx.step == Step::Create && self.issues();
        // A rotation that was cut short is taken up when its lease has run out. What the receiver does all the same is over
        // by then; where it would make something twice, that is waited for here as well.
        let pause = match cx.step {
            Step::Create if issuing => timeout,
            Step::Create => timeout.min(SETTLED),
            _ => Duration::ZERO,
        };
        if let Kind::Lambda(_) = self.drill.registration.settings.kind {
            let _cut = tokio::time::timeout(CUT_AFTER, self.once(cx, password)).await;
            tokio::time::sleep(pause).await;
            return;
        }
        if issuing && self.drill.left() < timeout * 3 {
            let why = "an issuing receiver has until its deadline, and there is too little time left for that.";
            self.drill.note(Trial::Crash, Seen::Skipped(why.to_owned()));
            return;
        }
        let event = self.event(cx);
        // What was revoked is never asked for again: the rotation's own credential has another tag.
        let aside = issuing && self.revokes();
        if aside && !self.drill.issues() {
            return;
        }
        let number = event.number + if aside { ASIDE } else { 0 };
        if self.probe(Trial::Crash, Probe { bend: Bend::CutConnection, number, ..event }, cx).await.is_some() {
            tokio::time::sleep(pause).await;
            if aside {
                self.revoke_aside(cx, number).await;
            }
        }
    }

    /// What was issued and nobody stored is ended, as the machine does it.
    async fn revoke_aside(&self, cx: &StepContext<'_>, number: u32) {
        let revoke = Probe { number, current: cx.material.current.as_ref(), ..self.revoking(cx) };
        for _ in 0..REVOKES {
            match self.probe(Trial::Crash, revoke, cx).await {
                Some(Observed { heard: Heard::Done, .. }) => return,
                Some(_) => tokio::time::sleep(REVOKE_AGAIN).await,
                None => break,
            }
        }
        let said = format!("createSecret of the tag {}-{number} was not revoked: end it by hand.", cx.run.token);
        self.drill.note(Trial::Crash, Seen::Failed(said));
    }

    fn revoking<'p>(&self, cx: &'p StepContext<'_>) -> Probe<'p> {
        Probe { number: ASIDE, ..Probe::new("revoke", cx.arn, &cx.run.token) }
    }

    /// What the answer to the rotation's own delivery says of the trials.
    fn answered(&self, cx: &StepContext<'_>, answer: Result<Made, StepError>) -> Result<Made, StepError> {
        match &answer {
            Ok(_) => {
                self.drill.note(Trial::Steps, Seen::Passed(String::new()));
                self.drill.note(Trial::Crash, Seen::Passed(String::new()));
            }
            Err(error) if error.verdict == Verdict::InProgress => {
                let said = format!("{} was in progress, and came to an end.", cx.step);
                self.drill.note(Trial::InProgress, Seen::Passed(said));
            }
            Err(error) => self.drill.note(Trial::Steps, Seen::Failed(format!("{}: {error}", cx.step))),
        }
        answer
    }

    /// Once more, and where nothing is made twice by it, twice at once. What was answered last is what is there.
    async fn again(
        &self,
        cx: &StepContext<'_>,
        password: Option<&SecretBytes>,
        first: Made,
        took: Duration,
    ) -> Result<Made, StepError> {
        if cx.deadline < took + self.drill.registration.settings.timeout() + LATE {
            self.drill.note(Trial::Twice, Seen::Skipped("there was no time left.".to_owned()));
            return Ok(first);
        }
        let alone = cx.step == Step::Create || matches!(self.drill.registration.settings.kind, Kind::Lambda(_));
        let (second, third) = match alone {
            true => (self.once(cx, password).await, None),
            false => {
                let (second, third) = tokio::join!(self.once(cx, password), self.once(cx, password));
                (second, Some(third))
            }
        };
        let mut last = first;
        for answer in [Some(second), third].into_iter().flatten() {
            match answer {
                Ok(made) => {
                    last = made;
                    self.drill.note(Trial::Twice, Seen::Passed(String::new()));
                }
                Err(error) if error.verdict == Verdict::InProgress => {}
                Err(error) => {
                    let said = format!("{} was done, and then came again: {error}", cx.step);
                    self.drill.note(Trial::Twice, Seen::Failed(said));
                }
            }
        }
        Ok(last)
    }

    /// What is asked beside testSecret, where nothing can be changed by it.
    async fn aside(&self, cx: &StepContext<'_>) {
        let short = Probe { bend: Bend::Deadline(SHORT), ..self.event(cx) };
        if let Some(observed) = self.probe(Trial::ShortDeadline, short, cx).await {
            self.drill.note(Trial::ShortDeadline, in_time(&observed));
        }
        self.wrong_value(cx).await;
        if self.revokes()
            && let Some(observed) = self.probe(Trial::RevokeNothing, self.revoking(cx), cx).await
        {
            let seen = match observed.heard {
                Heard::Done | Heard::InProgress(_) => Seen::Passed(String::new()),
                _ => Seen::Failed(told(&observed)),
            };
            self.drill.note(Trial::RevokeNothing, seen);
        }
    }

    async fn wrong_value(&self, cx: &StepContext<'_>) {
        if self.is_callback() {
            return;
        }
        let Some(wrong) = cx.material.wanted.as_ref().and_then(|wanted| self.made_wrong(wanted)) else {
            let why = "no password was found in the value to make a wrong one of.";
            self.drill.note(Trial::WrongValue, Seen::Skipped(why.to_owned()));
            return;
        };
        let event = self.event(cx);
        let probe = Probe { pending: Some(&wrong), number: event.number + ASIDE, ..event };
        if let Some(observed) = self.probe(Trial::WrongValue, probe, cx).await {
            let seen = match observed.heard {
                Heard::Error(ErrorKind::Rejected) => Seen::Passed(String::new()),
                _ => Seen::Failed(told(&observed)),
            };
            self.drill.note(Trial::WrongValue, seen);
        }
    }

    /// The value with another password in it.
    fn made_wrong(&self, value: &SecretBytes) -> Option<SecretBytes> {
        let Kind::Webhook(webhook) = &self.drill.registration.settings.kind else { return None };
        let key = webhook.password_key.as_deref().or(webhook.issues.then_some("password"));
        let Some(key) = key else {
            return Some(SecretBytes::new([value.expose(), b"-not"].concat()));
        };
        let mut wrong: Value = serde_json::from_slice(value.expose()).ok()?;
        let password = wrong.get_mut(key)?;
        *password = Value::from(format!("{}-not", password.as_str()?));
        Some(SecretBytes::from(wrong.to_string()))
    }

    /// The event of this step, as the rotation sends it.
    fn event<'p>(&self, cx: &'p StepContext<'_>) -> Probe<'p> {
        let forward = cx.step != Step::Create;
        Probe {
            number: if forward { cx.run.candidate } else { cx.run.issued.max(1) },
            attempt: cx.run.attempt.saturating_add(1),
            current: cx.material.current.as_ref(),
            pending: cx.material.wanted.as_ref().filter(|_| forward),
            ..Probe::new(cx.step.name(), cx.arn, &cx.run.token)
        }
    }

    /// Makes one delivery on the side, where there is time for it and the secret is still this driver's.
    async fn probe(&self, trial: Trial, probe: Probe<'_>, cx: &StepContext<'_>) -> Option<Observed> {
        let timeout = self.drill.registration.settings.timeout();
        if self.drill.left() < timeout + LATE {
            self.drill.note(trial, Seen::Skipped("there was no time left.".to_owned()));
            return None;
        }
        if let Err(error) = cx.guard.still_ours(timeout + LATE).await {
            self.drill.note(trial, Seen::Skipped(error.message));
            return None;
        }
        self.drill.callers.probe(&self.drill.registration, probe).await
    }
}

/// Of an event that must not be carried out.
fn refused(trial: Trial, step: Step, observed: &Observed) -> Seen {
    let refused = match &observed.heard {
        // Of a deadline that is over any error will do: it is not carried out now, which is what counts.
        Heard::Error(_) if trial == Trial::PastDeadline => true,
        Heard::Error(_) | Heard::Unstructured => matches!(observed.status, Some(400..=499)),
        Heard::Done | Heard::InProgress(_) | Heard::Lost | Heard::NotSent => false,
    };
    match refused {
        true => Seen::Passed(String::new()),
        false => Seen::Failed(format!("{step}: {}", told(observed))),
    }
}

/// Of an event with a short deadline: any answer, in time.
fn in_time(observed: &Observed) -> Seen {
    let limit = Duration::from_millis(SHORT.unsigned_abs()) + LATE;
    match observed.heard {
        Heard::Lost | Heard::NotSent => Seen::Failed(told(observed)),
        _ if observed.took > limit => {
            Seen::Failed(format!("The deadline was {SHORT} ms away; the answer took {} ms.", observed.took.as_millis()))
        }
        _ => Seen::Passed(String::new()),
    }
}

/// What came back, and where to look for it.
fn told(observed: &Observed) -> String {
    let what = match &observed.heard {
        Heard::Done => "it answered Done".to_owned(),
        Heard::InProgress(_) => "it answered InProgress".to_owned(),
        Heard::Error(kind) => format!("it answered with an Error of Kind {kind:?}"),
        Heard::Unstructured => "its answer is none of the contract's".to_owned(),
        Heard::Lost => "no whole answer came".to_owned(),
        Heard::NotSent => "nothing could be sent".to_owned(),
    };
    let status = observed.status.map(|status| format!(" (status {status})")).unwrap_or_default();
    let said = if observed.message.is_empty() { String::new() } else { format!(": {}", observed.message) };
    let end = if said.ends_with('.') { "" } else { "." };
    format!("{what}{status}{said}{end} webhook-id: {}.", observed.id)
}

#[async_trait]
impl Rotator for Drilled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn patience(&self) -> Duration {
        self.drill.patience.max(self.inner.patience())
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        self.drilled(cx, Some(password)).await
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match cx.step {
            // The way back is no place for a drill.
            Step::Restore => self.inner.set(cx).await,
            _ => self.drilled(cx, None).await.map(|made| made.done),
        }
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.drilled(cx, None).await.map(|made| made.done)
    }

    async fn finish(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.drilled(cx, None).await.map(|made| made.done)
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        self.inner.prove(cx).await
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.inner.retire(cx).await
    }

    async fn revoke(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.inner.revoke(cx).await
    }
}
