//! Owns a login that only looks whether it works, and whether the server takes writes. Never here: what follows from it.

use async_trait::async_trait;

use super::session::{Entry, Session};
use super::{Family, Flavor, contradiction};
use crate::connection::{Kind, Login};
use crate::topology::{Knock, Role, Site};

#[async_trait]
impl<F: Flavor + 'static> Site for Family<F> {
    fn kind(&self) -> &'static Kind {
        self.flavor.kind()
    }

    fn locks_accounts(&self) -> bool {
        true
    }

    async fn knock(&self, login: &Login) -> Knock {
        let mut session = match Session::open(login, &self.trust).await {
            Entry::In(session) => session,
            Entry::Refused(_) => return Knock::Refused,
            Entry::Failed(error) => return Knock::Failed(error),
        };
        let state = session.rows::<(i64, u64)>(&format!("SELECT {}", self.flavor.server_state())).await;
        session.close().await;
        match state.map(|rows| rows.first().copied()) {
            Ok(Some((read_only, _))) => Knock::In(Role { standby: read_only != 0, behind_seconds: None }),
            Ok(None) => Knock::Failed(contradiction(login)),
            Err(error) => Knock::Failed(error),
        }
    }
}
