//! The operation table, and the way every call goes: parse, authorise, check, carry out, spell the reply.
//!
//! One file an operation. A new operation is its file and one line of the table below.

mod batch_get_secret_value;
mod cancel_rotate_secret;
mod create_secret;
mod delete_resource_policy;
mod delete_secret;
mod describe_secret;
mod get_random_password;
mod get_resource_policy;
pub(crate) mod get_secret_value;
mod list_secret_version_ids;
mod list_secrets;
mod pawl_abandon_rotation;
mod pawl_accept_clock;
mod pawl_check_rotation;
mod pawl_check_rotator;
mod pawl_create_access_key;
mod pawl_create_rotator;
mod pawl_create_session;
mod pawl_create_subscription;
mod pawl_declare_reader;
mod pawl_delete_access_key;
mod pawl_delete_rotator;
mod pawl_delete_subscription;
mod pawl_describe_keyring;
mod pawl_describe_limits;
mod pawl_describe_rotation;
mod pawl_describe_rotator;
mod pawl_describe_store;
mod pawl_describe_subscription;
mod pawl_discard_dead_letters;
mod pawl_enable_rotation;
mod pawl_end_grace;
mod pawl_leave_verify_only;
mod pawl_list_access_keys;
mod pawl_list_dead_letters;
mod pawl_list_deliveries;
mod pawl_list_events;
mod pawl_list_readers;
mod pawl_list_rotation_history;
mod pawl_list_rotators;
mod pawl_list_subscriptions;
mod pawl_pause_all;
mod pawl_pause_rotation;
mod pawl_prepare_rotation;
mod pawl_preview_rotation;
mod pawl_reconcile_rotation;
mod pawl_redeliver;
mod pawl_redeliver_dead_letters;
mod pawl_replay_events;
mod pawl_resume_all;
mod pawl_resume_rotation;
mod pawl_rollback_rotation;
mod pawl_rotate_signing_key;
mod pawl_rotate_subscription_key;
mod pawl_start_rotation;
mod pawl_test_rotator;
mod pawl_update_access_key;
pub(crate) mod pawl_update_limits;
mod pawl_update_rotator;
mod pawl_update_subscription;
mod pawl_verify_rotation;
mod pawl_wait_for_current;
mod put_resource_policy;
mod put_secret_value;
mod remove_regions_from_replication;
mod replicate_secret_to_regions;
mod restore_secret;
mod rotate_secret;
mod ssm_get_parameter;
mod ssm_get_parameters;
mod stop_replication_to_replica;
mod tag_resource;
mod untag_resource;
mod update_secret;
mod update_secret_version_stage;
mod validate_resource_policy;

use std::future::Future;
use std::pin::Pin;

use engine::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::audit::NotKept;
use crate::authorize::authorize;
use crate::call::Notes;
use crate::caller::Caller;
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::members::Asks;
use crate::sigv4::{self, Verified};
use crate::state::ApiState;
use crate::wire;

/// What an operation works with. Made only from a [`Verified`] request.
pub(crate) struct Cx<'a> {
    pub(crate) state: &'a ApiState,
    pub(crate) now: Time,
    /// For the audit trail: an operation that is about several secrets adds a record for each.
    pub(crate) notes: &'a Notes,
    caller: &'a Verified,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(state: &'a ApiState, now: Time, caller: &'a Verified, notes: &'a Notes) -> Self {
        Self { state, now, notes, caller }
    }

    /// Who calls, as history shows it.
    pub(crate) fn principal(&self) -> &str {
        self.caller.principal()
    }

    /// Who calls, with which key.
    pub(crate) fn caller(&self) -> &'a Caller {
        self.caller.caller()
    }

    /// Who calls, as policies and refusals name them.
    pub(crate) fn caller_arn(&self) -> String {
        self.caller.caller().arn(&self.state.account_id)
    }
}

/// A request that can be carried out.
pub(crate) trait Operation: Asks + DeserializeOwned + Send {
    /// What it answers; `()` together with `EMPTY`.
    type Reply: Serialize;
    /// The answer has no body at all.
    const EMPTY: bool = false;

    /// Whether it is carried out also while the audit trail cannot be written, its record held until it can be: it takes
    /// a right away, stores nothing, or is a step of a rotation that must not be left half done.
    fn runs_in_outage(&self, _cx: &Cx<'_>) -> bool {
        false
    }

