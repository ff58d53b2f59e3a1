//! A presigned request: the signature and what it says of itself stand in the query, as `X-Amz-…` parameters.
//!
//! Never here: keys, or whether the signature is right; the other place where all that may stand (`scope.rs`).

use std::borrow::Cow;

use chrono::TimeDelta;

use super::Refusal;
use super::canonical::{decoded, pairs};
use super::scope::{ALGORITHM, Authorization};

/// The parameter that the signature does not cover.
pub(super) const SIGNATURE: &str = "X-Amz-Signature";
const MARK: &str = "X-Amz-Algorithm";
const EXPIRES: &str = "X-Amz-Expires";
const TOKEN: &str = "X-Amz-Security-Token";
/// Seven days, in seconds.
const LONGEST: i64 = 604_800;

/// A signature that stood in the query.
pub(super) struct Presigned<'q> {
    pub(super) authorization: Authorization<'q>,
    /// How long after its date it is good.
    pub(super) lifetime: TimeDelta,
    /// The session token.
    pub(super) token: Option<Cow<'q, str>>,
}

/// Whether the query says that the signature is in it.
pub(super) fn is_presigned(query: &str) -> bool {
    pairs(query).any(|(name, _)| decoded(name.as_bytes()) == MARK.as_bytes())
}

impl<'q> Presigned<'q> {
    /// Takes the parameters out of the query. AWS complains about all missing ones at once.
    pub(super) fn parse(query: &'q str) -> Result<Self, Refusal> {
        let needed = [MARK, "X-Amz-Credential", SIGNATURE, "X-Amz-SignedHeaders", "X-Amz-Date", EXPIRES];
        let found = needed.map(|name| parameter(query, name));
        let missing: Vec<&str> =
            needed.into_iter().zip(&found).filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        let [Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(amz_date), Some(expires)] =
            found
        else {
            return Err(Refusal::incomplete_query(&missing));
        };
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm);
        }
        let seconds = expires.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
        let lifetime = TimeDelta::seconds(seconds.ok_or(Refusal::Lifetime)?);
        let authorization = Authorization { credential, signed_headers, signature, amz_date };
        Ok(Self { authorization, lifetime, token: parameter(query, TOKEN) })
    }
}

/// The value of a parameter, decoded. One that is empty or stands twice counts as missing: what could be meant by it?
fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut values = pairs(query).filter(|(key, _)| decoded(key.as_bytes()) == name.as_bytes());
    let (_, value) = values.next().filter(|(_, value)| !value.is_empty())?;
    if values.next().is_some() {
        return None;
    }
    match value.contains('%') {
        false => Some(value.into()),
        true => String::from_utf8(decoded(value.as_bytes())).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260310%2Fus-east-1%2Fsecretsmanager\
                         %2Faws4_request&X-Amz-Date=20260310T093700Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3B\
                         x-amz-target&X-Amz-Signature=00";

    fn refusal(query: &str) -> String {
        Presigned::parse(query).err().expect("a refusal").to_string()
    }

    #[test]
    fn parameters_are_decoded() {
        let query = format!("{WHOLE}&X-Amz-Security-Token=a%2Bb");
        let presigned = Presigned::parse(&query).expect("complete");
        assert_eq!(presigned.authorization.access_key_id(), "AKIA");
        assert_eq!(presigned.authorization.scope(), "20260310/us-east-1/secretsmanager/aws4_request");
        assert_eq!(presigned.authorization.signed_headers, "host;x-amz-target");
        assert_eq!(presigned.lifetime, TimeDelta::seconds(60));
        assert_eq!(presigned.token.as_deref(), Some("a+b"));
    }

    #[test]
    fn every_missing_parameter_is_named() {
        assert_eq!(
            refusal("X-Amz-Algorithm&X-Amz-Date=20260310T093700Z&X-Amz-Expires=60"),
            "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
             'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string \
             parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters."
        );
        for name in ["Algorithm", "Credential", "Signature", "SignedHeaders", "Date", "Expires"] {
            let twice = format!("{WHOLE}&X-Amz-{name}=1");
            for query in [WHOLE.replace(&format!("X-Amz-{name}="), "x="), twice] {
                let expected = format!(
                    "AWS query-string parameters must include 'X-Amz-{name}'. Re-examine the query-string parameters."
                );
                assert_eq!(refusal(&query), expected, "{query}");
            }
        }
    }

    #[test]
    fn lifetimes_are_from_a_second_to_a_week() {
        for (seconds, taken) in
            [("1", true), ("604800", true), ("0", false), ("604801", false), ("-1", false), ("a", false)]
        {
            let query = WHOLE.replace("Expires=60", &format!("Expires={seconds}"));
            assert_eq!(Presigned::parse(&query).is_ok(), taken, "{seconds}");
        }
        assert!(refusal(&WHOLE.replace("SHA256", "SHA512")).contains("AWS4-HMAC-SHA256"));
    }

    #[test]
    fn a_presigned_query_is_known_by_its_algorithm_however_that_is_spelled() {
        assert!(is_presigned("a=b&X-Amz-Algorithm") && is_presigned("X%2DAmz-Algorithm=x"));
        assert!(!is_presigned("") && !is_presigned("x-amz-algorithm=x") && !is_presigned("a=X-Amz-Algorithm"));
    }
}
