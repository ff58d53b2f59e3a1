//! Errors as they go over the wire: AWS's code, text and status. The one table from the store's errors to AWS's.
//!
//! A text here may hold names, version ids and labels; never a value.

use std::borrow::Cow;

use axum::http::StatusCode;
use engine::rotation::Refusal as RotationRefusal;
use serde::Serialize;
use store::{StoreError, causes};

use crate::sigv4;

/// The answer to a request that was not carried out.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    message: Option<Cow<'static, str>>,
    /// What to write into the log; the client is not told.
    pub(crate) fault: Option<String>,
    /// Nothing was done, and the same request may succeed in a moment.
    pub(crate) passing: bool,
}

/// The error shapes of the service's model; all others spell `message` in lower case.
const MODELLED: [&str; 12] = [
    "DecryptionFailure",
    "EncryptionFailure",
    "InternalServiceError",
    "InvalidNextTokenException",
    "InvalidParameterException",
    "InvalidRequestException",
    "LimitExceededException",
    "MalformedPolicyDocumentException",
    "PreconditionNotMetException",
    "PublicPolicyException",
    "ResourceExistsException",
    "ResourceNotFoundException",
];

impl ApiError {
    fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: Some(message.into()), fault: None, passing: false }
    }

    fn silent(code: &'static str) -> Self {
        Self { message: None, ..Self::new(code, "") }
    }

    pub(crate) fn invalid_parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("InvalidRequestException", message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    pub(crate) fn exists(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ResourceExistsException", message)
    }

    pub(crate) fn limit(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("LimitExceededException", message)
    }

    /// The document is no resource policy, or not one that can be attached.
    pub(crate) fn malformed_policy(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("MalformedPolicyDocumentException", message)
    }

    /// The policy lets everybody in, which the caller asked to be kept from.
    pub(crate) fn public_policy(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("PublicPolicyException", message)
    }

    /// There is no such parameter in Parameter Store.
    pub(crate) fn parameter_not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ParameterNotFound", message)
    }

    fn saying(self, message: &'static str) -> Self {
        Self { message: Some(Cow::Borrowed(message)), ..self }
    }

    /// Our fault, under the name it has in Parameter Store.
    pub(crate) fn of_parameters(self) -> Self {
        Self { code: "InternalServerError", ..self }
    }

    /// What the caller is told.
    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    pub(crate) fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn access_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("AccessDeniedException", message)
    }

    /// The body is no JSON object.
    pub(crate) fn not_json() -> Self {
        Self::silent("SerializationException")
    }

    /// A member has another type than it must.
    pub(crate) fn wrong_type(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("SerializationException", message)
    }

    pub(crate) fn unknown_operation() -> Self {
        Self::silent("UnknownOperationException")
    }

    pub(crate) fn content_type() -> Self {
        Self::new("UnknownOperationException", "Content-Type must be application/x-amz-json-1.1")
    }

    pub(crate) fn method() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..Self::new("UnknownOperationException", "Every operation is a POST to /")
        }
    }

    pub(crate) fn too_large() -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::new("RequestEntityTooLargeException", "The request is too large")
        }
    }

    /// The body did not come in time.
    pub(crate) fn too_slow() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            ..Self::new("RequestTimeoutException", "The body of the request did not come in time.")
        }
    }

    /// Our fault; `fault` is for the log.
    pub(crate) fn internal(fault: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            fault: Some(fault.into()),
            ..Self::new("InternalServiceError", "An error occurred on the server side.")
        }
    }

    /// Modelled errors spell `Message`, the rest `message`, as AWS does.
    pub(crate) fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(rename = "__type")]
            code: &'a str,
            #[serde(rename = "Message", skip_serializing_if = "Option::is_none")]
            modelled: Option<&'a str>,
            #[serde(rename = "message", skip_serializing_if = "Option::is_none")]
            other: Option<&'a str>,
        }
        let is_modelled = MODELLED.contains(&self.code);
        let message = self.message.as_deref();
        let body = Body {
            code: self.code,
            modelled: message.filter(|_| is_modelled),
            other: message.filter(|_| !is_modelled),
        };
        serde_json::to_vec(&body).expect("texts are JSON")
    }
}

