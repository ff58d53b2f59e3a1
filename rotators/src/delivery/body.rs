//! Owns the body of a request: it tells when it is being sent, and is wiped when it has been.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use zeroize::Zeroizing;

/// Whether a body is on its way. Before that, whatever fails has reached nobody: without its body an event is not signed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<OnceLock<bool>>);

impl Sent {
    pub(crate) fn happened(&self) -> bool {
        self.0.get() == Some(&true)
    }

    /// From here on it is not sent, unless it was: says which.
    pub(crate) fn decided(&self) -> bool {
        *self.0.get_or_init(|| false)
    }
}

/// Its time was over before it was sent.
#[derive(Debug, thiserror::Error)]
#[error("too late to be sent")]
pub(super) struct TooLate;

/// A body of known length.
pub(super) struct Told {
    data: Option<Bytes>,
    sent: Sent,
}

impl Told {
    pub(super) fn new(body: Zeroizing<Vec<u8>>, sent: Sent) -> Self {
        Self { data: Some(Bytes::from_owner(body)), sent }
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        match *self.sent.0.get_or_init(|| true) {
            true => Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data)))),
            false => Poll::Ready(Some(Err(TooLate))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &mut Told) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn what_was_given_up_before_it_was_sent_is_not_sent_any_more() {
        for given_up in [false, true] {
            let sent = Sent::default();
            let mut body = Told::new(Zeroizing::new(b"event".to_vec()), sent.clone());
            if given_up {
                assert!(!sent.decided());
            }
            assert!(matches!(poll(&mut body), Poll::Ready(Some(frame)) if frame.is_ok() != given_up));
            assert_eq!((sent.happened(), sent.decided()), (!given_up, !given_up));
        }
    }
}
