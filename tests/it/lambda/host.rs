//! A host of rotation functions (`tests/it/clients/lambda/host.py`), and a rotator of `pawl` that calls it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::of_the_venv;
use crate::harness::account::{Account, admin_secret, execute, logs_in};
use crate::harness::pawl::{Home, Pawl, nothing};
use crate::harness::{servers, unique, wait_for};

/// The functions of these tests, beside the host.
pub(super) const SINGLE_USER: &str = "single_user.py";
pub(super) const MULTI_USER: &str = "multi_user.py";
/// The members of AWS's event.
const MEMBERS: [&str; 4] = ["ClientRequestToken", "RotationToken", "SecretId", "Step"];

/// The Python that functions run in; none where it is left out, or has no driver for them.
pub(super) fn python() -> Option<PathBuf> {
    const NAME: &str = "rotation-functions";
    static DRIVER: OnceLock<bool> = OnceLock::new();
    let python = of_the_venv(NAME, "python")?;
    let imports = || Command::new(&python).args(["-c", "import boto3, pg8000"]).output();
    if !*DRIVER.get_or_init(|| imports().is_ok_and(|output| output.status.success())) {
        servers::say_left_out(
            NAME,
            "no boto3 or no pg8000 in the virtual environment; scripts/setup-clients gets them",
        );
        return None;
    }
    Some(python)
}

/// A running host; ends when dropped.
pub(super) struct FunctionHost {
    child: Child,
    state: PathBuf,
    pub(super) url: String,
}

impl FunctionHost {
    /// Starts a host of `function`, which is known by `name`.
    pub(super) fn start(python: &Path, home: &Home, name: &str, function: &str) -> Self {
        Self::start_with(python, home, name, function, &[], &[])
    }

    /// The same with more flags and variables.
    pub(super) fn start_with(
        python: &Path,
        home: &Home,
        name: &str,
        function: &str,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/lambda");
        let state = home.path().join(unique("host"));
        fs::create_dir(&state).expect("a folder");
        let log = fs::File::create(state.join("log")).expect("a log");
        let mut command = Command::new(python);
        command
            .arg(folder.join("host.py"))
            .arg("--state")
            .arg(&state)
            .arg("--function")
            .arg(format!("{name}={}", folder.join(function).display()))
            .args(flags)
            .envs(variables.iter().copied())
            // What Lambda itself sets; the rest comes by `configure`.
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        for foreign in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(foreign);
        }
        let child = command.spawn().expect("python runs");
        let url = wait_for("the host of functions listens", Duration::from_secs(30), || {
            fs::read_to_string(state.join("url")).ok()
        });
        Self { child, state, url }
    }

    /// Where the functions find this server, and the key they have for it.
    pub(super) fn configure(&self, pawl: &Pawl, key: &Value) {
        let environment = json!({
            "SECRETS_MANAGER_ENDPOINT": pawl.url,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        });
        let new = self.state.join("environment.new");
        fs::write(&new, environment.to_string()).expect("written");
        fs::rename(new, self.state.join("environment")).expect("renamed");
    }

    /// What goes wrong with the next invocations of this step, one after the other.
    pub(super) fn fails(&self, step: &str, faults: &[&str]) {
        for (n, fault) in faults.iter().enumerate() {
            // Whole or not there: the host may be looking.
            let new = self.state.join(format!("fault.{n}"));
            fs::write(&new, fault).expect("written");
            fs::rename(new, self.state.join("faults").join(format!("{step}.{n:03}"))).expect("renamed");
        }
    }

    /// However often this step is asked for this version, nothing is done.
    pub(super) fn always_fails(&self, step: &str, version: &str) {
        self.fails(step, &[format!("refuse {version}").as_str(); 50]);
    }

    /// Every request it was sent, in order, with what it answered.
    pub(super) fn requests(&self) -> Vec<Value> {
        let lines = fs::read_to_string(self.state.join("requests")).unwrap_or_default();
        // The last line may be half written.
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The events of those requests. Each has the members that AWS's has, and nothing more.
    pub(super) fn events(&self) -> Vec<Value> {
        let event = |request: &Value| {
            let event: Value = serde_json::from_str(request["Body"].as_str().expect("text")).expect("JSON");
            let mut members: Vec<_> = event.as_object().expect("an object").keys().map(String::as_str).collect();
            members.sort_unstable();
            assert_eq!(members, MEMBERS, "{event}");
            event
        };
        self.requests().iter().map(event).collect()
    }

    /// The steps of those requests.
    pub(super) fn steps(&self) -> Vec<String> {
        self.events().iter().map(|event| event["Step"].as_str().expect("text").to_owned()).collect()
    }

    /// What the functions wrote.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.state.join("log")).unwrap_or_default()
    }
}

