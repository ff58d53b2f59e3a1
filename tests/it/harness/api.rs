//! A client of the API that keeps its connection, as services do: what a test calls many times.

use std::path::Path;
use std::time::Duration;

use api::sigv4::{Signer, Unsigned, sign};
use engine::port::Clock;
use engine::secret::SecretBytes;
use pawl::clock::SystemClock;
use serde_json::Value;

/// The administrator of a data folder, from one thread.
pub(crate) struct Api {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    access_key_id: String,
    secret: SecretBytes,
}

impl Api {
    /// With the key that the server left in this folder.
    pub(crate) fn of(data: &Path) -> Self {
        pawl::boot::install_tls_provider();
        let credentials = std::fs::read_to_string(data.join("credentials")).expect("credentials");
        let setting = |name: &str| {
            let lines = credentials.lines().filter_map(|line| line.split_once('='));
            lines.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).expect(name).1.to_owned()
        };
        // A connection that nobody used for half a minute is closed by the server, possibly while it is taken up again.
        let client = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(5));
        let client = client.timeout(Duration::from_secs(30)).build().expect("a client");
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            client,
            access_key_id: setting("aws_access_key_id"),
            secret: SecretBytes::from(setting("aws_secret_access_key").as_str()),
        }
    }

    /// One of AWS's operations; whether it was carried out, and its reply. None: the server gave none.
    pub(crate) fn call(&self, url: &str, operation: &str, body: &Value) -> Option<(bool, Value)> {
        let signer = Signer { access_key_id: &self.access_key_id, secret: &self.secret, region: "us-east-1" };
        let prefix = if operation.contains('.') { "" } else { "secretsmanager." };
        let (host, target) = (url.trim_start_matches("http://"), format!("{prefix}{operation}"));
        let body = body.to_string();
        let headers = [("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
        let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
        let signed = sign(&unsigned, &signer, SystemClock.now());
        let mut request = self.client.post(url);
        for (name, value) in headers.into_iter().skip(1) {
            request = request.header(name, value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        self.runtime.block_on(async {
            let answer = request.body(body).send().await.ok()?;
            let carried_out = answer.status().is_success();
            let text = answer.text().await.ok()?;
            let reply = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{operation}: {error} in {text}"));
            Some((carried_out, reply))
        })
    }
}
