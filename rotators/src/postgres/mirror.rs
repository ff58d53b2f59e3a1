//! Owns the statements that make one account of a pair like the other: a role with all it needs, its memberships, its
//! settings. Each is a text for the server and a text for people, in which no value stands. Never here: reading.

use zeroize::Zeroizing;

use super::owner::{Facts, Membership, Setting, Shape, View};
use crate::quote::{pg_name, pg_text, shown};

/// A statement, and what it is shown as.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub sql: Zeroizing<String>,
    pub shown: String,
}

impl Statement {
    /// One that holds names only.
    pub(super) fn plain(sql: String) -> Self {
        Self { shown: shown(&sql), sql: Zeroizing::new(sql) }
    }

    /// One that holds a value, with how it is shown.
    pub(super) fn masked(sql: String, masked: &str) -> Self {
        Self { sql: Zeroizing::new(sql), shown: shown(masked) }
    }
}

/// What stands for a value where statements are shown.
pub(super) const MASK: &str = "…";

impl View {
    /// What brings the idle account (named `idle`) to the state of the active one, with this verifier where it is to have
    /// another password. Where it is as it should be: nothing.
    pub(super) fn mends(&self, idle: &str, verifier: Option<&str>) -> Vec<Statement> {
        let mut mends = Vec::new();
        match &self.idle {
            None => mends.push(create(&self.active, idle, verifier)),
            Some(facts) => mends.extend(self.alter(facts, verifier)),
        }
        mends.extend(self.missing.iter().filter(|found| !found.loops).filter_map(|found| self.join(found, idle)));
        if self.joins() {
            mends.push(grant(&self.active.name, idle, self.version));
        }
        mends.extend(self.settings(idle));
        mends
    }

    /// In AWS's shape the second account is a member of the first, never the other way round: two such grants are a loop.
    pub(super) fn joins(&self) -> bool {
        let missing = self.idle.is_none();
        self.shape == Shape::Member && (missing || !(self.active_in_idle || self.idle_in_active || self.idle_is_first))
    }

    /// A role that only the active account is a member of. In AWS's shape it comes through the active account itself.
    fn join(&self, found: &Membership, idle: &str) -> Option<Statement> {
        if self.shape == Shape::Member && (self.joins() || self.idle_in_active) {
            return None;
        }
        let options = match (found.inherit, found.set) {
            (Some(inherit), Some(set)) => format!(" WITH ADMIN {}, INHERIT {inherit}, SET {set}", found.admin),
            _ if found.admin => " WITH ADMIN OPTION".to_owned(),
            _ => String::new(),
        };
        Some(Statement::plain(format!("GRANT {} TO {}{options}", pg_name(&found.role), pg_name(idle))))
    }

    fn alter(&self, idle: &Facts, verifier: Option<&str>) -> Vec<Statement> {
        let mut words = self.active.more_than(idle).iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        if matches!(self.shape, Shape::SharedOwner(_)) {
            // The pair is ours from the beginning: both are alike in everything.
            if idle.inherit != self.active.inherit {
                words.push(inherit(&self.active).to_owned());
            }
            if idle.limit != self.active.limit {
                words.push(format!("CONNECTION LIMIT {}", self.active.limit));
            }
            if idle.until != self.active.until {
                let until = self.active.until.as_deref().unwrap_or("infinity");
                words.push(format!("VALID UNTIL {}", pg_text(until)));
            }
        } else if self.idle_in_active && !self.idle_inherits {
            words.push("INHERIT".to_owned());
        }
        let name = pg_name(&idle.name);
        let mut statements = Vec::new();
        if let Some(verifier) = verifier {
            // Alone, and in the form of a single user's, so that what searches a server's log for it finds both.
            let of = |value: &str| format!("ALTER ROLE {name} PASSWORD '{value}'");
            statements.push(Statement::masked(of(verifier), &of(MASK)));
        }
        if !words.is_empty() {
            statements.push(Statement::plain(format!("ALTER ROLE {name} {}", words.join(" "))));
        }
        if self.version >= 160_000 && self.shape == Shape::Member && self.idle_in_active && !self.idle_inherits {
            statements.push(grant(&self.active.name, &idle.name, self.version));
        }
        statements
    }

    /// In the shared shape both have the same settings. In AWS's, where the second account was made without any, what is
    /// missing is added and nothing is taken away.
    fn settings(&self, idle: &str) -> Vec<Statement> {
        let (sets, resets) = self.differing_settings();
        sets.into_iter().map(|wanted| set(idle, wanted)).chain(resets.into_iter().map(|it| reset(idle, it))).collect()
    }