impl Drop for FunctionHost {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `examples/rotation-function-host`, serving the single user's function; ends when dropped.
pub(super) struct ExampleHost {
    child: Child,
    pub(super) url: String,
}

impl ExampleHost {
    pub(super) fn start(python: &Path, home: &Home, pawl: &Pawl, key: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = |member: &str| key[member].as_str().expect("text").to_owned();
        let log = home.path().join(unique("example"));
        let mut child = Command::new(python)
            .arg(root.join("examples/rotation-function-host/host.py"))
            .args(["single_user.lambda_handler", "0"])
            .current_dir(root.join("tests/it/clients/lambda"))
            .env("SECRETS_MANAGER_ENDPOINT", &pawl.url)
            .env("AWS_ACCESS_KEY_ID", text("AccessKeyId"))
            .env("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey"))
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).expect("a log"))
            .stderr(Stdio::null())
            .spawn()
            .expect("python runs");
        let url = wait_for("the example listens", Duration::from_secs(30), || {
            assert!(child.try_wait().expect("its status").is_none(), "the example ended");
            fs::read_to_string(&log).ok()?.split_once(" serves ").map(|(url, _)| url.to_owned())
        });
        Self { child, url }
    }
}

impl Drop for ExampleHost {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An account of PostgreSQL whose secret a function rotates.
pub(super) struct Rotated {
    pub(super) account: Account,
    /// The secret's name.
    pub(super) name: String,
    pub(super) host: FunctionHost,
    /// What the function signs with.
    pub(super) key: Value,
    /// The function's ARN.
    pub(super) arn: String,
}

impl Rotated {
    /// A single user, a host of its function, and the rotator that calls it.
    pub(super) fn single(python: &Path, home: &Home, pawl: &Pawl, account: Account) -> Self {
        let name = pawl.create_for(&account, &nothing());
        let function = unique("single-user-");
        let host = FunctionHost::start(python, home, &function, SINGLE_USER);
        Self::registered(pawl, account, name, host, &function, &[])
    }

    /// A pair of users with an admin, likewise.
    pub(super) fn pair(python: &Path, home: &Home, pawl: &Pawl, account: Account) -> Self {
        let admin = unique("admin-of-");
        pawl.create(&admin, &admin_secret(account.server, &nothing()));
        let name = pawl.create_for(&account, &json!({ "masterarn": admin }));
        let function = unique("multi-user-");
        let host = FunctionHost::start(python, home, &function, MULTI_USER);
        Self::registered(pawl, account, name, host, &function, &[&admin])
    }

    /// Makes the function's key and registers the rotator under the function's name. `also` are secrets that it may read
    /// beside its own.
    fn registered(
        pawl: &Pawl,
        account: Account,
        name: String,
        host: FunctionHost,
        function: &str,
        also: &[&str],
    ) -> Self {
        let key = key_for(pawl, function, &name, also);
        host.configure(pawl, &key);
        add_rotator(pawl, function, &host.url, &["--function", function]);
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{function}");
        Self { account, name, host, key, arn }
    }

    /// The rotator's name.
    pub(super) fn rotator(&self) -> &str {
        self.arn.rsplit(':').next().expect("a name")
    }

