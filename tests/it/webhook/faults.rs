//! A proxy that spoils one delivery between the real `pawl` and a receiver (failures F113 to F120): the verdict is the
//! right one, the rotation is completed (where it stops for a person: after `resume`), and a credential that Pawl has
//! logs in throughout. The oracle is the service.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::{add, current, secret_of};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::proxy::{Passed, Proxy, Reply};
use crate::harness::receiver::{Answer, Event, Receiver};
use crate::harness::service::{Service, account_value, callback, credentials_of, issuing, managed};
use crate::harness::{several_at_a_time, unique, wait_for};

/// What the registrations of all cases have beside what is theirs.
const TIMEOUT_SECONDS: u64 = 2;
const LIMIT: Duration = Duration::from_secs(60);

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Managed,
    Callback,
    Issuing,
    IssuingAndRevoking,
}

impl Mode {
    fn options(self) -> Value {
        let mut options = match self {
            Self::Managed => json!({}),
            Self::Callback => json!({ "Mode": "callback", "Credentials": true }),
            Self::Issuing => json!({ "Issues": true }),
            Self::IssuingAndRevoking => json!({ "Issues": true, "Steps": ["revoke"] }),
        };
        options["TimeoutSeconds"] = TIMEOUT_SECONDS.into();
        options
    }

    fn answer(self, service: &Service, event: &Event) -> Answer {
        match self {
            Self::Managed => managed(service, event),
            Self::Issuing | Self::IssuingAndRevoking => issuing(service, event),
            Self::Callback => {
                let url = event.body["Endpoint"].as_str().expect("an endpoint");
                callback(service, url, &credentials_of(event), event)
            }
        }
    }
}

/// One delivery that is spoilt, and what it comes to.
#[derive(Clone, Copy, Debug)]
struct Case {
    mode: Mode,
    step: &'static str,
    passed: Passed,
    reply: Reply,
    verdict: &'static str,
    /// Why the rotation stops, where it does.
    parked: Option<&'static str>,
}

/// Every one of these faults at every one of these steps. `verdict` is the one of a step that changes something; the
/// others are just asked again where it is unknown.
fn cases(steps: &[(Mode, &'static str)], faults: &[(Passed, Reply, &'static str)]) -> Vec<Case> {
    let all = steps.iter().flat_map(|step| faults.iter().map(move |fault| (*step, *fault)));
    all.map(|((mode, step), (passed, reply, verdict))| {
        // A receiver that calls back finds what it wrote, and writes nothing twice.
        let changes = step == "setSecret" || (step == "createSecret" && mode != Mode::Callback);
        let verdict = if verdict == "unknown" && !changes { "retry" } else { verdict };
        Case { mode, step, passed, reply, verdict, parked: None }
    })
    .collect()
}

/// The steps that change the target.
const SETS: [(Mode, &str); 2] = [(Mode::Managed, "setSecret"), (Mode::Callback, "setSecret")];
/// Those that change the secret through our API.
const CALLING: [(Mode, &str); 2] = [(Mode::Callback, "createSecret"), (Mode::Callback, "finishSecret")];

fn each_comes_to_its_end(cases: Vec<Case>) {
    let home = Home::new();
    let pawl = home.serve();
    several_at_a_time(cases, |case| comes_to_its_end(&pawl, case));
}

fn comes_to_its_end(pawl: &Pawl, case: Case) {
    let service = Service::with("first");
    let (served, key) = (Arc::clone(&service), Arc::<OnceLock<String>>::default());
    let known = Arc::clone(&key);
    let receiver = Receiver::start(move |event| match event.is_signed_with(known.get().expect("set before")) {
        true => case.mode.answer(&served, event),
        false => Answer::error(401, "NeedsPerson", "The signature is wrong."),
    });
    let proxy = Proxy::before(&receiver.url, case.step, case.passed, case.reply);
    let name = unique("spoilt-");
    key.set(add(pawl, &name, &proxy.url, case.mode.options())).expect("set once");
    secret_of(pawl, &name, &name, &account_value("first"));
    pawl.json(&["rotation", "now", &name]);
    if let Some(reason) = case.parked {
        let view = settled_and_logging_in(pawl, &service, &name);
        assert_eq!((&view["State"], &view["Open"]["Reason"]["Code"]), (&json!("parked"), &json!(reason)), "{case:?}");
        pawl.json(&["rotation", "resume", &name]);
    }
    let view = settled_and_logging_in(pawl, &service, &name);
    assert_eq!(view["State"], "idle", "{case:?}: {view}");
    assert!(proxy.has_spoilt(), "{case:?}");
    let value = current(pawl, &name);
    assert!(service.takes(&value) && value != account_value("first"), "{case:?}: AWSCURRENT is new, and logs in");
    assert_eq!(first_verdict(pawl, &name, case.step), case.verdict, "{case:?}");
    if matches!(case.passed, Passed::Late) {
        was_waited_out(&receiver.of(case.step), case);
    }
    if matches!(case.mode, Mode::Issuing | Mode::IssuingAndRevoking) {
        let issued: Vec<_> = service.users().into_iter().filter(|user| user != "app").collect();
        assert_eq!(issued, [value["username"].as_str().expect("a user")], "{case:?}: nothing is left over");
    }
}

