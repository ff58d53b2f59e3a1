//! What is wrong with a request, and AWS's words for it: all constraints that fail are reported at once.
//!
//! Never here: which constraints a member has ([`crate::members`]). A sensitive member's value is never repeated.

use std::fmt::{self, Display, Write as _};
use std::ops::RangeInclusive;

use engine::schedule::Limits;

use crate::error::ApiError;

/// Where a member is: AWS names it in lower camel case.
pub(crate) struct Place<'a> {
    /// What leads to it, with the dot that ends it.
    pub(crate) path: &'a str,
    /// Its name on the wire.
    pub(crate) member: &'a str,
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.member.split_at_checked(1).unwrap_or((self.member, ""));
        write!(f, "{}{}{rest}", self.path, first.to_ascii_lowercase())
    }
}

/// As many failures are spelled; the rest is only counted.
const MOST_SPELLED: usize = 100;

/// Collects what is wrong with a request.
pub(crate) struct Constraints {
    /// The server's setting for schedules: without AWS's limits, members of schedules are freer too.
    pub(crate) limits: Limits,
    failures: Vec<String>,
    /// All of them, also those not spelled.
    count: usize,
    bad_name: bool,
}

impl Constraints {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, failures: Vec::new(), count: 0, bad_name: false }
    }

    /// Nothing failed, or AWS's ValidationException.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.count {
            0 if self.bad_name => Err(ApiError::validation(
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: \
                 -/_+=.@!",
            )),
            0 => Ok(()),
            n => {
                let errors = if n == 1 { "error" } else { "errors" };
                let list = self.failures.join("; ");
                Err(ApiError::validation(format!("{n} validation {errors} detected: {list}")))
            }
        }
    }

    /// The member is not there and must be.
    pub(crate) fn null(&mut self, place: &Place<'_>) {
        self.failed(|| format!("Value null at '{place}' failed to satisfy constraint: Member must not be null"));
    }

    /// Whether the characters of a name are those of names: AWS has words of its own for that.
    pub(crate) fn name(&mut self, is_good: bool) {
        self.bad_name |= !is_good;
    }

    /// A length, held against its range; says whether it is in it. `shown` is the value as it may be repeated; None keeps
    /// it out.
    pub(crate) fn length(
        &mut self,
        place: &Place<'_>,
        shown: Option<&dyn Display>,
        length: usize,
        range: &RangeInclusive<usize>,
    ) -> bool {
        if length < *range.start() {
            self.fail(place, shown, format_args!("Member must have length greater than or equal to {}", range.start()));
        } else if length > *range.end() {
            self.fail(place, shown, format_args!("Member must have length less than or equal to {}", range.end()));
        }
        range.contains(&length)
    }

    /// A constraint that failed, in its own words.
    pub(crate) fn fail(&mut self, place: &Place<'_>, shown: Option<&dyn Display>, tail: fmt::Arguments<'_>) {
        self.failed(|| {
            let mut text = String::from("Value ");
            if let Some(shown) = shown {
                write!(text, "{shown} ").expect("a String takes any text");
            }
            write!(text, "at '{place}' failed to satisfy constraint: {tail}").expect("a String takes any text");
            text
        });
    }

    /// Counts a failure, and spells it while there are few: a stranger chooses how long the answer would be.
    fn failed(&mut self, spell: impl FnOnce() -> String) {
        if self.count < MOST_SPELLED {
            self.failures.push(spell());
        }
        self.count += 1;
    }
}
