//! What the cells of the fault matrix are: steps, faults, ways to rotate, stores; and which of them cannot be, and why.
//!
//! Never here: how one is run.

use std::fmt;
use std::sync::OnceLock;

use pawl::servers::Engine;

/// The steps of a rotation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Set,
    Test,
    Finish,
    Retire,
}

pub(super) const STEPS: [Step; 5] = [Step::Create, Step::Set, Step::Test, Step::Finish, Step::Retire];

/// What goes wrong in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    CrashBefore,
    CrashDuring,
    CrashAfter,
    RequestLost,
    ReplyLost,
    ReplyCut,
    Late,
    Refused,
    Silent,
    StoreRequestLost,
    StoreReplyLost,
    Stalled,
    StoreDown,
    StoreSilent,
    StoreFull,
    TargetRestart,
}

pub(super) const FAULTS: [Fault; 16] = [
    Fault::CrashBefore,
    Fault::CrashDuring,
    Fault::CrashAfter,
    Fault::RequestLost,
    Fault::ReplyLost,
    Fault::ReplyCut,
    Fault::Late,
    Fault::Refused,
    Fault::Silent,
    Fault::StoreRequestLost,
    Fault::StoreReplyLost,
    Fault::Stalled,
    Fault::StoreDown,
    Fault::StoreSilent,
    Fault::StoreFull,
    Fault::TargetRestart,
];

/// How an account is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// One user with one password.
    Single,
    /// One user with two passwords.
    Dual,
    /// Two users that take turns, each on its own.
    Pair,
    /// Two users that take turns and belong to one owner.
    Owned,
}

/// A strategy on one kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) engine: Engine,
    pub(super) manner: Manner,
}

const fn way(engine: Engine, manner: Manner) -> Way {
    Way { engine, manner }
}

pub(super) const WAYS: [Way; 9] = [
    way(Engine::Postgres, Manner::Single),
    way(Engine::Mariadb, Manner::Single),
    way(Engine::Mysql, Manner::Single),
    way(Engine::Mariadb, Manner::Dual),
    way(Engine::Mysql, Manner::Dual),
    way(Engine::Postgres, Manner::Owned),
    way(Engine::Postgres, Manner::Pair),
    way(Engine::Mariadb, Manner::Pair),
    way(Engine::Mysql, Manner::Pair),
];

/// Where Pawl remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Sqlite,
    Postgres,
}

/// The stores that cells are played on: `PAWL_FAULT_STORES=sqlite,postgres` says otherwise.
#[expect(clippy::disallowed_methods, reason = "which stores to play on is said by the person who runs the cells")]
pub(super) fn stores() -> &'static [Kept] {
    static STORES: OnceLock<Vec<Kept>> = OnceLock::new();
    STORES.get_or_init(|| {
        let names = std::env::var("PAWL_FAULT_STORES").unwrap_or_else(|_| DEFAULT_STORES.to_owned());
        let kept = |name: &str| match name.trim() {
            "sqlite" => Kept::Sqlite,
            "postgres" => Kept::Postgres,
            other => panic!("PAWL_FAULT_STORES={other}: there are sqlite and postgres"),
        };
        names.split(',').map(kept).collect()
    })
}

const DEFAULT_STORES: &str = "sqlite,postgres";

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) step: Step,
    /// None: the control, in which nothing goes wrong.
    pub(super) fault: Option<Fault>,
    pub(super) way: Way,
    pub(super) kept: Kept,
}

/// All cells, those that cannot be as well; first the control of each way.
pub(super) fn all() -> Vec<Cell> {
    let places = stores().iter().flat_map(|kept| WAYS.iter().map(move |way| (*kept, *way)));
    let control = places.clone().map(|(kept, way)| Cell { step: Step::Set, fault: None, way, kept });
    let broken = STEPS.iter().flat_map(|step| FAULTS.iter().map(move |fault| (*step, Some(*fault))));
    let broken =
        broken.flat_map(|(step, fault)| places.clone().map(move |(kept, way)| Cell { step, fault, way, kept }));
    control.chain(broken).collect()
}

/// Each step with each fault once, going through the ways and the stores in turn.
pub(super) fn one_of_each() -> Vec<Cell> {
    let places: Vec<_> = WAYS.iter().flat_map(|way| stores().iter().map(move |kept| (*kept, *way))).collect();
    let rows = STEPS.iter().flat_map(|step| FAULTS.iter().map(move |fault| (*step, *fault)));
    let cell = |(number, (step, fault)): (usize, (Step, Fault))| {
        let turn = |offset: usize| places[(number * 5 + offset) % places.len()];
        let cells = (0..places.len()).map(turn).map(|(kept, way)| Cell { step, fault: Some(fault), way, kept });
        cells.into_iter().find(|cell| cell.cannot_be().is_none())
    };
    rows.enumerate().filter_map(cell).collect()
}

