//! Owns the reading of SHOW GRANTS: which privileges somebody holds where. It is read to answer questions and to name what
//! is lacking; nothing is copied by it. Never here: who should hold what.

use crate::quote::shown;

/// One line that gives privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// In the server's words, with their columns: ``SELECT (`a`)``.
    privileges: Vec<String>,
    /// In the server's words: `*.*`, `` `app`.* ``, `` PROCEDURE `app`.`p` ``.
    scope: String,
    grantable: bool,
}

/// All that somebody holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants {
    grants: Vec<Grant>,
    /// Roles, as the server writes them, and whether they may be given on.
    roles: Vec<(String, bool)>,
}

impl Grants {
    /// Reads lines of SHOW GRANTS. A line that is no grant of this kind (PROXY, SET DEFAULT ROLE) says nothing here.
    pub(crate) fn read(lines: &[String]) -> Self {
        let mut all = Self::default();
        for text in lines {
            let Some(rest) = text.strip_prefix("GRANT ") else { continue };
            let Some((what, to)) = split(rest, " TO ") else { continue };
            match split(what, " ON ") {
                Some(("PROXY", _)) => {}
                Some((privileges, scope)) => all.grants.push(Grant {
                    privileges: commas(privileges),
                    scope: scope.to_owned(),
                    grantable: to.ends_with(" WITH GRANT OPTION"),
                }),
                None => {
                    let grantable = to.ends_with(" WITH ADMIN OPTION");
                    all.roles.extend(commas(what).into_iter().map(|role| (role, grantable)));
                }
            }
        }
        all
    }

    /// With those of another row of the same account.
    pub(crate) fn add(&mut self, other: Self) {
        self.grants.extend(other.grants);
        self.roles.extend(other.roles);
    }

    /// Held on everything.
    pub(crate) fn everywhere(&self, privilege: &str) -> bool {
        self.holds(privilege, "*.*", false)
    }

    /// Held on the schema `mysql`, or on everything.
    pub(crate) fn on_mysql(&self, privilege: &str) -> bool {
        self.holds(privilege, "`mysql`.*", false)
    }

    /// The roles, as the server writes them.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|(role, _)| role.as_str())
    }

    /// Whether this role may be given on.
    pub(crate) fn gives_role(&self, role: &str) -> bool {
        self.roles.iter().any(|(held, grantable)| held == role && *grantable)
    }

    /// Statements that give `by` what it lacks to give all of this on, one for each place.
    pub(crate) fn lacked_by(&self, giver: &Self, by: &str) -> Vec<String> {
        let lacking = |grant: &Grant| {
            let lacking: Vec<&str> = grant
                .privileges
                .iter()
                .map(String::as_str)
                .filter(|privilege| *privilege != "USAGE" && !giver.gives(privilege, &grant.scope))
                .collect();
            (!lacking.is_empty()).then(|| {
                format!("GRANT {} ON {} TO {by} WITH GRANT OPTION", shown(&lacking.join(", ")), shown(&grant.scope))
            })
        };
        self.grants.iter().filter_map(lacking).collect()
    }

    /// The statements that give another account all of this.
    pub(crate) fn given_to(&self, account: &str) -> Vec<String> {
        let grants = self.grants.iter().filter(|grant| grant.privileges != ["USAGE"]).map(|grant| {
            let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
            format!("GRANT {} ON {} TO {account}{option}", shown(&grant.privileges.join(", ")), shown(&grant.scope))
        });
        let roles = self.roles().map(|role| format!("GRANT {} TO {account}", shown(role)));
        grants.chain(roles).collect()
    }

    fn gives(&self, privilege: &str, scope: &str) -> bool {
        let whole = ["ALL PRIVILEGES", "ALL"].contains(&privilege);
        self.holds(privilege, scope, true)
            || (whole && scope != "*.*" && OF_A_SCHEMA.iter().all(|one| self.holds(one, scope, true)))
    }

    /// Held at this place or at one that holds it. The privilege of a column is held by who holds that of its table.
    fn holds(&self, privilege: &str, scope: &str, to_give: bool) -> bool {
        let bare = privilege.split(" (").next().unwrap_or(privilege);
        let schema = schema_of(scope);
        self.grants.iter().filter(|grant| !to_give || grant.grantable).any(|grant| {
            let here = grant.scope == "*.*" || grant.scope == scope || Some(&grant.scope) == schema.as_ref();
            let held = |held: &String| held == privilege || held == bare || held == "ALL PRIVILEGES";
            here && grant.privileges.iter().any(held)
        })
    }
}

/// The schema that a table or routine is in, as a place of its own.
fn schema_of(scope: &str) -> Option<String> {
    let named =
        ["PROCEDURE ", "FUNCTION ", "PACKAGE BODY ", "PACKAGE "].iter().find_map(|word| scope.strip_prefix(word));
    let (schema, _) = split(named.unwrap_or(scope), ".")?;
    (schema != "*").then(|| format!("{schema}.*"))
}

