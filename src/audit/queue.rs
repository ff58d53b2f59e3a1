//! The queue between callers and the writer: records as text, taken by the batch.
//!
//! Bounded by holding callers back: a record always gets a place, but past [`FULL`] its caller is answered only when
//! the writer has taken it. Never here: files, hashes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::audit::{NotKept, Record, Trail, Until, Wait};
use tokio::sync::oneshot;

use super::OnLost;

/// Records that may wait for the writer before their callers do.
const FULL: usize = 64 * 1024;
/// Most records are shorter.
const USUAL: usize = 512;
/// How long the writer lets reads gather when nobody waits for it.
const GATHER: Duration = Duration::from_millis(5);

/// Records on their way to the writer.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    is_down: AtomicBool,
    on_lost: OnLost,
}

#[derive(Default)]
struct Inner {
    batch: Batch,
    /// Records that the writer took last; it asks for more when it is done with them.
    in_hand: usize,
    is_urgent: bool,
    is_closing: bool,
    is_closed: bool,
}

/// What the writer takes at once.
#[derive(Default)]
pub(super) struct Batch {
    texts: Vec<u8>,
    entries: Vec<Entry>,
}

/// A record in a batch.
pub(super) struct Entry {
    end: usize,
    pub(super) until: Until,
    waiter: Option<oneshot::Sender<Result<(), NotKept>>>,
}

impl Batch {
    pub(super) fn push(&mut self, json: &[u8], until: Until) {
        self.add(json, until, None);
    }

    fn add(&mut self, json: &[u8], until: Until, waiter: Option<oneshot::Sender<Result<(), NotKept>>>) {
        self.texts.extend_from_slice(json);
        self.entries.push(Entry { end: self.texts.len(), until, waiter });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a record in it is to be on disk.
    pub(super) fn wants_sync(&self) -> bool {
        self.entries.iter().any(|entry| entry.until == Until::Synced)
    }

    /// Each record's text, with what it waits for.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], Until)> {
        let mut begin = 0;
        self.entries.iter().map(move |entry| {
            let text = &self.texts[begin..entry.end];
            begin = entry.end;
            (text, entry.until)
        })
    }

    /// Lets every caller go on, with `outcome` for those who wait for the disk.
    pub(super) fn answer(&mut self, outcome: Result<(), NotKept>) {
        for entry in self.entries.drain(..) {
            if let Some(waiter) = entry.waiter {
                // The caller may be gone.
                let _gone = waiter.send(if entry.until == Until::Synced { outcome } else { Ok(()) });
            }
        }
        self.texts.clear();
    }
}

impl Queue {
    pub(super) fn new(on_lost: OnLost) -> Self {
        Self { inner: Mutex::default(), wake: Condvar::new(), is_down: AtomicBool::new(false), on_lost }
    }

    /// Counts records that nobody will find in the trail.
    pub(super) fn lose(&self, count: u64) {
        if count > 0 {
            (self.on_lost)(count);
        }
    }

