//! What a preflight asks of MySQL alone. Never here: what an answer means.

use async_trait::async_trait;
use engine::outcome::StepError;

use super::account::RowFacts;
use super::grants::Grants;
use super::policy::{Counted, Demand};
use super::strategy::at_least;
use super::{Look, of_user};
use crate::my::session::Session;
use crate::mysql::MySql;

/// The first version with RETAIN CURRENT PASSWORD.
const RETAINS: [u32; 3] = [8, 0, 14];

/// Host, expired, days left, logins an hour, remembers.
type Facts = (String, i64, Option<i64>, u64, i64);

#[async_trait]
impl Look for MySql {
    async fn row_facts(&self, session: &mut Session, user: &str) -> Result<Option<Vec<RowFacts>>, StepError> {
        let sql = format!(
            "SELECT Host, password_expired = 'Y', TIMESTAMPDIFF(DAY, NOW(), password_last_changed + INTERVAL \
             NULLIF(COALESCE(password_lifetime, @@global.default_password_lifetime), 0) DAY), max_connections, \
             COALESCE(Password_reuse_history, @@global.password_history) \
             + COALESCE(Password_reuse_time, @@global.password_reuse_interval) > 0 \
             FROM mysql.user {} ORDER BY Host",
            of_user(user)
        );
        let Ok(rows) = session.rows_if_allowed::<Facts>(&sql).await? else { return Ok(None) };
        let facts = |(host, expired, days_left, hourly, remembers): Facts| RowFacts {
            host,
            expired: expired != 0 || days_left.is_some_and(|days| days < 0),
            days_left,
            hourly,
            remembers: remembers != 0,
        };
        Ok(Some(rows.into_iter().map(facts).collect()))
    }

    async fn demands(&self, session: &mut Session, by_admin: bool) -> Result<Vec<Demand>, StepError> {
        // An admin sends a hash, which the policy does not look into.
        if by_admin {
            return Ok(vec![]);
        }
        // The names have a dot where the policy is a component, an underscore where it is the older plugin.
        let rows: Vec<(String, String)> = session.rows("SHOW GLOBAL VARIABLES LIKE 'validate\\_password%'").await?;
        let only_length = rows.iter().any(|(name, value)| name.ends_with("policy") && (value == "LOW" || value == "0"));
        let demand = |(name, value): (String, String)| {
            let counted = match name.get("validate_password.".len()..)? {
                "length" => Counted::All,
                "mixed_case_count" => Counted::Letters,
                "number_count" => Counted::Digits,
                "special_char_count" => Counted::Others,
                _ => return None,
            };
            let counts = counted == Counted::All || !only_length;
            counts.then_some(Demand::AtLeast(name, counted, value.parse().ok()?))
        };
        Ok(rows.into_iter().filter_map(demand).collect())
    }

    fn privileged(&self) -> &'static [&'static str] {
        &["SUPER", "SYSTEM_USER"]
    }

    fn dual_lacks(&self, version: &str, grants: &Grants, by_admin: bool, by: &str) -> Option<(String, String)> {
        if !at_least(version, RETAINS) {
            return Some((
                "Two passwords at once need MySQL 8.0.14 or later.".to_owned(),
                "Upgrade the server, or use alternating users.".to_owned(),
            ));
        }
        // What an admin needs for it, it needs for any change.
        let there = by_admin || grants.everywhere("APPLICATION_PASSWORD_ADMIN") || grants.everywhere("CREATE USER");
        (!there).then(|| {
            (
                format!("To keep two passwords at once, {by} lacks the privilege APPLICATION_PASSWORD_ADMIN."),
                format!("GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO {by}"),
            )
        })
    }

    fn role_lacks(&self, grants: &Grants, role: &str, by: &str) -> Option<String> {
        let gives = grants.everywhere("ROLE_ADMIN") || grants.everywhere("SUPER") || grants.gives_role(role);
        (!gives).then(|| format!("GRANT ROLE_ADMIN ON *.* TO {by}"))
    }
}
