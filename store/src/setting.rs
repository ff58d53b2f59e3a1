//! Settings that tags are a view of: what a tag says is taken over, what is settled otherwise is shown as a tag. There is
//! one stored setting, in table `rotation`; the row of table `tag` keeps how it was written, and its place among the tags.
//!
//! Never here: what settings mean and what contradicts itself (`engine::settings`).

use engine::Time;
use engine::schedule::{Limits, Schedule};
use engine::settings::{self, Change, SettingError, View};

use crate::model::Tag;
use crate::subject::Subject;
use crate::tx::Writing;
use crate::{StoreError, history, rotation, tag};

/// What these tags say; None where none of them is a setting.
pub(crate) fn said_by(tags: &[Tag]) -> Result<Option<Change>, StoreError> {
    let ours = tags.iter().filter_map(|tag| Some((View::of_key(&tag.key)?, &tag.value)));
    let changes = ours.map(|(view, value)| view.read(value)).collect::<Result<Vec<_>, _>>()?;
    Ok(changes.into_iter().reduce(both))
}

/// What it says to take the tags of these keys away.
pub(crate) fn said_without<'a>(keys: impl Iterator<Item = &'a str>) -> Option<Change> {
    keys.filter_map(View::of_key).map(View::removed).reduce(both)
}

/// Each tag is a setting of its own, so one of the two at most speaks of any.
fn both(one: Change, other: Change) -> Change {
    Change {
        strategy: other.strategy.or(one.strategy),
        grace_seconds: other.grace_seconds.or(one.grace_seconds),
        time_zone: other.time_zone.or(one.time_zone),
        ..one
    }
}

/// Takes over what tags say. The caller saves the subject.
pub(crate) async fn change(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    change: Change,
    limits: Limits,
    now: Time,
) -> Result<(), StoreError> {
    let before = Before::of(&subject.rotation);
    let row = &mut subject.rotation;
    refuse_how(row, &change)?;
    change.apply(&mut row.options, &mut row.time_zone);
    check(row, limits, now)?;
    let now_shown = Before::of(row);
    for (view, (before, after)) in View::ALL.into_iter().zip(before.0.iter().zip(&now_shown.0)) {
        if before != after {
            let said = match after {
                Some(value) => format!("the tag {} was set to {value}", view.key()),
                None => format!("the tag {} was taken away: its setting is the default again", view.key()),
            };
            history::note(w, subject.secret.id, None, "configured", None, &said, now).await?;
        }
    }
    if before.0[2] != now_shown.0[2] {
        subject.replan(now, limits);
        w.wake();
    }
    Ok(())
}

/// A registered rotator decides by itself how the credential is changed.
pub(crate) fn refuse_how(row: &rotation::Row, change: &Change) -> Result<(), SettingError> {
    if change.says_how() && !row.lane.is_empty() { Err(SettingError::RotatorDecides) } else { Ok(()) }
}

/// Refuses settings that contradict each other, or the schedule; a zone without rules is checked too.
pub(crate) fn check(row: &rotation::Row, limits: Limits, now: Time) -> Result<(), StoreError> {
    let rules = row.rules.clone().unwrap_or_default();
    let schedule = Schedule::parse(&rules, row.time_zone.as_deref(), limits)?;
    Ok(settings::check(&row.options, !row.lane.is_empty(), schedule.as_ref(), now)?)
}

/// The settings as tags show them, in the order of [`View::ALL`].
pub(crate) struct Before([Option<String>; 3]);

impl Before {
    pub(crate) fn of(row: &rotation::Row) -> Self {
        Self(View::ALL.map(|view| view.shown(&row.options, row.time_zone.as_deref())))
    }
}

/// The setting that a tag's text says, as a tag shows it.
fn says(view: View, text: &str) -> Option<String> {
    let (mut options, mut zone) = (engine::port::Options::default(), None);
    view.read(text).ok()?.apply(&mut options, &mut zone);
    view.shown(&options, zone.as_deref())
}

/// The tags as they are shown. One that says another setting than there is came from an earlier binary, to which it was a
/// tag like all, and says what is in force or nothing.
pub(crate) fn viewed(tags: Vec<Tag>, row: &rotation::Row) -> Vec<Tag> {
    let view_of = |tag: Tag| {
        let Some(view) = View::of_key(&tag.key) else { return Some(tag) };
        let value = view.shown(&row.options, row.time_zone.as_deref())?;
        Some(if says(view, &tag.value).as_ref() == Some(&value) { tag } else { Tag { value, ..tag } })
    };
    tags.into_iter().filter_map(view_of).collect()
}

/// Brings the tags to settings that were changed otherwise, or were `said` again. How somebody wrote a tag stays while it
/// still says the same. The caller saves the subject.
pub(crate) async fn show(
    w: &mut Writing<'_>,
    subject: &mut Subject,
    before: &Before,
    said: &Change,
) -> Result<(), StoreError> {
    let id = subject.secret.id;
    let Before(after) = Before::of(&subject.rotation);
    for ((view, before), after) in View::ALL.into_iter().zip(&before.0).zip(after) {
        if *before == after && !view.is_said(said) {
            continue;
        }
        let Some(value) = after else {
            tag::remove(w.conn(), id, view.key()).await?;
            continue;
        };
        let written = tag::value(w.conn(), id, view.key()).await?;
        if written.is_none_or(|text| says(view, &text).as_ref() != Some(&value)) {
            tag::put(w.conn(), id, &[Tag { key: view.key().to_owned(), value }]).await?;
            subject.secret.tagged = true;
        }
    }
    Ok(())
}
