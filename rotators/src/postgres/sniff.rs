//! Owns what a PostgreSQL login gives away and the driver does not say. What did the server ask of us? One that asked
//! for nothing (trust, peer, ident) lets any password in, so a login there proves nothing; one that asked for md5 tells
//! that the account's stored hash is md5. And who answered? A pooler has its own answers, of its own connections.
//!
//! The messages of a login are looked at as they pass; nothing is changed or kept back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// What a server asked for before it let us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Not known: no answer yet, or an error came first.
    Unknown,
    /// Nothing: a password proves nothing there.
    Nothing,
    /// The password itself.
    Clear,
    /// An md5 response: the account's stored hash is md5.
    Md5,
    /// SASL, which is SCRAM.
    Scram,
    /// Something else (Kerberos, SSPI).
    Other,
}

/// Where the answers are left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    asked: Option<u32>,
    password_taken: bool,
    salt: Option<String>,
    backend: Option<i32>,
}

impl Question {
    pub(crate) fn answer(&self) -> Asked {
        match self.told().asked {
            None => Asked::Unknown,
            Some(0) => Asked::Nothing,
            Some(3) => Asked::Clear,
            Some(5) => Asked::Md5,
            Some(10) => Asked::Scram,
            Some(_) => Asked::Other,
        }
    }

    /// Our proof by SCRAM was found right, whatever became of the login after that.
    pub(crate) fn password_taken(&self) -> bool {
        self.told().password_taken
    }

    /// The salt of the stored verifier. PostgreSQL's is the same until the password changes.
    pub(crate) fn salt(&self) -> Option<String> {
        self.told().salt.clone()
    }

    /// The process that serves us, by the word of whoever we are connected to.
    pub(crate) fn backend(&self) -> Option<i32> {
        self.told().backend
    }

    fn hear(&self, message: &[u8]) {
        let mut told = self.told();
        match *message {
            [b'R', _, _, _, _, a, b, c, d, ref rest @ ..] => {
                let code = u32::from_be_bytes([a, b, c, d]);
                told.asked.get_or_insert(code);
                match code {
                    11 => told.salt = salt_in(rest),
                    12 => told.password_taken = true,
                    _ => {}
                }
            }
            [b'K', _, _, _, _, a, b, c, d, ..] => told.backend = Some(i32::from_be_bytes([a, b, c, d])),
            _ => {}
        }
    }

    // What it holds is whole at any time.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `r=…,s=SALT,i=4096`
fn salt_in(text: &[u8]) -> Option<String> {
    std::str::from_utf8(text).ok()?.split(',').find_map(|part| part.strip_prefix("s=")).map(str::to_owned)
}

/// A stream whose messages from the server are looked at until the login is over.
pub(crate) struct Sniffed<S> {
    inner: S,
    /// The beginning of the message that is under way.
    message: Vec<u8>,
    /// How much of its end is still to come and is not looked at.
    skip: usize,
    over: bool,
    /// A server that asks for the clear password is not answered.
    never_clear: bool,
    question: Question,
}

/// Tag and length of a message.
const HEAD: usize = 5;
/// Messages of a login that matter are shorter than this.
const LONGEST: usize = 1024;

impl<S> Sniffed<S> {
    pub(crate) fn new(inner: S, question: Question, never_clear: bool) -> Self {
        Self { inner, message: vec![], skip: 0, over: false, never_clear, question }
    }

    fn look(&mut self, mut bytes: &[u8]) {
        while !self.over && !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = self.wanted();
            let taken = (wanted - self.message.len()).min(bytes.len());
            self.message.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            // The first bytes may have said how long the message is.
            if self.message.len() < HEAD || self.message.len() < self.wanted() {
                continue;
            }
            self.skip = self.length().saturating_sub(self.message.len());
            self.question.hear(&self.message);
            // ReadyForQuery, or something that is no answer to a login.
            self.over = !matches!(self.message[0], b'R' | b'K' | b'S' | b'N' | b'E');
            self.message.clear();
        }
    }

    /// How much of the message is to be looked at.
    fn wanted(&self) -> usize {
        if self.message.len() < HEAD { HEAD } else { self.length().clamp(HEAD, LONGEST) }
    }

