//! Owns testSecret of a secret with several hosts: the new credential logs in at every one before AWSCURRENT moves. A
//! standby gets it later than the primary, so it is waited for. Never here: SQL.

use std::time::Duration;

use engine::outcome::{Done, StepError, Verdict};
use tokio::time::sleep;

use super::reach::reach;
use super::round::{Round, no_primary};
use super::{Knock, Place, Role, Site, login_at};
use crate::connection::Login;

/// The pause before a standby is asked again; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);

/// A host that refused the new credential.
struct Behind {
    place: Place,
    role: Option<Role>,
    /// A login that it does let in. One of the same account sets the server's count of refused logins back.
    other: Option<Login>,
}

impl<R: Site> Round<'_, R> {
    /// Before the first change: whoever has AWSCURRENT can log in everywhere. A host that is away, or where the account
    /// is missing, could not prove the new value; on MySQL it would stop replication as well.
    pub(super) async fn ready(&self) -> Result<(), StepError> {
        let (there, gone) = reach(&self.places).await;
        if let Some(error) = gone.into_iter().next() {
            return Err(not_ready(error));
        }
        let (mut let_in, mut refused) = (vec![], vec![]);
        for place in &there {
            let Some(current) = self.current_at(place) else { continue };
            match self.knock(&current).await? {
                Knock::In(_) => let_in.push(place),
                Knock::Refused => refused.push(place),
                Knock::Failed(error) => return Err(not_ready(error)),
            }
        }
        match (refused.first(), let_in.first()) {
            // Where AWSCURRENT works nowhere, setSecret says what can be done.
            (Some(place), Some(other)) => Err(differs(place, other)),
            _ => Ok(()),
        }
    }

    pub(super) async fn test(&self) -> Result<Done, StepError> {
        let (there, mut failed) = reach(&self.places).await;
        let (mut primary, mut behind) = (None, vec![]);
        for place in &there {
            match self.knock(&self.wanted_at(place)?).await? {
                Knock::In(role) if !role.standby => primary = primary.or(Some(place)),
                Knock::In(_) => {}
                Knock::Refused => behind.push(self.behind(place).await?),
                Knock::Failed(error) => failed.push(error),
            }
        }
        let Some(primary) = primary else {
            return Err(self.without_primary(&behind, failed).await);
        };
        let done = self.at(primary, |site, cx| site.test(cx)).await?;
        if let Some(error) = failed.into_iter().next() {
            return Err(error);
        }
        self.wait_for(behind).await?;
        Ok(self.done(done))
    }

    /// Who does log in at a host that refused the new credential, and what it is.
    async fn behind(&self, place: &Place) -> Result<Behind, StepError> {
        let wanted = self.wanted_at(place)?;
        let known = self.cx.material.known.iter().filter(|known| known.role != "AWSPREVIOUS");
        let known = known.filter_map(|known| login_at(self.kind(), &known.value, place));
        let known = known.filter(|login| !login.same_password(&wanted));
        // The admin costs the account nothing, but sets nothing back.
        for login in known.chain(self.admin_at(place)) {
            let of_account = login.user == wanted.user;
            if let Knock::In(role) = self.knock(&login).await? {
                if of_account {
                    self.forgive();
                }
                return Ok(Behind { place: place.clone(), role: Some(role), other: Some(login) });
            }
        }
        Ok(Behind { place: place.clone(), role: None, other: None })
    }

    /// The new credential logs in at no host that takes writes.
    async fn without_primary(&self, behind: &[Behind], mut failed: Vec<StepError>) -> StepError {
        let refusing = behind.iter().find(|behind| behind.role.is_some_and(|role| !role.standby));
        let unknown = behind.iter().find(|behind| behind.role.is_none()).filter(|_| failed.is_empty());
        if let Some(refusing) = refusing.or(unknown) {
            // Its own words say why; should it log in by now, the next try goes on from there.
            if let Err(error) = self.at(&refusing.place, |site, cx| site.test(cx)).await {
                return error;
            }
        }
        failed.extend(behind.iter().map(|behind| lags(behind, &behind.place)));
        match failed.is_empty() {
            true => no_primary(vec![only_standbys(&self.listed())]),
            false => no_primary(failed),
        }
    }

    /// Waits until each of them lets the new credential in, for as long as the step has time.
    async fn wait_for(&self, mut behind: Vec<Behind>) -> Result<(), StepError> {
        let mut pause = FIRST;
        while let Some(first) = behind.first() {
            self.if_late(lags(first, &first.place));
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
            let mut still = vec![];
            for host in behind {
                still.extend(self.again(host).await?);
            }
            behind = still;
        }
        Ok(())
    }

    /// Asks one host again. None: it lets the new credential in.
    async fn again(&self, mut host: Behind) -> Result<Option<Behind>, StepError> {
        let wanted = self.wanted_at(&host.place)?;
        match self.knock(&wanted).await {
            Ok(Knock::In(_)) => return Ok(None),
            Ok(Knock::Refused) => {}
            Ok(Knock::Failed(error)) => return Err(error),
            Err(_) => return Err(lags(&host, &host.place)),
        }
        match &host.other {
            Some(other) => {
                let knock = self.knock(other).await;
                if let Ok(Knock::In(role)) = knock {
                    host.role = Some(role);
                    if other.user == wanted.user {
                        self.forgive();
                    }
                }
            }
            None if self.site.locks_accounts() => {}
            None => self.forgive(),
        }
        Ok(Some(host))
    }
}

fn not_ready(error: StepError) -> StepError {
    let message = format!(
        "{} Every host of the secret must be there before the credential is changed, for it is proven at each. Nothing \
         was changed.",
        error.message
    );
    StepError { message, ..error }
}

fn differs(place: &Place, other: &Place) -> StepError {
    StepError::new(
        Verdict::Retry,
        "host-differs",
        format!("{place} refuses AWSCURRENT, which logs in at {other}. Nothing was changed."),
    )
    .remedy(format!(
        "See that {place} replicates and has the account with AWSCURRENT's password, or take it out of \"hosts\"."
    ))
}

fn lags(behind: &Behind, place: &Place) -> StepError {
    let how = match (behind.role, behind.role.and_then(|role| role.behind_seconds)) {
        (_, Some(seconds)) => format!("; the last change it has got is {seconds} s old"),
        (Some(role), None) if role.standby => "; it is a standby".to_owned(),
        (Some(_), None) => "; it takes writes itself, and is no standby of the other".to_owned(),
        (None, None) => ", and every other value that is known".to_owned(),
    };
    StepError::new(
        Verdict::Retry,
        "replica-lag",
        format!("{place} does not let the new credential in yet{how}. AWSCURRENT does not move before it does."),
    )
    .remedy(format!(
        "See that {place} replicates and has the account; or take it out of \"hosts\" by a plain PutSecretValue when \
         it is gone for good."
    ))
}

fn only_standbys(hosts: &str) -> StepError {
    StepError::new(Verdict::Retry, "25006", format!("{hosts} are read-only standbys."))
}
