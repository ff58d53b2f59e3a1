//! What can happen, and how a seed makes a list of it. Never here: what it does.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::gate::Fate;

/// How a secret's account is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One password, changed by the account itself.
    Single,
    /// The same by an admin.
    SingleByAdmin,
    /// Two passwords, changed by the account itself.
    Dual,
    /// The same by an admin.
    DualByAdmin,
    /// Two accounts that take turns.
    Pair,
}

/// One thing that happens. Small numbers stand for whatever there is of that, modulo its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A node claims what is due, and drives nothing yet.
    Wake(u8),
    /// A driver of a node (which wakes, where it has none) makes so many calls. Then so many have this fate.
    Drive { node: u8, pick: u8, calls: u8, fate: Fate, times: u8, then: Then },
    /// A node wakes, and all of its drivers go on to their ends.
    Run(u8),
    /// Time goes by.
    Pass(Span),
    /// A statement that is under way lands.
    Land,
    /// The store is closed and opened again, and with it all nodes.
    Restart { reboot: bool },
    /// The wall clock is set.
    Jump(Leap),
    /// Something happens to a server.
    Server(u8, Trouble),
    /// Somebody writes a value.
    Write(u8, Text),
    /// Somebody moves a label.
    Label(u8, Move),
    /// Somebody asks for something.
    Ask(u8, Wish),
    /// Somebody else sets the password of AWSCURRENT's account.
    Rival(u8),
}

/// What becomes of a driver after its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It goes on to its end.
    Finish,
    /// Its process dies, with all others of its node.
    Crash,
    /// Its machine dies: servers find that out by the silence of its sessions.
    PowerLoss,
    /// It stalls there, until something else lets it on.
    Stall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Second,
    /// Longer than a server is patient with a session, shorter than a lease.
    Idle,
    /// Longer than a lease.
    Lease,
    /// Longer than a grace.
    Grace,
    Hours,
    Day,
    /// Until the next thing is due.
    NextDue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leap {
    AnHourBack,
    ADayOn,
    AYearOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Down,
    Up,
    Restart,
    BackUp,
    Restore,
    /// It takes none of the next values.
    Reject(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// A password that the account has not.
    Bogus,
    /// AWSCURRENT's, with something else in the JSON.
    Edited,
    /// What AWSPENDING shows.
    OfPending,
    /// The password that the account has.
    OfTarget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    CurrentToPending,
    CurrentToPrevious,
    RemovePending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Rotate,
    /// The token of the rotation before.
    SameToken,
    Rollback,
    Reconcile,
    EndGrace,
    Cancel,
    Enable,
    Pause,
    Resume,
    Abandon,
    Delete,
    Undelete,
    /// One password in place, whatever the secret's kind; or its kind again.
    InPlace(bool),
    /// Settings by tag.
    Tag,
}

/// A world and what happens in it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) ops: Vec<Op>,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Single),
        Just(Kind::SingleByAdmin),
        Just(Kind::Dual),
        Just(Kind::DualByAdmin),
        Just(Kind::Pair),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Go), 2 => Just(Fate::Lose), 2 => Just(Fate::Late)]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![3 => Just(Then::Finish), 3 => Just(Then::Crash), 1 => Just(Then::PowerLoss), 3 => Just(Then::Stall)]
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        3 => Just(Span::NextDue),
        1 => Just(Span::Second),
        1 => Just(Span::Idle),
        3 => Just(Span::Lease),
        2 => Just(Span::Grace),
        1 => Just(Span::Hours),
        1 => Just(Span::Day),
    ]
}

fn leap() -> impl Strategy<Value = Leap> {
    prop_oneof![Just(Leap::AnHourBack), Just(Leap::ADayOn), Just(Leap::AYearOn)]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        2 => Just(Trouble::Down),
        3 => Just(Trouble::Up),
        2 => Just(Trouble::Restart),
        1 => Just(Trouble::BackUp),
        1 => Just(Trouble::Restore),
        2 => (1u8..5).prop_map(Trouble::Reject),
    ]
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![Just(Text::Edited), Just(Text::Bogus), Just(Text::OfPending), Just(Text::OfTarget)]
}

fn label() -> impl Strategy<Value = Move> {
    prop_oneof![Just(Move::RemovePending), Just(Move::CurrentToPending), Just(Move::CurrentToPrevious)]
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        10 => Just(Wish::Rotate),
        1 => Just(Wish::SameToken),
        3 => Just(Wish::Rollback),
        2 => Just(Wish::Reconcile),
        2 => Just(Wish::EndGrace),
        1 => Just(Wish::Cancel),
        1 => Just(Wish::Enable),
        1 => Just(Wish::Pause),
        3 => Just(Wish::Resume),
        3 => Just(Wish::Abandon),
        1 => Just(Wish::Delete),
        2 => Just(Wish::Undelete),
        1 => any::<bool>().prop_map(Wish::InPlace),
        1 => Just(Wish::Tag),
    ]
}

fn drive() -> impl Strategy<Value = Op> {
    (0u8..3, 0u8..8, 0u8..48, fate(), 0u8..5, then()).prop_map(|(node, pick, calls, fate, times, then)| Op::Drive {
        node,
        pick,
        calls,
        fate,
        times,
        then,
    })
}

fn op(secrets: u8) -> impl Strategy<Value = Op> {
    let node = || 0u8..3;
    let secret = move || 0..secrets;
    prop_oneof![
        1 => node().prop_map(Op::Wake),
        14 => drive(),
        4 => node().prop_map(Op::Run),
        6 => span().prop_map(Op::Pass),
        2 => Just(Op::Land),
        1 => any::<bool>().prop_map(|reboot| Op::Restart { reboot }),
        1 => leap().prop_map(Op::Jump),
        2 => (0u8..2, trouble()).prop_map(|(host, trouble)| Op::Server(host, trouble)),
        2 => (secret(), text()).prop_map(|(secret, text)| Op::Write(secret, text)),
        2 => (secret(), label()).prop_map(|(secret, label)| Op::Label(secret, label)),
        9 => (secret(), wish()).prop_map(|(secret, wish)| Op::Ask(secret, wish)),
        1 => secret().prop_map(Op::Rival),
    ]
}

/// Small worlds, as many ops as find something.
pub(crate) fn small() -> impl Strategy<Value = Case> {
    vec(kind(), 1..4).prop_flat_map(|kinds| {
        // The admins of the two servers are secrets as well.
        let secrets = u8::try_from(kinds.len()).unwrap() + 2;
        vec(op(secrets), 10..50).prop_map(move |ops| Case { kinds: kinds.clone(), ops })
    })
}

/// So many secrets of every kind, and so many ops.
pub(crate) fn large(secrets: usize, ops: usize) -> impl Strategy<Value = Case> {
    let of_ops = || vec(op(u8::MAX), ops..=ops);
    (vec(kind(), secrets..=secrets), of_ops()).prop_map(|(kinds, ops)| Case { kinds, ops })
}
