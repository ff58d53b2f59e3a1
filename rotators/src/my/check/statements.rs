//! Owns the statements that a preflight shows: those that a rotation sends, with masks for what is
//! secret. Never here: sending them.

use engine::strategy::Strategy;

use super::Steps;
use crate::my::accounts::Rows;
use crate::quote::{my_account, shown};

impl Steps<'_> {
    /// What one account's rotation sends. Empty where its rows cannot be changed, which a finding says.
    pub(super) fn statements(&self, rows: &Rows, by_admin: bool, strategy: Strategy) -> Vec<String> {
        let wanted = &self.parties.wanted;
        let plugins = self.flavor.plugins();
        if rows.list.iter().any(|row| row.known_plugin(plugins, wanted).is_err()) {
            return vec![];
        }
        let two = strategy == Strategy::DualPassword;
        let own = !by_admin && rows.list.len() == 1;
        let mysql = self.flavor.kind().name == crate::mysql::KIND.name;
        let accounts: Vec<(String, &str)> = rows
            .list
            .iter()
            .map(|row| (shown(&my_account(&wanted.user, &row.host)), row.plugin.as_str()))
            .collect();
        match (mysql, own) {
            (true, true) => mysql_by_itself(two),
            (true, false) => mysql_by_admin(&accounts, two),
            (false, own) => mariadb(&accounts, two, own),
        }
    }
}

fn mysql_by_itself(two: bool) -> Vec<String> {
    let retain = if two { " RETAIN CURRENT PASSWORD" } else { "" };
    let set = format!("SET PASSWORD = '…' REPLACE '…'{retain}");
    let end = two.then(|| "ALTER USER USER() DISCARD OLD PASSWORD".to_owned());
    std::iter::once(set).chain(end).collect()
}

/// All rows in one statement.
fn mysql_by_admin(accounts: &[(String, &str)], two: bool) -> Vec<String> {
    let retain = if two { " RETAIN CURRENT PASSWORD" } else { "" };
    let set = accounts.iter().map(|(account, plugin)| format!("{account} IDENTIFIED WITH '{plugin}' AS '…'{retain}"));
    let end = accounts.iter().map(|(account, _)| format!("{account} DISCARD OLD PASSWORD"));
    let statement = |rows: Vec<String>| format!("ALTER USER {}", rows.join(", "));
    let end = two.then(|| statement(end.collect()));
    std::iter::once(statement(set.collect())).chain(end).collect()
}

/// A statement a row.
fn mariadb(accounts: &[(String, &str)], two: bool, own: bool) -> Vec<String> {
    if own && !two {
        return vec!["SET PASSWORD = '…'".to_owned()];
    }
    let one = |(account, plugin): &(String, &str)| format!("ALTER USER {account} IDENTIFIED VIA {plugin} USING '…'");
    let both = |row: &(String, &str)| format!("{} OR {} USING '…'", one(row), row.1);
    match two {
        true => accounts.iter().map(both).chain(accounts.iter().map(one)).collect(),
        false => accounts.iter().map(one).collect(),
    }
}
