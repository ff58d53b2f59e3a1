//! Owns what one row `'user'@'host'` of an account may do, right by right as the server's catalogue keeps them, how the
//! rights of two accounts differ, and the statements that give or take a right. Never here: connections; the text of
//! `SHOW GRANTS`, which is for people.

pub(super) mod read;

use std::collections::{BTreeMap, BTreeSet};

use crate::quote::{my_account, my_name, shown};

/// What a right is about. The order is that in which rights are given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum On {
    /// A role that is granted. MariaDB's have no host.
    Role {
        name: String,
        host: Option<String>,
    },
    /// The whole server.
    Server,
    /// The whole server, by a dynamic privilege of MySQL, whose GRANT OPTION is its own.
    Dynamic,
    /// A schema that a right on the whole server does not reach (MySQL's partial revokes): less, not more.
    Withheld {
        schema: String,
    },
    /// The schemas of a pattern, as it is stored.
    Schema {
        pattern: String,
    },
    Table {
        schema: String,
        table: String,
    },
    Column {
        schema: String,
        table: String,
        column: String,
    },
    /// `kind` is the server's word: FUNCTION, PROCEDURE, PACKAGE.
    Routine {
        kind: String,
        schema: String,
        name: String,
    },
    /// Another account that this one may act as.
    Proxy {
        user: String,
        host: String,
    },
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub on: On,
    /// The privilege as statements spell it; empty for roles and proxies.
    pub privilege: String,
    /// Not the right itself but that it may be passed on, where that is said of each: roles, proxies, dynamic privileges.
    pub pass_on: bool,
}

/// The rights of one row.
pub(super) type Rights = BTreeSet<Right>;

/// GRANT OPTION as a right of its own, which static privileges have per object.
pub(super) const GRANT_OPTION: &str = "GRANT OPTION";

/// Rights that one statement gives.
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    pub rights: Vec<Right>,
    on: On,
    /// As in a statement: `SELECT`, ``INSERT (`column`)``.
    privileges: Vec<String>,
    pass_on: bool,
}

/// Rights as few statements as can be, in the order in which they can be given.
pub(super) fn bundles<'a>(rights: impl IntoIterator<Item = &'a Right>) -> Vec<Bundle> {
    let mut grouped: BTreeMap<(On, bool), Bundle> = BTreeMap::new();
    for right in rights {
        let (on, privilege) = match &right.on {
            On::Column { schema, table, column } => (
                On::Table { schema: schema.clone(), table: table.clone() },
                format!("{} ({})", right.privilege, my_name(column)),
            ),
            on => (on.clone(), right.privilege.clone()),
        };
        let key = (on.clone(), right.pass_on);
        let bundle = Bundle { rights: vec![], on, privileges: vec![], pass_on: right.pass_on };
        let bundle = grouped.entry(key).or_insert(bundle);
        bundle.rights.push(right.clone());
        bundle.privileges.push(privilege);
    }
    // A statement that lets a right be passed on gives the right itself as well.
    let told_twice = |bundle: &Bundle| {
        let passed_on = grouped.get(&(bundle.on.clone(), true));
        !bundle.pass_on && passed_on.is_some_and(|other| other.privileges == bundle.privileges)
    };
    grouped.values().filter(|bundle| !told_twice(bundle)).cloned().collect()
}

impl Bundle {
    /// The statement that gives these rights to `grantee` (quoted).
    pub(super) fn give(&self, grantee: &str) -> String {
        let what = self.what();
        match &self.on {
            On::Withheld { .. } => format!("REVOKE {what} FROM {grantee}"),
            On::Role { .. } => {
                format!("GRANT {what} TO {grantee}{}", if self.pass_on { " WITH ADMIN OPTION" } else { "" })
            }
            _ => format!("GRANT {what} TO {grantee}{}", if self.passed_on() { " WITH GRANT OPTION" } else { "" }),
        }
    }

    /// The statement that takes them away.
    pub(super) fn take(&self, grantee: &str) -> String {
        match &self.on {
            On::Withheld { .. } => format!("GRANT {} TO {grantee}", self.what()),
            On::Role { .. } | On::Proxy { .. } | On::Dynamic => format!("REVOKE {} FROM {grantee}", self.what()),
            _ => format!("REVOKE {} ON {} FROM {grantee}", self.privileges.join(", "), self.target()),
        }
    }

    /// What whoever gives these rights must have been granted.
    pub(super) fn needed_by(&self, admin: &str) -> String {
        match &self.on {
            On::Withheld { schema } => format!("GRANT {} ON {}.* TO {admin}", self.listed(), my_name(schema)),
            On::Role { .. } => format!("GRANT {} TO {admin} WITH ADMIN OPTION", self.what()),
            _ => format!("GRANT {} TO {admin} WITH GRANT OPTION", self.what()),
        }
    }

    pub(super) fn hands_on_a_proxy(&self) -> bool {
        self.pass_on && matches!(self.on, On::Proxy { .. })
    }

