//! AWS's recorded label sequences, the errors of UpdateSecretVersionStage, and the invariants on random movements.

use proptest::prelude::*;

use super::*;

fn v(number: u8) -> VersionId {
    VersionId::new(format!("version-{number:024}")).expect("32 characters")
}

fn list(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|&label| label.to_owned()).collect()
}

/// A movement that has to succeed.
#[derive(Clone, Debug)]
enum Move {
    Put(u8, &'static [&'static str]),
    Stage(&'static str, Option<u8>, Option<u8>),
    Pend(u8),
    Promote(u8),
    DropPending(u8),
}
use Move::{DropPending, Pend, Promote, Put, Stage};

fn apply(labels: &Labels, movement: &Move) -> Result<Labels, LabelError> {
    match *movement {
        Put(version, &[]) => labels.put(&v(version), None),
        Put(version, stages) => labels.put(&v(version), Some(&list(stages))),
        Stage(label, from, to) => labels.update(label, from.map(v).as_ref(), to.map(v).as_ref(), |_| true),
        Pend(version) => Ok(labels.pend(&v(version))),
        Promote(version) => Ok(labels.promote(&v(version))),
        DropPending(version) => Ok(labels.drop_pending(&v(version))),
    }
}

fn run(moves: &[Move]) -> Labels {
    moves.iter().fold(Labels::default(), |labels, movement| {
        apply(&labels, movement).unwrap_or_else(|error| panic!("{movement:?} after {labels:?}: {error}"))
    })
}

/// Runs the movements and compares the labels of versions 1, 2, 3 ….
#[track_caller]
fn check(moves: &[Move], expected: &[&[&str]]) {
    let labels = run(moves);
    for (number, held) in (1..).zip(expected) {
        assert_eq!(labels.of(&v(number)), list(held), "version {number} of {labels:?}, after {moves:?}");
    }
    let total: usize = expected.iter().map(|held| held.len()).sum();
    assert_eq!(labels.iter().count(), total, "{labels:?} after {moves:?}");
}

#[test]
fn the_first_version_gets_awscurrent_and_what_it_lists() {
    check(&[Put(1, &[])], &[&[CURRENT]]);
    check(&[Put(1, &["blue"])], &[&[CURRENT, "blue"]]);
    check(&[Put(1, &[PENDING])], &[&[CURRENT, PENDING]]);
}

#[test]
fn a_plain_write_moves_awscurrent_and_awsprevious_and_nothing_else() {
    let moves = [Put(1, &["blue"]), Put(2, &[])];
    check(&moves, &[&[PREVIOUS, "blue"], &[CURRENT]]);
    let moves = [Put(1, &["blue"]), Put(2, &[]), Put(3, &[])];
    check(&moves, &[&["blue"], &[PREVIOUS], &[CURRENT]]);
}

#[test]
fn a_plain_write_drops_awspending_from_the_old_current_version() {
    let start = [Put(1, &[]), Put(2, &[PENDING]), Stage(CURRENT, Some(1), Some(2))];
    check(&start, &[&[PREVIOUS], &[CURRENT, PENDING]]);
    let moves = [&start[..], &[Put(3, &[])]].concat();
    check(&moves, &[&[], &[PREVIOUS], &[CURRENT]]);
}

#[test]
fn a_plain_write_drops_awspending_from_a_version_of_its_own() {
    let moves = [Put(1, &[]), Pend(2), Put(3, &[])];
    check(&moves, &[&[PREVIOUS], &[], &[CURRENT]]);
    let fills_the_placeholder_plainly = [Put(1, &[]), Pend(2), Put(2, &[])];
    check(&fills_the_placeholder_plainly, &[&[PREVIOUS], &[CURRENT]]);
}

#[test]
fn a_new_pending_version_takes_awspending_from_the_current_one() {
    let start = [Put(1, &[]), Put(2, &[PENDING]), Stage(CURRENT, Some(1), Some(2)), Put(3, &[PENDING])];
    check(&start, &[&[PREVIOUS], &[CURRENT], &[PENDING]]);
    let moves = [&start[..], &[Stage(CURRENT, Some(2), Some(3))]].concat();
    check(&moves, &[&[], &[PREVIOUS], &[CURRENT, PENDING]]);
}

