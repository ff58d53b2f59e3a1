//! The keys of a store's keyring, and what each of them is needed for. Ids alone, never a key.

use crypto::KeyId;
use engine::Time;

/// A key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Its id.
    pub id: KeyId,
    /// This node has it at hand.
    pub at_hand: bool,
    /// New things are sealed under it.
    pub seals: bool,
    /// How many data keys of secrets it wraps.
    pub secrets: u64,
    /// How many access keys it seals.
    pub access_keys: u64,
    /// How many registered rotators' keys it seals.
    pub rotators: u64,
    /// How many event subscriptions' keys it seals.
    pub subscriptions: u64,
    /// It seals the row that shows whether a keyring belongs to the store.
    pub check: bool,
}

impl KeyUse {
    /// Something opens with this key alone.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        let sealed = [self.secrets, self.access_keys, self.rotators, self.subscriptions];
        self.check || sealed.iter().any(|count| *count > 0)
    }
}

/// What a node of the store said of its keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringNode {
    /// The node.
    pub node: String,
    /// The keys it has at hand, as 16 hexadecimal digits each.
    pub keys: Vec<String>,
    /// The one it seals with.
    pub sealing: String,
    /// When it said so, by the clock that nodes share.
    pub seen: Time,
}

/// What came of bringing everything under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tended {
    /// Nothing is to be done.
    Idle,
    /// Another key is to seal, and these nodes do not have it yet.
    Waits {
        /// The key.
        key: KeyId,
        /// The nodes.
        nodes: Vec<String>,
    },
    /// The store seals with another key from now on.
    Changed {
        /// The key.
        key: KeyId,
    },
    /// So many things were sealed again; there may be more.
    Rewrapped(u64),
    /// Nothing is to be done, but this node's file has a key as primary that another one has replaced.
    Behind {
        /// The key that seals.
        key: KeyId,
    },
}
