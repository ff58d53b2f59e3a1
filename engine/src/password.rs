//! Passwords: which characters a password may have, and drawing one.
//!
//! Owns the rules of GetRandomPassword and those of our rotators. Never here: a source of randomness (it is an
//! argument), or a copy of a password outside wiped memory.

use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// What a password is made of. The fields are those of AWS's GetRandomPassword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    /// How many characters, 1 to 4096.
    pub length: usize,
    /// Characters not to use; a plain set, not a pattern.
    pub exclude_characters: String,
    /// No digits.
    pub exclude_numbers: bool,
    /// No ``!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~``.
    pub exclude_punctuation: bool,
    /// No upper-case letters.
    pub exclude_uppercase: bool,
    /// No lower-case letters.
    pub exclude_lowercase: bool,
    /// The space is one of the characters to draw from. It is never required.
    pub include_space: bool,
    /// At least one character of every class that is not excluded.
    pub require_each_included_type: bool,
}

/// Rules that no password can follow. `Display` is AWS's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The length is not within 1 to 4096.
    #[error("Password length must be at least 1 and at most 4096.")]
    BadLength,
    /// Fewer characters than required classes.
    #[error("Password length is too short based on the required types.")]
    TooShort,
    /// No character is left to draw from.
    #[error("All characters have been excluded from selection.")]
    NothingLeft,
    /// A required class has no character left.
    #[error("All characters of the desired type have been excluded.")]
    ClassExcluded,
    /// The generator repeats itself: no draw of very many followed the rules.
    #[error("The source of randomness gives no usable password.")]
    BrokenRandomness,
}

impl Default for PasswordRules {
    /// GetRandomPassword without parameters.
    fn default() -> Self {
        Self {
            length: 32,
            exclude_characters: String::new(),
            exclude_numbers: false,
            exclude_punctuation: false,
            exclude_uppercase: false,
            exclude_lowercase: false,
            include_space: false,
            require_each_included_type: true,
        }
    }
}

impl PasswordRules {
    /// What our rotators use when nobody says otherwise: 32 characters of letters, digits and `-._~`, at least one of
    /// each kind. Nothing in it needs quoting in a URL, a shell, a connection string or SQL.
    #[must_use]
    pub fn for_rotators() -> Self {
        Self { exclude_characters: PUNCTUATION.chars().filter(|c| !"-._~".contains(*c)).collect(), ..Self::default() }
    }

    /// Draws a password: every one that follows the rules is equally likely.
    ///
    /// # Errors
    /// [`PasswordError`] when the rules allow none.
    pub fn generate(&self, rng: &mut (impl rand::Rng + ?Sized)) -> Result<SecretBytes, PasswordError> {
        let classes = self.classes();
        let pool = self.pool(&classes)?;
        let mut draw = Draw::new(rng, &pool);
        let mut password = Zeroizing::new(Vec::with_capacity(self.length));
        // Drawing all anew until every class is there is what keeps the draw uniform. One in two thousand draws fits in
        // the worst case (length 4, one character left in three classes), so the bound is met by a broken rng only.
        for _ in 0..MAX_DRAWS {
            password.clear();
            password.extend((0..self.length).map(|_| draw.next()));
            let has = |class: &Vec<u8>| password.iter().any(|byte| class.contains(byte));
            if !self.require_each_included_type || classes.iter().all(has) {
                return Ok(SecretBytes::new(std::mem::take(&mut *password)));
            }
        }
        Err(PasswordError::BrokenRandomness)
    }

    /// The characters left of each class that is not excluded as a whole.
    fn classes(&self) -> Vec<Vec<u8>> {
        let classes = [
            (UPPERCASE, self.exclude_uppercase),
            (LOWERCASE, self.exclude_lowercase),
            (NUMBERS, self.exclude_numbers),
            (PUNCTUATION, self.exclude_punctuation),
        ];
        let included = classes.iter().filter(|(_, excluded)| !excluded);
        included.map(|(characters, _)| self.allowed(characters)).collect()
    }

    fn allowed(&self, characters: &str) -> Vec<u8> {
        let allowed = characters.chars().filter(|c| !self.exclude_characters.contains(*c));
        allowed.map(|c| c as u8).collect()
    }

    /// Everything to draw from.
    fn pool(&self, classes: &[Vec<u8>]) -> Result<Vec<u8>, PasswordError> {
        if !(1..=4096).contains(&self.length) {
            return Err(PasswordError::BadLength);
        }
        let mut pool = classes.concat();
        if self.include_space {
            pool.extend(self.allowed(" "));
        }
        if pool.is_empty() {
            return Err(PasswordError::NothingLeft);
        }
        if self.require_each_included_type {
            if classes.iter().any(Vec::is_empty) {
                return Err(PasswordError::ClassExcluded);
            }
            if self.length < classes.len() {
                return Err(PasswordError::TooShort);
            }
        }
        Ok(pool)
    }
}

