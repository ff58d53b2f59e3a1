//! The container's command lines, as Dockerfile and docker-compose.yml have them, run in a plain shell:
//! no container engine runs here. What this cannot show: that the images build.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pawl::servers::{Engine, Server, tool};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::harness::{free_port, servers, wait_for};

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The value of `key` of a service, which docker-compose.yml writes as a list on one line.
fn compose_list(service: &str, key: &str) -> Vec<String> {
    let file = fs::read_to_string(repository("docker-compose.yml")).expect("docker-compose.yml");
    let lines = file.lines().skip_while(|line| *line != format!("  {service}:")).skip(1);
    let mut own = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    let list = own.find_map(|line| line.trim().strip_prefix(&format!("{key}: ")).map(str::to_owned));
    let list = list.unwrap_or_else(|| panic!("{service} has no {key}"));
    serde_json::from_str(&list).unwrap_or_else(|error| panic!("{service}'s {key} is no list on one line: {error}"))
}

/// The instructions of a stage of the Dockerfile, each on one line.
fn stage(name: &str) -> Vec<String> {
    let file = fs::read_to_string(repository("Dockerfile")).expect("Dockerfile").replace("\\\n", " ");
    let lines = file.lines().skip_while(|line| !(line.starts_with("FROM ") && line.ends_with(&format!(" AS {name}"))));
    let own: Vec<String> = lines.skip(1).take_while(|line| !line.starts_with("FROM ")).map(str::to_owned).collect();
    assert!(!own.is_empty(), "the Dockerfile has no stage {name}");
    own
}

/// The list that ends an instruction: `ENTRYPOINT [..]`, or `HEALTHCHECK --.. CMD [..]`.
fn instruction(stage_name: &str, keyword: &str) -> Vec<String> {
    let stage = stage(stage_name);
    let line = stage.iter().find(|line| line.starts_with(&format!("{keyword} ")));
    let line = line.unwrap_or_else(|| panic!("{stage_name} has no {keyword}"));
    serde_json::from_str(&line[line.find('[').expect("a list")..]).expect("a list of words")
}

/// A folder that stands for the container's file system, and a port for its published one.
struct Container {
    folder: tempfile::TempDir,
    port: u16,
}

impl Container {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Database servers run as another user, who must get at their certificates.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("opened");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("made");
        symlink(env!("CARGO_BIN_EXE_pawl"), bin.join("pawl")).expect("linked");
        symlink(repository("scripts/make-certificate"), bin.join("make-certificate")).expect("linked");
        Self { folder, port: free_port() }
    }

    /// A word of the files as it is here: other folders, another port, and loopback only.
    fn here(&self, word: &str) -> String {
        let folder = self.folder.path().display();
        word.replace("0.0.0.0:7171", &format!("127.0.0.1:{}", self.port))
            .replace("localhost:7171", &format!("localhost:{}", self.port))
            .replace("/tls", &format!("{folder}/tls"))
            .replace("/var/lib/pawl", &format!("{folder}/data"))
    }

    /// What the image's ENV sets.
    fn environment(&self) -> BTreeMap<String, String> {
        let stage = stage("pawl");
        let words = stage.iter().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
        words.filter_map(|word| word.split_once('=')).map(|(name, value)| (name.to_owned(), self.here(value))).collect()
    }

    /// A shell that becomes this command line, with nothing in its environment but the image's.
    fn shell(&self, words: &[String]) -> Command {
        let line: Vec<String> = words.iter().map(|word| format!("'{}'", self.here(word))).collect();
        let openssl = tool("openssl").and_then(|path| Some(path.parent()?.to_owned())).expect("the openssl command");
        let system = env::split_paths("/usr/local/bin:/usr/bin:/bin").collect::<Vec<_>>();
        let path = [self.folder.path().join("bin"), openssl].into_iter().chain(system);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec {}", line.join(" "))]).env_clear().envs(self.environment());
        shell.env("PATH", env::join_paths(path).expect("a path")).stdin(Stdio::null());
        shell
    }

    fn run(&self, words: &[String]) -> Output {
        self.shell(words).output().expect("a shell")
    }

    fn make_certificates(&self) {
        let command = [instruction("certificate", "ENTRYPOINT"), compose_list("certificate", "command")].concat();
        let output = self.run(&command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("tls/ca.crt")
    }
}

/// Ends the server when a test fails before it did.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