impl Cell {
    /// Why this cell is no case at all.
    pub(super) fn cannot_be(&self) -> Option<&'static str> {
        let fault = self.fault?;
        if self.step == Step::Retire && self.way.manner == Manner::Single {
            return Some("one user with one password leaves no old credential behind: there is no retire");
        }
        match (fault, self.step) {
            (fault, Step::Create | Step::Finish) if fault.is_of_the_targets_link() => {
                Some("this step sends nothing to the target; its link is the one to the store, in rows of its own")
            }
            (Fault::StoreRequestLost | Fault::StoreReplyLost | Fault::StoreSilent, _) if self.kept == Kept::Sqlite => {
                Some("SQLite is in the process: there is no link to lose anything on")
            }
            _ => None,
        }
    }

    /// The fail point at which the fault happens. A fault that is not Pawl's own happens while Pawl is held there.
    pub(super) fn point(&self) -> String {
        let step = self.step.name();
        let Some(fault) = self.fault else { return format!("commit::before::{step}") };
        match (fault, self.step) {
            // Committed that it begins; nothing done.
            (Fault::CrashBefore, _) => format!("material::before::{step}"),
            // Done, and known to nobody.
            (Fault::CrashDuring, Step::Set) => "set::after_change".to_owned(),
            (Fault::CrashDuring, Step::Test) => "test::after_login".to_owned(),
            (Fault::CrashDuring, Step::Retire) => "retire::after_change".to_owned(),
            (Fault::CrashAfter, _) => format!("commit::after::{step}"),
            (fault, Step::Test) if fault.meets_the_target() => "test::before_login".to_owned(),
            (fault, Step::Set) if fault.meets_the_target() || fault == Fault::Stalled => {
                "set::before_change".to_owned()
            }
            (fault, Step::Retire) if fault.meets_the_target() || fault == Fault::Stalled => {
                "retire::before_change".to_owned()
            }
            (Fault::Stalled, Step::Test) => "test::after_login".to_owned(),
            _ => format!("commit::before::{step}"),
        }
    }

    /// A name for files and messages.
    pub(super) fn id(&self) -> String {
        let fault = self.fault.map_or("no fault", Fault::name);
        let words = format!("{} {fault} {} store {}", self.step.name(), self.way, self.kept.name());
        words.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
    }
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
            Self::Retire => "retire",
        }
    }
}

impl Fault {
    /// It is the proxy's before the target.
    pub(super) const fn is_of_the_targets_link(self) -> bool {
        matches!(self, Self::RequestLost | Self::ReplyLost | Self::ReplyCut | Self::Late | Self::Refused | Self::Silent)
    }

    const fn meets_the_target(self) -> bool {
        self.is_of_the_targets_link() || matches!(self, Self::TargetRestart)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CrashBefore => "crash before",
            Self::CrashDuring => "crash during",
            Self::CrashAfter => "crash after",
            Self::RequestLost => "request to the target lost",
            Self::ReplyLost => "reply of the target lost",
            Self::ReplyCut => "reply of the target cut at a byte",
            Self::Late => "request to the target late",
            Self::Refused => "target refuses connections",
            Self::Silent => "target silent",
            Self::StoreRequestLost => "commit to the store lost",
            Self::StoreReplyLost => "reply of the store lost",
            Self::Stalled => "stall past the lease",
            Self::StoreDown => "store down",
            Self::StoreSilent => "store silent",
            Self::StoreFull => "store full",
            Self::TargetRestart => "target killed and started",
        }
    }
}

impl Way {
    /// As users say it: `pawl:strategy`.
    pub(super) const fn strategy(self) -> &'static str {
        match self.manner {
            Manner::Single => "single-user",
            Manner::Dual => "dual-password",
            Manner::Pair | Manner::Owned => "alternating-users",
        }
    }

    /// Two accounts take turns.
    pub(super) const fn alternates(self) -> bool {
        matches!(self.manner, Manner::Pair | Manner::Owned)
    }

    /// How many statements that give a password one undisturbed rotation takes, its retire included.
    pub(super) const fn changes(self) -> u32 {
        match (self.manner, self.engine) {
            // DISCARD OLD PASSWORD gives none.
            (Manner::Single, _) | (Manner::Dual, Engine::Mysql) => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.engine {
            Engine::Postgres => "PostgreSQL",
            Engine::Mariadb => "MariaDB",
            Engine::Mysql => "MySQL",
            other => other.name(),
        };
        let manner = match self.manner {
            Manner::Single => "single user",
            Manner::Dual => "two passwords",
            Manner::Pair => "a pair",
            Manner::Owned => "one owner",
        };
        write!(f, "{engine}, {manner}")
    }
}

impl Kept {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}
