//! Builds a server from its settings: keyring, store, first key, rotators, API, scheduler.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use api::ApiState;
use api::audit::Trail;
use axum::Router;
use crypto::Keyring;
use engine::port::{Clock, RotationStore};
use rotators::{CallerSettings, Callers, Registry};
use store::{Identity, Location, NewAccessKey, OpenError, Options, Store, causes};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::audit::Audit;
use crate::clock::{Steady, SystemClock, boot_id};
use crate::config::{Settings, credentials_path};
use crate::desk::ServerDesk;
use crate::events::Events;
use crate::http::{Probes, TlsFiles, probes, serve};
use crate::keeper::Keeper;
use crate::looks::Looks;
use crate::metrics::Metrics;
use crate::scheduler::Scheduler;
use crate::workbench::{Bench, Runs};

/// The name of the principal that the first key belongs to.
pub use store::ADMINISTRATOR;

/// Why a server does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BootError(pub String);

fn boot_error(what: impl std::fmt::Display, cause: impl std::fmt::Display) -> BootError {
    BootError(format!("{what}: {cause}"))
}

/// A server that is ready to run.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The store, for tests and the demo.
    pub store: Store,
    listener: TcpListener,
    app: Router,
    tls: Option<TlsFiles>,
    scheduler: Scheduler,
    keeper: Keeper,
    events: Events,
    audit: Audit,
}

impl Server {
    /// Opens everything and binds the address. Nothing rotates before [`Server::run`].
    ///
    /// # Errors
    /// [`BootError`] with what cannot be opened and why.
    pub async fn start(settings: &Settings) -> Result<Self, BootError> {
        install_tls_provider();
        Self::start_with(settings, registry(target_ca(settings)?)?).await
    }

    /// The same with these rotators in place of the built-in ones.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(settings: &Settings, registry: Registry) -> Result<Self, BootError> {
        install_tls_provider();
        let steady = Arc::new(Steady::new(Arc::new(SystemClock)));
        let clock: Arc<dyn Clock> = Arc::clone(&steady) as Arc<dyn Clock>;
        let store = open_store(settings, Arc::clone(&clock)).await?;
        let seen = store.last_seen().await.map_err(|error| boot_error("cannot read when it was last", error))?;
        if let Some(seen) = seen {
            steady.compare(&seen, &boot_id());
        }
        first_key(&store, settings, clock.as_ref()).await?;
        store.plan_looks(clock.now()).await.map_err(|error| boot_error("cannot read what is looked at", error))?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|e| boot_error(format!("cannot listen on {}", settings.listen), e))?;
        let address = listener.local_addr().map_err(|error| boot_error("cannot listen", error))?;
        let target_ca = target_ca(settings)?;
        let registry = Arc::new(registry);
        let metrics = Arc::new(Metrics::default());
        let audit = audit(settings, &clock, &metrics)?;
        let owner = format!("{}-{}-{:08x}", std::process::id(), address.port(), rand::random::<u32>());
        let keeper = keeper(&store, &clock, &owner).await?;
        let looks = Arc::new(Looks {
            store: store.clone(),
            registry: Arc::clone(&registry),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            trail: audit.trail(),
            lease: settings.lease(),
            owner: owner.clone(),
            pace: crate::looks::Pace::default(),
        });
        let bench = bench(settings, &looks, target_ca, address)?;
        let app = app(settings, &bench, &registry, &metrics, audit.trail())?;
        let events = Events {
            store: store.clone(),
            callers: bench.callers.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            keep: crate::events::RETENTION,
        };
        let scheduler = Scheduler {
            rotations: rotation_store(&store),
            store: store.clone(),
            looks,
            callers: bench.callers,
            drills: bench.drills,
            clock: steady,
            metrics,
            trail: audit.trail(),
            permits: settings.permits,
            lease: settings.lease(),
            owner,
        };
        let tls = settings.tls_cert.clone().zip(settings.tls_key.clone()).map(|(cert, key)| TlsFiles { cert, key });
        Ok(Self { address, store, listener, app, tls, scheduler, keeper, events, audit })
    }

    /// Serves and rotates until `shutdown` says true, then drains.
    ///
    /// # Errors
    /// [`BootError`] when the listener fails or the certificate cannot be used.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> Result<(), BootError> {
        let store = self.store.clone();
        let attending = tokio::spawn(async move { store.attend().await });
        let keeping = tokio::spawn(self.keeper.run(shutdown.clone()));
        let rotating = tokio::spawn(self.scheduler.run(shutdown.clone()));
        let telling = tokio::spawn(self.events.run(shutdown.clone()));
        let served = serve(self.listener, self.app, self.tls, shutdown).await;
        attending.abort();
        if let Err(error) = served {
            rotating.abort();
            keeping.abort();
            telling.abort();
            return Err(boot_error("cannot serve", error));
        }
        let rotated = rotating.await.map_err(|error| boot_error("the scheduler stopped", error));
        if let Err(error) = telling.await {
            tracing::error!(%error, "what tells of events stopped");
        }
        let _ended = keeping.await;
        // The trail ends last, when nobody has anything to say any more.
        drop(self.audit);
        rotated
    }

    /// `http://…` or `https://…` of this server.
    #[must_use]
    pub fn url(&self) -> String {
        origin(self.tls.is_some(), self.address)
    }
}

