//! What must hold, looked at from outside: which values the servers let in, what the labels say, who asked for what is
//! open. Never here: how it came about.

use std::collections::BTreeMap;

use engine::label::{CURRENT, PREVIOUS};
use engine::rotation::{Rotation, Step};
use store::{RotationView, StoreError};

use crate::journal::Started;
use crate::op::Kind;
use crate::parties::Login;
use crate::world::{Secret, Word, World};

/// What the store knows of a secret, and what of that logs in.
struct Facts {
    view: RotationView,
    current: Option<Login>,
    current_ok: bool,
    known: Vec<Login>,
}

impl World {
    /// Everything that must hold of these secrets now.
    pub(crate) async fn check(&mut self, indices: impl IntoIterator<Item = usize>) -> Result<(), String> {
        for started in self.journal.take_started() {
            self.check_start(&started)?;
        }
        for index in indices {
            if let Some(facts) = self.facts(index).await? {
                self.check_logins(index, &facts)?;
                self.check_labels(index).await?;
                self.check_asked(index, &facts)?;
            } else {
                self.check_gone(index).await?;
            }
        }
        self.journal.broken().map_or(Ok(()), Err)
    }

    /// Secrets whose targets something has changed since the last check.
    pub(crate) fn touched(&self) -> Vec<usize> {
        let touched = self.journal.take_touched();
        let is_touched = |(index, secret): (usize, &Secret)| touched.contains(&secret.arn).then_some(index);
        self.secrets.iter().enumerate().filter_map(is_touched).collect()
    }

    /// None: it is gone.
    async fn facts(&self, index: usize) -> Result<Option<Facts>, String> {
        let secret = &self.secrets[index];
        let view = match self.store().rotation(&secret.name).await {
            Ok(view) => view,
            Err(StoreError::SecretNotFound) if secret.gone => return Ok(None),
            Err(error) => return Err(format!("lost: {} cannot be read: {error}", secret.name)),
        };
        let sight = self.store().sight(&secret.name, None, self.now()).await;
        let material = sight.map_err(|error| format!("lost: {} has no values: {error}", secret.name))?.material;
        let current = material.current.as_ref().and_then(Login::of);
        let current_ok = current.as_ref().is_some_and(|current| self.lets_in(current));
        let known = material.known.iter().filter_map(|known| Login::of(&known.value)).collect();
        Ok(Some(Facts { view, current, current_ok, known }))
    }

    fn check_logins(&mut self, index: usize, facts: &Facts) -> Result<(), String> {
        let is_idle = facts.view.rotation == Rotation::Idle;
        let alive = facts.current_ok || facts.known.iter().any(|login| self.lets_in(login));
        let primary = facts.current.as_ref().and_then(|current| self.target.account(&current.host, &current.user));
        let at_work = self.drivers.iter().any(|driver| driver.arn == self.secrets[index].arn);
        let secret = &mut self.secrets[index];
        if facts.current_ok {
            // A rotation that began with a wrong AWSCURRENT has not noted down what is right: who takes it away again does so alone.
            secret.excused &= !is_idle;
            if is_idle && !at_work {
                (secret.word, secret.switched) = (Word::Ours, false);
            }
        }
        secret.in_gap = alive && !facts.current_ok;
        let name = &secret.name;
        if secret.excused {
            return Ok(());
        }
        if !alive {
            return Err(format!("lockout: nothing that is known of {name} logs in ({:?})", facts.view.rotation));
        }
        let is_known = |password: &String| facts.logins().any(|login| login.password == *password);
        if secret.rotated && secret.kind != Kind::Pair && !primary.is_some_and(|held| is_known(&held.primary)) {
            return Err(format!("lost: what the target of {name} holds is no unresolved candidate"));
        }
        if facts.current_ok || secret.word != Word::Ours {
            return Ok(());
        }
        let has_two = matches!(secret.kind, Kind::Dual | Kind::DualByAdmin | Kind::Pair);
        let promises = has_two && !secret.switched && !secret.in_place;
        let in_gap = facts.view.rotation.run().is_some_and(|run| run.sets > 0 || run.reconciles);
        if is_idle || promises || !in_gap {
            return Err(format!("AWSCURRENT of {name} is refused ({:?})", facts.view.rotation));
        }
        Ok(())
    }

    async fn check_labels(&self, index: usize) -> Result<(), String> {
        let name = &self.secrets[index].name;
        let described = self.store().describe(name).await.map_err(|error| format!("{name}: {error}"))?;
        let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
        for (version, labels) in &described.stages {
            for label in labels {
                if let Some(other) = holders.insert(label, version) {
                    return Err(format!("labels: {label} of {name} is on {version} and on {other}"));
                }
            }
        }
        match (holders.get(CURRENT), holders.get(PREVIOUS)) {
            (None, _) => Err(format!("labels: {name} has no AWSCURRENT")),
            (Some(current), Some(previous)) if current == previous => {
                Err(format!("labels: AWSCURRENT and AWSPREVIOUS of {name} are on one version"))
            }
            _ => Ok(()),
        }
    }

