//! Cases that have failed once, shrunken.

use crate::SOUND;
use crate::op::{Case, Kind, Op};
use crate::play::play;

fn holds(kinds: Vec<Kind>, ops: Vec<Op>) {
    if let Err((at, what)) = play(&Case { kinds, ops }, SOUND) {
        panic!("op {at:?}: {what}");
    }
}

#[test]
fn nothing_happens() {
    holds(vec![Kind::Single, Kind::SingleByAdmin, Kind::Dual, Kind::DualByAdmin, Kind::Pair], vec![]);
}
