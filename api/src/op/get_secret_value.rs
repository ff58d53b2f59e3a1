//! GetSecretValue: one version's value. The hot path: no SQL for a hot secret, one buffer for the reply.

use engine::secret::ValueKind;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use store::{StoreError, Value};

use super::{Cx, Op, Operation};
use crate::authorize::{authorize, rotates};
use crate::call::Also;
use crate::error::ApiError;
use crate::members::{Length, Required, SecretId, request};
use crate::wire::{Epoch, base64_of};

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
    version_id "VersionId": String [Length(32..=64)],
    version_stage "VersionStage": String [Length(1..=256)],
}

/// A value with its version, as this operation and BatchGetSecretValue answer it.
pub(crate) struct Reply(Value);

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let version = &self.0;
        let mut reply = serializer.serialize_struct("Reply", 6)?;
        reply.serialize_field("ARN", &version.arn)?;
        reply.serialize_field("Name", &version.name)?;
        reply.serialize_field("VersionId", version.version_id.as_str())?;
        let bytes = &version.value.bytes;
        match (version.value.kind, bytes.expose_str()) {
            (ValueKind::String, Some(text)) => reply.serialize_field("SecretString", text)?,
            (ValueKind::String, None) | (ValueKind::Binary, _) => {
                reply.serialize_field("SecretBinary", &base64_of(bytes))?;
            }
        }
        if !version.stages.is_empty() {
            reply.serialize_field("VersionStages", &version.stages)?;
        }
        reply.serialize_field("CreatedDate", &Epoch(version.created))?;
        reply.end()
    }
}

/// One version's value. Who reads it is kept, so that a credential is not ended that is in use still; a rotation function
/// uses none.
pub(crate) async fn value(
    cx: &Cx<'_>,
    id: &str,
    version: Option<&str>,
    stage: Option<&str>,
) -> Result<Value, StoreError> {
    match rotates(cx) {
        true => cx.state.store.get_value(id, version, stage, cx.now).await,
        false => cx.state.store.read_value(id, version, stage, cx.principal(), cx.now).await,
    }
}

/// A value that another operation reads for its caller: authorised, and recorded, as a GetSecretValue of its own.
pub(crate) async fn within(
    cx: &Cx<'_>,
    id: &str,
    reading: impl Future<Output = Result<Value, StoreError>> + Send,
) -> Result<Value, ApiError> {
    let read = match authorize(cx, Op::GetSecretValue, Some(id)).await {
        Ok(()) => reading.await.map_err(ApiError::from),
        Err(denied) => Err(denied),
    };
    let (secret, outcome) = match &read {
        Ok(value) => (value.arn.clone(), "ok"),
        Err(error) => (id.to_owned(), error.code),
    };
    cx.notes.also(Also { operation: Op::GetSecretValue.name(), secret, outcome });
    read
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let (version, stage) = (self.version_id.as_deref(), self.version_stage.as_deref());
        Ok(Reply(value(cx, id, version, stage).await?))
    }
}
