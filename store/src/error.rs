//! What the store says when it does not do what was asked. No variant carries a secret.

use std::path::PathBuf;

use engine::Time;
use engine::label::LabelError;
use engine::rotation::Refusal;
use engine::schedule::ScheduleError;
use engine::settings::SettingError;
use sqlx::postgres::PgDatabaseError;

/// An error and what is behind it, as one line for the log or for whoever starts the server.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut behind = error.source();
    while let Some(cause) = behind {
        let said = cause.to_string();
        // Some errors repeat what is behind them.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        behind = cause.source();
    }
    text
}

/// Why a call did nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No secret answers to this id.
    #[error("no such secret")]
    SecretNotFound,
    /// The secret has no readable version of this id.
    #[error("no value for version {0}")]
    VersionNotFound(String),
    /// No readable version carries this label.
    #[error("no value for staging label {0}")]
    StageNotFound(String),
    /// The version exists and does not carry the label that was asked for with it.
    #[error("the label is not on that version")]
    StageNotOfVersion,
    /// Deletion is planned.
    #[error("the secret is marked for deletion")]
    MarkedForDeletion,
    /// A secret with replicas cannot be deleted.
    #[error("the secret {id} has replicas")]
    HasReplicas {
        /// The secret, as the caller named it.
        id: String,
        /// Where they are.
        regions: Vec<String>,
    },
    /// A secret of this name exists.
    #[error("the secret {0} exists")]
    NameTaken(String),
    /// A secret of this name waits for its deletion.
    #[error("a secret of this name is scheduled for deletion")]
    NameScheduledForDeletion,
    /// The token names a version with another value.
    #[error("token {token} is in use for a version of {arn}")]
    TokenInUse {
        /// The token.
        token: String,
        /// The secret.
        arn: String,
    },
    /// The label sits elsewhere and the caller did not say where.
    #[error("label {label} is on version {holder}, which must be named")]
    RemoveFromRequired {
        /// The label.
        label: String,
        /// The version that holds it.
        holder: String,
    },
    /// AWSCURRENT can only be moved.
    #[error("AWSCURRENT can only be moved")]
    CurrentCannotBeRemoved,
    /// The label is not on the version it is to be taken from.
    #[error("label {label} is not on version {version}")]
    NotHolder {
        /// The label.
        label: String,
        /// The version named.
        version: String,
    },
    /// A label is to be put on a version that does not exist or has no value.
    #[error("no such version: {0}")]
    NoSuchVersion(String),
    /// Neither a version to move to nor one to remove from.
    #[error("nothing to move")]
    NothingToMove,
    /// The label is not one: empty or longer than 256 characters.
    #[error("not a staging label: {0}")]
    BadLabel(String),
    /// More than twenty labels on one secret.
    #[error("too many staging labels")]
    LabelQuota,
    /// More than fifty tags on one secret.
    #[error("too many tags")]
    TagQuota,
    /// More versions than a secret may have, and none may be pruned yet.
    #[error("too many versions")]
    VersionQuota,
    /// A rotation is open, or AWSPENDING sits on a version that is not AWSCURRENT.
    #[error("a previous rotation isn't complete")]
    RotationOpen,
    /// No rotator is set and none is built in for this secret.
    #[error("no rotator")]
    NoRotator,
    /// The secret has no value to rotate.
    #[error("the secret has no value")]
    NoValue,
    /// The schedule is not one.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Settings that contradict each other, or a tag that says none.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Another secret is for the same account, and is rotated.
    #[error("the account is rotated by {} already", .secrets.join(", "))]
    AccountShared {
        /// The names of those secrets.
        secrets: Vec<String>,
    },
    /// Something else changes this credential: the tag `pawl:managed-elsewhere` says so.
    #[error("the credential is managed elsewhere: {by}")]
    ManagedElsewhere {
        /// What the tag says.
        by: String,
    },
    /// The tag `pawl:managed-elsewhere` on a secret that is rotated from here.
    #[error("the secret is rotated from here")]
    ManagedHere,
    /// A page cursor that the store did not make for this query.
    #[error("not a cursor of this query")]
    BadCursor,
    /// There is no open rotation to do this to.
    #[error("no rotation is open")]
    NotOpen,
    /// The machine does not take the event in this state.
    #[error(transparent)]
    Refused(Refusal),
    /// No access key has this id.
    #[error("no such access key")]
    AccessKeyNotFound,
    /// No principal has this name.
    #[error("no such principal: {0}")]
    PrincipalNotFound(String),
    /// The principal exists with another role or scope.
    #[error("the principal {0} has another role or other secrets")]
    PrincipalDiffers(String),
    /// A principal has two access keys at most.
    #[error("the principal {0} has two access keys already")]
    KeyQuota(String),
    /// Without this key nobody could administer the server any more.
    #[error("this is the last enabled access key of an administrator")]
    LastAdministratorKey,
    /// The value names another admin secret than AWSCURRENT's value does, and its writer may not do that.
    #[error("the value names another admin secret")]
    AdminDiffers,
    /// No rotator of this name is registered.
    #[error("no such rotator: {0}")]
    RotatorNotFound(String),
    /// A rotator of this name is registered.
    #[error("the rotator {0} exists")]
    RotatorExists(String),
    /// The rotator was changed since the caller looked at it.
    #[error("the rotator {0} was changed meanwhile")]
    RotatorChanged(String),
    /// The rotator is not called until it is enabled again.
    #[error("the rotator {0} is disabled")]
    RotatorDisabled(String),
    /// Secrets name the rotator as theirs.
    #[error("the rotator {name} serves {count} secrets")]
    RotatorInUse {
        /// The rotator.
        name: String,
        /// How many secrets it serves.
        count: u64,
        /// The first of their names.
        secrets: Vec<String>,
    },
    /// Two keys of the rotator sign already; a third would end one that its receiver may still go by.
    #[error("two signing keys of the rotator {0} are live")]
    TooManyKeys(String),
    /// Nothing that is sent to this rotator is signed with a key of ours.
    #[error("the rotator {0} has no signing key")]
    NoSigningKey(String),
    /// There is no subscription of this name.
    #[error("no such subscription: {0}")]
    SubscriptionNotFound(String),
    /// A subscription of this name exists.
    #[error("the subscription {0} exists")]
    SubscriptionExists(String),
    /// The subscription was changed since the caller looked at it.
    #[error("the subscription {0} was changed meanwhile")]
    SubscriptionChanged(String),
    /// There are as many subscriptions as there may be.
    #[error("there are {0} subscriptions, which is the most")]
    SubscriptionQuota(i64),
    /// Two keys of the subscription sign already.
    #[error("two signing keys of the subscription {0} are live")]
    SubscriptionKeys(String),
    /// The events that are asked for are not kept any more.
    #[error("events are kept from offset {oldest} on")]
    EventsPruned {
        /// The first that is kept.
        oldest: i64,
    },
    /// The subscription has no dead letter of this number, or has it no more.
    #[error("no dead letter {id} of {subscription}")]
    DeadLetterNotFound {
        /// The subscription.
        subscription: String,
        /// The number.
        id: i64,
    },
    /// The rotator has no delivery of this number.
    #[error("no such delivery")]
    DeliveryNotFound,
    /// The rotation is not, or no longer, where that delivery was sent.
    #[error("the rotation has moved on")]
    DeliveryIsPast,
    /// What was delivered is being delivered.
    #[error("the step is under way")]
    DeliveryUnderWay,
    /// Everything is paused.
    #[error("all rotations were paused by {by}")]
    AllPaused {
        /// Who did that.
        by: String,
        /// When.
        since: Time,
        /// Why.
        reason: String,
    },
    /// Nothing starts now unless somebody insists.
    #[error("a blackout until {ends}")]
    Blackout {
        /// When it ends.
        ends: Time,
    },
    /// Nothing of the secret is done until its rotation is resumed.
    #[error("the rotation is paused")]
    RotationPaused,
    /// The store may be older than the target: AWSCURRENT is to be seen to log in before anything is changed.
    #[error("the store was brought back and AWSCURRENT has not been seen to log in since")]
    Held,
    /// A rotation token that is not this secret's, not this version's, too old, or of a rotation that is over.
    #[error("the rotation token is not valid")]
    BadRotationToken,
    /// The rotation that the caller's credentials were made for is over, or makes another version; or its rotator is
    /// called no more.
    #[error("the rotation of these credentials is over, or its rotator is disabled")]
    NotWithinRotation,
    /// A sealed row does not open: another keyring, or somebody changed the row.
    #[error("a sealed row does not open")]
    Sealed(#[from] crypto::SealError),
    /// What is open just now stands in the way of looking at the target, or of working on it beside a rotation.
    #[error("a rotation is open")]
    RotationUnderWay,
    /// Until then the credential before AWSCURRENT has its grace.
    #[error("the grace of the credential before AWSCURRENT lasts until {0}")]
    InGrace(engine::Time),
    /// No version carries AWSPREVIOUS.
    #[error("there is no AWSPREVIOUS")]
    NoPrevious,
    /// The version has no value to go back to, or is not there.
    #[error("version {0} has no value")]
    NothingToCarry(String),
    /// The version has the very value of AWSCURRENT.
    #[error("version {0} has the value of AWSCURRENT")]
    SameAsCurrent(String),
    /// Whoever serves the secret makes its values by itself, and cannot be given one.
    #[error("the rotator {0} makes its values by itself")]
    MakesValues(String),
    /// Another store was being copied into this one, and that has not ended.
    #[error("a copy of {0} into this store was cut short: make it again with `pawl store copy`")]
    HalfCopied(String),
    /// The database contradicts us; never retried.
    #[error("the database contradicts itself: {what}")]
    Inconsistent {
        /// What was found, without secrets.
        what: String,
    },
    /// Another writer held the database too long.
    #[error("the database is busy")]
    Busy,
    /// Somebody else was at the same thing at the same moment. Nothing was changed; asked again, it may be.
    #[error("another node was changing the same")]
    Again,
    /// The database does not answer, or broke the connection off. Nothing was changed; asked again, it may be.
    #[error("the database cannot be reached")]
    Away(#[source] sqlx::Error),
    /// No connection to the database is to be had. Nothing was changed.
    #[error("the store is not reached: {0}")]
    Unreached(String),
    /// The connection was lost when the change was being committed, and nobody could tell what became of it.
    #[error("the connection to the database was lost at the commit: the change may have been made")]
    Unknown,
    /// The database could not be read or written; nothing was changed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent { what: what.into() }
    }

    /// Nothing was changed, and the same call may succeed in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Again | Self::Away(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let postgres = postgres_code(&error).map(|code| match code {
            // Serialization, deadlock, a lock that was not to be had; a row that somebody else was quicker to make; a
            // transaction that the server gave up because we stood still.
            "40001" | "40P01" | "55P03" | "23505" | "25P03" | "25P04" => Some(Self::Again),
            "57014" => Some(Self::Busy),
            _ => None,
        });
        match (postgres, error) {
            (Some(Some(known)), _) => known,
            (_, error) if is_lost(&error) => Self::Away(error),
            (None, sqlx::Error::PoolTimedOut) => Self::Busy,
            (None, sqlx::Error::Database(inner)) if inner.code().is_some_and(|code| is_busy(&code)) => Self::Busy,
            (_, sqlx::Error::ColumnDecode { index, .. }) => {
                Self::inconsistent(format!("column {index} does not decode"))
            }
            (_, error) => Self::Database(error),
        }
    }
}

