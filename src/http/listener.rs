//! Connections: at most so many at once, and none that holds its place in silence.
//!
//! Further ones wait in the system's queue until one ends, so that files, sockets to targets and the store always find a
//! descriptor. Never here: what is said on a connection.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum_server::{AddrListener, Address};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// More connections are never held at once, however many files may be open.
const MOST: u64 = 4096;

/// How long a connection may be silent, in both directions.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Before the first byte comes.
    pub(super) first: Duration,
    /// After that; longer than any call takes.
    pub(super) later: Duration,
}

/// Lets the process open as many files as it may. What cannot be raised stays as it is.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

/// How many connections leave room for all the other files that a server has open.
pub(super) fn room() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((files / 2).clamp(1, MOST)).unwrap_or(1)
}

/// A listener that waits with the next connection until there is a place for it.
pub(super) struct Capped {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Patience,
}

impl Capped {
    pub(super) fn new(listener: TcpListener, places: usize, patience: Patience) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(places)), patience }
    }
}

/// The address of the other end; the type by which axum-server finds [`Capped`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(SocketAddr);

impl Address for Peer {
    type Stream = Held;
    type Listener = Capped;
}

impl Connected<Peer> for SocketAddr {
    fn connect_info(peer: Peer) -> Self {
        peer.0
    }
}

impl AddrListener<Held, Peer> for Capped {
    async fn bind_to(_address: Peer) -> io::Result<Self> {
        // It is made of a socket that is bound already.
        Err(ErrorKind::Unsupported.into())
    }

    async fn accept_stream(&self) -> io::Result<(Held, Peer)> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, address) = self.listener.accept().await?;
        let end = Box::pin(sleep(self.patience.first));
        Ok((Held { stream, end, later: self.patience.later, _place: place }, Peer(address)))
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr().map(Peer)
    }
}

/// A connection in its place. Silence ends it.
pub(super) struct Held {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    later: Duration,
    _place: OwnedSemaphorePermit,
}

impl Held {
    fn unless_silent<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.end.as_mut().reset(Instant::now() + self.later);
            return polled;
        }
        self.end.as_mut().poll(cx).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, into);
        self.unless_silent(cx, polled)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_silent(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.unless_silent(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(20);

    async fn capped(places: usize, patience: Patience) -> (Capped, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("its address");
        (Capped::new(listener, places, patience), address)
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_ends_and_one_that_speaks_has_more_time() {
        let (listener, address) = capped(2, Patience { first: SOON, later: LATE }).await;
        let _silent = TcpStream::connect(address).await.expect("connected");
        let (mut held, _) = listener.accept_stream().await.expect("accepted");
        let end = held.read_u8().await.expect_err("nothing came");
        assert_eq!(end.kind(), ErrorKind::TimedOut);

        let mut speaking = TcpStream::connect(address).await.expect("connected");
        let (mut held, _) = listener.accept_stream().await.expect("accepted");
        speaking.write_u8(7).await.expect("written");
        assert_eq!(held.read_u8().await.expect("a byte"), 7);
        tokio::time::timeout(SOON * 3, held.read_u8()).await.expect_err("it still may speak");
    }

    #[tokio::test]
    async fn the_next_connection_waits_until_one_ends() {
        let (listener, address) = capped(1, Patience { first: LATE, later: LATE }).await;
        let _clients =
            [TcpStream::connect(address).await.expect("queued"), TcpStream::connect(address).await.expect("queued")];
        let (held, _) = listener.accept_stream().await.expect("accepted");
        tokio::time::timeout(SOON, listener.accept_stream()).await.err().expect("there is no place");
        drop(held);
        listener.accept_stream().await.expect("there is one again");
    }
}
