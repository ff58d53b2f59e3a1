//! What a rotation asks of the store, sent by a plain client: the statements that one rotation was seen to send, in the same
//! transactions, with the same parameters but for the secret, over as many connections as a node has. No decision, no sealing, no
//! scheduler: what is beside it is the engine's own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::BURST;
use super::burst::burst;
use super::database::Database;
use super::fill::Fleet;
use super::node::{Node, Rotates};

/// How entries of the server's log begin, with the process; what goes on with one begins with a tab.
const PREFIX: &str = "STORM-";
/// As many as a node has rotations under way by itself.
const PERMITS: usize = 32;

/// One statement as it was sent: its text, and its parameters as texts.
#[derive(Clone, Debug)]
struct Sent {
    process: u32,
    sql: String,
    parameters: Vec<Option<String>>,
}

/// What names one secret in its statements.
struct Names {
    id: i64,
    arn: String,
    name: String,
    current: String,
}

pub(crate) async fn run(database: &Database, fleet: &Fleet) {
    // None of these has been rotated yet, and one of them shows how it is done.
    fleet.create_burst("shown").await;
    fleet.create_burst("bare").await;
    let sent = Arc::new(watch_one(database, fleet).await);
    let nodes = [Node::start(database, fleet, Rotates::Nothing, PERMITS).await];
    let came = burst(database, &nodes, "shown/%", BURST).await;
    drop(nodes);
    let engine = BURST as f64 / came.took;
    println!("\n### (j) The engine beside the bare transactions of its rotations\n");
    tell(&sent);
    println!("\n| | connections | rotations/s | CPU of the client, each | CPU of PostgreSQL, each |");
    println!("|---|--:|--:|--:|--:|");
    let each = BURST as f64;
    println!(
        "| one node, {PERMITS} permits | {} | {engine:.0} | {:.1} ms | {:.1} ms |",
        came.connections,
        came.cpu.0 / each,
        came.cpu.1 / each
    );
    let connections = usize::try_from(came.connections).expect("few");
    let (took, cpu) = replay(database, &sent, connections).await;
    let bare = each / took.as_secs_f64();
    println!("| bare | {connections} | {bare:.0} | {:.1} ms | {:.1} ms |", cpu.0 / each, cpu.1 / each);
    println!("\nBare to engine: {:.2}.", bare / engine);
}

/// Has one secret rotated while the server writes down every statement.
async fn watch_one(database: &Database, fleet: &Fleet) -> Vec<Sent> {
    let nodes = [Node::start(database, fleet, Rotates::Nothing, 1).await];
    let client = &database.client;
    for setting in [format!("log_line_prefix = '{PREFIX}%p '"), "log_statement = 'all'".to_owned()] {
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.expect("a setting");
    }
    client.batch_execute("SELECT pg_reload_conf()").await.expect("read");
    burst(database, &nodes, "shown/7", 1).await;
    client.batch_execute("ALTER SYSTEM RESET ALL").await.expect("settings");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("read");
    let id = names(client, "shown/7").await[0].id.to_string();
    let log = std::fs::read_to_string(&database.server.log).expect("the server's log");
    let sent = transactions_about(&id, read(&log));
    assert!(sent.len() > 10, "a rotation asks something:\n{sent:#?}");
    sent
}

/// What was sent, in order.
fn read(log: &str) -> Vec<Sent> {
    let whole = log.replace("\n\t", "\n\u{1}");
    let mut sent: Vec<Sent> = vec![];
    let mut entry = String::new();
    for line in whole.lines().chain([PREFIX]) {
        match line.strip_prefix('\u{1}') {
            Some(more) => entry = entry + "\n" + more,
            None => {
                take(&entry, &mut sent);
                entry = line.to_owned();
            }
        }
    }
    sent
}

fn take(entry: &str, sent: &mut Vec<Sent>) {
    let Some((process, said)) = entry.strip_prefix(PREFIX).and_then(|entry| entry.split_once(' ')) else { return };
    let process = process.parse().unwrap_or_default();
    if let Some(said) = said.strip_prefix("LOG:  ") {
        let executed = said.strip_prefix("execute ").and_then(|said| said.split_once(": "));
        let simple = said.strip_prefix("statement: ");
        if let Some(sql) = executed.map(|(_, sql)| sql).or(simple) {
            sent.push(Sent { process, sql: sql.to_owned(), parameters: vec![] });
        }
    } else if let Some(said) = said.strip_prefix("DETAIL:  ") {
        let said = said.strip_prefix("parameters: ").or(said.strip_prefix("Parameters: "));
        if let (Some(said), Some(last)) = (said, sent.last_mut().filter(|last| last.process == process)) {
            last.parameters = parameters(said);
        }
    }
}