    /// Nothing is open that nobody asked for.
    fn check_asked(&self, index: usize, facts: &Facts) -> Result<(), String> {
        let secret = &self.secrets[index];
        let Some(run) = facts.view.rotation.run() else { return Ok(()) };
        let by_policy = run.reconciles && run.started_by == "policy" && !facts.view.options.reconcile;
        let unasked = !run.reconciles && !run.promoted && !secret.asked.contains(run.token.as_str());
        if by_policy || unasked {
            return Err(format!("nobody asked for what is open of {}: {:?}", secret.name, facts.view.rotation));
        }
        Ok(())
    }

    /// Only a schedule that is due starts a rotation by itself, once in each of its windows.
    fn check_start(&mut self, started: &Started) -> Result<(), String> {
        let Some(secret) = self.secrets.iter_mut().find(|secret| secret.arn == started.arn) else { return Ok(()) };
        let name = &secret.name;
        secret.asked.insert(started.token.clone());
        secret.rotated = true;
        if !secret.enabled || secret.paused || secret.deleted {
            let how = (secret.enabled, secret.paused, secret.deleted);
            return Err(format!("{name} was rotated although it was cancelled, paused or deleted: {how:?}"));
        }
        let Some(window) = started.window else {
            return Err(format!("{name} was rotated by schedule outside any window"));
        };
        if started.at < window.opens {
            return Err(format!("{name} was rotated at {}, before its window opens at {}", started.at, window.opens));
        }
        if secret.last_opens.is_some_and(|last| window.opens <= last) {
            return Err(format!("{name} was rotated twice in the window that opens at {}", window.opens));
        }
        secret.last_opens = Some(window.opens);
        Ok(())
    }

    /// What was deleted for good while a candidate was on the account is kept for people.
    async fn check_gone(&self, index: usize) -> Result<(), String> {
        let secret = &self.secrets[index];
        if !secret.in_gap || secret.excused {
            return Ok(());
        }
        let kept = self.store().recover(&secret.name).await.map_err(|error| format!("recovering: {error}"))?;
        let mut logins = kept.iter().filter_map(|kept| Login::of(&kept.value.bytes));
        match logins.any(|login| self.lets_in(&login)) {
            true => Ok(()),
            false => Err(format!("lockout: {} is gone, with the only value that logs in", secret.name)),
        }
    }

    /// Before the quiet end: which rotations it has to bring to an end.
    pub(crate) async fn note_open(&mut self) {
        for index in 0..self.secrets.len() {
            let view = self.store().rotation(&self.secrets[index].name).await;
            let open = view.ok().and_then(|view| view.rotation.run().map(|run| run.token.to_string()));
            self.secrets[index].open = open;
        }
    }

    /// Its admin's own rotation is stuck until a person acts, which its history says.
    async fn waits_for_its_admin(&self, index: usize) -> bool {
        let Some(master) = &self.secrets[index].master else { return false };
        self.store().rotation(master).await.is_ok_and(|view| view.rotation != Rotation::Idle)
    }

    /// Faults have stopped and time has gone on: every rotation has ended, waits for the end of a grace, or for a person
    /// who is told what to do.
    pub(crate) async fn check_ended(&mut self) -> Result<(), String> {
        for index in 0..self.secrets.len() {
            let Some(facts) = self.facts(index).await? else { continue };
            let secret = &self.secrets[index];
            if secret.paused || secret.deleted || self.waits_for_its_admin(index).await {
                continue;
            }
            let name = &secret.name;
            match &facts.view.rotation {
                Rotation::Idle | Rotation::Waiting { step: Step::Retire, .. } => {}
                // Nothing was sent, and it goes on in the next window.
                Rotation::Waiting { run, not_before, .. } if run.sets == 0 && *not_before > self.now() => {}
                Rotation::Parked { reason, .. } if !reason.message.is_empty() => {}
                open if open.run().map(|run| run.token.as_str()) == secret.open.as_deref() => {
                    return Err(format!("{name} never ends: {open:?}\n{}", self.story(index).await));
                }
                // Begun by its schedule meanwhile, and under way.
                _ => {}
            }
            let parked = matches!(facts.view.rotation, Rotation::Parked { .. });
            let by_nobody = !secret.excused && secret.word == Word::Ours && secret.master.is_none();
            if parked && by_nobody && !facts.current_ok {
                let story = self.story(index).await;
                return Err(format!("AWSCURRENT of {name} is refused until a person acts\n{story}"));
            }
            let settled = facts.view.rotation == Rotation::Idle && secret.word == Word::ToBeProven && !secret.excused;
            if settled && !facts.current_ok {
                return Err(format!("AWSCURRENT of {name} was moved in a rotation and never proven"));
            }
        }
        Ok(())
    }
}

impl World {
    /// What a secret's history says last.
    pub(crate) async fn story(&self, index: usize) -> String {
        let lines = self.store().history(&self.secrets[index].name, 30).await.unwrap_or_default();
        let told = lines.iter().map(|line| {
            let (kind, step, verdict) = (&line.kind, line.step.as_deref().unwrap_or(""), line.verdict.as_deref());
            format!("  {} {kind} {step} {} {}", line.started, verdict.unwrap_or(""), line.message)
        });
        let told: Vec<String> = told.collect();
        format!("now {}\n{}", self.now(), told.join("\n"))
    }
}

impl Facts {
    fn logins(&self) -> impl Iterator<Item = &Login> {
        self.current.iter().chain(&self.known)
    }
}
