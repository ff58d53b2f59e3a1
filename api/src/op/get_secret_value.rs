//! GetSecretValue: one version's value. The hot path: no SQL for a hot secret, one buffer for the reply.

use engine::secret::ValueKind;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use store::Value;

use super::{Cx, Operation};
use crate::constraint::Constraints;
use crate::error::ApiError;
use crate::wire::{Epoch, base64_of};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    secret_id: Option<String>,
    version_id: Option<String>,
    version_stage: Option<String>,
}

/// The one reply, but for GetRandomPassword's, that carries a value; spelled here and nowhere else.
pub(crate) struct Reply(Value);

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

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        self.secret_id.as_deref()
    }

    fn check(&self, must: &mut Constraints) {
        must.secret_id(self.secret_id());
        must.length("versionId", self.version_id.as_deref(), 32..=64);
        must.length("versionStage", self.version_stage.as_deref(), 1..=256);
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.as_deref().unwrap_or_default();
        let (version, stage) = (self.version_id.as_deref(), self.version_stage.as_deref());
        Ok(Reply(cx.state.store.get_value(id, version, stage, cx.now).await?))
    }
}
