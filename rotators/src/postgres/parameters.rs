//! Owns which settings an admin may not give a role: those that only superusers set, from version 15 on also whoever was
//! granted them one by one. Never here: which settings a role has.

use engine::outcome::StepError;
use tokio_postgres::types::Type;

use super::owner::{Setting, field};
use super::session::Session;
use crate::connection::Login;
use crate::quote::{pg_name, shown};

/// Settings can be granted from this version on.
const GRANTS: i32 = 150_000;

/// The settings among these that whoever asks may not set. None: it may set all of them.
#[derive(Debug)]
pub(super) struct Forbidden {
    names: Vec<String>,
    version: i32,
}

impl Forbidden {
    /// Asks the server.
    ///
    /// # Errors
    /// As the session says.
    pub(super) async fn among(
        session: &mut Session,
        login: &Login,
        version: i32,
        settings: impl Iterator<Item = &Setting>,
    ) -> Result<Option<Self>, StepError> {
        let names: Vec<&str> = settings.map(|setting| setting.name.as_str()).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let granted = match version >= GRANTS {
            true => "pg_catalog.has_parameter_privilege(n.name, 'SET')",
            false => "false",
        };
        // These two have no row for whoever may not see them; others without one (role, a module's) are anybody's.
        let sql = format!(
            "SELECT DISTINCT n.name FROM pg_catalog.unnest($1) AS n(name) \
             LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(n.name) \
             WHERE COALESCE(s.context IN ('superuser', 'superuser-backend'), \
             pg_catalog.lower(n.name) IN ('session_preload_libraries', 'dynamic_library_path')) \
             AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) \
             AND NOT {granted} ORDER BY 1"
        );
        let rows = session.rows(&sql, &[(&names, Type::TEXT_ARRAY)]).await?;
        let names: Vec<String> = rows.iter().map(|row| field(row, 0, login)).collect::<Result<_, _>>()?;
        Ok((!names.is_empty()).then_some(Self { names, version }))
    }

    /// What is wrong, as a sentence about the admin and the account whose settings these are.
    pub(super) fn says(&self, admin: &str, account: &str) -> String {
        let names = self.names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        format!(
            "{} has settings that only superusers give a role, and {} may not: {names}.",
            shown(account),
            shown(admin)
        )
    }

    /// The statements that mend it, to be run as a superuser.
    pub(super) fn mends(&self, admin: &str, account: &str) -> String {
        let statement = |name: &String| match self.version >= GRANTS {
            true => format!("GRANT SET ON PARAMETER {} TO {}", shown(&pg_name(name)), shown(&pg_name(admin))),
            false => format!("ALTER ROLE {} RESET {}", shown(&pg_name(account)), shown(&pg_name(name))),
        };
        self.names.iter().map(statement).collect::<Vec<_>>().join("; ")
    }
}