    /// Carries it out.
    fn run(self, cx: &Cx<'_>) -> impl Future<Output = Result<Self::Reply, ApiError>> + Send;
}

macro_rules! operations {
    ($($variant:ident = $target:literal => $request:ty;)*) => {
        /// An operation there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Op { $($variant,)* }

        impl Op {
            /// The operation of an X-Amz-Target.
            pub(crate) fn of_target(target: &str) -> Option<Self> {
                match target { $($target => Some(Self::$variant),)* _ => None }
            }

            pub(crate) fn target(self) -> &'static str {
                match self { $(Self::$variant => $target,)* }
            }

            /// Carries out the request in `body`; `about` is told the secret once its id is known to be well-formed.
            pub(crate) async fn call(
                self,
                cx: &Cx<'_>,
                body: &[u8],
                about: &mut Option<String>,
            ) -> Result<Vec<u8>, ApiError> {
                match self { $(Self::$variant => boxed::<$request>(self, cx, body, about),)* }.await
            }

            #[cfg(any(test, feature = "fuzzing"))]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The members of its request, by their names on the wire.
            #[cfg(test)]
            fn members(self) -> &'static [&'static str] {
                match self { $(Self::$variant => <$request as crate::members::Members>::NAMES,)* }
            }
        }
    };
}

/// One operation's future, made in a frame of its own: side by side those of all operations would be more than a thread's stack
/// holds in a build that is not optimised.
fn boxed<'a, R: Operation + 'a>(
    op: Op,
    cx: &'a Cx<'_>,
    body: &'a [u8],
    about: &'a mut Option<String>,
) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, ApiError>> + Send + 'a>> {
    Box::pin(call::<R>(op, cx, body, about))
}

