//! The AWS CLI (version 1, as the Python registry has it) over every operation: what it prints, with which query, in
//! which format, and the exit status that scripts look at.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use super::{assert_all_called, client, of_the_venv, succeeded};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::{unique, wait_for};

/// The service refused; version 2 of the CLI says 254.
const REFUSED: i32 = 255;
/// The command line is wrong, and nothing was asked; version 2 says 252.
const USAGE: i32 = 2;
const POSTGRES: &str = "arn:aws:lambda:us-east-1:000000000000:function:postgres";

/// The CLI against one server; notes which operations it called.
struct Aws {
    program: PathBuf,
    home: Home,
    pawl: Pawl,
    called: BTreeSet<String>,
}

impl Aws {
    /// None where the CLI is left out.
    fn new() -> Option<Self> {
        let program = of_the_venv("aws-cli", "aws")?;
        let home = Home::new();
        let pawl = home.serve_as_aws();
        Some(Self { program, home, pawl, called: BTreeSet::new() })
    }

    fn run(&mut self, arguments: &[&str]) -> Output {
        self.called.insert(operation(arguments[0]));
        let mut command = client(&self.program, &self.home, &self.pawl);
        command.args(["--endpoint-url", &self.pawl.url, "secretsmanager"]).args(arguments);
        command.current_dir(self.home.path()).output().expect("aws runs")
    }

    /// What it prints to standard output.
    fn text(&mut self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        succeeded(&output, &self.home).trim_end().to_owned()
    }

