//! What an operator subscribed: who is told of which events, in which shape. Plain data, its bounds, and what a filter
//! lets through.
//!
//! Never here: where it is kept, how anybody is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::registration::Keys;

/// How long a receiver is tried with one event where nothing else is said.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// The longest that may be asked for: events are not kept much longer.
pub const LONGEST_GIVE_UP: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many patterns one list of a filter may have.
pub const MOST_PATTERNS: usize = 50;

/// The kinds of events there are.
pub const KINDS: [&str; 41] = [
    "secret.created",
    "secret.deletion-scheduled",
    "secret.restored",
    "secret.deleted",
    "secret.version-created",
    "secret.label-updated",
    "secret.label-removed",
    "rotation.started",
    "rotation.succeeded",
    "rotation.abandoned",
    "rotation.failed",
    "rotation.postponed",
    "rotation.resumed",
    "rotation.retired",
    "rotation.test-started",
    "rotation.test-succeeded",
    "rotation.test-failed",
    "rotation.configured",
    "rotation.cancelled",
    "rotation.paused",
    "rotation.unpaused",
    "rotation.window-missed",
    "rotation.put-off",
    "rotation.set-aside",
    "target.unreachable",
    "target.reachable",
    "server.paused",
    "server.resumed",
    "server.clock-doubted",
    "server.clock-trusted",
    "secret.drift-found",
    "secret.drift-ended",
    "secret.rival-found",
    "secret.reconciled",
    "rotator.registered",
    "rotator.changed",
    "rotator.removed",
    "subscription.created",
    "subscription.changed",
    "subscription.deleted",
    "subscription.events-missed",
];

/// Whether a filter's pattern of kinds lets any through.
#[must_use]
pub fn is_of_a_kind(pattern: &str) -> bool {
    KINDS.iter().any(|kind| matches(pattern, kind))
}

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// What it is. Holds no secret.
    pub settings: Settings,
    /// What its deliveries are signed with.
    pub keys: Keys,
    /// Nobody is told until it is enabled again.
    pub disabled: bool,
    /// When it was made.
    pub created: crate::Time,
    /// When it was last changed.
    pub changed: crate::Time,
}

/// What a subscription is. Holds no secret, so it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where events are posted.
    pub url: String,
    /// Their shape.
    pub format: Format,
    /// Which of them.
    #[serde(default)]
    pub filter: Filter,
    /// How long a receiver is tried with one event, in seconds; then it is a dead letter and the next one's turn.
    pub give_up_after: u64,
    /// Certificate authorities to trust instead of the system's; PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// The shapes in which events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CloudEvents 1.0, structured JSON: every event.
    CloudEvents,
    /// AWS's EventBridge event "Secret Label Updated": label moves alone.
    EventBridge,
    /// CloudTrail's service events, as EventBridge carries them: rotations and deletions.
    CloudTrail,
}

impl Format {
    /// The names, as they are given and shown.
    pub const NAMES: [&str; 3] = ["cloudevents", "eventbridge", "cloudtrail"];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudEvents => Self::NAMES[0],
            Self::EventBridge => Self::NAMES[1],
            Self::CloudTrail => Self::NAMES[2],
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::CloudEvents, Self::EventBridge, Self::CloudTrail].into_iter().find(|format| format.name() == name)
    }
}

/// Which events a subscription is told of. In a pattern `*` is any text; an empty list lets everything through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Patterns of kinds, such as `rotation.*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Patterns of names of secrets, such as `app/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Patterns of the label that moved; what is about no label does not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Filter {
    /// Whether an event passes.
    #[must_use]
    pub fn passes(&self, kind: &str, secret: &str, label: Option<&str>) -> bool {
        let one_of = |patterns: &[String], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
        (self.kinds.is_empty() || one_of(&self.kinds, kind))
            && (self.secrets.is_empty() || one_of(&self.secrets, secret))
            && (self.labels.is_empty() || label.is_some_and(|label| one_of(&self.labels, label)))
    }
}

/// Whether the whole text is as the pattern says: `*` is any text, everything else itself.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_everything_else_itself() {
        for (pattern, text, passes) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "app/db", true),
            ("app/*", "app/db", true),
            ("app/*", "apps/db", false),
            ("*db", "app/db", true),
            ("*db", "app/db2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("app.db", "app/db", false),
        ] {
            assert_eq!(matches(pattern, text), passes, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn an_event_passes_that_every_list_lets_through() {
        let of = |kinds: &[&str], secrets: &[&str], labels: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            Filter { kinds: owned(kinds), secrets: owned(secrets), labels: owned(labels) }
        };
        let passes = |filter: Filter, label| filter.passes("secret.label-updated", "app/db", label);
        assert!(passes(Filter::default(), None));
        assert!(passes(of(&["rotation.*", "secret.*"], &["app/*"], &["AWSCURRENT"]), Some("AWSCURRENT")));
        assert!(!passes(of(&["rotation.*"], &[], &[]), Some("AWSCURRENT")));
        assert!(!passes(of(&[], &["other/*"], &[]), Some("AWSCURRENT")));
        assert!(!passes(of(&[], &[], &["AWSCURRENT"]), Some("BLUE")));
        assert!(!passes(of(&[], &[], &["AWSCURRENT"]), None));
    }

    #[test]
    fn a_pattern_of_a_kind_there_is_none_of_is_told_from_others() {
        assert!(is_of_a_kind("*") && is_of_a_kind("rotation.*") && is_of_a_kind("secret.label-updated"));
        assert!(!is_of_a_kind("rotation.bogus") && !is_of_a_kind("dev.pawl.*"));
    }

    /// The table of kinds in docs/events.md.
    #[test]
    fn every_kind_is_in_the_documentation_and_the_other_way_round() {
        let page = include_str!("../../docs/events.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| kind |")).skip(2);
        let cells = rows.take_while(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
        let mut shown: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let mut kinds = KINDS.to_vec();
        shown.sort_unstable();
        kinds.sort_unstable();
        assert_eq!(shown, kinds);
    }

    #[test]
    fn a_format_is_found_by_its_name() {
        for name in Format::NAMES {
            assert_eq!(Format::of_name(name).map(Format::name), Some(name));
        }
        assert_eq!(Format::of_name("CloudEvents"), None);
    }
}
