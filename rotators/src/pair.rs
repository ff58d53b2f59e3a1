//! Owns who is who where two accounts take turns: which account AWSCURRENT is for, what the other one is called, which
//! known values are whose, and the admin. Whoever can write a secret must not be able to turn a rotation on a third
//! account or on another server; that is decided here, before anything is connected. Never here: connections.

use engine::outcome::{StepError, Verdict};
use engine::port::{Known, Options, StepContext};
use engine::rotation::Step;
use engine::strategy::Strategy;

use crate::connection::{Kind, Login, parse};
use crate::parties::{self, Named, PREVIOUS};
use crate::quote::shown;

/// What AWS's rotation functions append to the user's name for its second account.
pub(crate) const CLONE: &str = "_clone";

/// The two accounts of a step, and who may change them.
#[derive(Debug)]
pub(crate) struct Pair {
    /// AWSCURRENT: the account that services use. It is never changed by this rotation.
    pub active: Login,
    /// The idle account's name.
    pub other: String,
    /// The idle account with the value it is to have: Set and Test going forward; None when giving up and retiring.
    pub wanted: Option<Login>,
    /// Values that the idle account may have, likeliest first; no password twice, none that equals `wanted`.
    pub idle: Vec<Named>,
    /// The admin. Pairs cannot be changed without one.
    pub admin: Login,
}

impl Pair {
    /// The pair of this step, or None where it is about one account: where its values (or what a rotation left of them)
    /// are all for AWSCURRENT's own. What a rotation has begun it ends in the same way, whatever the settings say by
    /// then: its values name the other account. The settings name it in createSecret ([`next_user`]) and before the first
    /// Set, and for a value that somebody else filled in, so that nobody who may only write the secret turns the admin
    /// on a stranger.
    ///
    /// # Errors
    /// NeedsPerson where a value cannot be read, where `wanted` is for neither of the two accounts, or where there is no
    /// admin that may be used.
    pub(crate) fn read(kind: &Kind, cx: &StepContext<'_>) -> Result<Option<Self>, StepError> {
        let material = cx.material;
        let Some(current) = &material.current else { return Ok(None) };
        let active = parse(kind, "AWSCURRENT", current)?;
        let forward = matches!(cx.step, Step::Set | Step::Test | Step::Finish);
        let wanted = match &material.wanted {
            Some(value) if forward => Some(parse(kind, "the value to be set", value)?),
            _ => None,
        };
        let Some(other) = other_of(kind, cx, &active, wanted.as_ref()) else { return Ok(None) };
        let of_other = |login: &Login| login.same_server(&active) && login.user == other;
        // A rollback into a grace carries the very password that may go on logging in where it is given up.
        let in_grace = parties::previous(kind, cx).filter(|previous| cx.run.retiring.is_some() && of_other(previous));
        let mut idle: Vec<Named> = Vec::new();
        for known in &material.known {
            let Ok(mut login) = parse(kind, &known.role, &known.value) else { continue };
            let repeated = wanted.iter().chain(idle.iter().map(|named| &named.login)).any(|l| l.same_password(&login));
            if of_other(&login) && !repeated {
                login.database.clone_from(&active.database);
                let kept = in_grace.as_ref().is_some_and(|previous| previous.same_password(&login));
                let expected = known.role != PREVIOUS && !kept;
                idle.push(Named { role: known.role.clone(), login, expected });
            }
        }
        // Giving up: something of the other account was sent. Retiring: what is to be ended is the other's.
        if wanted.is_none() && !idle.iter().any(|named| named.expected) {
            return Ok(None);
        }
        let admin = parties::admin(kind, cx, &active)?.ok_or_else(|| no_admin(&active))?;
        if admin.user == other {
            return Err(admin_is_other(&admin));
        }
        Ok(Some(Self { active, other, wanted, idle, admin }))
    }

    /// The idle account with this password.
    pub(crate) fn idle_with(&self, password: &str) -> Login {
        Login { user: self.other.clone(), password: password.to_owned().into(), ..self.active.clone() }
    }

    /// `"user" at host:port` of the idle account, for messages.
    pub(crate) fn account(&self) -> String {
        format!("{} at {}", shown(&self.other), self.active.server())
    }
}

