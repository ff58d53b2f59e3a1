//! Servers in memory: accounts with one password or two, sessions that end when they are silent for too long, locks that
//! belong to sessions, statements that are under way. What they do is what the experiments of earlier issues showed of
//! PostgreSQL and MySQL. Never here: what a rotator makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use engine::port::Clock;

use crate::clock::VirtualClock;
use crate::journal::{Journal, Sender};

/// The server ends a session that is silent for longer between lock and change.
const IDLE: Duration = Duration::from_secs(3);
/// It gives up a statement, with what it waits for, after this.
const STATEMENT: Duration = Duration::from_secs(4);

/// What logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) primary: String,
    pub(crate) second: Option<String>,
}

impl Account {
    pub(crate) fn with(password: &str) -> Self {
        Self { primary: password.to_owned(), second: None }
    }

    pub(crate) fn lets_in(&self, password: &str) -> bool {
        self.primary == password || self.second.as_deref() == Some(password)
    }
}

/// One changing statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// The account's password, in the place of the one before; the account is made where there is none.
    Set(String, String),
    /// The same, and the one before becomes the second.
    Retain(String, String),
    /// One of the two, where the first is this one: an account's own change.
    Swap { user: String, new: String, first: String, retain: bool },
    /// The second password is ended.
    Discard(String),
    /// A password that nobody knows.
    Scramble(String, String),
}

impl Statement {
    /// What the account gets, where the store is to know it.
    fn password(&self) -> Option<&str> {
        match self {
            Self::Set(_, password) | Self::Retain(_, password) | Self::Swap { new: password, .. } => Some(password),
            Self::Discard(_) | Self::Scramble(..) => None,
        }
    }
}

/// Why a server did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It does not answer.
    Away,
    /// It has ended the session.
    Gone,
    /// Somebody else has the lock.
    Locked,
    /// Its policy does not take this value.
    Rejected,
    /// The first password is another one than was said.
    Differs,
}

struct Session {
    by: Sender,
    last: Duration,
    locks: BTreeSet<String>,
}

struct Late {
    session: u64,
    by: Sender,
    statements: Vec<Statement>,
    until: Duration,
}

/// One server.
#[derive(Default)]
struct Host {
    accounts: BTreeMap<String, Account>,
    sessions: BTreeMap<u64, Session>,
    late: Vec<Late>,
    down: bool,
    rejects: u8,
    backup: Option<BTreeMap<String, Account>>,
}

/// All servers.
pub(crate) struct Target {
    clock: Arc<VirtualClock>,
    journal: Arc<Journal>,
    /// The server holds the wall behind the lease: silent sessions end, statements do not wait for ever.
    walls: bool,
    hosts: Mutex<(BTreeMap<String, Host>, u64)>,
}

impl Target {
    pub(crate) fn new(clock: Arc<VirtualClock>, journal: Arc<Journal>, walls: bool) -> Self {
        Self { clock, journal, walls, hosts: Mutex::default() }
    }

    /// A server as it is now: what had to end by now has ended.
    fn with<T>(&self, host: &str, act: impl FnOnce(&mut Host, Duration) -> T) -> T {
        let mut hosts = self.hosts();
        let now = self.clock.since_boot();
        let host = hosts.0.entry(host.to_owned()).or_default();
        if self.walls {
            host.settle(now);
        }
        act(host, now)
    }

