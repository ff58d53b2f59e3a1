//! Tables `event` (written) and `event_head`: what happened, in the transaction in which it happened.
//!
//! The order of a secret's events is that of its `seq`, which is given under a row lock; never that of a clock. Never here:
//! what is told to whom (`errand.rs`), the order of all events (`event_log.rs`), any value of a secret.

use engine::Time;
use engine::id::{SecretId, VersionId};
use engine::label::{self, Labels};
use engine::rotation::Step;
use engine::subscription::KINDS;

use crate::instant::ms;
use crate::model::Facts;
use crate::tx::Conn;
use crate::{StoreError, sql};

/// Events that are about no secret.
pub(crate) const SERVER: SecretId = SecretId(0);

/// What happened, until the transaction ends.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: Vec<Entry>,
    /// Who acts, where an entry does not say.
    actor: Option<String>,
}

#[derive(Debug)]
struct Entry {
    secret: SecretId,
    kind: &'static str,
    facts: Facts,
    at: Time,
    /// ARN and name of a secret whose row is gone by then.
    named: Option<(String, String)>,
}

impl Outbox {
    /// Who does what is told from here on.
    pub(crate) fn acting(&mut self, by: &str) {
        self.actor = Some(by.to_owned());
    }

    /// Something happened to a secret.
    pub(crate) fn tell(&mut self, secret: SecretId, kind: &'static str, facts: Facts, at: Time) {
        debug_assert!(KINDS.contains(&kind), "{kind} is missing in the list of kinds");
        self.entries.push(Entry { secret, kind, facts, at, named: None });
    }

    /// The same of a secret whose row does not outlive the transaction.
    pub(crate) fn tell_of(&mut self, (arn, name): (&str, &str), secret: SecretId, kind: &'static str, at: Time) {
        debug_assert!(KINDS.contains(&kind), "{kind} is missing in the list of kinds");
        let named = Some((arn.to_owned(), name.to_owned()));
        self.entries.push(Entry { secret, kind, facts: Facts::default(), at, named });
    }

    /// Labels moved. AWSPENDING and AWSPREVIOUS say nothing that a reader of values could use, and AWS tells of neither.
    pub(crate) fn tell_labels(&mut self, secret: SecretId, before: &Labels, after: &Labels, at: Time) {
        let silent = |label: &str| [label::PENDING, label::PREVIOUS].contains(&label);
        for (name, holder) in after.iter().filter(|(name, _)| !silent(name)) {
            let previous = before.holder(name);
            if previous != Some(holder) {
                self.tell(secret, "secret.label-updated", moved(name, Some(holder), previous), at);
            }
        }
        for (name, holder) in before.iter().filter(|(name, _)| !silent(name) && after.holder(name).is_none()) {
            self.tell(secret, "secret.label-removed", moved(name, None, Some(holder)), at);
        }
    }

    /// A line of history that others want to know of as well.
    pub(crate) fn tell_note(&mut self, secret: SecretId, note: &Note<'_>, at: Time) {
        let Some(kind) = kind_of_note(note.kind) else { return };
        let facts = Facts {
            version_id: note.token.map(ToString::to_string),
            actor: note.by.map(str::to_owned),
            step: step_of(note.message),
            ..Facts::default()
        };
        self.tell(secret, kind, facts, at);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes it all down; the caller commits.
    pub(crate) async fn flush(self, conn: &mut Conn) -> Result<(), StoreError> {
        let mut secrets: Vec<SecretId> = Vec::new();
        for entry in &self.entries {
            if !secrets.contains(&entry.secret) {
                secrets.push(entry.secret);
            }
        }
        // Whoever writes about several secrets takes their rows in one order, so that no two wait for each other.
        secrets.sort_unstable_by_key(|secret| secret.0);
        for secret in secrets {
            let of_it: Vec<&Entry> = self.entries.iter().filter(|entry| entry.secret == secret).collect();
            write(&mut *conn, secret, &of_it, self.actor.as_deref()).await?;
        }
        Ok(())
    }
}

/// A line of history, as far as events are concerned.
pub(crate) struct Note<'a> {
    pub(crate) kind: &'a str,
    pub(crate) token: Option<&'a VersionId>,
    pub(crate) by: Option<&'a str>,
    pub(crate) message: &'a str,
}

