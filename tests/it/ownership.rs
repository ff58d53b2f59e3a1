//! Who owns what a pair makes on PostgreSQL: the shape with a shared owner, how an account is brought into it and back,
//! and the complaints about second accounts that AWS's rotation functions have earned.

use std::time::Duration;

use engine::check::{Finding, Level, Prepare};
use engine::outcome::Verdict;
use pawl::servers::Server;
use serde_json::{Value, json};

use crate::harness::account::{Account, execute};
use crate::harness::{servers, unique};
use crate::rotator_support::pair::{
    ask, ask_admin, belongings, client, clone_of, database, lossy_ways, owner_of, pair, rotate, shared_pair,
    stopped_at_every_moment, turn, user, value_logs_in,
};
use crate::rotator_support::{Case, Gone, Holds, Stalls, fails, failure};

/// An account that owns a database of its own and has made things in it.
fn owning(server: &'static Server) -> (Case, String) {
    let mut case = pair(server);
    let dbname = database(server);
    execute(server, &format!("ALTER DATABASE {dbname} OWNER TO {}", case.user));
    case.current["dbname"] = json!(dbname);
    make(&case, &case.current, &dbname, "before");
    (case, dbname)
}

/// A table, a sequence, a function and default privileges, as an application makes them.
fn make(case: &Case, value: &Value, dbname: &str, name: &str) {
    let sql = format!(
        "CREATE SCHEMA {name}; CREATE TABLE {name}.t (id serial PRIMARY KEY, n int); CREATE SEQUENCE {name}.s; \
         CREATE FUNCTION {name}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT SELECT ON TABLES TO PUBLIC; INSERT INTO {name}.t (n) VALUES (1)"
    );
    ask(case, value, dbname, &sql).expect("the application makes its things");
}

/// Everything an owner may do with what [`make`] made.
fn may_do_everything(case: &Case, value: &Value, dbname: &str, name: &str) {
    let column = unique("c");
    let sql = format!(
        "INSERT INTO {name}.t (n) VALUES (2); SELECT nextval('{name}.s'), {name}.f(); \
         ALTER TABLE {name}.t ADD COLUMN {column} int; ALTER SEQUENCE {name}.s INCREMENT 2; \
         CREATE OR REPLACE FUNCTION {name}.f() RETURNS int LANGUAGE sql AS 'SELECT 2'; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT INSERT ON TABLES TO PUBLIC; \
         CREATE INDEX ON {name}.t ({column}); UPDATE {name}.t SET n = 3; DELETE FROM {name}.t"
    );
    // Who logs in during the very commit of an undo has a role that is no more, and logs in again.
    let asked = ask(case, value, dbname, &sql).or_else(|_| ask(case, value, dbname, &sql));
    if let Err(told) = asked {
        panic!("{} cannot use {name}: {told}", user(value));
    }
}

// F57
#[test]
fn over_ten_rotations_either_account_can_do_everything_and_nothing_belongs_to_a_login_role() {
    let Some(server) = servers::postgres() else { return };
    let (mut case, dbname) = owning(server);
    let prepared = case.prepare(Prepare::Apply).expect("prepared");
    assert!(prepared.applied && !prepared.already);
    let mut made = vec!["before".to_owned()];
    for n in 0..10 {
        make(&case, &case.current, &dbname, &format!("a{n}"));
        let old = turn(&mut case);
        make(&case, &case.current, &dbname, &format!("b{n}"));
        made.extend([format!("a{n}"), format!("b{n}")]);
        for value in [&old, &case.current] {
            made.iter().for_each(|name| may_do_everything(&case, value, &dbname, name));
        }
        case.retire().expect("retired");
        assert_eq!(belongings(server, &[&case.user, &clone_of(&case)]), 0, "after {n}");
    }
}

