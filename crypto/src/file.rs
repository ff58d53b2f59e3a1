//! The keyring's file: JSON, mode 0600, made whole or not at all. A change puts a whole new file in its place and keeps the one
//! before beside it.
//!
//! Never here: deciding whether there should be one, or when a key is added or taken out. Whoever starts a new store decides the
//! one, an operator the other.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::SysRng;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::envelope::SealError;
use crate::key::{KEY_LENGTH, Key, KeyId};
use crate::keyring::{Keyring, Ring};

/// The one format there is.
const FORMAT: u32 = 1;

/// Why a keyring file could not be read or made. Carries nothing of its contents.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFileError {
    /// The file could not be read.
    #[error("cannot read the keyring {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be written; there is none, or the one that was there is untouched.
    #[error("cannot create the keyring {path}")]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was read is no keyring.
    #[error("{path} is not a keyring: {what}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file could not be replaced; the one that was there is untouched.
    #[error("cannot change the keyring {path}")]
    Change {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was asked makes no sense of this keyring.
    #[error("{what}")]
    Refused {
        /// Why, and what to do.
        what: String,
    },
    /// No key could be made.
    #[error(transparent)]
    Seal(#[from] SealError),
}

#[derive(Deserialize)]
struct FileForm<'a> {
    format: u32,
    #[serde(borrow)]
    primary: &'a str,
    /// An earlier binary does not know it, and needs not.
    #[serde(borrow, default)]
    next: Option<&'a str>,
    #[serde(borrow)]
    keys: Vec<KeyForm<'a>>,
}

#[derive(Deserialize)]
struct KeyForm<'a> {
    #[serde(borrow)]
    id: &'a str,
    #[serde(borrow)]
    key: &'a str,
}

/// Where a keyring was read from.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// What the file was when it was read last.
    seen: Mutex<Option<Stamp>>,
}

/// Tells one file from what another program puts in its place.
type Stamp = (u64, u64, i64, i64);

impl Source {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Mutex::new(stamp(path)) }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

/// What a keyring's file says of its keys. Their bytes stay in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key that seals, for a store that is new.
    pub primary: KeyId,
    /// The key that is to become primary when every node has it.
    pub next: Option<KeyId>,
    /// Every key, the primary first.
    pub keys: Vec<KeyId>,
}

impl Keyring {
    /// Reads a keyring file.
    ///
    /// # Errors
    /// [`KeyringFileError::Read`], [`KeyringFileError::Format`].
    pub fn load(path: &Path) -> Result<Self, KeyringFileError> {
        // Looked at first: what is put there in between is read again then.
        let source = Source::of(path);
        Ok(Self::of(read(path)?, Some(source)))
    }

    /// Generates a keyring and puts it into a new file of mode 0600, synced with its directory before this returns.
    /// The file appears whole or not at all; one that is there already is never touched.
    ///
    /// # Errors
    /// [`KeyringFileError::Create`]; its source is `AlreadyExists` where there is a file.
    pub fn create(path: &Path) -> Result<Self, KeyringFileError> {
        let ring = Ring::generate(&mut SysRng)?;
        write_new(path, &to_text(&ring))
            .map_err(|source| KeyringFileError::Create { path: path.to_owned(), source })?;
        Ok(Self::of(ring, Some(Source::of(path))))
    }

