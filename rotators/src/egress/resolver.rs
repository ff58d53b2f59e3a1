//! Owns turning a name into addresses that may be dialled. An answer with one address that may not is refused whole:
//! whoever mixes them wants the second one tried.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::{Egress, NotAllowed};

/// What answers for names: the system, or a test.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Every address of this name.
    ///
    /// # Errors
    /// Where the name is not known, or nobody answers.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Lookups of the system's that run at once. Each blocks a thread until it is answered, however long anybody waits for
/// it, and names that are answered slowly must leave threads for other work.
static TURNS: Semaphore = Semaphore::const_new(32);

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let host = host.to_owned();
        let found = in_turn(&TURNS, move || (host.as_str(), 0).to_socket_addrs()).await??;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Blocking work when it is its turn. The turn ends with the work, not with whoever waits for it.
async fn in_turn<T: Send + 'static>(
    turns: &'static Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let worked = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(worked).await.map_err(io::Error::other)
}

/// The resolver of one client: what it gives is what is dialled.
pub(crate) struct Guarded {
    pub egress: Arc<Egress>,
    pub lookup: Arc<dyn Lookup>,
    /// The client speaks plain http.
    pub plain: bool,
}

/// Why a name led to no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAddress {
    /// The policy forbids one of them.
    #[error("{0}")]
    NotAllowed(#[from] NotAllowed),
    /// There is none.
    #[error("the name is not known")]
    Unknown,
}

impl Guarded {
    /// The addresses that may be dialled for `host`: all of them, or none.
    pub(crate) async fn judged(
        egress: &Egress,
        lookup: &dyn Lookup,
        plain: bool,
        host: &str,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        let found = lookup.addresses(host).await.map_err(|_| NoAddress::Unknown)?;
        for ip in &found {
            egress.judge_address(host, plain, *ip)?;
        }
        if found.is_empty() { Err(NoAddress::Unknown) } else { Ok(found) }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, lookup, plain) = (Arc::clone(&self.egress), Arc::clone(&self.lookup), self.plain);
        Box::pin(async move {
            let addresses = Self::judged(&egress, lookup.as_ref(), plain, name.as_str()).await?;
            // Port 0: the one of the URL.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Answers the same to every name.
    struct Fixed(Vec<IpAddr>);

    #[async_trait]
    impl Lookup for Fixed {
        async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            Ok(self.0.clone())
        }
    }

    const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14));
    const INNER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    async fn judged(addresses: &[IpAddr]) -> Result<Vec<IpAddr>, NoAddress> {
        Guarded::judged(&Egress::default(), &Fixed(addresses.to_vec()), false, "hooks.example").await
    }

    #[tokio::test]
    async fn an_answer_with_one_address_that_may_not_be_dialled_is_refused_whole() {
        assert_eq!(judged(&[PUBLIC]).await.expect("public"), [PUBLIC]);
        for answer in [[PUBLIC, INNER], [INNER, PUBLIC]] {
            assert!(matches!(judged(&answer).await, Err(NoAddress::NotAllowed(_))), "{answer:?}");
        }
        assert!(matches!(judged(&[]).await, Err(NoAddress::Unknown)));
    }

    #[tokio::test]
    async fn a_lookup_that_nobody_waits_for_any_more_keeps_its_turn_until_it_is_answered() {
        static TWO: Semaphore = Semaphore::const_new(2);
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let mut unanswered = vec![];
        for _ in 0..2 {
            let (answer, answered) = mpsc::channel::<()>();
            unanswered.push(answer);
            let begun = begun.clone();
            let slow = move || (begun.send(()).is_ok(), answered.recv().is_err());
            tokio::select! {
                _ = in_turn(&TWO, slow) => panic!("nobody has answered it"),
                began = begins.recv() => began.expect("it has begun"),
            }
        }
        assert_eq!(TWO.available_permits(), 0, "both were given up, and both still block a thread");
        drop(unanswered);
        let next = tokio::time::timeout(Duration::from_secs(10), in_turn(&TWO, || "answered")).await;
        assert_eq!(next.expect("a turn was free").expect("it ran"), "answered");
    }

    #[tokio::test]
    async fn the_system_answers_for_this_machine() {
        let found = SystemLookup.addresses("localhost").await.expect("a hosts file");
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
    }
}