#[test]
fn listed_labels_are_taken_from_their_old_holders() {
    let moves = [Put(1, &[]), Put(2, &["one", "two", "three"]), Put(3, &["one", "two", "four"])];
    check(&moves, &[&[CURRENT], &["three"], &["four", "one", "two"]]);
}

#[test]
fn a_demoted_version_keeps_its_custom_labels() {
    let start = [Put(1, &[]), Put(2, &[CURRENT, "PUT0"]), Put(3, &[])];
    check(&start, &[&[], &[PREVIOUS, "PUT0"], &[CURRENT]]);
    let moves = [&start[..], &[Put(4, &[])]].concat();
    check(&moves, &[&[], &["PUT0"], &[PREVIOUS], &[CURRENT]]);
}

#[test]
fn a_custom_label_stays_when_awscurrent_arrives_and_its_removal_touches_nothing_else() {
    let start = [Put(1, &[]), Put(2, &["PENDING"]), Stage(CURRENT, Some(1), Some(2))];
    check(&start, &[&[PREVIOUS], &[CURRENT, "PENDING"]]);
    let moves = [&start[..], &[Stage("PENDING", Some(2), None)]].concat();
    check(&moves, &[&[PREVIOUS], &[CURRENT]]);
}

#[test]
fn custom_labels_may_begin_with_aws() {
    let moves = [Put(1, &[]), Put(2, &["AWSSOMETHING"])];
    check(&moves, &[&[CURRENT], &["AWSSOMETHING"]]);
}

#[test]
fn listing_awscurrent_moves_awsprevious_but_leaves_awspending() {
    let moves = [Put(1, &[]), Pend(2), Put(3, &[CURRENT])];
    check(&moves, &[&[PREVIOUS], &[PENDING], &[CURRENT]]);
    let both = [Put(1, &[]), Put(2, &[CURRENT, PREVIOUS])];
    check(&both, &[&[PREVIOUS], &[CURRENT]]);
}

#[test]
fn removing_awspending_deprecates_a_version_that_had_nothing_else() {
    let moves = [Put(1, &[]), Pend(2), Stage(PENDING, Some(2), None)];
    check(&moves, &[&[CURRENT], &[]]);
}

#[test]
fn a_label_that_is_nowhere_needs_no_version_to_remove_it_from() {
    check(&[Put(1, &[]), Stage("blue", None, Some(1))], &[&[CURRENT, "blue"]]);
    check(&[Pend(1), Stage(CURRENT, None, Some(1))], &[&[CURRENT, PENDING]]);
}

#[test]
fn a_rotation_goes_from_placeholder_to_current() {
    let start = [Put(1, &[]), Put(2, &[]), Pend(3)];
    check(&start, &[&[PREVIOUS], &[CURRENT], &[PENDING]]);
    let filled = [&start[..], &[Put(3, &[PENDING])]].concat();
    check(&filled, &[&[PREVIOUS], &[CURRENT], &[PENDING]]);
    let done = [&filled[..], &[Promote(3)]].concat();
    check(&done, &[&[], &[PREVIOUS], &[CURRENT]]);
    let by_a_lambda = [&filled[..], &[Stage(CURRENT, Some(2), Some(3)), Promote(3)]].concat();
    check(&by_a_lambda, &[&[], &[PREVIOUS], &[CURRENT]]);
}

#[test]
fn the_first_value_of_an_empty_secret_waits_for_finish_secret_when_a_rotation_makes_it() {
    let start = [Pend(1), Put(1, &[PENDING])];
    check(&start, &[&[PENDING]]);
    check(&[&start[..], &[Promote(1)]].concat(), &[&[CURRENT]]);
    let another = [Pend(1), Put(2, &["blue"])];
    check(&another, &[&[PENDING], &[CURRENT, "blue"]]);
}

#[test]
fn only_the_holder_of_awspending_gives_it_up() {
    check(&[Put(1, &[]), Pend(2), DropPending(2)], &[&[CURRENT], &[]]);
    check(&[Put(1, &[]), Pend(2), DropPending(1)], &[&[CURRENT], &[PENDING]]);
    check(&[Put(1, &[]), Pend(2), Put(3, &["blue"]), Promote(3)], &[&[PREVIOUS], &[PENDING], &[CURRENT, "blue"]]);
}

