//! A client of the API: finds the server and the key, signs, sends, and turns refusals into words.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::sigv4::{Signer, Unsigned, sign};
use engine::port::Clock;
use engine::secret::SecretBytes;
use serde_json::Value;

use super::{CliError, Connection};
use crate::clock::SystemClock;
use crate::config::credentials_path;

/// The target prefix of AWS's operations.
const AWS: &str = "secretsmanager";
/// The target prefix of ours.
const OURS: &str = "pawl";

/// A signed connection to one server.
pub(crate) struct Client {
    http: reqwest::Client,
    endpoint: reqwest::Url,
    host: String,
    region: String,
    key: Key,
}

/// What requests are signed with.
struct Key {
    access_key_id: String,
    secret: SecretBytes,
    /// Of temporary credentials.
    session_token: Option<String>,
}

impl Client {
    /// Finds server and key as [`Connection`] and the AWS environment say.
    pub(crate) fn new(connection: &Connection) -> Result<Self, CliError> {
        let endpoint = endpoint(connection)?;
        let host = host_header(&endpoint)
            .ok_or_else(|| CliError::usage(format!("{endpoint} names no host; try http://127.0.0.1:7171")))?;
        let region = connection
            .region
            .clone()
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let key = key(connection)?;
        Ok(Self { http: http(connection)?, endpoint, host, region, key })
    }

    /// One of AWS's operations.
    pub(crate) async fn aws(&self, operation: &str, body: Value) -> Result<Value, CliError> {
        self.call(AWS, operation, body).await.map_err(Refused::into_cli)
    }

    /// One of ours.
    pub(crate) async fn ours(&self, operation: &str, body: Value) -> Result<Value, CliError> {
        self.call(OURS, operation, body).await.map_err(Refused::into_cli)
    }

    async fn call(&self, prefix: &str, operation: &str, body: Value) -> Result<Value, Refused> {
        let target = format!("{prefix}.{operation}");
        let body = body.to_string();
        let mut headers = vec![
            ("host", self.host.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", &target),
        ];
        headers.extend(self.key.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
        let unsigned = Unsigned { method: "POST", path: "/", query: "", headers: &headers, body: body.as_bytes() };
        let signer = Signer { access_key_id: &self.key.access_key_id, secret: &self.key.secret, region: &self.region };
        let mut request = self.http.post(self.endpoint.clone());
        for (name, value) in &headers[1..] {
            request = request.header(*name, *value);
        }
        for (name, value) in sign(&unsigned, &signer, SystemClock.now()) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| Refused::unreachable(&self.endpoint, &error))?;
        let ok = answer.status().is_success();
        let text = answer.text().await.map_err(|error| Refused::unreachable(&self.endpoint, &error))?;
        let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::Null) };
        if ok { Ok(value) } else { Err(Refused::from_body(&value)) }
    }
}

/// Asks the server at a path that needs no signature, and so no key; returns what it says when it is well.
pub(crate) async fn probe(connection: &Connection, path: &str) -> Result<String, CliError> {
    let endpoint = endpoint(connection)?;
    let url = endpoint.join(path).map_err(|error| CliError::usage(format!("{endpoint} is not a URL: {error}")))?;
    let unreachable = |error: reqwest::Error| Refused::unreachable(&endpoint, &error).into_cli();
    let answer = http(connection)?.get(url).send().await.map_err(unreachable)?;
    let well = answer.status().is_success();
    let text = answer.text().await.map_err(unreachable)?;
    if well { Ok(text) } else { Err(CliError::refused(text.trim_end())) }
}

/// Why a call has no answer.
struct Refused {
    code: String,
    message: String,
    unreachable: bool,
}

impl Refused {
    fn unreachable(endpoint: &reqwest::Url, error: &reqwest::Error) -> Self {
        let mut cause = std::error::Error::source(error);
        let mut message = error.to_string();
        while let Some(inner) = cause {
            message = inner.to_string();
            cause = inner.source();
        }
        let message = format!(
            "no server answers at {endpoint}: {message}; is `pawl serve` running, and is --endpoint-url right?"
        );
        Self { code: String::new(), message, unreachable: true }
    }

    fn from_body(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let message = text("Message").or_else(|| text("message")).unwrap_or_default();
        Self { code: text("__type").unwrap_or_else(|| "an unreadable answer".to_owned()), message, unreachable: false }
    }

