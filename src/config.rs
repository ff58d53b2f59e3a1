//! What `pawl serve` is told: flags, then `PAWL_…` variables, then a TOML file, then defaults.

mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

pub use self::store::StoreSetting;

/// The shortest lease, in seconds: a login, the walls at the target (rotators/src/effort.rs), and the driver's margin.
const MIN_LEASE: u64 = 12;

/// The flags of `pawl serve`. Each may also stand in the TOML file (with underscores) or in the environment
/// as `PAWL_` and its name in capitals.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct ServeArgs {
    /// Folder for the store, the keyring and the first administrator's credentials [default: ./pawl-data]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7171]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where rotations are remembered: `sqlite` (in the data folder), or `postgres://USER@HOST/DATABASE`, which any number of
    /// servers may share; the variable `PAWL_STORE` keeps its password out of the process list [default: sqlite]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSetting>,
    /// The region in ARNs, which clients must sign for [default: us-east-1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The account number in ARNs [default: 000000000000]
    #[arg(long, value_name = "12 DIGITS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// File with the keys that seal every value [default: DIR/keyring.json, made at the first start]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<PathBuf>,
    /// Folder of the audit trail [default: DIR/audit]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_dir: Option<PathBuf>,
    /// PEM file of certificate authorities to trust for database targets, beside the system's
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ca: Option<PathBuf>,
    /// What registered rotators may be called at beside public addresses: names, addresses and CIDRs, comma separated
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress_allow: Vec<String>,
    /// Where rotation functions and callback webhooks call this server [default: the address it listens on]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// `aws`: schedules as AWS takes them; `none`: also minutes and seconds [default: aws]
    #[arg(long, value_name = "aws|none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_limits: Option<String>,
    /// PEM file with the server's certificate chain; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Listen beyond loopback without TLS: the network is private
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_listen: bool,
    /// How many rotations may be under way at once [default: 32]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permits: Option<usize>,
    /// How long a rotation is owned without renewal, in seconds (at least 12) [default: 15]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// `text` or `json` [default: text]
    #[arg(long, value_name = "text|json")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// TOML file with any of the above
    #[arg(long, value_name = "FILE", env = "PAWL_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// The settings a server runs with.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Data folder.
    pub data: PathBuf,
    /// Listening address.
    pub listen: SocketAddr,
    /// Store location.
    pub store: StoreSetting,
    /// Region.
    pub region: String,
    /// Account number.
    pub account_id: String,
    /// Keyring file, if not in the data folder.
    pub keyring: Option<PathBuf>,
    /// The audit trail's folder, if not in the data folder.
    pub audit_dir: Option<PathBuf>,
    /// Extra certificate authorities for targets.
    pub target_ca: Option<PathBuf>,
    /// What registered rotators may be called at beside public addresses.
    #[serde(deserialize_with = "list::read")]
    pub egress_allow: Vec<String>,
    /// Where rotators call this server, if not where it listens.
    pub public_url: Option<String>,
    /// `aws` or `none`.
    pub schedule_limits: String,
    /// Certificate chain.
    pub tls_cert: Option<PathBuf>,
    /// Private key.
    pub tls_key: Option<PathBuf>,
    /// Plain text beyond loopback.
    pub insecure_listen: bool,
    /// Rotations at once.
    pub permits: usize,
    /// Lease in seconds.
    pub lease: u64,
    /// Log format.
    pub log: String,
}

