//! The keyring's file: private, whole, never overwritten.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crypto::{Binding, Keyring, KeyringFileError, Kind};

/// A directory of its own, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pawl-keyring-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.join("keyring.json");
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn place() -> Binding<'static> {
    Binding { kind: Kind::Check, owner: "store", version: "", candidate: 0 }
}

fn seals_for(one: &Keyring, other: &Keyring) -> bool {
    let sealed = one.seal(&place(), b"x").unwrap();
    other.open(&place(), &sealed).is_ok()
}

#[test]
fn a_keyring_that_was_created_is_loaded_again() {
    let directory = Directory::new("round");
    let path = directory.0.join("keyring.json");
    let created = Keyring::create(&path).unwrap();
    let loaded = Keyring::load(&path).unwrap();
    assert_eq!(created.primary_id(), loaded.primary_id());
    assert!(seals_for(&created, &loaded) && seals_for(&loaded, &created));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["keyring.json"], "no draft is left behind");
}

#[test]
fn a_keyring_is_never_overwritten() {
    let directory = Directory::new("twice");
    let path = directory.0.join("keyring.json");
    for contents in ["", "something else"] {
        fs::write(&path, contents).unwrap();
        let error = Keyring::create(&path).unwrap_err();
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
    }
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
}

#[test]
fn of_many_who_create_it_at_once_one_succeeds_and_all_agree() {
    let directory = Directory::new("race");
    let path = directory.0.join("keyring.json");
    let created: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| Keyring::create(&path).ok())).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].primary_id(), Keyring::load(&path).unwrap().primary_id());
}

#[test]
fn what_is_no_keyring_is_refused_without_being_quoted() {
    let directory = Directory::new("bad");
    let key = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    let with = |format: u32, primary: &str, keys: &[(&str, &str)]| {
        let keys: Vec<String> = keys.iter().map(|(id, key)| format!(r#"{{"id":"{id}","key":"{key}"}}"#)).collect();
        format!(r#"{{"format":{format},"primary":"{primary}","keys":[{}]}}"#, keys.join(","))
    };
    let one = "0000000000000001";
    assert!(Keyring::load(&directory.file(&with(1, one, &[(one, key)]))).is_ok());
    let bad = [
        String::new(),
        "QUFBQUFBQUFBQUFB".to_owned(),
        with(2, one, &[(one, key)]),
        with(1, "0000000000000002", &[(one, key)]),
        with(1, one, &[(one, key), (one, key)]),
        with(1, one, &[(one, "QUFB")]),
        with(1, one, &[(one, "%%%%")]),
        with(1, "1", &[("1", key)]),
        with(1, one, &[]),
    ];
    for text in bad {
        let error = Keyring::load(&directory.file(&text)).unwrap_err();
        assert!(matches!(error, KeyringFileError::Format { .. }), "{text}");
        assert!(!format!("{error} {error:?}").contains("QUFB"), "{error:?}");
    }
    let absent = Keyring::load(Path::new("/nonexistent/keyring.json")).unwrap_err();
    assert!(matches!(absent, KeyringFileError::Read { .. }));
}

// F124
#[test]
fn an_older_key_in_the_file_still_opens() {
    let directory = Directory::new("older");
    let file = |primary: &str, keys: &str| {
        let text = format!(r#"{{ "format": 1, "primary": "{primary}", "keys": [{keys}] }}"#);
        Keyring::load(&directory.file(&text)).unwrap()
    };
    let a = r#"{ "id": "000000000000000a", "key": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=" }"#;
    let b = r#"{ "id": "000000000000000b", "key": "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=" }"#;
    let before = file("000000000000000a", a);
    let after = file("000000000000000b", &format!("{a}, {b}"));
    assert!(seals_for(&before, &after));
    assert!(!seals_for(&after, &before));
}
