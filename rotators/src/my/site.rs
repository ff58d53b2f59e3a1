//! Owns a login that only looks whether it works, and whether the server takes writes. Never here: what follows from it.

use async_trait::async_trait;

use super::accounts::Rows;
use super::session::{Entry, Session};
use super::{Family, Flavor, contradiction};
use crate::connection::{Kind, Login};
use crate::topology::{Knock, Role, Site, Stored};

#[async_trait]
impl<F: Flavor + 'static> Site for Family<F> {
    fn kind(&self) -> &'static Kind {
        self.flavor.kind()
    }

    fn locks_accounts(&self) -> bool {
        true
    }

    async fn stored(&self, admin: &Login, wanted: &Login) -> Option<Stored> {
        let Entry::In(mut session) = Session::open(admin, &self.trust).await else { return None };
        let rows = self.flavor.all_rows(&mut session, &wanted.user).await;
        session.close().await;
        let rows = Rows { list: rows.ok()?? };
        Some(match rows.lacking(wanted, admin).len() {
            _ if rows.list.is_empty() => Stored::Missing,
            0 => Stored::Same,
            _ => Stored::Other,
        })
    }

    async fn knock(&self, login: &Login) -> Knock {
        let mut session = match Session::open(login, &self.trust).await {
            Entry::In(session) => session,
            Entry::Refused(_) => return Knock::Refused,
            // To a stranger MySQL answers with one plugin or another, so that it is not seen that there is no such account.
            Entry::Failed(error) if error.code == "auth-plugin" => return Knock::Refused,
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