/// A setting that cannot be used, and what it may be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or a variable does not parse.
    #[error("cannot read the settings: {0}")]
    Unreadable(Box<figment::Error>),
    /// The file cannot be read, or is no TOML. Says where, and nothing of what stands there: it may be a password.
    #[error("cannot read the settings in {file}: {problem}")]
    File {
        /// Which, with line and column where that is known.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A value is out of its range.
    #[error("{setting}: {problem}")]
    Invalid {
        /// The flag.
        setting: &'static str,
        /// What is wrong and what it may be.
        problem: String,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("pawl-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7171)),
            store: StoreSetting::sqlite(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            keyring: None,
            audit_dir: None,
            target_ca: None,
            egress_allow: vec![],
            public_url: None,
            schedule_limits: "aws".to_owned(),
            tls_cert: None,
            tls_key: None,
            insecure_listen: false,
            permits: 32,
            lease: 15,
            log: "text".to_owned(),
        }
    }
}

impl Settings {
    /// Merges defaults, the TOML file, the environment and the flags, in rising order.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting and what it may be.
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = &args.config {
            well_formed(file)?;
            figment = figment.merge(Toml::file_exact(file));
        }
        let known = |name: &str| Self::NAMES.contains(&name);
        let mut settings: Self = figment
            .merge(Env::prefixed("PAWL_").filter(move |name| known(&name.as_str().to_ascii_lowercase())))
            .merge(Serialized::defaults(args))
            .extract()
            .map_err(|error| ConfigError::Unreadable(Box::new(error)))?;
        // `PAWL_PUBLIC_URL=` in a container's file is no URL.
        settings.public_url = settings.public_url.filter(|url| !url.is_empty());
        settings.check()?;
        Ok(settings)
    }

    const NAMES: [&str; 17] = [
        "data",
        "listen",
        "store",
        "region",
        "account_id",
        "keyring",
        "audit_dir",
        "target_ca",
        "egress_allow",
        "public_url",
        "schedule_limits",
        "tls_cert",
        "tls_key",
        "insecure_listen",
        "permits",
        "lease",
        "log",
    ];

    /// Where the store is.
    ///
    /// # Errors
    /// [`store::BadUrl`]; not after [`Settings::load`], which has looked.
    pub fn location(&self) -> Result<::store::Location, ::store::BadUrl> {
        self.store.location(&self.data)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |setting, problem: &str| Err(ConfigError::Invalid { setting, problem: problem.to_owned() });
        if let Err(problem) = self.location() {
            return invalid("--store", &format!("`sqlite`, or a URL of PostgreSQL: {problem}"));
        }
        if self.account_id.len() != 12 || !self.account_id.bytes().all(|b| b.is_ascii_digit()) {
            return invalid("--account-id", "an account number has 12 digits");
        }
        if self.region.is_empty() || !self.region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return invalid("--region", "a region is letters, digits and hyphens, such as us-east-1");
        }
        if self.public_url.as_deref().is_some_and(|url| !is_origin(url)) {
            return invalid(
                "--public-url",
                "http:// or https://, a host, and a port if need be: https://pawl.example:7171",
            );
        }
        if let Err(error) = self.egress() {
            return invalid("--egress-allow", &error.to_string());
        }
        self.limits()?;
        if !["text", "json"].contains(&self.log.as_str()) {
            return invalid("--log", "`text` or `json`");
        }
        if self.lease < MIN_LEASE {
            return invalid("--lease", "at least 12 seconds: a change at a target needs 8 of them before it may begin");
        }
        if self.permits == 0 {
            return invalid("--permits", "at least 1");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return invalid("--tls-cert", "--tls-cert and --tls-key go together");
        }
        if !self.listen.ip().is_loopback() && self.tls_cert.is_none() && !self.insecure_listen {
            return invalid(
                "--listen",
                "beyond loopback Pawl wants --tls-cert and --tls-key, or --insecure-listen if the network is private",
            );
        }
        Ok(())
    }

    /// Which schedules are taken.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for anything but `aws` and `none`.
    pub fn limits(&self) -> Result<engine::schedule::Limits, ConfigError> {
        match self.schedule_limits.as_str() {
            "aws" => Ok(engine::schedule::Limits::Aws),
            "none" => Ok(engine::schedule::Limits::None),
            _ => Err(ConfigError::Invalid { setting: "--schedule-limits", problem: "`aws` or `none`".to_owned() }),
        }
    }

    /// Where registered rotators may be.
    ///
    /// # Errors
    /// [`rotators::BadEgress`] with the entry that is none.
    pub fn egress(&self) -> Result<rotators::Egress, rotators::BadEgress> {
        rotators::Egress::parse(&self.egress_allow)
    }

    /// The keyring's file.
    #[must_use]
    pub fn keyring_path(&self) -> PathBuf {
        self.keyring.clone().unwrap_or_else(|| self.data.join("keyring.json"))
    }

    /// The audit trail's folder.
    #[must_use]
    pub fn audit_path(&self) -> PathBuf {
        self.audit_dir.clone().unwrap_or_else(|| audit_path(&self.data))
    }

    /// The lease's length.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease)
    }
}

/// The file is TOML. Looked at by us, because the usual message has the whole line in it.
fn well_formed(file: &Path) -> Result<(), ConfigError> {
    let wrong = |file: String, problem: &str| ConfigError::File { file, problem: problem.to_owned() };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(file.display().to_string(), &error.to_string()))?;
    <Toml as Format>::from_str::<figment::value::Dict>(&text).map(drop).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let (line, column) =
            (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default().len() + 1);
        wrong(format!("{}, line {line}, column {column}", file.display()), &error.message().replace('\n', ", "))
    })
}

/// A scheme, a host and a port, and nothing more.
fn is_origin(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        let bare = ["/", ""].contains(&url.path()) && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        ["http", "https"].contains(&url.scheme()) && url.has_host() && bare && anonymous
    })
}

/// The file the first start writes the administrator's key to, in AWS's shared-credentials format.
#[must_use]
pub fn credentials_path(data: &Path) -> PathBuf {
    data.join("credentials")
}

/// The folder of the audit trail in a data folder.
#[must_use]
pub fn audit_path(data: &Path) -> PathBuf {
    data.join("audit")
}