/// SQLite's BUSY and LOCKED, whatever more they say.
fn is_busy(code: &str) -> bool {
    code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
}

/// PostgreSQL's SQLSTATE.
fn postgres_code(error: &sqlx::Error) -> Option<&str> {
    let sqlx::Error::Database(inner) = error else { return None };
    inner.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code)
}

/// The connection is gone, or there is no server that writes: of a commit this says nothing.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        _ => postgres_code(error).is_some_and(|code| {
            code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "53300" | "25006")
        }),
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Open => Self::RotationOpen,
            Refusal::NoneOpen => Self::NotOpen,
            other => Self::Refused(other),
        }
    }
}

impl From<LabelError> for StoreError {
    fn from(error: LabelError) -> Self {
        match error {
            LabelError::RemoveFromRequired { label, holder } => {
                Self::RemoveFromRequired { label, holder: holder.to_string() }
            }
            LabelError::CurrentCannotBeRemoved => Self::CurrentCannotBeRemoved,
            LabelError::NotHolder { label, version } => Self::NotHolder { label, version: version.to_string() },
            LabelError::NoSuchVersion(version) => Self::NoSuchVersion(version.to_string()),
            LabelError::NothingToMove => Self::NothingToMove,
            LabelError::TooMany => Self::LabelQuota,
            LabelError::BadLabel(label) => Self::BadLabel(label),
        }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The directory or a file in it could not be made or opened.
    #[error("cannot use {path}")]
    Directory {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A restore or a copy into it was cut short: it is neither what it was nor what it is to be.
    #[error("a restore into {0} was cut short: run `pawl store restore` again with --replace")]
    CutShort(PathBuf),
    /// The keyring does not open this store: it belongs to another one. Nothing was changed.
    #[error("the keyring does not belong to this store: its check row does not open")]
    WrongKeyring,
    /// A database that another node made a moment ago, or long ago, with a keyring of its own.
    #[error("the keyring does not belong to the store: another node made it. Copy the keyring of that node here")]
    ForeignStore,
    /// The database could not be reached or logged into.
    #[error("cannot connect to {location}: {why}")]
    Connect {
        /// Which, without its password.
        location: String,
        /// Why, and what to do.
        why: String,
    },
    /// The store was copied elsewhere, and that one is served.
    #[error("{}", crate::moved::said(.directory, .to))]
    Moved {
        /// Where it was.
        directory: PathBuf,
        /// Where it is, without a password.
        to: String,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Reading or writing failed while opening.
    #[error("the store could not be read while opening it")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
