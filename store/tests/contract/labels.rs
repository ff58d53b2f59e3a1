//! Label movements as the store keeps them; the rules themselves are tested in `engine::label`.

use store::{MoveLabel, StoreError};

use crate::world::{World, token};

pub(crate) async fn a_plain_write_takes_awscurrent_and_drops_awspending(world: World) {
    world.create("s", "one").await;
    world.put_with("s", "v2", "two", &["AWSPENDING"]).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] v2 [AWSPENDING]");
    world.move_label("s", "AWSCURRENT", Some("create-s"), Some("v2")).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] v2 [AWSCURRENT, AWSPENDING]");
    world.put("s", "v3", "three").await.unwrap();
    assert_eq!(world.labels("s").await, "v2 [AWSPREVIOUS] v3 [AWSCURRENT]");
    assert_eq!(world.read("s").await, "three");
}

pub(crate) async fn listed_labels_move_and_others_stay(world: World) {
    world.create("s", "one").await;
    world.put_with("s", "v2", "two", &["one", "two", "three"]).await.unwrap();
    world.put_with("s", "v3", "three", &["one", "two", "four"]).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] v2 [three] v3 [four, one, two]");
}

pub(crate) async fn moving_awscurrent_moves_awsprevious(world: World) {
    world.create("s", "one").await;
    world.put("s", "v2", "two").await.unwrap();
    world.move_label("s", "AWSCURRENT", Some("v2"), Some("create-s")).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] v2 [AWSPREVIOUS]");
    assert_eq!(world.read("s").await, "one");
    // A retried finishSecret.
    world.move_label("s", "AWSCURRENT", Some("v2"), Some("create-s")).await.unwrap();
    assert_eq!(world.labels("s").await, "create-s [AWSCURRENT] v2 [AWSPREVIOUS]");
}

pub(crate) async fn label_errors_name_what_aws_names(world: World) {
    world.create("s", "one").await;
    world.put("s", "v2", "two").await.unwrap();
    let error = world.move_label("s", "AWSCURRENT", None, Some("create-s")).await.unwrap_err();
    let expected = token("v2").to_string();
    assert!(
        matches!(error, StoreError::RemoveFromRequired { label, holder } if label == "AWSCURRENT" && holder == expected)
    );
    let error = world.move_label("s", "AWSCURRENT", Some("v2"), None).await.unwrap_err();
    assert!(matches!(error, StoreError::CurrentCannotBeRemoved));
    let error = world.move_label("s", "AWSPREVIOUS", Some("v2"), None).await.unwrap_err();
    assert!(matches!(error, StoreError::NotHolder { label, .. } if label == "AWSPREVIOUS"));
    let error = world.move_label("s", "X", None, Some("unknown")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchVersion(id) if id == token("unknown").to_string()));
    let short = MoveLabel {
        label: "X",
        remove_from: None,
        move_to: Some("short"),
        keeps_admin: false,
        within: None,
        by: "tester",
    };
    let error = world.store.move_label("s", short, world.now()).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchVersion(id) if id == "short"));
    let error = world.move_label("s", "X", None, None).await.unwrap_err();
    assert!(matches!(error, StoreError::NothingToMove));
    assert_eq!(world.labels("s").await, "create-s [AWSPREVIOUS] v2 [AWSCURRENT]");
}

pub(crate) async fn more_than_twenty_labels_are_refused(world: World) {
    world.create("s", "one").await;
    let many: Vec<String> = (0..19).map(|n| format!("L{n:02}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.put_with("s", "v2", "two", &many).await.unwrap();
    let error = world.put_with("s", "v3", "three", &["ONE-MORE"]).await.unwrap_err();
    assert!(matches!(error, StoreError::LabelQuota));
    let gone = world.store.get_value("s", Some(token("v3").as_str()), None, world.now()).await;
    assert!(matches!(gone, Err(StoreError::VersionNotFound(_))), "a refused write leaves no version");
}
