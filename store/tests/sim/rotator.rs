//! The rotator of the simulation: the steps of those that are built in, over servers in memory. Never here: what a server
//! does.

use async_trait::async_trait;
use engine::check::Verified;
use engine::outcome::{Done, Made, Proof, StepError, Verdict};
use engine::port::{Rotator, StepContext};
use engine::secret::SecretBytes;
use serde_json::Value;

use crate::dual::Dual;
use crate::line::{Line, Means};
use crate::pair::{Pair, Turn, next_user};
use crate::parties::{Parties, parse};
use crate::single::Single;

pub(crate) struct Fake(pub(crate) Means);

/// Accounts of this server may have two passwords.
fn takes_two(cx: &StepContext<'_>) -> bool {
    let engine =
        |value: &SecretBytes| Some(serde_json::from_slice::<Value>(value.expose()).ok()?.get("engine")? == "mysql");
    cx.material.current.as_ref().and_then(engine).unwrap_or(false)
}

fn no_current() -> StepError {
    StepError::new(Verdict::NeedsPerson, "no-value", "the secret has no value").remedy("Write one.")
}

/// AWSCURRENT's JSON with another password, and the other user where two take turns.
fn next_value(cx: &StepContext<'_>, password: &SecretBytes) -> Result<SecretBytes, StepError> {
    let current = cx.material.current.as_ref().ok_or_else(no_current)?;
    let mut value: Value = serde_json::from_slice(current.expose()).map_err(|_| no_current())?;
    value["password"] = Value::from(password.expose_str().unwrap_or_default());
    if let Some(user) = next_user(&cx.material.options, &parse(current)?.user) {
        value["username"] = Value::from(user);
    }
    Ok(SecretBytes::from(value.to_string()))
}

#[async_trait]
impl Rotator for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    async fn create(&self, cx: &StepContext<'_>, password: &SecretBytes) -> Result<Made, StepError> {
        Ok(next_value(cx, password)?.into())
    }

    async fn set(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let line = Line::new(&self.0, cx);
        let pair = Pair::read(cx)?;
        let set = async {
            if let Some(pair) = &pair {
                return Turn { line: &line, pair }.set().await;
            }
            let parties = Parties::read(cx)?;
            match takes_two(cx) {
                true => Dual { line: &line, parties: &parties }.set().await,
                false => Single { line: &line, parties: &parties }.set().await,
            }
        };
        let ended = set.await;
        line.end(ended).map(|()| line.done())
    }

    async fn test(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let line = Line::new(&self.0, cx);
        let ended = match Pair::read(cx)? {
            Some(pair) => Turn { line: &line, pair: &pair }.test().await,
            None => Single { line: &line, parties: &Parties::read(cx)? }.test().await,
        };
        line.end(ended).map(|()| line.done())
    }

    async fn prove(&self, cx: &StepContext<'_>) -> Result<Proof, StepError> {
        let line = Line::new(&self.0, cx);
        let pair = Pair::read(cx)?;
        let prove = async {
            if let Some(pair) = &pair {
                return Turn { line: &line, pair }.prove().await;
            }
            let parties = Parties::read(cx)?;
            match takes_two(cx) {
                true => Dual { line: &line, parties: &parties }.prove().await,
                false => Single { line: &line, parties: &parties }.prove().await,
            }
        };
        let ended = prove.await;
        line.end(ended)
    }

    async fn retire(&self, cx: &StepContext<'_>) -> Result<Done, StepError> {
        let line = Line::new(&self.0, cx);
        let pair = Pair::read(cx)?;
        let retire = async {
            if let Some(pair) = &pair {
                return Turn { line: &line, pair }.retire().await;
            }
            let parties = Parties::read(cx)?;
            match takes_two(cx) {
                true => Dual { line: &line, parties: &parties }.retire().await,
                false => parties.may_retire(),
            }
        };
        let ended = retire.await;
        line.end(ended).map(|()| line.done())
    }

    async fn verify(&self, cx: &StepContext<'_>) -> Result<Verified, StepError> {
        let line = Line::new(&self.0, cx);
        let parties = Parties::read(cx)?;
        let ended = Single { line: &line, parties: &parties }.verify().await;
        line.end(ended)
    }
}
