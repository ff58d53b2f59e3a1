//! Staging labels: which version of a secret carries which label, and every way labels move.
//!
//! Owns AWS's movements (plain write, write with stages, UpdateSecretVersionStage) and those of a rotation. A label sits
//! on at most one version; AWSCURRENT, once given, never disappears. Never here: whether a version exists, holds a value
//! or works at its target; candidates are kept whatever labels do.

use std::collections::BTreeMap;

use crate::id::VersionId;

/// The version that readers get.
pub const CURRENT: &str = "AWSCURRENT";
/// The version that a rotation is making.
pub const PENDING: &str = "AWSPENDING";
/// The version that was AWSCURRENT before.
pub const PREVIOUS: &str = "AWSPREVIOUS";
/// How many labels one secret may have, over all its versions.
pub const MAX_LABELS: usize = 20;

/// The labels of one secret. Movements give a new set and leave the old one as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, VersionId>);

/// A label movement that AWS refuses. `Display` is the message for the wire; texts of AWS are used where they are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A label that another version holds was to be moved, and that version was not named.
    #[error(
        "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version \
         {holder}, so you must explicitly reference that version in RemoveFromVersionId."
    )]
    RemoveFromRequired {
        /// The label to move.
        label: String,
        /// The version that holds it.
        holder: VersionId,
    },
    /// AWSCURRENT was to be removed without giving it to another version.
    #[error(
        "You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed."
    )]
    CurrentCannotBeRemoved,
    /// The version to take the label from does not hold it.
    #[error(
        "When you move staging label {label}, if you specify RemoveFromVersionId, it must be set to the version that \
         currently has the staging label {label}."
    )]
    NotHolder {
        /// The label to move or remove.
        label: String,
        /// The version that was said to hold it.
        version: VersionId,
    },
    /// The version to move the label to is not one of this secret.
    #[error("Not a valid version: {0}")]
    NoSuchVersion(VersionId),
    /// Neither a version to move to nor one to remove from was named.
    #[error("You must provide a value for MoveToVersionId, RemoveFromVersionId, or both.")]
    NothingToMove,
    /// The secret would have more than [`MAX_LABELS`] labels.
    #[error("A secret can have at most 20 staging labels attached across all its versions.")]
    TooMany,
    /// Not a label: 1 to 256 characters are.
    #[error("A staging label has 1 to 256 characters, this one has {}.", .0.chars().count())]
    BadLabel(String),
}

