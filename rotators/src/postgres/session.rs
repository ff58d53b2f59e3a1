//! Owns one session with a PostgreSQL server. Nothing is spawned: the wire is driven by whoever waits for an answer,
//! so that a session that is dropped is gone, with all it had under way. Never here: what to say in a session.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use engine::outcome::{StepError, Verdict};
use tokio::net::TcpStream;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::{MakeTlsConnect, NoTls};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::{self, Moment, POOLER, step_error};
use super::sniff::{Asked, Question, SniffTls, Sniffed};
use crate::connection::Login;
use crate::effort::{login_in_time, reply_in_time};
use crate::network::{network_error, silent};
use crate::quote::shown;
use crate::tls::{Channel, Trust};

type Wire = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// One session, logged in.
pub(crate) struct Session {
    client: Client,
    wire: Wire,
    ended: Option<Option<Error>>,
    /// Who is logged in, for messages.
    login: Login,
    /// What the server asked for.
    pub asked: Asked,
    /// What else the login gave away.
    pub question: Question,
}

/// How an attempt to log in ended.
pub(crate) enum Entry {
    In(Box<Session>),
    /// 28P01: the password is wrong, or one of the causes PostgreSQL does not tell apart.
    Refused(StepError),
    /// Anything else.
    Failed(StepError),
}

/// How strictly a login is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// An md5 account is to be let through; md5 knows no channel binding.
    pub md5: bool,
}

impl Session {
    /// Logs in.
    pub(crate) async fn open(login: &Login, trust: &Trust, manner: Manner) -> Entry {
        fail::fail_point!("pg::before_connect");
        let question = Question::default();
        let attempt = connect(login, trust, manner, question.clone(), true);
        match login_in_time(attempt).await {
            None => Entry::Failed(silent(&login.server())),
            Some(Err(Trouble::Before(error))) => Entry::Failed(error),
            Some(Err(Trouble::Driver(error))) => refusal(&error, login, &question),
            Some(Ok((client, wire))) => {
                let asked = question.answer();
                Entry::In(Box::new(Self { client, wire, ended: None, login: login.clone(), asked, question }))
            }
        }
    }

    /// What the server would ask of this account, learnt without a password: costs no refused login.
    pub(crate) async fn peek(login: &Login, trust: &Trust) -> Asked {
        let question = Question::default();
        let attempt = connect(login, trust, Manner { md5: true }, question.clone(), false);
        // However it ends, the server has asked by then; without a password the driver stops there.
        drop(login_in_time(attempt).await);
        question.answer()
    }

    /// Runs statements that return nothing we need.
    pub(crate) async fn batch(&mut self, sql: &str, moment: Moment) -> Result<(), StepError> {
        let Self { client, wire, ended, .. } = self;
        let reply = reply_in_time(driven(wire, ended, client.batch_execute(sql))).await;
        self.settle(reply, moment)
    }

    /// Runs a query that returns at most one row.
    pub(crate) async fn row(
        &mut self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Option<Row>, StepError> {
        let Self { client, wire, ended, .. } = self;
        let reply = reply_in_time(driven(wire, ended, client.query_typed_opt(sql, params))).await;
        self.settle(reply, Moment::Before)
    }

    /// Runs a query that returns any number of rows.
    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, StepError> {
        let Self { client, wire, ended, .. } = self;
        let reply = reply_in_time(driven(wire, ended, client.query_typed(sql, params))).await;
        self.settle(reply, Moment::Before)
    }

    fn settle<T>(&self, reply: Option<Result<T, Error>>, moment: Moment) -> Result<T, StepError> {
        match reply {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => {
                // A session that the server ended says why on the wire, not in the reply.
                let told = self.ended.iter().flatten().find(|wire| wire.as_db_error().is_some());
                Err(step_error(told.unwrap_or(&error), &self.login, moment))
            }
            None if moment == Moment::Changing => Err(StepError::new(
                Verdict::Unknown,
                "no-answer",
                format!("{} did not answer to the change in time; it may have happened.", self.login.server()),
            )),
            None => Err(silent(&self.login.server())),
        }
    }

    /// Who is logged in.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Says goodbye, so that the server's log shows no lost client. Nothing depends on it.
    pub(crate) async fn close(self) {
        let Self { client, wire, ended, .. } = self;
        drop(client);
        if ended.is_none() {
            drop(reply_in_time(wire).await);
        }
    }
}

enum Trouble {
    Before(StepError),
    Driver(Error),
}

async fn connect(
    login: &Login,
    trust: &Trust,
    manner: Manner,
    question: Question,
    with_password: bool,
) -> Result<(Client, Wire), Trouble> {
    let host = login.host.trim_start_matches('[').trim_end_matches(']');
    let mut config = Config::new();
    config.user(&login.user).dbname(login.database.as_deref().unwrap_or("postgres")).application_name("pawl");
    if with_password {
        config.password(login.password.as_bytes());
    }
    // The configuration is read before the socket opens: a bad root must not look like a bad server.
    let tls = match &login.channel {
        Channel::Plain => None,
        Channel::Verified { root } => Some(trust.client_config(root.as_deref()).map_err(Trouble::Before)?),
    };
    let stream = TcpStream::connect((host, login.port))
        .await
        .map_err(|error| Trouble::Before(network_error(&error, &login.server())))?;
    drop(stream.set_nodelay(true));
    match tls {
        None => {
            config.ssl_mode(SslMode::Disable);
            let stream = Sniffed::new(stream, question, login.spread);
            let (client, wire) = config.connect_raw(stream, NoTls).await.map_err(Trouble::Driver)?;
            Ok((client, Box::pin(wire)))
        }
        Some(tls) => {
            config.ssl_mode(SslMode::Require);
            let bound = login.channel_binding && !manner.md5;
            config.channel_binding(if bound { ChannelBinding::Require } else { ChannelBinding::Prefer });
            let Ok(connector) = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut MakeRustlsConnect::new(tls), host);
            let tls = SniffTls { connector, question, never_clear: login.spread };
            let (client, wire) = config.connect_raw(stream, tls).await.map_err(Trouble::Driver)?;
            Ok((client, Box::pin(wire)))
        }
    }
}

