//! A proxy between Pawl and a receiver that spoils one delivery of one step and passes everything else on.
//!
//! What becomes of the event and what Pawl gets for an answer are chosen apart. Never here: what ought to follow from it.

#![expect(clippy::disallowed_methods, reason = "a proxy is a process of its own")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// How long a gateway that has given up goes on delivering; less than the timeouts of the tests.
const LATE: Duration = Duration::from_secs(1);
/// What an endless body would come to, if somebody read it.
const ENDLESS: usize = 1 << 30;

/// What becomes of the event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Passed {
    Never,
    Once,
    Twice,
    /// When Pawl has its answer already.
    Late,
    /// With another body than the one that was signed.
    Changed,
}

/// What Pawl gets for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// The receiver's own.
    Own,
    /// None: the connection is closed.
    Lost,
    /// None: the connection is reset.
    Reset,
    /// One of the proxy's: status line, further headers, body.
    Made(&'static str, &'static str, &'static str),
    /// The receiver's own, a byte at a time, slower than anybody waits.
    Drip,
    /// A gigabyte.
    Flood,
}

/// A running proxy; it goes with the test's process.
pub(crate) struct Proxy {
    pub(crate) url: String,
    spoilt: Arc<AtomicBool>,
}

impl Proxy {
    /// Before the receiver at `target` (`http://ADDRESS`). The first delivery of `step` is spoilt.
    pub(crate) fn before(target: &str, step: &'static str, passed: Passed, reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let spoilt = Arc::<AtomicBool>::default();
        let way = Way { target: target.trim_start_matches("http://").to_owned(), step, passed, reply };
        let (way, done) = (Arc::new(way), Arc::clone(&spoilt));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (way, done) = (Arc::clone(&way), Arc::clone(&done));
                // Either side may go away in the middle.
                thread::spawn(move || way.serve(connection, &done));
            }
        });
        Self { url, spoilt }
    }

    /// Whether the delivery that was to be spoilt has come.
    pub(crate) fn has_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::SeqCst)
    }
}

struct Way {
    target: String,
    step: &'static str,
    passed: Passed,
    reply: Reply,
}

impl Way {
    /// One connection: requests until it ends.
    fn serve(&self, mut client: TcpStream, spoilt: &AtomicBool) -> Option<()> {
        loop {
            let request = Message::read_but_for_the_last_byte(&mut client)?;
            let spoil = request.step() == self.step && !spoilt.swap(true, Ordering::SeqCst);
            // A connection that ends with something unread in it is reset, not closed.
            if !(spoil && matches!(self.reply, Reply::Reset)) {
                client.read_exact(&mut [0]).ok()?;
            }
            if spoil {
                self.spoil(&mut client, &request)?;
            } else {
                client.write_all(&exchange(&self.target, &request)?).ok()?;
            }
        }
    }

    /// None: the connection ends.
    fn spoil(&self, client: &mut TcpStream, request: &Message) -> Option<()> {
        let own = match self.passed {
            Passed::Never => None,
            Passed::Once => exchange(&self.target, request),
            Passed::Changed => exchange(&self.target, &request.changed()),
            Passed::Twice => exchange(&self.target, request).and_then(|_| exchange(&self.target, request)),
            Passed::Late => {
                let (target, request) = (self.target.clone(), request.clone());
                thread::spawn(move || {
                    thread::sleep(LATE);
                    exchange(&target, &request)
                });
                None
            }
        };
        match self.reply {
            Reply::Own => client.write_all(&own?).ok(),
            Reply::Lost | Reply::Reset => None,
            Reply::Made(status, headers, body) => {
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
                client.write_all(answer.as_bytes()).ok()
            }
            Reply::Drip => own?.iter().try_for_each(|byte| {
                thread::sleep(Duration::from_millis(100));
                client.write_all(&[*byte]).ok()
            }),
            Reply::Flood => {
                client.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {ENDLESS}\r\n\r\n").as_bytes()).ok()?;
                let spaces = [b' '; 8192];
                (0..ENDLESS / spaces.len()).try_for_each(|_| client.write_all(&spaces).ok())
            }
        }
    }
}

/// A request as it came.
#[derive(Clone)]
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    /// The last byte is looked at only.
    fn read_but_for_the_last_byte(stream: &mut TcpStream) -> Option<Self> {
        let (head, length) = read_head(stream)?;
        let mut body = vec![0; length];
        let (last, most) = body.split_last_mut()?;
        stream.read_exact(most).ok()?;
        let seen = stream.peek(std::slice::from_mut(last)).ok()?;
        (seen == 1).then_some(Self { head, body })
    }

    fn step(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["Step"].as_str().unwrap_or_default().to_owned()
    }

    /// What somebody who stands between would like: the same length, another secret.
    fn changed(&self) -> Self {
        let body = String::from_utf8_lossy(&self.body).replace("secret:", "sekret:");
        Self { body: body.into_bytes(), ..self.clone() }
    }
}

/// Delivers a request, and returns the whole answer.
fn exchange(target: &str, request: &Message) -> Option<Vec<u8>> {
    let mut receiver = TcpStream::connect(target).ok()?;
    receiver.write_all(&[&request.head[..], &request.body].concat()).ok()?;
    let (head, length) = read_head(&mut receiver)?;
    let mut body = vec![0; length];
    receiver.read_exact(&mut body).ok()?;
    Some([head, body].concat())
}

/// A head with its empty line, and the length of what follows. Nothing after it is read.
fn read_head(stream: &mut TcpStream) -> Option<(Vec<u8>, usize)> {
    let (mut head, mut byte) = (vec![], [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    Some((head, length.trim().parse().ok()?))
}
