//! Which host is asked for what, with a rotator that says and does what a test wants.

use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use engine::Time;
use engine::check::{Finding, Level, Report, Server, Sessions, Verified};
use engine::id::VersionId;
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Guard, Known, Material, Rotator, StepContext};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use serde_json::json;

use super::{Everywhere, Knock, Role, Site};
use crate::connection::{Kind, Login, parse};
use crate::postgres::KIND;

/// What one host does with each step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Host {
    Primary,
    Standby,
    /// Fails while it changes something.
    Breaks,
    /// Never answers.
    Silent,
    /// Never answers once it was told that it may change something.
    SilentInChange,
    Refuses,
}

struct Fake {
    hosts: Vec<(u16, Host)>,
    _listening: Vec<TcpListener>,
    asked: Mutex<Vec<Host>>,
}

fn fake(hosts: &[Host]) -> Everywhere<Fake> {
    let listening: Vec<_> = hosts.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports = listening.iter().map(|listener| listener.local_addr().expect("an address").port());
    let hosts = ports.zip(hosts.iter().copied()).collect();
    Everywhere(Fake { hosts, _listening: listening, asked: Mutex::default() })
}

fn standby() -> StepError {
    StepError::new(Verdict::Retry, "25006", "a read-only standby.")
}

impl Fake {
    fn host(&self, port: u16) -> Host {
        self.hosts.iter().find(|(at, _)| *at == port).expect("one of them").1
    }

    fn here(&self, cx: &StepContext<'_>) -> Host {
        let current = cx.material.current.as_ref().expect("AWSCURRENT");
        let login = parse(&KIND, "AWSCURRENT", current).expect("a login");
        assert_eq!(login.places.len(), 1, "a step sees one host alone");
        let host = self.host(login.port);
        self.asked.lock().expect("no panic").push(host);
        host
    }

