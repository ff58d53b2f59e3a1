//! The grace of an old credential, ended by a person; and what cannot be asked of a registered rotator.

use super::*;

/// A secret whose credential a receiver issues, and retires an hour later.
fn in_its_grace(pawl: &Pawl, url: &str, service: &Service) {
    service.set("by hand", "first");
    add(pawl, "issuer", url, json!({ "Issues": true, "Steps": ["retire"], "Grace": "1h" }));
    secret_of(pawl, "app", "issuer", &json!({ "username": "by hand", "password": "first" }));
    rotate(pawl, "app");
    assert_eq!(service.users().len(), 2, "both work");
}

// F75
#[test]
fn a_grace_is_ended_by_a_person_and_lets_begin_what_waits_for_it() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Arc::new(Service::default());
    let served = Arc::clone(&service);
    let receiver = Receiver::start(move |event| issuing(&served, event));
    in_its_grace(&pawl, &receiver.url, &service);
    let before = current(&pawl, "app");

    pawl.json(&["rotation", "retire", "app"]);
    let only = || (service.users().len() == 1).then_some(());
    wait_for("the old credential is ended", Duration::from_secs(30), only);
    assert!(service.takes(&before));
    let settled = pawl.settled("app");
    assert_eq!(settled["State"], "idle", "{settled}");

    rotate(&pawl, "app");
    let said = pawl.run(&["rotation", "now", "app"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("it begins at") && said.contains("--end-grace"), "{said}");
    assert_eq!(service.users().len(), 2, "nothing has begun");
    pawl.json(&["rotation", "abandon", "app"]);
    let said = pawl.run(&["rotation", "now", "app", "--end-grace", "--wait"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("is ended now"), "{said}");
    let value = current(&pawl, "app");
    assert!(service.takes(&value) && value != before, "it did not wait an hour");
    assert_eq!(service.users().len(), 2, "the one before has its own grace");
}

#[test]
fn a_registered_rotator_is_not_asked_what_it_has_no_step_for() {
    let home = Home::new();
    let pawl = home.serve();
    let service = Arc::new(Service::default());
    let served = Arc::clone(&service);
    let receiver = Receiver::start(move |event| issuing(&served, event));
    in_its_grace(&pawl, &receiver.url, &service);
    let refused = |arguments: &[&str], why: &str| {
        let said = pawl.run(arguments);
        let error = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.code() == Some(1) && error.contains(why), "{arguments:?}: {error}");
    };
    refused(&["rotation", "verify", "app"], "built in");
    refused(&["rotation", "rollback", "app"], "makes its values by itself");
    refused(&["rotation", "prepare", "app"], "built in");
    let report = pawl.json(&["rotation", "check", "app"]);
    assert_eq!((&report["Passes"], &report["Findings"][0]["Code"]), (&json!(true), &json!("not-checked")), "{report}");
    assert!(pawl.status("app").get("NextVerifyDate").is_none(), "it is not tried by schedule");
}