/// Tells a refused password from everything else that can stop a login.
fn refusal(error: &Error, login: &Login, question: &Question) -> Entry {
    let asked = question.answer();
    let code = error.as_db_error().map(|db| db.code().code().to_owned());
    let told = step_error(error, login, Moment::Before);
    match (code.as_deref(), asked) {
        (Some("28P01"), _) => Entry::Refused(told),
        // PgBouncer says this of everything. Asked for a password and not told that it is right: it is wrong.
        (Some(POOLER), Asked::Scram | Asked::Md5 | Asked::Clear) if !question.password_taken() => {
            Entry::Refused(errors::told(errors::line("28P01"), POOLER, Verdict::Rejected, login))
        }
        (Some("42501"), _) => Entry::Failed(may_not_connect(login)),
        // Without a server's error it was the driver that stopped, and what the server asked for says why.
        (None, Asked::Nothing) => Entry::Failed(no_password_asked(login)),
        (None, Asked::Md5) => Entry::Failed(md5_hash(login)),
        (None, Asked::Clear | Asked::Other) => Entry::Failed(unusual_method(login)),
        (None, Asked::Scram) if told.code == "connection-lost" => Entry::Failed(no_mutual_proof(login)),
        (Some(_), _) | (None, Asked::Scram | Asked::Unknown) => Entry::Failed(told),
    }
}

/// The admin works in the account's database, where it may have no business otherwise.
fn may_not_connect(login: &Login) -> StepError {
    let (user, database) = (shown(&login.user), shown(login.database.as_deref().unwrap_or("postgres")));
    StepError::new(
        Verdict::NeedsPerson,
        "42501",
        format!("{} does not let {user} into the database {database} (SQLSTATE 42501).", login.server()),
    )
    .remedy(format!("GRANT CONNECT ON DATABASE {database} TO {user} (Pawl's lock needs the account's own database)."))
}

/// A login that any password would pass.
pub(crate) fn no_password_asked(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "no-password-asked",
        format!(
            "{} lets {} in without asking for a password, so a login proves nothing about one.",
            login.server(),
            shown(&login.user)
        ),
    )
    .remedy("Change the line of pg_hba.conf that matches (trust, peer, ident or cert) to scram-sha-256, and reload.")
}

/// An md5 account, and nobody said that it may change.
pub(crate) fn md5_hash(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "md5",
        format!(
            "The password of {} at {} is stored as md5; Pawl sets SCRAM-SHA-256, and old clients might not know it.",
            shown(&login.user),
            login.server()
        ),
    )
    .remedy("When every client of the account knows SCRAM, allow the upgrade (allow_md5_upgrade) and resume.")
}

fn unusual_method(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "auth-method",
        format!(
            "{} asks {} for something other than SCRAM (the clear password, Kerberos or SSPI).",
            login.server(),
            shown(&login.user)
        ),
    )
    .remedy("The line of pg_hba.conf that matches must say scram-sha-256: only such passwords can be rotated by Pawl.")
}

fn no_mutual_proof(login: &Login) -> StepError {
    StepError::new(
        Verdict::NeedsPerson,
        "channel-binding",
        format!("{} could not prove by SCRAM that it is the server the password belongs to.", login.server()),
    )
    .remedy(
        "With TLS, Pawl asks for SCRAM with channel binding: connect to the server itself, not through a proxy that \
         ends TLS. Where that is a pooler of yours (PgBouncer), put \"channel_binding\": \"prefer\" into the secret.",
    )
}

/// Waits for `reply` while moving the wire. A wire that ends first still lets the reply say so.
async fn driven<T>(
    wire: &mut Wire,
    ended: &mut Option<Option<Error>>,
    reply: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut reply = pin!(reply);
    poll_fn(|cx| {
        if let Poll::Ready(done) = reply.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if ended.is_none()
            && let Poll::Ready(end) = wire.as_mut().poll(cx)
        {
            *ended = Some(end.err());
            *wire = Box::pin(std::future::pending());
        }
        // The wire may just have delivered the answer.
        reply.as_mut().poll(cx)
    })
    .await
}