async fn get(url: &str, ca: &Path) -> reqwest::Result<String> {
    let ca = reqwest::Certificate::from_pem(&fs::read(ca).expect("the authority"))?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).timeout(Duration::from_secs(5)).build()?;
    client.get(url).send().await?.error_for_status()?.text().await
}

#[tokio::test(flavor = "multi_thread")]
async fn compose_up_serves_over_tls_with_the_certificate_it_made() {
    pawl::boot::install_tls_provider();
    let container = Container::new();
    container.make_certificates();
    let made = fs::read(container.ca()).expect("an authority");
    container.make_certificates();
    assert_eq!(made, fs::read(container.ca()).expect("an authority"), "a second `up` keeps the first one's");

    let serve = [instruction("pawl", "ENTRYPOINT"), compose_list("pawl", "command")].concat();
    let log = container.folder.path().join("log");
    let output = fs::File::create(&log).expect("a log");
    let mut shell = container.shell(&serve);
    shell.stdout(output.try_clone().expect("a second handle")).stderr(output);
    let mut pawl = Running(shell.spawn().expect("pawl starts"));
    let healthcheck = instruction("pawl", "HEALTHCHECK");
    wait_for("the image's health check passes", Duration::from_secs(30), || {
        let ended = pawl.0.try_wait().expect("its status");
        assert_eq!(ended, None, "pawl serve ended: {}", fs::read_to_string(&log).unwrap_or_default());
        container.run(&healthcheck).status.success().then_some(())
    });

    let url = container.here("https://localhost:7171/healthz");
    assert_eq!(get(&url, &container.ca()).await.expect("TLS and an answer"), "ok\n");
    assert!(get(&url.replace("https", "http"), &container.ca()).await.is_err(), "answers without TLS");
    let listed = container.run(&words("pawl secret list"));
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let stranger = container.shell(&healthcheck).env_remove("AWS_CA_BUNDLE").output().expect("a shell");
    assert_eq!(stranger.status.code(), Some(3), "the certificate is checked");

    let pid = i32::try_from(pawl.0.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::TERM).expect("our own child");
    let status = wait_for("docker stop", Duration::from_secs(30), || pawl.0.try_wait().expect("its status"));
    assert!(status.success(), "{status}");
    assert!(!container.run(&healthcheck).status.success(), "the health check passes on a stopped server");
}

#[test]
fn the_image_alone_does_what_compose_does() {
    let (image, compose) = (instruction("pawl", "CMD"), compose_list("pawl", "command"));
    assert!(compose.starts_with(&image), "{image:?} is not how {compose:?} begins");
    let stage = stage("pawl");
    let last_user = stage.iter().rev().find_map(|line| line.strip_prefix("USER "));
    assert_eq!(last_user, Some("pawl"), "the image does not run as root");
}

#[test]
fn the_targets_of_compose_start_with_certificates_that_pawl_trusts() {
    let container = Container::new();
    container.make_certificates();
    for (engine, starttls) in [(Engine::Postgres, "postgres"), (Engine::Mysql, "mysql"), (Engine::Mariadb, "mysql")] {
        let Some(shared) = servers::shared(engine) else { continue };
        if geteuid().is_root() {
            // Here the servers' user has another number than in their images.
            let (owner, name) = (fs::metadata(&shared.dir).expect("its folder"), engine.name());
            let key = container.here(&format!("/tls/{name}/server.key"));
            chown(key, Some(owner.uid()), Some(owner.gid())).expect("given");
        }
        let command: Vec<String> =
            compose_list(engine.name(), "command").iter().map(|word| container.here(word)).collect();
        let flags: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        let server = servers::own(engine, &flags).expect("the shared one exists");
        let shown = shown_certificate(&server, starttls, &container.ca());
        assert!(shown.status.success(), "{server:?}: {}", String::from_utf8_lossy(&shown.stderr));
        let stranger = shown_certificate(&server, starttls, &shared.ca);
        assert!(!stranger.status.success(), "{server:?} shows a certificate of another authority");
    }
}

/// A TLS handshake that succeeds only with a certificate for `localhost` by this authority.
fn shown_certificate(server: &Server, starttls: &str, ca: &Path) -> Output {
    let mut client = Command::new(tool("openssl").expect("the openssl command"));
    client.args(["s_client", "-starttls", starttls, "-verify_return_error", "-verify_hostname", "localhost"]);
    client.arg("-connect").arg(format!("{}:{}", server.host, server.port)).arg("-CAfile").arg(ca);
    client.stdin(Stdio::null()).output().expect("openssl runs")
}
