//! Runs single steps of a built-in rotator against a real server, and the checks that hold for every kind of
//! database. Every error that any test provokes is searched for secrets on its way back.

pub(crate) mod hosts;
mod lossy;
mod names;
pub(crate) mod pair;

use std::net::TcpListener;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use engine::check::{Preparation, Prepare, Report, Sessions, Verified};
use engine::id::VersionId;
use engine::outcome::{Done, Proof, StepError, Verdict};
use engine::port::{Clock, Guard, Known, Material, Options, Rotator, StepContext};
use engine::rotation::{Run, Step};
use engine::secret::SecretBytes;
use pawl::clock::SystemClock;
use pawl::servers::Server;
use rotators::{Registry, Settings};
use serde_json::{Value, json};

use self::lossy::lossy_way_to;
pub(crate) use self::names::{any_name_works, rotates_under_this_name};
use crate::harness::account::{Account, admin_secret, logs_in};
use crate::harness::chaos::Loss;
use crate::harness::{free_port, unique};

/// The password that ends an account in these tests.
pub(crate) const SCRAMBLE: &str = "Canary-scramble-7Xq";

/// A lease that always holds.
pub(crate) struct Holds;

/// A lease that is gone.
pub(crate) struct Gone;

/// A process that stalls right after its last look at the lease.
pub(crate) struct Stalls(pub(crate) Duration);

/// The same, telling another thread when it begins: every lock is held by then.
pub(crate) struct Tells(pub(crate) Sender<()>, pub(crate) Duration);

#[async_trait]
impl Guard for Holds {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Guard for Gone {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        Err(StepError::new(Verdict::Retry, "lease", "the lease is gone"))
    }
}

#[async_trait]
impl Guard for Stalls {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        tokio::time::sleep(self.0).await;
        Ok(())
    }
}

#[async_trait]
impl Guard for Tells {
    async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
        self.0.send(()).expect("somebody listens");
        tokio::time::sleep(self.1).await;
        Ok(())
    }
}

/// One account under rotation, as the engine would hold it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) server: &'static Server,
    pub(crate) user: String,
    pub(crate) arn: String,
    /// AWSCURRENT's JSON.
    pub(crate) current: Value,
    /// Other values that may log in.
    pub(crate) known: Vec<(String, Value)>,
    pub(crate) admin: Option<Value>,
    pub(crate) admin_missing: Option<String>,
    pub(crate) options: Options,
    pub(crate) attempted: bool,
    pub(crate) login_budget: u32,
    pub(crate) target_ca: Option<Vec<u8>>,
    pub(crate) deadline: Duration,
    pub(crate) hold: bool,
    /// AWSPREVIOUS is in its grace.
    pub(crate) in_grace: bool,
}

impl Case {
    /// A new account that changes itself.
    pub(crate) fn new(server: &'static Server) -> Self {
        Self::of(&Account::create(server), &json!({}))
    }

    /// An account, with whatever else its secret holds.
    pub(crate) fn of(account: &Account, extra: &Value) -> Self {
        Self::with(account.server, &account.user, &account.secret(extra))
    }

    /// An account by its secret.
    pub(crate) fn with(server: &'static Server, user: &str, current: &Value) -> Self {
        Self {
            server,
            user: user.to_owned(),
            arn: unique("arn:aws:secretsmanager:local:0:secret:'quoted'\\-"),
            current: current.clone(),
            known: vec![],
            admin: None,
            admin_missing: None,
            options: Options::default(),
            attempted: false,
            login_budget: 10,
            target_ca: None,
            deadline: Duration::from_secs(12),
            hold: false,
            in_grace: false,
        }
    }

    /// The same, changed by the server's administrator.
    pub(crate) fn by_admin(mut self) -> Self {
        self.admin = Some(admin_secret(self.server, &json!({})));
        self
    }

    /// AWSCURRENT's password.
    pub(crate) fn password(&self) -> String {
        self.current["password"].as_str().expect("a password").to_owned()
    }

