//! One statement, two drivers: a connection to either database, and queries that are sent to whichever it is.
//!
//! What may be bound is what both databases keep: whole numbers, texts, bytes, and NULLs of each. A flag is the number 0 or
//! 1, in both. Statements stay prepared. Never here: what a statement says, when transactions begin and end (`tx.rs`).

use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgRow, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteRow, SqliteTypeInfo, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Database, Decode, PgConnection, Postgres, SqlSafeStr, SqlStr, Sqlite, Transaction, Type, ValueRef,
};
use tokio::time::timeout;

/// How long an answer may take: longer than the server lets a statement run, and a lock be waited for.
const ANSWER_COMES: Duration = Duration::from_secs(15);

/// A connection to the store's database.
pub(crate) enum Conn {
    Sqlite(Held<Sqlite>),
    Postgres(Held<Postgres>),
}

/// A connection out of its pool.
pub(crate) struct Held<DB: Database> {
    on: On<DB>,
    /// A statement failed. PostgreSQL then carries no other one out, and answers a commit by rolling back.
    broken: bool,
}

/// With a transaction on it, or each statement by itself.
enum On<DB: Database> {
    Plain(PoolConnection<DB>),
    Tx(Transaction<'static, DB>),
}

impl<DB: Database> Held<DB> {
    /// Each statement by itself.
    pub(crate) fn plain(conn: PoolConnection<DB>) -> Self {
        Self { on: On::Plain(conn), broken: false }
    }

    /// A transaction that has begun.
    pub(crate) fn begun(tx: Transaction<'static, DB>) -> Self {
        Self { on: On::Tx(tx), broken: false }
    }

    fn conn(&mut self) -> &mut DB::Connection {
        match &mut self.on {
            On::Plain(conn) => conn,
            On::Tx(tx) => tx,
        }
    }

    async fn commit(self) -> Result<(), sqlx::Error> {
        match self.on {
            On::Plain(_) => Ok(()),
            On::Tx(tx) => tx.commit().await,
        }
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        match self.on {
            On::Plain(_) => Ok(()),
            On::Tx(tx) => tx.rollback().await,
        }
    }
}

impl Held<Postgres> {
    async fn answered<T>(
        &mut self,
        asked: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let answer = within(asked(self.conn())).await;
        self.broken |= answer.is_err();
        answer
    }
}

/// No server keeps us waiting for ever: one that does not answer is as good as one that is gone.
pub(crate) async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let answer = timeout(ANSWER_COMES, answer).await;
    answer.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

impl Conn {
    /// Is this PostgreSQL, which others write to as well?
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Commits the transaction, if there is one.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(held) => held.commit().await,
            // A commit would be answered as if it had been one.
            Self::Postgres(held) if held.broken => {
                Err(sqlx::Error::Protocol("a statement failed before the commit".to_owned()))
            }
            Self::Postgres(held) => within(held.commit()).await,
        }
    }

    /// Gives the transaction up, if there is one. So does dropping it, without waiting for that.
    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(held) => held.rollback().await,
            Self::Postgres(held) => within(held.rollback()).await,
        }
    }
}

/// What a row is read into.
pub(crate) trait FromRow:
    for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> FromRow for T where T: for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin {}

/// Something bound to a parameter.
pub(crate) enum Bound<'q> {
    Int(Option<i64>),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
}

macro_rules! bound_from {
    ($($from:ty, $value:ident => $to:expr;)+) => { $(
        impl<'q> From<$from> for Bound<'q> {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )+ };
}

bound_from! {
    i64, value => Self::Int(Some(value));
    Option<i64>, value => Self::Int(value);
    bool, value => Self::Int(Some(i64::from(value)));
    &'q str, value => Self::Text(Some(Cow::Borrowed(value)));
    Option<&'q str>, value => Self::Text(value.map(Cow::Borrowed));
    String, value => Self::Text(Some(Cow::Owned(value)));
    Option<String>, value => Self::Text(value.map(Cow::Owned));
    &'q String, value => Self::Text(Some(Cow::Borrowed(value)));
    &'q Option<String>, value => Self::Text(value.as_deref().map(Cow::Borrowed));
    Option<&'q String>, value => Self::Text(value.map(|text| Cow::Borrowed(text.as_str())));
    Vec<u8>, value => Self::Bytes(Some(Cow::Owned(value)));
    &'q Vec<u8>, value => Self::Bytes(Some(Cow::Borrowed(value)));
    &'q [u8], value => Self::Bytes(Some(Cow::Borrowed(value)));
}

/// A statement and what is bound to it.
#[must_use]
pub(crate) struct Query<'q> {
    text: &'static str,
    postgres: Differs,
    bound: Vec<Bound<'q>>,
}