// F58
#[test]
fn aws_issue_38_a_grant_that_came_later_is_missed_before_anybody_is_sent_there() {
    let Some(server) = servers::postgres() else { return };
    // As AWS's function makes it: what the first account gets later reaches the second one.
    let mut case = pair(server);
    let table = unique("t");
    rotate(&mut case);
    rotate(&mut case);
    execute(server, &format!("CREATE SCHEMA {table}; CREATE TABLE {table}.t (n int)"));
    execute(
        server,
        &format!("GRANT USAGE ON SCHEMA {table} TO {0}; GRANT SELECT, INSERT ON {table}.t TO {0}", case.user),
    );
    rotate(&mut case);
    ask(&case, &case.current, "app", &format!("INSERT INTO {table}.t VALUES (1)")).expect("by membership");
    // What the second one gets does not reach the first.
    let granted = format!("GRANT UPDATE (n), DELETE ON {table}.t TO {}", clone_of(&case));
    execute(server, &granted);
    let wanted = case.create();
    let error = case.set(&wanted).expect_err("the first one would miss it");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "pair-differs"));
    let expected = format!("GRANT DELETE, UPDATE (n) ON TABLE {table}.t TO \"{}\"", case.user);
    assert!(error.remedy.contains(&expected), "{}", error.remedy);
    execute(server, &error.remedy);
    rotate(&mut case);

    // With a shared owner a grant to one login role reaches nobody: it is for the owner.
    let mut case = shared_pair(server);
    let name = case.user.clone();
    rotate(&mut case);
    execute(server, &format!("GRANT USAGE ON SCHEMA {table} TO {name}; GRANT SELECT ON {table}.t TO {name}"));
    let wanted = case.create();
    let error = case.set(&wanted).expect_err("only one of them has it");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "pair-differs"));
    assert!(
        error.remedy.contains(&format!("GRANT SELECT ON TABLE {table}.t TO \"{}\"", owner_of(&case))),
        "{}",
        error.remedy
    );
    execute(server, &error.remedy);
    rotate(&mut case);
    ask(&case, &case.current, "app", &format!("SELECT n FROM {table}.t")).expect("either of them");
}

// F57
#[test]
fn aws_issue_56_what_the_second_account_owns_is_found_before_the_first_is_sent_there() {
    let Some(server) = servers::postgres() else { return };
    let mut case = pair(server);
    let (name, second) = (case.user.clone(), clone_of(&case));
    rotate(&mut case);
    execute(server, &format!("CREATE SCHEMA {name} AUTHORIZATION {second}"));
    let wanted = case.create();
    case.attempted = false;
    let error = case.set(&wanted).expect_err("the first one could not use it");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "pair-differs"));
    assert!(error.message.contains(&format!("schema {name}")), "{}", error.message);
    let statement = format!("REASSIGN OWNED BY \"{second}\" TO \"{name}\"");
    assert!(error.remedy.contains(&statement), "{}", error.remedy);
    execute(server, &statement);
    case.set(&wanted).expect("mended");
    // Made between Set and Test: testSecret sees it as well.
    ask(&case, &case.current, "app", "CREATE TEMP TABLE passing (n int)").expect("nobody else's business");
    execute(server, &format!("CREATE SCHEMA {name}_late AUTHORIZATION {second}"));
    fails(case.test(&wanted), Verdict::NeedsPerson, "pair-differs");
    execute(server, &statement);
    case.test(&wanted).expect("tested");
    // A temporary table of another database is nobody else's business either.
    let elsewhere = database(server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let open = runtime.block_on(async {
        let client = client(server, &second, &case.password(), &elsewhere).await.expect("a session");
        client.batch_execute("CREATE TEMP TABLE passing (n int)").await.expect("a table");
        client
    });
    case.test(&wanted).expect("tested");
    case.set(&wanted).expect("set");
    drop((open, runtime));
}