/// Two versions: 1 holds AWSCURRENT and `blue`, 2 holds AWSPENDING; any other version does not exist.
fn update(label: &str, from: Option<u8>, to: Option<u8>) -> Result<Labels, LabelError> {
    let labels = run(&[Put(1, &["blue"]), Put(2, &[PENDING])]);
    labels.update(label, from.map(v).as_ref(), to.map(v).as_ref(), |version| *version == v(1) || *version == v(2))
}

#[test]
fn update_secret_version_stage_refuses_what_aws_refuses_in_its_words() {
    let cases = [
        (
            update(CURRENT, None, Some(2)),
            format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to \
                 version {}, so you must explicitly reference that version in RemoveFromVersionId.",
                v(1)
            ),
        ),
        (
            update("blue", None, Some(2)),
            format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label blue is currently attached to version \
                 {}, so you must explicitly reference that version in RemoveFromVersionId.",
                v(1)
            ),
        ),
        (
            update(CURRENT, Some(1), None),
            "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed."
                .to_owned(),
        ),
        (update(CURRENT, Some(2), Some(3)), format!("Not a valid version: {}", v(3))),
        (
            update("blue", Some(2), None),
            "When you move staging label blue, if you specify RemoveFromVersionId, it must be set to the version that \
             currently has the staging label blue."
                .to_owned(),
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.map_err(|error| error.to_string()), Err(message));
    }
    let not_holder = |label: &str, number| {
        let (label, version) = (label.to_owned(), v(number));
        Err(LabelError::NotHolder { label, version })
    };
    assert_eq!(update(PENDING, Some(1), Some(1)), not_holder(PENDING, 1));
    assert_eq!(update("nowhere", Some(1), None), not_holder("nowhere", 1));
    assert_eq!(update("nowhere", Some(1), Some(2)), not_holder("nowhere", 1));
    assert_eq!(update("blue", None, None), Err(LabelError::NothingToMove));
}

// F07
#[test]
fn a_retried_finish_secret_succeeds_and_changes_nothing() {
    let labels = run(&[Put(1, &[]), Put(2, &[PENDING]), Stage(CURRENT, Some(1), Some(2))]);
    for from in [None, Some(1), Some(2)] {
        let again = labels.update(CURRENT, from.map(v).as_ref(), Some(&v(2)), |_| true);
        assert_eq!(again, Ok(labels.clone()), "RemoveFromVersionId {from:?}");
    }
}

#[test]
fn labels_have_1_to_256_characters() {
    let labels = run(&[Put(1, &[])]);
    for (label, good) in [(0, false), (1, true), (256, true), (257, false)].map(|(n, good)| ("é".repeat(n), good)) {
        let put = labels.put(&v(2), Some(std::slice::from_ref(&label)));
        assert_eq!(put.is_ok(), good, "put of {} characters", label.len() / 2);
        let moved = labels.update(&label, None, Some(&v(1)), |_| true);
        assert_eq!(moved.is_ok(), good, "move of {} characters", label.len() / 2);
    }
}

#[test]
fn a_secret_has_at_most_twenty_labels_over_all_its_versions() {
    let custom = |n: usize| (0..n).map(|i| format!("label-{i}")).collect::<Vec<_>>();
    let labels = run(&[Put(1, &[])]);
    assert_eq!(labels.put(&v(2), Some(&custom(20))), Err(LabelError::TooMany));
    let full = labels.put(&v(2), Some(&custom(19))).expect("20 with AWSCURRENT");
    assert_eq!(full.put(&v(3), Some(&list(&["one more"]))), Err(LabelError::TooMany));
    let moved = full.update("one more", None, Some(&v(1)), |_| true);
    assert_eq!(moved, Err(LabelError::TooMany));
    // Moving what is there, writing plainly and rotating go on.
    assert!(full.put(&v(3), Some(&custom(19))).is_ok());
    assert!(full.update("label-3", Some(&v(2)), Some(&v(1)), |_| true).is_ok());
    let rotating = full.pend(&v(3)).put(&v(3), Some(&list(&[PENDING]))).expect("own labels");
    assert_eq!(rotating.promote(&v(3)).holder(PREVIOUS), Some(&v(1)));
}