    /// Takes over the keys that were added to its file since it was read. A key that is no more in the file stays. Says whether
    /// the file is another one than when it was read last.
    ///
    /// # Errors
    /// As [`Keyring::load`]; the keys stay as they are, and the file is read again when it changes.
    pub fn reread(&self) -> Result<bool, KeyringFileError> {
        let Some(source) = self.source() else { return Ok(false) };
        let mut seen = source.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&source.path);
        if now.is_none() || now == *seen {
            return Ok(false);
        }
        *seen = now;
        self.take_over(&read(&source.path)?);
        Ok(true)
    }

    /// What its file says; None where it was not read from one.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub fn listed(&self) -> Result<Option<Listed>, KeyringFileError> {
        self.source().map(|source| Self::list(&source.path)).transpose()
    }

    /// What a keyring's file says.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub fn list(path: &Path) -> Result<Listed, KeyringFileError> {
        let ring = read(path)?;
        Ok(Listed { primary: ring.primary.id, next: ring.next, keys: ring.keys().map(|key| key.id).collect() })
    }

    /// Writes the keyring in `path` into a new file, of mode 0600; one that is there is never touched.
    ///
    /// # Errors
    /// As [`Keyring::load`] and [`Keyring::create`].
    pub fn export(path: &Path, to: &Path) -> Result<Listed, KeyringFileError> {
        let ring = read(path)?;
        write_new(to, &to_text(&ring)).map_err(|source| KeyringFileError::Create { path: to.to_owned(), source })?;
        Self::list(to)
    }

    /// The text of the keyring in `path`, once it is known to be one.
    ///
    /// # Errors
    /// As [`Keyring::load`].
    pub fn text(path: &Path) -> Result<Zeroizing<String>, KeyringFileError> {
        Ok(to_text(&read(path)?))
    }

    /// Adds a fresh key to the keyring in `path`, to become primary later. One that waits for that already is used. Returns it.
    ///
    /// # Errors
    /// As [`Keyring::load`]; [`KeyringFileError::Change`]; or no key could be made.
    pub fn add_next(path: &Path) -> Result<KeyId, KeyringFileError> {
        change(path, |mut ring| {
            if ring.next.is_none() {
                let key = Key::generate(&mut SysRng)?;
                ring.next = Some(key.id);
                ring.others.push(key);
            }
            Ok(ring)
        })
        .map(|ring| ring.next.unwrap_or(ring.primary.id))
    }

    /// Makes the key that waits for it the primary one of the keyring in `path`.
    ///
    /// # Errors
    /// As [`Keyring::add_next`]; [`KeyringFileError::Refused`] where none waits.
    pub fn use_next(path: &Path) -> Result<KeyId, KeyringFileError> {
        change(path, |ring| {
            let next = ring.next.ok_or_else(|| refused("no key of this keyring waits to become primary"))?;
            let ring = ring.with_primary(next).ok_or(SealError::UnknownKey(next))?;
            Ok(Ring { next: None, ..ring })
        })
        .map(|ring| ring.primary.id)
    }

    /// Takes a key out of the keyring in `path`: what it sealed opens no more, in old backups too.
    ///
    /// # Errors
    /// As [`Keyring::add_next`]; [`KeyringFileError::Refused`] where it is the primary key, is to become it, or is not there.
    pub fn take_out(path: &Path, id: KeyId) -> Result<(), KeyringFileError> {
        change(path, |mut ring| {
            if ring.primary.id == id || ring.next == Some(id) {
                return Err(refused(&format!("key {id} is the primary one, or is to become it: it stays")));
            }
            let before = ring.others.len();
            ring.others.retain(|key| key.id != id);
            if ring.others.len() == before { Err(refused(&format!("the keyring has no key {id}"))) } else { Ok(ring) }
        })
        .map(drop)
    }

    /// Where the file before the last change is kept.
    #[must_use]
    pub fn kept_beside(path: &Path) -> PathBuf {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".before");
        path.with_file_name(name)
    }
}

fn refused(what: &str) -> KeyringFileError {
    KeyringFileError::Refused { what: what.to_owned() }
}

fn read(path: &Path) -> Result<Ring, KeyringFileError> {
    let text = fs::read(path).map(Zeroizing::new);
    let text = text.map_err(|source| KeyringFileError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|what| KeyringFileError::Format { path: path.to_owned(), what })
}

