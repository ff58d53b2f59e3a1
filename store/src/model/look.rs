//! What a look at a target is made with: its values, and the right to be alone with the account.

use engine::id::VersionId;
use engine::port::{Lease, Material};
use engine::rotation::{Rotation, Run};

/// A secret's values as a look at its target needs them.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// RotationLambdaARN as given.
    pub rotator: Option<String>,
    /// The registered rotator that serves it; empty: a built-in one.
    pub lane: String,
    /// AWSCURRENT's version.
    pub version: VersionId,
    /// AWSCURRENT is wanted; what else may log in is known.
    pub material: Material,
    /// Stands for a rotation, of which there is none: its token is AWSCURRENT's version.
    pub run: Run,
    /// How many refused logins the account may cost.
    pub login_budget: u32,
}

/// A leased secret whose AWSCURRENT is to be tried.
#[derive(Debug, Clone)]
pub struct Look {
    /// Nobody else is at the account meanwhile.
    pub lease: Lease,
    /// With what.
    pub sight: Sight,
    /// The state as it was leased.
    pub rotation: Rotation,
    /// The secret is held until AWSCURRENT was seen to log in.
    pub held: bool,
}