/// What PostgreSQL is sent.
enum Differs {
    Same,
    /// The same, and this after it.
    And(&'static str),
    /// The same but for [`ANY_OF`].
    AnyOf,
    Other(&'static str),
}

/// A statement whose rows are read into `T`.
#[must_use]
pub(crate) struct QueryAs<'q, T>(Query<'q>, PhantomData<fn() -> T>);

/// A statement of whose rows the first column is read.
#[must_use]
pub(crate) struct QueryScalar<'q, T>(QueryAs<'q, (T,)>);

/// What a statement did.
pub(crate) struct Done {
    rows: u64,
}

impl Done {
    /// How many rows it inserted, changed or removed.
    pub(crate) fn rows_affected(&self) -> u64 {
        self.rows
    }
}

/// In a statement about several rows the condition on their number, in SQLite's words and in PostgreSQL's; the first parameter is
/// [`numbers`].
const ANY_OF: [&str; 2] =
    ["IN (SELECT value FROM json_each('[' || $1 || ']'))", "= ANY(CAST('{' || $1 || '}' AS BIGINT[]))"];

/// As a statement about several rows gets their numbers.
pub(crate) fn numbers(all: impl IntoIterator<Item = i64>) -> String {
    let all: Vec<String> = all.into_iter().map(|number| number.to_string()).collect();
    all.join(",")
}

/// A statement that returns nothing.
pub(crate) fn query<'q>(text: &'static str) -> Query<'q> {
    Query { text, postgres: Differs::Same, bound: Vec::new() }
}

/// A statement that returns rows.
pub(crate) fn query_as<'q, T>(text: &'static str) -> QueryAs<'q, T> {
    QueryAs(query(text), PhantomData)
}

/// A statement that returns rows of which one column counts.
pub(crate) fn query_scalar<'q, T>(text: &'static str) -> QueryScalar<'q, T> {
    QueryScalar(query_as(text))
}

/// Binds what there is to a query of either driver.
macro_rules! with {
    ($query:expr, $bound:expr) => {{
        let mut query = $query;
        for value in $bound {
            query = match value {
                Bound::Int(value) => query.bind(*value),
                Bound::Text(value) => query.bind(value.as_deref()),
                Bound::Bytes(value) => query.bind(value.as_deref()),
            };
        }
        query
    }};
}

impl<'q> Query<'q> {
    /// Binds the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Bound<'q>>) -> Self {
        self.bound.push(value.into());
        self
    }

    /// What PostgreSQL gets behind the statement: the rows to lock.
    pub(crate) fn locking(mut self, rows: &'static str) -> Self {
        self.postgres = Differs::And(rows);
        self
    }

    /// It is about several rows: its first parameter is [`numbers`], and its text has the first of [`ANY_OF`].
    pub(crate) fn about_several(mut self) -> Self {
        self.postgres = Differs::AnyOf;
        self
    }

    /// What PostgreSQL gets instead of the statement. It has the same parameters; it need not use them all.
    pub(crate) fn on_postgres(mut self, text: &'static str) -> Self {
        self.postgres = Differs::Other(text);
        self
    }

    fn postgres(&self) -> SqlStr {
        match self.postgres {
            Differs::Same => self.text.into_sql_str(),
            // Both are ours, and written down as they are.
            Differs::AnyOf => AssertSqlSafe(self.text.replace(ANY_OF[0], ANY_OF[1])).into_sql_str(),
            Differs::And(rows) => AssertSqlSafe([self.text, rows].join(" ")).into_sql_str(),
            Differs::Other(text) => text.into_sql_str(),
        }
    }

    pub(crate) async fn execute(self, conn: &mut Conn) -> Result<Done, sqlx::Error> {
        let rows = match conn {
            Conn::Sqlite(held) => {
                Box::pin(with!(sqlx::query(self.text), &self.bound).execute(held.conn())).await?.rows_affected()
            }
            Conn::Postgres(held) => {
                let query = with!(sqlx::query(self.postgres()), &self.bound);
                Box::pin(held.answered(async |conn| query.execute(conn).await)).await?.rows_affected()
            }
        };
        Ok(Done { rows })
    }
}

