//! Whether a server asks who is there: the point from which a login is answered.
//!
//! Speaks only the first words of each protocol, so that no driver and no client program is needed.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::Engine;

const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server on this loopback port is past its start-up and asks for a login.
pub(super) fn asks_for_login(engine: Engine, port: u16, user: &str) -> bool {
    let talk = || -> io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        match engine {
            Engine::Postgres | Engine::Pgbouncer => postgres(&mut stream, user),
            Engine::Mariadb | Engine::Mysql => mysql(&mut stream),
            Engine::Redis => redis(&mut stream),
        }
    };
    talk().unwrap_or(false)
}

/// PostgreSQL answers a start-up message with `R` (an authentication request) once it is ready, and
/// with `E` (an error, "the database system is starting up") before.
fn postgres(stream: &mut TcpStream, user: &str) -> io::Result<bool> {
    const PROTOCOL_3_0: u32 = 3 << 16;
    let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
    for text in ["user", user, "database", "app", ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&body)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    Ok(kind == *b"R")
}

/// MySQL and MariaDB speak first: a packet header of four bytes, then the handshake's version, 10
/// (or 255, an error).
fn mysql(stream: &mut TcpStream) -> io::Result<bool> {
    let mut start = [0; 5];
    stream.read_exact(&mut start)?;
    Ok(start[4] == 10)
}

/// Redis answers a stranger with `-NOAUTH` once it is ready, and with `-LOADING` before.
fn redis(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(b"PING\r\n")?;
    let mut start = [0; 7];
    stream.read_exact(&mut start)?;
    Ok(start == *b"-NOAUTH")
}
