//! ListSecrets: pages of secrets, filtered and sorted.

use serde::Serialize;
use store::{ListQuery, SortBy};

use super::describe_secret::Entry;
use super::{Cx, Operation};
use crate::authorize::visible;
use crate::error::ApiError;
use crate::members::{Between, Each, Items, Length, Matching, OneOf, members, request};

const FILTER_KEYS: [&str; 7] =
    ["all", "name", "tag-key", "description", "tag-value", "primary-region", "owning-service"];
const SORT_KEYS: [&str; 4] = ["created-date", "last-accessed-date", "last-changed-date", "name"];
const DEFAULT_PAGE: u32 = 100;

request! {
    include_planned_deletion "IncludePlannedDeletion": bool [],
    max_results "MaxResults": i64 [Between(1..=100)],
    next_token "NextToken": String [Length(1..=4096)],
    filters "Filters": Vec<Filter> [Each(0..=10)],
    sort_order "SortOrder": String [OneOf(&["asc", "desc"])],
    sort_by "SortBy": String [OneOf(&SORT_KEYS)],
}

members! {
    pub(crate) struct Filter {
        key "Key": String [OneOf(&FILTER_KEYS)],
        values "Values": Vec<String> [Items(1..=10, 0..=512), Matching(r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$", is_filter_value)],
    }
}

fn is_filter_value(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    secret_list: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Filter {
    pub(crate) fn parsed(self) -> Result<store::Filter, ApiError> {
        let Some(key) = self.key else {
            return Err(ApiError::invalid_parameter("Invalid filter key"));
        };
        match self.values {
            Some(values) => Ok(store::Filter { key, values }),
            None => Err(ApiError::invalid_parameter(format!("Invalid filter values for key: {key}"))),
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let sort = match self.sort_by.as_deref() {
            Some("last-accessed-date") => SortBy::LastAccessedDate,
            Some("last-changed-date") => SortBy::LastChangedDate,
            Some("name") => SortBy::Name,
            _ => SortBy::CreatedDate,
        };
        let filters = self.filters.unwrap_or_default().into_iter().map(Filter::parsed);
        let query = ListQuery {
            include_deleted: self.include_planned_deletion == Some(true),
            limit: self.max_results.and_then(|max| u32::try_from(max).ok()).unwrap_or(DEFAULT_PAGE),
            after: self.next_token,
            sort,
            // As AWS was seen to do: the order of creation, unless another one is asked for.
            descending: self.sort_order.as_deref() == Some("desc"),
            filters: filters.collect::<Result<_, _>>()?,
            visible: visible(cx),
        };
        let page = cx.state.store.list(query).await?;
        Ok(Reply { secret_list: page.items.into_iter().map(Entry::in_list).collect(), next_token: page.next })
    }
}
