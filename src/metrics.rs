//! What `/metrics` shows, in Prometheus' text format. Names and counts only; never a value.

use std::time::Duration;

use engine::driver::Report;
use engine::outcome::Verdict;
use engine::rotation::Step;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use store::RotationCounts;

const STEP_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Ended {
    Succeeded,
    Parked,
    GivenUp,
    TestSucceeded,
    TestFailed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RotationLabels {
    outcome: Ended,
}

/// As many as there are registered rotators, times the verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    rotator: String,
    outcome: String,
}

/// As many as there are subscriptions, times three.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    subscription: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RotatorLabel {
    rotator: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabel {
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: String,
    status: u16,
}

/// Counters and gauges of one server.
pub struct Metrics {
    registry: Registry,
    steps: Family<StepLabels, Counter>,
    step_seconds: Family<StepLabel, Histogram>,
    rotations: Family<RotationLabels, Counter>,
    deliveries: Family<DeliveryLabels, Counter>,
    events: Family<EventLabels, Counter>,
    breakers: Family<RotatorLabel, Gauge>,
    verifications: Family<AnswerLabel, Counter>,
    drifted: Gauge,
    calls: Family<CallLabels, Counter>,
    call_seconds: Histogram,
    audit_lost: Counter,
    scheduled: Gauge,
    due: Gauge,
    overdue: Gauge,
    parked: Gauge,
    open: Gauge,
    oldest_current: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let call_buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0];
        let mut this = Self {
            registry: Registry::with_prefix("pawl"),
            steps: Family::default(),
            step_seconds: Family::new_with_constructor(|| Histogram::new(STEP_BUCKETS)),
            rotations: Family::default(),
            deliveries: Family::default(),
            events: Family::default(),
            breakers: Family::default(),
            verifications: Family::default(),
            drifted: Gauge::default(),
            calls: Family::default(),
            call_seconds: Histogram::new(call_buckets),
            audit_lost: Counter::default(),
            scheduled: Gauge::default(),
            due: Gauge::default(),
            overdue: Gauge::default(),
            parked: Gauge::default(),
            open: Gauge::default(),
            oldest_current: Gauge::default(),
        };
        this.register();
        this
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("rotation_steps", "Rotation steps that ended, by step and outcome", self.steps.clone());
        registry.register("rotation_step_seconds", "How long rotation steps took", self.step_seconds.clone());
        registry.register("rotations", "Rotations by how they ended or stopped", self.rotations.clone());
        registry.register(
            "rotator_deliveries",
            "Steps sent to registered rotators, by rotator and outcome",
            self.deliveries.clone(),
        );
        registry.register(
            "event_deliveries",
            "Events sent to subscriptions, by subscription and outcome",
            self.events.clone(),
        );
        registry.register(
            "rotator_breaker_open",
            "1 for each registered rotator that is not called for a while because it failed again and again",
            self.breakers.clone(),
        );
        registry.register(
            "verifications",
            "Looks at whether AWSCURRENT logs in, by what was found",
            self.verifications.clone(),
        );
        registry.register("drifted", "Secrets whose AWSCURRENT was found not to log in", self.drifted.clone());
        registry.register("api_calls", "API calls by operation and HTTP status", self.calls.clone());
        registry.register("api_call_seconds", "How long API calls took", self.call_seconds.clone());
        registry.register(
            "audit_lost_records",
            "Records that the audit trail could not take while it could not be written",
            self.audit_lost.clone(),
        );
        registry.register("rotations_scheduled", "Secrets with a next rotation", self.scheduled.clone());
        registry.register("rotations_due", "Rotations due now", self.due.clone());
        registry.register("rotations_overdue", "Rotations whose window has closed", self.overdue.clone());
        registry.register("rotations_parked", "Rotations that wait for a person", self.parked.clone());
        registry.register("rotations_open", "Rotations that are not finished", self.open.clone());
        registry.register(
            "oldest_current_age_seconds",
            "Age of the oldest AWSCURRENT among secrets with rotation enabled",
            self.oldest_current.clone(),
        );
    }

    /// Counts one act of a rotation.
    pub fn step_ended(&self, report: &Report<'_>) {
        let step = report.step.name();
        let outcome = outcome(report);
        self.steps.get_or_create(&StepLabels { step, outcome }).inc();
        self.step_seconds.get_or_create(&StepLabel { step }).observe(report.took.as_secs_f64());
        let ended = match (report.step, report.error.map(|error| error.verdict)) {
            (_, None) if report.trial => Ended::TestSucceeded,
            (_, Some(_)) if report.trial => Ended::TestFailed,
            (Step::Finish, None) => Ended::Succeeded,
            (Step::Prove, None) => Ended::GivenUp,
            (_, Some(Verdict::NeedsPerson)) => Ended::Parked,
            _ => return,
        };
        self.rotations.get_or_create(&RotationLabels { outcome: ended }).inc();
    }

    /// Counts one step that was sent to this registered rotator.
    pub fn delivered(&self, rotator: &str, report: &Report<'_>) {
        let labels = DeliveryLabels { rotator: rotator.to_owned(), outcome: outcome(report) };
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Counts one event that was sent to this subscription.
    pub fn event_sent(&self, subscription: &str, outcome: &'static str) {
        self.events.get_or_create(&EventLabels { subscription: subscription.to_owned(), outcome }).inc();
    }

    /// Counts one look at whether AWSCURRENT logs in, by what it found.
    pub fn verified(&self, answer: &'static str) {
        self.verifications.get_or_create(&AnswerLabel { answer }).inc();
    }

    /// Counts one API call.
    pub fn call_ended(&self, operation: &str, status: u16, took: Duration) {
        self.calls.get_or_create(&CallLabels { operation: operation.to_owned(), status }).inc();
        self.call_seconds.observe(took.as_secs_f64());
    }

    /// Counts records that the audit trail lost.
    pub fn audit_lost(&self, count: u64) {
        self.audit_lost.inc_by(count);
    }

    /// The text of `/metrics`, with these counts of the store, and the rotators whose breaker is open.
    ///
    /// # Errors
    /// Only if formatting into a string fails.
    pub fn render(&self, counts: &RotationCounts, broken: &[String]) -> Result<String, std::fmt::Error> {
        self.breakers.clear();
        for rotator in broken {
            self.breakers.get_or_create(&RotatorLabel { rotator: rotator.clone() }).set(1);
        }
        let set = |gauge: &Gauge, count: u64| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        set(&self.scheduled, counts.scheduled);
        set(&self.due, counts.due);
        set(&self.overdue, counts.overdue);
        set(&self.parked, counts.parked);
        set(&self.open, counts.open);
        set(&self.drifted, counts.drifted);
        set(&self.oldest_current, counts.oldest_current_seconds.unwrap_or(0));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn outcome(report: &Report<'_>) -> String {
    report.error.map_or_else(|| "done".to_owned(), |error| error.verdict.to_string())
}