/// rustls never has to choose: ring is the only provider compiled in. A second call does nothing.
pub fn install_tls_provider() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// Opens the store of the settings, making folder, keyring and database at the first start only.
///
/// # Errors
/// [`BootError`], in particular where a store is there and its keyring is not: a second keyring is never made.
pub async fn open_store(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Store, BootError> {
    let location = settings.location().map_err(|error| BootError(format!("--store: {error}")))?;
    refuse_to_leave_behind(settings, &location).await?;
    let (keyring, is_new) = keyring(settings, &location).await?;
    let options = Options {
        identity: Identity {
            partition: "aws".to_owned(),
            region: settings.region.clone(),
            account_id: settings.account_id.clone(),
        },
        lease: settings.lease(),
        schedule_limits: settings.limits().map_err(|error| BootError(error.to_string()))?,
        boot_id: boot_id(),
    };
    let opened = Store::open(&location, Arc::new(keyring), clock, options).await;
    if let (Err(OpenError::ForeignStore), true) = (&opened, is_new) {
        // Another node was quicker to make the store. What this keyring sealed is nothing, and it would be in the way.
        let _gone = std::fs::remove_file(settings.keyring_path());
    }
    opened.map_err(|error| not_opened(&format!("cannot open the store {location}"), &error))
}

/// Some errors say by themselves which store it is.
fn not_opened(what: &str, error: &OpenError) -> BootError {
    match error {
        OpenError::Connect { .. } | OpenError::Moved { .. } => BootError(error.to_string()),
        _ => boot_error(what, causes(error)),
    }
}

async fn exists(location: &Location) -> Result<bool, BootError> {
    let exists = Store::exists(location).await;
    exists.map_err(|error| not_opened(&format!("cannot look for a store at {location}"), &error))
}

/// A database without a store is not served from a folder that has one: what is in that would be left behind.
async fn refuse_to_leave_behind(settings: &Settings, location: &Location) -> Result<(), BootError> {
    let here = Location::Sqlite(settings.data.clone());
    if matches!(location, Location::Sqlite(_)) || !exists(&here).await? || exists(location).await? {
        return Ok(());
    }
    let data = settings.data.display();
    Err(BootError(format!(
        "{location} has no store yet, and {data} has one, in pawl.db: `pawl store copy --from sqlite://{data} --to postgres://…` moves \
         it there; to begin with nothing, move pawl.db, keyring.json and credentials of {data} away"
    )))
}

/// The keyring, and whether it was made just now.
async fn keyring(settings: &Settings, location: &Location) -> Result<(Keyring, bool), BootError> {
    let path = settings.keyring_path();
    make_private_folder(&settings.data)?;
    if path.exists() {
        let keyring = Keyring::load(&path)
            .map_err(|error| boot_error(format!("cannot read the keyring {}", path.display()), error))?;
        return Ok((keyring, false));
    }
    if exists(location).await? {
        let where_from = match location {
            Location::Sqlite(_) => "put the keyring back",
            Location::Postgres(_) => "copy the keyring of a node that serves it",
        };
        return Err(BootError(format!(
            "the store {location} is there but its keyring {} is not; {where_from} (no second one is made: it could open nothing)",
            path.display()
        )));
    }
    let keyring = Keyring::create(&path)
        .map_err(|error| boot_error(format!("cannot make the keyring {}", path.display()), error))?;
    Ok((keyring, true))
}

fn make_private_folder(folder: &Path) -> Result<(), BootError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| boot_error(format!("cannot make the data folder {}", folder.display()), error))
}

/// At the first start: an administrator's access key, in `DIR/credentials`.
async fn first_key(store: &Store, settings: &Settings, clock: &dyn Clock) -> Result<(), BootError> {
    let exists = store.has_access_keys().await.map_err(|error| boot_error("cannot read access keys", error))?;
    if exists {
        return Ok(());
    }
    let path = credentials_path(&settings.data);
    if path.exists() {
        return Err(BootError(format!(
            "the store is new, and {} has the administrator's key of another one: move that file away, and start again",
            path.display()
        )));
    }
    let made = store.create_first_access_key(ADMINISTRATOR, clock.now()).await;
    match made.map_err(|error| boot_error("cannot make the administrator's key", causes(&error)))? {
        Some(key) => write_credentials(&path, &key),
        // Another node was quicker, and has it.
        None => Ok(()),
    }
}

