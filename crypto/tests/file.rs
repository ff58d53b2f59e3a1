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
    let sealed = before.seal(&place(), b"x").unwrap();
    let after = file("000000000000000b", &format!("{a}, {b}"));
    assert_eq!(after.primary_id().to_string(), "000000000000000b");
    assert_eq!(*after.open(&place(), &sealed).unwrap(), b"x");
    assert_eq!(crypto::sealed_under(&after.rewrap(&place(), &sealed).unwrap()).unwrap(), after.primary_id());
}

#[test]
fn a_key_that_came_into_the_file_since_is_found_there_when_it_is_needed_and_seals_when_it_is_told_to() {
    let directory = Directory::new("since");
    let path = directory.0.join("keyring.json");
    let here = Keyring::create(&path).unwrap();
    let old = here.primary_id();
    let key = Keyring::add_next(&path).unwrap();
    assert_eq!(Keyring::add_next(&path).unwrap(), key, "one that waits is used");
    let elsewhere = Keyring::load(&path).unwrap();
    assert_eq!(elsewhere.primary_id(), old, "it waits");
    elsewhere.seal_under(key).unwrap();
    assert_eq!(here.key_ids(), [old]);
    assert!(seals_for(&elsewhere, &here), "the file is read again");
    assert_eq!(here.key_ids(), [old, key]);
    assert_eq!(here.primary_id(), old);
    here.seal_under(key).unwrap();
    assert_eq!(here.key_ids(), [key, old]);
    let strange = Keyring::generate().unwrap();
    assert!(here.seal_under(strange.primary_id()).is_err() && !seals_for(&strange, &here));
    assert!(!here.reread().unwrap(), "nothing is read twice");
    fs::write(&path, "broken").unwrap();
    assert!(here.reread().is_err() && seals_for(&elsewhere, &here), "what is at hand stays");
}

#[test]
fn a_key_becomes_primary_and_an_old_one_is_taken_out_and_the_file_before_is_kept() {
    let directory = Directory::new("change");
    let path = directory.0.join("keyring.json");
    let old = Keyring::create(&path).unwrap().primary_id();
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    assert!(matches!(Keyring::use_next(&path), Err(KeyringFileError::Refused { .. })), "none waits");
    assert!(matches!(Keyring::take_out(&path, old), Err(KeyringFileError::Refused { .. })), "it is primary");
    let first = text(&path);
    let key = Keyring::add_next(&path).unwrap();
    assert_eq!(text(&Keyring::kept_beside(&path)), first);
    assert!(matches!(Keyring::take_out(&path, key), Err(KeyringFileError::Refused { .. })), "it is to be primary");
    // What a kill in the middle leaves behind is in nobody's way.
    fs::write(directory.0.join(".keyring.json.new"), "half").unwrap();
    assert_eq!(Keyring::use_next(&path).unwrap(), key);
    let listed = Keyring::list(&path).unwrap();
    assert_eq!((listed.primary, listed.next, listed.keys), (key, None, vec![key, old]));
    let second = text(&path);
    Keyring::take_out(&path, old).unwrap();
    assert_eq!(Keyring::list(&path).unwrap().keys, [key]);
    assert_eq!(text(&Keyring::kept_beside(&path)), second);
    assert!(matches!(Keyring::take_out(&path, old), Err(KeyringFileError::Refused { .. })), "it is not there");
    for file in [&path, &Keyring::kept_beside(&path)] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let mut left: Vec<_> = fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["keyring.json", "keyring.json.before"]);
}

#[test]
fn an_export_is_private_opens_the_same_and_overwrites_nothing() {
    let directory = Directory::new("export");
    let path = directory.0.join("keyring.json");
    let keyring = Keyring::create(&path).unwrap();
    let to = directory.0.join("copy.json");
    Keyring::export(&path, &to).unwrap();
    assert!(seals_for(&keyring, &Keyring::load(&to).unwrap()));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Keyring::export(&path, &to), Err(KeyringFileError::Create { .. })));
    assert_eq!(*Keyring::text(&path).unwrap(), fs::read_to_string(&to).unwrap());
}
