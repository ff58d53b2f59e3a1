//! Pieces of an answer as people read them: dates, ages, labels.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A number of epoch seconds as a date in UTC, to the second.
pub(crate) fn date(value: &Value) -> Option<String> {
    Some(time(value)?.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// A number of epoch seconds as an instant.
pub(crate) fn time(value: &Value) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit an i64 for ages")]
    let millis = (value.as_f64()? * 1000.0).round() as i64;
    DateTime::from_timestamp_millis(millis)
}

/// A text member.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// `3 d 4 h`, `5 min 2 s`, `0.120 s`: two units at most.
pub(crate) fn duration(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ages are positive and small")]
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..=9 => format!("{seconds:.3} s"),
        10..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {} s", whole / 60, whole % 60),
        3600..=86_399 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `name: label, label` of a version map, one a line.
pub(crate) fn stages(map: &Value) -> Vec<String> {
    let Some(map) = map.as_object() else { return vec![] };
    let labels = |list: &Value| {
        let labels = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        labels.collect::<Vec<_>>().join(", ")
    };
    let mut lines: Vec<_> = map.iter().map(|(version, list)| format!("{version}  {}", labels(list))).collect();
    lines.sort_by_key(|line| (!line.contains("AWSCURRENT"), line.clone()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units_at_most() {
        let shown: Vec<_> = [0.12, 42.0, 61.0, 3_720.0, 100_000.0].map(duration).to_vec();
        assert_eq!(shown, ["0.120 s", "42 s", "1 min 1 s", "1 h 2 min", "1 d 3 h"]);
    }

    #[test]
    fn dates_come_from_epoch_numbers() {
        assert_eq!(date(&serde_json::json!(1_523_477_145.729)).as_deref(), Some("2018-04-11 20:05:45 UTC"));
        assert_eq!(date(&Value::Null), None);
    }
}
