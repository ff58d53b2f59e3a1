//! What is known of a secret's readers, and of a secret whose target is looked at between rotations.

use std::time::Duration;

use engine::Time;
use engine::id::VersionId;
use engine::port::Material;
use engine::rotation::Run;

/// A principal that reads a secret, or says that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub principal: String,
    /// What it was given last; None: it has only declared itself.
    pub version_id: Option<VersionId>,
    /// That version's labels now, alphabetically.
    pub stages: Vec<String>,
    /// When that was.
    pub read: Option<Time>,
    /// For how long it says it keeps what it reads; None: it says nothing.
    pub cache: Option<Duration>,
}

/// What is needed to look at the target of a secret while nothing is changed there. Holds values.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The secret's ARN.
    pub arn: String,
    /// RotationLambdaARN as given.
    pub rotator: Option<String>,
    /// The registered rotator that serves it; empty: a built-in one.
    pub lane: String,
    /// What an open rotation carries.
    pub run: Option<Run>,
    /// `wanted` is AWSCURRENT; `known` is the version before it, whose grace may not be over.
    pub material: Material,
}
