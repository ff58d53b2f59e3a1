//! As much of Redis's protocol (RESP2) as the rotator needs: one connection a step, words out, a reply in.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One answer of Redis. Longer than any healthy Redis needs, shorter than Pawl's own 10 seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// The Redis that this rotator serves, and its administrator there.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) admin: String,
    pub(crate) password: String,
}

impl Server {
    /// Of an address as `127.0.0.1:6379` and the administrator's login.
    pub(crate) fn new(address: &str, admin: String, password: String) -> Result<Self, &'static str> {
        let wrong = "REDIS_ADDRESS is not HOST:PORT";
        let (host, port) = address.rsplit_once(':').ok_or(wrong)?;
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong)?, admin, password })
    }
}

/// Why a command has no reply to work with.
pub(crate) enum Failure {
    /// Redis answered with an error; its first word says which.
    Answer(String),
    /// No whole answer: whether the command was carried out is not known.
    Io(Error),
}

/// A reply that is no error.
pub(crate) enum Reply {
    /// A word, a number or nothing.
    Text(String),
    /// A list.
    List(Vec<Self>),
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::List(_) => "",
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::Text(_) => &[],
            Self::List(items) => items,
        }
    }
}

/// A connection, for one step.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Result<Self, Error> {
        let stream = timeout(PATIENCE, TcpStream::connect((server.host.as_str(), server.port))).await??;
        // Closing takes back what was not sent yet. What Redis has received while it stood still it carries out when it
        // goes on, but before it answers a later connection: no later step can be undone by it.
        stream.set_zero_linger()?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its reply.
    pub(crate) async fn call(&mut self, words: &[&str]) -> Result<Reply, Failure> {
        self.call_within(PATIENCE, words).await
    }

    /// The same with no more time than this, and none of it begun where there is none.
    pub(crate) async fn call_within(&mut self, limit: Duration, words: &[&str]) -> Result<Reply, Failure> {
        if limit.is_zero() {
            return Err(Failure::Io(ErrorKind::TimedOut.into()));
        }
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let talk = async {
            self.stream.write_all(command.as_bytes()).await?;
            self.read().await
        };
        match timeout(limit.min(PATIENCE), talk).await {
            Ok(Ok(reply)) => reply.map_err(Failure::Answer),
            Ok(Err(error)) => Err(Failure::Io(error)),
            Err(elapsed) => Err(Failure::Io(elapsed.into())),
        }
    }

    /// A reply, or the error that Redis answered with.
    async fn read(&mut self) -> Result<Result<Reply, String>, Error> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let line = line.strip_suffix("\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let (kind, rest) = line.split_at_checked(1).ok_or(ErrorKind::InvalidData)?;
        let length = || rest.parse::<usize>().map_err(|_| Error::from(ErrorKind::InvalidData));
        Ok(Ok(match kind {
            "-" => return Ok(Err(rest.to_owned())),
            "*" | "$" if rest == "-1" => Reply::List(vec![]),
            "*" => {
                let mut items = vec![];
                for _ in 0..length()? {
                    match Box::pin(self.read()).await? {
                        Ok(item) => items.push(item),
                        Err(text) => return Ok(Err(text)),
                    }
                }
                Reply::List(items)
            }
            "$" => {
                let mut bytes = vec![0; length()? + 2];
                self.stream.read_exact(&mut bytes).await?;
                bytes.truncate(bytes.len() - 2);
                Reply::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => Reply::Text(rest.to_owned()),
        }))
    }
}
