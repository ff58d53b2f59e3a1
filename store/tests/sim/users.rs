//! What people and servers do. Never here: what nodes do.

use engine::label::{CURRENT, PENDING, PREVIOUS};
use engine::secret::SecretValue;
use engine::settings::{Change, Said};
use engine::strategy::{Retirement, Strategy};
use store::{MoveLabel, PutValue, Start, StoreError, Tag};

use crate::op::{Kind, Move, Text, Trouble, Wish};
use crate::parties::Login;
use crate::world::{HOSTS, Word, World};

/// A refusal is an answer. A store that contradicts itself is not.
fn answered<T>(answer: Result<T, StoreError>) -> Result<Option<T>, String> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ (StoreError::Inconsistent { .. } | StoreError::Database(_) | StoreError::Sealed(_))) => {
            Err(format!("the store fails: {error}"))
        }
        Err(_refused) => Ok(None),
    }
}

impl World {
    pub(crate) fn trouble(&mut self, host: u8, trouble: Trouble) {
        let host = HOSTS[usize::from(host) % HOSTS.len()];
        match trouble {
            Trouble::Down => self.target.set_down(host, true),
            Trouble::Up => self.target.set_down(host, false),
            Trouble::Restart => self.target.restart(host),
            Trouble::BackUp => self.target.back_up(host),
            Trouble::Reject(next) => self.target.reject(host, next),
            Trouble::Restore => {
                let restored = self.target.restore(host);
                for secret in self.secrets.iter_mut().filter(|secret| secret.host == host) {
                    secret.excused |= restored;
                }
            }
        }
    }

    /// AWSCURRENT as it is shown to readers.
    pub(crate) async fn current(&self, index: usize) -> Option<(String, Login)> {
        self.shown(index, CURRENT).await
    }

    async fn shown(&self, index: usize, label: &str) -> Option<(String, Login)> {
        let value = self.store().get_value(&self.secrets[index].name, None, Some(label), self.now()).await.ok()?;
        let text = value.value.bytes.expose_str()?.to_owned();
        Some((text, Login::of(&value.value.bytes)?))
    }

    pub(crate) async fn rival(&mut self, index: usize) {
        let Some((_, current)) = self.current(index).await else { return };
        let password = self.secrets[index].new_password("rival");
        self.target.give(&current.host, &current.user, &password);
        self.secrets[index].excused = true;
        // Whoever has this one as its admin is at the rival's mercy too, but not locked out by it.
    }

    /// Somebody is about to move AWSCURRENT: whose word is it then?
    async fn word(&self, index: usize) -> Word {
        let Ok(view) = self.store().rotation(&self.secrets[index].name).await else { return Word::Theirs };
        let run = view.rotation.run();
        match run.is_some_and(|run| run.candidate > 0 && run.sets > 0 && !run.promoted && !run.trial) {
            true => Word::ToBeProven,
            false => Word::Theirs,
        }
    }

    /// AWSCURRENT was moved by hand.
    async fn moved(&mut self, index: usize, word: Word) {
        let current_ok = match self.current(index).await {
            Some((_, current)) => self.lets_in(&current),
            None => true,
        };
        let secret = &mut self.secrets[index];
        secret.word = word;
        secret.excused |= !secret.rotated && !current_ok;
    }

    pub(crate) async fn write(&mut self, index: usize, text: Text) -> Result<(), String> {
        let Some((json, current)) = self.current(index).await else { return Ok(()) };
        let value = match text {
            Text::Bogus => {
                let password = self.secrets[index].new_password("bogus");
                self.secrets[index].value(&current.user, &password)
            }
            Text::Edited => {
                let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
                value["note"] = self.secrets[index].new_password("note").into();
                value.to_string()
            }
            Text::OfPending => match self.shown(index, PENDING).await {
                Some((pending, _)) => pending,
                None => return Ok(()),
            },
            Text::OfTarget => match self.target.account(&current.host, &current.user) {
                Some(account) => self.secrets[index].value(&current.user, &account.primary),
                None => return Ok(()),
            },
        };
        let word = self.word(index).await;
        let secret = &mut self.secrets[index];
        let value = SecretValue::text(value.as_str());
        let password = Login::of(&value.bytes).unwrap().password;
        let put = PutValue {
            token: secret.token(),
            value,
            stages: None,
            keeps_admin: false,
            rotation_token: None,
            within: None,
            by: "user".to_owned(),
        };
        let (name, arn) = (secret.name.clone(), secret.arn.clone());
        if answered(self.store().put_value(&name, put, self.now()).await)?.is_some() {
            self.journal.committed(&arn, &password);
            self.moved(index, word).await;
        }
        Ok(())
    }

    pub(crate) async fn label(&mut self, index: usize, how: Move) -> Result<(), String> {
        let name = self.secrets[index].name.clone();
        let Ok(described) = self.store().describe(&name).await else { return Ok(()) };
        let holder = |label: &str| {
            let has = |labels: &Vec<String>| labels.iter().any(|held| held == label);
            described.stages.iter().find(|(_, labels)| has(labels)).map(|(version, _)| version.clone())
        };
        let (label, from, to) = match how {
            Move::CurrentToPending => (CURRENT, holder(CURRENT), holder(PENDING)),
            Move::CurrentToPrevious => (CURRENT, holder(CURRENT), holder(PREVIOUS)),
            Move::RemovePending => (PENDING, holder(PENDING), None),
        };
        if from.is_none() || (label == CURRENT && to.is_none()) {
            return Ok(());
        }
        let word = self.word(index).await;
        let (remove_from, move_to) = (from.as_deref(), to.as_deref());
        let moving = MoveLabel { label, remove_from, move_to, keeps_admin: false, within: None, by: "user" };
        let moved = answered(self.store().move_label(&name, moving, self.now()).await)?.is_some();
        if moved && label == CURRENT {
            self.moved(index, word).await;
        }
        Ok(())
    }

