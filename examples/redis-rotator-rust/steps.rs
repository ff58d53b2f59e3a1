//! What each step does to a Redis user. Every step may run twice, also at the same time, and looks at Redis instead of
//! remembering. Never here: HTTP.

use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::redis::{Connection, Failure, Server};
use crate::{Event, Problem, Secret};

/// With less than this left until the deadline no change is begun.
const LEAST_TIME: Duration = Duration::from_millis(500);

/// A user and one of its passwords.
struct Login {
    user: String,
    password: String,
}

/// Carries out the event's step; after `until` nothing is changed any more.
pub(crate) async fn carry_out(redis: &Server, event: &Event, until: Instant) -> Result<(), Problem> {
    match event.step.as_str() {
        "setSecret" => set_secret(redis, event, until).await,
        "testSecret" => test_secret(redis, event).await,
        // The old password goes on working, for those who read it just before, until the next rotation or retire.
        "finishSecret" => Ok(()),
        "retire" => retire(redis, event, until).await,
        "check" => check(redis, event).await,
        _ => {
            Err(Problem::refused(axum::http::StatusCode::BAD_REQUEST, "unknown-step", "this rotator has no such step"))
        }
    }
}

/// Makes the new password valid beside the present one, in one command that may run any number of times.
async fn set_secret(redis: &Server, event: &Event, until: Instant) -> Result<(), Problem> {
    let new = login(redis, event.pending.as_ref(), "Pending")?;
    let mut keep = vec![];
    if event.current.is_some() && !event.restoring {
        let current = login(redis, event.current.as_ref(), "Current")?;
        // The one would keep a password that was another user's, and the other would not be rotated.
        if current.user != new.user {
            let why = format!("Pending is of the user {}, Current of {}: put one user in both", new.user, current.user);
            return Err(Problem::needs_person("other-user", why));
        }
        keep.push(current.password);
    } else {
        // On the way back, or with no present value, nobody knows which of the others somebody still uses.
        let others = event.others.iter().filter_map(parsed).filter(|other| other.user == new.user);
        keep.extend(others.map(|other| other.password));
    }
    keep.push(new.password);
    change_passwords(redis, &new.user, &keep, until).await
}

/// Does the new password log in?
async fn test_secret(redis: &Server, event: &Event) -> Result<(), Problem> {
    let new = login(redis, event.pending.as_ref(), "Pending")?;
    if logs_in(redis, &new).await? {
        return Ok(());
    }
    Err(Problem::rejected("wrong-password", format!("Redis refuses this password of the user {}", new.user)))
}

/// The grace is over: only AWSCURRENT's password is left.
async fn retire(redis: &Server, event: &Event, until: Instant) -> Result<(), Problem> {
    let current = login(redis, event.current.as_ref(), "Current")?;
    change_passwords(redis, &current.user, &[current.password], until).await
}

/// Would a rotation work? Changes nothing.
async fn check(redis: &Server, event: &Event) -> Result<(), Problem> {
    let current = login(redis, event.current.as_ref(), "Current")?;
    let mut admin = admin(redis).await?;
    must_be_ready(&mut admin, &current.user).await?;
    // No rules: changes nothing, and is refused to who may not.
    admin.call(&["ACL", "SETUSER", &current.user]).await.map_err(verdict)?;
    let user = &current.user;
    let wrong = Login { user: user.clone(), password: format!("{:032x}", rand::random::<u128>()) };
    if logs_in(redis, &wrong).await? {
        let why = format!("Redis lets {user} in with any password, so a login proves nothing");
        return Err(Problem::needs_person("any-password", why));
    }
    if !logs_in(redis, &current).await? {
        let why = format!("AWSCURRENT's password does not log in as {user}; put the right one");
        return Err(Problem::needs_person("current-refused", why));
    }
    Ok(())
}

/// The login in one of the event's values, if this rotator may change it.
fn login(redis: &Server, value: Option<&Secret>, which: &str) -> Result<Login, Problem> {
    let refused = |code, why| Err(Problem::needs_person(code, why));
    let Some(login) = value.and_then(parsed) else {
        return refused("bad-value", format!("{which} is not JSON with a username and a password"));
    };
    // Whoever can write a secret must not be able to change the administrator, or think it is another server's.
    if login.user == redis.admin {
        let user = login.user;
        return refused("admin-user", format!("{user} is the login of this rotator itself, which it does not rotate"));
    }
    if value.is_some_and(|value| names_another_server(value, redis)) {
        let here = format!("{}:{}", redis.host, redis.port);
        return refused("other-server", format!("the secret is of another Redis; this rotator serves {here}"));
    }
    Ok(login)
}

fn json(value: &Secret) -> Option<Value> {
    serde_json::from_str(value.secret_string.as_deref()?).ok()
}

fn parsed(value: &Secret) -> Option<Login> {
    let json = json(value)?;
    let text = |key: &str| json[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Login { user: text("username")?, password: text("password")? })
}

