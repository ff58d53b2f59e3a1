//! Principal and NotPrincipal: whom a statement is about, and who can be one.
//!
//! Only the form is judged: this server has no directory of users, roles and services to look anybody up in.

use super::{Flaw, Manager};

/// A kind of principal, as the grammar names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Aws,
    Federated,
    Service,
    CanonicalUser,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "AWS" => Some(Self::Aws),
            "Federated" => Some(Self::Federated),
            "Service" => Some(Self::Service),
            "CanonicalUser" => Some(Self::CanonicalUser),
            _ => None,
        }
    }
}

/// Whom a statement is about.
#[derive(Debug)]
pub(super) struct Principals {
    /// NotPrincipal: everybody but those named.
    pub(super) inverted: bool,
    pub(super) named: Vec<(Kind, String)>,
}

impl Principals {
    /// Refuses names nobody can have.
    pub(super) fn check(&self) -> Result<(), Flaw> {
        for (kind, name) in &self.named {
            let (is_good, flaw) = match kind {
                Kind::Aws => (is_aws(name), Flaw::Principal),
                Kind::Federated => (is_federated(name), Flaw::Principal),
                Kind::Service => (is_service(name), Flaw::ServicePrincipal),
                Kind::CanonicalUser => (is_canonical_user(name), Flaw::Principal),
            };
            if !is_good {
                return Err(flaw);
            }
        }
        Ok(())
    }

    /// Whether it is about whoever comes.
    pub(super) fn is_anyone(&self) -> bool {
        self.everyone() != self.inverted
    }

    /// Whether it is about the manager, by name or as the account.
    pub(super) fn include(&self, manager: Manager<'_>) -> bool {
        let names = |(kind, name): &(Kind, String)| {
            let is_root = name == manager.account || root_of(name).is_some_and(|account| account == manager.account);
            *kind == Kind::Aws && (is_root || name == manager.arn)
        };
        (self.everyone() || self.named.iter().any(names)) != self.inverted
    }

    fn everyone(&self) -> bool {
        self.named.iter().any(|(kind, name)| *kind == Kind::Aws && name == "*")
    }
}

fn is_aws(name: &str) -> bool {
    if name == "*" || is_account(name) {
        return true;
    }
    let Some((service, account, entity)) = entity(name) else {
        return false;
    };
    let parts: Vec<&str> = entity.split('/').collect();
    let kind_is_good = match (service, parts.as_slice()) {
        ("iam", ["root"]) | ("sts", ["assumed-role", _, _] | ["federated-user", _]) => true,
        ("iam", [kind, _, ..]) => ["user", "role"].contains(kind),
        _ => false,
    };
    // No part may be empty or stand for others: a principal is one.
    let is_name =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    is_account(account) && kind_is_good && parts.iter().all(is_name)
}

/// The account an ARN of a root user names.
fn root_of(name: &str) -> Option<&str> {
    entity(name).filter(|(service, _, entity)| *service == "iam" && *entity == "root").map(|(_, account, _)| account)
}

/// Service, account and entity of an ARN that names someone; such ARNs have no region.
fn entity(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, entity) = (parts.next()?, parts.next()?, parts.next()?);
    let is_partition = partition == "aws" || partition.strip_prefix("aws-").is_some_and(is_label);
    (arn == "arn" && is_partition && region.is_empty()).then_some((service, account, entity))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A provider of web identities by its host, or one that was registered with the account by its ARN.
fn is_federated(name: &str) -> bool {
    let Some((service, account, entity)) = entity(name) else {
        return is_host(name);
    };
    let provider = entity.strip_prefix("saml-provider/").or(entity.strip_prefix("oidc-provider/"));
    let is_provider = provider.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-/:".contains(&byte))
    });
    service == "iam" && is_account(account) && is_provider
}

/// A name under one of the domains that services have.
fn is_service(name: &str) -> bool {
    let domains = [".amazonaws.com", ".amazonaws.com.cn", ".aws.internal"];
    domains.iter().filter_map(|domain| name.strip_suffix(domain)).any(|rest| rest.split('.').all(is_label))
}

fn is_host(name: &str) -> bool {
    name.contains('.') && name.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_canonical_user(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