    /// Waits until there is something, at most `limit`, and swaps it for `batch`, which is empty. False when the queue
    /// is closing and nothing is left.
    pub(super) fn next(&self, batch: &mut Batch, limit: Duration) -> bool {
        let inner = self.lock();
        let idle = |inner: &mut Inner| inner.batch.is_empty() && !inner.is_closing;
        let (inner, _) = self.wake.wait_timeout_while(inner, limit, idle).unwrap_or_else(PoisonError::into_inner);
        let gathering = |inner: &mut Inner| {
            !inner.batch.is_empty() && !inner.is_urgent && !inner.is_closing && inner.batch.len() < FULL
        };
        let waited = self.wake.wait_timeout_while(inner, GATHER, gathering);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut inner.batch);
        inner.is_urgent = false;
        inner.in_hand = batch.len();
        !(inner.is_closing && batch.is_empty())
    }

    /// Asks the writer to end when the queue is empty.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.wake.notify_one();
    }

    /// The writer has ended: who waits for it, or comes later, is told that nothing is kept. What it had in hand counts as
    /// lost too: it ended in the middle of it.
    pub(super) fn end(&self) {
        self.set_up(false);
        let mut inner = self.lock();
        inner.is_closed = true;
        let lost = inner.batch.len() + std::mem::take(&mut inner.in_hand);
        inner.batch.answer(Err(NotKept));
        drop(inner);
        self.lose(lost as u64);
    }

    /// Says whether records can be written.
    pub(super) fn set_up(&self, is_up: bool) {
        self.is_down.store(!is_up, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trail for Queue {
    fn is_up(&self) -> bool {
        !self.is_down.load(Ordering::Acquire)
    }

    fn take(&self, record: &Record<'_>, until: Until) -> Option<Wait> {
        let mut json = Vec::with_capacity(USUAL);
        // Safe because a record is names and numbers.
        serde_json::to_writer(&mut json, record).expect("a record is JSON");
        let mut inner = self.lock();
        if inner.is_closed {
            drop(inner);
            self.lose(1);
            return (until == Until::Synced).then(|| Box::pin(async { Err(NotKept) }) as Wait);
        }
        let before = inner.batch.len();
        let waits = until == Until::Synced || before >= FULL;
        let (waiter, wait) = waits.then(oneshot::channel).unzip();
        inner.batch.add(&json, until, waiter);
        // The writer sleeps through a read that joins others: waking it costs more than the rest of this function.
        let wakes = before == 0 || before + 1 == FULL || (until == Until::Synced && !inner.is_urgent);
        inner.is_urgent |= until == Until::Synced;
        drop(inner);
        if wakes {
            self.wake.notify_one();
        }
        let wait = wait?;
        Some(Box::pin(async move { wait.await.unwrap_or(Err(NotKept)) }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use api::audit::Kind;

    use super::*;

    /// A queue, and how many records it has lost.
    fn queue() -> (Queue, Arc<AtomicU64>) {
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let on_lost: OnLost = Arc::new(move |count| {
            counted.fetch_add(count, Ordering::Relaxed);
        });
        (Queue::new(on_lost), lost)
    }

    fn record() -> Record<'static> {
        Record::new(Kind::Call, "2026-03-10T09:37:00Z".parse().expect("an instant"))
    }

    #[test]
    fn a_read_is_answered_at_once_until_the_queue_is_full_and_then_waits_for_the_writer() {
        let (queue, _) = queue();
        for n in 0..FULL {
            assert!(queue.take(&record(), Until::Queued).is_none(), "record {n} has a place");
        }
        let held = queue.take(&record(), Until::Queued).expect("it waits");
        let mut batch = Batch::default();
        assert!(queue.next(&mut batch, Duration::ZERO));
        assert_eq!(batch.len(), FULL + 1, "none is dropped");
        batch.answer(Err(NotKept));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(held), Ok(()), "a read goes on whatever happened to its record");
        assert!(queue.take(&record(), Until::Queued).is_none(), "there is room again");
    }

    #[test]
    fn a_change_learns_whether_its_record_is_kept() {
        let (queue, _) = queue();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for outcome in [Ok(()), Err(NotKept)] {
            let wait = queue.take(&record(), Until::Synced).expect("it waits");
            let mut batch = Batch::default();
            assert!(queue.next(&mut batch, Duration::ZERO) && batch.wants_sync());
            batch.answer(outcome);
            assert_eq!(runtime.block_on(wait), outcome);
        }
    }

    #[test]
    fn nobody_waits_for_a_writer_that_has_ended() {
        let (queue, lost) = queue();
        queue.take(&record(), Until::Queued);
        queue.close();
        let mut batch = Batch::default();
        assert!(queue.next(&mut batch, Duration::ZERO), "what is queued comes first");
        batch.answer(Ok(()));
        assert!(!queue.next(&mut batch, Duration::ZERO));
        queue.end();
        assert_eq!(lost.load(Ordering::Relaxed), 0, "it ended in good order");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(queue.take(&record(), Until::Queued).is_none());
        let wait = queue.take(&record(), Until::Synced).expect("an answer");
        assert_eq!(runtime.block_on(wait), Err(NotKept));
        assert!(!queue.is_up());
    }

    #[test]
    fn what_a_writer_that_died_had_in_hand_and_what_comes_later_is_counted_as_lost() {
        let (queue, lost) = queue();
        let mut batch = Batch::default();
        for _ in 0..2 {
            queue.take(&record(), Until::Queued);
        }
        assert!(queue.next(&mut batch, Duration::ZERO));
        for _ in 0..3 {
            queue.take(&record(), Until::Queued);
        }
        queue.end();
        assert_eq!(lost.load(Ordering::Relaxed), 2 + 3);
        assert!(queue.take(&record(), Until::Queued).is_none(), "reads go on");
        drop(queue.take(&record(), Until::Synced));
        assert_eq!(lost.load(Ordering::Relaxed), 2 + 3 + 2);
    }
}