    /// Whether this password logs in now, asked of the server without Pawl.
    pub(crate) fn logs_in(&self, password: &str) -> bool {
        logs_in(self.server, &self.user, password)
    }

    /// A value made by the rotator itself.
    pub(crate) fn create(&self) -> Value {
        self.try_create().expect("a new value")
    }

    pub(crate) fn set(&self, wanted: &Value) -> Result<Done, StepError> {
        self.set_under(wanted, &Holds)
    }

    pub(crate) fn set_under(&self, wanted: &Value, guard: &dyn Guard) -> Result<Done, StepError> {
        let rotator = self.registry();
        self.run(guard, Step::Set, Some(wanted), async |cx| self.rotator(&rotator).set(cx).await)
    }

    pub(crate) fn test(&self, wanted: &Value) -> Result<Done, StepError> {
        let rotator = self.registry();
        self.run(&Holds, Step::Test, Some(wanted), async |cx| self.rotator(&rotator).test(cx).await)
    }

    /// Asks about AWSCURRENT, as giving up does.
    pub(crate) fn prove(&self) -> Result<Proof, StepError> {
        let rotator = self.registry();
        self.run(&Holds, Step::Prove, Some(&self.current), async |cx| self.rotator(&rotator).prove(cx).await)
    }

    /// Puts AWSCURRENT back, as giving up does.
    pub(crate) fn restore(&self) -> Result<Done, StepError> {
        self.restore_under(&Holds)
    }

    pub(crate) fn restore_under(&self, guard: &dyn Guard) -> Result<Done, StepError> {
        let rotator = self.registry();
        self.run(guard, Step::Restore, Some(&self.current), async |cx| self.rotator(&rotator).set(cx).await)
    }

    /// Ends what is first among `known`.
    pub(crate) fn retire(&self) -> Result<Done, StepError> {
        self.retire_under(&Holds)
    }

    pub(crate) fn retire_under(&self, guard: &dyn Guard) -> Result<Done, StepError> {
        let rotator = self.registry();
        self.run(guard, Step::Retire, Some(&self.current), async |cx| self.rotator(&rotator).retire(cx).await)
    }

    pub(crate) fn verify(&self) -> Result<Verified, StepError> {
        let rotator = self.registry();
        self.run(&Holds, Step::Prove, Some(&self.current), async |cx| self.rotator(&rotator).verify(cx).await)
    }

    pub(crate) fn check(&self) -> Result<Report, StepError> {
        let rotator = self.registry();
        self.run(&Holds, Step::Prove, Some(&self.current), async |cx| self.rotator(&rotator).check(cx).await)
    }

    pub(crate) fn sessions(&self) -> Result<Option<Vec<Sessions>>, StepError> {
        let rotator = self.registry();
        self.run(&Holds, Step::Retire, Some(&self.current), async |cx| self.rotator(&rotator).sessions(cx).await)
    }

    pub(crate) fn prepare(&self, what: Prepare) -> Result<Preparation, StepError> {
        let rotator = self.registry();
        self.run(&Holds, Step::Set, Some(&self.current), async |cx| self.rotator(&rotator).prepare(cx, what).await)
    }

    fn registry(&self) -> Registry {
        Registry::new(&Settings { target_ca: self.target_ca.clone() }).expect("the CA file is PEM")
    }

