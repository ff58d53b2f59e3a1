//! Which secrets are admin secrets, and who may name one.

use store::{ListQuery, MoveLabel, PutValue, Scope, SortBy, StoreError};

use crate::world::{World, created, text, token};

fn naming(admin: &str) -> String {
    format!(r#"{{"engine":"postgres","username":"app","password":"p","masterarn":"{admin}"}}"#)
}

async fn is_admin(world: &World) -> bool {
    world.store.is_admin_secret("root").await.unwrap()
}

pub(crate) async fn a_secret_is_an_admin_secret_while_a_labelled_version_of_another_names_it(world: World) {
    let arn = world.create("root", &naming("root")).await.arn;
    world.create("app", "{}").await;
    assert!(!is_admin(&world).await, "naming itself makes it none");
    let partial = arn.rsplit_once('-').unwrap().0;
    for (n, name) in ["root", &arn, partial].into_iter().enumerate() {
        world.put("app", &format!("n{n}"), &naming(name)).await.unwrap();
        assert!(is_admin(&world).await, "{name}");
        assert!(world.store.is_admin_secret(&arn).await.unwrap());
        // First AWSPREVIOUS names it, then no labelled version does.
        world.put("app", &format!("o{n}"), "{}").await.unwrap();
        assert!(is_admin(&world).await, "{name} in AWSPREVIOUS");
        world.put("app", &format!("p{n}"), r#"{"masterarn":"other"}"#).await.unwrap();
        assert!(!is_admin(&world).await, "{name} in no labelled version");
    }
    let missing = world.store.is_admin_secret("nobody").await;
    assert!(matches!(missing, Err(StoreError::SecretNotFound)));
}

pub(crate) async fn a_rotations_candidate_and_a_secret_marked_for_deletion_name_an_admin_too(world: World) {
    world.create("root", "{}").await;
    world.create("app", "{}").await;
    let lease = world.rotating("app", "r").await;
    assert!(!is_admin(&world).await);
    world.sealed(&lease, &naming("root")).await;
    assert!(is_admin(&world).await);
    world.finish(&lease).await;
    world.store.delete_secret("app", 7, world.now()).await.unwrap();
    assert!(is_admin(&world).await, "it may be restored");
    world.store.delete_secret("app", 0, world.now()).await.unwrap();
    assert!(!is_admin(&world).await);
}

pub(crate) async fn what_an_earlier_binary_wrote_is_looked_at_when_the_store_opens_or_a_label_comes(world: World) {
    world.create("root", "{}").await;
    world.create("app", &naming("root")).await;
    world.create("late", &naming("root")).await;
    world.put("late", "l2", "{}").await.unwrap();
    world.put("late", "l3", "{}").await.unwrap();
    world.store.delete_secret("app", 0, world.now()).await.unwrap();
    world.create("app", &naming("root")).await;
    let mut raw = world.raw().await;
    raw.run("UPDATE version SET masterarn = NULL").await;
    let world = world.reopen().await;
    assert!(is_admin(&world).await);
    let unseen = "SELECT COUNT(*) FROM version WHERE masterarn IS NULL";
    let left: i64 = raw.count(unseen).await;
    assert_eq!(left, 1, "the version without a label");
    world.store.delete_secret("app", 0, world.now()).await.unwrap();
    assert!(!is_admin(&world).await);
    world.move_label("late", "OLD", None, Some("create-late")).await.unwrap();
    assert!(is_admin(&world).await);
}

pub(crate) async fn a_writer_that_keeps_the_admin_may_name_no_other(world: World) {
    world.create("app", &naming("root")).await;
    let put = async |of: &str, value: &str| {
        let put = PutValue {
            token: token(of),
            value: text(value),
            stages: None,
            keeps_admin: true,
            rotation_token: None,
            within: None,
            by: "rotator".to_owned(),
        };
        world.store.put_value("app", put, world.now()).await
    };
    for other in ["root2", "arn:aws:secretsmanager:us-east-1:000000000000:secret:root"] {
        assert!(matches!(put("a", &naming(other)).await, Err(StoreError::AdminDiffers)), "{other}");
    }
    assert_eq!(world.labels("app").await, "create-app [AWSCURRENT]", "nothing was written");
    put("b", &naming("root").replace("\"p\"", "\"q\"")).await.unwrap();
    assert!(matches!(put("c", "{}").await, Err(StoreError::AdminDiffers)), "whom nobody names is no admin any more");
    world.put("app", "d", "{}").await.unwrap();
    assert!(matches!(put("e", &naming("root")).await, Err(StoreError::AdminDiffers)), "AWSCURRENT names none now");
    let lease = world.rotating("app", "r").await;
    world.apply(&lease, engine::rotation::Event::Leased).await.unwrap();
    assert!(matches!(put("r", &naming("root")).await, Err(StoreError::AdminDiffers)), "nor in a rotation");
    world.apply(&lease, created("{}")).await.unwrap();
}

pub(crate) async fn a_mover_of_labels_that_keeps_the_admin_brings_no_other_back(world: World) {
    world.create("app", &naming("old")).await;
    world.put("app", "b", &naming("root")).await.unwrap();
    world.put("app", "c", &naming("root")).await.unwrap();
    let move_to = async |label: &str, from: Option<&str>, to: &str| {
        let (from, to) = (from.map(|of| token(of).to_string()), token(to).to_string());
        let moving = MoveLabel {
            label,
            remove_from: from.as_deref(),
            move_to: Some(&to),
            keeps_admin: true,
            within: None,
            by: "rotator",
        };
        world.store.move_label("app", moving, world.now()).await
    };
    for (label, from) in [("AWSCURRENT", Some("c")), ("MINE", None)] {
        let refused = move_to(label, from, "create-app").await;
        assert!(matches!(refused, Err(StoreError::AdminDiffers)), "{label}");
    }
    move_to("AWSCURRENT", Some("c"), "b").await.unwrap();
    assert_eq!(world.labels("app").await, "b [AWSCURRENT] c [AWSPREVIOUS]");
}

pub(crate) async fn a_list_for_a_scope_shows_what_is_in_it_and_no_admin_secret_that_is_not_named(world: World) {
    for name in ["app/a", "app/b", "app/root", "app/root2", "db", "other"] {
        world.create(name, "{}").await;
    }
    world.create("user", r#"{"masterarn":"app/root"}"#).await;
    world.create("user2", r#"{"masterarn":"app/root2"}"#).await;
    let scope = Scope {
        prefixes: vec!["app/".to_owned()],
        secrets: vec!["db".to_owned(), "app/root2".to_owned(), "missing".to_owned()],
    };
    let query = ListQuery { limit: 1, sort: SortBy::Name, visible: Some(scope), ..ListQuery::default() };
    let (mut names, mut after, mut cursor) = (Vec::new(), None, None);
    loop {
        let page = world.store.list(ListQuery { after: after.take(), ..query.clone() }).await.unwrap();
        names.extend(page.items.into_iter().map(|secret| secret.name));
        match page.next {
            Some(next) => (after, cursor) = (Some(next.clone()), Some(next)),
            None => break,
        }
    }
    assert_eq!(names, ["app/a", "app/b", "app/root2", "db"]);
    let elsewhere = world.store.list(ListQuery { after: cursor, visible: None, ..query }).await;
    assert!(matches!(elsewhere, Err(StoreError::BadCursor)), "a page belongs to its scope");
    let nothing = ListQuery { limit: 10, visible: Some(Scope::default()), ..ListQuery::default() };
    assert!(world.store.list(nothing).await.unwrap().items.is_empty());
}