/// A list, or a text with commas: the environment has no lists.
mod list {
    use serde::{Deserialize, Deserializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Items(Vec<String>),
        Text(String),
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        let items = match Written::deserialize(deserializer)? {
            Written::Items(items) => items,
            Written::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        Ok(items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_defaults() {
        let args = ServeArgs { region: Some("eu-west-1".to_owned()), ..ServeArgs::default() };
        let settings = Settings::load(&args).expect("loads");
        assert_eq!((settings.region.as_str(), settings.lease), ("eu-west-1", 15));
    }

    #[test]
    fn a_toml_file_sets_what_flags_do_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("pawl.toml");
        std::fs::write(&file, "region = \"eu-west-2\"\npermits = 3\n").expect("written");
        let args = ServeArgs { config: Some(file), permits: Some(4), ..ServeArgs::default() };
        let settings = Settings::load(&args).expect("loads");
        assert_eq!((settings.region.as_str(), settings.permits), ("eu-west-2", 4));
    }

    #[test]
    fn what_may_be_called_is_a_list_in_the_file_and_one_text_in_the_environment() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("pawl.toml");
        for text in [r#"["10.0.0.0/8", "hooks.internal"]"#, r#""10.0.0.0/8, hooks.internal""#] {
            std::fs::write(&file, format!("egress_allow = {text}\n")).expect("written");
            let args = ServeArgs { config: Some(file.clone()), ..ServeArgs::default() };
            let settings = Settings::load(&args).expect("loads");
            assert_eq!(settings.egress_allow, ["10.0.0.0/8", "hooks.internal"], "{text}");
        }
        let args = ServeArgs { config: Some(file), egress_allow: vec!["::1".to_owned()], ..ServeArgs::default() };
        assert_eq!(Settings::load(&args).expect("loads").egress_allow, ["::1"], "flags win");
    }

    #[test]
    fn a_word_in_the_file_that_is_no_setting_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("pawl.toml");
        std::fs::write(&file, "regoin = \"eu-west-2\"\n").expect("written");
        let args = ServeArgs { config: Some(file), ..ServeArgs::default() };
        assert!(Settings::load(&args).expect_err("refused").to_string().contains("regoin"));
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_the_place_and_without_the_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("pawl.toml");
        let refused = |text: &str| {
            std::fs::write(&file, text).expect("written");
            let args = ServeArgs { config: Some(file.clone()), ..ServeArgs::default() };
            Settings::load(&args).expect_err("refused").to_string()
        };
        for text in [
            "permits = 3\nstore = \"postgres://u:canary@h/d\npermits = 4\n",
            "permits = 3\nstore = postgres://u:canary@h/d\n",
            "permits = 3\nstore = 'postgres://u:canary@h/d' canary\n",
            "permits = 3\nstore \"postgres://u:canary@h/d\"\n",
        ] {
            let said = refused(text);
            assert!(said.contains("pawl.toml, line 2, column ") && !said.contains("canary"), "{said}");
        }
        let said = refused("[store]\nurl = \"postgres://u:canary@h/d\"\n");
        assert!(said.contains("store") && !said.contains("canary"), "{said}");
        let args = ServeArgs { config: Some("/nonexistent/pawl.toml".into()), ..ServeArgs::default() };
        assert!(Settings::load(&args).expect_err("refused").to_string().contains("/nonexistent/pawl.toml"));
    }

    #[test]
    fn every_value_out_of_range_is_refused_with_what_it_may_be() {
        let refused = |args: ServeArgs| Settings::load(&args).expect_err("refused").to_string();
        let base = ServeArgs::default;
        assert!(refused(ServeArgs { account_id: Some("12".into()), ..base() }).contains("12 digits"));
        assert!(refused(ServeArgs { region: Some("a b".into()), ..base() }).contains("us-east-1"));
        assert!(refused(ServeArgs { schedule_limits: Some("some".into()), ..base() }).contains("`aws` or `none`"));
        assert!(refused(ServeArgs { log: Some("xml".into()), ..base() }).contains("`json`"));
        assert!(refused(ServeArgs { lease: Some(4), ..base() }).contains("at least 12"));
        assert!(refused(ServeArgs { permits: Some(0), ..base() }).contains("at least 1"));
        assert!(refused(ServeArgs { store: "mysql://u:canary@x".parse().ok(), ..base() }).contains("sqlite"));
        let bad = refused(ServeArgs { store: "postgres://u:canary@x?sslmod=off".parse().ok(), ..base() });
        assert!(bad.contains("sslmod") && !bad.contains("canary"), "{bad}");
        assert!(refused(ServeArgs { tls_cert: Some("c".into()), ..base() }).contains("go together"));
        for url in
            ["pawl.example", "ftp://pawl.example", "https://pawl.example/api", "https://u:p@pawl.example", "https://"]
        {
            assert!(
                refused(ServeArgs { public_url: Some(url.into()), ..base() }).contains("https://pawl.example"),
                "{url}"
            );
        }
        let open = "0.0.0.0:7171".parse().expect("an address");
        assert!(refused(ServeArgs { listen: Some(open), ..base() }).contains("--insecure-listen"));
        assert!(Settings::load(&ServeArgs { listen: Some(open), insecure_listen: true, ..base() }).is_ok());
    }
}
