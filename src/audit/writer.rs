//! The one thread that writes the trail: batch after batch, synced as promised, and what is done when the disk fails.
//!
//! In an outage reads go on and their records are counted as lost; the records of what was changed, and of rotations'
//! steps, are held in memory and come first when writing works again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::audit::{Kind, NotKept, Record, Until};
use engine::port::Clock;

use super::chain::{Link, append};
use super::file::{End, Folder, Segment};
use super::queue::{Batch, Queue};

/// A segment of this length is followed by a new one.
const SEGMENT: u64 = 64 * 1024 * 1024;
/// A read's record is on disk after this time at the latest.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Between two tries to write during an outage.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How long the writer sleeps when there is nothing to do; whatever comes wakes it.
const IDLE: Duration = Duration::from_secs(60);
/// Records held in memory during an outage; more are lost as reads are.
const HELD: usize = 4096;

/// The end of what was written, in the current segment.
#[derive(Clone, Copy)]
struct Tip {
    link: Link,
    length: u64,
    /// Records since the last sync.
    unsynced: u64,
}

/// Writes the trail.
pub(super) struct Writer {
    folder: Folder,
    segment: Segment,
    written: Tip,
    synced: Tip,
    synced_at: Instant,
    /// What is to be written first when writing works again.
    held: Batch,
    lost: u64,
    next_try: Option<Instant>,
    lines: Vec<u8>,
    longest: u64,
    queue: Arc<Queue>,
    clock: Arc<dyn Clock>,
}

/// Tells the queue when the writer ends, also by a panic: no change is to wait for ever.
struct EndTold(Arc<Queue>);

impl Drop for EndTold {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Writer {
    /// Opens the folder and writes that the server started.
    pub(super) fn open(folder: &Path, queue: Arc<Queue>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::open_with(folder, queue, clock, SEGMENT)
    }

    pub(super) fn open_with(folder: &Path, queue: Arc<Queue>, clock: Arc<dyn Clock>, longest: u64) -> io::Result<Self> {
        let folder = Folder::open(folder)?;
        let End { segment, length, link, cut } = folder.end()?;
        let tip = Tip { link, length, unsynced: 0 };
        let mut this = Self {
            folder,
            segment,
            written: tip,
            synced: tip,
            synced_at: Instant::now(),
            held: Batch::default(),
            lost: 0,
            next_try: None,
            lines: vec![],
            longest,
            queue,
            clock,
        };
        if cut > 0 {
            this.hold(&this.event(Kind::Recovered, Some(cut)));
        }
        this.hold(&this.event(Kind::Started, None));
        if let Err(error) = this.write_held() {
            this.begin_outage(&error);
        }
        Ok(this)
    }

    /// Until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _told = EndTold(Arc::clone(&self.queue));
        let mut batch = Batch::default();
        while self.turn(&mut batch) {}
        self.end();
    }

    /// One batch. False when there will be none any more.
    pub(super) fn turn(&mut self, batch: &mut Batch) -> bool {
        let goes_on = Arc::clone(&self.queue).next(batch, self.pause());
        if self.next_try.is_some_and(|at| at <= Instant::now()) {
            self.try_again();
        }
        if self.next_try.is_some() {
            self.shelve(batch);
            return goes_on;
        }
        match self.write(batch) {
            Ok(()) => batch.answer(Ok(())),
            Err(error) => {
                self.begin_outage(&error);
                self.shelve(batch);
            }
        }
        goes_on
    }

    /// The last words of a server that stops in good order.
    fn end(&mut self) {
        self.hold(&self.event(Kind::Stopped, None));
        if let Err(error) = self.write_held() {
            tracing::error!(%error, lost = self.lost + self.held.len() as u64, "the audit trail could not be ended");
        }
    }

    /// How long the writer may wait for the next record.
    fn pause(&self) -> Duration {
        match self.next_try {
            Some(at) => at.saturating_duration_since(Instant::now()),
            None if self.written.unsynced > 0 => SYNC_EVERY.saturating_sub(self.synced_at.elapsed()),
            None => IDLE,
        }
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        if !batch.is_empty() {
            self.append(batch)?;
        }
        let due = self.written.unsynced > 0 && self.synced_at.elapsed() >= SYNC_EVERY;
        if due || batch.wants_sync() { self.sync(batch.len() as u64) } else { Ok(()) }
    }

