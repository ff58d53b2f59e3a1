//! Replica regions on the wire, and what becomes of them here.
//!
//! This server has no peer to replicate to. So a call answers as AWS's does, that replication is in progress, and what is
//! kept is that it failed, and why. Never here: replication itself.

use serde::Serialize;
use store::{Replica, ReplicaStatus};

use crate::error::ApiError;
use crate::kms;
use crate::members::{Length, Matching, members};

const NO_PEER: &str = "Replication failed: no peer region is configured on this server.";

members! {
    /// One entry of AddReplicaRegions.
    pub(crate) struct ReplicaRegion {
        region "Region": String [Length(1..=128), REGION],
        kms_key_id "KmsKeyId": String [Length(0..=2048)],
    }
}

/// The model's pattern of a region.
pub(crate) const REGION: Matching = Matching(r"^([a-z]+-)+\d+$", is_region);

/// One entry of ReplicationStatus.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Status {
    region: String,
    kms_key_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    status_message: String,
}

impl Status {
    /// As DescribeSecret shows it.
    pub(crate) fn new(replica: Replica) -> Self {
        Self {
            region: replica.region,
            kms_key_id: replica.kms_key_id.unwrap_or_else(|| kms::DEFAULT_ALIAS.to_owned()),
            status: match replica.status {
                ReplicaStatus::InSync => "InSync",
                ReplicaStatus::Failed => "Failed",
                ReplicaStatus::InProgress => "InProgress",
            },
            status_message: replica.message,
        }
    }

    /// As the call shows it that asks for it: replication is only beginning.
    pub(crate) fn begun(self) -> Self {
        Self { status: "InProgress", status_message: String::new(), ..self }
    }
}

fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else {
        return false;
    };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    words.split('-').all(is_word) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The replicas a call asks for, with what comes of them; `own` is this server's region.
pub(crate) fn asked_for(regions: Vec<ReplicaRegion>, own: &str) -> Result<Vec<Replica>, ApiError> {
    let mut replicas: Vec<Replica> = Vec::with_capacity(regions.len());
    for ReplicaRegion { region, kms_key_id } in regions {
        let taken = |region: &String| region == own || replicas.iter().any(|earlier| earlier.region == *region);
        let Some(region) = region.filter(|region| !taken(region)) else {
            return Err(ApiError::invalid_parameter("Invalid replica region."));
        };
        kms::check(kms_key_id.as_deref(), &region)?;
        let kms_key_id = kms_key_id.filter(|key| !key.is_empty());
        replicas.push(Replica { region, kms_key_id, status: ReplicaStatus::Failed, message: NO_PEER.to_owned() });
    }
    Ok(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_words_and_a_number() {
        for region in ["us-east-1", "us-gov-west-1", "a-12"] {
            assert!(is_region(region), "{region}");
        }
        for text in ["", "-", "us-east", "us--1", "us-east-", "-1", "US-east-1", "1", "us-east-1 "] {
            assert!(!is_region(text), "{text}");
        }
    }
}
