//! Doors for the fuzz targets and the replay of their corpora. Compiled with the feature `fuzzing` alone, which no
//! release has. Never here: what must hold (`fuzz/properties/`).

use crate::filter;
use crate::model::{Description, External, Filter, Tag};

/// Does the secret pass every filter?
#[must_use]
pub fn passes(secret: &Description, filters: &[Filter]) -> bool {
    filter::passes(secret, filters)
}

/// A secret of which only this is known.
#[must_use]
pub fn described(name: &str, description: Option<&str>, tags: Vec<Tag>) -> Description {
    Description {
        arn: String::new(),
        name: name.to_owned(),
        description: description.map(str::to_owned),
        kms_key_id: None,
        created: engine::Time::UNIX_EPOCH,
        changed: engine::Time::UNIX_EPOCH,
        accessed: None,
        rotated: None,
        next_rotation: None,
        deleted: None,
        rotation: None,
        tags: Some(tags),
        stages: std::collections::BTreeMap::new(),
        primary_region: None,
        replicas: vec![],
        external: External::default(),
    }
}
