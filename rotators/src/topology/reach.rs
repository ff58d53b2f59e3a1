//! Owns finding out which hosts take connections at all, so that one that is gone costs a step little of its time.
//! Never here: logins.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use engine::outcome::StepError;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Place;
use crate::network::network_error;

/// A host that takes longer to take a connection is asked last. A step has to have most of its time left by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// The hosts that take connections, in their order, and why the others do not.
pub(super) async fn reach(places: &[Place]) -> (Vec<Place>, Vec<StepError>) {
    let answers = all(places.iter().map(connect).collect()).await;
    let (mut there, mut gone) = (vec![], vec![]);
    for (place, answer) in places.iter().zip(answers) {
        match answer {
            Ok(()) => there.push(place.clone()),
            Err(error) => gone.push(error),
        }
    }
    (there, gone)
}

/// A server notices a connection that says nothing; the login that follows sets its count of those back.
async fn connect(place: &Place) -> Result<(), StepError> {
    let host = place.host.trim_start_matches('[').trim_end_matches(']');
    match timeout(PATIENCE, TcpStream::connect((host, place.port))).await {
        Ok(Ok(_stream)) => Ok(()),
        Ok(Err(error)) => Err(network_error(&error, &place.to_string())),
        Err(_) => Err(network_error(&io::ErrorKind::TimedOut.into(), &place.to_string())),
    }
}

/// Waits for all of them at once.
async fn all<T>(futures: Vec<impl Future<Output = T> + Send>) -> Vec<T> {
    let mut under_way: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, done) in under_way.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(value) = Pin::new(future).poll(cx) {
                *done = Some(value);
            }
        }
        match under_way.iter().all(|(_, done)| done.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    under_way.into_iter().filter_map(|(_, done)| done).collect()
}
