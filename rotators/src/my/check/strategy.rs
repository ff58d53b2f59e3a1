//! Owns which strategy a rotation will use, and why. Never here: asking the server.

use engine::port::Options;
use engine::strategy::Strategy;

use crate::findings::Findings;

/// The strategy, and why it is this one.
pub(super) struct Choice {
    pub strategy: Strategy,
    pub why: String,
}

/// As rotations choose. `lacks`: what stands in the way of two passwords at once, and what mends it.
pub(super) fn choose(options: &Options, lacks: Option<(String, String)>, findings: &mut Findings) -> Choice {
    let choice = |strategy, why: String| Choice { strategy, why };
    match (options.strategy, lacks) {
        (Some(Strategy::AlternatingUsers), _) => {
            choice(Strategy::AlternatingUsers, format!("The settings say so. {NONE_REFUSED}"))
        }
        (Some(Strategy::SingleUser), _) => choice(Strategy::SingleUser, format!("The settings say so. {GAP}")),
        (Some(Strategy::DualPassword), None) => {
            choice(Strategy::DualPassword, format!("The settings say so. {NONE_REFUSED}"))
        }
        (Some(Strategy::DualPassword), Some((why, mends))) => {
            findings.problem("strategy", format!("The settings ask for two passwords at once. {why}"), mends);
            choice(Strategy::DualPassword, "The settings say so.".to_owned())
        }
        (None, None) => choice(
            Strategy::DualPassword,
            format!("The server can hold two passwords, and the privilege is there. {NONE_REFUSED}"),
        ),
        (None, Some((why, mends))) => {
            findings.warning("strategy", format!("{why} So the one password is changed in place. {GAP}"), mends);
            choice(Strategy::SingleUser, format!("{why} {GAP}"))
        }
    }
}

/// The gap of one user with one password.
const GAP: &str = "Between setSecret and finishSecret a reader of AWSCURRENT is refused.";
const NONE_REFUSED: &str = "No login of AWSCURRENT is refused.";

/// A version's numbers; what is no number (Aurora's third part) counts as high.
pub(super) fn at_least(version: &str, wanted: [u32; 3]) -> bool {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(u32::MAX));
    let mut next = || parts.next().unwrap_or(u32::MAX);
    [next(), next(), next()] >= wanted
}

#[cfg(test)]
mod tests {
    use engine::check::Level;

    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, enough) in [
            ("9.7.4-2", true),
            ("8.0.13", false),
            ("8.0.14", true),
            ("8.4.0", true),
            ("8.0.mysql_aurora.3.04.0", true),
            ("5.7.44-log", false),
        ] {
            assert_eq!(at_least(version, [8, 0, 14]), enough, "{version}");
        }
        assert!(at_least("10.11.19-MariaDB-0+deb12u1", [10, 4, 0]) && !at_least("10.3.39-MariaDB", [10, 4, 0]));
    }

    #[test]
    fn two_passwords_are_the_default_where_nothing_is_lacking() {
        let lacks = || Some(("It lacks a privilege.".to_owned(), "GRANT X".to_owned()));
        let with = |strategy| Options { strategy, ..Options::default() };
        for (asked, lacks, chosen, code) in [
            (None, None, Strategy::DualPassword, None),
            (None, lacks(), Strategy::SingleUser, Some(false)),
            (Some(Strategy::DualPassword), lacks(), Strategy::DualPassword, Some(true)),
            (Some(Strategy::SingleUser), None, Strategy::SingleUser, None),
            (Some(Strategy::AlternatingUsers), lacks(), Strategy::AlternatingUsers, None),
        ] {
            let mut findings = Findings::default();
            assert_eq!(choose(&with(asked), lacks, &mut findings).strategy, chosen);
            let found = findings.into_list().pop();
            assert_eq!(found.as_ref().map(|finding| finding.remedy.as_str()), code.map(|_| "GRANT X"));
            assert_eq!(found.map(|finding| finding.level == Level::Problem), code);
        }
    }
}