// F57
#[test]
fn aws_issue_175_tables_made_by_the_clone_are_readable_once_the_pair_is_prepared() {
    let Some(server) = servers::postgres() else { return };
    let (mut case, dbname) = owning(server);
    let (name, second) = (case.user.clone(), clone_of(&case));
    let elsewhere = database(server);
    // An AWS pair: the second account has made a table in one database and a schema in another.
    turn(&mut case);
    ask(&case, &case.current, &dbname, "CREATE TABLE before.clones (n int)").expect("the clone makes a table");
    execute(server, &format!("ALTER DATABASE {elsewhere} OWNER TO {second}"));
    ask(&case, &case.current, &elsewhere, "CREATE SCHEMA own; CREATE TABLE own.t (n int)").expect("and more");
    let wanted = case.create();
    let error = case.set(&wanted).expect_err("AWS's function would go on here");
    assert!(error.message.contains("table before.clones") && error.message.contains(&elsewhere), "{}", error.message);
    // It is prepared while AWSCURRENT is for the first account.
    fails(case.prepare(Prepare::Apply), Verdict::NeedsPerson, "rotate-first");
    case.current = case.known[0].1.clone();
    let shown = case.prepare(Prepare::Show).expect("shown");
    let databases: Vec<&str> = shown.statements.iter().map(|group| group.database.as_str()).collect();
    assert!(databases.contains(&dbname.as_str()) && databases.contains(&elsewhere.as_str()), "{databases:?}");
    case.prepare(Prepare::Apply).expect("prepared");
    assert_eq!(belongings(server, &[&name, &second]), 0);
    assert!(case.prepare(Prepare::Apply).expect("prepared again").already);
    for _ in 0..3 {
        rotate(&mut case);
        ask(&case, &case.current, &dbname, "INSERT INTO before.clones VALUES (1)").expect("either of them");
        ask(&case, &case.current, &elsewhere, "ALTER TABLE own.t ADD COLUMN IF NOT EXISTS m int")
            .expect("as its owner");
    }
}

#[test]
fn what_a_pooler_lets_a_login_role_make_is_found_and_mended_by_the_statement_offered() {
    let Some(server) = servers::postgres() else { return };
    let mut case = shared_pair(server);
    let (name, owner) = (case.user.clone(), owner_of(&case));
    rotate(&mut case);
    execute(server, &format!("GRANT CREATE ON DATABASE app TO {owner}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = client(server, user(&case.current), &case.password(), "app").await.expect("the pooler's session");
        let is_owner = format!("DO $$BEGIN ASSERT current_user = '{owner}'; END$$");
        // What a pooler runs between two of its clients gives the role back; what a client runs takes it away.
        let make = format!("CREATE SCHEMA {name}_pooled");
        let statements = ["SET ROLE NONE", "DISCARD ALL", &is_owner, "RESET ROLE", &is_owner, "SET ROLE NONE", &make];
        for statement in statements {
            client.batch_execute(statement).await.expect(statement);
        }
    });
    let wanted = case.create();
    let error = case.set(&wanted).expect_err("it belongs to the login role");
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, "pair-differs"));
    assert!(error.message.contains(&format!("schema {name}_pooled")), "{}", error.message);
    let statement = format!("REASSIGN OWNED BY \"{}\" TO \"{owner}\"", clone_of(&case));
    assert!(error.remedy.contains(&statement), "{}", error.remedy);
    execute(server, &statement);
    rotate(&mut case);
}