    fn rotator<'r>(&self, registry: &'r Registry) -> &'r dyn Rotator {
        registry.get(self.current["engine"].as_str().unwrap_or(self.server.engine)).expect("built in")
    }

    fn run<T>(
        &self,
        guard: &dyn Guard,
        step: Step,
        wanted: Option<&Value>,
        act: impl AsyncFnOnce(&StepContext<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let secret = |value: &Value| SecretBytes::from(value.to_string());
        let named = |role: &str, value: &Value| Known { role: role.to_owned(), value: secret(value), version: None };
        // Retire is given what is to be ended, and nothing else.
        let current = (step != Step::Retire).then(|| named("AWSCURRENT", &self.current));
        let mut known: Vec<Known> = current.into_iter().collect();
        known.extend(self.known.iter().map(|(role, value)| named(role, value)));
        let material = Material {
            wanted: wanted.map(secret),
            current: Some(secret(&self.current)),
            previous: self.known.iter().find(|(role, _)| role == "AWSPREVIOUS").map(|(_, value)| secret(value)),
            known,
            admin: self.admin.as_ref().map(secret),
            admin_missing: self.admin_missing.clone(),
            options: self.options.clone(),
            ..Material::default()
        };
        let token = VersionId::new("t".repeat(32)).expect("a token");
        let retiring = self.in_grace.then(|| VersionId::new("p".repeat(32)).expect("a token"));
        let run = Run { retiring, ..Run::new(token, String::new(), SystemClock.now()) };
        let cx = StepContext {
            arn: &self.arn,
            step,
            run: &run,
            material: &material,
            attempted: self.attempted,
            login_budget: self.login_budget,
            deadline: self.deadline,
            guard,
            scramble: &SecretBytes::from(SCRAMBLE),
            hold: self.hold,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let outcome = runtime.block_on(act(&cx));
        if let Err(error) = &outcome {
            self.shows_no_secret(error);
        }
        outcome
    }

    fn shows_no_secret(&self, error: &StepError) {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("Canary"), "{shown}");
        assert!(!shown.contains(&self.server.admin_password), "the admin's password: {shown}");
    }
}

/// The verdict and code of a step that must fail, with a remedy where a person is needed.
pub(crate) fn failure<T: std::fmt::Debug>(outcome: Result<T, StepError>) -> (Verdict, String) {
    let error = outcome.expect_err("the step must fail");
    let needs_person = error.verdict == Verdict::NeedsPerson;
    assert!(!needs_person || !error.remedy.is_empty(), "no remedy: {error:?}");
    (error.verdict, error.code)
}

/// As [`failure`], to be compared.
pub(crate) fn fails<T: std::fmt::Debug>(outcome: Result<T, StepError>, verdict: Verdict, code: &str) {
    assert_eq!(failure(outcome), (verdict, code.to_owned()));
}

/// A whole rotation, each step twice, and then what logs in.
pub(crate) fn rotates_with_each_step_twice(mut case: Case) {
    let old = case.password();
    let wanted = case.create();
    let new = wanted["password"].as_str().expect("a password").to_owned();
    let mut expected = case.current.clone();
    expected["password"] = json!(new);
    assert_eq!(wanted, expected, "only the password differs");

    let retains = case.set(&wanted).expect("set").retains;
    case.attempted = true;
    let again = case.set(&wanted).expect("set again");
    assert_eq!((again.failed_logins, again.retains), (0, retains));
    case.test(&wanted).expect("tested");
    case.test(&wanted).expect("tested again");
    assert!(case.logs_in(&new), "the new password logs in");
    assert_eq!(case.logs_in(&old), retains, "the old one does only where that was said");

    case.known = vec![("AWSPREVIOUS".to_owned(), case.current.clone())];
    case.current = wanted;
    assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
    assert_eq!(case.prove().expect("proven again"), Proof::CurrentLogsIn);
}

/// Set was committed and the process died: whether or not the statement arrived, the next Set is right.
pub(crate) fn sets_again_after_a_crash(mut case: Case) {
    let wanted = case.create();
    case.attempted = true;
    case.set(&wanted).expect("nothing had arrived");
    case.test(&wanted).expect("tested");
    let next = case.create();
    case.known = vec![("candidate 1".to_owned(), wanted)];
    case.set(&next).expect("AWSCURRENT is refused, the candidate logs in");
    case.test(&next).expect("tested");
}