operations! {
    BatchGetSecretValue = "secretsmanager.BatchGetSecretValue" => batch_get_secret_value::Request;
    CancelRotateSecret = "secretsmanager.CancelRotateSecret" => cancel_rotate_secret::Request;
    CreateSecret = "secretsmanager.CreateSecret" => create_secret::Request;
    DeleteResourcePolicy = "secretsmanager.DeleteResourcePolicy" => delete_resource_policy::Request;
    DeleteSecret = "secretsmanager.DeleteSecret" => delete_secret::Request;
    DescribeSecret = "secretsmanager.DescribeSecret" => describe_secret::Request;
    GetRandomPassword = "secretsmanager.GetRandomPassword" => get_random_password::Request;
    GetResourcePolicy = "secretsmanager.GetResourcePolicy" => get_resource_policy::Request;
    GetSecretValue = "secretsmanager.GetSecretValue" => get_secret_value::Request;
    ListSecretVersionIds = "secretsmanager.ListSecretVersionIds" => list_secret_version_ids::Request;
    ListSecrets = "secretsmanager.ListSecrets" => list_secrets::Request;
    PutResourcePolicy = "secretsmanager.PutResourcePolicy" => put_resource_policy::Request;
    PutSecretValue = "secretsmanager.PutSecretValue" => put_secret_value::Request;
    RemoveRegionsFromReplication = "secretsmanager.RemoveRegionsFromReplication" => remove_regions_from_replication::Request;
    ReplicateSecretToRegions = "secretsmanager.ReplicateSecretToRegions" => replicate_secret_to_regions::Request;
    RestoreSecret = "secretsmanager.RestoreSecret" => restore_secret::Request;
    RotateSecret = "secretsmanager.RotateSecret" => rotate_secret::Request;
    StopReplicationToReplica = "secretsmanager.StopReplicationToReplica" => stop_replication_to_replica::Request;
    TagResource = "secretsmanager.TagResource" => tag_resource::Request;
    UntagResource = "secretsmanager.UntagResource" => untag_resource::Request;
    UpdateSecret = "secretsmanager.UpdateSecret" => update_secret::Request;
    UpdateSecretVersionStage = "secretsmanager.UpdateSecretVersionStage" => update_secret_version_stage::Request;
    ValidateResourcePolicy = "secretsmanager.ValidateResourcePolicy" => validate_resource_policy::Request;
    GetParameter = "AmazonSSM.GetParameter" => ssm_get_parameter::Request;
    GetParameters = "AmazonSSM.GetParameters" => ssm_get_parameters::Request;
    AbandonRotation = "pawl.AbandonRotation" => pawl_abandon_rotation::Request;
    AcceptClock = "pawl.AcceptClock" => pawl_accept_clock::Request;
    CheckRotation = "pawl.CheckRotation" => pawl_check_rotation::Request;
    CheckRotator = "pawl.CheckRotator" => pawl_check_rotator::Request;
    CreateAccessKey = "pawl.CreateAccessKey" => pawl_create_access_key::Request;
    CreateRotator = "pawl.CreateRotator" => pawl_create_rotator::Request;
    CreateSession = "pawl.CreateSession" => pawl_create_session::Request;
    CreateSubscription = "pawl.CreateSubscription" => pawl_create_subscription::Request;
    DeclareReader = "pawl.DeclareReader" => pawl_declare_reader::Request;
    DeleteAccessKey = "pawl.DeleteAccessKey" => pawl_delete_access_key::Request;
    DeleteRotator = "pawl.DeleteRotator" => pawl_delete_rotator::Request;
    DeleteSubscription = "pawl.DeleteSubscription" => pawl_delete_subscription::Request;
    DescribeKeyring = "pawl.DescribeKeyring" => pawl_describe_keyring::Request;
    DescribeLimits = "pawl.DescribeLimits" => pawl_describe_limits::Request;
    DescribeRotation = "pawl.DescribeRotation" => pawl_describe_rotation::Request;
    DescribeRotator = "pawl.DescribeRotator" => pawl_describe_rotator::Request;
    DescribeStore = "pawl.DescribeStore" => pawl_describe_store::Request;
    DescribeSubscription = "pawl.DescribeSubscription" => pawl_describe_subscription::Request;
    DiscardDeadLetters = "pawl.DiscardDeadLetters" => pawl_discard_dead_letters::Request;
    EnableRotation = "pawl.EnableRotation" => pawl_enable_rotation::Request;
    EndGrace = "pawl.EndGrace" => pawl_end_grace::Request;
    LeaveVerifyOnly = "pawl.LeaveVerifyOnly" => pawl_leave_verify_only::Request;
    ListAccessKeys = "pawl.ListAccessKeys" => pawl_list_access_keys::Request;
    ListDeadLetters = "pawl.ListDeadLetters" => pawl_list_dead_letters::Request;
    ListDeliveries = "pawl.ListDeliveries" => pawl_list_deliveries::Request;
    ListEvents = "pawl.ListEvents" => pawl_list_events::Request;
    ListReaders = "pawl.ListReaders" => pawl_list_readers::Request;
    ListRotationHistory = "pawl.ListRotationHistory" => pawl_list_rotation_history::Request;
    ListRotators = "pawl.ListRotators" => pawl_list_rotators::Request;
    ListSubscriptions = "pawl.ListSubscriptions" => pawl_list_subscriptions::Request;
    PauseAll = "pawl.PauseAll" => pawl_pause_all::Request;
    PauseRotation = "pawl.PauseRotation" => pawl_pause_rotation::Request;
    PrepareRotation = "pawl.PrepareRotation" => pawl_prepare_rotation::Request;
    PreviewRotation = "pawl.PreviewRotation" => pawl_preview_rotation::Request;
    ReconcileRotation = "pawl.ReconcileRotation" => pawl_reconcile_rotation::Request;
    Redeliver = "pawl.Redeliver" => pawl_redeliver::Request;
    RedeliverDeadLetters = "pawl.RedeliverDeadLetters" => pawl_redeliver_dead_letters::Request;
    ReplayEvents = "pawl.ReplayEvents" => pawl_replay_events::Request;
    ResumeAll = "pawl.ResumeAll" => pawl_resume_all::Request;
    ResumeRotation = "pawl.ResumeRotation" => pawl_resume_rotation::Request;
    RollbackRotation = "pawl.RollbackRotation" => pawl_rollback_rotation::Request;
    RotateSigningKey = "pawl.RotateSigningKey" => pawl_rotate_signing_key::Request;
    RotateSubscriptionKey = "pawl.RotateSubscriptionKey" => pawl_rotate_subscription_key::Request;
    StartRotation = "pawl.StartRotation" => pawl_start_rotation::Request;
    TestRotator = "pawl.TestRotator" => pawl_test_rotator::Request;
    UpdateAccessKey = "pawl.UpdateAccessKey" => pawl_update_access_key::Request;
    UpdateLimits = "pawl.UpdateLimits" => pawl_update_limits::Request;
    UpdateRotator = "pawl.UpdateRotator" => pawl_update_rotator::Request;
    UpdateSubscription = "pawl.UpdateSubscription" => pawl_update_subscription::Request;
    VerifyRotation = "pawl.VerifyRotation" => pawl_verify_rotation::Request;
    WaitForCurrent = "pawl.WaitForCurrent" => pawl_wait_for_current::Request;
}