    /// Appends the batch's lines; what fails in the middle is taken back as a whole.
    fn append(&mut self, batch: &Batch) -> io::Result<()> {
        if self.written.length >= self.longest {
            self.sync(0)?;
            self.begin_segment()?;
        }
        self.lines.clear();
        let mut link = self.written.link;
        for (json, _) in batch.records() {
            link = append(&mut self.lines, link, json);
        }
        if let Err(error) = self.segment.write(&self.lines) {
            self.take_back();
            return Err(error);
        }
        let length = self.written.length + self.lines.len() as u64;
        self.written = Tip { link, length, unsynced: self.written.unsynced + batch.len() as u64 };
        Ok(())
    }

    /// After a failed sync nobody knows what is on disk: all since the last one is taken back. The caller still has
    /// the last `in_hand` of it; the rest are reads.
    fn sync(&mut self, in_hand: u64) -> io::Result<()> {
        if let Err(error) = self.segment.sync() {
            let gone = self.written.unsynced.saturating_sub(in_hand);
            self.written = self.synced;
            self.take_back();
            self.lose(gone);
            return Err(error);
        }
        self.written.unsynced = 0;
        self.synced = self.written;
        self.synced_at = Instant::now();
        Ok(())
    }

    fn take_back(&mut self) {
        if let Err(error) = self.segment.cut(self.written.length) {
            // It is tried again before anything else is written.
            tracing::debug!(%error, "the audit trail could not be cut back");
        }
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let End { segment, length, link, .. } = self.folder.begin(self.written.link, 0)?;
        self.segment = segment;
        self.written = Tip { link, length, unsynced: 0 };
        self.synced = self.written;
        Ok(())
    }

    fn begin_outage(&mut self, error: &io::Error) {
        self.queue.set_up(false);
        self.next_try = Some(Instant::now() + TRY_EVERY);
        tracing::error!(%error, "the audit trail cannot be written: reads go on, changes are refused until it can be");
    }

    /// Holds what must not be lost, counts the rest, and lets everybody go on.
    fn shelve(&mut self, batch: &mut Batch) {
        let mut lost = 0;
        for (json, until) in batch.records() {
            if until == Until::Synced && self.held.len() < HELD {
                self.held.push(json, until);
            } else {
                lost += 1;
            }
        }
        self.lose(lost);
        batch.answer(Err(NotKept));
    }

    fn lose(&mut self, count: u64) {
        self.lost += count;
        self.queue.lose(count);
    }

    fn try_again(&mut self) {
        match self.write_held() {
            Ok(()) => {
                self.next_try = None;
                self.queue.set_up(true);
                tracing::info!("the audit trail can be written again");
            }
            Err(error) => {
                self.next_try = Some(Instant::now() + TRY_EVERY);
                tracing::debug!(%error, "the audit trail still cannot be written");
            }
        }
    }

    /// Writes how many records were lost, and those that were held.
    fn write_held(&mut self) -> io::Result<()> {
        if self.segment.is_removed()? {
            self.begin_segment()?;
        }
        self.segment.cut(self.written.length)?;
        let mut first = Batch::default();
        if self.lost > 0 {
            first.push(&self.event(Kind::Lost, Some(self.lost)), Until::Synced);
        }
        for (json, until) in self.held.records() {
            first.push(json, until);
        }
        self.write(&first)?;
        self.held = Batch::default();
        self.lost = 0;
        Ok(())
    }

    fn hold(&mut self, json: &[u8]) {
        self.held.push(json, Until::Synced);
    }

    fn event(&self, kind: Kind, count: Option<u64>) -> Vec<u8> {
        let version = (kind == Kind::Started).then_some(env!("CARGO_PKG_VERSION"));
        let record = Record { count, version, principal: Some("pawl"), ..Record::new(kind, self.clock.now()) };
        // Safe because a record is names and numbers.
        serde_json::to_vec(&record).expect("a record is JSON")
    }
}
