//! The grammar of policy documents. Everything that is not of it is a syntax error; elements nobody knows are, too.

use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Condition, Operator};
use super::json::{self, Json};
use super::pattern::{Patterns, is_action, is_resource};
use super::principal::{Kind, Principals};
use super::{Effect, Flaw, Policy, Statement};

const VERSIONS: [&str; 2] = ["2008-10-17", "2012-10-17"];

/// A whole document.
pub(super) fn policy(text: &str) -> Result<Policy, Flaw> {
    let mut document = Elements::of(json::parse(text).ok_or(Flaw::Syntax)?)?;
    if let Some(version) = document.text("Version")? {
        holds(VERSIONS.contains(&version.as_str()))?;
    }
    document.text("Id")?;
    let statements = match document.take("Statement") {
        Some(Json::List(statements)) => statements,
        Some(statement) => vec![statement],
        None => return Err(Flaw::Syntax),
    };
    document.end()?;
    holds(!statements.is_empty())?;
    let mut ids = BTreeSet::new();
    let statements = statements.into_iter().map(|json| statement(json, &mut ids)).collect::<Result<_, _>>()?;
    Ok(Policy { statements })
}

/// One statement; `ids` are the Sids before it, as each is there once.
fn statement(json: Json, ids: &mut BTreeSet<String>) -> Result<Statement, Flaw> {
    let mut elements = Elements::of(json)?;
    if let Some(id) = elements.text("Sid")?.filter(|id| !id.is_empty()) {
        holds(ids.insert(id))?;
    }
    let effect = match elements.text("Effect")?.as_deref() {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(Flaw::Syntax),
    };
    let (inverted, named) = elements.one_of("Principal", "NotPrincipal")?;
    let principals = Principals { inverted, named: principals(named)? };
    let actions = patterns(elements.one_of("Action", "NotAction")?, is_action)?;
    let resources = patterns(elements.one_of("Resource", "NotResource")?, is_resource)?;
    let conditions = elements.take("Condition").map_or(Ok(Vec::new()), conditions)?;
    elements.end()?;
    Ok(Statement { effect, principals, actions, resources, conditions })
}

/// `"*"`, or lists of names by kind.
fn principals(json: Json) -> Result<Vec<(Kind, String)>, Flaw> {
    if let Json::Text(text) = json {
        holds(text == "*")?;
        return Ok(vec![(Kind::Aws, text)]);
    }
    let mut named = Vec::new();
    for (kind, names) in Elements::of(json)?.0 {
        let kind = Kind::of(&kind).ok_or(Flaw::Syntax)?;
        named.extend(texts(names)?.into_iter().map(|name| (kind, name)));
    }
    holds(!named.is_empty())?;
    Ok(named)
}

fn patterns((inverted, json): (bool, Json), is_one: fn(&str) -> bool) -> Result<Patterns, Flaw> {
    let patterns = texts(json)?;
    holds(patterns.iter().all(|pattern| is_one(pattern)))?;
    Ok(if inverted { Patterns::AllBut(patterns) } else { Patterns::Of(patterns) })
}

/// Values by key by operator. A block without operators is no condition.
fn conditions(json: Json) -> Result<Vec<Condition>, Flaw> {
    let mut conditions = Vec::new();
    for (operator, keys) in Elements::of(json)?.0 {
        let operator = Operator::of(&operator).ok_or(Flaw::Syntax)?;
        let keys = Elements::of(keys)?.0;
        holds(!keys.is_empty())?;
        for (key, values) in keys {
            let values = values_of(values)?;
            conditions.push(Condition::new(operator, &key, values).ok_or(Flaw::Syntax)?);
        }
    }
    Ok(conditions)
}

/// One text or a list of some.
fn texts(json: Json) -> Result<Vec<String>, Flaw> {
    let text = |json| match json {
        Json::Text(text) => Ok(text),
        _ => Err(Flaw::Syntax),
    };
    some(json, text)
}

/// One value or a list of some; numbers and booleans may be written as such.
fn values_of(json: Json) -> Result<Vec<String>, Flaw> {
    let value = |json| match json {
        Json::Text(text) | Json::Number(text) => Ok(text),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => Err(Flaw::Syntax),
    };
    some(json, value)
}

fn some(json: Json, one: impl Fn(Json) -> Result<String, Flaw>) -> Result<Vec<String>, Flaw> {
    match json {
        Json::List(items) if items.is_empty() => Err(Flaw::Syntax),
        Json::List(items) => items.into_iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

fn holds(rule: bool) -> Result<(), Flaw> {
    if rule { Ok(()) } else { Err(Flaw::Syntax) }
}

/// The elements of an object that nobody has taken yet.
struct Elements(BTreeMap<String, Json>);

impl Elements {
    fn of(json: Json) -> Result<Self, Flaw> {
        match json {
            Json::Object(elements) => Ok(Self(elements)),
            _ => Err(Flaw::Syntax),
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.0.remove(name)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Flaw> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Flaw::Syntax),
        }
    }

    /// An element or its Not- form: exactly one of them. True is the Not- form.
    fn one_of(&mut self, name: &str, inverted: &str) -> Result<(bool, Json), Flaw> {
        match (self.take(name), self.take(inverted)) {
            (Some(json), None) => Ok((false, json)),
            (None, Some(json)) => Ok((true, json)),
            _ => Err(Flaw::Syntax),
        }
    }

    fn end(self) -> Result<(), Flaw> {
        holds(self.0.is_empty())
    }
}
