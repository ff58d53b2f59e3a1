//! The audit trail: an append-only, hash-chained file of records, written by one thread of its own.
//!
//! Callers put records into a queue ([`queue`]); the writer ([`writer`]) takes whole batches, links each record to the
//! one before ([`chain`]) and appends them to the last segment of the folder ([`file`]). [`search`] and [`verify`] read
//! the same files, also while a server writes them. What is durable when: docs/decisions/0008.

pub mod chain;
pub mod file;
mod queue;
pub mod search;
pub mod verify;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use api::audit::Trail;
use engine::port::Clock;

use queue::Queue;
use writer::Writer;

/// Told how many records were lost, as they are.
pub type OnLost = Arc<dyn Fn(u64) + Send + Sync>;

/// A running writer. Dropping it writes and syncs what is queued.
pub struct Audit {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    /// Opens the folder, cuts an unfinished last line off, writes that the server started, and goes on in a thread.
    ///
    /// # Errors
    /// When the folder cannot be made, read or locked. One that cannot be written is an outage, not an error.
    pub fn start(folder: &Path, clock: Arc<dyn Clock>, on_lost: OnLost) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(on_lost));
        let writer = Writer::open(folder, Arc::clone(&queue), clock)?;
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Where records are put.
    #[must_use]
    pub fn trail(&self) -> Arc<dyn Trail> {
        Arc::clone(&self.queue) as Arc<dyn Trail>
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit trail's writer panicked");
        }
    }
}

#[cfg(test)]
mod tests;