    fn into_cli(self) -> CliError {
        if self.unreachable {
            return CliError::unreachable(self.message);
        }
        let hint = match self.code.as_str() {
            "UnrecognizedClientException" => {
                " Use --data DIR of the server, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; a lost key is replaced by `pawl key create --data DIR` while the server (of a PostgreSQL store, every node) is stopped."
            }
            "InvalidRequestException" if self.message.starts_with("A previous rotation") => {
                " `pawl rotation status` says where it stands; `pawl rotation abandon` gives it up."
            }
            "InternalServiceError" => {
                " `pawl health` says whether the server reaches its store; the server's log says the rest."
            }
            "InvalidRequestException" if self.message.starts_with("No Lambda rotation function") => {
                " Nothing here says who rotates it: give --rotator NAME (`pawl rotator list`) to `pawl rotation enable`, or write \
                 an `engine` (postgres, mysql, mariadb) into the value."
            }
            "ExpiredTokenException" => " `pawl key session` makes new temporary credentials.",
            "LimitExceededException" if self.message.contains("access keys") => {
                " `pawl key list` shows them; `pawl key disable ID` and `pawl key delete ID` take one away."
            }
            "InvalidSignatureException" if self.message.contains("region") => " Say --region as the server has it.",
            _ => "",
        };
        CliError::refused(format!("{}: {}{hint}", self.code, self.message))
    }
}

/// The server, as [`Connection`] and the environment say.
fn endpoint(connection: &Connection) -> Result<reqwest::Url, CliError> {
    let endpoint = connection
        .endpoint_url
        .clone()
        .or_else(|| variable("PAWL_ENDPOINT_URL"))
        .or_else(|| variable("AWS_ENDPOINT_URL_SECRETS_MANAGER"))
        .unwrap_or_else(|| "http://127.0.0.1:7171".to_owned());
    endpoint.parse().map_err(|error| CliError::usage(format!("{endpoint} is not a URL: {error}")))
}

fn host_header(url: &reqwest::Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn http(connection: &Connection) -> Result<reqwest::Client, CliError> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .user_agent(concat!("pawl/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(60));
    let bundle = connection.ca_bundle.clone().or_else(|| variable("AWS_CA_BUNDLE").map(PathBuf::from));
    if let Some(file) = bundle {
        let unreadable =
            |error: &dyn std::fmt::Display| CliError::usage(format!("--ca-bundle {}: {error}", file.display()));
        let pem = std::fs::read(&file).map_err(|error| unreadable(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| CliError::refused(format!("cannot make an HTTP client: {error}")))
}

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `--data`, then the environment, then the AWS credentials file, then a server's folder here.
fn key(connection: &Connection) -> Result<Key, CliError> {
    if let Some(data) = &connection.data {
        return key_of_file(&credentials_path(data), "default");
    }
    if let (Some(id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        let session_token = variable("AWS_SESSION_TOKEN");
        return Ok(Key { access_key_id: id, secret: SecretBytes::from(secret), session_token });
    }
    let file = variable("AWS_SHARED_CREDENTIALS_FILE")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".aws/credentials")));
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    match file {
        Some(file) if file.exists() => key_of_file(&file, &profile),
        _ => Err(CliError::usage(
            "no access key: say --data DIR (the server's data folder), or set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE",
        )),
    }
}

fn key_of_file(file: &Path, profile: &str) -> Result<Key, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::usage(format!("cannot read the access key in {}: {error}", file.display())))?;
    let section = section(&text, profile);
    match (section.get("aws_access_key_id"), section.get("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Ok(Key {
            access_key_id: (*id).to_owned(),
            secret: SecretBytes::from(*secret),
            session_token: section.get("aws_session_token").map(|token| (*token).to_owned()),
        }),
        _ => Err(CliError::usage(format!("{} has no access key under [{profile}]", file.display()))),
    }
}

/// The names and values under `[profile]` of an AWS credentials file.
fn section<'a>(text: &'a str, profile: &str) -> HashMap<&'a str, &'a str> {
    let header = format!("[{profile}]");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    let own = lines.take_while(|line| !line.starts_with('['));
    own.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_and_its_neighbours_are_not() {
        let text =
            "[a]\naws_access_key_id = A\n\n[b]\n# x\naws_access_key_id=B\naws_secret_access_key = s=1\n[c]\nx=y\n";
        let section = section(text, "b");
        assert_eq!(section.get("aws_access_key_id"), Some(&"B"));
        assert_eq!(section.get("aws_secret_access_key"), Some(&"s=1"));
        assert_eq!(section.get("x"), None);
    }

    #[test]
    fn the_signed_host_is_the_one_that_http_sends() {
        let host = |url: &str| host_header(&url.parse().expect("a URL"));
        assert_eq!(host("http://127.0.0.1:7171"), Some("127.0.0.1:7171".to_owned()));
        assert_eq!(host("https://pawl.example"), Some("pawl.example".to_owned()));
        assert_eq!(host("http://[::1]:80/"), Some("[::1]".to_owned()));
    }
}