    /// Asks for a rotation as AWS's clients do, and returns its token.
    pub(super) fn rotate(&self, pawl: &Pawl) -> String {
        let token = token();
        self.rotate_as(pawl, &token);
        token
    }

    /// The same, under this token.
    pub(super) fn rotate_as(&self, pawl: &Pawl, token: &str) {
        let reply = pawl.aws("RotateSecret", &self.request(token)).expect("an answer");
        assert_eq!(reply["VersionId"], token, "{reply}");
    }

    /// The same of a server that may die before it answers.
    pub(super) fn ask_to_rotate(&self, pawl: &Pawl) {
        let _lost = pawl.aws("RotateSecret", &self.request(&token()));
    }

    pub(super) fn request(&self, token: &str) -> Value {
        json!({ "SecretId": self.name, "ClientRequestToken": token, "RotationLambdaARN": self.arn,
                "RotationRules": { "AutomaticallyAfterDays": 30 } })
    }

    /// Rotates, waits for the end, and checks that it is a good one. Returns the token.
    pub(super) fn rotates(&self, pawl: &Pawl) -> String {
        let token = self.rotate(pawl);
        self.completed(pawl, &token);
        token
    }

    /// The version is AWSCURRENT, nothing is left of the rotation, and the value logs in.
    pub(super) fn completed(&self, pawl: &Pawl, token: &str) {
        let what = || format!("{}\n{:?}\n{}", self.name, pawl.history(&self.name), self.host.log());
        let view = pawl.settled(&self.name);
        assert_eq!(view["State"], "idle", "{view}\n{}", what());
        let secret = pawl.json(&["secret", "show", &self.name]);
        assert_eq!(secret["VersionIdsToStages"][token], json!(["AWSCURRENT"]), "{secret}\n{}", what());
        assert!(!secret["VersionIdsToStages"].to_string().contains("AWSPENDING"), "{secret}");
        assert!(secret["LastRotatedDate"].is_number(), "{secret}");
        assert!(self.current_logs_in(pawl), "AWSCURRENT logs in: {}", what());
    }

    /// The user and the password that AWSCURRENT has.
    pub(super) fn current(&self, pawl: &Pawl) -> (String, String) {
        credential(&pawl.json(&["secret", "get", &self.name]))
    }

    /// Asked of the database itself.
    pub(super) fn current_logs_in(&self, pawl: &Pawl) -> bool {
        let (user, password) = self.current(pawl);
        logs_in(self.account.server, &user, &password)
    }

    /// Gives the account this password, as a person with the admin's login would.
    pub(super) fn set_by_hand(&self, user: &str, password: &str) {
        execute(self.account.server, &format!("ALTER ROLE {user} PASSWORD '{password}'"));
    }
}

/// The user and the password in an answer of GetSecretValue.
pub(super) fn credential(answer: &Value) -> (String, String) {
    let value: Value = serde_json::from_str(answer["SecretString"].as_str().expect("text")).expect("JSON");
    let of = |key: &str| value[key].as_str().expect("text").to_owned();
    (of("username"), of("password"))
}

/// A rotation's token that nobody has used.
pub(super) fn token() -> String {
    format!("{:.<32}", unique("rotation-"))
}

/// A key for a function: it may write versions of one secret, and has the others by name.
pub(super) fn key_for(pawl: &Pawl, function: &str, name: &str, also: &[&str]) -> Value {
    let mut arguments = vec!["key", "create", "--principal", function, "--role", "rotator", "--secret", name];
    for other in also {
        arguments.extend(["--secret", other]);
    }
    pawl.json(&arguments)
}

/// Registers a function. Five seconds are enough for one that has nothing to wait for, and keep a lost call short.
pub(super) fn add_rotator(pawl: &Pawl, function: &str, url: &str, flags: &[&str]) {
    let timeout = if flags.contains(&"--timeout") { vec![] } else { vec!["--timeout", "5s"] };
    let add = ["rotator", "add", "lambda", function, "--endpoint", url];
    let output = pawl.run(&[&add[..], &timeout, flags].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
