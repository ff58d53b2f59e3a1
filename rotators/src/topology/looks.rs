//! Owns putting together what the hosts of one secret answer to looks that change nothing. Never here: the looks.

use engine::check::{Finding, Level, Report, Sessions, Verified};
use engine::outcome::{StepError, Verdict};

use super::Site;
use super::round::Round;

impl<R: Site> Round<'_, R> {
    /// AWSCURRENT must log in everywhere. What else logs in somewhere says more than a host that is away.
    pub(super) async fn verify(&self) -> Result<Verified, StepError> {
        let mut failed = None;
        for place in &self.places {
            match self.at(place, |site, cx| site.verify(cx)).await {
                Ok(Verified::CurrentLogsIn) => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Verified::CurrentLogsIn), Err)
    }

    /// Who is logged in with the old credential, at any host.
    pub(super) async fn sessions(&self) -> Result<Option<Vec<Sessions>>, StepError> {
        let mut all = None;
        for place in &self.places {
            if let Some(found) = self.at(place, |site, cx| site.sessions(cx)).await? {
                all.get_or_insert_with(Vec::new).extend(found);
            }
        }
        Ok(all)
    }

    /// Somebody is still logged in with the old credential: the primary alone does not see the sessions of standbys.
    pub(super) async fn still_used(&self) -> Result<(), StepError> {
        let users = self.sessions().await?.unwrap_or_default();
        let Some(first) = users.first() else { return Ok(()) };
        let count: u64 = users.iter().map(|sessions| sessions.count).sum();
        Err(StepError::new(
            Verdict::InProgress,
            "still-used",
            format!(
                "{count} sessions at {} use the old credential ({} from {}).",
                self.listed(),
                first.user,
                first.from
            ),
        )
        .retry_after(AGAIN))
    }

    /// One report of all: the primary's, with what stands in the way at the others.
    pub(super) async fn check(&self) -> Result<Report, StepError> {
        let (mut reports, mut failed) = (vec![], vec![]);
        for place in &self.places {
            match self.at(place, |site, cx| site.check(cx)).await {
                Ok(report) => reports.push(report),
                Err(error) => failed.push(error),
            }
        }
        let primary = reports.iter().position(|report| report.servers.iter().all(|server| !server.standby));
        if reports.is_empty() {
            return Err(super::round::no_primary(failed));
        }
        let mut whole = reports.remove(primary.unwrap_or(0));
        for report in reports {
            whole.servers.extend(report.servers);
            // A standby is what one of several hosts may be.
            let others = report.findings.into_iter().filter(|it| it.level != Level::Ok && it.code != STANDBY);
            for finding in others {
                if !whole.findings.contains(&finding) {
                    whole.findings.push(finding);
                }
            }
        }
        let hosts = failed.into_iter().map(|e| Finding::new(Level::Problem, "host", e.message).remedy(e.remedy));
        whole.findings.extend(hosts);
        if primary.is_none() && !whole.findings.iter().any(|finding| finding.code == STANDBY) {
            let message = format!("None of {} is seen to take writes.", self.listed());
            let remedy = "Put the primary into \"host\" or \"hosts\" of the secret.";
            whole.findings.push(Finding::new(Level::Problem, STANDBY, message).remedy(remedy));
        }
        Ok(whole)
    }
}

/// The code of the finding that a server takes no writes.
const STANDBY: &str = "standby";
/// When to ask again whether the old credential is still in use.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(60);
