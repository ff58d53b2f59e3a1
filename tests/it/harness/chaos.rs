//! A way to a server (a target, or the store) on which a test loses, cuts, delays and refuses what it wants, and which
//! counts the passwords that a target has accepted.
//!
//! It copies bytes and reads them no deeper than a pattern. Never here: what ought to follow from a fault.

#![expect(clippy::disallowed_methods, reason = "a proxy is a process of its own, which ends with the tests'")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// How often what is held up looks whether it may go on.
const LOOK: Duration = Duration::from_millis(20);

/// What changes a target, as its statements begin.
pub(crate) const CHANGES: [&str; 5] = ["ALTER ROLE", "CREATE ROLE", "ALTER USER", "CREATE USER `", "SET PASSWORD"];

/// What becomes of the request that is waited for, and of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It does not arrive, and the client hears nothing any more.
    Request,
    /// It arrives, and the client hears nothing any more.
    Reply,
    /// It does not arrive: the connection is cut.
    CutBefore,
    /// It arrives, and the connection is cut when so many bytes of the reply have come through.
    CutReplyAt(usize),
    /// It arrives this late.
    Delay(Duration),
}

/// Which request it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// The first that has one of these words in it, on any connection.
    Saying(&'static [&'static str]),
    /// Whatever the client says first on the N-th new connection from now on (the first is 1): a login.
    Login(usize),
}

/// What is waited for.
#[derive(Clone, Copy)]
struct Trap {
    which: Which,
    loss: Loss,
    /// It goes on waiting when it has lost one.
    every: bool,
}

/// How the way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// Connections are closed, those that are there and those that come.
    Refusing,
    /// Everything is accepted and nothing passes.
    Black,
}

/// A running proxy. It serves until the tests end.
pub(crate) struct Link {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<(String, u16)>,
    mode: Mutex<Mode>,
    armed: Mutex<Option<Trap>>,
    lost: AtomicU32,
    changes: AtomicU32,
    /// Counts connections down to the one that [`Which::Login`] means.
    logins: AtomicUsize,
    live: Mutex<Vec<Weak<Pair>>>,
}

/// One connection: both ends, and what is to become of the replies.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// The N-th login that was waited for is this one's first request.
    awaited: AtomicBool,
    /// A statement that changes a password is on its way.
    changing: AtomicBool,
    /// The client hears nothing any more.
    mute: AtomicBool,
    /// Cut when so many bytes of replies have come through; `usize::MAX` is never.
    cut_at: AtomicUsize,
}

impl Link {
    /// To this server.
    pub(crate) fn to(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            target: Mutex::new((host.to_owned(), port)),
            mode: Mutex::new(Mode::Open),
            armed: Mutex::default(),
            lost: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            logins: AtomicUsize::new(0),
            live: Mutex::default(),
        });
        let way = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let way = Arc::clone(&way);
                // Either side may go away in the middle.
                thread::spawn(move || way.serve(client));
            }
        });
        Self { port: own, shared }
    }

    /// Connections lead to this server from now on; those that are there are closed.
    pub(crate) fn lead_to(&self, host: &str, port: u16) {
        self.refuse();
        *lock(&self.shared.target) = (host.to_owned(), port);
        self.open();
    }

    /// The next request of this kind is lost this way; the one after it is not.
    pub(crate) fn lose(&self, which: Which, loss: Loss) {
        if let Which::Login(number) = which {
            self.shared.logins.store(number, Ordering::SeqCst);
        }
        *lock(&self.shared.armed) = Some(Trap { which, loss, every: false });
    }

    /// Every request that has one of these words in it is lost this way.
    pub(crate) fn lose_every(&self, words: &'static [&'static str], loss: Loss) {
        *lock(&self.shared.armed) = Some(Trap { which: Which::Saying(words), loss, every: true });
    }

    /// How many requests were lost.
    pub(crate) fn lost(&self) -> u32 {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// How many statements that set a password the server has accepted.
    pub(crate) fn changes(&self) -> u32 {
        self.shared.changes.load(Ordering::SeqCst)
    }

    /// From now on every connection is closed.
    pub(crate) fn refuse(&self) {
        self.shared.set(Mode::Refusing);
        for pair in lock(&self.shared.live).drain(..).filter_map(|pair| pair.upgrade()) {
            pair.cut();
        }
    }

    /// From now on nothing passes, and nobody is told.
    pub(crate) fn swallow(&self) {
        self.shared.set(Mode::Black);
    }

    /// All passes again.
    pub(crate) fn open(&self) {
        self.shared.set(Mode::Open);
    }
}

impl Shared {
    fn set(&self, mode: Mode) {
        *lock(&self.mode) = mode;
    }

    fn mode(&self) -> Mode {
        *lock(&self.mode)
    }