#[test]
fn preparing_shows_exactly_what_it_does_and_awscurrent_goes_on_working() {
    let Some(server) = servers::postgres() else { return };
    let (mut case, dbname) = owning(server);
    let (name, owner, elsewhere) = (case.user.clone(), owner_of(&case), database(server));
    execute(server, &format!("ALTER ROLE {name} SET work_mem = '5MB'; ALTER ROLE {name} CONNECTION LIMIT 9"));
    execute(server, &format!("GRANT CREATE ON DATABASE {elsewhere} TO {name}"));
    ask(&case, &case.current, &elsewhere, "CREATE SCHEMA other").expect("in another database");
    ask(
        &case,
        &case.current,
        &dbname,
        "ALTER TABLE before.t ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON before.t USING (current_user = 'x')",
    )
    .expect("a policy");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let open = runtime.block_on(client(server, &name, &case.password(), &dbname)).expect("a session");

    let shown = case.prepare(Prepare::Show).expect("shown");
    assert!(!shown.applied && !shown.already);
    let statements = shown.statements[0].statements.join("\n");
    for part in [
        format!("ALTER ROLE \"{name}\" RENAME TO \"{owner}\""),
        format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '…' INHERIT CONNECTION LIMIT 9"),
        format!("ALTER ROLE \"{name}\" SET \"role\" TO '{owner}'"),
    ] {
        assert!(statements.contains(&part), "{statements}");
    }
    assert!(!statements.contains("SCRAM") && !statements.contains("Canary"), "{statements}");
    let told = shown.findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("\n");
    assert!(told.contains(&dbname) && told.contains(&elsewhere), "every database is listed: {told}");
    assert!(told.contains("policy mine on before.t") && told.contains("SET ROLE NONE"), "{told}");
    assert!(shown.findings.iter().all(|finding| finding.level != Level::Problem), "{told}");
    assert_eq!(ask_admin(server, "app", &format!("SELECT 1 FROM pg_roles WHERE rolname = '{owner}'")).len(), 0);

    let done = case.prepare(Prepare::Apply).expect("prepared");
    assert_eq!(done.statements, shown.statements, "what was shown");
    assert!(value_logs_in(&case, &case.current));
    assert_eq!(belongings(server, &[&name]), 0);
    assert_eq!(ask(&case, &case.current, &dbname, "SELECT current_user").expect("in")[0], owner);
    assert_eq!(ask(&case, &case.current, &dbname, "SHOW work_mem").expect("in"), ["5MB"]);
    may_do_everything(&case, &case.current, &dbname, "before");
    runtime.block_on(open.batch_execute("INSERT INTO before.t (n) VALUES (9)")).expect("an open session goes on");
    let again = case.prepare(Prepare::Apply).expect("again");
    assert!(again.already && again.statements.is_empty(), "{again:?}");
    rotate(&mut case);
}

#[test]
fn undoing_gives_everything_made_since_back_to_one_account() {
    let Some(server) = servers::postgres() else { return };
    let (mut case, dbname) = owning(server);
    let (name, second, owner) = (case.user.clone(), clone_of(&case), owner_of(&case));
    let (elsewhere, group, member) = (database(server), unique("grp"), unique("member"));
    case.prepare(Prepare::Apply).expect("prepared");
    rotate(&mut case);
    fails(case.prepare(Prepare::Undo), Verdict::NeedsPerson, "rotate-first");
    make(&case, &case.current, &dbname, "since");
    rotate(&mut case);
    // What belongs or was granted to the login roles themselves, here and elsewhere.
    execute(
        server,
        &format!(
            "GRANT ALL ON DATABASE {elsewhere} TO {name}; CREATE ROLE {group}; CREATE ROLE {member}; \
             GRANT {group} TO {name}; GRANT {name} TO {member}; ALTER ROLE {name} SET work_mem = '5MB'; \
             CREATE SCHEMA {group}; CREATE TABLE {group}.t (n int); GRANT USAGE ON SCHEMA {group} TO {name}; \
             GRANT UPDATE (n), SELECT ON {group}.t TO {name} WITH GRANT OPTION"
        ),
    );
    ask(&case, &case.current, &elsewhere, "SET ROLE NONE; CREATE SCHEMA stray; CREATE TABLE stray.t (n int)")
        .expect("stray");
    let shown = case.prepare(Prepare::ShowUndo).expect("shown");
    assert!(!shown.applied && value_logs_in(&case, &case.current));
    let done = case.prepare(Prepare::Undo).expect("undone");
    assert_eq!((done.applied, &done.statements), (true, &shown.statements));
    assert!(value_logs_in(&case, &case.current));
    let left = format!("SELECT rolname FROM pg_roles WHERE rolname IN ('{second}', '{owner}')");
    assert_eq!(ask_admin(server, "app", &left).len(), 0);
    for made in ["before", "since"] {
        may_do_everything(&case, &case.current, &dbname, made);
    }
    ask(&case, &case.current, &elsewhere, "ALTER TABLE stray.t ADD COLUMN m int").expect("it owns that");
    ask(&case, &case.current, "app", &format!("SELECT n FROM {group}.t; UPDATE {group}.t SET n = 1"))
        .expect("the grants");
    assert_eq!(ask(&case, &case.current, "app", "SHOW work_mem").expect("in"), ["5MB"]);
    let ties =
        format!("SELECT pg_has_role('{name}', '{group}', 'MEMBER') AND pg_has_role('{member}', '{name}', 'MEMBER')");
    assert_eq!(ask_admin(server, "app", &ties), ["t"]);
    assert!(case.prepare(Prepare::Undo).expect("again").already);
    // One user again, and a pair again.
    case.options.strategy = None;
    let wanted = case.create();
    case.set(&wanted).expect("set");
    case.test(&wanted).expect("tested");
    case.current = wanted;
    case.options.strategy = Some(engine::strategy::Strategy::AlternatingUsers);
    case.prepare(Prepare::Apply).expect("prepared again");
    rotate(&mut case);
}