#[test]
fn labels_come_back_from_the_store_as_they_went() {
    let labels = run(&[Put(1, &["blue"]), Put(2, &[])]);
    let pairs = labels.iter().map(|(label, version)| (label.to_owned(), version.clone()));
    assert_eq!(Labels::from_pairs(pairs), labels);
}

fn any_move() -> impl Strategy<Value = Move> {
    let version = || 1u8..6;
    let stages = prop::sample::select(vec![
        &[][..],
        &[CURRENT],
        &[PENDING],
        &[PREVIOUS],
        &[CURRENT, PENDING],
        &["blue"],
        &["blue", PENDING],
        &["blue", "green", CURRENT],
    ]);
    let label = prop::sample::select(vec![CURRENT, PENDING, PREVIOUS, "blue"]);
    prop_oneof![
        3 => (version(), stages).prop_map(|(version, stages)| Put(version, stages)),
        3 => (label, prop::option::of(version()), prop::option::of(version()))
            .prop_map(|(label, from, to)| Stage(label, from, to)),
        1 => version().prop_map(Pend),
        1 => version().prop_map(Promote),
        1 => version().prop_map(DropPending),
    ]
}

proptest! {
    #[test]
    fn awscurrent_never_disappears_and_awsprevious_follows_it(moves in prop::collection::vec(any_move(), 1..40)) {
        let mut labels = Labels::default();
        for movement in moves {
            let Ok(next) = apply(&labels, &movement) else { continue };
            let (old, new) = (labels.holder(CURRENT), next.holder(CURRENT));
            prop_assert!(old.is_none() || new.is_some(), "{:?} lost AWSCURRENT of {:?}", movement, labels);
            if old.is_some() && old != new {
                prop_assert_eq!(next.holder(PREVIOUS), old, "{:?} of {:?}", movement, labels);
            }
            labels = next;
        }
    }

    #[test]
    fn a_written_version_exists_only_beside_an_awscurrent(moves in prop::collection::vec(any_move(), 1..40)) {
        let mut labels = Labels::default();
        for movement in moves {
            let placeholder = labels.holder(PENDING).cloned();
            let Ok(next) = apply(&labels, &movement) else { continue };
            if let Put(version, _) = movement && placeholder != Some(v(version)) {
                prop_assert!(next.holder(CURRENT).is_some(), "{:?} of {:?}", movement, labels);
            }
            labels = next;
        }
    }

    #[test]
    fn every_label_sits_on_one_version(moves in prop::collection::vec(any_move(), 1..40)) {
        let labels = moves.iter().fold(Labels::default(), |labels, movement| apply(&labels, movement).unwrap_or(labels));
        let mut listed: Vec<_> = (1..6).flat_map(|number| labels.of(&v(number))).collect();
        listed.sort();
        let held: Vec<_> = labels.iter().map(|(label, _)| label.to_owned()).collect();
        prop_assert_eq!(listed, held);
    }

    #[test]
    fn custom_labels_move_only_when_they_are_named(moves in prop::collection::vec(any_move(), 1..40)) {
        let mut labels = run(&[Put(5, &["blue"])]);
        for movement in moves {
            let Ok(next) = apply(&labels, &movement) else { continue };
            let named = matches!(movement, Put(_, stages) if stages.contains(&"blue")) || matches!(movement, Stage("blue", ..));
            prop_assert!(named || labels.holder("blue") == next.holder("blue"), "{:?} of {:?}", movement, labels);
            labels = next;
        }
    }

    // F07
    #[test]
    fn a_movement_of_a_rotation_done_twice_is_done_once(moves in prop::collection::vec(any_move(), 0..20), version in 1u8..6) {
        let labels = moves.iter().fold(Labels::default(), |labels, movement| apply(&labels, movement).unwrap_or(labels));
        for movement in [Pend(version), Promote(version), DropPending(version), Put(version, &[])] {
            let once = apply(&labels, &movement).expect("never refused");
            prop_assert_eq!(apply(&once, &movement), Ok(once.clone()), "{:?} of {:?}", movement, labels);
        }
    }
}
