//! Whoever may write a secret but not read it, and lists a host of their own in it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use engine::outcome::Verdict;
use serde_json::json;

use super::password;
use crate::harness::account::{Account, logs_in};
use crate::harness::{servers, unique};
use crate::rotator_support::{Case, fails};

/// A server that asks everybody for the clear password, and refuses them once it has heard it.
struct Evil {
    address: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Evil {
    #[expect(clippy::disallowed_methods, reason = "a server for one test, which ends with the process")]
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let heard = Arc::new(Mutex::new(vec![]));
        let hears = Arc::clone(&heard);
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| hear(stream, &hears)));
        Self { address, heard }
    }

    fn has_heard(&self, text: &str) -> bool {
        let heard = self.heard.lock().expect("no panic");
        heard.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn hear(mut stream: TcpStream, heard: &Mutex<Vec<u8>>) {
    const ASKS: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const REFUSES: &[u8] = b"E\0\0\0\x17SFATAL\0C28P01\0Mno\0\0";
    let mut bytes = [0; 4096];
    for answer in [ASKS, REFUSES] {
        match stream.read(&mut bytes) {
            Ok(n @ 1..) => heard.lock().expect("no panic").extend_from_slice(&bytes[..n]),
            _ => return,
        }
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

// F63, F123
#[test]
fn a_host_that_only_a_refused_awscurrent_lists_never_gets_a_password_that_awsprevious_would_set() {
    let Some(server) = servers::postgres() else { return };
    let evil = Evil::listen();
    let account = Account::create(server);
    let mut case = Case::of(&account, &json!({"hosts": [evil.address]}));
    case.current["password"] = json!(unique("Canary-guess-"));
    case.known = vec![("AWSPREVIOUS".to_owned(), account.secret(&json!({})))];
    for (attempted, code) in [(false, "auth-method"), (true, "28P01")] {
        case.attempted = attempted;
        let wanted = case.create();
        let set = case.set(&wanted);
        // What would follow a Set that worked.
        let _tested = case.test(&wanted);
        assert!(!evil.has_heard(&password(&wanted)), "the new password was told to a stranger");
        assert!(logs_in(server, &account.user, &account.password), "nothing was changed");
        fails(set, Verdict::NeedsPerson, code);
    }
    // Where every host is a server's, and refuses AWSCURRENT, nothing is begun either.
    case.current["hosts"] = json!([format!("localhost:{}", server.port)]);
    case.attempted = false;
    fails(case.set(&case.create()), Verdict::NeedsPerson, "current-refused");
    assert!(logs_in(server, &account.user, &account.password), "nothing was changed");
}

#[test]
fn no_host_of_several_is_told_the_clear_password() {
    let Some(server) = servers::postgres() else { return };
    let evil = Evil::listen();
    let account = Account::create(server);
    let mut case = Case::of(&account, &json!({"hosts": [evil.address]}));
    case.attempted = true;
    let wanted = case.create();
    fails(case.verify(), Verdict::NeedsPerson, "auth-method");
    case.set(&wanted).expect("at the primary");
    fails(case.test(&wanted), Verdict::NeedsPerson, "auth-method");
    for value in [&wanted, &case.current] {
        assert!(!evil.has_heard(&password(value)), "told to a stranger");
    }
}
