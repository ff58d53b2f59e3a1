//! What a signature says of itself: who signed, for which day, region and service, when, and for how long; and the
//! `Authorization` header that says so.
//!
//! Parsed by borrowing from the request where that is possible. Never here: keys, or whether the signature is right; the
//! other place where all that may stand (`query.rs`).

use std::borrow::Cow;

use chrono::{NaiveDateTime, SubsecRound, TimeDelta};
use engine::Time;

use super::Refusal;

/// The only algorithm there is.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What every scope ends in.
pub(super) const TERMINATOR: &str = "aws4_request";
/// How far a request's clock may be from ours, either way.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// How AWS writes an instant.
pub(super) const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// The parts of a signature, wherever they stood.
pub(super) struct Authorization<'r> {
    /// `keyid/YYYYMMDD/region/service/aws4_request`.
    pub(super) credential: Cow<'r, str>,
    pub(super) signed_headers: Cow<'r, str>,
    pub(super) signature: Cow<'r, str>,
    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) amz_date: Cow<'r, str>,
}

impl<'r> Authorization<'r> {
    /// Takes `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…` apart. `date` is the text of x-amz-date: AWS
    /// complains about all missing parts at once.
    pub(super) fn parse(header: &'r str, date: Option<&'r str>) -> Result<Self, Refusal> {
        let Some(parameters) = header.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' ')) else {
            return Err(Refusal::Missing);
        };
        let parameter = |name: &str| {
            parameters
                .split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(key, value)| *key == name && !value.is_empty())
                .map(|(_, value)| value)
        };
        let parts = (parameter("Credential"), parameter("Signature"), parameter("SignedHeaders"), date);
        let (Some(credential), Some(signature), Some(signed_headers), Some(date)) = parts else {
            return Err(Refusal::incomplete(
                [parts.0.is_none(), parts.1.is_none(), parts.2.is_none(), parts.3.is_none()],
                header,
            ));
        };
        Ok(Self {
            credential: credential.into(),
            signed_headers: signed_headers.into(),
            signature: signature.into(),
            amz_date: date.into(),
        })
    }

    /// The access key that is said to have signed.
    pub(super) fn access_key_id(&self) -> &str {
        self.id_and_scope().0
    }

    /// `YYYYMMDD/region/service/aws4_request`, as it was signed.
    pub(super) fn scope(&self) -> &str {
        self.id_and_scope().1
    }

    /// The scope's day, `YYYYMMDD`.
    pub(super) fn day(&self) -> &str {
        self.scope().split('/').next().unwrap_or_default()
    }

    /// An access key id has no slash, so the first one begins the scope.
    fn id_and_scope(&self) -> (&str, &str) {
        self.credential.split_once('/').unwrap_or((&self.credential, ""))
    }

    /// Checks the scope against this server's region, the operation's service and the request's date.
    pub(super) fn check_scope(&self, region: &str, service: &'static str) -> Result<(), Refusal> {
        let amz_date = &*self.amz_date;
        let mut parts = self.scope().split('/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(day), Some(its_region), Some(its_service), Some(TERMINATOR), None) = parts else {
            return Err(Refusal::ScopeForm);
        };
        if its_region != region {
            return Err(Refusal::Region);
        }
        if its_service != service {
            return Err(Refusal::Service(service));
        }
        let its_day = amz_date.get(..8).unwrap_or(amz_date);
        if its_day != day {
            return Err(Refusal::Day { scope: day.to_owned(), day: its_day.to_owned(), header: amz_date.to_owned() });
        }
        Ok(())
    }

    /// The signature, where it is one: 64 lower-case digits, so that a signature has one spelling only.
    pub(super) fn signature_bytes(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        let lower = !self.signature.bytes().any(|byte| byte.is_ascii_uppercase());
        (lower && hex::decode_to_slice(&*self.signature, &mut bytes).is_ok()).then_some(bytes)
    }

    /// Whether `name` (lower case) is among the signed headers.
    pub(super) fn signs(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }
}

/// Checks that the request was signed within five minutes of `now`.
pub(super) fn check_skew(amz_date: &str, now: Time) -> Result<(), Refusal> {
    let signed = instant(amz_date)?;
    not_too_old(signed, SKEW, "5 min.", now)?;
    not_too_new(signed, now)
}

