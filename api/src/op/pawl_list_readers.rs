//! pawl.ListReaders: who last read which version of a secret, and who is logged in with the credential before AWSCURRENT.

use engine::check::Sessions;
use serde::Serialize;
use store::{Named, Reader, Role};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Required, SecretId, request};
use crate::wire::{Epoch, Which};
use crate::workbench::Problem;

request! {
    about secret_id;
    secret_id "SecretId": String [Required, SecretId],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    #[serde(flatten)]
    which: Which,
    readers: Vec<Entry>,
    #[serde(flatten)]
    logged_in: LoggedIn,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    principal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_read: Option<Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_seconds: Option<u64>,
}

impl From<Reader> for Entry {
    fn from(reader: Reader) -> Self {
        Self {
            principal: reader.principal,
            version_id: reader.version_id.map(|version| version.as_str().to_owned()),
            stages: reader.stages,
            last_read: reader.read.map(Epoch),
            cache_seconds: reader.cache.map(|cache| cache.as_secs()),
        }
    }
}

/// Who is logged in with the credential before AWSCURRENT: left out where the target cannot tell.
#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct LoggedIn {
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Vec<Session>>,
    /// Why the target could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_unknown: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    user: String,
    from: String,
    count: u64,
}

impl From<Sessions> for Session {
    fn from(Sessions { user, from, count }: Sessions) -> Self {
        Self { user, from, count }
    }
}

/// A reader's curiosity logs in nowhere: the target is asked for administrators alone.
async fn logged_in(cx: &Cx<'_>, arn: &str) -> Result<LoggedIn, ApiError> {
    let bench = cx.state.workbench.as_ref().filter(|_| cx.caller().principal().role == Role::Administrator);
    let Some(bench) = bench else { return Ok(LoggedIn::default()) };
    match bench.sessions(arn).await {
        Ok(sessions) => {
            let sessions = sessions.map(|sessions| sessions.into_iter().map(Into::into).collect());
            Ok(LoggedIn { sessions, sessions_unknown: None })
        }
        Err(Problem::Refused(why)) => Ok(LoggedIn { sessions: None, sessions_unknown: Some(why) }),
        Err(problem) => Err(problem.into()),
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let id = self.secret_id.unwrap_or_default();
        let Named { arn, name } = cx.state.store.named(&id).await?;
        let readers = cx.state.store.readers(&arn).await?;
        let logged_in = logged_in(cx, &arn).await?;
        Ok(Reply { which: Which { arn, name }, readers: readers.into_iter().map(Into::into).collect(), logged_in })
    }
}
