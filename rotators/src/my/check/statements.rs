//! Owns the statements that a preflight shows: those that a rotation sends, made by the same functions, with masks for what
//! is secret. Never here: sending them.

use engine::outcome::StepError;
use engine::strategy::Strategy;

use super::Steps;
use crate::my::accounts::{Row, Rows};
use crate::my::dual::{Aim, Goal};
use crate::my::hash::Plugin;
use crate::my::session::Session;
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
        let two = strategy == Strategy::DualPassword;
        let made = self.change_to_a_mask(session, rows, by_admin, two).await;
        let Ok(mut made) = made else { return vec![] };
        if two {
            made.extend(rows.list.iter().map(|row| self.end_of_grace(row)));
        }
        made.iter().map(|statement| shown(&masked(statement))).collect()
    }

    /// setSecret of a value that is the mask itself.
    async fn change_to_a_mask(
        &self,
        session: &mut Session,
        rows: &Rows,
        by_admin: bool,
        two: bool,
    ) -> Result<Vec<String>, StepError> {
        let parties = self.parties.with_another_wanted(MASK);
        let entered = session.login.clone();
        let aim = if two { Aim::Beside } else { Aim::InPlace { ends: true } };
        let goal = Goal { aim, parties: &parties, entered: &entered };
        let mut plans = vec![];
        for row in &rows.list {
            row.known_plugin(self.flavor.plugins(), &parties.wanted)?;
            // An account that sees no hash of its own changes it by asking and trying.
            let blind = row.stored.is_none();
            if let Some(swap) = self.flavor.swap(&parties.wanted, &self.parties.wanted, two).filter(|_| blind) {
                return Ok(vec![swap.to_string()]);
            }
            plans.push((row, self.flavor.outlook(row, &goal)?));
        }
        let own = !by_admin && rows.list.len() == 1;
        let made = self.flavor.statements(session, &goal, &plans, own).await?;
        Ok(made.iter().map(|statement| statement.to_string()).collect())
    }

    /// What ends the second password.
    fn end_of_grace(&self, row: &Row) -> String {
        let account = my_account(&self.parties.wanted.user, &row.host);
        match self.flavor.plugins().contains(&Plugin::CachingSha2) {
            true => format!("ALTER USER {account} DISCARD OLD PASSWORD"),
            false => format!("ALTER USER {account} IDENTIFIED VIA {} USING '{MASK}'", row.plugin),
        }
    }
}

/// The statement with a mask for every literal: passwords and hashes, also those of ways to log in that are kept. Names are
/// in backticks, and those of plugins are no secret.
fn masked(statement: &str) -> String {
    let mut out = String::new();
    let mut rest = statement;
    while let Some(place) = rest.find(['\'', '`', '0']) {
        let (before, from) = rest.split_at(place);
        out.push_str(before);
        let (shown, after) = match from.as_bytes() {
            [b'`', ..] => quoted(from, '`'),
            [b'\'', ..] => {
                let (literal, after) = quoted(from, '\'');
                let plugin = matches!(literal, "'caching_sha2_password'" | "'mysql_native_password'" | "'ed25519'");
                (if plugin { literal } else { "'…'" }, after)
            }
            [b'0', b'x', ..] if !before.ends_with(|c: char| c.is_ascii_alphanumeric()) => {
                ("'…'", from[2..].trim_start_matches(|c: char| c.is_ascii_hexdigit()))
            }
            _ => from.split_at(1),
        };
        out.push_str(shown);
        rest = after;
    }
    out + rest
}

/// The quoted text at the front, its quotes included, and what follows. A quote that is doubled is one of the text.
fn quoted(text: &str, quote: char) -> (&str, &str) {
    let mut inside = false;
    let end = text.char_indices().find(|(place, character)| {
        inside ^= *character == quote;
        !inside && !text[place + character.len_utf8()..].starts_with(quote)
    });
    text.split_at(end.map_or(text.len(), |(place, character)| place + character.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_literal_is_masked_and_no_name() {
        for (statement, shown) in [
            (
                "ALTER USER `a'0xff``b`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 RETAIN CURRENT PASSWORD",
                "ALTER USER `a'0xff``b`@`%` IDENTIFIED WITH 'caching_sha2_password' AS '…' RETAIN CURRENT PASSWORD",
            ),
            ("SET PASSWORD = 'it''s' REPLACE 'o\\'", "SET PASSWORD = '…' REPLACE '…'"),
            (
                "ALTER USER `u10x`@`10.0.0.1` IDENTIFIED VIA unix_socket OR ed25519 USING 'Zig' OR x USING PASSWORD('p')",
                "ALTER USER `u10x`@`10.0.0.1` IDENTIFIED VIA unix_socket OR ed25519 USING '…' OR x USING PASSWORD('…')",
            ),
            ("SELECT 'never closed", "SELECT '…'"),
        ] {
            assert_eq!(masked(statement), shown);
        }
    }
}