impl From<sigv4::Refusal> for ApiError {
    fn from(refusal: sigv4::Refusal) -> Self {
        Self::new(refusal.code(), refusal.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        use StoreError as E;
        match error {
            E::SecretNotFound => Self::not_found("Secrets Manager can't find the specified secret."),
            E::VersionNotFound(id) => {
                Self::not_found(format!("Secrets Manager can't find the specified secret value for VersionId: {id}"))
            }
            E::StageNotFound(label) => Self::not_found(format!(
                "Secrets Manager can't find the specified secret value for staging label: {label}"
            )),
            E::StageNotOfVersion => {
                Self::invalid_request("You provided a VersionStage that is not associated to the provided VersionId.")
            }
            E::MarkedForDeletion => Self::invalid_request(
                "You can't perform this operation on the secret because it was marked for deletion.",
            ),
            E::HasReplicas { id, regions } => Self::invalid_parameter(format!(
                "You can't delete secret {id} that still has replica regions [{}]",
                regions.join(", ")
            )),
            E::NameTaken(name) => {
                Self::exists(format!("The operation failed because the secret {name} already exists."))
            }
            E::NameScheduledForDeletion => Self::invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ),
            E::TokenInUse { token, arn } => Self::exists(format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a version of \
                 secret {arn}."
            )),
            E::BadCursor => Self::new("InvalidNextTokenException", "The NextToken value is not valid."),
            E::RemoveFromRequired { .. }
            | E::CurrentCannotBeRemoved
            | E::NotHolder { .. }
            | E::NoSuchVersion(_)
            | E::NothingToMove
            | E::BadLabel(_)
            | E::LabelQuota => of_label(&error),
            E::TagQuota => Self::invalid_parameter("A secret can have at most 50 tags."),
            E::VersionQuota => Self::limit(
                "The secret has too many versions, and those without staging labels are less than a day old.",
            ),
            E::RotationOpen => {
                Self::invalid_request("A previous rotation isn't complete. That rotation will be reattempted.")
            }
            E::NoRotator => Self::invalid_request("No Lambda rotation function ARN is associated with this secret."),
            E::NoValue => Self::invalid_request("The secret has no value to rotate: write one first."),
            E::AllPaused { .. } | E::Blackout { .. } => of_fleet(&error),
            E::NotOpen => Self::invalid_request("No rotation of this secret is open."),
            E::AccessKeyNotFound
            | E::PrincipalNotFound(_)
            | E::PrincipalDiffers(_)
            | E::KeyQuota(_)
            | E::LastAdministratorKey => of_key(error),
            E::RotatorNotFound(_)
            | E::RotatorExists(_)
            | E::RotatorChanged(_)
            | E::RotatorDisabled(_)
            | E::RotatorInUse { .. }
            | E::TooManyKeys(_)
            | E::NoSigningKey(_)
            | E::DeliveryNotFound
            | E::DeliveryIsPast
            | E::DeliveryUnderWay
            | E::RotationPaused => of_rotator(error),
            E::Held => Self::invalid_request(
                "The store was brought back from a backup, or a failover has lost writes of it, and AWSCURRENT of this secret has \
                 not been seen to log in since: nothing of it is changed until then. `pawl store status` says what was found; \
                 `pawl rotation reconcile` sets AWSCURRENT again where it does not log in.",
            ),
            E::SubscriptionNotFound(_)
            | E::SubscriptionExists(_)
            | E::SubscriptionChanged(_)
            | E::SubscriptionQuota(_)
            | E::SubscriptionKeys(_)
            | E::EventsPruned { .. }
            | E::DeadLetterNotFound { .. } => of_subscription(error),
            E::RotationUnderWay
            | E::InGrace(_)
            | E::NoPrevious
            | E::NothingToCarry(_)
            | E::SameAsCurrent(_)
            | E::MakesValues(_) => of_way_back(error),
            E::BadRotationToken => {
                Self::invalid_parameter("The rotation token is not valid for this secret, version and time.")
            }
            E::NotWithinRotation => Self::access_denied(
                "These credentials are for one version while its rotation is open: it makes another version, or is over, or \
                 its rotator is disabled.",
            ),
            E::AdminDiffers => Self::access_denied(
                "A rotation function may not name another admin secret (masterarn) than the current value does.",
            ),
            E::Refused(refusal) => of_rotation(&refusal),
            E::Schedule(error) => Self::invalid_parameter(error.to_string()),
            E::Setting(error) => Self::invalid_parameter(error.to_string()),
            E::AccountShared { secrets } => account_shared(&secrets),
            E::ManagedElsewhere { .. } | E::ManagedHere => managed(&error),
            E::Sealed(_) => Self {
                fault: Some(causes(&error)),
                ..Self::new(
                    "DecryptionFailure",
                    "The protected secret text can't be decrypted with the keys of this server.",
                )
            },
            E::Again | E::Away(_) => Self { passing: true, ..Self::internal(causes(&error)) },
            E::Unknown => Self {
                fault: Some(causes(&error)),
                ..Self::internal("")
                    .saying("The connection to the store was lost while it was written: it may have been done. Repeat the request with the same ClientRequestToken.")
            },
            E::Inconsistent { .. } | E::HalfCopied(_) | E::Busy | E::Unreached(_) | E::Database(_) => {
                Self::internal(causes(&error))
            }
        }
    }
}

