//! The preflight over set-ups that are broken: it names the cause, and what it offers mends it. And the verify: which
//! value logs in.
//!
//! Each row of the matrix breaks something on a real server, checks, runs the remedy as it is printed, and checks again.

mod mariadb;
mod my;
mod mysql;
mod postgres;

use engine::check::{Finding, Level, Report, Verified};
use engine::outcome::Verdict;
use engine::strategy::{Options, Strategy};
use pawl::servers::{Engine, Server};
use serde_json::json;

use crate::harness::account::{Account, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, SCRAMBLE, fails};

/// How a broken set-up is mended.
pub(super) enum Mend {
    /// The remedy is one statement, or several: they are run as they are, with AWSCURRENT's password for each '…'.
    Pasted,
    /// The remedy is a sentence with these words; the test does what it says.
    Told(&'static str, Box<dyn FnOnce(&mut Case)>),
}

/// What the remedy tells to be done by hand.
pub(super) fn told(words: &'static str, act: impl FnOnce(&mut Case) + 'static) -> Mend {
    Mend::Told(words, Box::new(act))
}

/// Checks a broken set-up, mends it as it is told to, and checks again.
pub(super) fn finds_and_mends(mut case: Case, level: Level, code: &str, mend: Mend) {
    let report = check(&case);
    let found = found(&report, level, code);
    assert_eq!(report.passes(), level != Level::Problem, "{code}: {:#?}", report.findings);
    match mend {
        Mend::Pasted => {
            let password = format!("'{}'", case.password());
            let alike = report.findings.iter().filter(|finding| finding.code == code && finding.level == level);
            for statement in alike.flat_map(|finding| finding.remedy.split("; ")) {
                execute(case.server, &statement.replace("'…'", &password));
            }
        }
        Mend::Told(words, act) => {
            assert!(found.remedy.contains(words), "{found:?}");
            act(&mut case);
        }
    }
    let report = check(&case);
    let left = report.findings.iter().find(|finding| finding.code == code && finding.level >= level);
    assert!(left.is_none() && report.passes(), "{code} was not mended by {}: {:#?}", found.remedy, report.findings);
}

/// A check, whose report shows no secret.
pub(super) fn check(case: &Case) -> Report {
    let report = case.check().expect("a report");
    let shown = format!("{report:?}{}", serde_json::to_string(&report).expect("JSON"));
    for secret in [case.password().as_str(), &case.server.admin_password, SCRAMBLE, "Canary"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    for finding in &report.findings {
        assert!(finding.level != Level::Problem || !finding.remedy.is_empty(), "no remedy: {finding:?}");
    }
    report
}

/// The finding of this level with this code.
pub(super) fn found(report: &Report, level: Level, code: &str) -> Finding {
    let found = report.findings.iter().find(|finding| finding.level == level && finding.code == code);
    found.unwrap_or_else(|| panic!("no {level:?} {code}: {:#?}", report.findings)).clone()
}

/// A report without a problem, and without any other warning than these.
pub(super) fn passes(case: &Case, warnings: &[&str]) -> Report {
    let report = check(case);
    let all = report.findings.iter().filter(|finding| finding.level != Level::Ok);
    let codes: Vec<&str> = all.map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, warnings, "{:#?}", report.findings);
    report
}

pub(super) fn with_strategy(mut case: Case, strategy: Strategy) -> Case {
    case.options = Options { strategy: Some(strategy), ..case.options };
    case
}

/// An admin who is no superuser, by what follows its name in CREATE, and the case that it changes.
pub(super) fn by_weak_admin(mut case: Case, statements: &[&str]) -> Case {
    let admin = Account::create(case.server);
    let name = if case.server.engine == "postgres" { admin.user.clone() } else { format!("'{}'@'%'", admin.user) };
    for statement in statements {
        execute(case.server, &statement.replace("{admin}", &name).replace("{account}", &case.user));
    }
    case.admin = Some(admin.secret(&json!({"dbname": case.current["dbname"]})));
    case
}

/// A server of this test alone, kept for the run.
pub(super) fn own(engine: Engine, extra: &[&str]) -> Option<&'static Server> {
    servers::own(engine, extra).map(|server| &*Box::leak(Box::new(server)))
}

