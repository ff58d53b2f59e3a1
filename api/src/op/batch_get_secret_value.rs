//! BatchGetSecretValue: AWSCURRENT of several secrets at once. Each is authorised as its own GetSecretValue, and what
//! keeps one from being read is an entry of the answer, no failure of the call.

use serde::Serialize;
use store::{ListQuery, SortBy};

use super::list_secrets::Filter;
use super::{Cx, Op, Operation, get_secret_value};
use crate::authorize::{authorize, visible};
use crate::error::ApiError;
use crate::members::{Between, Each, Items, Length, request};

/// Secrets a call reads at most, and where it does not say how many.
const PAGE: u32 = 20;

request! {
    secret_id_list "SecretIdList": Vec<String> [Items(1..=20, 1..=2048)],
    filters "Filters": Vec<Filter> [Each(0..=10)],
    max_results "MaxResults": i64 [Between(1..=20)],
    next_token "NextToken": String [Length(1..=4096)],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    secret_values: Vec<get_secret_value::Reply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    errors: Vec<Unread>,
}

/// A secret that could not be read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unread {
    secret_id: String,
    error_code: &'static str,
    message: String,
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let (ids, next_token) = self.secrets(cx).await?;
        let mut reply = Reply { secret_values: vec![], next_token, errors: vec![] };
        for id in ids {
            match read(cx, &id).await {
                Ok(value) => reply.secret_values.push(value),
                // Our own failure is no property of a secret.
                Err(error) if error.status.is_server_error() => return Err(error),
                Err(error) => {
                    if let Some(fault) = &error.fault {
                        tracing::error!(secret.id = id, fault, "a secret of a batch could not be read");
                    }
                    let message = error.message().to_owned();
                    reply.errors.push(Unread { secret_id: id, error_code: error.code, message });
                }
            }
        }
        Ok(reply)
    }
}

impl Request {
    /// Which secrets are asked for, and what leads to the next ones.
    async fn secrets(self, cx: &Cx<'_>) -> Result<(Vec<String>, Option<String>), ApiError> {
        let filters = self.filters.unwrap_or_default();
        match (self.secret_id_list, filters.is_empty()) {
            (Some(_), true) if self.max_results.is_some() => Err(only_with_filters("MaxResults")),
            (Some(_), true) if self.next_token.is_some() => Err(only_with_filters("NextToken")),
            (Some(ids), true) => Ok((ids, None)),
            (None, false) => {
                authorize(cx, Op::ListSecrets, None).await?;
                let query = ListQuery {
                    include_deleted: false,
                    limit: self.max_results.and_then(|max| u32::try_from(max).ok()).unwrap_or(PAGE),
                    after: self.next_token,
                    sort: SortBy::CreatedDate,
                    descending: false,
                    filters: filters.into_iter().map(Filter::parsed).collect::<Result<_, _>>()?,
                    visible: visible(cx),
                };
                let page = cx.state.store.list(query).await?;
                Ok((page.items.into_iter().map(|secret| secret.arn).collect(), page.next))
            }
            (Some(_), false) | (None, true) => {
                Err(ApiError::invalid_parameter("Either 'SecretIdList' or 'Filters' must be provided, but not both."))
            }
        }
    }
}

fn only_with_filters(member: &str) -> ApiError {
    ApiError::invalid_parameter(format!(
        "'Filters' not specified. 'Filters' must also be specified when '{member}' is provided."
    ))
}

async fn read(cx: &Cx<'_>, id: &str) -> Result<get_secret_value::Reply, ApiError> {
    let reading = get_secret_value::value(cx, id, None, None);
    Ok(get_secret_value::within(cx, id, reading).await?.into())
}
