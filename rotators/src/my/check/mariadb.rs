//! What a preflight asks of MariaDB alone. Never here: what an answer means.

use async_trait::async_trait;
use engine::outcome::StepError;

use super::account::RowFacts;
use super::grants::Grants;
use super::policy::{Counted, Demand};
use super::strategy::at_least;
use super::{Look, of_user};
use crate::mariadb::{MariaDb, wants_clear_text};
use crate::my::session::Session;

/// The first version with methods joined by OR.
const JOINS: [u32; 3] = [10, 4, 0];

/// Host, expired, days left, logins an hour.
type Facts = (String, i64, Option<i64>, u64);

/// The plugins that validate passwords and are active.
const VALIDATING: &str = "SELECT PLUGIN_NAME FROM information_schema.PLUGINS \
                          WHERE PLUGIN_TYPE = 'PASSWORD VALIDATION' AND PLUGIN_STATUS = 'ACTIVE'";
const COUNTING: &str = "simple_password_check";
const REMEMBERING: &str = "password_reuse_check";

#[async_trait]
impl Look for MariaDb {
    async fn row_facts(&self, session: &mut Session, user: &str) -> Result<Option<Vec<RowFacts>>, StepError> {
        let remembers = session.rows::<String>(VALIDATING).await?.iter().any(|name| name == REMEMBERING);
        // PASSWORD EXPIRE is a change at no time; a lifetime of -1 is the server's default, 0 is never.
        let sql = format!(
            "SELECT Host, COALESCE(changed = 0, 0), CAST(FLOOR((changed + NULLIF(lifetime, 0) * 86400 \
             - UNIX_TIMESTAMP()) / 86400) AS SIGNED), CAST(hourly AS UNSIGNED) FROM (SELECT Host, \
             CAST(JSON_VALUE(Priv, '$.password_last_changed') AS SIGNED) AS changed, \
             COALESCE(NULLIF(CAST(JSON_VALUE(Priv, '$.password_lifetime') AS SIGNED), -1), \
             @@global.default_password_lifetime) AS lifetime, \
             COALESCE(JSON_VALUE(Priv, '$.max_connections'), 0) AS hourly FROM mysql.global_priv {}) AS u ORDER BY Host",
            of_user(user)
        );
        let Ok(rows) = session.rows_if_allowed::<Facts>(&sql).await? else { return Ok(None) };
        let facts = |(host, expired, days_left, hourly): Facts| RowFacts {
            host,
            expired: expired != 0 || days_left.is_some_and(|days| days < 0),
            days_left,
            hourly,
            remembers,
        };
        Ok(Some(rows.into_iter().map(facts).collect()))
    }

    async fn demands(&self, session: &mut Session, _by_admin: bool) -> Result<Vec<Demand>, StepError> {
        // A hash is not looked into.
        if !wants_clear_text(session).await? {
            return Ok(vec![]);
        }
        let plugins = session.rows::<String>(VALIDATING).await?;
        let rows: Vec<(String, String)> =
            session.rows("SHOW GLOBAL VARIABLES LIKE 'simple\\_password\\_check%'").await?;
        let counted = |(name, value): (String, String)| {
            let counted = match name.strip_prefix("simple_password_check_")? {
                "minimal_length" => Counted::All,
                "letters_same_case" => Counted::Letters,
                "digits" => Counted::Digits,
                "other_characters" => Counted::Others,
                _ => return None,
            };
            Some(Demand::AtLeast(name, counted, value.parse().ok()?))
        };
        let others = plugins.into_iter().filter(|name| name != COUNTING && name != REMEMBERING).map(Demand::Plugin);
        Ok(rows.into_iter().filter_map(counted).chain(others).collect())
    }

    fn privileged(&self) -> &'static [&'static str] {
        &["SUPER"]
    }

    fn dual_lacks(&self, version: &str, grants: &Grants, by_admin: bool, by: &str) -> Option<(String, String)> {
        if !at_least(version, JOINS) {
            return Some((
                "Two passwords at once need MariaDB 10.4 or later.".to_owned(),
                "Upgrade the server, or use alternating users.".to_owned(),
            ));
        }
        // What an admin needs for it, it needs for any change. SET PASSWORD knows one method only.
        let there = by_admin || grants.everywhere("CREATE USER") || grants.on_mysql("UPDATE");
        (!there).then(|| {
            (
                format!(
                    "To keep two passwords at once, {by} lacks the privilege CREATE USER, or an admin has to do it."
                ),
                format!("GRANT CREATE USER ON *.* TO {by}"),
            )
        })
    }

    fn role_lacks(&self, grants: &Grants, role: &str, by: &str) -> Option<String> {
        (!grants.gives_role(role)).then(|| format!("GRANT {role} TO {by} WITH ADMIN OPTION"))
    }
}
