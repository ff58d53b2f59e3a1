//! Owns testSecret of a secret with several hosts: the new credential logs in at every one before AWSCURRENT moves. A
//! standby gets it later than the primary, so it is waited for. Never here: SQL.

use std::time::Duration;

use engine::outcome::{Done, StepError, Verdict};
use tokio::time::sleep;

use super::reach::reach;
use super::round::{Round, no_primary};
use super::{Knock, Place, Role, Site, Stored, login_at};
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

/// How the new credential fares at a host.
enum Fares {
    In(Role),
    /// Seen in the catalogue, or by a refused login, which counts.
    Refused {
        counted: bool,
    },
    Failed(StepError),
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
        if let (Some(place), Some(other)) = (refused.first(), let_in.first()) {
            return Err(differs(place, other, "refuses AWSCURRENT, which logs in"));
        }
        // An admin says what is wrong with the account. Without one nothing proves that whoever listed the hosts is
        // entitled to what is sent there.
        if let Some(place) = refused.first()
            && let_in.is_empty()
            && self.cx.material.admin.is_none()
        {
            return Err(refused_everywhere(place));
        }
        self.other_account_everywhere(&there).await
    }

    /// The same for the account that takes turns with AWSCURRENT's, where the admin sees it.
    async fn other_account_everywhere(&self, places: &[Place]) -> Result<(), StepError> {
        let (mut there, mut missing) = (None, None);
        for place in places {
            let wanted = self.wanted_at(place)?;
            let Some(admin) = self.admin_at(place) else { continue };
            if self.current_at(place).is_none_or(|current| current.user == wanted.user) {
                continue;
            }
            match self.site.stored(&admin, &wanted).await {
                Some(Stored::Missing) => missing = missing.or(Some(place)),
                Some(Stored::Other | Stored::Same) => there = there.or(Some(place)),
                None => {}
            }
        }
        match (missing, there) {
            (Some(place), Some(other)) => Err(differs(place, other, "lacks the account to be changed, which exists")),
            _ => Ok(()),
        }
    }

    pub(super) async fn test(&self) -> Result<Done, StepError> {
        let (there, mut failed) = reach(&self.places).await;
        let (mut primary, mut behind) = (None, vec![]);
        for place in &there {
            match self.fares(place).await? {
                Fares::In(role) if !role.standby => primary = primary.or(Some(place)),
                Fares::In(_) => {}
                Fares::Refused { counted } => behind.push(self.behind(place, counted).await?),
                Fares::Failed(error) => failed.push(error),
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

    /// Tries the new credential at one host, only where it can be right as far as the admin sees: a server may lock an
    /// account after refused logins.
    async fn fares(&self, place: &Place) -> Result<Fares, StepError> {
        let wanted = self.wanted_at(place)?;
        if self.site.locks_accounts()
            && let Some(admin) = self.admin_at(place)
            && let Some(Stored::Missing | Stored::Other) = self.site.stored(&admin, &wanted).await
        {
            return Ok(Fares::Refused { counted: false });
        }
        Ok(match self.knock(&wanted).await? {
            Knock::In(role) => Fares::In(role),
            Knock::Refused => Fares::Refused { counted: true },
            Knock::Failed(error) => Fares::Failed(error),
        })
    }

    /// Who does log in at a host that refused the new credential, and what it is.
    async fn behind(&self, place: &Place, counted: bool) -> Result<Behind, StepError> {
        let wanted = self.wanted_at(place)?;
        let known = self.cx.material.known.iter().filter(|known| known.role != "AWSPREVIOUS");
        let known = known.filter_map(|known| login_at(self.kind(), &known.value, place));
        let known = known.filter(|login| !login.same_password(&wanted));
        for login in known.filter(|_| counted) {
            if let Knock::In(role) = self.knock(&login).await? {
                if login.user == wanted.user {
                    self.forgive();
                }
                return Ok(Behind { place: place.clone(), role: Some(role), other: Some(login) });
            }
        }
        if let Some(admin) = self.admin_at(place)
            && let Knock::In(role) = self.site.knock(&admin).await
        {
            return Ok(Behind { place: place.clone(), role: Some(role), other: Some(admin) });
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
        failed.extend(behind.iter().map(lags));
        match failed.is_empty() {
            true => no_primary(vec![only_standbys(&self.listed())]),
            false => no_primary(failed),
        }
    }

    /// Waits until each of them lets the new credential in, for as long as the step has time.
    async fn wait_for(&self, mut behind: Vec<Behind>) -> Result<(), StepError> {
        let mut pause = FIRST;
        while let Some(first) = behind.first() {
            self.if_late(lags(first));
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
        let counted = match self.fares(&host.place).await {
            Ok(Fares::In(_)) => return Ok(None),
            Ok(Fares::Refused { counted }) => counted,
            Ok(Fares::Failed(error)) => return Err(error),
            // The account can be cost no more: what is waited for says more.
            Err(_) => return Err(lags(&host)),
        };
        let user = self.wanted_at(&host.place)?.user;
        if let Some(other) = &host.other
            && let Ok(Knock::In(role)) = self.knock(other).await
        {
            host.role = Some(role);
            if counted && other.user == user {
                self.forgive();
                return Ok(Some(host));
            }
        }
        if counted && !self.site.locks_accounts() {
            self.forgive();
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

fn refused_everywhere(place: &Place) -> StepError {
    let message = format!(
        "{place} refuses AWSCURRENT, which lists several hosts: the new password would be sent to all of them. Nothing \
         was changed."
    );
    StepError::new(Verdict::NeedsPerson, "current-refused", message).remedy(
        "See who wrote AWSCURRENT and its \"hosts\"; write the right value by a plain PutSecretValue, or name an admin \
         secret in masterarn, then resume.",
    )
}

fn differs(place: &Place, other: &Place, how: &str) -> StepError {
    StepError::new(Verdict::Retry, "host-differs", format!("{place} {how} at {other}. Nothing was changed.")).remedy(
        format!("See that {place} replicates and has the account as {other} has it, or take it out of \"hosts\"."),
    )
}

fn lags(behind: &Behind) -> StepError {
    let place = &behind.place;
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
