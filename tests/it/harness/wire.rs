//! One call of the API, signed with any credentials: what no verb of the command line does.

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
    pawl::boot::install_tls_provider();
    let signer = Signer { access_key_id: &by.access_key_id, secret: &by.secret, region: "us-east-1" };
    let host = url.trim_start_matches("http://");
    let target = if operation.contains('.') { operation.to_owned() } else { format!("secretsmanager.{operation}") };
    let body = body.to_string();
    let mut headers = vec![("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
    headers.extend(by.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
    let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
    let signed = sign(&unsigned, &signer, SystemClock.now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut request = reqwest::Client::builder().no_proxy().build().expect("a client").post(url);
        for (name, value) in headers.iter().skip(1) {
            request = request.header(*name, *value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{operation}: {error} in {text}"))))
    })
}