    fn serve(self: Arc<Self>, client: TcpStream) {
        if self.mode() == Mode::Refusing {
            return;
        }
        let (host, port) = lock(&self.target).clone();
        let Ok(server) = TcpStream::connect((host.as_str(), port)) else { return };
        // A statement is one small packet: nothing is to wait for more of it.
        let _faster = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
        let one_nearer = |left: usize| left.checked_sub(1);
        let left = self.logins.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_nearer);
        let pair = Arc::new(Pair {
            client,
            server,
            awaited: AtomicBool::new(left == Ok(1)),
            changing: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            cut_at: AtomicUsize::new(usize::MAX),
        });
        let mut live = lock(&self.live);
        live.retain(|pair| pair.strong_count() > 0);
        live.push(Arc::downgrade(&pair));
        drop(live);
        thread::scope(|scope| {
            scope.spawn(|| self.replies(&pair));
            self.requests(&pair);
        });
    }

    fn requests(&self, pair: &Pair) {
        let mut buffer = [0; 16 * 1024];
        let mut deaf = false;
        while let Ok(n @ 1..) = (&pair.client).read(&mut buffer) {
            self.wait_while_black();
            let bytes = &buffer[..n];
            match self.loss_of(bytes, pair) {
                Some(Loss::Request) => {
                    deaf = true;
                    pair.mute.store(true, Ordering::SeqCst);
                    let _closed = pair.server.shutdown(Shutdown::Both);
                }
                Some(Loss::Reply) => pair.mute.store(true, Ordering::SeqCst),
                Some(Loss::CutBefore) => return pair.cut(),
                Some(Loss::CutReplyAt(bytes)) => pair.cut_at.store(bytes, Ordering::SeqCst),
                Some(Loss::Delay(late)) => thread::sleep(late),
                None => {}
            }
            if sets_a_password(bytes) {
                pair.changing.store(true, Ordering::SeqCst);
            }
            if !deaf && (&pair.server).write_all(bytes).is_err() {
                break;
            }
        }
        let _closed = pair.server.shutdown(Shutdown::Write);
    }

    fn replies(&self, pair: &Pair) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = (&pair.server).read(&mut buffer) {
            let bytes = &buffer[..n];
            if pair.changing.swap(false, Ordering::SeqCst) && is_accepted(bytes) {
                self.changes.fetch_add(1, Ordering::SeqCst);
            }
            self.wait_while_black();
            if pair.mute.load(Ordering::SeqCst) {
                continue;
            }
            let left = pair.cut_at.load(Ordering::SeqCst);
            let passed = n.min(left);
            if (&pair.client).write_all(&bytes[..passed]).is_err() {
                break;
            }
            if left <= n {
                return pair.cut();
            }
            if left != usize::MAX {
                pair.cut_at.store(left - n, Ordering::SeqCst);
            }
        }
        if !pair.mute.load(Ordering::SeqCst) {
            let _closed = pair.client.shutdown(Shutdown::Both);
        }
    }

    /// What is to become of this request, if it is the one that is waited for.
    fn loss_of(&self, bytes: &[u8], pair: &Pair) -> Option<Loss> {
        let awaited = pair.awaited.swap(false, Ordering::SeqCst);
        let mut armed = lock(&self.armed);
        let trap = (*armed)?;
        let meant = match trap.which {
            Which::Saying(words) => words.iter().any(|word| has(bytes, word)),
            Which::Login(_) => awaited,
        };
        if !meant {
            return None;
        }
        if !trap.every {
            *armed = None;
        }
        self.lost.fetch_add(1, Ordering::SeqCst);
        Some(trap.loss)
    }

    fn wait_while_black(&self) {
        while self.mode() == Mode::Black {
            thread::sleep(LOOK);
        }
    }
}

impl Pair {
    fn cut(&self) {
        let _closed = self.client.shutdown(Shutdown::Both);
        let _closed = self.server.shutdown(Shutdown::Both);
    }
}

/// Whether this is a statement that gives an account a password, of PostgreSQL, MySQL or MariaDB.
fn sets_a_password(bytes: &[u8]) -> bool {
    let for_an_account = has(bytes, "ALTER USER") || has(bytes, "CREATE USER") || has(bytes, "CREATE OR REPLACE USER");
    has(bytes, " PASSWORD '") || has(bytes, "SET PASSWORD = ") || for_an_account && has(bytes, " IDENTIFIED ")
}

/// Whether the server says that it did it: PostgreSQL by the tag of the commit, MySQL and MariaDB by an OK packet.
fn is_accepted(bytes: &[u8]) -> bool {
    has(bytes, "COMMIT\0") || bytes.get(3..5) == Some(&[1, 0])
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is whole at every moment, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
