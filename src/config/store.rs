//! Where rotations are remembered, as it was said: `sqlite`, or the URL of a PostgreSQL database. Never here: opening it.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use store::{BadUrl, Location, PostgresUrl};

/// `sqlite` or a URL. Not shown: there may be a password in it.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct StoreSetting(String);

impl StoreSetting {
    /// The store in the data folder.
    #[must_use]
    pub fn sqlite() -> Self {
        Self("sqlite".to_owned())
    }

    /// Is it the one in the data folder?
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.0 == "sqlite"
    }

    /// Where that is.
    ///
    /// # Errors
    /// [`BadUrl`] with what it may be.
    pub fn location(&self, data: &Path) -> Result<Location, BadUrl> {
        if self.is_sqlite() {
            return Ok(Location::Sqlite(data.to_owned()));
        }
        PostgresUrl::parse(&self.0).map(Location::Postgres)
    }
}

impl FromStr for StoreSetting {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StoreSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sqlite() { "sqlite" } else { "postgres://…" })
    }
}
