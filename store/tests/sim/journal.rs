//! What happened where the store and the targets could see it, for the oracle: values that were committed, claims, rotations
//! that a schedule started, effects on targets; and the rules that are broken in the very moment. Never here: states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use engine::Time;
use engine::schedule::Window;

/// Who sends a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) arn: String,
    pub(crate) fence: i64,
    /// The driver, of all there ever were.
    pub(crate) driver: u64,
}

/// A rotation that began because its schedule said so.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) arn: String,
    pub(crate) token: String,
    /// The window it was claimed for.
    pub(crate) window: Option<Window>,
    pub(crate) at: Time,
}

#[derive(Default)]
struct Book {
    /// By secret: passwords in committed versions and candidates.
    committed: BTreeMap<String, BTreeSet<String>>,
    started: Vec<Started>,
    /// By secret: the newest owner that was alone with the account.
    alone: BTreeMap<String, i64>,
    touched: BTreeSet<String>,
    claims: BTreeMap<String, u32>,
    broken: Vec<String>,
}

/// One for the whole simulation.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Book>);

impl Journal {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// A rule was broken.
    pub(crate) fn break_rule(&self, what: String) {
        self.book().broken.push(what);
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.book().broken.first().cloned()
    }

    /// This password stands in a committed row of the secret.
    pub(crate) fn committed(&self, arn: &str, password: &str) {
        self.book().committed.entry(arn.to_owned()).or_default().insert(password.to_owned());
    }

    pub(crate) fn claimed(&self, arn: &str) {
        *self.book().claims.entry(arn.to_owned()).or_default() += 1;
    }

    /// How often each secret was claimed since the last time this was asked.
    pub(crate) fn claims(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.book().claims)
    }

    pub(crate) fn started(&self, started: Started) {
        self.book().started.push(started);
    }

    pub(crate) fn take_started(&self) -> Vec<Started> {
        std::mem::take(&mut self.book().started)
    }

    /// The sender has the account's lock.
    pub(crate) fn locked(&self, by: &Sender) {
        let mut book = self.book();
        let alone = book.alone.entry(by.arn.clone()).or_default();
        *alone = (*alone).max(by.fence);
    }

    /// A statement took effect. `password`: what an account got, where it is to be one that the store knows.
    pub(crate) fn landed(&self, by: &Sender, password: Option<&str>) {
        let mut book = self.book();
        let newest = book.alone.get(&by.arn).copied().unwrap_or(0);
        if by.fence < newest {
            let (arn, fence) = (&by.arn, by.fence);
            book.broken.push(format!("two owners: a statement of {arn} with fence {fence} landed after {newest}"));
        }
        let known = book.committed.get(&by.arn);
        if let Some(password) = password.filter(|password| !known.is_some_and(|known| known.contains(*password))) {
            let arn = &by.arn;
            book.broken.push(format!("intent first: {password:?} reached the target of {arn} and is no committed row"));
        }
        book.touched.insert(by.arn.clone());
    }

    /// The secrets whose targets were changed since the last time this was asked.
    pub(crate) fn take_touched(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.book().touched)
    }
}
