//! Owns one HTTP exchange with a registered rotator: what is sent, how much is read, how long is waited, and whether
//! anything was sent at all when it fails. No redirect is followed and no proxy is asked.
//!
//! Never here: what an answer means to a rotation. No error of the HTTP client is shown: they carry the URL.

mod body;
mod client;
mod failure;

use std::time::Duration;

use engine::outcome::{StepError, Verdict};
use engine::registration::Registration;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use url::Url;
use zeroize::Zeroizing;

pub(crate) use self::body::Sent;
use self::body::Told;
pub(crate) use self::client::Clients;

/// The largest request that is sent, in bytes.
pub(crate) const LARGEST_REQUEST: usize = 1 << 20;
/// A way to the receiver that is not there after this is no way.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// How much of a call's time may go by until its event is on its way.
pub(crate) fn reach(budget: Duration) -> Duration {
    CONNECT.min(budget / 2)
}

/// What the event says is left: by a receiver's own clock, from receipt on, so that even the slowest way there ends
/// before the deadline. Whole seconds; never 0, which would forbid the work.
pub(crate) fn timeout_seconds(budget: Duration) -> u64 {
    (budget - reach(budget)).as_secs().max(1)
}

/// One request.
pub(crate) struct Parcel {
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    pub body: Zeroizing<Vec<u8>>,
    /// The largest answer that is read, in bytes.
    pub cap: usize,
    /// How much of it is kept; what is beyond is read and thrown away.
    pub keep: usize,
}

/// How an exchange ended.
pub(crate) enum Exchange {
    /// An answer arrived whole.
    Answered(Answer),
    /// No byte of the event reached the receiver.
    NotSent(NotSent),
    /// It was sent, and no whole answer came: why, as a word and as a sentence's end.
    Lost(Loss),
}

/// Why nothing was sent.
pub(crate) struct NotSent {
    pub error: StepError,
    /// It says something about the receiver's health.
    pub unreachable: bool,
}

/// How an answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    /// A word for tables.
    pub code: &'static str,
    /// The end of a sentence that begins with the receiver.
    pub says: &'static str,
}

/// What came back.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// By its status alone, nothing was begun: it leads elsewhere, or refuses the request.
    pub(crate) fn refuses(&self) -> bool {
        matches!(self.status, 300..=399 | 400 | 401 | 403 | 404 | 405 | 410 | 413 | 415 | 422 | 429)
    }

    /// Seconds in `Retry-After`. A date there is no number of ours, and left.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Makes one exchange. `sent` is set as soon as the body is on its way.
pub(crate) async fn post(clients: &Clients, registration: &Registration, parcel: Parcel, sent: &Sent) -> Exchange {
    let who = host_of(&parcel.url);
    let ready = clients.get(registration, &parcel.url).and_then(|client| Ok((client, headers(&parcel)?)));
    let (client, headers) = match ready {
        Ok(ready) => ready,
        Err(error) => return Exchange::NotSent(NotSent { error, unreachable: false }),
    };
    let (cap, keep) = (parcel.cap, parcel.keep);
    let body = reqwest::Body::wrap(Told::new(parcel.body, sent.clone()));
    match client.post(parcel.url).headers(headers).body(body).send().await {
        Ok(response) => read(response, cap, keep).await,
        Err(error) => failure::of(&error, sent.happened(), &who),
    }
}

fn headers(parcel: &Parcel) -> Result<HeaderMap, StepError> {
    let mut map = HeaderMap::new();
    map.insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in &parcel.headers {
        let value = HeaderValue::from_str(value).map_err(|_| bad_header(name))?;
        map.insert(HeaderName::from_static(name), value);
    }
    match parcel.body.len() {
        0..=LARGEST_REQUEST => Ok(map),
        _ => Err(too_large()),
    }
}

/// The answer, as far as anybody looks at it: what a redirect says beside is of no interest.
async fn read(mut response: Response, cap: usize, keep: usize) -> Exchange {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Zeroizing::new(Vec::new());
    if !status.is_redirection() {
        let announced = response.content_length().unwrap_or(0);
        let Some(announced) = usize::try_from(announced).ok().filter(|announced| *announced <= cap) else {
            return Exchange::Lost(TOO_LARGE);
        };
        body = grown(&body, announced.min(keep));
        let mut read = 0;
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if read + chunk.len() > cap => return Exchange::Lost(TOO_LARGE),
                Ok(Some(chunk)) => {
                    read += chunk.len();
                    let kept = &chunk[..chunk.len().min(keep - body.len())];
                    if body.capacity() - body.len() < kept.len() {
                        body = grown(&body, kept.len() + body.len());
                    }
                    body.extend_from_slice(kept);
                }
                Err(_) => return Exchange::Lost(CUT),
            }
        }
    }
    Exchange::Answered(Answer { status: StatusCode::as_u16(&status), headers, body })
}

/// The same bytes with room for `more`. A vector that grows by itself leaves a copy behind, and there may be a value in it.
fn grown(bytes: &Zeroizing<Vec<u8>>, more: usize) -> Zeroizing<Vec<u8>> {
    let mut larger = Zeroizing::new(Vec::with_capacity(bytes.len() + more));
    larger.extend_from_slice(bytes);
    larger
}

/// `host:port`, for messages: a path may hold what nobody else should see.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The answer was longer than it may be.
pub(crate) const TOO_LARGE: Loss =
    Loss { code: "answer-too-large", says: "answered with more than is read of an answer" };
/// The connection ended before the answer did.
pub(crate) const CUT: Loss =
    Loss { code: "connection-lost", says: "closed the connection before its answer was whole" };
/// What came is not HTTP.
pub(crate) const NOT_HTTP: Loss = Loss { code: "not-http", says: "answered with something that is not HTTP" };
/// No whole answer in time.
pub(crate) const TIMEOUT: Loss = Loss { code: "timeout", says: "did not answer in time" };

fn bad_header(name: &str) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "bad-header",
        format!("The header {name} cannot be sent: it has control characters."),
    )
    .remedy("Correct the rotator's settings with `pawl rotator update NAME`.")
}

fn too_large() -> StepError {
    let message =
        format!("The event is larger than {LARGEST_REQUEST} bytes: the secret's values are too long to be sent.");
    StepError::new(Verdict::NeedsPerson, "event-too-large", message)
        .remedy("Write a shorter value, or register the rotator in callback mode, where events carry no values.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_counts_from_receipt_ends_before_the_deadline_however_long_the_way_took() {
        for (budget, told) in
            [(900_000, 897), (10_000, 7), (9_999, 6), (6_000, 3), (5_000, 2), (2_000, 1), (1_000, 1), (500, 1)]
        {
            let budget = Duration::from_millis(budget);
            assert_eq!(timeout_seconds(budget), told, "{budget:?}");
            let ends = reach(budget) + Duration::from_secs(told);
            assert!(ends <= budget || budget < Duration::from_secs(2), "{budget:?}: {ends:?}");
        }
    }
}