/// Checks that a request signed for `lifetime` is used in that time.
pub(super) fn check_lifetime(amz_date: &str, lifetime: TimeDelta, now: Time) -> Result<(), Refusal> {
    let signed = instant(amz_date)?;
    not_too_old(signed, lifetime, &format!("{} s.", lifetime.num_seconds()), now)?;
    not_too_new(signed, now)
}

fn instant(amz_date: &str) -> Result<Time, Refusal> {
    // The pattern alone would take fewer digits.
    let signed = match amz_date.len() {
        16 => NaiveDateTime::parse_from_str(amz_date, DATE_FORMAT).ok(),
        _ => None,
    };
    Ok(signed.ok_or(Refusal::DateForm)?.and_utc())
}

fn not_too_old(signed: Time, age: TimeDelta, shown: &str, now: Time) -> Result<(), Refusal> {
    // Dates are cut to seconds: a request is good in all of its last one.
    let now = now.trunc_subsecs(0);
    if signed >= now - age {
        return Ok(());
    }
    let limit = stamp(now - age);
    Err(Refusal::Expired { signed: stamp(signed), limit, now: stamp(now), age: shown.to_owned() })
}

fn not_too_new(signed: Time, now: Time) -> Result<(), Refusal> {
    if signed <= now + SKEW {
        return Ok(());
    }
    Err(Refusal::NotYetCurrent { signed: stamp(signed), limit: stamp(now + SKEW), now: stamp(now) })
}

fn stamp(at: Time) -> String {
    at.format(DATE_FORMAT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    #[test]
    fn every_missing_part_is_named_and_the_header_is_quoted() {
        let header = "AWS4-HMAC-SHA256 SignedHeaders=host";
        let error = Authorization::parse(header, None).err().expect("a refusal");
        assert_eq!(
            error.to_string(),
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
             Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
             Authorization=AWS4-HMAC-SHA256 SignedHeaders=host"
        );
    }

    #[test]
    fn other_schemes_count_as_no_authentication_and_are_not_quoted() {
        for header in ["Bearer abc", "Basic dTpw", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256x a=b"] {
            let error = Authorization::parse(header, Some("x")).err().expect("a refusal");
            assert_eq!(error.to_string(), "Missing Authentication Token", "{header}");
        }
    }

    #[test]
    fn the_skew_limit_is_five_minutes_either_way_and_inclusive() {
        let now = at("2026-03-10T09:37:00Z");
        assert!(check_skew("20260310T093200Z", now).is_ok());
        assert!(check_skew("20260310T094200Z", now).is_ok());
        assert_eq!(
            check_skew("20260310T093159Z", now).expect_err("too old").to_string(),
            "Signature expired: 20260310T093159Z is now earlier than 20260310T093200Z (20260310T093700Z - 5 min.)"
        );
        assert_eq!(
            check_skew("20260310T094201Z", now).expect_err("too new").to_string(),
            "Signature not yet current: 20260310T094201Z is still later than 20260310T094200Z (20260310T093700Z + 5 min.)"
        );
    }

    #[test]
    fn what_was_signed_for_some_time_is_good_for_that_time_and_not_before() {
        let now = at("2026-03-10T09:37:00Z");
        let minute = TimeDelta::seconds(60);
        assert!(check_lifetime("20260310T093600Z", minute, at("2026-03-10T09:37:00.999Z")).is_ok());
        assert_eq!(
            check_lifetime("20260310T093559Z", minute, now).expect_err("too old").to_string(),
            "Signature expired: 20260310T093559Z is now earlier than 20260310T093600Z (20260310T093700Z - 60 s.)"
        );
        assert!(check_lifetime("20260303T093700Z", TimeDelta::days(7), now).is_ok());
        assert!(check_lifetime("20260310T094201Z", TimeDelta::days(7), now).is_err());
    }

    #[test]
    fn dates_of_another_form_are_refused() {
        let now = at("2026-03-10T09:37:00Z");
        for text in ["", "2026-03-10T09:37:00Z", "20260310T9370Z", "20261310T093700Z", "20260310T0937000"] {
            assert!(check_skew(text, now).is_err(), "{text}");
        }
    }
}
