//! The nouns the store takes and gives: plain data, already parsed, no wire format and no SQL.
//!
//! Never here: behaviour. Secrets in these types are [`SecretBytes`] and so are redacted in `Debug`.

mod location;
mod look;
mod reader;
mod rotator;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Time;
use engine::check::LastVerified;
use engine::id::VersionId;
use engine::port::Lease;
use engine::rotation::Rotation;
use engine::schedule::{Rules, Window};
use engine::secret::{SecretBytes, SecretValue};
use engine::settings::Change;

pub use self::location::{BadUrl, Identity, Location, Options, PostgresUrl};
pub use self::look::{Look, Sight};
pub use self::reader::{Reader, Standing};
pub use self::rotator::{Delivery, Grant, Lane, NewRotator, Origin, Room, RotatorEntry, Serves};
use crate::scope::Scope;

/// A secret to be created.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Its name.
    pub name: String,
    /// The ClientRequestToken: the id of its first version.
    pub token: VersionId,
    /// Its first value; None makes a secret without versions.
    pub value: Option<SecretValue>,
    /// Its description; empty is none.
    pub description: Option<String>,
    /// The KmsKeyId as given; empty is the default key.
    pub kms_key_id: Option<String>,
    /// Its tags; None where the request named none at all.
    pub tags: Option<Vec<Tag>>,
    /// The regions it is to be replicated to, and what came of that.
    pub replicas: Vec<Replica>,
    /// Type of a managed external secret; empty is none.
    pub kind: Option<String>,
    /// Who asks, for history.
    pub by: String,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A region a secret was asked to be replicated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Such as `eu-west-1`.
    pub region: String,
    /// As given; None is that region's default key.
    pub kms_key_id: Option<String>,
    /// What came of it.
    pub status: ReplicaStatus,
    /// A sentence about that.
    pub message: String,
}

/// How a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// It is what the secret is.
    InSync,
    /// It is not there, or behind.
    Failed,
    /// It is being made.
    InProgress,
}

/// A secret's replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    /// The secret's ARN.
    pub arn: String,
    /// Its replicas, by region.
    pub replicas: Vec<Replica>,
}

/// What AWS calls a managed external secret: kept, shown, and acted on by nobody here. What is None was never given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct External {
    /// Type.
    pub kind: Option<String>,
    /// ExternalSecretRotationMetadata: keys and values, in the order given.
    pub metadata: Option<Vec<(String, String)>>,
    /// ExternalSecretRotationRoleArn.
    pub role_arn: Option<String>,
}

/// A value to be written (PutSecretValue).
#[derive(Debug, Clone)]
pub struct PutValue {
    /// The id of the version to make.
    pub token: VersionId,
    /// The value.
    pub value: SecretValue,
    /// VersionStages; None is a plain write, which takes AWSCURRENT.
    pub stages: Option<Vec<String>>,
    /// The value must name the same admin secret as AWSCURRENT's value does, or none where that names none.
    pub keeps_admin: bool,
    /// What a call of a rotation function proves itself with; None: it does not.
    pub rotation_token: Option<SecretBytes>,
    /// The writer may make this version alone, and only while its rotation is open; None: any.
    pub within: Option<VersionId>,
    /// Who asks, for history.
    pub by: String,
}

/// A label to be moved (UpdateSecretVersionStage).
#[derive(Debug, Clone, Copy)]
pub struct MoveLabel<'a> {
    /// The label.
    pub label: &'a str,
    /// The version it is taken from.
    pub remove_from: Option<&'a str>,
    /// The version it goes to.
    pub move_to: Option<&'a str>,
    /// As in [`PutValue`], of the value it goes to.
    pub keeps_admin: bool,
    /// The labels may be moved only while the rotation that makes this version is open; None: whenever.
    pub within: Option<&'a VersionId>,
    /// Who asks, for history.
    pub by: &'a str,
}

/// Changes of a secret (UpdateSecret). What is None stays.
#[derive(Debug, Clone)]
pub struct UpdateSecret {
    /// The id of the version to make, where there is a value.
    pub token: VersionId,
    /// A new value, which takes AWSCURRENT.
    pub value: Option<SecretValue>,
    /// A new description; empty clears it.
    pub description: Option<String>,
    /// A new KmsKeyId; empty is the default key.
    pub kms_key_id: Option<String>,
    /// A new Type of a managed external secret; empty is none.
    pub kind: Option<String>,
    /// Who asks, for history.
    pub by: String,
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The version that was made or met, where there is one.
    pub version_id: Option<VersionId>,
    /// That version's labels, alphabetically.
    pub stages: Vec<String>,
}

/// A secret, named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
}

/// A secret whose deletion is planned or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// When it really goes.
    pub deletion_date: Time,
}