    pub(crate) async fn ask(&mut self, index: usize, wish: Wish) -> Result<(), String> {
        let (name, now) = (self.secrets[index].name.clone(), self.now());
        let store = self.store().clone();
        // Of a pair, what goes back to AWSCURRENT's own account is changed in place.
        let (current, previous) = (self.current(index).await, self.shown(index, PREVIOUS).await);
        let in_place = current.zip(previous).is_some_and(|((_, current), (_, previous))| current.user == previous.user);
        let secret = &mut self.secrets[index];
        match wish {
            Wish::Rotate | Wish::SameToken => return self.rotate(index, wish == Wish::SameToken).await,
            Wish::Rollback => {
                let token = secret.token();
                if answered(store.rollback_rotation(&name, token.clone(), None, "user", now).await)?.is_some() {
                    secret.asked.insert(token.to_string());
                    secret.rotated = true;
                    secret.switched |= in_place && secret.kind == Kind::Pair;
                }
            }
            Wish::Reconcile => {
                secret.rotated |= answered(store.reconcile_rotation(&name, "user", now).await)?.is_some();
            }
            Wish::EndGrace => drop(answered(store.end_grace(&name, "user", now).await)?),
            Wish::Cancel => secret.enabled &= answered(store.cancel_rotation(&name, "user", now).await)?.is_none(),
            Wish::Enable => {
                let rotate = store::Rotate { start: Start::Wait, ..secret.rotate(Change::default()) };
                secret.enabled |= answered(store.rotate(&name, rotate, now).await)?.is_some();
            }
            Wish::Pause => secret.paused |= answered(store.pause_rotation(&name, "user", now).await)?.is_some(),
            Wish::Resume => secret.paused &= answered(store.resume_rotation(&name, "user", now).await)?.is_none(),
            Wish::Abandon => drop(answered(store.abandon_rotation(&name, "user", now).await)?),
            Wish::ForceDelete => return self.delete_for_good(index).await,
            Wish::Vouch => return self.vouch(index).await,
            Wish::Delete => secret.deleted |= answered(store.delete_secret(&name, 7, now).await)?.is_some(),
            Wish::Undelete => secret.deleted &= answered(store.restore_secret(&name, now).await)?.is_none(),
            Wish::InPlace(in_place) => {
                let strategy = if in_place { Strategy::SingleUser } else { secret.strategy() };
                let change = Change { strategy: Some(Said::To(strategy)), ..Change::default() };
                let rotate = store::Rotate { start: Start::Wait, ..secret.rotate(change) };
                if answered(store.rotate(&name, rotate, now).await)?.is_some() {
                    (secret.enabled, secret.switched, secret.in_place) = (true, true, in_place);
                }
            }
            Wish::Retire(ends) => {
                let retirement = if ends { Retirement::AtGraceEnd } else { Retirement::Never };
                let change = Change { retirement: Some(Said::To(retirement)), ..Change::default() };
                let rotate = store::Rotate { start: Start::Wait, ..secret.rotate(change) };
                secret.enabled |= answered(store.rotate(&name, rotate, now).await)?.is_some();
            }
            Wish::Trial => {
                let rotate = store::Rotate { start: Start::Test, ..secret.rotate(Change::default()) };
                let token = rotate.token.to_string();
                if answered(store.rotate(&name, rotate, now).await)?.is_some() {
                    secret.asked.insert(token);
                    secret.enabled = true;
                }
            }
            Wish::Tag => {
                let tag = Tag { key: "pawl:grace".to_owned(), value: "20m".to_owned() };
                answered(store.tag(&name, &[tag], now).await)?;
            }
        }
        Ok(())
    }

    async fn delete_for_good(&mut self, index: usize) -> Result<(), String> {
        let name = self.secrets[index].name.clone();
        let Ok(view) = self.store().rotation(&name).await else { return Ok(()) };
        // From then on what is kept for people must let somebody in.
        let at_stake = view.rotation.run().is_some_and(|run| run.sets > 0 && !run.promoted && !run.trial);
        if answered(self.store().delete_secret(&name, 0, self.now()).await)?.is_some() {
            let secret = &mut self.secrets[index];
            (secret.deleted, secret.gone, secret.in_gap) = (true, true, at_stake);
        }
        Ok(())
    }

    /// People say so when it is true, and nobody is at work with the account just now.
    async fn vouch(&mut self, index: usize) -> Result<(), String> {
        let Some((_, current)) = self.current(index).await else { return Ok(()) };
        let secret = &self.secrets[index];
        let at_work = self.drivers.iter().any(|driver| driver.arn == secret.arn) || self.target.is_at_work();
        if self.lets_in(&current) && !at_work {
            answered(self.store().vouch_rotation(&secret.name, "user", self.now()).await)?;
        }
        Ok(())
    }

    async fn rotate(&mut self, index: usize, same_token: bool) -> Result<(), String> {
        let (now, store) = (self.now(), self.store().clone());
        let secret = &mut self.secrets[index];
        let mut rotate = secret.rotate(Change::default());
        if let Some(token) = secret.last_token.clone().filter(|_| same_token) {
            rotate.token = token;
        }
        let token = rotate.token.clone();
        if answered(store.rotate(&secret.name, rotate, now).await)?.is_some() {
            secret.asked.insert(token.to_string());
            secret.last_token = Some(token);
            secret.rotated = true;
            // A repeat changes nothing, whatever has been configured since; a token of which nothing was left is none.
            let view = answered(store.rotation(&secret.name).await)?;
            secret.enabled = view.and_then(|view| view.config).is_some_and(|config| config.enabled);
        }
        Ok(())
    }
}
