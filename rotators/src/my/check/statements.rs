//! Owns the statements that a preflight shows: those that a rotation sends, made by the same functions, with masks for what
//! is secret. Never here: sending them.

use engine::strategy::Strategy;
use zeroize::Zeroizing;

use super::Steps;
use crate::connection::Login;
use crate::my::accounts::{Row, Rows};
use crate::my::hash::Plugin;
use crate::my::session::Session;
use crate::my::{Change, Statement};
use crate::quote::{my_account, shown};

/// Stands for a value where a statement is shown.
const MASK: &str = "…";

impl Steps<'_> {
    /// What one account's rotation sends. Empty where its rows cannot be changed, which a finding says.
    pub(super) async fn statements(
        &self,
        session: &mut Session,
        rows: &Rows,
        by_admin: bool,
        strategy: Strategy,
    ) -> Vec<String> {
        let masked = Login { password: Zeroizing::new(MASK.to_owned()), ..self.parties.wanted.clone() };
        let plugins = self.flavor.plugins();
        let known: Result<Vec<(&Row, Plugin)>, _> = rows
            .list
            .iter()
            .map(|row| Ok((row, row.known_plugin(plugins, &masked)?)))
            .collect::<Result<_, engine::outcome::StepError>>();
        let Ok(known) = known else { return vec![] };
        if strategy == Strategy::DualPassword {
            return two_passwords(&known, &masked);
        }
        let change = Change { wanted: &masked, rows: known, own: !by_admin && rows.list.len() == 1, create: false };
        // The statement quotes the session's own password: not this one.
        let real = std::mem::replace(&mut session.login.password, masked.password.clone());
        let made = self.flavor.statements(session, &change).await;
        session.login.password = real;
        let made = made.unwrap_or_default();
        made.iter().map(|statement| shown(&without_hashes(statement))).collect()
    }
}

/// What `dual.rs` sends, in short.
fn two_passwords(rows: &[(&Row, Plugin)], login: &Login) -> Vec<String> {
    let accounts: Vec<(String, &str)> =
        rows.iter().map(|(row, plugin)| (shown(&my_account(&login.user, &row.host)), plugin.name())).collect();
    let mysql = rows.iter().any(|(_, plugin)| *plugin == Plugin::CachingSha2);
    let add = |(account, plugin): &(String, &str)| match mysql {
        true => format!("ALTER USER {account} IDENTIFIED WITH '{plugin}' AS '{MASK}' RETAIN CURRENT PASSWORD"),
        false => format!("ALTER USER {account} IDENTIFIED VIA {plugin} USING '{MASK}' OR {plugin} USING '{MASK}'"),
    };
    let leave = |(account, plugin): &(String, &str)| match mysql {
        true => format!("ALTER USER {account} DISCARD OLD PASSWORD"),
        false => format!("ALTER USER {account} IDENTIFIED VIA {plugin} USING '{MASK}'"),
    };
    accounts.iter().map(add).chain(accounts.iter().map(leave)).collect()
}

/// Hashes of the mask tell nothing, and are shown as what they stand for.
fn without_hashes(statement: &Statement) -> String {
    let mut text = statement.to_string();
    for plugin in [Plugin::Native, Plugin::Ed25519] {
        text = text.replace(&*String::from_utf8_lossy(&plugin.make(MASK, b"")), MASK);
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(place) = rest.find(" AS 0x") {
        let after = &rest[place + " AS 0x".len()..];
        out.push_str(&rest[..place]);
        out.push_str(" AS '…'");
        rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out + rest
}
