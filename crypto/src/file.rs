//! The keyring's file: JSON, mode 0600, made whole or not at all, and never overwritten.
//!
//! Never here: deciding whether there should be one. Whoever starts a new store decides that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::envelope::SealError;
use crate::key::{KEY_LENGTH, Key, KeyId};
use crate::keyring::Keyring;

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
    /// No key could be made.
    #[error(transparent)]
    Seal(#[from] SealError),
}

#[derive(Deserialize)]
struct FileForm<'a> {
    format: u32,
    #[serde(borrow)]
    primary: &'a str,
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

impl Keyring {
    /// Reads a keyring file.
    ///
    /// # Errors
    /// [`KeyringFileError::Read`], [`KeyringFileError::Format`].
    pub fn load(path: &Path) -> Result<Self, KeyringFileError> {
        let text = fs::read(path).map(Zeroizing::new);
        let text = text.map_err(|source| KeyringFileError::Read { path: path.to_owned(), source })?;
        parse(&text).map_err(|what| KeyringFileError::Format { path: path.to_owned(), what })
    }

    /// Generates a keyring and puts it into a new file of mode 0600, synced with its directory before this returns.
    /// The file appears whole or not at all; one that is there already is never touched.
    ///
    /// # Errors
    /// [`KeyringFileError::Create`]; its source is `AlreadyExists` where there is a file.
    pub fn create(path: &Path) -> Result<Self, KeyringFileError> {
        let keyring = Self::generate()?;
        let failed = |source| KeyringFileError::Create { path: path.to_owned(), source };
        keyring.write_new(path).map_err(failed)?;
        Ok(keyring)
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let draft = directory.join(format!(".{name}.{}", self.primary_id()));
        let text = self.to_text();
        write_synced(&draft, &text)?;
        // A hard link either makes the whole file appear or fails because there is one.
        let linked = match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => write_synced(path, &text),
            other => other,
        };
        fs::remove_file(&draft)?;
        linked?;
        File::open(directory)?.sync_all()
    }

    /// Written by hand into a buffer that never grows, so that no copy of a key is left behind.
    fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(256 + 128 * self.keys().count()));
        text.push_str("{\n  \"format\": 1,\n  \"primary\": \"");
        text.push_str(&self.primary_id().to_string());
        text.push_str("\",\n  \"keys\": [");
        for (i, key) in self.keys().enumerate() {
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
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parse(text: &[u8]) -> Result<Keyring, &'static str> {
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
    Ok(Keyring::from_keys(primary, keys))
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