/// Each kind of server that is there.
fn everywhere(test: impl Fn(&'static Server)) {
    for engine in [Engine::Postgres, Engine::Mysql, Engine::Mariadb] {
        if let Some(server) = servers::shared(engine) {
            test(server);
        }
    }
}

// F104
#[test]
fn what_is_missing_to_reach_the_account_is_said() {
    everywhere(|server| {
        let case = Case::new(server).by_admin();
        let mut wrong = case.clone();
        let right = (case.current.clone(), case.admin.clone());
        for value in [Some(&mut wrong.current), wrong.admin.as_mut()].into_iter().flatten() {
            value["port"] = json!(1);
        }
        let back = move |case: &mut Case| (case.current, case.admin) = right;
        finds_and_mends(wrong, Level::Problem, "unreachable", told("\"host\" and \"port\"", back));

        let mut untrusted = case.clone();
        untrusted.current["ssl"] = json!(true);
        let trust = |case: &mut Case| case.target_ca = Some(std::fs::read(&case.server.ca).expect("the CA"));
        finds_and_mends(untrusted, Level::Problem, "tls", told("--target-ca", trust));

        for (key, value, code) in [
            ("password", json!("Canary-not-it"), "admin-refused"),
            ("host", json!("localhost"), "admin-elsewhere"),
            ("username", json!(case.user), "admin-is-account"),
        ] {
            let mut wrong = case.clone();
            let right = wrong.admin.clone();
            wrong.admin.as_mut().expect("by admin")[key] = value;
            finds_and_mends(wrong, Level::Problem, code, told("masterarn", |case| case.admin = right));
        }
    });
}

#[test]
fn tls_is_named_where_it_is_on() {
    everywhere(|server| {
        let mut case = Case::new(server).by_admin();
        let report = passes(&case, &[]);
        assert_eq!((report.servers.len(), &report.servers[0].tls), (1, &None));
        assert!(report.servers[0].version.starts_with(server.version.split('.').next().expect("a number")));
        case.current["ssl"] = json!(true);
        case.target_ca = Some(std::fs::read(&server.ca).expect("the CA"));
        assert_eq!(passes(&case, &[]).servers[0].tls.as_deref(), Some("TLSv1.3"));
    });
}

// F93
#[test]
fn a_wrong_password_is_tried_once_and_within_the_budget() {
    everywhere(|server| {
        let mut case = Case::new(server).by_admin();
        assert!(found(&check(&case), Level::Ok, "trust").message.contains("refused"));
        case.login_budget = 0;
        fails(case.check(), Verdict::Retry, "login-budget");
        // The only refusal that is allowed was AWSCURRENT's.
        case.login_budget = 1;
        let right = case.current.clone();
        case.current["password"] = json!(unique("Canary-drifted-"));
        let report = check(&case);
        assert!(found(&report, Level::Problem, "login").remedy.starts_with("ALTER "));
        assert!(report.findings.iter().all(|finding| finding.code != "trust"), "{:#?}", report.findings);
        case.current = right;
        assert!(case.logs_in(&case.password()));
    });
}

#[test]
fn a_password_that_something_else_has_set_and_an_account_that_is_gone_are_told_apart() {
    everywhere(|server| {
        let mut drifted = Case::new(server).by_admin();
        drifted.current["password"] = json!(unique("Canary-drifted-"));
        finds_and_mends(drifted, Level::Problem, "login", Mend::Pasted);

        let gone = Case::new(server).by_admin();
        let drop = if server.engine == "postgres" { "ROLE" } else { "USER" };
        execute(server, &format!("DROP {drop} {}", gone.user));
        finds_and_mends(gone, Level::Problem, "no-account", Mend::Pasted);
    });
}

// F62
#[test]
fn a_pair_needs_an_admin_and_a_name_that_fits() {
    everywhere(|server| {
        let lone = with_strategy(Case::new(server), Strategy::AlternatingUsers);
        let name = |case: &mut Case| *case = case.clone().by_admin();
        finds_and_mends(lone, Level::Problem, "no-admin", told("masterarn", name));

        let longest = match server.engine {
            "postgres" => 63,
            "mysql" => 32,
            _ => 128,
        };
        let user = format!("{:x<longest$}", unique("u"));
        let password = unique("Canary-long-");
        let create = match server.engine {
            "postgres" => format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'"),
            _ => format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'"),
        };
        if longest > 80 {
            return;
        }
        execute(server, &create);
        let account = Account { server, user: user.clone(), password };
        let case = with_strategy(Case::of(&account, &json!({})).by_admin(), Strategy::AlternatingUsers);
        let other = unique("b");
        let named = move |case: &mut Case| case.options.users = Some([user, other]);
        finds_and_mends(case, Level::Problem, "username-too-long", told("--users A,B", named));
    });
}

#[test]
fn a_verify_says_which_value_logs_in() {
    everywhere(|server| {
        for by_admin in [false, true] {
            let case = Case::new(server);
            let mut case = if by_admin { case.by_admin() } else { case };
            assert_eq!(case.verify().expect("an answer"), Verified::CurrentLogsIn);
            let right = case.current.clone();
            case.current["password"] = json!(unique("Canary-drifted-"));
            assert_eq!(case.verify().expect("an answer"), Verified::NoneLogsIn);

            // The other user of a pair, and another server, are no values of this account.
            let mut other = right.clone();
            other["username"] = json!("somebody_else");
            let mut wrong = right.clone();
            wrong["password"] = json!(unique("Canary-older-"));
            let known = [("candidate 1", other), ("candidate 2", wrong), ("AWSPREVIOUS", right)];
            case.known = known.map(|(role, value)| (role.to_owned(), value)).into();
            let answer = Verified::AnotherLogsIn { role: "AWSPREVIOUS".to_owned() };
            assert_eq!(case.verify().expect("an answer"), answer);
            case.login_budget = 2;
            let error = case.verify().expect_err("two were refused, and then it stops");
            assert_eq!((error.code.as_str(), error.failed_logins), ("login-budget", 2), "{error:?}");
            case.login_budget = 0;
            fails(case.verify(), Verdict::Retry, "login-budget");
        }
    });
}

#[test]
fn a_verify_is_no_answer_where_the_server_cannot_be_reached() {
    everywhere(|server| {
        let mut case = Case::new(server);
        case.current["port"] = json!(1);
        fails(case.verify(), Verdict::Retry, "refused");
    });
}