/// `$1 = '5', $2 = NULL, $3 = 'it''s'`.
fn parameters(mut said: &str) -> Vec<Option<String>> {
    let mut list = vec![];
    while let Some((_, rest)) = said.split_once(" = ") {
        if let Some(rest) = rest.strip_prefix("NULL") {
            list.push(None);
            said = rest;
            continue;
        }
        let mut value = String::new();
        let mut rest = rest.strip_prefix('\'').unwrap_or(rest);
        while let Some((part, after)) = rest.split_once('\'') {
            value.push_str(part);
            rest = after;
            match after.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        list.push(Some(value));
        said = rest;
    }
    list
}

/// The transactions, and single statements, that name this secret: not the looks for what is due, and not ours.
fn transactions_about(id: &str, sent: Vec<Sent>) -> Vec<Sent> {
    let begins = |sql: &str| sql.starts_with("BEGIN") || sql.starts_with("START TRANSACTION");
    let ends = |sql: &str| sql.starts_with("COMMIT") || sql.starts_with("ROLLBACK");
    let mut open: BTreeMap<u32, Vec<Sent>> = BTreeMap::new();
    let mut kept = vec![];
    // Events are given their order many at once, by numbers that may be the secret's too.
    let names_it = |one: &Sent| {
        one.sql.starts_with("-- ")
            && !one.sql.starts_with("-- event_log::")
            && one.parameters.iter().flatten().any(|value| value == id)
    };
    for one in sent {
        let process = one.process;
        if begins(&one.sql) {
            open.insert(process, vec![one]);
        } else if let Some(transaction) = open.get_mut(&process) {
            let is_over = ends(&one.sql);
            transaction.push(one);
            if is_over {
                let transaction = open.remove(&process).unwrap_or_default();
                if transaction.iter().any(names_it) {
                    kept.extend(transaction);
                }
            }
        } else if names_it(&one) {
            kept.push(one);
        }
    }
    kept
}

/// What a rotation is made of, in one paragraph and a list.
fn tell(sent: &[Sent]) {
    let is = |one: &Sent, word: &str| one.sql.starts_with(word);
    let commits = sent.iter().filter(|one| is(one, "COMMIT")).count();
    let writes = |one: &&Sent| ["INSERT", "UPDATE", "DELETE"].iter().any(|word| one.sql.contains(&format!("\n{word}")));
    println!(
        "A rotation sends {} statements to the store: {commits} transactions are committed, {} statements write. By name:\n",
        sent.len(),
        sent.iter().filter(writes).count()
    );
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for one in sent {
        let first = one.sql.lines().next().unwrap_or_default();
        *counted.entry(first.strip_prefix("-- ").unwrap_or(first)).or_default() += 1;
    }
    let list: Vec<String> = counted.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("{}.", list.join(", "));
}

/// The names of secrets, in the order of their numbers.
async fn names(client: &Client, like: &str) -> Vec<Names> {
    let rows = client.query(NAMES, &[&like]).await.expect("secrets");
    rows.iter().map(|row| Names { id: row.get(0), arn: row.get(1), name: row.get(2), current: row.get(3) }).collect()
}

/// Sends the same for each of a thousand other secrets. Returns how long that took, and the CPU of client and server.
async fn replay(database: &Database, sent: &Arc<Vec<Sent>>, connections: usize) -> (Duration, (f64, f64)) {
    // The one that was watched has been rotated once more by then: what was AWSCURRENT when it was watched is what its
    // first statements named.
    let shown = names(&database.client, "shown/7").await.remove(0);
    let first: String = database.client.query_one(FIRST, &[&shown.id]).await.expect("a version").get(0);
    let shown = Arc::new(Names { current: first, ..shown });
    let token = Arc::new(token_of(sent, &shown));
    let waiting = Arc::new(tokio::sync::Mutex::new(names(&database.client, "bare/%").await));
    assert_eq!(waiting.lock().await.len(), BURST, "as many as were rotated");
    let mut clients = vec![];
    for _ in 0..connections {
        clients.push(database.connect().await);
    }
    let cpu = || (crate::fleet::cpu_ms(std::process::id()), database.cpu_ms());
    let (began, before) = (Instant::now(), cpu());
    let mut tasks = tokio::task::JoinSet::new();
    for client in clients {
        let (sent, shown, token) = (Arc::clone(sent), Arc::clone(&shown), Arc::clone(&token));
        let waiting = Arc::clone(&waiting);
        tasks.spawn(async move {
            let prepared = prepare(&client, &sent).await;
            loop {
                let Some(secret) = waiting.lock().await.pop() else { return };
                let fresh = engine::id::VersionId::random(&mut rand::rng());
                let same = [
                    (shown.arn.as_str(), secret.arn.as_str()),
                    (shown.name.as_str(), secret.name.as_str()),
                    (shown.current.as_str(), secret.current.as_str()),
                    (token.as_str(), fresh.as_str()),
                ];
                for one in sent.iter() {
                    send(&client, &prepared, one, (shown.id, secret.id), &same).await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("all was sent");
    }
    let after = cpu();
    (began.elapsed(), (after.0 - before.0, after.1 - before.1))
}

/// The version that was made while it was watched.
fn token_of(sent: &[Sent], shown: &Names) -> String {
    let looks_like_one = |value: &&String| value.len() == 36 && value.matches('-').count() == 4;
    let values = sent.iter().filter(|one| one.sql.contains("\nINSERT INTO version")).flat_map(|one| &one.parameters);
    let token = values.flatten().find(|value| looks_like_one(value) && **value != shown.current);
    token.expect("a version was made").clone()
}

/// Each statement, as a connection of a pool has it. Outside of a transaction: where the server cannot tell a parameter's type it
/// is asked again with what the value looks like.
async fn prepare(client: &Client, sent: &[Sent]) -> HashMap<String, Statement> {
    let mut prepared = HashMap::new();
    for one in sent.iter().filter(|one| !one.parameters.is_empty()) {
        if prepared.contains_key(&one.sql) {
            continue;
        }
        let statement = match client.prepare(&one.sql).await {
            Ok(statement) => statement,
            Err(_) => {
                let is_number =
                    |value: &Option<String>| value.as_ref().is_some_and(|value| value.parse::<i64>().is_ok());
                let type_of = |value| if is_number(value) { Type::INT8 } else { Type::UNKNOWN };
                let types: Vec<Type> = one.parameters.iter().map(type_of).collect();
                client.prepare_typed(&one.sql, &types).await.expect("it was sent before")
            }
        };
        prepared.insert(one.sql.clone(), statement);
    }
    prepared
}

async fn send(
    client: &Client,
    prepared: &HashMap<String, Statement>,
    one: &Sent,
    (from, to): (i64, i64),
    same: &[(&str, &str)],
) {
    if one.parameters.is_empty() {
        return client.batch_execute(&one.sql).await.expect("it was sent before");
    }
    let from = from.to_string();
    let changed = |value: &String| {
        if *value == from {
            return to.to_string();
        }
        same.iter().fold(value.clone(), |value, (from, to)| value.replace(from, to))
    };
    let mut values: Vec<Said> = one.parameters.iter().map(|value| Said(value.as_ref().map(changed))).collect();
    if one.sql.contains("\nINSERT INTO event (event_id,") {
        // No two events have one id.
        values[0] = Said(Some(engine::id::VersionId::random(&mut rand::rng()).to_string()));
    }
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
    if let Err(error) = client.query(&prepared[&one.sql], &values).await {
        panic!("{}: {error:?}", one.sql);
    }
}

/// A parameter as the log says it; the server reads it as whatever it is.
#[derive(Debug)]
struct Said(Option<String>);

impl ToSql for Said {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(value) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(value.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

const NAMES: &str = "SELECT s.id, s.arn, s.name, l.version_id FROM secret s
JOIN label l ON l.secret_id = s.id AND l.label = 'AWSCURRENT' WHERE s.name LIKE $1 ORDER BY s.id";

const FIRST: &str = "SELECT version_id FROM version WHERE secret_id = $1 ORDER BY created_ms, accessed_ms LIMIT 1";
