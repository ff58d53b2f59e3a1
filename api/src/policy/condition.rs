//! Condition blocks: operators, keys and the form of values; and whether one ties a statement to a fixed source.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The keys that say from where a request comes; a fixed value of one keeps strangers out.
const SOURCES: [&str; 4] = ["aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceaccount"];

/// What an operator compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Text or ARN, where `*` and `?` stand for others.
    Pattern,
    Number,
    Date,
    Bool,
    Binary,
    Address,
}

/// One key under one operator.
#[derive(Debug)]
pub(super) struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

/// A condition operator, with what is written around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator {
    kind: Kind,
    /// It asks for equality, not for its opposite or an order.
    equals: bool,
    /// It also holds where the key is missing: IfExists, or ForAllValues.
    holds_without: bool,
}

impl Operator {
    /// The operator of a name such as `ForAnyValue:StringLikeIfExists`.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (for_all, name) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (true, rest),
            Some(("ForAnyValue", rest)) => (false, rest),
            Some(_) => return None,
            None => (false, name),
        };
        let (if_exists, name) = match name.strip_suffix("IfExists") {
            // Null asks just that.
            Some("Null") => return None,
            Some(base) => (true, base),
            None => (false, name),
        };
        let (kind, equals) = base(name)?;
        Some(Self { kind, equals, holds_without: for_all || if_exists })
    }
}

fn base(name: &str) -> Option<(Kind, bool)> {
    let found = match name {
        "StringEquals" | "StringEqualsIgnoreCase" => (Kind::Text, true),
        "StringNotEquals" | "StringNotEqualsIgnoreCase" => (Kind::Text, false),
        "StringLike" | "ArnEquals" | "ArnLike" => (Kind::Pattern, true),
        "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => (Kind::Pattern, false),
        "NumericEquals" => (Kind::Number, true),
        "NumericNotEquals"
        | "NumericLessThan"
        | "NumericLessThanEquals"
        | "NumericGreaterThan"
        | "NumericGreaterThanEquals" => (Kind::Number, false),
        "DateEquals" => (Kind::Date, true),
        "DateNotEquals" | "DateLessThan" | "DateLessThanEquals" | "DateGreaterThan" | "DateGreaterThanEquals" => {
            (Kind::Date, false)
        }
        "Bool" => (Kind::Bool, true),
        "Null" => (Kind::Bool, false),
        "BinaryEquals" => (Kind::Binary, true),
        "IpAddress" => (Kind::Address, true),
        "NotIpAddress" => (Kind::Address, false),
        _ => return None,
    };
    Some(found)
}

impl Condition {
    /// A condition whose key and values have the form the operator wants.
    pub(super) fn new(operator: Operator, key: &str, values: Vec<String>) -> Option<Self> {
        let is_key = key.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        let is_good = is_key && values.iter().all(|value| fits(operator.kind, value));
        is_good.then(|| Self { operator, key: key.to_owned(), values })
    }

    /// Whether it holds for requests from one fixed source only.
    pub(super) fn fixes_the_source(&self) -> bool {
        let Operator { kind, equals, holds_without } = self.operator;
        let is_fixed = |value: &String| match kind {
            Kind::Text => !value.contains("${"),
            Kind::Pattern => !value.contains(['*', '?', '$']),
            _ => false,
        };
        let is_source = SOURCES.contains(&self.key.to_ascii_lowercase().as_str());
        is_source && equals && !holds_without && self.values.iter().all(is_fixed)
    }
}

/// Whether a value can be compared so. What a variable stands for is known only when somebody asks.
fn fits(kind: Kind, value: &str) -> bool {
    value.contains("${")
        || match kind {
            Kind::Text | Kind::Pattern => true,
            Kind::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
            Kind::Date => !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b"-:+.TZ".contains(&b)),
            Kind::Bool => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Kind::Binary => BASE64.decode(value).is_ok(),
            Kind::Address => is_network(value),
        }
}

fn is_network(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest))
}
