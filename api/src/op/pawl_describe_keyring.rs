//! pawl.DescribeKeyring: which keys seal what is in the store, and which nodes have them. Ids alone.

use serde::Serialize;
use store::{KeyUse, KeyringNode};

use super::{Cx, Operation};
use crate::error::ApiError;
use crate::members::request;
use crate::wire::Epoch;

request! {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Reply {
    keys: Vec<Key>,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    key_id: String,
    /// This node has it at hand.
    at_hand: bool,
    /// New things are sealed under it.
    seals: bool,
    /// Something opens with it alone.
    needed: bool,
    secrets: u64,
    access_keys: u64,
    rotators: u64,
    subscriptions: u64,
    check_row: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    node: String,
    key_ids: Vec<String>,
    seals_with: String,
    last_seen: Epoch,
}

impl From<KeyUse> for Key {
    fn from(key: KeyUse) -> Self {
        Self {
            key_id: key.id.to_string(),
            at_hand: key.at_hand,
            seals: key.seals,
            needed: key.is_needed(),
            secrets: key.secrets,
            access_keys: key.access_keys,
            rotators: key.rotators,
            subscriptions: key.subscriptions,
            check_row: key.check,
        }
    }
}

impl From<KeyringNode> for Node {
    fn from(node: KeyringNode) -> Self {
        Self { node: node.node, key_ids: node.keys, seals_with: node.sealing, last_seen: Epoch(node.seen) }
    }
}

impl Operation for Request {
    type Reply = Reply;

    async fn run(self, cx: &Cx<'_>) -> Result<Reply, ApiError> {
        let (keys, nodes) = cx.state.store.key_uses(cx.now).await?;
        Ok(Reply {
            keys: keys.into_iter().map(Key::from).collect(),
            nodes: nodes.into_iter().map(Node::from).collect(),
        })
    }
}
