//! The way to a receiver over TLS: whom we trust, who we are, and that nothing is sent where either is wrong.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::outcome::Verdict;
use engine::secret::SecretBytes;
use pawl::servers::{tls, tool};
use rotators::{CallerSettings, Lookup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::webhook_support::receiver::{Deed, Receiver};
use crate::webhook_support::{Scene, TIMEOUT, timed, webhook, with_policy};

/// An authority, a server's certificate and a client's, in a folder of their own.
struct Papers {
    folder: tempfile::TempDir,
    server: tls::Tls,
}

impl Papers {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = tls::make(folder.path()).expect("certificates");
        let config = folder.path().join("client.cnf");
        fs::write(&config, "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = pawl\n[client]\nbasicConstraints = critical, CA:FALSE\n")
            .expect("written");
        let mut make = Command::new(tool("openssl").expect("the openssl command"));
        make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]);
        make.args(["-extensions", "client", "-config"]).arg(&config);
        make.arg("-keyout").arg(folder.path().join("client.key")).arg("-out").arg(folder.path().join("client.crt"));
        assert!(make.output().expect("openssl runs").status.success());
        Self { folder, server }
    }

    fn client(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).expect("PEM")
    }

    fn ca(&self) -> String {
        fs::read_to_string(&self.server.ca).expect("PEM")
    }

    fn server_config(&self, wants_client: bool) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let builder = match wants_client {
            false => builder.with_no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(&self.folder.path().join("client.crt"))).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.server.key).expect("a key");
        builder.with_single_cert(vec![certificate(&self.server.cert)], key).expect("they belong together")
    }
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}

/// A receiver over TLS that says Done to everything; its port, and how many requests it read.
#[expect(clippy::disallowed_methods, reason = "a receiver for one test, which ends with the process")]
fn serve(config: ServerConfig) -> (u16, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (config, read) = (Arc::new(config), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&read);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, count) = (Arc::clone(&config), Arc::clone(&count));
            std::thread::spawn(move || {
                let mut stream = StreamOwned::new(ServerConnection::new(config).expect("a session"), stream);
                let mut seen = vec![];
                let mut buffer = [0; 4096];
                // The body is small JSON, and ends with its only closing brace at the end of a read.
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    seen.extend_from_slice(&buffer[..n]);
                    if seen.ends_with(b"}") {
                        *count.lock().expect("no panic in the lock") += 1;
                        let body = r#"{"Status":"Done"}"#;
                        let head =
                            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                        let _ = stream.write_all(format!("{head}{body}").as_bytes());
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                        return;
                    }
                }
            });
        }
    });
    (port, read)
}

/// Every name is this machine.
struct Here;

#[async_trait]
impl Lookup for Here {
    async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}

#[tokio::test]
async fn a_receiver_is_trusted_by_the_authority_that_was_given_and_for_its_own_name_alone() {
    let papers = Papers::new();
    let (port, read) = serve(papers.server_config(false));
    let scene = Scene::of(webhook(&format!("https://localhost:{port}/")), CallerSettings::default());
    let (stranger, took) = timed(scene.set()).await;
    let stranger = stranger.expect_err("the system does not know this authority");
    assert_eq!((stranger.verdict, stranger.code.as_str()), (Verdict::NeedsPerson, "tls-certificate"));
    assert!(took < TIMEOUT);
    assert_eq!(*read.lock().expect("no panic"), 0, "nothing was sent");
    scene.change(|registration| registration.settings.ca = Some(papers.ca()));
    scene.set().await.expect("trusted");

    let other =
        Scene::of(webhook(&format!("https://hooks.example:{port}/")), with_policy(&["hooks.example"], Arc::new(Here)));
    other.change(|registration| registration.settings.ca = Some(papers.ca()));
    assert_eq!(other.set().await.expect_err("another name").code, "tls-certificate");
    assert_eq!(*read.lock().expect("no panic"), 1);
}

#[tokio::test]
async fn a_receiver_that_wants_a_client_certificate_gets_the_rotators_own() {
    let papers = Papers::new();
    let (port, read) = serve(papers.server_config(true));
    let scene = Scene::of(webhook(&format!("https://127.0.0.1:{port}/")), CallerSettings::default());
    scene.change(|registration| registration.settings.ca = Some(papers.ca()));
    let (refused, took) = timed(scene.set()).await;
    let refused = refused.expect_err("no certificate is shown");
    assert_eq!((refused.verdict, refused.code.as_str()), (Verdict::NeedsPerson, "client-certificate"), "{refused:?}");
    assert!(took < TIMEOUT, "the receiver never read the event: {took:?}");
    scene.change(|registration| {
        registration.settings.client_certificate = Some(papers.client("client.crt"));
        registration.keys.client_key = Some(SecretBytes::from(papers.client("client.key")));
    });
    scene.callers.accepts(&scene.registered()).expect("certificate and key go together");
    scene.set().await.expect("shown and trusted");
    assert_eq!(*read.lock().expect("no panic"), 1);
    scene.change(|registration| registration.settings.client_certificate = Some(papers.ca()));
    scene.callers.accepts(&scene.registered()).expect_err("a key of another certificate");
}

#[tokio::test]
async fn https_to_a_receiver_without_tls_sends_nothing() {
    let receiver = Receiver::always(Deed::Close);
    let scene = Scene::of(webhook(&format!("https://localhost:{}/", receiver.port)), CallerSettings::default());
    let error = scene.set().await.expect_err("no TLS there");
    assert_eq!(error.verdict, Verdict::Retry, "{error:?}");
    assert!(receiver.requests().is_empty());
}