/// Giving up: AWSCURRENT is put back over a candidate, and only then proven.
pub(crate) fn gives_up_by_restoring(mut case: Case) {
    let wanted = case.create();
    case.set(&wanted).expect("set");
    case.known = vec![("AWSPENDING".to_owned(), wanted.clone())];
    // PostgreSQL's admin is asked first, and costs the account no login; then nobody knows which value it is.
    let told = case.admin.is_none() || case.server.engine != "postgres";
    let held = told.then(|| "AWSPENDING".to_owned());
    assert_eq!(case.prove().expect("another value logs in"), Proof::CanRestore { held });
    case.attempted = true;
    let current = case.current.clone();
    case.set(&current).expect("restored");
    assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
    assert!(case.logs_in(&case.password()));
    fails(case.test(&wanted), Verdict::Rejected, if case.server.engine == "postgres" { "28P01" } else { "1045" });
}

/// Without an admin nothing helps against an unknown password; with one, it can be put back.
pub(crate) fn an_unknown_password_needs_the_admin(case: Case, code: &str) {
    let mut case = case;
    let right = case.current.clone();
    case.current["password"] = json!(unique("Canary-wrong-"));
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::NeedsPerson, code);
    let error = case.set(&wanted).expect_err("still refused");
    assert_eq!(error.failed_logins, 1, "AWSCURRENT; what was never sent is not tried: {error:?}");
    case.attempted = true;
    let error = case.set(&wanted).expect_err("refused again");
    assert_eq!(error.failed_logins, 3, "what may have been sent is tried, before and after: {error:?}");
    fails(case.prove(), Verdict::NeedsPerson, code);
    assert_eq!(case.prove().expect_err("refused").failed_logins, 1, "AWSCURRENT, once");
    assert!(case.logs_in(right["password"].as_str().expect("a password")), "nothing was changed");
    let case = case.by_admin();
    assert!(matches!(case.prove().expect("the admin can"), Proof::CanRestore { .. }));
    let current = case.current.clone();
    case.set(&current).expect("restored by the admin");
    assert!(case.logs_in(&case.password()));
}

/// The statement of a process that stalled after its last look at the lease does not land.
pub(crate) fn a_late_statement_does_not_land(case: &Case) {
    let wanted = case.create();
    let (verdict, code) = failure(case.set_under(&wanted, &Stalls(Duration::from_millis(4500))));
    assert!(matches!(verdict, Verdict::Retry | Verdict::Unknown), "{verdict:?} {code}");
    assert!(case.logs_in(&case.password()), "the old password still logs in");
    fails(case.set_under(&wanted, &Gone), Verdict::Retry, "lease");
    assert!(case.logs_in(&case.password()), "a lost lease changes nothing");
    case.set(&wanted).expect("the next one finds the way free");
    assert_eq!(case.test(&wanted).expect("tested"), Done::default());
}

/// TLS is verified, from whichever place the root comes, and never given up silently.
pub(crate) fn tls_is_verified(case: Case) {
    let mut case = case;
    case.current["ssl"] = json!(true);
    let wanted = case.create();
    let ca = std::fs::read_to_string(&case.server.ca).expect("the CA");
    fails(case.set(&wanted), Verdict::NeedsPerson, "tls-certificate");

    case.target_ca = Some(ca.clone().into_bytes());
    case.set(&wanted).expect("the operator's CA");
    case.test(&wanted).expect("tested over TLS");

    case.target_ca = None;
    case.current = wanted;
    case.current["sslrootcert"] = json!(ca);
    let next = case.create();
    case.set(&next).expect("the secret's own CA");
    case.test(&next).expect("tested over TLS");
    // The admin's login goes by the admin's own settings.
    case.current = next;
    case.current["ssl"] = json!(false);
    let mut case = case.by_admin();
    let next = case.create();
    case.admin.as_mut().expect("by admin")["ssl"] = json!("true");
    fails(case.set(&next), Verdict::NeedsPerson, "tls-certificate");
    case.admin.as_mut().expect("by admin")["sslrootcert"] = json!(ca);
    case.set(&next).expect("by the admin over TLS");
}

