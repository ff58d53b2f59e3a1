//! A Redis that stands still at the wrong moment: a relay before a real one. Never here: what is asked or answered.

#![expect(clippy::disallowed_methods, reason = "a relay for one test, whose threads end with the process")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use pawl::servers::Server;

/// Passes on what it is sent, but is slow before the change and never passes the change itself on.
pub(crate) struct Relay {
    /// Where the rotator is to look for its Redis.
    pub(crate) address: String,
    changes: Receiver<Duration>,
}

impl Relay {
    /// Before this Redis; the question that precedes the change takes so long.
    pub(crate) fn before(server: &'static Server, slow: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (seen, changes) = channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || pass_on(client, server, slow, &seen));
            }
        });
        Self { address, changes }
    }

    /// For how long the rotator waited for the answer to its change, before it closed the connection; None where it
    /// asked for no change.
    pub(crate) fn waited_for_change(&self) -> Option<Duration> {
        self.changes.try_recv().ok()
    }
}

fn pass_on(mut client: TcpStream, server: &Server, slow: Duration, seen: &Sender<Duration>) {
    let Ok(mut redis) = TcpStream::connect((server.host.as_str(), server.port)) else { return };
    let (mut from, mut to) = (redis.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let asks = |word: &str| buffer[..length].windows(word.len()).any(|part| part == word.as_bytes());
        if asks("SETUSER") {
            let begun = Instant::now();
            // An end or a reset, and not a further command.
            let ended =
                client.read(&mut [0]).map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |n| n == 0);
            assert!(ended, "nothing else is sent before the answer");
            seen.send(begun.elapsed()).unwrap_or_default();
            return;
        }
        if asks("CONFIG") {
            thread::sleep(slow);
        }
        if redis.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