    /// The settings that [`View::mends`] gives the idle account, and those it takes away.
    pub(super) fn differing_settings(&self) -> (Vec<&Setting>, Vec<&Setting>) {
        let has: &[Setting] = self.idle.as_ref().map_or(&[], |idle| &idle.settings);
        let shared = matches!(self.shape, Shape::SharedOwner(_));
        let same_place = |one: &Setting, other: &Setting| one.name == other.name && one.database == other.database;
        let lacks = |wanted: &&Setting| match shared {
            true => !has.contains(wanted),
            false => !has.iter().any(|found| same_place(found, wanted)),
        };
        let extra = |found: &&Setting| shared && !self.active.settings.iter().any(|wanted| same_place(found, wanted));
        (self.active.settings.iter().filter(lacks).collect(), has.iter().filter(extra).collect())
    }
}

/// A new account like `model`, never a superuser.
pub(super) fn create(model: &Facts, name: &str, verifier: Option<&str>) -> Statement {
    let mut words = vec![inherit(model).to_owned()];
    let attributes = [
        (model.create_db, "CREATEDB"),
        (model.create_role, "CREATEROLE"),
        (model.replication, "REPLICATION"),
        (model.bypass_rls, "BYPASSRLS"),
    ];
    words.extend(attributes.into_iter().filter(|(has, _)| *has).map(|(_, word)| word.to_owned()));
    if model.limit != -1 {
        words.push(format!("CONNECTION LIMIT {}", model.limit));
    }
    words.extend(model.until.as_deref().map(|until| format!("VALID UNTIL {}", pg_text(until))));
    let of = |value: &str| format!("CREATE ROLE {} LOGIN PASSWORD '{value}' {}", pg_name(name), words.join(" "));
    Statement::masked(of(verifier.unwrap_or(MASK)), &of(MASK))
}

fn inherit(facts: &Facts) -> &'static str {
    if facts.inherit { "INHERIT" } else { "NOINHERIT" }
}

/// A membership by which `member` has what `role` has, and may become it.
pub(super) fn grant(role: &str, member: &str, version: i32) -> Statement {
    let options = if version >= 160_000 { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    Statement::plain(format!("GRANT {} TO {}{options}", pg_name(role), pg_name(member)))
}

/// A session's setting. Its value is nobody's business: it may hold a key.
pub(super) fn set(role: &str, setting: &Setting) -> Statement {
    let of = |value: &str| format!("{} SET {} TO {value}", place(role, setting), pg_name(&setting.name));
    let masked = if setting.name == "role" { pg_text(&setting.value) } else { MASK.to_owned() };
    Statement::masked(of(&value(setting)), &of(&masked))
}

pub(super) fn reset(role: &str, setting: &Setting) -> Statement {
    Statement::plain(format!("{} RESET {}", place(role, setting), pg_name(&setting.name)))
}

fn place(role: &str, setting: &Setting) -> String {
    match setting.database.as_str() {
        "" => format!("ALTER ROLE {}", pg_name(role)),
        database => format!("ALTER ROLE {} IN DATABASE {}", pg_name(role), pg_name(database)),
    }
}

/// Settings that are lists of names: one text for all of them would be one long name (as in pg_dump).
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

fn value(setting: &Setting) -> String {
    if !LISTS.contains(&setting.name.to_ascii_lowercase().as_str()) {
        return pg_text(&setting.value);
    }
    names(&setting.value).iter().map(|name| pg_text(name)).collect::<Vec<_>>().join(", ")
}

/// The names of a list as the server keeps it: with commas between, in double quotes where needed.
fn names(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let (mut quoted, mut chars) = (false, list.chars().peekable());
    while let Some(c) = chars.next() {
        let Some(name) = names.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            c if c.is_ascii_whitespace() && !quoted => {}
            c => name.push(c),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_taken_apart_as_the_server_keeps_them() {
        let set_to = |name: &str, value: &str| {
            let setting = Setting { database: String::new(), name: name.to_owned(), value: value.to_owned() };
            set("app", &setting).sql.to_string()
        };
        for (list, expected) in [
            (r#""$user", public"#, "'$user', 'public'"),
            (r#""a, ""b""", c"#, r#"'a, "b"', 'c'"#),
            (r#""""#, "''"),
            ("it's", "'it''s'"),
        ] {
            assert_eq!(set_to("search_path", list), format!("ALTER ROLE \"app\" SET \"search_path\" TO {expected}"));
        }
        assert_eq!(set_to("work_mem", "a, b"), "ALTER ROLE \"app\" SET \"work_mem\" TO 'a, b'");
    }

    #[test]
    fn a_settings_value_is_not_shown() {
        let setting = Setting { database: "d".to_owned(), name: "my.key".to_owned(), value: "canary".to_owned() };
        let statement = set("app", &setting);
        assert_eq!(statement.shown, "ALTER ROLE \"app\" IN DATABASE \"d\" SET \"my.key\" TO …");
        assert!(statement.sql.contains("canary"));
    }
}