/// The same call of either driver. In a box: an operation is made of dozens of statements, and without one each of them would have
/// the futures of both drivers in it, more than a thread's stack holds in a build that is not optimised.
macro_rules! on {
    ($conn:expr, $query:expr, $call:ident) => {
        match $conn {
            Conn::Sqlite(held) => Box::pin(with!(sqlx::query_as($query.text), &$query.bound).$call(held.conn())).await,
            Conn::Postgres(held) => {
                let query = with!(sqlx::query_as($query.postgres()), &$query.bound);
                Box::pin(held.answered(async |conn| query.$call(conn).await)).await
            }
        }
    };
}

impl<'q, T: FromRow> QueryAs<'q, T> {
    /// Binds the next parameter.
    pub(crate) fn bind(self, value: impl Into<Bound<'q>>) -> Self {
        Self(self.0.bind(value), PhantomData)
    }

    /// As [`Query::locking`].
    pub(crate) fn locking(self, rows: &'static str) -> Self {
        Self(self.0.locking(rows), PhantomData)
    }

    /// As [`Query::about_several`].
    pub(crate) fn about_several(self) -> Self {
        Self(self.0.about_several(), PhantomData)
    }

    /// As [`Query::on_postgres`].
    pub(crate) fn on_postgres(self, text: &'static str) -> Self {
        Self(self.0.on_postgres(text), PhantomData)
    }

    pub(crate) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<T>, sqlx::Error> {
        on!(conn, self.0, fetch_all)
    }

    pub(crate) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<T>, sqlx::Error> {
        on!(conn, self.0, fetch_optional)
    }

    pub(crate) async fn fetch_one(self, conn: &mut Conn) -> Result<T, sqlx::Error> {
        on!(conn, self.0, fetch_one)
    }
}

impl<'q, T> QueryScalar<'q, T>
where
    (T,): FromRow,
{
    /// Binds the next parameter.
    pub(crate) fn bind(self, value: impl Into<Bound<'q>>) -> Self {
        Self(self.0.bind(value))
    }

    /// As [`Query::locking`].
    pub(crate) fn locking(self, rows: &'static str) -> Self {
        Self(self.0.locking(rows))
    }

    /// As [`Query::on_postgres`].
    pub(crate) fn on_postgres(self, text: &'static str) -> Self {
        Self(self.0.on_postgres(text))
    }

    pub(crate) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<T>, sqlx::Error> {
        Ok(self.0.fetch_all(conn).await?.into_iter().map(|(value,)| value).collect())
    }

    pub(crate) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<T>, sqlx::Error> {
        Ok(self.0.fetch_optional(conn).await?.map(|(value,)| value))
    }

    pub(crate) async fn fetch_one(self, conn: &mut Conn) -> Result<T, sqlx::Error> {
        Ok(self.0.fetch_one(conn).await?.0)
    }
}

/// A flag in a row: the number 0 or 1, or what an expression gives where a database has truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl Type<Sqlite> for Flag {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }

    fn compatible(ty: &SqliteTypeInfo) -> bool {
        <i64 as Type<Sqlite>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Sqlite> for Flag {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(Self(<i64 as Decode<'r, Sqlite>>::decode(value)? != 0))
    }
}

impl Type<Postgres> for Flag {
    fn type_info() -> PgTypeInfo {
        <i64 as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <i64 as Type<Postgres>>::compatible(ty) || <bool as Type<Postgres>>::compatible(ty)
    }
}

impl<'r> Decode<'r, Postgres> for Flag {
    fn decode(value: PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        if <bool as Type<Postgres>>::compatible(&value.type_info()) {
            return Ok(Self(<bool as Decode<'r, Postgres>>::decode(value)?));
        }
        Ok(Self(<i64 as Decode<'r, Postgres>>::decode(value)? != 0))
    }
}
