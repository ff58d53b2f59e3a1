//! Owns the ways to log in that a MariaDB account joins by `OR`: reading them, which passwords they are to hold after a
//! step, and writing them as a statement takes them. Ways that have no password of ours (unix_socket, gssapi, what
//! somebody else added) stay as they are, in their order. Never here: connections.

use engine::outcome::StepError;
use zeroize::Zeroizing;

use crate::connection::Login;
use crate::my::accounts::{Method, Row};
use crate::my::dual::{Aim, Goal, Outlook, foreign, not_to_be_ended};
use crate::my::hash::Plugin;
use crate::quote::{my_name, my_text, shown};

/// The plugins whose passwords can be rotated.
pub(super) const PLUGINS: [Plugin; 2] = [Plugin::Native, Plugin::Ed25519];

/// A way to log in as it is to be; where it is a password of ours, whose.
pub(super) struct Piece<'a> {
    method: Method,
    login: Option<&'a Login>,
}

impl Piece<'_> {
    /// As it stands after `IDENTIFIED VIA`. With `clear` the server wants our passwords in clear.
    fn written(&self, clear: bool) -> Zeroizing<String> {
        let plugin = my_name(&self.method.plugin);
        Zeroizing::new(match self.login {
            Some(login) if clear => format!("{plugin} USING PASSWORD({})", *my_text(&login.password)),
            None if self.method.stored.is_empty() && !has_password(&self.method) => plugin,
            _ => format!("{plugin} USING {}", *my_text(&String::from_utf8_lossy(&self.method.stored))),
        })
    }
}

/// All ways in their order, as they stand after `IDENTIFIED VIA`.
pub(super) fn written(pieces: &[Piece<'_>], clear: bool) -> Zeroizing<String> {
    let mut all = Zeroizing::new(String::new());
    for piece in pieces {
        if !all.is_empty() {
            all.push_str(" OR ");
        }
        all.push_str(&piece.written(clear));
    }
    all
}

/// The first way with a password, else the first of all: the one that says what plugin the account has.
pub(super) fn leading(methods: &[Method]) -> Option<&Method> {
    methods.iter().find(|method| has_password(method)).or_else(|| methods.first())
}

fn has_password(method: &Method) -> bool {
    PLUGINS.iter().any(|plugin| plugin.name() == method.plugin)
}

/// Reads what follows `IDENTIFIED` in MariaDB's own words; whatever comes after the ways is left.
pub(super) fn read(text: &str) -> Option<(Vec<Method>, &str)> {
    if let Some(rest) = text.strip_prefix("IDENTIFIED BY PASSWORD ") {
        let (stored, rest) = quoted(rest)?;
        return Some((vec![Method { plugin: Plugin::Native.name().to_owned(), stored }], rest));
    }
    let Some(mut rest) = text.strip_prefix("IDENTIFIED VIA ") else {
        return Some((vec![Method { plugin: Plugin::Native.name().to_owned(), stored: vec![] }], text));
    };
    let mut methods = Vec::new();
    loop {
        let end = rest.find(' ').unwrap_or(rest.len());
        let plugin = rest[..end].to_owned();
        rest = &rest[end..];
        let stored = match rest.strip_prefix(" USING ") {
            Some(after) => {
                let (stored, after) = quoted(after)?;
                rest = after;
                stored
            }
            None => vec![],
        };
        methods.push(Method { plugin, stored });
        match rest.strip_prefix(" OR ") {
            Some(next) => rest = next,
            None => return Some((methods, rest)),
        }
    }
}

/// A text in quotes, as `SHOW CREATE USER` writes it under any `sql_mode`: quotes doubled, and backslashes too.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    let inner = text.strip_prefix('\'')?;
    let mut read = String::new();
    let mut rest = inner;
    loop {
        let at = rest.find(['\'', '\\'])?;
        let mark = &rest[at..=at];
        read.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix(mark) {
            Some(after) => {
                read.push_str(mark);
                rest = after;
            }
            None if mark == "'" => return Some((read.into_bytes(), rest)),
            None => return None,
        }
    }
}

/// What is to become of a row.
pub(super) fn outlook(row: &Row, goal: &Goal<'_>) -> Result<Outlook, StepError> {
    let Some(pieces) = target(row, goal)? else {
        return Ok(Outlook { done: true, retains: keeps(&row.methods, goal) });
    };
    let methods: Vec<Method> = pieces.into_iter().map(|piece| piece.method).collect();
    Ok(Outlook { done: methods == row.methods, retains: keeps(&methods, goal) })
}

/// AWSCURRENT's password is among these, beside a wanted one that is not to be alone.
fn keeps(methods: &[Method], goal: &Goal<'_>) -> bool {
    let forward = matches!(goal.aim, Aim::Beside | Aim::InPlace { .. });
    forward && goal.current().is_some_and(|current| methods.iter().any(|method| method.holds(current)))
}

