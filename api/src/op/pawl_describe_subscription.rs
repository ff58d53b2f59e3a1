//! pawl.DescribeSubscription: what a subscription is, how far it is told, since when its keys are good.

use engine::registration::LONGEST_NAME;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, request};
use crate::registration::NAME;
use crate::subscription::Details;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
}

impl Operation for Request {
    type Reply = Details;

    async fn run(self, cx: &Cx<'_>) -> Result<Details, ApiError> {
        Details::of(cx, &self.name.unwrap_or_default()).await
    }
}
