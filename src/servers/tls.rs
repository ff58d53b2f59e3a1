//! A certificate authority of one's own and a server certificate for this machine's loopback.
//!
//! Made with the `openssl` command, for private servers and tests; never for anything others reach.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::find;

/// The three files that a TLS server and its clients need.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What clients trust.
    pub ca: PathBuf,
    /// The server's certificate, for `localhost` and `127.0.0.1`.
    pub cert: PathBuf,
    /// Its private key, PEM, PKCS#8.
    pub key: PathBuf,
}

// Given whole, so that the result does not depend on the machine's own openssl.cnf.
const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
";

/// Makes a new authority and a server certificate signed by it, in the existing folder `dir`.
pub fn make(dir: &Path) -> io::Result<Tls> {
    let tls = Tls { ca: dir.join("ca.crt"), cert: dir.join("server.crt"), key: dir.join("server.key") };
    let config = dir.join("openssl.cnf");
    fs::write(&config, CONFIG)?;
    let (ca_key, request) = (dir.join("ca.key"), dir.join("server.csr"));

    let new_key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config"];
    let mut authority = openssl()?;
    authority.args(new_key).arg(&config).args(["-x509", "-days", "30", "-subj", "/CN=Pawl private CA"]);
    run(authority.args(["-extensions", "ca", "-keyout"]).arg(&ca_key).arg("-out").arg(&tls.ca))?;

    let mut server = openssl()?;
    run(server.args(new_key).arg(&config).arg("-keyout").arg(&tls.key).arg("-out").arg(&request))?;

    let mut signing = openssl()?;
    signing.args(["x509", "-req", "-days", "30", "-CAcreateserial", "-extensions", "server", "-extfile"]);
    signing.arg(&config).arg("-in").arg(&request).arg("-CA").arg(&tls.ca).arg("-CAkey").arg(&ca_key);
    run(signing.arg("-out").arg(&tls.cert))?;

    // Nothing else is to be signed by this authority.
    for file in [ca_key, request, config, dir.join("ca.srl")] {
        fs::remove_file(file).or_else(
            |error| {
                if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
            },
        )?;
    }
    Ok(tls)
}

fn openssl() -> io::Result<Command> {
    let path = find::tool("openssl").ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "the `openssl` command is missing: install the package openssl")
    })?;
    Ok(Command::new(path))
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("openssl failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