/// Puts what `of` makes of the keyring in its place. One at a time: whoever changes it has the lock of its folder.
fn change(path: &Path, of: impl FnOnce(Ring) -> Result<Ring, KeyringFileError>) -> Result<Ring, KeyringFileError> {
    let failed = |source| KeyringFileError::Change { path: path.to_owned(), source };
    let folder = File::open(folder_of(path)).map_err(failed)?;
    folder.lock().map_err(failed)?;
    let before = read(path)?;
    let ids = |ring: &Ring| (ring.primary.id, ring.next, ring.others.len());
    let was = ids(&before);
    let ring = of(before)?;
    if ids(&ring) != was {
        replace(path, &to_text(&ring)).and_then(|()| folder.sync_all()).map_err(failed)?;
    }
    Ok(ring)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let (draft, before) = (draft_of(path, "new")?, Keyring::kept_beside(path));
    let kept = draft_of(path, "before")?;
    for leftover in [&draft, &kept] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    write_synced(&draft, text)?;
    // The file before is kept first, so that at no moment there is only the new one.
    let old = fs::read(path).map(Zeroizing::new)?;
    write_synced(&kept, std::str::from_utf8(&old).map_err(|_| io::ErrorKind::InvalidData)?)?;
    fs::rename(&kept, &before)?;
    fs::rename(&draft, path)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn draft_of(path: &Path, what: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Ok(folder_of(path).join(format!(".{name}.{what}")))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    // Another process may be making the same file.
    let mut number = [0u8; KeyId::LENGTH];
    rand::TryRng::try_fill_bytes(&mut SysRng, &mut number).map_err(|_| io::ErrorKind::Other)?;
    let draft = draft_of(path, &KeyId::from_bytes(number).to_string())?;
    write_synced(&draft, text)?;
    // A hard link either makes the whole file appear or fails because there is one.
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => write_synced(path, text),
        other => other,
    };
    fs::remove_file(&draft)?;
    linked?;
    File::open(folder_of(path))?.sync_all()
}

/// Written by hand into a buffer that never grows, so that no copy of a key is left behind.
fn to_text(ring: &Ring) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(320 + 128 * ring.keys().count()));
    text.push_str("{\n  \"format\": 1,\n  \"primary\": \"");
    text.push_str(&ring.primary.id.to_string());
    if let Some(next) = ring.next {
        text.push_str("\",\n  \"next\": \"");
        text.push_str(&next.to_string());
    }
    text.push_str("\",\n  \"keys\": [");
    for (i, key) in ring.keys().enumerate() {
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str("    { \"id\": \"");
        text.push_str(&key.id.to_string());
        text.push_str("\", \"key\": \"");
        text.push_str(&Zeroizing::new(STANDARD.encode(key.bytes.as_slice())));
        text.push_str("\" }");
    }
    text.push_str("\n  ]\n}\n");
    text
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parse(text: &[u8]) -> Result<Ring, &'static str> {
    // serde_json's own message could quote the text, so only ours is kept.
    let form: FileForm<'_> = serde_json::from_slice(text).map_err(|_| "it is not JSON of the form we write")?;
    if form.format != FORMAT {
        return Err("its format is not one this binary knows");
    }
    let primary = KeyId::parse(form.primary).ok_or("the id of the primary key is not 16 hexadecimal digits")?;
    let mut keys = form.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    for (i, key) in keys.iter().enumerate() {
        if keys[..i].iter().any(|earlier| earlier.id == key.id) {
            return Err("two keys share one id");
        }
    }
    let at = keys.iter().position(|key| key.id == primary).ok_or("the primary key is not among its keys")?;
    let primary = keys.remove(at);
    let next = form.next.map(|id| KeyId::parse(id).ok_or("the id of the next key is not 16 hexadecimal digits"));
    let next = next.transpose()?;
    if next.is_some_and(|next| !keys.iter().any(|key| key.id == next)) {
        return Err("the next key is not among its keys");
    }
    Ok(Ring { primary, others: keys, next })
}

fn key(form: &KeyForm<'_>) -> Result<Key, &'static str> {
    let id = KeyId::parse(form.id).ok_or("the id of a key is not 16 hexadecimal digits")?;
    let decoded = STANDARD.decode(form.key).map(Zeroizing::new).map_err(|_| "a key is not base64")?;
    let mut bytes = Zeroizing::new([0u8; KEY_LENGTH]);
    if decoded.len() != KEY_LENGTH {
        return Err("a key does not have 32 bytes");
    }
    bytes.copy_from_slice(&decoded);
    Ok(Key { id, bytes })
}
