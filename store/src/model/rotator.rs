//! The nouns of registered rotators: what serves a secret, what is delivered, how much room each has in the queue.

use std::collections::HashMap;

use engine::Time;
use engine::id::VersionId;
use engine::registration::{Keys, Settings};

/// Who is to rotate a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// A built-in rotator.
    Builtin,
    /// The registered rotator of this name.
    Registered(String),
}

/// A rotator to be registered.
#[derive(Debug, Clone)]
pub struct NewRotator {
    /// Its name.
    pub name: String,
    /// What it is and how it is called.
    pub settings: Settings,
    /// What it is called with.
    pub keys: Keys,
    /// It is not called until it is enabled.
    pub disabled: bool,
}

/// A registered rotator as lists show it: without its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotatorEntry {
    /// Its name.
    pub name: String,
    /// What it is and how it is called.
    pub settings: Settings,
    /// It is not called.
    pub disabled: bool,
    /// When it was registered.
    pub created: Time,
    /// When it was last changed.
    pub changed: Time,
    /// How many secrets it serves, those included that are to be deleted.
    pub secrets: u64,
}

/// A registered rotator's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The rotator's name.
    pub name: String,
    /// How many of its rotations may be under way at once; 0 while it is disabled.
    pub concurrency: u32,
}

/// How many more rotations may be begun, by who serves them: so that one slow receiver delays nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Room {
    /// Of built-in rotators, all together.
    pub builtin: u32,
    /// Of registered rotators, by name.
    pub lanes: HashMap<String, u32>,
    /// Of each registered rotator that is not in `lanes`.
    pub default_lane: u32,
    /// Nothing begins by schedule: only what is open goes on.
    pub resumes_only: bool,
}

impl Room {
    /// The same everywhere.
    #[must_use]
    pub fn everywhere(room: u32) -> Self {
        Self { builtin: room, lanes: HashMap::new(), default_lane: room, resumes_only: false }
    }

    /// What is left in a lane; the empty name is that of all built-in rotators.
    #[must_use]
    pub fn of(&self, lane: &str) -> u32 {
        match lane {
            "" => self.builtin,
            lane => self.lanes.get(lane).copied().unwrap_or(self.default_lane),
        }
    }

    /// There is none at all.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.builtin == 0 && self.default_lane == 0 && self.lanes.values().all(|room| *room == 0)
    }
}

/// A step that was sent to a registered rotator.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Grows with time.
    pub id: i64,
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub secret: String,
    /// The rotation's token.
    pub token: Option<String>,
    /// Which step.
    pub step: String,
    /// Failures in a row before it.
    pub attempt: u32,
    /// When it began.
    pub started: Time,
    /// When it ended; None while it is under way, or when whoever sent it died.
    pub ended: Option<Time>,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// `done`, or the verdict.
    pub verdict: Option<String>,
    /// A sentence without secrets.
    pub message: String,
}

/// What the credentials of one call of a rotation function are good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The one secret.
    pub arn: String,
    /// The one version that is being made.
    pub version: VersionId,
    /// It is the step check, which belongs to no rotation and only looks.
    pub check: bool,
}

/// Where temporary credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The access key of this id made them, and they are as good as it is now.
    Key(String),
    /// The server made them for one call of a rotation function.
    Rotation(Grant),
}
