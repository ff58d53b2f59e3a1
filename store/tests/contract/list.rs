//! Lists and their pages.

use chrono::TimeDelta;
use store::{Filter, ListQuery, SortBy, StoreError};

use crate::world::{World, rotate, token};

async fn names(world: &World, mut query: ListQuery) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let page = world.store.list(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit as usize);
        names.extend(page.items.into_iter().map(|secret| secret.name));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return names,
        }
    }
}

pub(crate) async fn pages_cover_everything_once_in_every_order(world: World) {
    // Created in this order, two at a time in one millisecond.
    for (n, name) in ["d", "b", "e", "a", "f", "c"].into_iter().enumerate() {
        world.create(name, "x").await;
        if n % 2 == 1 {
            world.clock.pass(TimeDelta::days(1));
        }
    }
    for (of, name) in ["c", "d", "e"].into_iter().enumerate() {
        world.clock.pass(TimeDelta::days(1));
        world.put(name, &format!("v{of}"), "y").await.unwrap();
        world.read(name).await;
    }
    let cases = [
        (SortBy::Name, "a b c d e f"),
        (SortBy::CreatedDate, "d b e a f c"),
        (SortBy::LastChangedDate, "b a f c d e"),
        (SortBy::LastAccessedDate, "b a f c d e"),
    ];
    for (sort, expected) in cases {
        for limit in [1, 2, 5, 100] {
            let query = ListQuery { limit, sort, ..ListQuery::default() };
            let mut expected: Vec<&str> = expected.split(' ').collect();
            assert_eq!(names(&world, query.clone()).await, expected, "{sort:?} by {limit}");
            expected.reverse();
            let query = ListQuery { descending: true, ..query };
            assert_eq!(names(&world, query).await, expected, "{sort:?} by {limit}, descending");
        }
    }
}

pub(crate) async fn filters_and_deletion_narrow_the_list(world: World) {
    for n in 0..150 {
        world.create(&format!("{}/{n:03}", if n % 3 == 0 { "prod" } else { "dev" }), "x").await;
    }
    world.store.delete_secret("prod/000", 7, world.now()).await.unwrap();
    let filter = Filter { key: "name".to_owned(), values: vec!["prod/".to_owned()] };
    let query = ListQuery { limit: 20, sort: SortBy::Name, filters: vec![filter], ..ListQuery::default() };
    let found = names(&world, query.clone()).await;
    assert_eq!((found.len(), found[0].as_str()), (49, "prod/003"));
    let query = ListQuery { include_deleted: true, ..query };
    assert_eq!(names(&world, query).await.len(), 50);
}

pub(crate) async fn a_cursor_serves_only_its_own_query(world: World) {
    for name in ["a", "b", "c"] {
        world.create(name, "x").await;
    }
    let query = ListQuery { limit: 1, ..ListQuery::default() };
    let next = world.store.list(query.clone()).await.unwrap().next;
    assert!(next.is_some());
    let others = [
        ListQuery { descending: true, after: next.clone(), ..query.clone() },
        ListQuery { sort: SortBy::Name, after: next, ..query.clone() },
        ListQuery { after: Some("nonsense".to_owned()), ..query },
    ];
    for other in others {
        assert!(matches!(world.store.list(other).await, Err(StoreError::BadCursor)));
    }
    let bad = world.store.list_versions("a", false, 10, Some("6162")).await;
    assert!(matches!(bad, Err(StoreError::BadCursor)));
}

pub(crate) async fn a_cursor_survives_a_restart(world: World) {
    for name in ["a", "b", "c"] {
        world.create(name, "x").await;
    }
    let query = ListQuery { limit: 1, sort: SortBy::Name, ..ListQuery::default() };
    let after = world.store.list(query.clone()).await.unwrap().next;
    let world = world.reopen().await;
    let page = world.store.list(ListQuery { after, ..query }).await.unwrap();
    assert_eq!(page.items[0].name, "b");
}

pub(crate) async fn versions_are_paged_newest_first_without_the_placeholder(world: World) {
    world.create("s", "x").await;
    for n in 0..5 {
        world.clock.pass(TimeDelta::seconds(1));
        world.put("s", &format!("v{n}"), "x").await.unwrap();
    }
    world.store.rotate("s", rotate("r"), world.now()).await.unwrap();
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = world.store.list_versions("s", true, 2, after.as_deref()).await.unwrap();
        seen.extend(page.versions.into_iter().map(|version| (version.version_id, version.stages.join(" "))));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [("v4", "AWSCURRENT"), ("v3", "AWSPREVIOUS"), ("v2", ""), ("v1", ""), ("v0", ""), ("create-s", "")];
    let expected = expected.map(|(of, stages)| (token(of), stages.to_owned()));
    assert_eq!(seen, expected);
    let labelled = world.store.list_versions("s", false, 100, None).await.unwrap();
    assert_eq!((labelled.versions.len(), labelled.next), (2, None));
}
