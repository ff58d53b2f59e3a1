//! Lengths of time as people write them: `90s`, `75m`, `24h`, `2d`. Never here: how long what may be.

use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

/// A number with s, m, h or d, or a number of seconds. None: it is none of them.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" => 1,
        _ => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(Duration::from_secs)
}

/// The same length in the largest unit that counts it whole; parts of a second are left out.
#[must_use]
pub fn spell(length: Duration) -> String {
    let seconds = length.as_secs();
    let whole = UNITS.iter().find(|(_, factor)| seconds > 0 && seconds.is_multiple_of(*factor));
    let (unit, factor) = whole.copied().unwrap_or(("s", 1));
    format!("{}{unit}", seconds / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_spelled_in_their_largest_unit() {
        for (text, seconds, spelled) in [
            ("90s", 90, "90s"),
            ("75m", 4500, "75m"),
            ("120m", 7200, "2h"),
            ("24h", 86_400, "1d"),
            ("0", 0, "0s"),
            ("3600", 3600, "1h"),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
            assert_eq!(spell(Duration::from_secs(seconds)), spelled, "{text}");
            assert_eq!(parse(spelled), parse(text), "{text}");
        }
        for text in ["", "m", "1 m", "-1s", "1w", "1m30s", "99999999999999999999", "18446744073709551615d"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