#[test]
fn what_an_undo_would_lose_stops_it_before_anything_is_changed() {
    let Some(server) = servers::postgres() else { return };
    let (case, dbname) = owning(server);
    let name = case.user.clone();
    case.prepare(Prepare::Apply).expect("prepared");
    let admin = |sql: &str| ask_admin(server, &dbname, sql);
    admin(&format!(
        "CREATE TABLE public.adm (n int); CREATE POLICY p ON public.adm TO {name}; CREATE SCHEMA kept AUTHORIZATION {name}"
    ));
    fails(case.prepare(Prepare::Undo), Verdict::NeedsPerson, "own");
    admin(&format!("ALTER POLICY p ON public.adm TO {}", owner_of(&case)));
    admin(&format!("ALTER DEFAULT PRIVILEGES FOR ROLE {name} GRANT SELECT ON TABLES TO PUBLIC"));
    fails(case.prepare(Prepare::Undo), Verdict::NeedsPerson, "own");
    let owner_of_kept = admin("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'kept'");
    assert_eq!(owner_of_kept[0], name, "nothing was changed");
    admin(&format!("ALTER DEFAULT PRIVILEGES FOR ROLE {name} REVOKE SELECT ON TABLES FROM PUBLIC"));
    admin(&format!("GRANT SELECT ON public.adm TO {name} WITH GRANT OPTION"));
    admin(&format!("SET ROLE {name}; GRANT SELECT ON public.adm TO PUBLIC"));
    fails(case.prepare(Prepare::Undo), Verdict::NeedsPerson, "granted-on");
    admin(&format!("SET ROLE {name}; REVOKE SELECT ON public.adm FROM PUBLIC"));
    case.prepare(Prepare::Undo).expect("undone");
    assert!(value_logs_in(&case, &case.current));
}

#[test]
fn a_group_with_other_members_is_never_taken_for_the_pairs_owner() {
    let Some(server) = servers::postgres() else { return };
    let mut case = pair(server);
    let (name, group, other) = (case.user.clone(), unique("grp"), Account::create(server));
    execute(
        server,
        &format!(
            "CREATE ROLE {group}; GRANT {group} TO {name}, {0}; ALTER ROLE {name} SET role = '{group}'",
            other.user
        ),
    );
    for what in [Prepare::Show, Prepare::ShowUndo] {
        let shown = case.prepare(what).expect("shown, with the problem");
        let problem = shown.findings.iter().find(|found| found.code == "owner-shared").expect("it is named");
        assert!(problem.level == Level::Problem && problem.message.contains(&other.user), "{problem:?}");
        assert!(!shown.already);
    }
    for what in [Prepare::Apply, Prepare::Undo] {
        fails(case.prepare(what), Verdict::NeedsPerson, "owner-shared");
    }
    assert!(value_logs_in(&case, &case.current) && other.logs_in(&other.password));
    assert_eq!(ask_admin(server, "app", &format!("SELECT 1 FROM pg_roles WHERE rolname = '{group}'")), ["1"]);
    // Where it is theirs alone, it may be what they share; who may only grant it is no member.
    execute(server, &format!("REVOKE {group} FROM {}", other.user));
    case.prepare(Prepare::Apply).expect("theirs");
    rotate(&mut case);
    rotate(&mut case);
    let undone = case.prepare(Prepare::Undo).expect("and back");
    assert!(undone.findings.iter().all(|found| found.code != "strategy"), "{undone:?}");
}

