//! Checks about the rows `'user'@'host'` of an account, which MySQL and MariaDB have.

use engine::outcome::{Proof, Verdict};
use pawl::servers::Server;
use serde_json::json;

use super::{Case, fails};
use crate::harness::account::execute;

/// Rows that the account cannot see stay as they are, and the history says that it does not know.
pub(crate) fn a_change_of_the_own_row_alone_is_noted(case: &Case) {
    execute(case.server, &format!("CREATE USER '{}'@'192.0.2.7' IDENTIFIED BY '{}'", case.user, case.password()));
    let done = case.set(&case.create()).expect("set");
    if case.admin.is_some() {
        assert_eq!(done.note, "", "the admin sees them all");
    } else {
        assert!(done.note.contains("Only the row") && done.note.contains(&case.user), "{}", done.note);
        assert!(!done.note.contains("Canary"), "{}", done.note);
    }
}

/// A candidate may live on in a row that only the admin sees.
pub(crate) fn nothing_is_proven_without_the_admin(server: &'static Server) {
    let mut case = Case::new(server);
    let candidate = case.create();
    let other = candidate["password"].as_str().expect("a password");
    execute(server, &format!("CREATE USER '{}'@'10.%' IDENTIFIED BY '{other}'", case.user));
    case.known = vec![("AWSPENDING".to_owned(), candidate.clone())];
    let mut case = case.by_admin();
    let right = case.admin.clone();
    case.admin.as_mut().expect("by admin")["password"] = json!("Canary-not-it");
    fails(case.prove(), Verdict::NeedsPerson, "admin-refused");
    case.admin = None;
    case.admin_missing = Some("the secret admin has no AWSCURRENT".to_owned());
    fails(case.prove(), Verdict::NeedsPerson, "admin-secret");
    case.admin_missing = None;
    case.admin = right;
    assert!(matches!(case.prove().expect("the admin sees both rows"), Proof::CanRestore { .. }));
    case.attempted = true;
    case.set(&case.current).expect("put back");
    assert_eq!(case.prove().expect("proven"), Proof::CurrentLogsIn);
}
