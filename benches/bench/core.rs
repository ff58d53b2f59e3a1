//! The pure core: one decision, one label movement, beside cloning the same state.

use std::hint::black_box;

use chrono::{TimeZone, Utc};
use engine::id::VersionId;
use engine::label::{CURRENT, Labels, PENDING, PREVIOUS};
use engine::outcome::Done;
use engine::port::Abilities;
use engine::rotation::{Event, Moment, Outcome, Rotation, Run, Step, step};

use crate::nanos;

pub(crate) fn run() {
    let id = |letter: &str| VersionId::new(letter.repeat(36)).expect("36 characters");
    let now = Utc.timestamp_opt(1_800_000_000, 0).single().expect("a time");
    let run = Run { candidate: 1, sets: 1, ..Run::new(id("a"), "schedule".to_owned(), now) };
    let acting = Rotation::Acting { run, step: Step::Set };
    let at = Moment {
        now,
        jitter: 0.5,
        next_window: None,
        abilities: Abilities::default(),
        current: None,
        previous: None,
        fresh: id("f"),
    };
    let done = Event::Ended { step: Step::Set, outcome: Outcome::Done(Done::default()) };
    let labels = Labels::from_pairs([
        (CURRENT.to_owned(), id("a")),
        (PREVIOUS.to_owned(), id("b")),
        (PENDING.to_owned(), id("c")),
    ]);
    let clone_state = nanos(|| drop(black_box(acting.clone())));
    let decide = nanos(|| drop(black_box(step(black_box(&acting), done.clone(), &at))));
    let clone_labels = nanos(|| drop(black_box(labels.clone())));
    let put = nanos(|| drop(black_box(labels.put(&id("d"), None))));
    let promote = nanos(|| drop(black_box(labels.promote(&id("c")))));

    println!("\n### (c) The pure core\n");
    println!("| what | ns | beside a clone of its state |");
    println!("|---|--:|--:|");
    println!(
        "| `engine::rotation::step`: setSecret ended, testSecret follows | {decide:.0} | {:.1}× |",
        decide / clone_state
    );
    println!("| `Labels::put`: a plain write | {put:.0} | {:.1}× |", put / clone_labels);
    println!("| `Labels::promote`: finishSecret | {promote:.0} | {:.1}× |", promote / clone_labels);
}