fn names_another_server(value: &Secret, redis: &Server) -> bool {
    let json = json(value).unwrap_or_default();
    let differs = |key: &str, here: &str| {
        let named = json[key].as_str().map_or_else(|| json[key].to_string(), str::to_owned);
        named != "null" && named != here
    };
    differs("host", &redis.host) || differs("port", &redis.port.to_string())
}

/// Exactly these passwords are valid afterwards, on disk too; the user's other rules stay. Redis is sent hashes.
async fn change_passwords(redis: &Server, user: &str, passwords: &[String], until: Instant) -> Result<(), Problem> {
    let hashes: Vec<String> =
        passwords.iter().map(|password| format!("#{}", hex::encode(Sha256::digest(password)))).collect();
    let mut admin = admin(redis).await?;
    must_be_ready(&mut admin, user).await?;
    // Last thing before the change: when Pawl has stopped waiting it may already be doing something else.
    let left = || until.saturating_duration_since(Instant::now());
    if left() < LEAST_TIME {
        return Err(Problem::retryable("too-late", "too little time is left until the deadline; nothing was changed"));
    }
    let mut command = vec!["ACL", "SETUSER", user, "resetpass"];
    command.extend(hashes.iter().map(String::as_str));
    admin.call_within(left(), &command).await.map_err(verdict)?;
    // Before AWSCURRENT moves: a Redis that restarts must still know the new password.
    match admin.call_within(left(), &["ACL", "SAVE"]).await {
        Ok(_) => Ok(()),
        Err(Failure::Io(error)) => Err(Problem::Unknown(error)),
        // Never Retryable here: that would say that nothing was changed.
        Err(Failure::Answer(text)) => {
            let code = text.split(' ').next().unwrap_or_default();
            let why = format!("Redis has the passwords and cannot save them ({code}); see its log, then resume");
            Err(Problem::needs_person("not-saved", why))
        }
    }
}

/// The user must exist, or SETUSER would make it, and be on, or no login proves anything; and be kept in a file.
async fn must_be_ready(admin: &mut Connection, user: &str) -> Result<(), Problem> {
    let found = admin.call(&["ACL", "GETUSER", user]).await.map_err(verdict)?;
    let fields = found.items();
    if fields.is_empty() {
        let why = format!("Redis has no user {user}; create it with its rules first");
        return Err(Problem::needs_person("no-user", why));
    }
    let flags = fields.chunks(2).find(|field| field[0].text() == "flags").and_then(|field| field.get(1));
    if flags.is_some_and(|flags| flags.items().iter().any(|flag| flag.text() == "off")) {
        let why = format!("the Redis user {user} is off; turn it on first");
        return Err(Problem::needs_person("user-off", why));
    }
    let aclfile = admin.call(&["CONFIG", "GET", "aclfile"]).await.map_err(verdict)?;
    if aclfile.items().last().is_some_and(|file| file.text().is_empty()) {
        let why = "Redis would forget passwords at its next start: set aclfile in redis.conf";
        return Err(Problem::needs_person("no-acl-file", why));
    }
    Ok(())
}

async fn logs_in(redis: &Server, login: &Login) -> Result<bool, Problem> {
    let mut connection = connect(redis).await?;
    match connection.call(&["AUTH", &login.user, &login.password]).await {
        Ok(_) => Ok(true),
        Err(Failure::Answer(text)) if text.starts_with("WRONGPASS") => Ok(false),
        Err(failure) => Err(verdict(failure)),
    }
}

async fn admin(redis: &Server) -> Result<Connection, Problem> {
    let mut connection = connect(redis).await?;
    connection.call(&["AUTH", &redis.admin, &redis.password]).await.map_err(verdict)?;
    Ok(connection)
}

async fn connect(redis: &Server) -> Result<Connection, Problem> {
    let unreachable = |error| format!("Redis at {}:{}: {error}", redis.host, redis.port);
    Connection::open(redis).await.map_err(|error| Problem::retryable("unreachable", unreachable(error)))
}

/// What a failure of Redis means for a rotation. Its text stays here: it may quote what was sent.
fn verdict(failure: Failure) -> Problem {
    let text = match failure {
        Failure::Io(error) => return Problem::Unknown(error),
        Failure::Answer(text) => text,
    };
    match text.split(' ').next().unwrap_or_default() {
        word @ ("LOADING" | "BUSY" | "TRYAGAIN" | "MASTERDOWN" | "CLUSTERDOWN") => {
            Problem::retryable("redis-busy", format!("Redis says {word}"))
        }
        "WRONGPASS" => {
            Problem::needs_person("admin-refused", "Redis refuses the login in REDIS_ADMIN and REDIS_ADMIN_PASSWORD")
        }
        word => {
            let why = format!("Redis says {word}; the rotator's login needs +acl and +config|get");
            Problem::needs_person("redis-refuses", why)
        }
    }
}