/// Writes a key in AWS's shared-credentials format, readable by its owner only; an old file is replaced whole.
///
/// # Errors
/// [`BootError`] with the file's name.
pub fn write_credentials(path: &Path, key: &NewAccessKey) -> Result<(), BootError> {
    let failed = |error: std::io::Error| boot_error(format!("cannot write {}", path.display()), error);
    let fresh = path.with_extension("new");
    let _leftover = std::fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    let secret = key.secret.expose_str().unwrap_or_default();
    let text = format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n", key.access_key_id);
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)
}

async fn keeper(store: &Store, clock: &Arc<dyn Clock>, owner: &str) -> Result<Keeper, BootError> {
    // Nodes of two machines may have the same process number and port.
    let node = format!("{owner}-{:08x}", rand::random::<u32>());
    let mut keeper = Keeper::new(store.clone(), Arc::clone(clock), node);
    keeper.begin().await.map_err(|error| boot_error("cannot write to the store", causes(&error)))?;
    Ok(keeper)
}

fn target_ca(settings: &Settings) -> Result<Option<Vec<u8>>, BootError> {
    let Some(file) = &settings.target_ca else { return Ok(None) };
    let pem = std::fs::read(file);
    pem.map(Some).map_err(|error| boot_error(format!("cannot read --target-ca {}", file.display()), error))
}

fn registry(target_ca: Option<Vec<u8>>) -> Result<Registry, BootError> {
    Registry::new(&rotators::Settings { target_ca }).map_err(bad_authorities)
}

fn bad_authorities(error: rotators::BadPem) -> BootError {
    boot_error("cannot use the certificate authorities for targets", error)
}

/// What calls registered rotators, and what operations on them need.
fn bench(
    settings: &Settings,
    looks: &Arc<Looks>,
    target_ca: Option<Vec<u8>>,
    address: SocketAddr,
) -> Result<Bench, BootError> {
    let endpoint = endpoint(settings, address);
    let (store, clock) = (looks.store.clone(), Arc::clone(&looks.clock));
    let desk = ServerDesk {
        store: store.clone(),
        clock: Arc::clone(&clock),
        endpoint: endpoint.clone(),
        region: settings.region.clone(),
    };
    let egress = settings.egress().map_err(|error| boot_error("cannot read --egress-allow", error))?;
    let callers = CallerSettings { egress, target_ca, ..CallerSettings::default() };
    let callers = Callers::new(callers, Arc::new(desk)).map_err(bad_authorities)?;
    let looks = Arc::clone(looks);
    Ok(Bench { store, callers, drills: Arc::default(), clock, endpoint, looks, runs: Runs::default() })
}

/// Where functions call this server. Who listens on every address has no one address to be told.
fn endpoint(settings: &Settings, address: SocketAddr) -> Option<String> {
    let own = || (!address.ip().is_unspecified()).then(|| origin(settings.tls_cert.is_some(), address));
    settings.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()).or_else(own)
}

fn origin(tls: bool, address: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn audit(settings: &Settings, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Result<Audit, BootError> {
    let folder = settings.audit_path();
    let counted = Arc::clone(metrics);
    Audit::start(&folder, Arc::clone(clock), Arc::new(move |count| counted.audit_lost(count)))
        .map_err(|error| boot_error(format!("cannot open the audit trail in {}", folder.display()), error))
}

fn app(
    settings: &Settings,
    bench: &Bench,
    registry: &Arc<Registry>,
    metrics: &Arc<Metrics>,
    trail: Arc<dyn Trail>,
) -> Result<Router, BootError> {
    let Bench { store, clock, callers, .. } = bench;
    let known = Arc::clone(registry);
    let counted = Arc::clone(metrics);
    let state = ApiState {
        store: store.clone(),
        clock: Arc::clone(clock),
        wall: Arc::new(SystemClock),
        region: settings.region.clone(),
        account_id: settings.account_id.clone(),
        limits: settings.limits().map_err(|error| BootError(error.to_string()))?,
        builtins: registry.names().map(ToOwned::to_owned).collect(),
        builtin: Arc::new(move |name| known.get(name).is_some()),
        workbench: Some(Arc::new(bench.clone())),
        observer: Some(Arc::new(move |operation, status, took| counted.call_ended(operation, status, took))),
        trail: Some(trail),
    };
    let probing = Probes {
        store: store.clone(),
        metrics: Arc::clone(metrics),
        clock: Arc::clone(clock),
        callers: callers.clone(),
    };
    Ok(api::router(state).merge(probes(probing)))
}

#[cfg(not(feature = "failpoints"))]
fn rotation_store(store: &Store) -> Arc<dyn RotationStore> {
    Arc::new(store.clone())
}

#[cfg(feature = "failpoints")]
fn rotation_store(store: &Store) -> Arc<dyn RotationStore> {
    Arc::new(crate::failpoints::Breakable(store.clone()))
}
