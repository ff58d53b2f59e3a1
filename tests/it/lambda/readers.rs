//! Readers of AWSCURRENT while a function rotates a pair of users: nobody is refused, not with the value just read and not
//! with the one read before.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::json;

use super::host::{Rotated, credential, python};
use crate::harness::account::{Account, logs_in};
use crate::harness::pawl::{Home, Pawl};
use crate::harness::servers;

const ROTATIONS: usize = 6;
const READERS: usize = 3;

/// Reads and logs in until it is told to stop. Counts the logins that were refused, and all.
fn read(pawl: &Pawl, rotated: &Rotated, stop: &AtomicBool, refused: &AtomicU32, all: &AtomicU32) {
    let mut before = None;
    while !stop.load(Ordering::SeqCst) {
        let answer = pawl.aws("GetSecretValue", &json!({ "SecretId": rotated.name })).expect("an answer");
        let read = credential(&answer);
        for (user, password) in before.iter().chain([&read]) {
            all.fetch_add(1, Ordering::SeqCst);
            if !logs_in(rotated.account.server, user, password) {
                refused.fetch_add(1, Ordering::SeqCst);
            }
        }
        before = Some(read);
    }
}

#[test]
fn readers_of_a_pair_are_never_refused_over_many_rotations() {
    let (Some(python), Some(server)) = (python(), servers::postgres()) else { return };
    let home = Home::new();
    let pawl = home.serve();
    let rotated = Rotated::pair(&python, &home, &pawl, Account::create(server));
    let (stop, refused, all) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| read(&pawl, &rotated, &stop, &refused, &all));
        }
        for _ in 0..ROTATIONS {
            rotated.rotates(&pawl);
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(refused.load(Ordering::SeqCst), 0, "of {} logins", all.load(Ordering::SeqCst));
    assert!(all.load(Ordering::SeqCst) > 100, "they did log in");
}
