//! ListSecrets: pages of secrets, filtered and sorted.

use serde::{Deserialize, Serialize};
use store::{ListQuery, SortBy};

use super::describe_secret::Entry;
use super::{Cx, Operation};
use crate::authorize::visible;
use crate::constraint::Constraints;
use crate::error::ApiError;

const FILTER_KEYS: [&str; 7] =
    ["all", "name", "tag-key", "description", "tag-value", "primary-region", "owning-service"];
const SORT_KEYS: [&str; 4] = ["created-date", "last-accessed-date", "last-changed-date", "name"];
const DEFAULT_PAGE: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    include_planned_deletion: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    filters: Option<Vec<Filter>>,
    sort_by: Option<String>,
    sort_order: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: Option<String>,
    values: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    secret_list: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Filter {
    fn check(&self, must: &mut Constraints, number: usize) {
        let member = |name: &str| format!("filters.{number}.member.{name}");
        must.one_of(&member("key"), self.key.as_deref(), &FILTER_KEYS);
        must.list(&member("values"), self.values.as_deref(), 0..=10, 0..=512);
        for value in self.values.iter().flatten() {
            must.pattern(&member("values"), Some(value), r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$", |text| {
                text.chars().all(|c| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c))
            });
        }
    }

    fn parsed(self) -> Result<store::Filter, ApiError> {
        let Some(key) = self.key else {
            return Err(ApiError::invalid_parameter("Invalid filter key"));
        };
        match self.values {
            Some(values) if !values.is_empty() => Ok(store::Filter { key, values }),
            _ => Err(ApiError::invalid_parameter(format!("Invalid filter values for key: {key}"))),
        }
    }
}

impl Operation for Request {
    type Reply = Reply;

    fn secret_id(&self) -> Option<&str> {
        None
    }

    fn check(&self, must: &mut Constraints) {
        must.number("maxResults", self.max_results, 1..=100);
        must.length("nextToken", self.next_token.as_deref(), 1..=4096);
        must.one_of("sortOrder", self.sort_order.as_deref(), &["asc", "desc"]);
        must.one_of("sortBy", self.sort_by.as_deref(), &SORT_KEYS);
        must.count("filters", self.filters.as_ref().map(Vec::len), 0..=10);
        for (i, filter) in self.filters.iter().flatten().enumerate() {
            filter.check(must, i + 1);
        }
    }

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let sort = match self.sort_by.as_deref() {
            Some("last-accessed-date") => SortBy::LastAccessedDate,
            Some("last-changed-date") => SortBy::LastChangedDate,
            Some("name") => SortBy::Name,
            _ => SortBy::CreatedDate,
        };
        // Newest first where nothing is said about order; ascending where only the key is named.
        let descending = match self.sort_order.as_deref() {
            Some(order) => order == "desc",
            None => self.sort_by.is_none(),
        };
        let filters = self.filters.unwrap_or_default().into_iter().map(Filter::parsed);
        let query = ListQuery {
            include_deleted: self.include_planned_deletion == Some(true),
            limit: self.max_results.and_then(|max| u32::try_from(max).ok()).unwrap_or(DEFAULT_PAGE),
            after: self.next_token,
            sort,
            descending,
            filters: filters.collect::<Result<_, _>>()?,
            visible: visible(cx),
        };
        let page = cx.state.store.list(query).await?;
        Ok(Reply { secret_list: page.items.into_iter().map(Entry::in_list).collect(), next_token: page.next })
    }
}