/// Two who change one password would each make the other's value wrong.
fn managed(error: &store::StoreError) -> ApiError {
    match error {
        store::StoreError::ManagedElsewhere { by } => ApiError::invalid_request(format!(
            "Something else manages the credential of this secret (the tag {} says: {by}): it is not changed from here. \
             Take the tag away if that is over.",
            store::MANAGED_ELSEWHERE
        )),
        _ => ApiError::invalid_request(format!(
            "This secret is rotated from here, so nothing else may manage its credential: stop its rotation first (pawl \
             rotation disable), let an open one end, and then set the tag {}.",
            store::MANAGED_ELSEWHERE
        )),
    }
}

/// Two rotations of one account would each make the other's password wrong.
fn account_shared(secrets: &[String]) -> ApiError {
    let names = secrets.join(", ");
    let first = secrets.first().map_or("", String::as_str);
    ApiError::invalid_request(format!(
        "The account of this secret is also that of {names}, which is rotated: each rotation would make the value of the \
         other wrong. Have services read {first} instead, or stop its rotation first (pawl rotation disable {first})."
    ))
}

/// What a start is refused for while nothing starts.
fn of_fleet(error: &StoreError) -> ApiError {
    let shown = |time: &engine::Time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    match error {
        StoreError::AllPaused { by, since, reason } => ApiError::invalid_request(format!(
            "All rotations were paused by {by} at {}: {reason}. Nothing starts until `pawl rotation resume --all`.",
            shown(since)
        )),
        StoreError::Blackout { ends } => ApiError::invalid_request(format!(
            "A blackout is in force until {}: nothing starts in it. `pawl rotation now --force` starts all the same.",
            shown(ends)
        )),
        other => ApiError::internal(causes(other)),
    }
}

/// What UpdateSecretVersionStage and writes with labels are refused for.
fn of_label(error: &StoreError) -> ApiError {
    use StoreError as E;
    match error {
        E::RemoveFromRequired { label, holder } => ApiError::invalid_parameter(format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version \
             {holder}, so you must explicitly reference that version in RemoveFromVersionId."
        )),
        E::CurrentCannotBeRemoved => ApiError::invalid_parameter(
            "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.",
        ),
        E::NotHolder { label, .. } => ApiError::invalid_parameter(format!(
            "When you move staging label {label}, if you specify RemoveFromVersionId, it must be set to the version \
             that currently has the staging label {label}."
        )),
        E::NoSuchVersion(id) => ApiError::invalid_parameter(format!("Not a valid version: {id}")),
        E::LabelQuota => ApiError::limit("A secret can have at most 20 staging labels across all its versions."),
        E::BadLabel(_) => ApiError::invalid_parameter("A staging label has 1 to 256 characters."),
        _ => ApiError::invalid_parameter("You must provide MoveToVersionId or RemoveFromVersionId."),
    }
}

/// What operations on access keys are refused for.
fn of_key(error: StoreError) -> ApiError {
    use StoreError as E;
    match error {
        E::AccessKeyNotFound => ApiError::not_found("There is no access key of this id."),
        E::PrincipalNotFound(name) => ApiError::not_found(format!("There is no principal {name}.")),
        E::PrincipalDiffers(name) => ApiError::exists(format!(
            "The principal {name} exists with another role or other secrets. Its keys share what they may do: choose \
             another name, or delete its keys first."
        )),
        E::KeyQuota(name) => ApiError::limit(format!(
            "The principal {name} has two access keys, which is the most. Delete one of them first; disable it before \
             that to see that nothing uses it any more."
        )),
        _ => ApiError::invalid_request(
            "This is the last enabled access key of an administrator: without it nobody could administer this server.",
        ),
    }
}

