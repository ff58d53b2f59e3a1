//! Admins of MySQL and MariaDB with more or less than they need, and the form of what is broken there.

use engine::check::Level;

/// What an admin needs and no more.
pub(super) const ENOUGH: &[&str] = &["GRANT CREATE USER ON *.* TO {admin}", "GRANT SELECT ON mysql.* TO {admin}"];
pub(super) const BLIND: &[&str] = &["GRANT CREATE USER ON *.* TO {admin}"];
pub(super) const EXPIRING: &[&str] = &[
    "GRANT CREATE USER ON *.* TO {admin}",
    "GRANT SELECT ON mysql.* TO {admin}",
    "ALTER USER {admin} PASSWORD EXPIRE INTERVAL 20 DAY",
];
pub(super) const READER: &[&str] = &["GRANT SELECT ON mysql.* TO {admin}"];

/// How the account of a row is made to be, and who changes it (None: itself).
pub(super) type Row = (&'static str, Option<&'static [&'static str]>, Level, &'static str);
