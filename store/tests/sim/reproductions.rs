//! Cases that have failed once, shrunken.

use crate::SOUND;
use crate::gate::Fate;
use crate::op::{Case, How, Kind, Move, Op, Span, Text, Then, To, Trouble, Wish};
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

/// The row said that nothing had been sent, for the commit that says so is not synced; and the account had it.
#[test]
fn a_set_that_a_power_failure_took_out_of_the_row_needs_no_person() {
    let login_lost = Op::Drive { node: 0, pick: 0, to: To::Calls(12), fate: Fate::Lose, times: 1, then: Then::Finish };
    let changed = Op::Drive { node: 0, pick: 0, to: To::Changed, fate: Fate::Go, times: 0, then: Then::Stall };
    let synced = Op::Write(1, Text::Edited);
    let ops =
        vec![Op::Ask(0, Wish::Rotate), login_lost, synced, Op::Pass(Span::Idle), changed, Op::Restart(How::Power)];
    holds(vec![Kind::Single], ops);
}

/// Whoever names a wrong password before the first rotation, the right one in the middle of it and then another wrong one
/// has told nobody in time which one it was: it stays a version without a label, and the rotation waits for a person.
#[test]
fn a_user_who_takes_the_right_password_away_again_in_the_middle_of_the_first_rotation_did_so_alone() {
    let ops = vec![
        Op::Write(0, Text::Bogus),
        Op::Ask(0, Wish::Rotate),
        Op::Server(1, Trouble::Reject(4)),
        Op::Run(2),
        Op::Label(0, Move::CurrentToPrevious),
        Op::Label(0, Move::CurrentToPending),
        Op::Write(0, Text::OfPending),
    ];
    holds(vec![Kind::Dual], ops);
}