/// The other account of this step, where there is one: the first that a value of it is for, and that it may be about.
fn other_of(kind: &Kind, cx: &StepContext<'_>, active: &Login, wanted: Option<&Login>) -> Option<String> {
    let material = cx.material;
    let another = |login: &Login| login.same_server(active) && login.user != active.user;
    let of_known = |known: &Known| parse(kind, &known.role, &known.value).ok().filter(another).map(|login| login.user);
    if cx.step == Step::Retire {
        // It was AWSCURRENT, and setSecret said that it goes on working beside its successor.
        return material.known.first().and_then(of_known);
    }
    let named = other_user(&material.options, &active.user);
    let chosen = named.as_ref().filter(|_| material.options.strategy == Some(Strategy::AlternatingUsers));
    // The Set that is beginning is counted already. What createSecret made was for the account of the settings then.
    let begun = cx.run.sets > u32::from(cx.step == Step::Set);
    let made = begun && cx.run.stored > 0;
    if let Some(wanted) = wanted {
        let carries = begun && cx.run.carries.is_some();
        let may = match cx.run.carries {
            None => made,
            Some(_) => carries && named.as_ref() == Some(&wanted.user),
        };
        return Some(wanted.user.clone()).filter(|user| another(wanted) && (may || chosen == Some(user)));
    }
    // A candidate of this rotation's own version; others were AWSCURRENT once, by whoever wrote them.
    let own = |known: &&Known| known.version.as_ref().is_none_or(|version| *version == cx.run.token);
    let may = |known: &Known, user: &String| {
        chosen == Some(user) || begun && named.as_ref() == Some(user) || made && own(&known) && cx.run.carries.is_none()
    };
    let candidates = material.known.iter().filter(|known| known.role != PREVIOUS);
    let mut found = candidates.filter_map(|known| of_known(known).filter(|user| may(known, user)));
    found.next()
}

/// Whether this secret knows a value for the other account: AWSPREVIOUS or a candidate. Then it is no stranger.
pub(crate) fn knows(kind: &Kind, cx: &StepContext<'_>, active: &Login, other: &str) -> bool {
    let of_other = |login: Login| login.same_server(active) && login.user == other;
    let wanted = cx.material.wanted.as_ref().map(engine::secret::SecretBytes::expose);
    let known = cx.material.known.iter().filter(|known| Some(known.value.expose()) != wanted);
    let known = known.filter_map(|known| parse(kind, &known.role, &known.value).ok());
    known.chain(parties::previous(kind, cx)).any(of_other)
}

/// The other account is there and nothing says that it belongs to this secret.
pub(crate) fn stranger(active: &Login, other: &str, because: &str, drop: &str) -> StepError {
    let message = format!(
        "There is an account {} at {} already, and {because}: it may be anybody's.",
        shown(other),
        active.server()
    );
    let user = &active.user;
    StepError::new(Verdict::NeedsPerson, "stranger", message).remedy(format!(
        "Where it is the second of the two, name both with `pawl rotation enable NAME --strategy alternating-users --users \
         {},{}`; else name another account there, or drop or rename it ({drop}).",
        shown(user),
        shown(other)
    ))
}

/// The user of the next value: the other of the two where accounts take turns, else None.
///
/// # Errors
/// NeedsPerson where the settings name two accounts and AWSCURRENT is for neither, or no account can have the name.
pub(crate) fn next_user(kind: &Kind, options: &Options, current: &str) -> Result<Option<String>, StepError> {
    if options.strategy != Some(Strategy::AlternatingUsers) {
        return Ok(None);
    }
    let other = other_user(options, current).ok_or_else(|| {
        let pair = options.users.iter().flatten().map(|user| shown(user)).collect::<Vec<_>>().join(" and ");
        let message = format!("AWSCURRENT is for {}, and the accounts that take turns are {pair}.", shown(current));
        StepError::new(Verdict::NeedsPerson, "not-of-the-pair", message)
            .remedy("Name both accounts with `pawl rotation enable NAME --strategy alternating-users --users A,B`.")
    })?;
    if !kind.takes_user(&other) {
        let message = format!("{} takes no account called {}: the name is too long.", kind.title, shown(&other));
        return Err(StepError::new(Verdict::NeedsPerson, "username-too-long", message)
            .remedy("Name two accounts with `pawl rotation enable NAME --strategy alternating-users --users A,B`."));
    }
    Ok(Some(other))
}

/// The other account of the pair that `current` belongs to; None where two are named and it is neither.
pub(crate) fn other_user(options: &Options, current: &str) -> Option<String> {
    match &options.users {
        Some([one, other]) if one == current => Some(other.clone()),
        Some([other, one]) if one == current => Some(other.clone()),
        Some(_) => None,
        None => Some(match current.strip_suffix(CLONE) {
            Some(base) if !base.is_empty() => base.to_owned(),
            _ => format!("{current}{CLONE}"),
        }),
    }
}

fn admin_is_other(admin: &Login) -> StepError {
    let message =
        format!("The admin secret logs in as {}, one of the two accounts that take turns.", shown(&admin.user));
    StepError::new(Verdict::NeedsPerson, "admin-is-account", message)
        .remedy("Name in masterarn an admin that is neither of the two, then resume.")
}

/// The one of the two accounts that came first; with AWS's functions the other is a member of it.
pub(crate) fn first_user<'u>(options: &'u Options, user: &'u str) -> &'u str {
    match &options.users {
        Some([first, _]) => first,
        None => user.strip_suffix(CLONE).filter(|base| !base.is_empty()).unwrap_or(user),
    }
}

