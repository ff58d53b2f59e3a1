//! What waits for whom, seen whole: an admin's password for the rotation that is using it, and the end of an old
//! credential for those who still use it. `driver/waits.rs` has the same with time standing still.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::receiver::{Gate, Receiver};
use crate::harness::service::{Service, account_value, managed};
use crate::harness::shapes::{SHAPES, logs_in, must, value};
use crate::harness::{servers, unique, wait_for};

const SOON: Duration = Duration::from_secs(60);

/// Waits until a line of history says this.
fn told(pawl: &Pawl, name: &str, words: &str) -> Value {
    wait_for(&format!("the history of {name} says {words:?}"), SOON, || {
        let says = |line: &Value| line["Message"].as_str().is_some_and(|said| said.contains(words));
        pawl.history(name).into_iter().find(says)
    })
}

#[test]
fn an_admin_secret_keeps_its_password_while_a_rotation_that_uses_it_is_at_work() {
    let Some(server) = servers::postgres() else { return };
    let home = Home::new();
    let pawl = home.serve();
    let admin = Account::create(server);
    let admin_name = pawl.create_for(&admin, &nothing());
    // One that uses the admin, and is in the middle of its setSecret for as long as the gate is shut.
    let (service, gate) = (Service::with("first"), Arc::new(Gate::default()));
    let (served, held) = (Arc::clone(&service), Arc::clone(&gate));
    let receiver = Receiver::start(move |event| {
        held.pass();
        managed(&served, event)
    });
    let registered = json!({ "Name": "slow", "Kind": "webhook", "Url": receiver.url, "TimeoutSeconds": 60 });
    pawl.ask("CreateRotator", &registered).expect("registered");
    let mut dependent = account_value("first");
    dependent["masterarn"] = json!(admin_name);
    pawl.create("dependent", &dependent);
    must(&pawl, &["rotation", "enable", "dependent", "--rotator", "slow", "--now"]);
    wait_for("its setSecret is under way", SOON, || (!receiver.of("setSecret").is_empty()).then_some(()));

    must(&pawl, &["rotation", "now", &admin_name]);
    told(&pawl, &admin_name, "a rotation that uses this secret as its admin is at work");
    assert!(admin.logs_in(&admin.password), "the admin's password is what it was");
    gate.open();
    assert_eq!(pawl.settled("dependent")["State"], "idle");
    assert_eq!(pawl.settled(&admin_name)["State"], "idle");
    let password = pawl.current_password(&admin_name);
    assert!(password != admin.password && admin.logs_in(&password), "then it is rotated");
    assert!(service.takes(&value(&pawl, "dependent", "AWSCURRENT").expect("a value")));
}

/// A session of the account as it is before any rotation.
async fn logged_in(account: &Account) -> mysql_async::Conn {
    let options = mysql_async::OptsBuilder::default()
        .ip_or_hostname(account.server.host.clone())
        .tcp_port(account.server.port)
        .user(Some(&account.user))
        .pass(Some(&account.password))
        .prefer_socket(false);
    mysql_async::Conn::new(options).await.expect("it logs in")
}

/// A pair on MySQL, whose old credential is first the account's own. Whoever looks at AWSPREVIOUS is a reader of it, so these
/// tests do not. Its grace is over at once, and its old credential waits for its users.
fn drained(pawl: &Pawl) -> Option<(Account, String)> {
    let shape = &SHAPES[3];
    let account = shape.account()?;
    let name = shape.adopt(pawl, &account, "1s");
    // A look every three seconds.
    must(pawl, &["rotation", "enable", &name, "--retire", "when-drained", "--retire-deadline", "60s"]);
    Some((account, name))
}

// F112, F81
#[test]
fn f112_an_old_credential_is_ended_when_its_last_session_has_gone() {
    let home = Home::new();
    let pawl = home.serve();
    let Some((account, name)) = drained(&pawl) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut session = runtime.block_on(logged_in(&account));
    must(&pawl, &["rotation", "now", &name, "--wait"]);
    told(&pawl, &name, "session");
    runtime.block_on(session.query_drop("SELECT 1")).expect("it goes on");
    assert!(account.logs_in(&account.password), "the old credential is held");
    runtime.block_on(session.disconnect()).expect("a goodbye");
    assert_eq!(pawl.settled(&name)["State"], "idle");
    assert!(!account.logs_in(&account.password), "and ended when nobody was seen to use it");
    assert!(logs_in(&account, &value(&pawl, &name, "AWSCURRENT").expect("a value")));
}

// F112, F106
#[test]
fn f112_an_old_credential_is_not_ended_before_its_reader_has_read_the_new_one() {
    let home = Home::new();
    let pawl = home.serve();
    let Some((account, name)) = drained(&pawl) else { return };
    let reader = unique("web-");
    let key = pawl.json(&["key", "create", "--principal", &reader, "--role", "reader", "--secret", &name]);
    let read = || {
        let credentials = |member: &str| key[member].as_str().expect("a text");
        let mut command = crate::harness::pawl::pawl();
        command.args(["secret", "get", &name, "--endpoint-url", &pawl.url]);
        command.env("AWS_ACCESS_KEY_ID", credentials("AccessKeyId"));
        let output = command.env("AWS_SECRET_ACCESS_KEY", credentials("SecretAccessKey")).output().expect("pawl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    read();
    must(&pawl, &["rotation", "now", &name, "--wait"]);
    told(&pawl, &name, &format!("the last one that was read by {reader}"));
    assert!(account.logs_in(&account.password), "the old credential is held");
    read();
    assert_eq!(pawl.settled(&name)["State"], "idle");
    assert!(!account.logs_in(&account.password), "and ended when its reader went on");
}