/// Draws characters of a pool, all equally likely: bytes that would favour the front of the pool are thrown away.
struct Draw<'a, R: ?Sized> {
    rng: &'a mut R,
    pool: &'a [u8],
    random: Zeroizing<[u8; 64]>,
    used: usize,
}

impl<'a, R: rand::Rng + ?Sized> Draw<'a, R> {
    fn new(rng: &'a mut R, pool: &'a [u8]) -> Self {
        let random = Zeroizing::new([0; 64]);
        let used = random.len();
        Self { rng, pool, random, used }
    }

    fn next(&mut self) -> u8 {
        let fair = 256 - 256 % self.pool.len();
        loop {
            if self.used == self.random.len() {
                self.rng.fill_bytes(&mut *self.random);
                self.used = 0;
            }
            let byte = usize::from(self.random[self.used]);
            self.used += 1;
            if byte < fair {
                return self.pool[byte % self.pool.len()];
            }
        }
    }
}

const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const NUMBERS: &str = "0123456789";
const PUNCTUATION: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;
const MAX_DRAWS: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn generate(rules: &PasswordRules, seed: u64) -> Result<String, PasswordError> {
        let password = rules.generate(&mut StdRng::seed_from_u64(seed))?;
        Ok(password.expose_str().expect("ASCII").to_owned())
    }

    fn excluding(characters: &str) -> PasswordRules {
        PasswordRules { exclude_characters: characters.to_owned(), ..PasswordRules::default() }
    }

    // F89, F90
    #[test]
    fn the_default_is_32_characters_with_each_class() {
        for seed in 0..200 {
            let password = generate(&PasswordRules::default(), seed).expect("default rules");
            assert_eq!(password.len(), 32);
            for class in [UPPERCASE, LOWERCASE, NUMBERS, PUNCTUATION] {
                assert!(password.contains(|c| class.contains(c)), "{password}");
            }
            assert!(!password.contains(' '));
        }
    }

    #[test]
    fn the_four_classes_are_the_printable_ascii_characters() {
        let all: BTreeSet<char> = [UPPERCASE, LOWERCASE, NUMBERS, PUNCTUATION].concat().chars().collect();
        assert_eq!(all, ('!'..='~').collect());
    }

    // F85
    #[test]
    fn passwords_of_rotators_need_no_quoting_anywhere() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let password = generate(&PasswordRules::for_rotators(), seed).expect("rules for rotators");
            assert_eq!(password.len(), 32);
            for class in [UPPERCASE, LOWERCASE, NUMBERS, "-._~"] {
                assert!(password.contains(|c| class.contains(c)), "{password}");
            }
            seen.extend(password.chars());
        }
        let unreserved = [UPPERCASE, LOWERCASE, NUMBERS, "-._~"].concat();
        assert_eq!(seen, unreserved.chars().collect());
    }

    // F89
    #[test]
    fn rules_that_allow_nothing_are_refused_in_the_words_of_aws() {
        let short = PasswordRules { length: 3, ..PasswordRules::default() };
        let no_class = PasswordRules {
            exclude_numbers: true,
            exclude_punctuation: true,
            exclude_uppercase: true,
            exclude_lowercase: true,
            ..PasswordRules::default()
        };
        let everything: String = ('!'..='~').collect();
        let cases = [
            (short, "Password length is too short based on the required types."),
            (no_class, "All characters have been excluded from selection."),
            (excluding(&everything), "All characters have been excluded from selection."),
            (excluding(NUMBERS), "All characters of the desired type have been excluded."),
        ];
        for (rules, message) in cases {
            assert_eq!(generate(&rules, 1).map_err(|error| error.to_string()), Err(message.to_owned()));
        }
        for length in [0, 4097] {
            let rules = PasswordRules { length, ..PasswordRules::default() };
            assert_eq!(generate(&rules, 1), Err(PasswordError::BadLength));
        }
    }

    #[test]
    fn a_class_that_is_not_required_may_be_used_up() {
        let rules = PasswordRules { require_each_included_type: false, ..excluding(NUMBERS) };
        assert!(generate(&rules, 1).is_ok_and(|password| !password.contains(|c: char| c.is_ascii_digit())));
        let short = PasswordRules { length: 1, ..rules.clone() };
        assert_eq!(generate(&short, 1).map(|password| password.len()), Ok(1));
        let spaces = PasswordRules { include_space: true, ..excluding(&('!'..='~').collect::<String>()) };
        assert_eq!(generate(&spaces, 1), Err(PasswordError::ClassExcluded));
        let spaces = PasswordRules { length: 2, require_each_included_type: false, ..spaces };
        assert_eq!(generate(&spaces, 1).as_deref(), Ok("  "));
    }

    #[test]
    fn the_shortest_password_of_each_class_is_found_even_when_it_is_rare() {
        let all_but_one = |class: &str| class[1..].to_owned();
        let rules = PasswordRules {
            length: 4,
            ..excluding(&[all_but_one(UPPERCASE), all_but_one(LOWERCASE), all_but_one(NUMBERS)].concat())
        };
        for seed in 0..50 {
            let password = generate(&rules, seed).expect("a rare password");
            assert!("Aa0".chars().all(|c| password.contains(c)), "{password}");
        }
    }

    // F89
    /// Chi-squared over the 12 passwords of length 2 that have one of `A`, `B` and one of `0`, `1`, `2`.
    #[test]
    fn every_password_that_follows_the_rules_is_equally_likely() {
        let rules = PasswordRules {
            length: 2,
            exclude_punctuation: true,
            exclude_lowercase: true,
            ..excluding(&[&UPPERCASE[2..], &NUMBERS[3..]].concat())
        };
        let mut rng = StdRng::seed_from_u64(42);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..12_000 {
            let password = rules.generate(&mut rng).expect("two characters");
            *counts.entry(password.expose_str().expect("ASCII").to_owned()).or_default() += 1;
        }
        assert_eq!(counts.len(), 12);
        let chi_squared: f64 = counts.values().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        // 11 degrees of freedom: 31.3 is exceeded once in a thousand fair draws.
        assert!(chi_squared < 31.3, "{chi_squared}: {counts:?}");
    }

    /// Chi-squared over the 94 characters, 4000 of each expected.
    #[test]
    fn every_character_is_equally_likely() {
        let rules = PasswordRules { length: 4000, require_each_included_type: false, ..PasswordRules::default() };
        let mut rng = StdRng::seed_from_u64(42);
        let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
        for _ in 0..94 {
            let password = rules.generate(&mut rng).expect("4000 characters");
            for byte in password.expose() {
                *counts.entry(*byte).or_default() += 1;
            }
        }
        let chi_squared: f64 = counts.values().map(|&n| (f64::from(n) - 4000.0).powi(2) / 4000.0).sum();
        // 93 degrees of freedom: 140 is exceeded once in a thousand fair draws.
        assert!(counts.len() == 94 && chi_squared < 140.0, "{chi_squared}: {counts:?}");
    }

    #[test]
    fn a_generator_that_repeats_itself_ends_in_an_error() {
        struct Stuck;
        impl rand::TryRng for Stuck {
            type Error = std::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(0)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(0)
            }
            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
                bytes.fill(0);
                Ok(())
            }
        }
        let result = PasswordRules::default().generate(&mut Stuck);
        assert_eq!(result.err(), Some(PasswordError::BrokenRandomness));
    }

    fn any_rules() -> impl Strategy<Value = PasswordRules> {
        let flags = prop::array::uniform6(any::<bool>());
        (0usize..60, "[ -~é]{0,60}", flags).prop_map(|(length, exclude_characters, flags)| PasswordRules {
            length,
            exclude_characters,
            exclude_numbers: flags[0],
            exclude_punctuation: flags[1],
            exclude_uppercase: flags[2],
            exclude_lowercase: flags[3],
            include_space: flags[4],
            require_each_included_type: flags[5],
        })
    }

    proptest! {
        // F88
        #[test]
        fn a_password_follows_its_rules(rules in any_rules(), seed in any::<u64>()) {
            let Ok(password) = generate(&rules, seed) else { return Ok(()) };
            prop_assert_eq!(password.len(), rules.length);
            prop_assert!(!password.contains(|c| rules.exclude_characters.contains(c)));
            prop_assert!(rules.include_space || !password.contains(' '));
            for (class, excluded) in [
                (UPPERCASE, rules.exclude_uppercase),
                (LOWERCASE, rules.exclude_lowercase),
                (NUMBERS, rules.exclude_numbers),
                (PUNCTUATION, rules.exclude_punctuation),
            ] {
                let has = password.contains(|c| class.contains(c));
                prop_assert!(!(excluded && has));
                prop_assert!(excluded || has || !rules.require_each_included_type);
            }
        }
    }
}