    fn json(&mut self, arguments: &[&str]) -> Value {
        let text = self.text(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// That the service refuses with this code, and how the CLI says so.
    fn refused(&mut self, code: &str, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        assert_eq!(output.status.code(), Some(REFUSED), "{arguments:?}: {error}");
        let said = format!("An error occurred ({code}) when calling the {} operation: ", operation(arguments[0]));
        let message = error.split_once(&said);
        message.unwrap_or_else(|| panic!("{arguments:?}: {error}")).1.to_owned()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.home.path().join(name), content).expect("written");
    }
}

/// `get-secret-value` is GetSecretValue.
fn operation(verb: &str) -> String {
    verb.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

#[test]
fn the_aws_cli_drives_every_operation() {
    let Some(mut aws) = Aws::new() else { return };
    a_secret_lives_and_dies(&mut aws);
    a_file_of_bytes_comes_back(&mut aws);
    versions_are_labelled(&mut aws);
    secrets_are_listed(&mut aws);
    rotation_is_configured(&mut aws);
    secrets_are_read_together(&mut aws);
    policies_are_kept(&mut aws);
    replication_is_reported(&mut aws);
    assert_all_called(&aws.called);
}

fn a_secret_lives_and_dies(aws: &mut Aws) {
    aws.file("first.json", r#"{"password":"first"}"#);
    let tags = "Key=team,Value=a Key=stage,Value=";
    let mut create = vec!["create-secret", "--name", "cli/life", "--description", "of a test", "--tags"];
    create.extend(tags.split(' '));
    let made = aws.json(&[create.as_slice(), &["--secret-string", "file://first.json"]].concat());
    assert_eq!(made["Name"], "cli/life");
    let arn = made["ARN"].as_str().expect("an ARN");
    let refused = aws.refused("ResourceExistsException", &["create-secret", "--name", "cli/life"]);
    assert_eq!(refused, "The operation failed because the secret cli/life already exists.");

    let get = ["get-secret-value", "--secret-id", arn];
    let value = aws.json(&get);
    assert_eq!(value["SecretString"], r#"{"password":"first"}"#);
    assert_eq!(value["VersionId"], made["VersionId"]);
    assert_eq!(value["VersionStages"], json!(["AWSCURRENT"]));
    is_a_date(&value["CreatedDate"]);
    let query = aws.text(&[&get[..], &["--query", "SecretString", "--output", "text"]].concat());
    assert_eq!(query, r#"{"password":"first"}"#);

    let described = aws.json(&["describe-secret", "--secret-id", "cli/life"]);
    assert_eq!(described["Description"], "of a test");
    assert_eq!(described["Tags"], json!([{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": ""}]));
    for date in ["CreatedDate", "LastChangedDate", "LastAccessedDate"] {
        is_a_date(&described[date]);
    }
    let updated = aws.json(&["update-secret", "--secret-id", "cli/life", "--secret-string", "second"]);
    assert_ne!(updated["VersionId"], made["VersionId"]);
    assert_eq!(aws.text(&["tag-resource", "--secret-id", "cli/life", "--tags", "Key=team,Value=b"]), "");
    assert_eq!(aws.text(&["untag-resource", "--secret-id", "cli/life", "--tag-keys", "stage"]), "");
    let query = ["--query", "Tags[?Key=='team'].Value", "--output", "text"];
    assert_eq!(aws.text(&[&["describe-secret", "--secret-id", "cli/life"], &query[..]].concat()), "b");

    let deleted = aws.json(&["delete-secret", "--secret-id", "cli/life", "--recovery-window-in-days", "7"]);
    is_a_date(&deleted["DeletionDate"]);
    let marked = aws.refused("InvalidRequestException", &get);
    assert_eq!(marked, "You can't perform this operation on the secret because it was marked for deletion.");
    assert_eq!(aws.json(&["restore-secret", "--secret-id", "cli/life"])["Name"], "cli/life");
    aws.json(&["delete-secret", "--secret-id", "cli/life", "--force-delete-without-recovery"]);
    let unknown = aws.refused("ResourceNotFoundException", &get);
    assert_eq!(unknown, "Secrets Manager can't find the specified secret.");
    aws.refused("ValidationException", &["get-secret-value", "--secret-id", "no blanks"]);
    aws.refused("InvalidParameterException", &["get-random-password", "--password-length", "1"]);
    let length = ["get-random-password", "--password-length", "64", "--query", "length(RandomPassword)"];
    assert_eq!(aws.json(&length), 64);
    assert_eq!(aws.run(&["get-secret-value"]).status.code(), Some(USAGE));
}

fn is_a_date(value: &Value) {
    // Version 1 prints the wire's number as it is, unless `cli_timestamp_format` says otherwise.
    let seconds = value.as_f64().unwrap_or_else(|| panic!("a number: {value}"));
    assert!(seconds > 1.7e9 && seconds < 5e9, "{seconds} are seconds since 1970");
}

fn a_file_of_bytes_comes_back(aws: &mut Aws) {
    let bytes: Vec<u8> = (0..=255).collect();
    aws.file("secret.bin", &bytes);
    let made = aws.json(&["create-secret", "--name", "cli/bytes", "--secret-binary", "fileb://secret.bin"]);
    let query = ["--query", "SecretBinary", "--output", "text"];
    let base64 = aws.text(&[&["get-secret-value", "--secret-id", "cli/bytes"], &query[..]].concat());
    let encoded = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0x\
                   NTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZ\
                   qbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna29zd3t/g4eLj5OXm5\
                   +jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w==";
    assert_eq!(base64, encoded);
    aws.file("next.bin", [0, 255]);
    let arn = made["ARN"].as_str().expect("an ARN");
    aws.json(&["put-secret-value", "--secret-id", arn, "--secret-binary", "fileb://next.bin"]);
    let base64 = aws.text(&[&["get-secret-value", "--secret-id", "cli/bytes"], &query[..]].concat());
    assert_eq!(base64, "AP8=");
}

fn versions_are_labelled(aws: &mut Aws) {
    let (first, second) = ("cli-version-00000000000000000000001", "cli-version-00000000000000000000002");
    let create = ["create-secret", "--name", "cli/labels", "--client-request-token", first, "--secret-string", "1"];
    aws.json(&create);
    let put = ["put-secret-value", "--secret-id", "cli/labels", "--client-request-token", second];
    let put = aws.json(&[&put[..], &["--secret-string", "2", "--version-stages", "AWSPENDING"]].concat());
    assert_eq!((&put["VersionId"], &put["VersionStages"]), (&json!(second), &json!(["AWSPENDING"])));
    let mv = ["update-secret-version-stage", "--secret-id", "cli/labels", "--version-stage", "AWSCURRENT"];
    let mv = [&mv[..], &["--move-to-version-id", second]].concat();
    let refused = aws.refused("InvalidParameterException", &mv);
    assert!(refused.contains("RemoveFromVersionId can't be empty"), "{refused}");
    aws.json(&[&mv[..], &["--remove-from-version-id", first]].concat());
    let previous = ["get-secret-value", "--secret-id", "cli/labels", "--version-stage", "AWSPREVIOUS"];
    assert_eq!(aws.text(&[&previous[..], &["--query", "SecretString", "--output", "text"]].concat()), "1");
    aws.json(&["put-secret-value", "--secret-id", "cli/labels", "--secret-string", "3"]);
    let list = ["list-secret-version-ids", "--secret-id", "cli/labels", "--query", "length(Versions)"];
    assert_eq!(aws.json(&list), 2);
    assert_eq!(aws.json(&[&list[..], &["--include-deprecated"]].concat()), 3);
}

fn secrets_are_listed(aws: &mut Aws) {
    for number in ["0", "1", "2"] {
        let name = format!("cli/list/{number}");
        aws.json(&["create-secret", "--name", &name, "--secret-string", number]);
    }
    let list = ["list-secrets", "--filters", "Key=name,Values=cli/list/", "--sort-by", "name", "--sort-order", "asc"];
    let names = [&list[..], &["--query", "SecretList[].Name", "--output", "text", "--page-size", "2"]].concat();
    let names: Vec<_> = aws.text(&names).split_whitespace().map(str::to_owned).collect();
    assert_eq!(names, ["cli/list/0", "cli/list/1", "cli/list/2"], "two pages, a line each");
    let page = aws.json(&[&list[..], &["--max-items", "2"]].concat());
    assert_eq!(page["SecretList"].as_array().map(Vec::len), Some(2));
    let token = page["NextToken"].as_str().expect("the CLI's own token").to_owned();
    let rest = aws.json(&[&list[..], &["--starting-token", &token, "--query", "SecretList[].Name"]].concat());
    assert_eq!(rest, json!(["cli/list/2"]));
    let table = aws.text(&[&list[..], &["--output", "table"]].concat());
    assert!(table.contains("cli/list/1") && table.contains("SecretVersionsToStages"), "{table}");
}

fn secrets_are_read_together(aws: &mut Aws) {
    let batch = ["batch-get-secret-value", "--secret-id-list", "cli/list/0", "cli/list/1", "cli/absent"];
    let batch = aws.json(&batch);
    let names: BTreeSet<_> =
        batch["SecretValues"].as_array().expect("values").iter().filter_map(|value| value["Name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["cli/list/0", "cli/list/1"]));
    assert_eq!(batch["Errors"][0]["ErrorCode"], "ResourceNotFoundException");
    let batch = ["batch-get-secret-value", "--filters", "Key=name,Values=cli/list/", "--max-results", "2"];
    let page = aws.json(&batch);
    assert_eq!((page["SecretValues"].as_array().map(Vec::len), &page["Errors"]), (Some(2), &json!([])));
    let token = page["NextToken"].as_str().expect("a token").to_owned();
    let query = ["--next-token", &token, "--query", "length(SecretValues)"];
    assert_eq!(aws.json(&[&batch[..], &query[..]].concat()), 1);
    aws.refused("InvalidParameterException", &["batch-get-secret-value"]);
}

fn rotation_is_configured(aws: &mut Aws) {
    let name = unique("cli/rotated-");
    let value = r#"{"engine":"postgres","host":"127.0.0.1","port":1,"username":"nobody","password":"x"}"#;
    aws.file("account.json", value);
    aws.json(&["create-secret", "--name", &name, "--secret-string", "file://account.json"]);
    let rotate = ["rotate-secret", "--secret-id", &name, "--rotation-lambda-arn", POSTGRES, "--rotation-rules"];
    let wrong = r#"{"ScheduleExpression":"rate(10 days)","AutomaticallyAfterDays":10}"#;
    aws.refused("InvalidParameterException", &[&rotate[..], &[wrong, "--no-rotate-immediately"]].concat());
    let rules = "ScheduleExpression=cron(0 8 1 * ? *),Duration=2h";
    let rotated = aws.json(&[&rotate[..], &[rules, "--no-rotate-immediately"]].concat());
    assert_eq!(rotated["Name"], name.as_str());
    let described = aws.json(&["describe-secret", "--secret-id", &name]);
    assert_eq!(described["RotationEnabled"], true);
    assert_eq!(described["RotationLambdaARN"], POSTGRES);
    assert_eq!(described["RotationRules"]["ScheduleExpression"], "cron(0 8 1 * ? *)");
    is_a_date(&described["NextRotationDate"]);
    assert_eq!(aws.json(&["cancel-rotate-secret", "--secret-id", &name])["Name"], name.as_str());
    let query = ["--query", "[RotationEnabled, NextRotationDate]"];
    let described = aws.json(&[&["describe-secret", "--secret-id", &name], &query[..]].concat());
    assert_eq!(described, json!([false, null]));
    aws.refused("InvalidRequestException", &["rotate-secret", "--secret-id", "cli/list/0"]);
    let absent = ["rotate-secret", "--secret-id", "cli/list/0", "--rotation-lambda-arn", "nobody"];
    aws.refused("AccessDeniedException", &absent);
}

fn policies_are_kept(aws: &mut Aws) {
    let statement = |principal: &Value| {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": principal, "Action": "secretsmanager:GetSecretValue", "Resource": "*",
        }]})
    };
    let mine = statement(&json!({ "AWS": "arn:aws:iam::000000000000:root" }));
    let everybody = statement(&json!("*"));
    aws.file("mine.json", mine.to_string());
    aws.file("everybody.json", everybody.to_string());
    aws.json(&["create-secret", "--name", "cli/policy", "--secret-string", "x"]);
    let put = ["put-resource-policy", "--secret-id", "cli/policy", "--resource-policy"];
    aws.json(&[&put[..], &["file://mine.json"]].concat());
    let broad = [&put[..], &["file://everybody.json", "--block-public-policy"]].concat();
    aws.refused("PublicPolicyException", &broad);
    aws.refused("MalformedPolicyDocumentException", &[&put[..], &["{"]].concat());
    let get = ["get-resource-policy", "--secret-id", "cli/policy"];
    let kept = aws.text(&[&get[..], &["--query", "ResourcePolicy", "--output", "text"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&kept).expect("JSON"), mine);
    let judge = ["validate-resource-policy", "--resource-policy"];
    assert_eq!(aws.json(&[&judge[..], &["file://mine.json"]].concat())["PolicyValidationPassed"], true);
    let judged = aws.json(&[&judge[..], &["file://everybody.json"]].concat());
    assert_eq!(judged["PolicyValidationPassed"], false);
    aws.json(&["delete-resource-policy", "--secret-id", "cli/policy"]);
    assert!(aws.json(&get).get("ResourcePolicy").is_none());
}

fn replication_is_reported(aws: &mut Aws) {
    aws.json(&["create-secret", "--name", "cli/replicated", "--secret-string", "x"]);
    let add = ["replicate-secret-to-regions", "--secret-id", "cli/replicated", "--add-replica-regions"];
    let added = aws.json(&[&add[..], &["Region=eu-west-1"]].concat());
    assert_eq!(added["ReplicationStatus"][0]["Region"], "eu-west-1");
    aws.refused("InvalidParameterException", &[&add[..], &["Region=us-east-1"]].concat());
    let query = ["--query", "ReplicationStatus[0].Status", "--output", "text"];
    let describe = [&["describe-secret", "--secret-id", "cli/replicated"], &query[..]].concat();
    wait_for("no peer, and it says so", std::time::Duration::from_secs(30), || {
        (aws.text(&describe) == "Failed").then_some(())
    });
    let stop = aws.run(&["stop-replication-to-replica", "--secret-id", "cli/replicated"]);
    assert_eq!(stop.status.code(), Some(REFUSED), "it is no replica");
    let remove = ["remove-regions-from-replication", "--secret-id", "cli/replicated"];
    let removed = aws.json(&[&remove[..], &["--remove-replica-regions", "eu-west-1"]].concat());
    assert!(removed["ReplicationStatus"].as_array().is_none_or(Vec::is_empty), "{removed}");
}
