//! Owns whether the passwords that Pawl draws pass a server's policy: 32 characters of A-Z, a-z, 0-9 and `-._~`, at least
//! one of each kind (`engine::password`). Never here: asking the server.

use crate::findings::Findings;

/// What a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    All,
    /// Upper-case letters, and lower-case ones.
    Letters,
    Digits,
    Others,
}

impl Counted {
    fn of_pawl(self) -> (u64, u64, &'static str) {
        // So many surely, and so many that one of three draws is hardly ever short of them.
        match self {
            Self::All => (32, 32, "characters"),
            Self::Letters => (1, 10, "letters of each case"),
            Self::Digits => (1, 4, "digits"),
            Self::Others => (1, 2, "characters that are neither letters nor digits"),
        }
    }
}

/// One thing that a server demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    /// So many of a kind, by this variable.
    AtLeast(String, Counted, u64),
    /// This plugin looks at the clear text by rules of its own.
    Plugin(String),
}

pub(super) fn judge(demands: &[Demand], findings: &mut Findings) {
    let mut fits = true;
    for demand in demands {
        match demand {
            Demand::AtLeast(variable, counted, needs) => {
                let (surely, nearly, of) = counted.of_pawl();
                let mends = format!("SET GLOBAL {variable} = {surely}");
                if *needs > nearly {
                    fits = false;
                    let says = format!(
                        "The server's policy wants {needs} {of} ({variable}); Pawl's passwords have {surely} for certain, \
                         and hardly ever so many."
                    );
                    findings.problem("policy", says, mends);
                } else if *needs > surely {
                    fits = false;
                    let says = format!(
                        "The server's policy wants {needs} {of} ({variable}); Pawl's passwords have {surely} for certain. A \
                         password that is rejected is followed by another, at most twice."
                    );
                    findings.warning("policy", says, mends);
                }
            }
            Demand::Plugin(name) => findings.warning(
                "policy",
                format!("The plugin {name} looks at every new password by rules that cannot be asked for."),
                "",
            ),
        }
    }
    if fits && !demands.is_empty() {
        findings.ok("policy", "Pawl's passwords have what the server's policy counts.");
    }
}

#[cfg(test)]
mod tests {
    use engine::check::Level;
    use engine::password::PasswordRules;

    use super::*;

    // F84
    #[test]
    fn what_is_said_of_our_passwords_is_true() {
        let mut rng = rand::rng();
        let mut enough = [0_u32; 3];
        for _ in 0..300 {
            let password = PasswordRules::for_rotators().generate(&mut rng).expect("drawn");
            let count = |of: fn(&u8) -> bool| password.expose().iter().filter(|byte| of(byte)).count() as u64;
            let counts = [
                count(u8::is_ascii_uppercase).min(count(u8::is_ascii_lowercase)),
                count(u8::is_ascii_digit),
                count(|byte| !byte.is_ascii_alphanumeric()),
            ];
            for (i, counted) in [Counted::Letters, Counted::Digits, Counted::Others].into_iter().enumerate() {
                let (surely, nearly, _) = counted.of_pawl();
                assert!(counts[i] >= surely);
                enough[i] += u32::from(counts[i] >= nearly);
            }
            assert_eq!(password.expose().len() as u64, Counted::All.of_pawl().0);
        }
        // Half of the draws are enough, so that seven of eight times one of three is.
        assert!(enough.iter().all(|n| *n > 150), "{enough:?}");
    }

    #[test]
    fn a_demand_is_fine_or_a_warning_or_a_problem() {
        for (needs, level) in [(1, Level::Ok), (2, Level::Warning), (3, Level::Problem)] {
            let mut findings = Findings::default();
            judge(&[Demand::AtLeast("v.special".to_owned(), Counted::Others, needs)], &mut findings);
            let list = findings.into_list();
            assert_eq!((list.len(), list[0].level), (1, level));
            assert!(level == Level::Ok || list[0].remedy == "SET GLOBAL v.special = 1");
        }
    }
}
