//! Users who write beside the rotations, try again until they are answered, and remember what was acknowledged: each write is
//! read back from any node at once, and all of them when everything is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::cluster::Cluster;
use super::fleet::token;

const WRITERS: usize = 2;
/// Between two writes of one writer.
const REST: Duration = Duration::from_millis(250);
/// Reads at once when all is checked.
const AT_ONCE: usize = 4;

/// A secret as its writer has left it: the values by stage, and the tag.
struct Written {
    name: String,
    values: Vec<(&'static str, String)>,
    tag: Option<String>,
}

/// Running writers.
pub(super) struct Writers {
    ended: Arc<AtomicBool>,
    tasks: JoinSet<(usize, Vec<Written>)>,
}

impl Writers {
    pub(super) fn start(cluster: &Arc<Cluster>, prefix: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let (cluster, ended) = (Arc::clone(cluster), Arc::clone(&ended));
            tasks.spawn(work(cluster, format!("ledger/{prefix}/{number}"), ended));
        }
        Self { ended, tasks }
    }

    /// Ends them and reads everything again. Returns how many writes were acknowledged, and what is not there.
    pub(super) async fn end(mut self, cluster: &Arc<Cluster>) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::SeqCst);
        let (mut acknowledged, mut missing) = (0, vec![]);
        let mut reads = JoinSet::new();
        while let Some(writer) = self.tasks.join_next().await {
            let (writes, secrets) = writer.expect("no writer failed");
            acknowledged += writes;
            for written in secrets {
                while reads.len() >= AT_ONCE {
                    missing.extend(reads.join_next().await.expect("one of them").expect("it was read"));
                }
                let cluster = Arc::clone(cluster);
                reads.spawn(async move { written.missing(&cluster).await });
            }
        }
        while let Some(read) = reads.join_next().await {
            missing.extend(read.expect("it was read"));
        }
        (acknowledged, missing)
    }
}

async fn work(cluster: Arc<Cluster>, prefix: String, ended: Arc<AtomicBool>) -> (usize, Vec<Written>) {
    let (mut writes, mut secrets) = (0, vec![]);
    while !ended.load(Ordering::SeqCst) {
        let mut written = Written { name: format!("{prefix}/{}", secrets.len()), values: vec![], tag: None };
        for step in 0..4 {
            written.write(&cluster, step).await;
            writes += 1;
            tokio::time::sleep(REST).await;
            if ended.load(Ordering::SeqCst) {
                break;
            }
        }
        secrets.push(written);
    }
    (writes, secrets)
}

impl Written {
    /// One write more. A client that is not answered says the same again, with the same token.
    async fn write(&mut self, cluster: &Cluster, step: u32) {
        let (token, value) = (token(), format!("{} {step}", self.name));
        match step {
            0 => {
                let body = json!({ "Name": self.name, "SecretString": value, "ClientRequestToken": token });
                cluster.must("CreateSecret", &body).await;
                self.values = vec![("AWSCURRENT", value)];
            }
            1 => {
                let body = json!({ "SecretId": self.name, "SecretString": value, "ClientRequestToken": token });
                cluster.must("PutSecretValue", &body).await;
                self.values[0].0 = "AWSPREVIOUS";
                self.values.push(("AWSCURRENT", value));
            }
            2 => {
                let body = json!({ "SecretId": self.name, "SecretString": value, "ClientRequestToken": token,
                                   "VersionStages": ["PINNED"] });
                cluster.must("PutSecretValue", &body).await;
                self.values.push(("PINNED", value));
            }
            _ => {
                let body = json!({ "SecretId": self.name, "Tags": [{ "Key": "step", "Value": value }] });
                cluster.must("TagResource", &body).await;
                self.tag = Some(value);
            }
        }
        let missing = self.missing(cluster).await;
        assert_eq!(missing, Vec::<String>::new(), "another node does not know at once what one has acknowledged");
    }

    /// What of it is not there, as any node says.
    async fn missing(&self, cluster: &Cluster) -> Vec<String> {
        let mut missing = vec![];
        for (stage, value) in &self.values {
            let body = json!({ "SecretId": self.name, "VersionStage": stage });
            let (_, answer) = cluster.insist("GetSecretValue", &body).await;
            if answer["SecretString"] != **value {
                missing.push(format!("{stage} of {} is not {value:?}: {answer}", self.name));
            }
        }
        if let Some(tag) = &self.tag {
            let (_, answer) = cluster.insist("DescribeSecret", &json!({ "SecretId": self.name })).await;
            if answer["Tags"] != json!([{ "Key": "step", "Value": tag }]) {
                missing.push(format!("the tag of {} is not {tag:?}: {}", self.name, shown(&answer["Tags"])));
            }
        }
        missing
    }
}

fn shown(value: &Value) -> String {
    value.to_string()
}
