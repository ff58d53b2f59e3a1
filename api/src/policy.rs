//! Resource policies: whether a text is one, and what would be wrong with attaching it.
//!
//! Pure. Who a policy lets in is not decided here yet; a policy is judged, stored and returned. Never here: the store,
//! the words of the operations' replies.

mod condition;
mod grammar;
mod json;
mod pattern;
mod principal;
#[cfg(test)]
mod tests;

use condition::Condition;
use pattern::Patterns;
use principal::Principals;

const PUT_RESOURCE_POLICY: &str = "secretsmanager:PutResourcePolicy";

/// A policy that has been read: its grammar holds and its principals are well-formed.
#[derive(Debug)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

/// Why a text is no policy that can be attached. The words are the service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// It is no JSON, or not of the grammar.
    #[error("This resource policy contains a syntax error.")]
    Syntax,
    /// It names someone who cannot be a principal.
    #[error("This resource policy contains an unsupported principal.")]
    Principal,
    /// It names something that cannot be a service.
    #[error("This resource policy contains an unsupported service principal.")]
    ServicePrincipal,
}

/// The service's words for [`Policy::locks_out`].
pub(crate) const LOCKS_OUT: &str = "Your requested changes will not allow you to manage this secret in the future.";

/// Who must go on managing the secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manager<'a> {
    /// The caller.
    pub(crate) arn: &'a str,
    /// The account, which its root stands for.
    pub(crate) account: &'a str,
    /// The secret's ARN, where one is named.
    pub(crate) secret: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug)]
struct Statement {
    effect: Effect,
    principals: Principals,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

impl Policy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// The first flaw; syntax comes before principals.
    pub(crate) fn read(text: &str) -> Result<Self, Flaw> {
        let policy = grammar::policy(text)?;
        policy.statements.iter().try_for_each(|statement| statement.principals.check())?;
        Ok(policy)
    }

    /// Lets in whoever comes: a statement allows everybody, and no condition ties it to a fixed source.
    pub(crate) fn is_broad(&self) -> bool {
        let is_broad = |statement: &Statement| {
            statement.effect == Effect::Allow
                && statement.principals.is_anyone()
                && !statement.conditions.iter().any(Condition::fixes_the_source)
        };
        self.statements.iter().any(is_broad)
    }

    /// Keeps the manager from ever putting another policy: a statement denies it to them without a condition.
    pub(crate) fn locks_out(&self, manager: Manager<'_>) -> bool {
        let locks_out = |statement: &Statement| {
            statement.effect == Effect::Deny
                && statement.conditions.is_empty()
                && statement.principals.include(manager)
                && statement.actions.cover_action(PUT_RESOURCE_POLICY)
                && statement.resources.cover(manager.secret)
        };
        self.statements.iter().any(locks_out)
    }
}