    fn hosts(&self) -> MutexGuard<'_, (BTreeMap<String, Host>, u64)> {
        self.hosts.lock().unwrap()
    }

    pub(crate) fn login(&self, host: &str, user: &str, password: &str, by: &Sender) -> Result<Option<u64>, Problem> {
        let id = {
            let mut hosts = self.hosts();
            hosts.1 += 1;
            hosts.1
        };
        self.with(host, |host, now| {
            if host.down {
                return Err(Problem::Away);
            }
            let is_let_in = host.accounts.get(user).is_some_and(|account| account.lets_in(password));
            if is_let_in {
                host.sessions.insert(id, Session { by: by.clone(), last: now, locks: BTreeSet::new() });
            }
            Ok(is_let_in.then_some(id))
        })
    }

    pub(crate) fn lock(&self, host: &str, session: u64, account: &str) -> Result<(), Problem> {
        self.with(host, |host, now| {
            host.heard(session, now)?;
            let held = |(id, other): (&u64, &Session)| *id != session && other.locks.contains(account);
            if host.sessions.iter().any(held) {
                return Err(Problem::Locked);
            }
            let session = host.sessions.get_mut(&session).ok_or(Problem::Gone)?;
            session.locks.insert(account.to_owned());
            self.journal.locked(&session.by);
            Ok(())
        })
    }

    /// An account as the server's catalogue shows it.
    pub(crate) fn read(&self, host: &str, session: u64, user: &str) -> Result<Option<Account>, Problem> {
        self.with(host, |host, now| {
            host.heard(session, now)?;
            Ok(host.accounts.get(user).cloned())
        })
    }

    pub(crate) fn send(&self, host: &str, session: u64, statements: &[Statement]) -> Result<(), Problem> {
        self.with(host, |host, now| {
            host.heard(session, now)?;
            host.carry_out(session, statements, &self.journal)
        })
    }

    /// The statements are on their way, and land when [`Target::land`] says so.
    pub(crate) fn send_late(&self, host: &str, session: u64, statements: &[Statement]) {
        self.with(host, |host, now| {
            if let (Ok(()), Some(open)) = (host.heard(session, now), host.sessions.get(&session)) {
                let (by, statements, until) = (open.by.clone(), statements.to_vec(), now + STATEMENT);
                host.late.push(Late { session, by, statements, until });
            }
        });
    }

    pub(crate) fn close(&self, host: &str, session: u64) {
        self.with(host, |host, _| {
            host.sessions.remove(&session);
        });
    }

    /// A process is dead. Its sessions end with it, unless its machine died with it: then the server finds out by their
    /// silence.
    pub(crate) fn died(&self, driver: u64, is_noticed: bool) {
        for host in self.names() {
            self.with(&host, |host, _| {
                let late: BTreeSet<u64> = host.late.iter().map(|late| late.session).collect();
                let ends =
                    |id: &u64, session: &Session| is_noticed && session.by.driver == driver && !late.contains(id);
                host.sessions.retain(|id, session| !ends(id, session));
            });
        }
    }

    fn names(&self) -> Vec<String> {
        self.hosts().0.keys().cloned().collect()
    }

    /// What is under way lands, the oldest first. False: nothing is.
    pub(crate) fn land(&self) -> bool {
        self.names().iter().any(|name| self.with(name, |host, _| host.land(&self.journal)))
    }

    /// All that is under way has landed or been given up, and silent sessions have ended.
    pub(crate) fn settle(&self) {
        while !self.walls && self.land() {}
        for host in self.names() {
            self.with(&host, |host, _| host.late.clear());
        }
    }

    pub(crate) fn account(&self, host: &str, user: &str) -> Option<Account> {
        self.with(host, |host, _| host.accounts.get(user).cloned())
    }

    /// Somebody else sets an account's password.
    pub(crate) fn give(&self, host: &str, user: &str, password: &str) {
        self.with(host, |host, _| host.accounts.insert(user.to_owned(), Account::with(password)));
    }

    pub(crate) fn set_down(&self, host: &str, down: bool) {
        self.with(host, |host, _| {
            host.down = down;
            if down {
                host.restart();
            }
        });
    }

    pub(crate) fn restart(&self, host: &str) {
        self.with(host, |host, _| host.restart());
    }

    /// It does not take the next values, whatever they are.
    pub(crate) fn reject(&self, host: &str, next: u8) {
        self.with(host, |host, _| host.rejects = next);
    }

    pub(crate) fn back_up(&self, host: &str) {
        self.with(host, |host, _| host.backup = Some(host.accounts.clone()));
    }

    /// False: there is no backup.
    pub(crate) fn restore(&self, host: &str) -> bool {
        self.with(host, |host, _| {
            host.restart();
            let Some(backup) = host.backup.clone() else { return false };
            host.accounts = backup;
            true
        })
    }
}

impl Host {
    fn settle(&mut self, now: Duration) {
        self.late.retain(|late| late.until >= now);
        let late: BTreeSet<u64> = self.late.iter().map(|late| late.session).collect();
        self.sessions.retain(|id, session| late.contains(id) || now <= session.last + IDLE);
    }

    fn heard(&mut self, session: u64, now: Duration) -> Result<(), Problem> {
        if self.down {
            return Err(Problem::Away);
        }
        let session = self.sessions.get_mut(&session).ok_or(Problem::Gone)?;
        session.last = now;
        Ok(())
    }

    fn restart(&mut self) {
        self.sessions.clear();
        self.late.clear();
    }

    fn land(&mut self, journal: &Journal) -> bool {
        if self.late.is_empty() {
            return false;
        }
        let late = self.late.remove(0);
        if self.sessions.contains_key(&late.session) {
            let _unheard = self.carry_out_as(&late.by, &late.statements, journal);
        }
        self.sessions.remove(&late.session);
        true
    }

    fn carry_out(&mut self, session: u64, statements: &[Statement], journal: &Journal) -> Result<(), Problem> {
        let by = self.sessions.get(&session).ok_or(Problem::Gone)?.by.clone();
        self.carry_out_as(&by, statements, journal)
    }

    /// All or nothing.
    fn carry_out_as(&mut self, by: &Sender, statements: &[Statement], journal: &Journal) -> Result<(), Problem> {
        if self.rejects > 0 && statements.iter().any(|statement| statement.password().is_some()) {
            self.rejects -= 1;
            return Err(Problem::Rejected);
        }
        let mut accounts = self.accounts.clone();
        for statement in statements {
            apply(&mut accounts, statement)?;
        }
        self.accounts = accounts;
        for statement in statements {
            journal.landed(by, statement.password());
        }
        Ok(())
    }
}

fn apply(accounts: &mut BTreeMap<String, Account>, statement: &Statement) -> Result<(), Problem> {
    match statement {
        Statement::Set(user, password) | Statement::Scramble(user, password) => {
            let account = accounts.entry(user.clone()).or_insert_with(|| Account::with(password));
            account.primary.clone_from(password);
        }
        Statement::Retain(user, password) => retain(accounts.get_mut(user).ok_or(Problem::Gone)?, password),
        Statement::Swap { user, new, first, retain: is_kept } => {
            let account = accounts.get_mut(user).ok_or(Problem::Gone)?;
            if account.primary != *first {
                return Err(Problem::Differs);
            }
            match is_kept {
                true => retain(account, new),
                false => account.primary.clone_from(new),
            }
        }
        Statement::Discard(user) => accounts.get_mut(user).ok_or(Problem::Gone)?.second = None,
    }
    Ok(())
}

fn retain(account: &mut Account, password: &str) {
    account.second = Some(std::mem::replace(&mut account.primary, password.to_owned()));
}
