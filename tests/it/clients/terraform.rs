//! Terraform with HashiCorp's own aws provider: what is declared is applied, a second plan is empty, a change is made
//! and no more, and nothing is left when it is destroyed.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use super::{client, succeeded};
use crate::harness::account::Account;
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, wait_for};

const DECLARED: &str = include_str!("terraform/main.tf");
/// `plan -detailed-exitcode`: there is nothing to do.
const EMPTY: i32 = 0;

/// Terraform in a folder of its own, with the provider found.
struct Terraform<'a> {
    home: &'a Home,
    pawl: &'a Pawl,
    account: String,
}

impl Terraform<'_> {
    #[expect(clippy::disallowed_methods, reason = "a setting of the person who runs the tests")]
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = client("terraform", self.home, self.pawl);
        // Terraform complains at each run about one that is named and not there.
        if !env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| PathBuf::from(file).is_file()) {
            command.env_remove("TF_CLI_CONFIG_FILE");
        }
        command
            .current_dir(self.folder())
            .args(arguments)
            // Its schema is large, and collecting garbage beside it over and over is a third of its work.
            .env("GOGC", "300")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_INPUT", "0")
            .env("TF_VAR_endpoint", &self.pawl.url)
            .env("TF_VAR_account", &self.account);
        command
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("terraform")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("terraform runs")
    }

    /// Whether the provider was found: in the folder that the environment names, or in the registry.
    #[expect(clippy::disallowed_methods, reason = "where the provider lies is said by the person who runs the tests")]
    fn init(&self) -> bool {
        std::fs::create_dir(self.folder()).expect("a folder");
        std::fs::write(self.folder().join("main.tf"), DECLARED).expect("written");
        let plugins = env::var("PAWL_TEST_TF_PLUGINS").ok().map(|folder| format!("-plugin-dir={folder}"));
        let arguments = ["init", "-no-color"].into_iter().chain(plugins.as_deref());
        let output = self.run(&arguments.collect::<Vec<_>>());
        assert!(output.status.success() || plugins.is_none(), "{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    fn apply(&self, changed: &str) -> Value {
        let apply = ["apply", "-auto-approve", "-no-color", "-var", changed];
        succeeded(&self.run(&apply), self.home);
        let output = self.run(&["output", "-json", "app"]);
        serde_json::from_str(&succeeded(&output, self.home)).expect("JSON")
    }

    /// That nothing is left to do.
    fn is_settled(&self, changed: &str) {
        let output = self.run(&["plan", "-detailed-exitcode", "-no-color", "-var", changed]);
        let (plan, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(EMPTY), "{changed}: {plan}\n{error}");
    }
}

/// The variable that the second apply sets.
const FIRST: &str = "changed=false";
const SECOND: &str = "changed=true";

// F129
#[test]
fn terraform_applies_plans_nothing_changes_and_destroys() {
    if servers::left_out("terraform") {
        return;
    }
    let Some(server) = servers::postgres() else { return };
    if !Command::new("terraform").arg("-version").output().is_ok_and(|output| output.status.success()) {
        return servers::say_left_out("terraform", "not on the PATH");
    }
    let home = Home::new();
    let pawl = home.serve_as_aws();
    let account = Account::create(server);
    let terraform = Terraform { home: &home, pawl: &pawl, account: account.secret(&nothing()).to_string() };
    if !terraform.init() {
        return servers::say_left_out(
            "terraform",
            "its aws provider cannot be had; PAWL_TEST_TF_PLUGINS may name a folder that has it",
        );
    }
    let applied = terraform.apply(FIRST);
    is_as_first_declared(&applied);
    is_rotated(&pawl, &account);
    has_settings(&pawl, "1h");
    terraform.is_settled(FIRST);

    let changed = terraform.apply(SECOND);
    is_as_changed(&applied, &changed);
    is_rotated(&pawl, &account);
    has_settings(&pawl, "15m");
    terraform.is_settled(SECOND);
    is_gone_when_destroyed(&terraform);
}

fn is_as_first_declared(applied: &Value) {
    assert_eq!(applied["description"], "declared");
    assert_eq!(applied["tags"], json!({ "team": "a", "empty": "", "managed-by": "terraform" }));
    assert_eq!(applied["policy"]["Statement"][0]["Action"], json!(["secretsmanager:GetSecretValue"]));
    assert_eq!((&applied["value"], &applied["versions"]), (&json!("first"), &json!(1)));
    assert_eq!(applied["stages"], json!(["AWSCURRENT"]));
    assert_eq!(applied["bytes"], "bytes");
    assert_eq!(applied["random_length"], 50);
    assert_eq!(applied["parameter"], "first", "by Parameter Store's name");
    assert_eq!(applied["rotation"], true);
    assert_eq!(applied["rules"][0]["automatically_after_days"], 30);
    let names = applied["names"].as_array().expect("names");
    assert!(names.contains(&json!("terraform/app")) && names.contains(&json!("terraform/empty")), "{names:?}");
}

fn is_as_changed(before: &Value, after: &Value) {
    assert_eq!(after["arn"], before["arn"], "changed in place");
    assert_eq!(after["description"], "changed");
    assert_eq!(after["tags"], json!({ "team": "b", "stage": "test", "managed-by": "terraform" }));
    assert_eq!(after["policy"]["Statement"][0]["Action"].as_array().map(Vec::len), Some(2));
    assert_eq!(after["value"], "second");
    assert_ne!(after["version"], before["version"]);
    assert_eq!(after["bytes"], before["bytes"], "found by its new label");
    assert_eq!(after["rules"][0]["schedule_expression"], "cron(0 4 ? * SUN *)");
    assert_eq!(after["rules"][0]["duration"], "3h");
}

/// The rotation that Terraform asked for is done, and its password logs in.
fn is_rotated(pawl: &Pawl, account: &Account) {
    wait_for("the account is rotated", Duration::from_secs(60), || {
        let password = pawl.current_password("terraform/account");
        (pawl.status("terraform/account")["State"] == "idle" && password != account.password).then_some(())
    });
    assert!(account.logs_in(&pawl.current_password("terraform/account")));
    assert!(!account.logs_in(&account.password), "the first password is dead");
}

/// The tags are a view of the settings, whatever they are written like.
fn has_settings(pawl: &Pawl, grace: &str) {
    let view = pawl.status("terraform/account");
    let shown = ["Strategy", "Grace", "TimeZone"].map(|setting| view[setting].clone());
    assert_eq!(shown, ["single-user", grace, "Europe/Berlin"].map(Value::from), "{view:#}");
}

fn is_gone_when_destroyed(terraform: &Terraform<'_>) {
    let output = terraform.run(&["destroy", "-auto-approve", "-no-color", "-var", SECOND]);
    succeeded(&output, terraform.home);
    let listed = terraform.pawl.json(&["secret", "list"]);
    assert_eq!(listed["SecretList"], json!([]), "what waits for its deletion is not listed");
}
