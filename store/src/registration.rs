//! Table `rotator`: the rotators that an operator registered.
//!
//! Never here: calling them.

use engine::port::Abilities;
use engine::registration::Settings;

use crate::StoreError;
use crate::tx::Conn;

/// What the registered rotator of this name can do; nothing beside the four steps where there is none.
pub(crate) async fn abilities(conn: &mut Conn, name: &str) -> Result<Abilities, StoreError> {
    if name.is_empty() {
        return Ok(Abilities::default());
    }
    let settings: Option<String> = sqlx::query_scalar(SETTINGS).bind(name).fetch_optional(conn).await?;
    let settings = settings.map(|text| read(&text)).transpose()?;
    Ok(settings.map(|settings| settings.abilities()).unwrap_or_default())
}

fn read(text: &str) -> Result<Settings, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::inconsistent("a rotator's settings are not readable"))
}

const SETTINGS: &str = "-- registration::abilities
SELECT settings FROM rotator WHERE name = $1";