/// What ALL PRIVILEGES means on a schema, in both servers.
const OF_A_SCHEMA: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "EXECUTE",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EVENT",
    "TRIGGER",
];

/// Splits at the first `at` that is in no quoted name and in no list of columns.
fn split<'t>(text: &'t str, at: &str) -> Option<(&'t str, &'t str)> {
    let place = outside(text).find(|place| text[*place..].starts_with(at))?;
    Some((&text[..place], &text[place + at.len()..]))
}

fn commas(text: &str) -> Vec<String> {
    let mut parts = vec![];
    let mut rest = text;
    while let Some((part, after)) = split(rest, ",") {
        parts.push(part.trim().to_owned());
        rest = after;
    }
    parts.push(rest.trim().to_owned());
    parts
}

/// The places of characters that are in no quoted name and in no parentheses.
fn outside(text: &str) -> impl Iterator<Item = usize> {
    let (mut quoted, mut deep) = (None, 0_u32);
    text.char_indices().filter_map(move |(place, character)| {
        match (quoted, character) {
            // A quote that is doubled ends and begins the name again, which comes to the same.
            (Some(quote), _) if character == quote => quoted = None,
            (None, '`' | '\'' | '"') => quoted = Some(character),
            (None, '(') => deep += 1,
            (None, ')') => deep = deep.saturating_sub(1),
            (None, _) if deep == 0 => return Some(place),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Grants {
        Grants::read(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_the_servers_say_is_understood() {
        let mysql = read(&[
            "GRANT SELECT, CREATE USER ON *.* TO `adm`@`%`",
            "GRANT APPLICATION_PASSWORD_ADMIN,ROLE_ADMIN ON *.* TO `adm`@`%` WITH GRANT OPTION",
            "GRANT UPDATE ON `mysql`.* TO `adm`@`%`",
            "GRANT `r1`@`%`,`r2`@`%` TO `adm`@`%` WITH ADMIN OPTION",
            "GRANT PROXY ON ``@`` TO `adm`@`%` WITH GRANT OPTION",
        ]);
        assert!(mysql.everywhere("CREATE USER") && mysql.everywhere("ROLE_ADMIN") && !mysql.everywhere("UPDATE"));
        assert!(mysql.on_mysql("UPDATE") && mysql.on_mysql("SELECT") && !mysql.on_mysql("DELETE"));
        assert!(mysql.gives_role("`r2`@`%`") && !mysql.gives_role("`r3`@`%`"));
        let mariadb = read(&[
            "GRANT `r1` TO `adm`@`%`",
            "GRANT ALL PRIVILEGES ON *.* TO `adm`@`%` IDENTIFIED BY PASSWORD '*52' WITH GRANT OPTION",
            "SET DEFAULT ROLE `r1` FOR `adm`@`%`",
        ]);
        assert!(mariadb.everywhere("SUPER") && !mariadb.gives_role("`r1`"));
    }

    #[test]
    fn a_name_in_a_grant_does_not_mislead() {
        let odd = read(&["GRANT SELECT (`a ON b`, `c`), INSERT (`x`) ON `a TO b`.`t ON` TO `u TO`@`%`"]);
        let giver = read(&["GRANT SELECT ON `a TO b`.* TO `g`@`%` WITH GRANT OPTION"]);
        assert_eq!(
            odd.lacked_by(&giver, "`g`@`%`"),
            ["GRANT INSERT (`x`) ON `a TO b`.`t ON` TO `g`@`%` WITH GRANT OPTION"]
        );
    }

    // F60
    #[test]
    fn what_cannot_be_given_on_is_named_at_its_place() {
        let held = read(&[
            "GRANT USAGE ON *.* TO `app`@`%`",
            "GRANT ALL PRIVILEGES ON `app`.* TO `app`@`%`",
            "GRANT EXECUTE ON PROCEDURE `b`.`p` TO `app`@`%`",
        ]);
        let nothing = read(&["GRANT SELECT, CREATE USER ON *.* TO `g`@`%`"]);
        assert_eq!(held.lacked_by(&nothing, "g").len(), 2, "to hold is not to give");
        let all: Vec<String> = [format!("GRANT {} ON *.* TO `g`@`%` WITH GRANT OPTION", OF_A_SCHEMA.join(", "))].into();
        assert_eq!(held.lacked_by(&Grants::read(&all), "g"), [""; 0]);
        let schema = read(&["GRANT ALL PRIVILEGES ON `app`.* TO `g`@`%` WITH GRANT OPTION"]);
        let lacked = held.lacked_by(&schema, "`g`@`%`");
        assert_eq!(lacked, ["GRANT EXECUTE ON PROCEDURE `b`.`p` TO `g`@`%` WITH GRANT OPTION"]);
    }
}