impl Op {
    /// Does it speak to a target or to a receiver, so that doing it again is more than a write done again?
    pub(crate) fn reaches_out(self) -> bool {
        matches!(self, Self::CheckRotation | Self::PrepareRotation | Self::TestRotator | Self::VerifyRotation)
    }

    /// The name in logs and metrics: Secrets Manager's operations by their name, others with their service.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GetParameter => "ssm:GetParameter",
            Self::GetParameters => "ssm:GetParameters",
            _ => self.target().strip_prefix("secretsmanager.").unwrap_or(self.target()),
        }
    }

    /// The action of policies: `secretsmanager:GetSecretValue`.
    pub(crate) fn action(self) -> String {
        self.target().replacen("AmazonSSM.", "ssm.", 1).replacen('.', ":", 1)
    }

    /// The signing name its requests are signed for: Parameter Store's operations are another service's.
    pub(crate) fn service(self) -> &'static str {
        if self.target().starts_with("AmazonSSM.") { "ssm" } else { sigv4::SECRETS_MANAGER }
    }

    /// Whether it only reads.
    pub(crate) fn reads(self) -> bool {
        matches!(
            self,
            Self::BatchGetSecretValue
                | Self::DescribeSecret
                | Self::GetParameter
                | Self::GetParameters
                | Self::GetRandomPassword
                | Self::GetResourcePolicy
                | Self::GetSecretValue
                | Self::ListSecretVersionIds
                | Self::ListSecrets
                | Self::ValidateResourcePolicy
                | Self::DescribeKeyring
                | Self::DescribeLimits
                | Self::DescribeRotation
                | Self::DescribeRotator
                | Self::DescribeStore
                | Self::DescribeSubscription
                | Self::ListAccessKeys
                | Self::ListDeadLetters
                | Self::ListDeliveries
                | Self::ListEvents
                | Self::ListReaders
                | Self::ListRotationHistory
                | Self::ListRotators
                | Self::ListSubscriptions
                | Self::PreviewRotation
                | Self::WaitForCurrent
        )
    }
}

async fn call<O: Operation>(op: Op, cx: &Cx<'_>, body: &[u8], about: &mut Option<String>) -> Result<Vec<u8>, ApiError> {
    let request: O = wire::parse(body)?;
    let mut must = Constraints::new(cx.state.limits);
    request.check("", &mut must);
    must.finish()?;
    *about = request.secret_id().map(ToOwned::to_owned);
    authorize(cx, op, request.secret_id()).await?;
    if !op.reads() {
        begin_change(cx, request.runs_in_outage(cx))?;
    }
    let reply = request.run(cx).await?;
    if O::EMPTY {
        return Ok(Vec::new());
    }
    let reply = serde_json::to_vec(&reply)
        .map_err(|error| ApiError::internal(format!("the reply could not be spelled: {error}")))?;
    cx.notes.answered(&reply);
    Ok(reply)
}

/// Nothing is changed that the audit trail could not tell, or at least will.
fn begin_change(cx: &Cx<'_>, runs_in_outage: bool) -> Result<(), ApiError> {
    if runs_in_outage {
        cx.notes.may_be_held();
    } else if cx.state.trail.as_ref().is_some_and(|trail| !trail.is_up()) {
        return Err(ApiError::internal(NotKept.to_string()));
    }
    cx.notes.may_change();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_finds_every_operation_by_its_target() {
        for &op in Op::ALL {
            assert_eq!(Op::of_target(op.target()), Some(op));
        }
        assert_eq!(Op::of_target("secretsmanager.getsecretvalue"), None);
        assert_eq!(Op::of_target("secretsmanager.DescribeRotation"), None);
    }

    #[test]
    fn every_operation_and_parameter_has_its_row_in_the_compatibility_page() {
        let page = include_str!("../../docs/compatibility.md");
        for &op in Op::ALL {
            let name = op.name();
            let begin = page.find(&format!("`{name}`")).unwrap_or_else(|| panic!("{name} has no row"));
            let section = &page[begin..];
            let end = section.find("\n### ").or(section.find("\n| `pawl.").filter(|end| *end > 0));
            let section = &section[..end.unwrap_or(section.len())];
            for member in op.members() {
                assert!(section.contains(member), "{name} has no row for {member}");
            }
        }
    }
}