    async fn change(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        match self.here(cx) {
            Host::Primary => Ok(Done::default()),
            Host::Standby => Err(standby()),
            Host::Refuses => Err(StepError::new(Verdict::NeedsPerson, "28P01", "refused.").after_refused_logins(2)),
            Host::Silent => std::future::pending().await,
            Host::Breaks => {
                cx.guard.still_ours(Duration::ZERO).await?;
                Err(StepError::new(Verdict::NeedsPerson, "42501", "not allowed."))
            }
            Host::SilentInChange => {
                cx.guard.still_ours(Duration::ZERO).await?;
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Rotator for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    async fn create(&self, _: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        Ok(password.clone().into())
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.change(cx).await
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.change(cx).await
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        self.change(cx).await
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        match self.here(cx) {
            Host::Primary => Ok(Proof::CurrentLogsIn),
            _ => Ok(Proof::CanRestore { held: Some("AWSPENDING".to_owned()) }),
        }
    }

    async fn verify(&self, cx: &StepContext<'_>) -> Result<Verified, StepError> {
        match self.here(cx) {
            Host::Refuses => Ok(Verified::NoneLogsIn),
            Host::Breaks => Err(standby()),
            _ => Ok(Verified::CurrentLogsIn),
        }
    }

    async fn sessions(&self, cx: &StepContext<'_>) -> Result<Option<Vec<Sessions>>, StepError> {
        let standby = self.here(cx) == Host::Standby;
        let sessions = Sessions { user: "old".to_owned(), from: "10.0.0.9".to_owned(), count: 3 };
        Ok(Some(if standby { vec![sessions] } else { vec![] }))
    }

    async fn check(&self, cx: &StepContext<'_>) -> Result<Report, StepError> {
        let host = self.here(cx);
        if host == Host::Breaks {
            return Err(StepError::new(Verdict::Retry, "refused", "nothing listens there.").remedy("start it"));
        }
        let server = Server {
            address: format!("{host:?}"),
            title: "Fake".to_owned(),
            version: "1".to_owned(),
            standby: host == Host::Standby,
            tls: None,
        };
        let mut findings = vec![Finding::new(Level::Ok, "login", format!("{host:?}"))];
        if host == Host::Standby {
            findings.push(Finding::new(Level::Problem, "standby", "a standby"));
            findings.push(Finding::new(Level::Problem, "trust", "any password"));
        }
        Ok(Report { servers: vec![server], findings, ..Report::default() })
    }
}

#[async_trait]
impl Site for Fake {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn locks_accounts(&self) -> bool {
        true
    }

    async fn knock(&self, login: &Login) -> Knock {
        match self.host(login.port) {
            Host::Refuses => Knock::Refused,
            host => Knock::In(Role { standby: host == Host::Standby, behind_seconds: None }),
        }
    }
}

struct Holds;

#[async_trait]
impl Guard for Holds {
    async fn still_ours(&self, _: Duration) -> Result<(), StepError> {
        Ok(())
    }
}

/// Runs a step of a secret that lists all the hosts.
async fn run<T>(
    rotator: &Everywhere<Fake>,
    (step, hold): (Step, bool),
    act: impl AsyncFnOnce(&dyn Rotator, &StepContext<'_>) -> Result<T, StepError>,
) -> Result<T, StepError> {
    let hosts: Vec<_> = rotator.0.hosts.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
    let value = json!({
        "engine": "postgres", "host": "127.0.0.1", "port": rotator.0.hosts[0].0, "hosts": hosts,
        "username": "u", "password": "canary",
    });
    let value = SecretBytes::from(value.to_string());
    let known = Known { role: "AWSPENDING".to_owned(), value: value.clone(), version: None };
    let material =
        Material { wanted: Some(value.clone()), current: Some(value), known: vec![known], ..Material::default() };
    let now = Time::from_timestamp(1_800_000_000, 0).expect("a time");
    let run = Run::new(VersionId::new("t".repeat(32)).expect("a token"), String::new(), now);
    let cx = StepContext {
        arn: "arn",
        step,
        run: &run,
        material: &material,
        attempted: true,
        login_budget: 5,
        deadline: Duration::from_millis(600),
        guard: &Holds,
        scramble: &SecretBytes::from("x"),
        hold,
    };
    act(rotator, &cx).await
}

async fn set(hosts: &[Host]) -> (Result<Done, StepError>, Vec<Host>) {
    let rotator = fake(hosts);
    let outcome = run(&rotator, (Step::Set, false), async |rotator, cx| rotator.set(cx).await).await;
    let asked = rotator.0.asked.lock().expect("no panic").clone();
    (outcome, asked)
}

#[tokio::test]
async fn hosts_are_asked_in_turn_until_one_takes_the_change_or_has_begun_it() {
    use Host::{Breaks, Primary, Refuses, Standby};
    let (done, asked) = set(&[Standby, Refuses, Primary, Standby]).await;
    assert_eq!((done.expect("set").failed_logins, asked), (2, vec![Standby, Refuses, Primary]));
    let (error, asked) = set(&[Standby, Breaks, Primary]).await;
    let error = error.expect_err("it had begun");
    assert_eq!((error.code.as_str(), asked), ("42501", vec![Standby, Breaks]));
    let error = set(&[Standby, Refuses]).await.0.expect_err("the primary refuses");
    assert_eq!((error.verdict, error.failed_logins), (Verdict::NeedsPerson, 2));
    let error = set(&[Standby, Standby]).await.0.expect_err("no primary");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Retry, "no-primary"));
}

#[tokio::test]
async fn time_that_runs_out_is_unknown_only_where_a_change_was_begun() {
    for (hosts, verdict) in [
        ([Host::Standby, Host::Silent], Verdict::Retry),
        ([Host::Standby, Host::SilentInChange], Verdict::Unknown),
        ([Host::SilentInChange, Host::Primary], Verdict::Unknown),
    ] {
        let error = set(&hosts).await.0.expect_err("time ran out");
        assert_eq!((error.verdict, error.code.as_str()), (verdict, "deadline"), "{hosts:?}");
    }
}

#[tokio::test]
async fn what_a_standby_says_about_another_value_is_no_proof() {
    let prove = async |hosts: &[Host]| {
        let rotator = fake(hosts);
        run(&rotator, (Step::Prove, false), async |rotator, cx| rotator.prove(cx).await).await
    };
    assert_eq!(prove(&[Host::Standby, Host::Primary]).await, Ok(Proof::CurrentLogsIn));
    assert_eq!(prove(&[Host::Standby, Host::Standby]).await.expect_err("none decides").code, "no-primary");
    assert!(matches!(prove(&[Host::Standby, Host::Breaks]).await, Ok(Proof::CanRestore { .. })));
}

#[tokio::test]
async fn awscurrent_is_verified_at_every_host() {
    let verify = async |hosts: &[Host]| {
        let rotator = fake(hosts);
        run(&rotator, (Step::Prove, false), async |rotator, cx| rotator.verify(cx).await).await
    };
    assert_eq!(verify(&[Host::Primary, Host::Standby]).await, Ok(Verified::CurrentLogsIn));
    assert_eq!(verify(&[Host::Primary, Host::Breaks, Host::Refuses]).await, Ok(Verified::NoneLogsIn));
    assert_eq!(verify(&[Host::Breaks, Host::Primary]).await.expect_err("not known").code, "25006");
}

#[tokio::test]
async fn a_session_at_a_standby_keeps_the_old_credential_alive_while_it_is_to_be_drained() {
    let retire = async |hold| {
        let rotator = fake(&[Host::Primary, Host::Standby]);
        run(&rotator, (Step::Retire, hold), async |rotator, cx| rotator.retire(cx).await).await
    };
    let error = retire(true).await.expect_err("in use");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::InProgress, "still-used"));
    assert!(error.message.contains("10.0.0.9"), "{error:?}");
    retire(false).await.expect("its grace is over");
}

#[tokio::test]
async fn a_report_is_the_primarys_with_what_stands_in_the_way_elsewhere() {
    let check = async |hosts: &[Host]| {
        let rotator = fake(hosts);
        let report = run(&rotator, (Step::Prove, false), async |rotator, cx| rotator.check(cx).await).await;
        let report = report.expect("a report");
        let codes: Vec<String> = report.findings.iter().map(|finding| finding.code.clone()).collect();
        (report.servers.len(), codes)
    };
    let (servers, codes) = check(&[Host::Standby, Host::Primary, Host::Breaks]).await;
    assert_eq!((servers, codes.join(" ").as_str()), (2, "login trust host"));
    let (servers, codes) = check(&[Host::Standby, Host::Standby]).await;
    assert_eq!((servers, codes.join(" ").as_str()), (2, "login standby trust"));
}
