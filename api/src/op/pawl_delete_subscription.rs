//! pawl.DeleteSubscription: nobody is told any more; what waits and the dead letters go.

use engine::registration::LONGEST_NAME;

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::{Length, Required, request};
use crate::registration::NAME;

request! {
    name "Name": String [Required, Length(1..=LONGEST_NAME), NAME],
}

impl Operation for Request {
    type Reply = ();
    const EMPTY: bool = true;

    async fn run(self, cx: &Cx<'_>) -> Result<(), ApiError> {
        let name = self.name.unwrap_or_default();
        cx.notes.about(&name);
        Ok(cx.state.store.unsubscribe(&name, cx.principal(), cx.now).await?)
    }
}
