//! What `store copy` does with each table. One that is not in the list makes a test fail, so that none is forgotten.
//!
//! Never here: how rows are moved.

/// A table that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Its primary key, by which its rows are read page after page.
    pub(crate) key: &'static [&'static str],
    /// Columns that are about where the store was: they are NULL in the copy.
    pub(crate) blank: &'static [&'static str],
    /// Its numbers come from a sequence, which goes on where it was.
    pub(crate) numbered: bool,
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key, blank: &[], numbered: false }
}

const fn numbered(name: &'static str) -> Table {
    Table { name, key: &["id"], blank: &[], numbered: true }
}

/// In an order in which each comes after what it refers to. One that neither side has is passed over.
pub(crate) const COPIED: [Table; 23] = [
    table("store_check", &["id"]),
    Table { blank: &["system_id", "timeline"], ..table("store_mode", &["id"]) },
    table("principal", &["name"]),
    table("access_key", &["access_key_id"]),
    table("rotator", &["name"]),
    numbered("secret"),
    table("tag", &["secret_id", "tag_key"]),
    numbered("candidate"),
    table("version", &["secret_id", "version_id"]),
    table("label", &["secret_id", "label"]),
    // Nobody has a lease on anything in the copy.
    Table { blank: &["lease_owner", "lease_boot", "lease_until_ms", "lease_ms"], ..table("rotation", &["secret_id"]) },
    table("policy", &["secret_id"]),
    table("replica", &["secret_id", "region"]),
    table("external", &["secret_id"]),
    table("reader", &["secret_id", "principal"]),
    numbered("history"),
    Table { blank: &["seen_ms", "seen_boot", "seen_up_ms", "clock_ms", "clock_said"], ..table("fleet", &["id"]) },
    numbered("event"),
    table("event_head", &["secret_id"]),
    table("event_log", &["id"]),
    table("subscription", &["name"]),
    Table { blank: &["lease_boot", "lease_until_ms"], ..table("event_queue", &["subscription", "secret_id"]) },
    numbered("dead_letter"),
];

/// What stays where it is: what nodes say of themselves, counters of what is in their memory, targets that did not answer, the
/// mark of a copy.
#[cfg_attr(not(test), expect(dead_code, reason = "said so that every table is in one of the two lists"))]
pub(crate) const LEFT: [&str; 4] = ["keyring_node", "generation", "target", "store_copy"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test]
    async fn every_table_of_the_schema_is_copied_or_left_and_described_as_it_is() {
        let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.expect("a database");
        sqlx::migrate!("migrations/sqlite").run(&pool).await.expect("the schema");
        let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
                     AND name <> '_sqlx_migrations'";
        let there: Vec<String> = sqlx::query_scalar(names).fetch_all(&pool).await.expect("names");
        let listed: BTreeSet<&str> = COPIED.iter().map(|table| table.name).chain(LEFT).collect();
        for name in &there {
            assert!(listed.contains(name.as_str()), "say in tables.rs what `store copy` does with table {name}");
        }
        for table in COPIED.iter().filter(|table| there.iter().any(|name| name == table.name)) {
            let key = "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk";
            let key: Vec<String> = sqlx::query_scalar(key).bind(table.name).fetch_all(&pool).await.expect("a key");
            assert_eq!(key, table.key, "the key of {}", table.name);
            let text = "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = $1";
            let numbered: bool = sqlx::query_scalar(text).bind(table.name).fetch_one(&pool).await.expect("a text");
            assert_eq!(numbered, table.numbered, "the numbers of {}", table.name);
        }
    }

    #[test]
    fn no_table_is_in_both_lists_or_twice_in_one() {
        let all: Vec<&str> = COPIED.iter().map(|table| table.name).chain(LEFT).collect();
        let distinct: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len(), "{all:?}");
    }
}
