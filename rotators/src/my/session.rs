//! Owns one session with a MySQL or MariaDB server. A session that is dropped is closed at once: the driver would
//! keep it and wait for the old statement. Never here: what to say in a session.

use std::pin::pin;
use std::task::{Context, Waker};

use engine::outcome::{StepError, Verdict};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Error, OptsBuilder, SslOpts};

use super::errors::{Moment, errno, line, lost, step_error, told};
use crate::connection::Login;
use crate::effort::{login_in_time, reply_in_time};
use crate::network::silent;
use crate::quote::my_account;
use crate::tls::{Channel, Trust};

/// "Operation ALTER USER failed".
const CANNOT_USER: u16 = 1396;

/// One session, logged in.
pub(crate) struct Session {
    conn: Option<Conn>,
    /// Who is logged in; the password serves `REPLACE`.
    pub login: Login,
    /// Who the server says we are; before it was asked, a guess good enough for messages.
    pub by: String,
}

/// How an attempt to log in ended.
pub(crate) enum Entry {
    In(Box<Session>),
    /// 1045: the password is wrong, or one of the causes the server does not tell apart.
    Refused(StepError),
    /// Anything else.
    Failed(StepError),
}

impl Session {
    pub(crate) async fn open(login: &Login, trust: &Trust) -> Entry {
        fail::fail_point!("my::before_connect");
        let by = my_account(&login.user, "%");
        let options = match options(login, trust) {
            Ok(options) => options,
            Err(error) => return Entry::Failed(error),
        };
        match login_in_time(Conn::new(options)).await {
            None => Entry::Failed(silent(&login.server())),
            Some(Ok(conn)) => Entry::In(Box::new(Self { conn: Some(conn), login: login.clone(), by })),
            Some(Err(error)) => {
                let told = step_error(&error, login, &by, Moment::Before);
                match errno(&error) {
                    Some(1045) => Entry::Refused(told),
                    _ => Entry::Failed(told),
                }
            }
        }
    }

    /// Runs a statement that returns nothing we need.
    pub(crate) async fn run(&mut self, sql: &str, moment: Moment) -> Result<(), StepError> {
        let Some(conn) = &mut self.conn else {
            return Err(lost(&self.login));
        };
        let reply = reply_in_time(conn.query_drop(sql)).await;
        match reply {
            Some(Err(error)) if errno(&error) == Some(CANNOT_USER) => {
                let cause = self.cause().await.unwrap_or(CANNOT_USER);
                let line = line(cause);
                Err(told(line, cause, line.verdict, &self.login, &self.by))
            }
            reply => self.settle(reply, moment),
        }
    }

    /// What lies behind "Operation ALTER USER failed", where the server says more: MariaDB's policies do.
    async fn cause(&mut self) -> Option<u16> {
        let conn = self.conn.as_mut()?;
        let warnings = reply_in_time(conn.query::<(String, u16, String), _>("SHOW WARNINGS")).await?.ok()?;
        warnings.into_iter().find_map(|(level, code, _)| (level == "Error" && code != CANNOT_USER).then_some(code))
    }

    /// What the server shows of the row that this login is of, behind `CREATE USER account` and `then`; None where it has
    /// another form.
    pub(crate) async fn own_row(&mut self, host: &str, then: &str) -> Result<Option<String>, StepError> {
        let shown: Vec<String> = self.rows("SHOW CREATE USER CURRENT_USER()").await?;
        let head = format!("CREATE USER {}{then}", my_account(&self.login.user, host));
        Ok(shown.first().and_then(|text| text.strip_prefix(&head)).map(str::to_owned))
    }

    /// Runs a query.
    pub(crate) async fn rows<T: FromRow + Send + 'static>(&mut self, sql: &str) -> Result<Vec<T>, StepError> {
        match self.rows_if_allowed(sql).await? {
            Ok(rows) => Ok(rows),
            Err(denied) => Err(step_error(&denied, &self.login, &self.by, Moment::Before)),
        }
    }

    /// Runs a query that this login may not be allowed to run: the inner error is the server's refusal.
    pub(crate) async fn rows_if_allowed<T: FromRow + Send + 'static>(
        &mut self,
        sql: &str,
    ) -> Result<Result<Vec<T>, Error>, StepError> {
        let Some(conn) = &mut self.conn else {
            return Err(lost(&self.login));
        };
        let reply = reply_in_time(conn.query::<T, _>(sql)).await;
        match reply {
            Some(Err(error)) if matches!(errno(&error), Some(1142..=1143 | 1044 | 1227)) => Ok(Err(error)),
            other => self.settle(other, Moment::Before).map(Ok),
        }
    }

    fn settle<T>(&mut self, reply: Option<Result<T, Error>>, moment: Moment) -> Result<T, StepError> {
        let error = match reply {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => step_error(&error, &self.login, &self.by, moment),
            None if moment == Moment::Changing => StepError::new(
                Verdict::Unknown,
                "no-answer",
                format!("{} did not answer to the change in time; it may have happened.", self.login.server()),
            ),
            None => silent(&self.login.server()),
        };
        // After an answer that did not come, the connection is of no further use.
        if matches!(error.code.as_str(), "no-answer" | "connection-lost") {
            self.throw_away();
        }
        Err(error)
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        if let Some(conn) = self.conn.take() {
            drop(reply_in_time(conn.disconnect()).await);
        }
    }

    /// Closes the socket without waiting for anything: the first poll of `disconnect` marks the connection as closed
    /// and sends the farewell if the socket takes it; dropping it then closes the socket.
    fn throw_away(&mut self) {
        if let Some(conn) = self.conn.take() {
            let mut farewell = pin!(conn.disconnect());
            let _sent = farewell.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.throw_away();
    }
}

/// `Debug` of the driver's options prints the password: they never leave this file.
fn options(login: &Login, trust: &Trust) -> Result<OptsBuilder, StepError> {
    let host = login.host.trim_start_matches('[').trim_end_matches(']');
    let ssl = match &login.channel {
        Channel::Plain => None,
        Channel::Verified { root } => {
            let roots = trust.roots(root.as_deref())?.into_iter().map(|der| der.to_vec().into()).collect();
            Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(roots))
        }
    };
    Ok(OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(login.port)
        .user(Some(&login.user))
        .pass(Some(login.password.as_str()))
        .ssl_opts(ssl)
        // A socket file of this machine might belong to another server.
        .prefer_socket(false)
        // Stated here so that the driver does not ask the server.
        .max_allowed_packet(Some(1 << 24))
        .wait_timeout(Some(28_800))
        .stmt_cache_size(0)
        .tcp_nodelay(true))
}
