//! Owns the password hashes of MySQL and MariaDB: making them, so that no clear password stands in a statement, and
//! checking them, so that a row nobody here can log in to is still known. Never here: SQL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use curve25519_dalek::edwards::EdwardsPoint;
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// The authentication plugins whose hashes we make and check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    /// `mysql_native_password`
    Native,
    /// `caching_sha2_password` (MySQL)
    CachingSha2,
    /// `ed25519` (MariaDB)
    Ed25519,
}

/// Thousands of rounds where the row does not tell: MySQL's default up to 9.4.
const ROUNDS: u32 = 5;
const SALT: usize = 20;

impl Plugin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Ed25519 => "ed25519",
        }
    }

    /// A hash of `password` as the server stores it, in the manner of the hash it replaces.
    pub(crate) fn make(self, password: &str, replaces: &[u8]) -> Vec<u8> {
        match self {
            Self::Native => native(password),
            Self::Ed25519 => ed25519(password),
            Self::CachingSha2 => {
                let salt: Vec<u8> = rand::rng().sample_iter(Alphanumeric).take(SALT).collect();
                let thousands = parse_caching(replaces).map_or(ROUNDS, |(thousands, _, _)| thousands);
                caching_sha2(password, &salt, thousands)
            }
        }
    }

    /// Is `stored` a hash of `password`?
    pub(crate) fn holds(self, stored: &[u8], password: &str) -> bool {
        match self {
            Self::Native => equal(&native(password), &stored.to_ascii_uppercase()),
            Self::Ed25519 => equal(&ed25519(password), stored),
            Self::CachingSha2 => parse_caching(stored)
                .is_some_and(|(thousands, salt, _)| equal(&caching_sha2(password, salt, thousands), stored)),
        }
    }
}

/// Compares hashes without telling by time how much of them agrees.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// `*` and the hexadecimal SHA-1 of the SHA-1.
fn native(password: &str) -> Vec<u8> {
    let twice = Sha1::digest(Sha1::digest(password.as_bytes()));
    format!("*{}", hex::encode_upper(twice)).into_bytes()
}

/// The public key whose secret is the SHA-512 of the password, as ed25519 derives it.
fn ed25519(password: &str) -> Vec<u8> {
    let hashed: [u8; 64] = Sha512::digest(password.as_bytes()).into();
    let mut scalar = [0; 32];
    scalar.copy_from_slice(&hashed[..32]);
    let public = EdwardsPoint::mul_base_clamped(scalar).compress();
    STANDARD_NO_PAD.encode(public.as_bytes()).into_bytes()
}

/// `$A$` rounds/1000 in hexadecimal `$` salt digest.
fn caching_sha2(password: &str, salt: &[u8], thousands: u32) -> Vec<u8> {
    let mut out = format!("$A${thousands:03X}$").into_bytes();
    out.extend_from_slice(salt);
    out.extend_from_slice(&sha256_crypt(password.as_bytes(), salt, thousands.saturating_mul(1000)));
    out
}

fn parse_caching(stored: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let rest = stored.strip_prefix(b"$A$")?;
    let thousands = std::str::from_utf8(rest.get(..3)?).ok()?;
    let thousands = u32::from_str_radix(thousands, 16).ok().filter(|t| *t > 0)?;
    let rest = rest.get(3..)?.strip_prefix(b"$")?;
    (rest.len() > SALT).then(|| (thousands, &rest[..SALT], &rest[SALT..]))
}

/// Ulrich Drepper's SHA-crypt with SHA-256, the digest alone; MySQL takes a salt of 20 bytes where crypt(3) takes 16.
fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let inner = Sha256::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut context = Sha256::new().chain_update(password).chain_update(salt);
    context.update(repeated(&inner, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            context.update(inner);
        } else {
            context.update(password);
        }
        bits >>= 1;
    }
    let mut digest = context.finalize();

    let mut of_password = Sha256::new();
    for _ in 0..password.len() {
        of_password.update(password);
    }
    let p = repeated(&of_password.finalize(), password.len());
    let mut of_salt = Sha256::new();
    for _ in 0..16 + usize::from(digest[0]) {
        of_salt.update(salt);
    }
    let s = repeated(&of_salt.finalize(), salt.len());

    for round in 0..rounds {
        let mut context = Sha256::new();
        if round & 1 == 1 {
            context.update(&p);
        } else {
            context.update(digest);
        }
        if round % 3 != 0 {
            context.update(&s);
        }
        if round % 7 != 0 {
            context.update(&p);
        }
        if round & 1 == 1 {
            context.update(digest);
        } else {
            context.update(&p);
        }
        digest = context.finalize();
    }
    crypt_base64(&digest)
}

/// As many bytes as asked for, from `block` over and over.
fn repeated(block: &[u8], length: usize) -> Vec<u8> {
    block.iter().copied().cycle().take(length).collect()
}

/// crypt(3)'s own order of bytes and alphabet.
fn crypt_base64(digest: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = Vec::with_capacity(43);
    let mut put = |word: u32, characters: usize| {
        for i in 0..characters {
            out.push(ALPHABET[(word >> (6 * i) & 63) as usize]);
        }
    };
    let byte = |i: usize| u32::from(digest[i]);
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        put(byte(a) << 16 | byte(b) << 8 | byte(c), 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    put(byte(31) << 8 | byte(30), 3);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_the_servers_make() {
        // From MariaDB 10.11: PASSWORD('a1') and ed25519 of 'secret'.
        assert_eq!(native("a1"), b"*926080ADAB0AC007D58F0F4199A5239AC6A98EF2");
        assert_eq!(ed25519("secret"), b"ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY");
        // The published test vector of SHA-crypt ("$5$saltstring$", 5000 rounds).
        assert_eq!(sha256_crypt(b"Hello world!", b"saltstring", 5000), b"5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
    }

    #[test]
    fn a_hash_holds_its_password_and_no_other_and_keeps_the_rounds_it_replaces() {
        for plugin in [Plugin::Native, Plugin::CachingSha2, Plugin::Ed25519] {
            let made = plugin.make("pass", b"");
            assert!(plugin.holds(&made, "pass"), "{plugin:?}");
            assert!(!plugin.holds(&made, "Pass"), "{plugin:?}");
            assert!(!plugin.holds(b"", "pass") && !plugin.holds(b"$A$00", "pass"), "{plugin:?}");
        }
        let ten_thousand = caching_sha2("old", &[b'x'; SALT], 10);
        assert!(ten_thousand.starts_with(b"$A$00A$"));
        assert!(Plugin::CachingSha2.make("new", &ten_thousand).starts_with(b"$A$00A$"));
        assert!(Plugin::CachingSha2.make("new", b"").starts_with(b"$A$005$"));
    }
}