/// What operations on registered rotators are refused for.
fn of_rotator(error: StoreError) -> ApiError {
    use StoreError as E;
    match error {
        E::RotatorNotFound(name) => ApiError::not_found(format!("No rotator {name} is registered.")),
        E::RotatorExists(name) => ApiError::exists(format!("A rotator {name} is registered: choose another name.")),
        E::RotatorChanged(name) => ApiError::invalid_request(format!(
            "The rotator {name} was changed by somebody else at the same moment: look at it and try again."
        )),
        E::RotatorDisabled(name) => {
            ApiError::invalid_request(format!("The rotator {name} is disabled; enable it first."))
        }
        E::RotatorInUse { name, count, secrets } => {
            let more = count.saturating_sub(secrets.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            ApiError::invalid_request(format!(
                "The rotator {name} serves these secrets: {}{more}. Give them another rotator, or delete them, first.",
                secrets.join(", ")
            ))
        }
        E::TooManyKeys(name) => ApiError::invalid_request(format!(
            "Two signing keys of the rotator {name} are live, and its receiver may still go by the older one: wait until \
             that ends, or give Replace (--replace) to end it now."
        )),
        E::NoSigningKey(name) => ApiError::invalid_request(format!(
            "The rotator {name} is a function, which gets no signature of this server's: it has no signing key."
        )),
        E::DeliveryNotFound => ApiError::not_found("This rotator has no delivery of this number."),
        E::DeliveryIsPast => ApiError::invalid_request(
            "The rotation has moved on from that step: sending it again could set an old value.",
        ),
        E::DeliveryUnderWay => ApiError::invalid_request("That step is under way: wait until it has ended."),
        _ => ApiError::invalid_request("The rotation of this secret is paused: resume it first."),
    }
}

/// What operations on events are refused for.
fn of_subscription(error: StoreError) -> ApiError {
    use StoreError as E;
    match error {
        E::SubscriptionNotFound(name) => ApiError::not_found(format!("There is no subscription {name}.")),
        E::SubscriptionExists(name) => ApiError::exists(format!("A subscription {name} exists: choose another name.")),
        E::SubscriptionQuota(most) => {
            ApiError::limit(format!("There are {most} subscriptions, which is the most. Delete one of them first."))
        }
        E::SubscriptionKeys(name) => ApiError::invalid_request(format!(
            "Two signing keys of the subscription {name} are live, and its receiver may still go by the older one: wait \
             until that ends, or give Replace (--replace) to end it now."
        )),
        E::EventsPruned { oldest } => ApiError::invalid_request(format!(
            "Events are kept from offset {oldest} on: what was before is pruned and cannot be sent again."
        )),
        E::DeadLetterNotFound { subscription, id } => ApiError::not_found(format!(
            "There is no dead letter {id} of {subscription}, or no more; nothing was done. `pawl events dead-letters \
             {subscription}` lists them."
        )),
        _ => ApiError::invalid_request(
            "The subscription was changed by somebody else at the same moment: look at it and try again.",
        ),
    }
}

/// What rollbacks, reconciling and looks at the target are refused for.
fn of_way_back(error: StoreError) -> ApiError {
    use StoreError as E;
    match error {
        E::InGrace(until) => ApiError::invalid_request(format!(
            "The credential before AWSCURRENT has its grace until {}: wait until that is over, or call its end off with \
             `pawl rotation abandon`, which leaves that credential as it is.",
            until.format("%Y-%m-%d %H:%M:%S UTC")
        )),
        E::NoPrevious => ApiError::invalid_request("No version carries AWSPREVIOUS: name the version to go back to."),
        E::NothingToCarry(version) => {
            ApiError::not_found(format!("There is no version {version} with a value to go back to."))
        }
        E::SameAsCurrent(version) => ApiError::invalid_request(format!(
            "Version {version} has the very value of AWSCURRENT: there is nothing to go back to."
        )),
        E::MakesValues(name) => ApiError::invalid_request(format!(
            "The rotator {name} makes its values by itself and cannot be given an earlier one: rotate instead."
        )),
        _ => ApiError::invalid_request(
            "A rotation of this secret is open, and what it sets cannot be told from what others do: wait until it has \
             ended (`pawl rotation status`).",
        ),
    }
}

/// What commands to an open rotation are refused for.
fn of_rotation(refusal: &RotationRefusal) -> ApiError {
    if *refusal == RotationRefusal::NotGivenUp {
        return ApiError::invalid_request(
            "The rotation has not been given up: abandon it first, and say that AWSCURRENT works when it cannot be proven. \
             Where the secret has no value yet there is nothing to vouch for: write one.",
        );
    }
    let mut text = refusal.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    ApiError::invalid_request(format!("{text}."))
}