/// The ways a row is to have; None where it is not for us to change.
pub(super) fn target<'a>(row: &Row, goal: &Goal<'a>) -> Result<Option<Vec<Piece<'a>>>, StepError> {
    let wanted = &goal.parties.wanted;
    let has = |login: &Login| row.methods.iter().any(|method| method.holds(login));
    match goal.aim {
        Aim::Beside => {
            let passwords = row.methods.iter().filter(|method| has_password(method) && !method.stored.is_empty());
            let strange = passwords.clone().any(|method| !goal.logins().any(|login| method.holds(login)));
            if strange && passwords.count() > 1 {
                return Err(foreign(row, wanted));
            }
            let kept: Vec<&Login> = std::iter::once(wanted).chain(goal.current()).collect();
            Ok(Some(replaced(row, &goal.logins().collect::<Vec<_>>(), &kept)))
        }
        // AWSCURRENT beside the wanted one is ended like any other that was, after its grace.
        Aim::InPlace { .. } if has(wanted) && goal.current().is_some_and(has) => Ok(None),
        Aim::InPlace { .. } => Ok(Some(replaced(row, &goal.logins().collect::<Vec<_>>(), &[wanted]))),
        Aim::Back { .. } => {
            let over: Vec<&Login> =
                std::iter::once(wanted).chain(goal.candidates().map(|named| &named.login)).collect();
            Ok(Some(replaced(row, &over, &[wanted])))
        }
        Aim::Alone => {
            let over = goal.over().is_some_and(has);
            match has(wanted) {
                false if over => {
                    let found = format!("AWSCURRENT's password is not in the row {}", shown(&row.host));
                    Err(not_to_be_ended(wanted, &found))
                }
                true if over => {
                    let both: Vec<&Login> = std::iter::once(wanted).chain(goal.over()).collect();
                    Ok(Some(replaced(row, &both, &[wanted])))
                }
                _ => Ok(None),
            }
        }
    }
}

/// The row's ways with the passwords of `ours` taken out and those of `kept` in the place of the first of them. An
/// account with one password loses it, whosever it is.
fn replaced<'a>(row: &Row, ours: &[&'a Login], kept: &[&'a Login]) -> Vec<Piece<'a>> {
    let is_ours = |method: &Method| ours.iter().any(|login| method.holds(login));
    let sole = row.methods.iter().filter(|method| has_password(method)).count() == 1;
    let goes = |method: &Method| is_ours(method) || (sole && has_password(method));
    let at = row.methods.iter().position(goes).or_else(|| row.methods.iter().position(has_password));
    let reference = row.methods.iter().find(|method| is_ours(method)).or_else(|| leading(&row.methods));
    let plugin = PLUGINS.into_iter().find(|plugin| reference.is_some_and(|method| method.plugin == plugin.name()));
    let mut pieces = Vec::new();
    for (i, method) in row.methods.iter().enumerate() {
        if at == Some(i) {
            pieces.extend(kept.iter().map(|login| password(row, login, plugin.unwrap_or(Plugin::Native))));
        }
        if !goes(method) {
            pieces.push(Piece { method: method.clone(), login: None });
        }
    }
    pieces
}

/// The way in which the row has this password already, or a new one of the same kind.
fn password<'a>(row: &Row, login: &'a Login, plugin: Plugin) -> Piece<'a> {
    let new = || Method { plugin: plugin.name().to_owned(), stored: plugin.make(&login.password, b"") };
    let method = row.methods.iter().find(|method| method.holds(login)).cloned().unwrap_or_else(new);
    Piece { method, login: Some(login) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Vec<(String, String)> {
        let (methods, _) = read(text).expect("understood");
        methods.into_iter().map(|m| (m.plugin, String::from_utf8(m.stored).expect("text"))).collect()
    }

    fn pair(plugin: &str, stored: &str) -> (String, String) {
        (plugin.to_owned(), stored.to_owned())
    }

    #[test]
    fn the_ways_of_an_account_are_read_in_their_order_and_what_follows_is_not() {
        let native = "mysql_native_password";
        for (text, ways) in [
            ("IDENTIFIED BY PASSWORD '*92' REQUIRE SSL", vec![pair(native, "*92")]),
            ("IDENTIFIED VIA ed25519 USING 'Zig'", vec![pair("ed25519", "Zig")]),
            ("IDENTIFIED VIA unix_socket ACCOUNT LOCK", vec![pair("unix_socket", "")]),
            ("REQUIRE NONE", vec![pair(native, "")]),
            ("", vec![pair(native, "")]),
            (
                "IDENTIFIED VIA unix_socket USING 'it''s\\\\x OR ' OR mysql_native_password USING '*6' OR gssapi",
                vec![pair("unix_socket", "it's\\x OR "), pair(native, "*6"), pair("gssapi", "")],
            ),
        ] {
            assert_eq!(read_all(text), ways, "{text}");
        }
        assert!(read("IDENTIFIED VIA pam USING 'open").is_none());
        assert!(read("IDENTIFIED VIA pam USING 'a\\n'").is_none(), "an escape that was never seen");
    }
}