#[test]
fn preparing_and_undoing_stop_at_a_lost_lease_and_a_late_statement_changes_nothing() {
    let Some(server) = servers::postgres() else { return };
    let (case, dbname) = owning(server);
    let shape = || ask(&case, &case.current, &dbname, "SELECT current_user").expect("AWSCURRENT logs in");
    let (name, owner) = (case.user.clone(), owner_of(&case));
    for (what, before, after) in [(Prepare::Apply, &name, &owner), (Prepare::Undo, &owner, &name)] {
        fails(case.prepare_under(what, &Gone), Verdict::Retry, "lease");
        assert_eq!(&shape()[0], before);
        let (verdict, code) = failure(case.prepare_under(what, &Stalls(Duration::from_millis(4500))));
        assert!(matches!(verdict, Verdict::Retry | Verdict::Unknown), "{verdict:?} {code}");
        assert_eq!(&shape()[0], before);
        case.prepare_under(what, &Holds).expect("the next one finds the way free");
        assert_eq!(&shape()[0], after);
    }
}

#[test]
fn a_lost_reply_of_preparing_or_undoing_is_unknown_and_doing_it_again_finds_out() {
    let Some(server) = servers::postgres() else { return };
    let (case, dbname) = owning(server);
    for what in [Prepare::Apply, Prepare::Undo, Prepare::Apply, Prepare::Undo] {
        let mut ways = lossy_ways(&case);
        // Once with the statement lost and once with it done, by turns in both directions.
        let way = if what == Prepare::Apply { ways.remove(0) } else { ways.remove(1) };
        let (verdict, code) = failure(way.prepare(what));
        assert_eq!(verdict, Verdict::Unknown, "{code}");
        may_do_everything(&case, &case.current, &dbname, "before");
        case.prepare(what).expect("again");
        may_do_everything(&case, &case.current, &dbname, "before");
    }
    for what in [Prepare::Apply, Prepare::Undo] {
        let way = lossy_ways(&case).remove(2);
        assert_eq!(failure(way.prepare(what)).0, Verdict::Unknown);
        assert!(case.prepare(what).expect("it was done").already);
    }
    // A whole undo in which only the last statements are lost: what was moved before stays moved.
    case.prepare(Prepare::Apply).expect("prepared");
    ask(&case, &case.current, &dbname, "SET ROLE NONE; CREATE SCHEMA stray").expect("stray");
    assert_eq!(failure(lossy_ways(&case).remove(0).prepare(Prepare::Undo)).0, Verdict::Unknown);
    assert_eq!(belongings(server, &[&case.user]), 0);
    assert!(value_logs_in(&case, &case.current));
    case.prepare(Prepare::Undo).expect("the rest of it");
    ask(&case, &case.current, &dbname, "DROP SCHEMA stray").expect("it owns that");
}

#[test]
fn preparing_and_undoing_stopped_at_any_moment_leave_one_shape_or_the_other() {
    let Some(server) = servers::postgres() else { return };
    let (case, dbname) = owning(server);
    let elsewhere = database(server);
    execute(server, &format!("GRANT CREATE ON DATABASE {elsewhere} TO {}", case.user));
    let works = || may_do_everything(&case, &case.current, &dbname, "before");
    stopped_at_every_moment(&case, |case| case.prepare(Prepare::Apply), works);
    assert_eq!(ask(&case, &case.current, &dbname, "SELECT current_user").expect("in")[0], owner_of(&case));
    for place in [&dbname, &elsewhere] {
        ask(&case, &case.current, place, "SET ROLE NONE; CREATE SCHEMA stray; CREATE TABLE stray.t (n int)")
            .expect("made");
    }
    stopped_at_every_moment(&case, |case| case.prepare(Prepare::Undo), works);
    assert_eq!(ask(&case, &case.current, &dbname, "SELECT current_user").expect("in")[0], case.user);
    for place in [&dbname, &elsewhere] {
        ask(&case, &case.current, place, "DROP TABLE stray.t").expect("it owns that");
    }
}