/// What a secret says about other accounts and servers is not followed.
pub(crate) fn other_accounts_are_left_alone(case: Case) {
    let mut case = case.by_admin();
    for (key, value) in [("username", json!("root")), ("host", json!("localhost")), ("port", json!(1))] {
        let mut wanted = case.create();
        wanted[key] = value;
        fails(case.set(&wanted), Verdict::NeedsPerson, "other-account");
    }
    let wanted = case.create();
    for (key, value, code) in [
        ("port", json!(1), "admin-elsewhere"),
        ("host", json!("localhost"), "admin-elsewhere"),
        ("username", json!(case.user), "admin-is-account"),
        ("password", json!("Canary-not-it"), "admin-refused"),
    ] {
        let right = case.admin.clone();
        case.admin.as_mut().expect("by admin")[key] = value;
        fails(case.set(&wanted), Verdict::NeedsPerson, code);
        case.admin = right;
    }
    case.admin = None;
    case.admin_missing = Some("the secret admin has no AWSCURRENT".to_owned());
    fails(case.set(&wanted), Verdict::NeedsPerson, "admin-secret");
    assert!(case.logs_in(&case.password()));
    // A stale value of another place is left out, and does not stop the rest.
    case.admin_missing = None;
    let mut elsewhere = case.current.clone();
    elsewhere["host"] = json!("192.0.2.1");
    case.known = vec![("AWSPREVIOUS".to_owned(), elsewhere)];
    case.set(&wanted).expect("set");
}

/// Targets that are not there, or do not speak.
pub(crate) fn absent_targets_are_tried_again(case: Case) {
    let mut case = case;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let move_to = |case: &mut Case, key: &str, place: Value| {
        for value in [Some(&mut case.current), case.admin.as_mut()].into_iter().flatten() {
            value[key] = place.clone();
        }
    };
    move_to(&mut case, "port", json!(silent.local_addr().expect("an address").port()));
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::Retry, "no-answer");
    fails(case.prove(), Verdict::Retry, "no-answer");
    case.deadline = Duration::from_secs(2);
    fails(case.test(&wanted), Verdict::Retry, "deadline");
    move_to(&mut case, "port", json!(free_port()));
    let wanted = case.create();
    fails(case.set(&wanted), Verdict::Retry, "refused");
    fails(case.test(&wanted), Verdict::Retry, "refused");
    move_to(&mut case, "host", json!("no-such-host.invalid"));
    fails(case.set(&case.create()), Verdict::Retry, "network");
}

/// Many accounts of one server at once, each to its own password.
pub(crate) fn many_accounts_rotate_at_once(server: &'static Server, by_admin: bool) {
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let case = Case::new(server);
                let case = if by_admin { case.by_admin() } else { case };
                let wanted = case.create();
                // A conflict is Retry by the table; a few of those may happen, and nothing else.
                let done = (0..20).any(|_| match case.set(&wanted) {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.verdict, Verdict::Retry, "{error:?}");
                        false
                    }
                });
                assert!(done, "not set after twenty conflicts");
                case.test(&wanted).expect("tested");
            });
        }
    });
}