fn no_admin(active: &Login) -> StepError {
    let message = format!(
        "Alternating users are changed by an admin, and the secret of {} at {} names none.",
        shown(&active.user),
        active.server()
    );
    StepError::new(Verdict::NeedsPerson, "no-admin", message)
        .remedy("Put the ARN of an admin's secret for the same server into the value as \"masterarn\", then resume.")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use engine::Time;
    use engine::id::VersionId;
    use engine::port::{Guard, Material};
    use engine::rotation::Run;
    use engine::secret::SecretBytes;

    use super::*;
    use crate::postgres::KIND;

    struct Holds;

    #[async_trait]
    impl Guard for Holds {
        async fn still_ours(&self, _needed: Duration) -> Result<(), StepError> {
            Ok(())
        }
    }

    fn value(user: &str, password: &str) -> SecretBytes {
        let text = format!(
            r#"{{"engine":"postgres","host":"db","port":5432,"username":"{user}","password":"{password}","dbname":"d"}}"#
        );
        SecretBytes::from(text)
    }

    fn token(letter: &str) -> VersionId {
        VersionId::new(letter.repeat(32)).expect("a token")
    }

    /// A rotation whose candidate was made by createSecret and set once.
    fn begun() -> Run {
        let now = Time::from_timestamp(1_800_000_000, 0).expect("a time");
        Run { candidate: 1, sets: 1, stored: 1, issued: 1, ..Run::new(token("t"), String::new(), now) }
    }

    fn alternating() -> Options {
        Options { strategy: Some(Strategy::AlternatingUsers), ..Options::default() }
    }

    fn material(options: Options, wanted: Option<SecretBytes>, known: Vec<(&str, SecretBytes, &str)>) -> Material {
        let known = known.into_iter().map(|(role, value, version)| Known {
            role: role.to_owned(),
            value,
            version: Some(token(version)),
        });
        Material {
            wanted,
            current: Some(value("app", "one")),
            known: known.collect(),
            admin: Some(value("boss", "secret")),
            options,
            ..Material::default()
        }
    }

    /// The other account of a step, where it is one about two.
    fn other(step: Step, run: &Run, material: &Material) -> Option<String> {
        let cx = StepContext {
            arn: "arn",
            step,
            run,
            material,
            attempted: run.sets > 1,
            login_budget: 3,
            deadline: Duration::from_secs(10),
            guard: &Holds,
            scramble: &SecretBytes::from("scramble"),
            hold: false,
        };
        Pair::read(&KIND, &cx).expect("readable").map(|pair| pair.other)
    }

    fn named(user: &str) -> Option<String> {
        Some(user.to_owned())
    }

    #[test]
    fn what_has_begun_goes_on_with_the_account_of_its_values_whatever_the_settings_say_by_then() {
        let others = Options { users: Some(["x".to_owned(), "y".to_owned()]), ..alternating() };
        for options in [Options::default(), others] {
            let forward = material(options.clone(), Some(value("green", "two")), vec![]);
            assert_eq!(other(Step::Test, &begun(), &forward), named("green"));
            assert_eq!(other(Step::Set, &Run { sets: 2, ..begun() }, &forward), named("green"));
            assert_eq!(other(Step::Set, &begun(), &forward), None, "its first Set is only beginning");
            let back = vec![("AWSPENDING", value("green", "two"), "t"), ("AWSPREVIOUS", value("green", "0"), "p")];
            let back = material(options.clone(), Some(value("app", "one")), back);
            assert_eq!(other(Step::Prove, &begun(), &back), named("green"));
            assert_eq!(other(Step::Restore, &begun(), &back), named("green"));
            let over = material(options, Some(value("app", "one")), vec![("version p", value("green", "two"), "p")]);
            let ended = Run { sets: 0, stored: 0, ..begun() };
            assert_eq!(other(Step::Retire, &ended, &over), named("green"));
        }
    }

    #[test]
    fn a_value_that_somebody_else_filled_in_turns_the_admin_on_no_stranger() {
        // A person was needed for its first Set, and resumed it: it counts as begun.
        let filled = Run { sets: 2, stored: 0, ..begun() };
        let forward = |options| material(options, Some(value("stranger", "two")), vec![]);
        assert_eq!(other(Step::Set, &filled, &forward(alternating())), None);
        assert_eq!(other(Step::Test, &filled, &forward(Options::default())), None);
        let back = vec![("AWSPENDING", value("stranger", "two"), "t")];
        let back = material(Options::default(), Some(value("app", "one")), back);
        assert_eq!(other(Step::Prove, &filled, &back), None);
        // Nothing was ever sent.
        assert_eq!(other(Step::Prove, &Run { sets: 0, ..begun() }, &back), None);
        // It was AWSCURRENT once, by whoever wrote that; the candidate is for AWSCURRENT's own account.
        let written = vec![("candidate 1 of p", value("stranger", "two"), "p")];
        let written = material(Options::default(), Some(value("app", "one")), written);
        assert_eq!(other(Step::Restore, &begun(), &written), None);
        let clone = material(alternating(), Some(value("app_clone", "two")), vec![]);
        assert_eq!(other(Step::Set, &Run { sets: 1, ..filled }, &clone), named("app_clone"), "by the settings");
    }
}