/// A version with its value.
#[derive(Debug, Clone)]
pub struct Value {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The version.
    pub version_id: VersionId,
    /// Its value.
    pub value: SecretValue,
    /// Its labels, alphabetically.
    pub stages: Vec<String>,
    /// When the version got its value.
    pub created: Time,
}

/// A secret without its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Never empty.
    pub description: Option<String>,
    /// As given; None is the default key.
    pub kms_key_id: Option<String>,
    /// When it was created.
    pub created: Time,
    /// When anything of it last changed.
    pub changed: Time,
    /// The day (00:00:00Z) a value was last read.
    pub accessed: Option<Time>,
    /// When a rotation last succeeded.
    pub rotated: Option<Time>,
    /// The last second of the next window.
    pub next_rotation: Option<Time>,
    /// When it will be gone, where deletion is planned.
    pub deleted: Option<Time>,
    /// None: never configured.
    pub rotation: Option<RotationConfig>,
    /// None: never tagged. Empty: the last tag was removed.
    pub tags: Option<Vec<Tag>>,
    /// Labelled versions by id, the rotation's placeholder included.
    pub stages: BTreeMap<String, Vec<String>>,
    /// The region of a secret that has replicas.
    pub primary_region: Option<String>,
    /// Its replicas, by region.
    pub replicas: Vec<Replica>,
    /// What makes it a managed external secret.
    pub external: External,
}

/// How a secret is to be rotated.
#[derive(Debug, Clone, PartialEq)]
pub struct RotationConfig {
    /// False after CancelRotateSecret; the rest is kept.
    pub enabled: bool,
    /// RotationLambdaARN as given.
    pub rotator: Option<String>,
    /// RotationRules as given.
    pub rules: Option<Rules>,
    /// IANA zone of the schedule; None is UTC.
    pub time_zone: Option<String>,
    /// What rotators look at.
    pub options: engine::port::Options,
}

/// A request to configure rotation and, mostly, to rotate (RotateSecret). What is None stays.
#[derive(Debug, Clone)]
pub struct Rotate {
    /// The version to make.
    pub token: VersionId,
    /// RotationLambdaARN.
    pub rotator: Option<String>,
    /// RotationRules.
    pub rules: Option<Rules>,
    /// IANA zone of the schedule.
    pub time_zone: Option<String>,
    /// What is said about its settings.
    pub options: Option<Change>,
    /// What begins at once.
    pub start: Start,
    /// The metadata and role of a managed external secret; its kind is not changed here.
    pub external: External,
    /// Who asks, for history.
    pub by: String,
    /// Who will serve this secret; None: whoever was said to before.
    pub serves: Option<Serves>,
}

/// What begins with a request to configure rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A rotation (RotateSecret).
    Rotate,
    /// A trial: testSecret on a temporary version (RotateSecret with RotateImmediately=false).
    Test,
    /// Nothing: the next window comes first. Alone among the three, this is taken while a rotation is open, too.
    Wait,
}

/// By what a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortBy {
    /// `created-date`.
    #[default]
    CreatedDate,
    /// `last-accessed-date`; never read comes first.
    LastAccessedDate,
    /// `last-changed-date`.
    LastChangedDate,
    /// `name`, by bytes.
    Name,
}

/// One filter: any of the values must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// `name`, `tag-key`, `tag-value`, `description`, `all`, `primary-region` or `owning-service`.
    pub key: String,
    /// Values; a leading `!` negates one.
    pub values: Vec<String>,
}

/// Which secrets to list. All filters must match.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Also secrets whose deletion is planned.
    pub include_deleted: bool,
    /// At most so many; 0 counts as 1.
    pub limit: u32,
    /// [`Page::next`] of the page before.
    pub after: Option<String>,
    /// Order.
    pub sort: SortBy,
    /// Greatest first.
    pub descending: bool,
    /// Filters.
    pub filters: Vec<Filter>,
    /// Only what a reader of this scope may see; None: everything.
    pub visible: Option<Scope>,
}

/// One page. It may be short although another follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Leads to the next page; None on the last.
    pub next: Option<String>,
}

/// Versions of a secret, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Versions {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The versions; never the placeholder of a rotation.
    pub versions: Vec<VersionEntry>,
    /// Leads to the next page; None on the last.
    pub next: Option<String>,
}

/// A version without its value.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionEntry {
    /// The version.
    pub version_id: VersionId,
    /// Its labels, alphabetically; empty for a deprecated one.
    pub stages: Vec<String>,
    /// When it got its value.
    pub created: Time,
    /// The day (00:00:00Z) it was last read.
    pub accessed: Option<Time>,
    /// The KmsKeyId it was written under; None is the default key.
    pub kms_key_id: Option<String>,
}