impl Labels {
    /// Labels as a store keeps them. A label given twice stays with the version given last.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, VersionId)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// Every label with its version, in alphabetical order of the labels.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &VersionId)> {
        self.0.iter().map(|(label, version)| (label.as_str(), version))
    }

    /// The version that holds `label`.
    #[must_use]
    pub fn holder(&self, label: &str) -> Option<&VersionId> {
        self.0.get(label)
    }

    /// The labels of `version`, in alphabetical order. A version without any is deprecated.
    #[must_use]
    pub fn of(&self, version: &VersionId) -> Vec<String> {
        let held = self.0.iter().filter(|(_, holder)| *holder == version);
        held.map(|(label, _)| label.clone()).collect()
    }

    /// A version is written, with the labels of the request (`None` or none at all: a plain write).
    ///
    /// A plain write takes AWSCURRENT and drops AWSPENDING wherever it is: it abandons a rotation. Listed labels move
    /// from whoever held them, and AWSPENDING then stays unless listed. Wherever AWSCURRENT moves, AWSPREVIOUS follows
    /// to the version that lost it, even if the request lists AWSPREVIOUS too.
    ///
    /// The first version gets AWSCURRENT in any case. Filling the placeholder of a rotation is not a first version: on a
    /// secret without a value AWSCURRENT waits for finishSecret, because nothing unproven may become AWSCURRENT.
    ///
    /// # Errors
    /// [`LabelError::BadLabel`], and [`LabelError::TooMany`] when labels that are new to the secret do not fit.
    pub fn put(&self, version: &VersionId, stages: Option<&[String]>) -> Result<Self, LabelError> {
        let Some(stages) = stages.filter(|listed| !listed.is_empty()) else {
            let mut next = self.make_current(version);
            next.0.remove(PENDING);
            return Ok(next);
        };
        let mut next = self.clone();
        for label in stages {
            check_label(label)?;
            if label != CURRENT {
                next.0.insert(label.clone(), version.clone());
            }
        }
        let fills_placeholder = self.holder(PENDING) == Some(version);
        let first = self.holder(CURRENT).is_none() && !fills_placeholder;
        if first || stages.iter().any(|label| label == CURRENT) {
            next = next.make_current(version);
        }
        self.check_room(&next)?;
        Ok(next)
    }

    /// UpdateSecretVersionStage. `exists` says whether a version is one of this secret.
    ///
    /// Moving a label to the version that already holds it succeeds and changes nothing, whatever `remove_from` names:
    /// a finishSecret that is retried does this. When AWSCURRENT moves, AWSPREVIOUS goes to the version that lost it;
    /// AWSPENDING stays where it is.
    ///
    /// # Errors
    /// Every [`LabelError`].
    pub fn update(
        &self,
        label: &str,
        remove_from: Option<&VersionId>,
        move_to: Option<&VersionId>,
        exists: impl Fn(&VersionId) -> bool,
    ) -> Result<Self, LabelError> {
        check_label(label)?;
        let holder = self.holder(label);
        let not_holder =
            |version: &VersionId| LabelError::NotHolder { label: label.to_owned(), version: version.clone() };
        match (remove_from, move_to) {
            (None, None) => Err(LabelError::NothingToMove),
            (Some(_), None) if label == CURRENT => Err(LabelError::CurrentCannotBeRemoved),
            (Some(from), None) if holder != Some(from) => Err(not_holder(from)),
            (Some(_), None) => {
                let mut next = self.clone();
                next.0.remove(label);
                Ok(next)
            }
            (_, Some(to)) if holder == Some(to) => Ok(self.clone()),
            (_, Some(to)) if !exists(to) => Err(LabelError::NoSuchVersion(to.clone())),
            (Some(from), Some(_)) if holder != Some(from) => Err(not_holder(from)),
            (None, Some(_)) if let Some(holder) = holder => {
                Err(LabelError::RemoveFromRequired { label: label.to_owned(), holder: holder.clone() })
            }
            (_, Some(to)) if label == CURRENT => Ok(self.make_current(to)),
            (_, Some(to)) => {
                let mut next = self.clone();
                next.0.insert(label.to_owned(), to.clone());
                self.check_room(&next)?;
                Ok(next)
            }
        }
    }

    /// A rotation registers its placeholder: AWSPENDING goes to `version`.
    #[must_use]
    pub fn pend(&self, version: &VersionId) -> Self {
        let mut next = self.clone();
        next.0.insert(PENDING.to_owned(), version.clone());
        next
    }

    /// A rotation finishes: AWSCURRENT goes to `version`, AWSPREVIOUS to the version that lost it, and AWSPENDING is
    /// taken off `version`. Done twice, the second time changes nothing.
    #[must_use]
    pub fn promote(&self, version: &VersionId) -> Self {
        self.make_current(version).drop_pending(version)
    }

    /// A rotation gives up its placeholder: AWSPENDING is taken off `version`, if that version holds it.
    #[must_use]
    pub fn drop_pending(&self, version: &VersionId) -> Self {
        let mut next = self.clone();
        if next.holder(PENDING) == Some(version) {
            next.0.remove(PENDING);
        }
        next
    }

    /// Moves AWSCURRENT, and AWSPREVIOUS after it.
    fn make_current(&self, version: &VersionId) -> Self {
        let mut next = self.clone();
        if let Some(old) = next.0.insert(CURRENT.to_owned(), version.clone())
            && old != *version
        {
            next.0.insert(PREVIOUS.to_owned(), old);
        }
        next
    }

    /// AWS's own three labels count, but never make a write fail: only a caller's new labels can be too many.
    fn check_room(&self, next: &Self) -> Result<(), LabelError> {
        let own = [CURRENT, PENDING, PREVIOUS];
        let mut added = next.0.keys().filter(|label| !self.0.contains_key(*label));
        let grew = added.any(|label| !own.contains(&label.as_str()));
        if grew && next.0.len() > MAX_LABELS {
            return Err(LabelError::TooMany);
        }
        Ok(())
    }
}

fn check_label(label: &str) -> Result<(), LabelError> {
    match label.chars().count() {
        1..=256 => Ok(()),
        _ => Err(LabelError::BadLabel(label.to_owned())),
    }
}

#[cfg(test)]
mod tests;
