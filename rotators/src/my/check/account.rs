//! Owns what a preflight wants to know of a row beside its password. Never here: SQL.

/// One row `'user'@'host'`, by the server's catalogue.
#[derive(Debug, Clone)]
pub(crate) struct RowFacts {
    pub host: String,
    /// Its password has expired: a login is refused, or may only set another.
    pub expired: bool,
    /// In so many days it will have; None: never.
    pub days_left: Option<i64>,
    /// Logins per hour; 0: without limit.
    pub hourly: u64,
    /// The server remembers earlier passwords and refuses them.
    pub remembers: bool,
}