/// A secret's rotation, as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct RotationView {
    /// The secret's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The machine's state.
    pub rotation: Rotation,
    /// None: never configured.
    pub config: Option<RotationConfig>,
    /// Its settings, also those that wait for a configuration.
    pub options: engine::port::Options,
    /// Nothing is done until it is resumed.
    pub paused: bool,
    /// Nothing is done until the rotator that serves it is enabled.
    pub rotator_disabled: bool,
    /// A registered rotator serves it, and no built-in one.
    pub registered: bool,
    /// The planned moment of the next act.
    pub due: Option<Time>,
    /// The window planned for.
    pub window: Option<Window>,
    /// The last second of that window.
    pub next_rotation: Option<Time>,
    /// When a rotation last succeeded.
    pub rotated: Option<Time>,
    /// From when the schedule counts: the last rotation, manual write or first configuration.
    pub base: Option<Time>,
    /// Values the target may hold beside AWSCURRENT.
    pub candidates_unresolved: u32,
    /// How the latest test of the configuration went, if the history still has it.
    pub last_test: Option<HistoryEntry>,
    /// What is known of whether AWSCURRENT logs in.
    pub verified: LastVerified,
    /// When it is tried next; None: not by schedule.
    pub verify_due: Option<Time>,
}

/// A line of a secret's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Grows with time.
    pub id: i64,
    /// The rotation's token.
    pub token: Option<String>,
    /// `step`, or what was noted: `requested`, `succeeded`, `parked`, …
    pub kind: String,
    /// The step, for kind `step`.
    pub step: Option<String>,
    /// Failures in a row before it.
    pub attempt: u32,
    /// Who or what started the rotation, or did this.
    pub by: Option<String>,
    /// When it began, or happened.
    pub started: Time,
    /// When the step ended; None while it is under way, or when whoever ran it died.
    pub ended: Option<Time>,
    /// `done`, or the verdict.
    pub verdict: Option<String>,
    /// A sentence without secrets.
    pub message: String,
}

/// A leased secret whose rotation has something to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The right to drive it.
    pub lease: Lease,
    /// The secret's name.
    pub name: String,
    /// The state as claimed.
    pub rotation: Rotation,
    /// RotationLambdaARN as given.
    pub rotator: Option<String>,
    /// The registered rotator that serves it; empty: a built-in one.
    pub lane: String,
    /// The open or missed window, for an idle secret that is due.
    pub window: Option<Window>,
}

/// Counts for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationCounts {
    /// Secrets whose rotation is enabled.
    pub enabled: u64,
    /// Idle, with a planned moment.
    pub scheduled: u64,
    /// Something may be done now.
    pub due: u64,
    /// Idle, and the planned window has closed.
    pub overdue: u64,
    /// Waiting for a person.
    pub parked: u64,
    /// Open in any state, parked included.
    pub open: u64,
    /// AWSCURRENT was found not to log in.
    pub drifted: u64,
    /// Age of the oldest AWSCURRENT of secrets whose rotation is enabled, in seconds; None where there is none.
    pub oldest_current_seconds: Option<u64>,
}

/// What a principal is there for; what each may do is decided where requests are authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Whoever runs the server.
    Administrator,
    /// A service that reads its secrets.
    Reader,
    /// A rotation function.
    Rotator,
    /// One call of a rotation function, with credentials the server made for it. No key has this role.
    Rotation,
}

/// Who signs requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its name.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// Which secrets it is there for; an administrator's is empty and means nothing.
    pub scope: Scope,
}

/// An access key that may sign requests.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// `AKIA…`.
    pub access_key_id: String,
    /// What signs.
    pub secret: SecretBytes,
    /// Who signs.
    pub principal: Arc<Principal>,
    /// False: refuse it.
    pub enabled: bool,
}

/// An access key just made: the one time its secret is shown.
#[derive(Debug, Clone)]
pub struct NewAccessKey {
    /// `AKIA` and 16 of `A-Z2-7`.
    pub access_key_id: String,
    /// 40 characters.
    pub secret: SecretBytes,
    /// Who signs.
    pub principal: String,
    /// Always true.
    pub enabled: bool,
}

/// An access key as lists show it: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyEntry {
    /// `AKIA…`.
    pub access_key_id: String,
    /// Who signs.
    pub principal: Principal,
    /// False: it is refused.
    pub enabled: bool,
    /// When it was made.
    pub created: Time,
}

/// Temporary credentials just made: the one time their secret is shown.
#[derive(Debug, Clone)]
pub struct Session {
    /// `ASIA` and 16 of `A-Z2-7`.
    pub access_key_id: String,
    /// 40 characters.
    pub secret: SecretBytes,
    /// The session token, which every request carries.
    pub token: String,
    /// From then on it is refused.
    pub expires: Time,
}

/// What a session token says.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    /// What signs.
    pub secret: SecretBytes,
    /// Where it comes from.
    pub origin: Origin,
    /// From then on it is refused.
    pub expires: Time,
}
