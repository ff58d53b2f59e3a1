//! Owns what becomes of the other account of a pair that somebody else made and a secret's rotation takes over.
//! Never here: looking at the target.

use engine::check::{Finding, Level, Report};
use engine::port::Options;
use engine::settings::Change;
use engine::strategy::Strategy;
use store::RotationView;

use crate::error::ApiError;
use crate::op::Cx;

/// The code of a finding: two accounts take turns already, made by somebody else.
const EXISTING_PAIR: &str = "existing-pair";

/// Whether what is settled may take over a pair: accounts are to take turns from now on (a tag may have said so before the
/// first configuration), and nothing is said about how long the other one goes on working.
fn may_take_over(view: &RotationView, settled: &Options, change: &Change) -> bool {
    let turns = |options: &Options| options.strategy == Some(Strategy::AlternatingUsers);
    let is_new = !turns(&view.options) || view.config.is_none();
    let is_told = [settled.retirement.is_some(), settled.grace_seconds.is_some(), change.retirement.is_some()];
    turns(settled) && is_new && !is_told.contains(&true) && change.grace_seconds.is_none()
}

/// Both accounts of a pair that is taken over go on working, as whoever made it left them, unless something is said about
/// that. One that Pawl rotates already is not taken over.
pub(crate) fn keeps_both(view: &RotationView, settled: &Options, change: &Change, report: &Report) -> bool {
    let is_there = report.findings.iter().any(|finding| finding.code == EXISTING_PAIR);
    is_there && may_take_over(view, settled, change)
}

/// The same where nothing but a tag has said that accounts take turns, and nobody has looked yet: what somebody should know
/// then. Where the target cannot be looked at, nothing is settled by that.
///
/// # Errors
/// As where the secret's rotation is described.
pub(crate) async fn kept_by_tag(cx: &Cx<'_>, id: &str, rotator: Option<&str>) -> Result<Option<Finding>, ApiError> {
    let Some(bench) = &cx.state.workbench else { return Ok(None) };
    let (view, nothing) = (cx.state.store.rotation(id).await?, Change::default());
    if !may_take_over(&view, &view.options, &nothing) {
        return Ok(None);
    }
    let Ok(report) = bench.preflight(id, rotator, None).await else { return Ok(None) };
    Ok(keeps_both(&view, &view.options, &nothing, &report).then(|| kept(&view)))
}

/// What somebody should know about it.
pub(crate) fn kept(view: &RotationView) -> Finding {
    let said = "the two accounts took turns before: both go on working after a rotation, as they did";
    let remedy = format!("pawl rotation enable {} --retire at-grace-end", view.name);
    Finding::new(Level::Warning, "keeps-both", said).remedy(remedy)
}