async fn write(conn: &mut Conn, secret: SecretId, entries: &[&Entry], actor: Option<&str>) -> Result<(), StoreError> {
    let named = entries.iter().find_map(|entry| entry.named.clone());
    let (arn, name) = match named {
        Some(named) => named,
        None if secret == SERVER => (String::new(), String::new()),
        None => match sql::query_as(NAMED).bind(secret.0).fetch_optional(&mut *conn).await? {
            Some(named) => named,
            // Its row went in this very transaction: nothing more is said of it.
            None => return Ok(()),
        },
    };
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let last: i64 = sql::query_scalar(HEAD).bind(secret.0).bind(count).fetch_one(&mut *conn).await?;
    for (seq, entry) in (last - count + 1..).zip(entries) {
        let mut facts = entry.facts.clone();
        facts.actor = facts.actor.or_else(|| actor.map(str::to_owned));
        let facts = serde_json::to_string(&facts)
            .map_err(|_| StoreError::inconsistent("an event cannot be written as JSON"))?;
        let id = VersionId::random(&mut rand::rng());
        let query = sql::query(INSERT).bind(id.as_str()).bind(secret.0).bind(seq).bind(entry.kind);
        query.bind(&arn).bind(&name).bind(ms(entry.at)).bind(facts).execute(&mut *conn).await?;
    }
    Ok(())
}

fn moved(label: &str, to: Option<&VersionId>, from: Option<&VersionId>) -> Facts {
    Facts {
        version_id: to.map(ToString::to_string),
        label: Some(label.to_owned()),
        previous_version_id: from.map(ToString::to_string),
        ..Facts::default()
    }
}

/// Which lines of history are events; each try of a step is none, or a receiver would be told of every retry.
fn kind_of_note(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "requested" => "rotation.started",
        "succeeded" => "rotation.succeeded",
        "parked" => "rotation.failed",
        "postponed" => "rotation.postponed",
        "abandoned" => "rotation.abandoned",
        "resumed" => "rotation.resumed",
        "retired" => "rotation.retired",
        "test-requested" => "rotation.test-started",
        "test-succeeded" => "rotation.test-succeeded",
        "test-failed" => "rotation.test-failed",
        "configured" => "rotation.configured",
        "cancelled" => "rotation.cancelled",
        "paused" => "rotation.paused",
        "unpaused" => "rotation.unpaused",
        "missed-window" => "rotation.window-missed",
        "put-off" => "rotation.put-off",
        "set-aside" => "rotation.set-aside",
        // Of the secret that noticed: once for all that a host has.
        "target-away" => "target.unreachable",
        "target-back" => "target.reachable",
        "drifted" => "secret.drift-found",
        "verified-again" => "secret.drift-ended",
        "rival" => "secret.rival-found",
        "reconciled" => "secret.reconciled",
        _ => return None,
    })
}

/// The step that a line of history begins with. Nothing else of it is told: it may repeat what a target said.
fn step_of(message: &str) -> Option<String> {
    const STEPS: [Step; 8] =
        [Step::Create, Step::Set, Step::Test, Step::Finish, Step::Prove, Step::Restore, Step::Retire, Step::Revoke];
    let said = message.split_once(": ")?.0;
    STEPS.iter().map(|step| step.name()).find(|name| *name == said).map(str::to_owned)
}

const NAMED: &str = "-- outbox::write (named)
SELECT arn, name FROM secret WHERE id = $1";

const HEAD: &str = "-- outbox::write (head)
INSERT INTO event_head (secret_id, seq) VALUES ($1, $2)
ON CONFLICT (secret_id) DO UPDATE SET seq = event_head.seq + excluded.seq RETURNING seq";

const INSERT: &str = "-- outbox::write
INSERT INTO event (event_id, secret_id, seq, kind, arn, name, at_ms, facts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_line_of_history_only_the_step_is_told() {
        assert_eq!(step_of("setSecret: the server said canary").as_deref(), Some("setSecret"));
        assert_eq!(step_of("canary: the server said"), None);
        assert_eq!(step_of("setSecret"), None);
    }
}
