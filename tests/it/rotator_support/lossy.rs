//! A proxy that loses the changing statement, or the reply to it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use pawl::servers::Server;

/// What happens to the changing statement on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// It arrives, and the reply never comes.
    Reply,
    /// It arrives, and the connection is cut at once.
    Connection,
    /// It does not arrive: the connection is cut before.
    Statement,
}

/// A way to the server on which the changing statement, or the reply to it, is lost. Returns its port.
#[expect(clippy::disallowed_methods, reason = "a proxy for one test, which ends with the process")]
pub(super) fn lossy_way_to(server: &'static Server, loss: Loss) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let target = TcpStream::connect((server.host.as_str(), server.port)).expect("the server");
            std::thread::spawn(move || pass_on(&client, &target, loss));
        }
    });
    port
}

fn pass_on(client: &TcpStream, server: &TcpStream, loss: Loss) {
    let lost = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            copy_until_end(server, client, |_| !lost.load(Ordering::SeqCst));
            // A lost reply leaves the client waiting; every other end is passed on.
            if !(lost.load(Ordering::SeqCst) && matches!(loss, Loss::Reply)) {
                drop(client.shutdown(Shutdown::Both));
            }
        });
        copy_until_end(client, server, |bytes| {
            let changes = ["ALTER ROLE", "ALTER USER", "CREATE USER `", "SET PASSWORD"];
            if !changes.iter().any(|words| bytes.windows(words.len()).any(|window| window == words.as_bytes())) {
                return true;
            }
            lost.store(true, Ordering::SeqCst);
            if matches!(loss, Loss::Connection) {
                let mut server = server;
                server.write_all(bytes).expect("it arrives");
            }
            matches!(loss, Loss::Reply)
        });
        if !matches!(loss, Loss::Reply) {
            drop(client.shutdown(Shutdown::Both));
        }
        drop(server.shutdown(Shutdown::Write));
    });
}

/// Copies as long as `passes` says so; what it refuses is thrown away, and ends the copying one way.
fn copy_until_end(mut from: &TcpStream, mut to: &TcpStream, mut passes: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..n]) || to.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}
