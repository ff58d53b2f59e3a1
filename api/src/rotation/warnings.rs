//! What somebody who enables a rotation should know, although nothing is wrong with it: sentences.
//!
//! Never here: what the target would say (that is a preflight's).

use engine::schedule::Schedule;
use engine::settings::within_grace;
use engine::span::spell;
use engine::strategy::Strategy;
use store::RotationView;

use crate::error::ApiError;
use crate::op::Cx;

/// About this rotation, as it was just configured.
pub(crate) async fn of(cx: &Cx<'_>, view: &RotationView) -> Result<Vec<String>, ApiError> {
    let mut warnings = Vec::new();
    // A registered rotator may have a grace of its own.
    let has_grace = !view.registered || view.options.grace_seconds.is_some();
    if has_grace && view.options.strategy != Some(Strategy::SingleUser) {
        warnings.extend(cached_for_longer(cx, view).await?);
        warnings.extend(waits_for_grace(cx, view));
    }
    warnings.extend(of_one_account(cx, view).await?);
    Ok(warnings)
}

// F106
async fn cached_for_longer(cx: &Cx<'_>, view: &RotationView) -> Result<Option<String>, ApiError> {
    let readers = cx.state.store.readers(&view.arn).await?;
    let longest = readers.into_iter().filter_map(|reader| Some((reader.cache?, reader.principal))).max();
    let grace = view.options.grace();
    Ok(longest.filter(|(cache, _)| *cache > grace).map(|(cache, principal)| {
        format!(
            "{principal} keeps what it reads for {}, and the credential before is ended after a grace of {}: make the \
             grace longer (--grace {}).",
            spell(cache),
            spell(grace),
            spell(cache)
        )
    }))
}

/// With an explicit strategy this is refused.
fn waits_for_grace(cx: &Cx<'_>, view: &RotationView) -> Option<String> {
    let config = view.config.as_ref().filter(|_| view.options.strategy.is_none())?;
    let rules = config.rules.as_ref()?;
    let schedule = Schedule::parse(rules, config.time_zone.as_deref(), cx.state.limits).ok()??;
    let interval = within_grace(&view.options, &schedule, cx.now)?;
    Some(format!(
        "The schedule comes round every {}: where the account has two passwords, each rotation waits for the one before \
         until its grace of {} is over. Choose a shorter grace (--grace) or a longer interval.",
        spell(interval),
        spell(view.options.grace())
    ))
}

// F83, F70
async fn of_one_account(cx: &Cx<'_>, view: &RotationView) -> Result<Vec<String>, ApiError> {
    let mut warnings = Vec::new();
    for other in cx.state.store.same_account(&view.arn).await? {
        let users = cx.state.store.admin_of(&other.arn).await?;
        let name = &other.name;
        warnings.push(match users.first() {
            None => format!(
                "The secret {name} is for the same account and is not rotated: its value will be wrong after the next \
                 rotation of this one."
            ),
            Some(user) => format!(
                "The secret {name} is for the same account and is the admin of {}: its value will be wrong after the next \
                 rotation of this one, and those rotations will stop. Rotate {name} instead, and name it everywhere.",
                user.name
            ),
        });
    }
    Ok(warnings)
}