/// Waits until the rotation is idle or parked; until then AWSCURRENT or the candidate logs in at every look.
fn settled_and_logging_in(pawl: &Pawl, service: &Service, name: &str) -> Value {
    let by = pawl.administrator();
    let client = crate::harness::wire::Client::of(by);
    let logs_in = |stage: &str| {
        let asked = json!({ "SecretId": name, "VersionStage": stage });
        let (_, answer) = client.call(&pawl.url, "GetSecretValue", &asked).expect("an answer");
        let value: Option<Value> = answer["SecretString"].as_str().and_then(|text| serde_json::from_str(text).ok());
        value.is_some_and(|value| service.takes(&value))
    };
    wait_for(&format!("the rotation of {name} ends"), LIMIT, || {
        // A candidate may become AWSCURRENT between two looks.
        assert!(["AWSCURRENT", "AWSPENDING", "AWSCURRENT"].into_iter().any(logs_in), "{name}: nobody can log in");
        let (_, view) = client.call(&pawl.url, "pawl.DescribeRotation", &json!({ "SecretId": name }))?;
        ["idle", "parked"].contains(&view["State"].as_str()?).then_some(view)
    })
}

/// What the first delivery of a step came to.
fn first_verdict(pawl: &Pawl, rotator: &str, step: &str) -> Value {
    let deliveries = pawl.ask("ListDeliveries", &json!({ "Name": rotator })).expect("deliveries");
    let newest_first = deliveries["Deliveries"].as_array().expect("deliveries");
    let first = newest_first.iter().rev().find(|one| one["Step"] == step);
    first.unwrap_or_else(|| panic!("no {step} in {deliveries}"))["Verdict"].clone()
}

/// Nothing is asked again before the deadline of what may still be at work.
fn was_waited_out(events: &[Event], case: Case) {
    let deadline: engine::Time = events[0].body["Deadline"].as_str().expect("text").parse().expect("RFC 3339");
    let again: i64 = events[1].header("webhook-timestamp").parse().expect("seconds");
    assert!(again >= deadline.timestamp(), "{case:?}: asked again at {again}, before {deadline}");
}

#[test]
fn f113_an_event_or_an_answer_that_is_lost_costs_nothing() {
    let steps = [SETS[0], SETS[1], (Mode::Managed, "testSecret"), CALLING[0], CALLING[1]];
    each_comes_to_its_end(cases(
        &steps,
        &[
            (Passed::Never, Reply::Lost, "unknown"),
            (Passed::Once, Reply::Lost, "unknown"),
            (Passed::Once, Reply::Reset, "unknown"),
        ],
    ));
}

#[test]
fn f114_an_event_that_comes_twice_or_late_changes_nothing_more() {
    let mut all = cases(&SETS, &[(Passed::Twice, Reply::Own, "done")]);
    let gave_up = [
        (Passed::Late, Reply::Made("502 Bad Gateway", "", "<html>upstream</html>"), "unknown"),
        (Passed::Late, Reply::Made("504 Gateway Timeout", "", "<html>upstream</html>"), "unknown"),
    ];
    all.extend(cases(&[SETS[0], SETS[1], CALLING[0], CALLING[1]], &gave_up));
    each_comes_to_its_end(all);
}

#[test]
fn f115_an_event_that_was_changed_on_the_way_is_refused_and_goes_on_after_a_resume() {
    let changed = cases(&SETS, &[(Passed::Changed, Reply::Own, "needs-person")]);
    each_comes_to_its_end(changed.into_iter().map(|case| Case { parked: Some("test"), ..case }).collect());
}

#[test]
fn f117_a_slow_huge_redirecting_or_throttling_gateway_costs_nothing() {
    let mut all = cases(
        &SETS,
        &[
            (Passed::Once, Reply::Drip, "unknown"),
            (Passed::Once, Reply::Flood, "unknown"),
            (Passed::Never, Reply::Made("500 Internal Server Error", "", "<html>broken</html>"), "unknown"),
            (Passed::Never, Reply::Made("429 Too Many Requests", "retry-after: 2\r\n", ""), "retry"),
        ],
    );
    let elsewhere = "location: http://169.254.169.254/latest/meta-data/\r\n";
    let redirected = cases(&SETS, &[(Passed::Never, Reply::Made("302 Found", elsewhere, ""), "needs-person")]);
    all.extend(redirected.into_iter().map(|case| Case { parked: Some("redirect"), ..case }));
    each_comes_to_its_end(all);
}

#[test]
fn f118_a_200_that_says_something_else_costs_nothing() {
    each_comes_to_its_end(cases(
        &[SETS[0], SETS[1], (Mode::Managed, "testSecret"), (Mode::Managed, "finishSecret")],
        &[
            (Passed::Once, Reply::Made("200 OK", "", "{\"Status\":\"Do"), "unknown"),
            (Passed::Never, Reply::Made("200 OK", "", "{\"error\":\"could not\"}"), "unknown"),
        ],
    ));
}

#[test]
fn f119_a_credential_whose_answer_was_lost_on_the_way_is_not_left_over() {
    let steps = [(Mode::Issuing, "createSecret"), (Mode::IssuingAndRevoking, "createSecret")];
    each_comes_to_its_end(cases(
        &steps,
        &[(Passed::Once, Reply::Lost, "unknown"), (Passed::Never, Reply::Lost, "unknown")],
    ));
}

#[test]
fn f120_an_answer_in_another_version_of_the_contract_is_not_success() {
    let other = "{\"Status\":\"Done\",\"Version\":2}";
    each_comes_to_its_end(cases(&SETS, &[(Passed::Never, Reply::Made("200 OK", "", other), "unknown")]));
}
