//! Owns one question about a PostgreSQL login: what did the server ask of us? The driver does not say, and it
//! matters twice. A server that asked for nothing (trust, peer, ident) lets any password in, so a login there proves
//! nothing; and a server that asked for md5 tells that the account's stored hash is md5.
//!
//! The first message of a server is looked at as it passes; nothing is changed or kept back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// Where the answer is left.
#[derive(Debug, Clone)]
pub(crate) struct Question(Arc<AtomicU32>);

const NOT_SEEN: u32 = u32::MAX;

impl Question {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU32::new(NOT_SEEN)))
    }

    pub(crate) fn answer(&self) -> Asked {
        match self.0.load(Ordering::SeqCst) {
            NOT_SEEN => Asked::Unknown,
            0 => Asked::Nothing,
            3 => Asked::Clear,
            5 => Asked::Md5,
            10 => Asked::Scram,
            _ => Asked::Other,
        }
    }
}

/// A stream whose first nine bytes from the server are looked at.
pub(crate) struct Sniffed<S> {
    inner: S,
    head: Vec<u8>,
    question: Question,
}

/// Tag, length and code of an authentication request.
const HEAD: usize = 9;

impl<S> Sniffed<S> {
    pub(crate) fn new(inner: S, question: Question) -> Self {
        Self { inner, head: Vec::with_capacity(HEAD), question }
    }

    fn look(&mut self, bytes: &[u8]) {
        if self.head.len() == HEAD {
            return;
        }
        self.head.extend(bytes.iter().take(HEAD - self.head.len()));
        if let [b'R', _, _, _, _, a, b, c, d] = self.head[..] {
            self.question.0.store(u32::from_be_bytes([a, b, c, d]), Ordering::SeqCst);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sniffed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.look(&buf.filled()[before..]);
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
        let question = self.question;
        Box::pin(async move { Ok(Sniffed::new(connecting.await?, question)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn seen(bytes: &[u8], chunk: usize) -> Asked {
        let question = Question::new();
        let mut stream = Sniffed::new(bytes, question.clone());
        let mut read = vec![];
        let mut piece = vec![0; chunk];
        while let Ok(n @ 1..) = stream.read(&mut piece).await {
            read.extend_from_slice(&piece[..n]);
        }
        assert_eq!(read, bytes, "nothing is changed on the way");
        question.answer()
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
