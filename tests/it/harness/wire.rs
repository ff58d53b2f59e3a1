//! Calls of the API, signed with any credentials: what no verb of the command line does.

use std::time::Duration;

use api::sigv4::{Signer, Unsigned, sign};
use engine::port::Clock;
use engine::secret::SecretBytes;
use pawl::clock::SystemClock;
use serde_json::Value;

/// Whose signature.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) access_key_id: String,
    pub(crate) secret: SecretBytes,
    /// Of temporary credentials.
    pub(crate) session_token: Option<String>,
}

/// The answer's status and body. None: no answer came. `operation` is one of AWS's, or of ours with its `pawl.`.
pub(crate) fn call(url: &str, by: &Signed, operation: &str, body: &Value) -> Option<(u16, Value)> {
    Client::of(by.clone()).call(url, operation, body)
}

/// A client that keeps its connection, as services do: for what a test calls many times, from one thread.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    by: Signed,
}

impl Client {
    pub(crate) fn of(by: Signed) -> Self {
        Self::with(by, |http| http)
    }

    /// One that waits three seconds for an answer: whom it asks may have been stopped.
    pub(crate) fn hasty(by: Signed) -> Self {
        Self::with(by, |http| http.timeout(Duration::from_secs(3)))
    }

    fn with(by: Signed, more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Self {
        pawl::boot::install_tls_provider();
        // A connection that nobody used for half a minute is closed by the server, possibly while it is taken up again.
        let http = more(reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(5)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, http: http.build().expect("a client"), by }
    }

    /// As [`call`].
    pub(crate) fn call(&self, url: &str, operation: &str, body: &Value) -> Option<(u16, Value)> {
        self.runtime.block_on(send(&self.http, url, &self.by, operation, body))
    }
}

/// As [`call`], over this HTTP client: for what calls from many tasks.
pub(crate) async fn send(
    http: &reqwest::Client,
    url: &str,
    by: &Signed,
    operation: &str,
    body: &Value,
) -> Option<(u16, Value)> {
    let signer = Signer { access_key_id: &by.access_key_id, secret: &by.secret, region: "us-east-1" };
    let host = url.trim_start_matches("http://");
    let target = if operation.contains('.') { operation.to_owned() } else { format!("secretsmanager.{operation}") };
    let body = body.to_string();
    let mut headers = vec![("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
    headers.extend(by.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
    let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
    let mut request = http.post(url);
    for (name, value) in headers.iter().skip(1) {
        request = request.header(*name, *value);
    }
    for (name, value) in sign(&unsigned, &signer, SystemClock.now()) {
        request = request.header(name, value);
    }
    let answer = request.body(body).send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    // Some operations of AWS answer nothing.
    let text = if text.is_empty() { "null" } else { text.as_str() };
    Some((status, serde_json::from_str(text).unwrap_or_else(|error| panic!("{operation}: {error} in {text}"))))
}