    /// The whole length, with its tag.
    fn length(&self) -> usize {
        match self.message[..] {
            [_, a, b, c, d, ..] => usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(0) + 1,
            _ => 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sniffed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.look(&buf.filled()[before..]);
        // The driver would answer as soon as it has read this.
        if self.never_clear && !self.over && self.question.answer() == Asked::Clear {
            buf.set_filled(before);
            return Poll::Ready(Err(io::Error::other("asked for the clear password")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sniffed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Sniffed<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// A TLS connector whose stream is sniffed inside the encryption.
pub(crate) struct SniffTls<C> {
    pub connector: C,
    pub question: Question,
    pub never_clear: bool,
}

impl<S, C> TlsConnect<S> for SniffTls<C>
where
    C: TlsConnect<S>,
    C::Future: Send + 'static,
    C::Stream: 'static,
{
    type Stream = Sniffed<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, C::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.connector.connect(stream);
        let Self { question, never_clear, .. } = self;
        Box::pin(async move { Ok(Sniffed::new(connecting.await?, question, never_clear)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn heard(bytes: &[u8], chunk: usize) -> Question {
        let question = Question::default();
        let mut stream = Sniffed::new(bytes, question.clone(), false);
        let mut read = vec![];
        let mut piece = vec![0; chunk];
        while let Ok(n @ 1..) = stream.read(&mut piece).await {
            read.extend_from_slice(&piece[..n]);
        }
        assert_eq!(read, bytes, "nothing is changed on the way");
        question
    }

    async fn seen(bytes: &[u8], chunk: usize) -> Asked {
        heard(bytes, chunk).await.answer()
    }

    #[tokio::test]
    async fn a_whole_login_is_followed_however_it_is_cut() {
        let message = |tag: u8, body: &[u8]| {
            let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
            [&[tag][..], &length, body].concat()
        };
        let begun =
            [message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"), message(b'R', b"\0\0\0\x0br=ab,s=c2Fs,i=4096")].concat();
        let done = [
            message(b'R', b"\0\0\0\x0cv=x"),
            message(b'R', b"\0\0\0\0"),
            message(b'S', &[b'x'; 3000]),
            message(b'K', b"\0\0\x01\x02\0\0\0\x07"),
            message(b'Z', b"I"),
            message(b'K', b"\0\0\0\0\0\0\0\0"),
        ]
        .concat();
        for (chunk, rest) in [(1, true), (7, true), (64, true), (3, false)] {
            let end = if rest { done.clone() } else { message(b'E', b"SFATAL\0") };
            let login = [begun.clone(), end].concat();
            let heard = heard(&login, chunk).await;
            assert_eq!((heard.answer(), heard.salt().as_deref()), (Asked::Scram, Some("c2Fs")), "{chunk}");
            assert_eq!((heard.password_taken(), heard.backend()), (rest, rest.then_some(258)), "{chunk}");
        }
    }

    #[tokio::test]
    async fn a_request_for_the_clear_password_never_reaches_a_driver_that_must_not_answer_it() {
        for bytes in [&b"R\0\0\0\x08\0\0\0\x03"[..], b"N\0\0\0\x04R\0\0\0\x08\0\0\0\x03"] {
            let mut stream = Sniffed::new(bytes, Question::default(), true);
            let error = stream.read_to_end(&mut vec![]).await.expect_err("kept back");
            assert_eq!(error.kind(), io::ErrorKind::Other);
        }
        let mut stream = Sniffed::new(&b"R\0\0\0\x0c\0\0\0\x05salt"[..], Question::default(), true);
        assert_eq!(stream.read_to_end(&mut vec![]).await.expect("passed on"), 13);
    }

    #[tokio::test]
    async fn the_first_message_says_what_was_asked_however_it_is_cut() {
        for chunk in [1, 4, 9, 64] {
            assert_eq!(seen(b"R\0\0\0\x08\0\0\0\0S...", chunk).await, Asked::Nothing);
            assert_eq!(seen(b"R\0\0\0\x0c\0\0\0\x05salt", chunk).await, Asked::Md5);
            assert_eq!(seen(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", chunk).await, Asked::Scram);
            assert_eq!(seen(b"E\0\0\0\x08\0\0\0\0", chunk).await, Asked::Unknown);
            assert_eq!(seen(b"R\0", chunk).await, Asked::Unknown);
        }
    }
}
