//! Signatures whose bodies are being written this hour.
#![expect(missing_docs, unused_variables, clippy::unimplemented, clippy::unused_async, reason = "bodies follow")]
use std::sync::Arc;

use engine::Time;
use engine::port::Clock;

use crate::model::*;
use crate::{OpenError, StoreError};

#[derive(Clone)]
pub struct Store(Arc<()>);

impl Store {
    pub async fn open(
        location: &Location,
        keyring: Arc<crypto::Keyring>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        unimplemented!()
    }
    pub async fn ping(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn close(&self) {
        unimplemented!()
    }
    pub fn changed(&self) -> Arc<tokio::sync::Notify> {
        unimplemented!()
    }
    pub fn identity(&self) -> &Identity {
        unimplemented!()
    }
    pub async fn create_secret(&self, new: NewSecret, now: Time) -> Result<Written, StoreError> {
        unimplemented!()
    }
    pub async fn put_value(&self, id: &str, put: PutValue, now: Time) -> Result<Written, StoreError> {
        unimplemented!()
    }
    pub async fn update_secret(&self, id: &str, update: UpdateSecret, now: Time) -> Result<Written, StoreError> {
        unimplemented!()
    }
    pub async fn get_value(
        &self,
        id: &str,
        version_id: Option<&str>,
        stage: Option<&str>,
        now: Time,
    ) -> Result<Value, StoreError> {
        unimplemented!()
    }
    pub async fn describe(&self, id: &str) -> Result<Description, StoreError> {
        unimplemented!()
    }
    pub async fn list(&self, query: ListQuery) -> Result<Page<Description>, StoreError> {
        unimplemented!()
    }
    pub async fn list_versions(
        &self,
        id: &str,
        include_deprecated: bool,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Versions, StoreError> {
        unimplemented!()
    }
    pub async fn move_label(
        &self,
        id: &str,
        label: &str,
        remove_from: Option<&str>,
        move_to: Option<&str>,
        by: &str,
        now: Time,
    ) -> Result<Named, StoreError> {
        unimplemented!()
    }
    pub async fn delete_secret(&self, id: &str, window_days: u32, now: Time) -> Result<Deleted, StoreError> {
        unimplemented!()
    }
    pub async fn restore_secret(&self, id: &str, now: Time) -> Result<Named, StoreError> {
        unimplemented!()
    }
    pub async fn purge(&self, now: Time) -> Result<u64, StoreError> {
        unimplemented!()
    }
    pub async fn tag(&self, id: &str, tags: &[Tag], now: Time) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn untag(&self, id: &str, keys: &[String], now: Time) -> Result<(), StoreError> {
        unimplemented!()
    }
    pub async fn rotate(&self, id: &str, rotate: Rotate, now: Time) -> Result<Written, StoreError> {
        unimplemented!()
    }
    pub async fn cancel_rotation(&self, id: &str, by: &str, now: Time) -> Result<Written, StoreError> {
        unimplemented!()
    }
    pub async fn pause_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        unimplemented!()
    }
    pub async fn resume_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        unimplemented!()
    }
    pub async fn abandon_rotation(&self, id: &str, by: &str, now: Time) -> Result<RotationView, StoreError> {
        unimplemented!()
    }
    pub async fn rotation(&self, id: &str) -> Result<RotationView, StoreError> {
        unimplemented!()
    }
    pub async fn history(&self, id: &str, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        unimplemented!()
    }
    pub async fn rotation_counts(&self, now: Time) -> Result<RotationCounts, StoreError> {
        unimplemented!()
    }
    pub async fn claim(&self, owner: &str, limit: u32, now: Time) -> Result<Vec<Claim>, StoreError> {
        unimplemented!()
    }
    pub async fn next_due(&self) -> Result<Option<Time>, StoreError> {
        unimplemented!()
    }
    pub async fn spread_overdue(&self, now: Time) -> Result<u64, StoreError> {
        unimplemented!()
    }
    pub async fn access_key(&self, access_key_id: &str) -> Result<Option<AccessKey>, StoreError> {
        unimplemented!()
    }
    pub async fn create_access_key(&self, principal: &str, now: Time) -> Result<NewAccessKey, StoreError> {
        unimplemented!()
    }
    pub async fn has_access_keys(&self) -> Result<bool, StoreError> {
        unimplemented!()
    }
}