    /// As messages say it.
    pub(super) fn shown(&self) -> String {
        let passed_on = match &self.on {
            On::Role { .. } if self.pass_on => " WITH ADMIN OPTION",
            On::Proxy { .. } | On::Dynamic if self.pass_on => " WITH GRANT OPTION",
            _ => "",
        };
        let what = match &self.on {
            On::Role { .. } => format!("the role {}", self.what()),
            On::Withheld { .. } => format!("no {}", self.what()),
            On::Proxy { .. } | On::Dynamic => self.what(),
            _ => format!("{} ON {}", self.privileges.join(", "), self.target()),
        };
        shown(&format!("{what}{passed_on}"))
    }

    fn what(&self) -> String {
        match &self.on {
            On::Role { .. } => self.target(),
            On::Proxy { .. } => format!("PROXY ON {}", self.target()),
            _ => format!("{} ON {}", self.listed(), self.target()),
        }
    }

    fn passed_on(&self) -> bool {
        self.pass_on || self.privileges.iter().any(|privilege| privilege == GRANT_OPTION)
    }

    /// The privileges without GRANT OPTION, which comes at the end of a GRANT.
    fn listed(&self) -> String {
        let listed: Vec<&str> =
            self.privileges.iter().map(String::as_str).filter(|privilege| *privilege != GRANT_OPTION).collect();
        if listed.is_empty() { "USAGE".to_owned() } else { listed.join(", ") }
    }

    fn target(&self) -> String {
        match &self.on {
            On::Server | On::Dynamic => "*.*".to_owned(),
            On::Withheld { schema } => format!("{}.*", my_name(schema)),
            On::Schema { pattern } => format!("{}.*", my_name(pattern)),
            On::Table { schema, table } | On::Column { schema, table, .. } => {
                format!("{}.{}", my_name(schema), my_name(table))
            }
            On::Routine { kind, schema, name } => format!("{kind} {}.{}", my_name(schema), my_name(name)),
            On::Proxy { user, host } | On::Role { name: user, host: Some(host) } => my_account(user, host),
            On::Role { name, host: None } => my_name(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(on: On, privilege: &str, pass_on: bool) -> Right {
        Right { on, privilege: privilege.to_owned(), pass_on }
    }

    fn table() -> On {
        On::Table { schema: "app".to_owned(), table: "t`".to_owned() }
    }

    fn given(rights: Vec<Right>) -> Vec<String> {
        let rights: Rights = rights.into_iter().collect();
        bundles(&rights).iter().map(|bundle| bundle.give("`u`@`%`")).collect()
    }

    #[test]
    fn rights_on_one_thing_are_one_statement_and_columns_go_with_their_table() {
        let column =
            |name: &str| On::Column { schema: "app".to_owned(), table: "t`".to_owned(), column: name.to_owned() };
        let statements = given(vec![
            right(column("b"), "INSERT", false),
            right(table(), GRANT_OPTION, false),
            right(table(), "SELECT", false),
        ]);
        assert_eq!(statements, ["GRANT SELECT, INSERT (`b`) ON `app`.`t``` TO `u`@`%` WITH GRANT OPTION"]);
        assert_eq!(
            given(vec![right(table(), GRANT_OPTION, false)]),
            ["GRANT USAGE ON `app`.`t``` TO `u`@`%` WITH GRANT OPTION"]
        );
    }

    #[test]
    fn what_is_passed_on_is_said_of_each_dynamic_privilege_role_and_proxy() {
        let role = || On::Role { name: "r".to_owned(), host: Some("%".to_owned()) };
        let statements = given(vec![
            right(On::Dynamic, "BACKUP_ADMIN", false),
            right(On::Dynamic, "BACKUP_ADMIN", true),
            right(On::Dynamic, "XA_RECOVER_ADMIN", false),
            right(On::Server, "SELECT", false),
            right(role(), "", false),
            right(role(), "", true),
        ]);
        assert_eq!(
            statements,
            [
                "GRANT `r`@`%` TO `u`@`%` WITH ADMIN OPTION",
                "GRANT SELECT ON *.* TO `u`@`%`",
                "GRANT BACKUP_ADMIN, XA_RECOVER_ADMIN ON *.* TO `u`@`%`",
                "GRANT BACKUP_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION",
            ]
        );
    }

    #[test]
    fn a_partial_revoke_comes_after_the_right_it_restricts_and_is_given_by_taking() {
        let withheld = right(On::Withheld { schema: "mysql".to_owned() }, "INSERT", false);
        let statements = given(vec![withheld.clone(), right(On::Server, "INSERT", false)]);
        assert_eq!(statements, ["GRANT INSERT ON *.* TO `u`@`%`", "REVOKE INSERT ON `mysql`.* FROM `u`@`%`"]);
        assert_eq!(bundles([&withheld])[0].take("`u`@`%`"), "GRANT INSERT ON `mysql`.* TO `u`@`%`");
    }

    #[test]
    fn what_an_admin_lacks_is_told_as_the_grant_it_needs() {
        let bundle = &bundles([&right(table(), "SELECT", false)])[0];
        assert_eq!(bundle.needed_by("`boss`@`%`"), "GRANT SELECT ON `app`.`t``` TO `boss`@`%` WITH GRANT OPTION");
        assert_eq!(bundle.take("`u`@`%`"), "REVOKE SELECT ON `app`.`t``` FROM `u`@`%`");
        assert_eq!(bundle.shown(), "SELECT ON `app`.`t```");
    }
}