/// No step tries more wrong passwords than it may: the account is not locked by looking for the right one.
pub(crate) fn a_step_stops_at_its_login_budget(case: Case) {
    let mut case = case;
    let right = case.password();
    let wrong = |case: &Case| {
        let mut value = case.current.clone();
        value["password"] = json!(unique("Canary-wrong-"));
        value
    };
    case.current = wrong(&case);
    case.known = vec![("candidate 1".to_owned(), wrong(&case)), ("AWSPREVIOUS".to_owned(), wrong(&case))];
    case.login_budget = 2;
    let wanted = case.create();
    let error = case.set(&wanted).expect_err("all are wrong");
    let found = (error.verdict, error.code.as_str(), error.failed_logins);
    assert_eq!(found, (Verdict::Retry, "login-budget", 2), "{error:?}");
    assert!(case.logs_in(&right), "not locked, and nothing was changed");
    // A login that is let in sets the server's count back.
    let error = case.prove().expect_err("all are wrong");
    assert_eq!((error.code.as_str(), error.failed_logins), ("login-budget", 2), "{error:?}");
    assert!(case.logs_in(&right), "not locked");
    case.attempted = true;
    let error = case.set(&wanted).expect_err("all are wrong");
    assert_eq!((error.code.as_str(), error.failed_logins), ("login-budget", 2), "{error:?}");
    assert!(case.logs_in(&right), "not locked");
    case.login_budget = 0;
    fails(case.test(&wanted), Verdict::Retry, "login-budget");
    // The catalogue answers without a guess.
    let mut case = case.by_admin();
    if case.server.engine != "postgres" {
        assert!(matches!(case.prove().expect("the admin can"), Proof::CanRestore { .. }));
        case.set(&wanted).expect("the admin needs no login of the account");
        return;
    }
    case.login_budget = 1;
    assert_eq!(case.prove().expect("the admin can"), Proof::CanRestore { held: None });
}

/// While one process changes an account, another one waits for its lock and then gives way, though it be for another
/// secret of the account; and nothing is proven meanwhile.
pub(crate) fn a_lock_is_waited_for_and_then_left(case: &Case, code: &str) {
    let wanted = case.create();
    let other = Case::with(case.server, &case.user, &case.current);
    assert_ne!(other.arn, case.arn);
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| case.set_under(&wanted, &Tells(tell, Duration::from_millis(2600))));
        told.recv_timeout(Duration::from_secs(10)).expect("the lock is taken");
        fails(other.set(&wanted), Verdict::Retry, code);
        slow.join().expect("no panic").expect("it was inside its limits");
    });
    case.test(&wanted).expect("tested");
    let mut case = case.clone();
    moves_on(&mut case, wanted);
    let next = case.create();
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        let slow = scope.spawn(|| case.set_under(&next, &Tells(tell, Duration::from_millis(2600))));
        told.recv_timeout(Duration::from_secs(10)).expect("the lock is taken");
        fails(case.prove(), Verdict::Retry, code);
        slow.join().expect("no panic").expect("it was inside its limits");
    });
}

/// AWSCURRENT's label moves to this value.
pub(crate) fn moves_on(case: &mut Case, to: Value) {
    let before = std::mem::replace(&mut case.current, to);
    case.known = vec![("AWSPREVIOUS".to_owned(), before)];
    case.attempted = false;
}

/// A lost reply is neither success nor failure; the next Set looks at the world.
pub(crate) fn a_lost_reply_is_unknown(case: Case) {
    let mut case = case;
    for loss in [Loss::Reply, Loss::CutReplyAt(0), Loss::CutBefore] {
        let port = lossy_way_to(case.server, loss);
        let wanted = case.create();
        let direct = std::mem::replace(&mut case.current["port"], json!(port));
        let mut sent = wanted.clone();
        sent["port"] = json!(port);
        for value in case.admin.iter_mut().chain(case.known.iter_mut().map(|(_, value)| value)) {
            value["port"] = json!(port);
        }
        case.attempted = false;
        let (verdict, code) = failure(case.set(&sent));
        assert_eq!(verdict, Verdict::Unknown, "{loss:?}: {code}");
        case.current["port"] = direct.clone();
        for value in case.admin.iter_mut().chain(case.known.iter_mut().map(|(_, value)| value)) {
            value["port"] = direct.clone();
        }
        case.attempted = true;
        case.set(&wanted).expect("whether it arrived or not");
        case.test(&wanted).expect("tested");
        moves_on(&mut case, wanted);
    }
}