#[test]
fn an_account_that_cannot_be_prepared_is_told_why() {
    let Some(server) = servers::postgres() else { return };
    let refused = |case: &Case, code: &str| {
        let shown = case.prepare(Prepare::Show).expect("shown, with the problem");
        assert!(shown.findings.iter().any(|found| found.code == code && found.level == Level::Problem), "{shown:?}");
        let error = case.prepare(Prepare::Apply).expect_err("refused");
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::NeedsPerson, code));
        assert!(value_logs_in(case, &case.current));
        error.remedy
    };
    let case = pair(server);
    execute(server, &format!("ALTER ROLE {} SUPERUSER", case.user));
    refused(&case, "superuser");
    let case = pair(server);
    execute(server, &format!("CREATE ROLE {}", clone_of(&case)));
    refused(&case, "stranger");
    let case = pair(server);
    execute(server, &format!("CREATE ROLE {}", owner_of(&case)));
    refused(&case, "owner-exists");
    let case = pair(server);
    execute(server, &format!("ALTER ROLE {0} SET role = '{0}'", case.user));
    execute(server, &refused(&case, "role-set"));
    case.prepare(Prepare::Apply).expect("after the statement that was offered");
    // The admin's rights, and the statement that gives them.
    let weak = Account::create(server);
    let mut case = pair(server);
    case.admin = Some(weak.secret(&json!({})));
    execute(server, &refused(&case, "privilege"));
    case.prepare(Prepare::Apply).expect("CREATEROLE is enough where nothing is to be reassigned");
    rotate(&mut case);
    fails(case.prepare(Prepare::Undo), Verdict::NeedsPerson, "rotate-first");
    rotate(&mut case);
    execute(server, &format!("CREATE SCHEMA {0} AUTHORIZATION {0}", case.user));
    let shown = case.prepare(Prepare::ShowUndo).expect("shown");
    mended(server, &shown.findings);
    case.prepare(Prepare::Undo).expect("after the statement that was offered");
    // What the second account of an AWS pair owns is given away by whoever has the rights of both.
    let (weak, mut case) = (Account::create(server), pair(server));
    turn(&mut case);
    case.current = case.known[0].1.clone();
    execute(
        server,
        &format!("ALTER ROLE {} CREATEROLE; CREATE SCHEMA {1} AUTHORIZATION {1}", weak.user, clone_of(&case)),
    );
    case.admin = Some(weak.secret(&json!({})));
    refused(&case, "privilege");
    mended(server, &case.prepare(Prepare::Show).expect("shown").findings);
    case.prepare(Prepare::Apply).expect("after the statement that was offered");
    assert_eq!(belongings(server, &[&case.user, &clone_of(&case)]), 0);
    let mut case = pair(server);
    case.admin = None;
    fails(case.prepare(Prepare::Show), Verdict::NeedsPerson, "no-admin");
}

/// Runs the statements that are offered for rights that are missing; there are such.
fn mended(server: &Server, findings: &[Finding]) {
    let problems: Vec<_> = findings.iter().filter(|found| found.level == Level::Problem).collect();
    assert!(!problems.is_empty() && problems.iter().all(|found| found.code == "privilege"), "{findings:?}");
    problems.iter().for_each(|found| execute(server, &found.remedy));
}

#[test]
fn an_awscurrent_that_is_refused_is_not_prepared() {
    let Some(server) = servers::postgres() else { return };
    let mut case = pair(server);
    case.current["password"] = json!(unique("Canary-wrong-"));
    fails(case.prepare(Prepare::Apply), Verdict::NeedsPerson, "current-refused");
    assert_eq!(
        ask_admin(server, "app", &format!("SELECT 1 FROM pg_roles WHERE rolname = '{}'", owner_of(&case))).len(),
        0
    );
}
