//! A receiver by hand: reads one request after the other, remembers them, and does to each connection what it is told.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) raw: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.raw).expect("the body is JSON")
    }
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Answered: the status line's rest, further headers (each with its end of line), the body.
    Answer(&'static str, &'static str, String),
    /// Answered with the request's own body as the message of a structured error of this kind.
    Echo(&'static str),
    /// These bytes and no others.
    Raw(&'static str),
    /// The connection is closed before anything is read.
    CloseUnread,
    /// It is read, and the connection is closed.
    Close,
    /// Half of it is read, and the connection is closed: what was not read makes that a reset.
    Reset,
    /// A byte of the answer at a time, for ever.
    Drip,
    /// A body that never ends; with its length, or in chunks.
    Flood { announced: bool },
    /// The connection stays open, and nothing comes.
    Silence,
}

impl Deed {
    pub(crate) fn ok(body: &str) -> Self {
        Self::Answer("200 OK", "", body.to_owned())
    }

    pub(crate) fn done() -> Self {
        Self::ok(r#"{"Status":"Done"}"#)
    }
}

/// A receiver on this machine. It ends with the process.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Received>>>,
    written: Arc<Mutex<usize>>,
    accepted: Arc<Mutex<usize>>,
}

impl Receiver {
    /// One that does the same to every request.
    pub(crate) fn always(deed: Deed) -> Self {
        Self::start(move |_, _| deed.clone())
    }

    /// One that decides by the number of the request, from 0, and by the request.
    pub(crate) fn start(decide: impl Fn(usize, &Received) -> Deed + Send + Sync + 'static) -> Self {
        Self::on(Ipv4Addr::LOCALHOST, 0, decide)
    }

    #[expect(clippy::disallowed_methods, reason = "a receiver for one test, which ends with the process")]
    pub(crate) fn on(
        ip: Ipv4Addr,
        port: u16,
        decide: impl Fn(usize, &Received) -> Deed + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((IpAddr::V4(ip), port)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Self { port, requests: Arc::default(), written: Arc::default(), accepted: Arc::default() };
        let (shared, decide) = (receiver.clone(), Arc::new(decide));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, decide) = (shared.clone(), Arc::clone(&decide));
                *shared.accepted.lock().expect("no panic in the lock") += 1;
                std::thread::spawn(move || shared.serve(stream, decide.as_ref()));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.requests.lock().expect("no panic in the lock").clone()
    }

    /// Connections that were taken.
    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.lock().expect("no panic in the lock")
    }

    /// Bytes of answers that were written.
    pub(crate) fn written(&self) -> usize {
        *self.written.lock().expect("no panic in the lock")
    }

    fn serve(&self, mut stream: TcpStream, decide: &dyn Fn(usize, &Received) -> Deed) {
        let nothing = Received { line: String::new(), headers: vec![], raw: vec![] };
        match decide(self.requests().len(), &nothing) {
            Deed::CloseUnread => return,
            Deed::Reset => {
                // A few bytes are taken, so that the rest is there, and unread.
                let _ = stream.read(&mut [0; 16]);
                return;
            }
            _ => {}
        }
        while let Some(received) = read_request(&mut stream) {
            let number = {
                let mut requests = self.requests.lock().expect("no panic in the lock");
                requests.push(received.clone());
                requests.len() - 1
            };
            if !self.perform(decide(number, &received), &received, &mut stream) {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// False: the connection is to be closed.
    fn perform(&self, deed: Deed, received: &Received, stream: &mut TcpStream) -> bool {
        match deed {
            Deed::Answer(status, headers, body) => self.write(stream, &answer(status, headers, &body)),
            Deed::Echo(kind) => {
                let body = String::from_utf8_lossy(&received.raw);
                let echo = serde_json::json!({ "Status": "Error", "Error": {
                    "Kind": kind, "Code": "ECHO", "Message": format!("{body} {}", received.header("webhook-signature")) } });
                self.write(stream, &answer("500 Oops", "", &echo.to_string()))
            }
            Deed::Raw(bytes) => {
                self.write(stream, bytes.as_bytes());
                false
            }
            Deed::Close | Deed::CloseUnread | Deed::Reset => false,
            Deed::Drip => {
                let all = answer("200 OK", "", r#"{"Status":"Done"}"#);
                all.iter().all(|byte| {
                    std::thread::sleep(Duration::from_millis(100));
                    self.write(stream, &[*byte])
                })
            }
            Deed::Flood { announced } => {
                let head = if announced { "Content-Length: 1073741824" } else { "Transfer-Encoding: chunked" };
                let mut going = self.write(stream, format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
                let chunk = if announced { vec![b' '; 8192] } else { chunk_of(8192) };
                for _ in 0..131_072 {
                    going = going && self.write(stream, &chunk);
                }
                going
            }
            Deed::Silence => {
                let _ = stream.read(&mut [0; 16]);
                false
            }
        }
    }

    fn write(&self, stream: &mut TcpStream, bytes: &[u8]) -> bool {
        let written = stream.write_all(bytes).is_ok();
        *self.written.lock().expect("no panic in the lock") += if written { bytes.len() } else { 0 };
        written
    }
}

fn chunk_of(length: usize) -> Vec<u8> {
    [format!("{length:x}\r\n").into_bytes(), vec![b' '; length], b"\r\n".to_vec()].concat()
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = vec![];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(stream, &mut bytes)?;
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<_> =
        lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut received = Received { line, headers, raw: vec![] };
    let length: usize = received.header("content-length").parse().ok()?;
    while bytes.len() < head + 4 + length {
        more(stream, &mut bytes)?;
    }
    received.raw = bytes[head + 4..head + 4 + length].to_vec();
    Some(received)
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(n @ 1..) => {
            bytes.extend_from_slice(&buffer[..n]);
            Some(())
        }
        _ => None,
    }
}
