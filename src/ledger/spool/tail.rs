//! What is next for the sink: own segments, those of directories that were left, and memory while the disk is full.
//!
//! Not the asking and waiting (`sender`). Everything here may block on the disk, so it runs on threads for that. The one idea:
//! sources take turns, one batch is in hand at a time, and a source moves on only when its batch is done with.

use super::home::{Home, REJECTED, abandoned, mark};
use super::source::{Cursor, Piece, Rejected, Segment, read};
use super::{BATCH_ROWS, Shared, frame};
use crate::ledger::{Row, encoding};
use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Milliseconds between two searches for directories that were left.
const SEARCH_MS: u64 = 10_000;
/// Directories read at the same time; others wait.
const MOST_ADOPTED: usize = 32;

/// Where a batch is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Memory, past the spool.
    Memory,
    /// Own segments.
    Own,
    /// A directory that was left.
    Left(PathBuf),
}

/// Rows on their way to the sink.
pub struct Batch {
    pub rows: Vec<Row>,
    pub origin: Origin,
    /// Where its source goes on.
    pub end: Cursor,
    /// What the sink has not taken yet, as ranges of `rows`.
    pub todo: Vec<Range<usize>>,
    /// What it refused.
    pub refused: Vec<(usize, String)>,
}

/// A directory that was left.
struct Left {
    home: Home,
    segments: VecDeque<Segment>,
    sent: Cursor,
}

/// All that waits.
pub struct Tail {
    shared: Arc<Shared>,
    left: Vec<Left>,
    rejected: Rejected,
    turn: usize,
    search_ms: u64,
}

impl Tail {
    pub fn new(shared: Arc<Shared>) -> Self {
        let path = shared.settings.dir.join(REJECTED).join(format!("{}.seg", shared.name));
        Self {
            shared,
            left: Vec::new(),
            rejected: Rejected::new(path),
            turn: 0,
            search_ms: 0,
        }
    }

    /// Take over what was left, if it is time to look.
    pub fn search(&mut self, now_ms: u64) {
        if now_ms < self.search_ms {
            return;
        }
        self.search_ms = now_ms + SEARCH_MS;
        let room = MOST_ADOPTED.saturating_sub(self.left.len());
        for home in abandoned(&self.shared.settings.dir, room) {
            let (mut segments, sent) = (home.segments().unwrap_or_default(), home.position());
            let bytes: u64 = segments.iter().map(|segment| segment.length).sum();
            self.shared.count.bytes.fetch_add(bytes, Ordering::Relaxed);
            segments.retain(|segment| {
                let waits = segment.number >= sent.number;
                if !waits {
                    segment.delete(&self.shared);
                }
                waits
            });
            if segments.is_empty() {
                home.remove();
                continue;
            }
            let bytes: u64 = segments.iter().map(|segment| segment.length).sum();
            tracing::info!(path = %home.path.display(), bytes, "usage records that an earlier process left are taken over");
            self.left.push(Left { home, segments, sent });
        }
        self.shared.count.adopted.store(self.left.len(), Ordering::Relaxed);
    }

    /// When the next search is due.
    pub fn search_in(&self, now_ms: u64) -> u64 {
        self.search_ms.saturating_sub(now_ms)
    }

    /// Some directory that was left has something to send.
    pub fn backlog(&self) -> bool {
        !self.left.is_empty()
    }

    /// The next batch. Own rows only if `own`: a few of them are worth waiting for more.
    pub fn next(&mut self, own: bool) -> Option<Batch> {
        let turns = self.left.len() + 2;
        for _ in 0..turns {
            self.turn = (self.turn + 1) % turns;
            let batch = match self.turn {
                0 if own => self.of_own(),
                0 => None,
                1 => self.of_memory(),
                turn => self.of_left(turn - 2),
            };
            if batch.is_some() {
                return batch;
            }
        }
        None
    }

    fn of_memory(&mut self) -> Option<Batch> {
        if !self.shared.blocked.load(Ordering::SeqCst) {
            return None;
        }
        let rows = self.shared.take(BATCH_ROWS, &self.shared.sending);
        let rows: Vec<Row> = rows.into_iter().map(|row| *row).collect();
        batch(rows, Origin::Memory, Cursor::default())
    }

    fn of_own(&mut self) -> Option<Batch> {
        loop {
            let (segment, mut sent) = {
                let own = self.shared.own();
                (own.segments.front()?.clone(), own.sent)
            };
            if sent.number != segment.number {
                sent = Cursor {
                    number: segment.number,
                    offset: 0,
                };
            }
            let fresh = self.shared.fresh().take(sent, segment.synced, BATCH_ROWS);
            let (rows, end) = match fresh {
                Some((rows, end)) => (rows.into_iter().map(|row| *row).collect(), end),
                None => self.rows_of(&segment, sent),
            };
            let finished = rows.is_empty() && end.offset >= segment.length && segment.sealed;
            if rows.is_empty() {
                let mut own = self.shared.own();
                own.sent = end;
                if finished {
                    own.segments.pop_front();
                }
            }
            if finished {
                segment.delete(&self.shared);
            } else if !rows.is_empty() || end == sent {
                return batch(rows, Origin::Own, end);
            }
        }
    }

    fn of_left(&mut self, index: usize) -> Option<Batch> {
        loop {
            let left = self.left.get(index)?;
            let Some(segment) = left.segments.front().cloned() else {
                let done = self.left.remove(index);
                self.shared.count.adopted.store(self.left.len(), Ordering::Relaxed);
                done.home.remove();
                return None;
            };
            let mut sent = left.sent;
            if sent.number != segment.number {
                sent = Cursor {
                    number: segment.number,
                    offset: 0,
                };
            }
            let path = left.home.path.clone();
            let (rows, end) = self.rows_of(&segment, sent);
            if !rows.is_empty() {
                return batch(rows, Origin::Left(path), end);
            }
            let left = self.left.get_mut(index)?;
            left.sent = end;
            if end.offset >= segment.length {
                left.segments.pop_front();
                segment.delete(&self.shared);
            }
        }
    }

    /// Rows from a place on, and where they end. What is damaged is counted, what is strange is set aside.
    fn rows_of(&mut self, segment: &Segment, from: Cursor) -> (Vec<Row>, Cursor) {
        let piece = read(segment, from.offset).unwrap_or_else(|problem| {
            segment.set_aside(&problem);
            Piece {
                damaged: 1,
                end: segment.length,
                ..Piece::default()
            }
        });
        let count = &self.shared.count;
        count.corrupt.fetch_add(piece.damaged, Ordering::Relaxed);
        let path = segment.path.display();
        if piece.damaged > 0 {
            tracing::error!(%path, places = piece.damaged, "a file of the spool is damaged: what is there was passed over");
        }
        if let Some(bytes) = piece.torn {
            count.torn.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%path, bytes, "the last record of a spool file was not written to its end");
        }
        if !piece.strange.is_empty() {
            tracing::error!(%path, records = piece.strange.len(), "records of another version cannot be read: they are set aside");
            let mut records = Vec::new();
            for payload in &piece.strange {
                frame::append(&mut records, |out| out.extend_from_slice(payload));
            }
            self.set_aside(&records, piece.strange.len() as u64);
        }
        let end = Cursor {
            number: segment.number,
            offset: piece.end.max(from.offset),
        };
        (piece.rows, end)
    }

    fn set_aside(&mut self, records: &[u8], rows: u64) {
        if self.rejected.keep(records) {
            self.shared.count.rejected.fetch_add(rows, Ordering::Relaxed);
        } else {
            self.shared.lose(rows);
        }
    }

    fn set_refused_aside(&mut self, batch: &Batch) {
        if let Some((index, why)) = batch.refused.first() {
            let id = batch.rows.get(*index).map(|row| row.id.to_string()).unwrap_or_default();
            tracing::error!(
                rows = batch.refused.len(),
                id,
                why,
                "the store refused usage records: they are set aside"
            );
            let mut records = Vec::new();
            for row in batch.refused.iter().filter_map(|(index, _)| batch.rows.get(*index)) {
                frame::append(&mut records, |out| encoding::encode(row, out));
            }
            self.set_aside(&records, batch.refused.len() as u64);
        }
    }

    /// A batch is done with: what was refused is set aside, the source moves on.
    pub fn done(&mut self, batch: &Batch) {
        self.set_refused_aside(batch);
        let count = &self.shared.count;
        count.oldest_ms.store(0, Ordering::Relaxed);
        let dir = match &batch.origin {
            Origin::Memory => {
                self.shared.sending.store(false, Ordering::SeqCst);
                return;
            }
            Origin::Own => {
                count.done.fetch_add(batch.rows.len() as u64, Ordering::Relaxed);
                let mut own = self.shared.own();
                own.sent = batch.end;
                own.home.as_ref().map(|home| home.path.clone())
            }
            Origin::Left(path) => {
                if let Some(left) = self.left.iter_mut().find(|left| left.home.path == *path) {
                    left.sent = batch.end;
                }
                Some(path.clone())
            }
        };
        if let Some(Err(problem)) = dir.map(|dir| mark(&dir, batch.end)) {
            // The rows will be offered again after a restart, which changes nothing.
            tracing::debug!(%problem, "the spool's position could not be written");
        }
    }

    /// Rows from memory that the sink could not take now go back there.
    pub fn give_back(&mut self, batch: Batch) {
        self.set_refused_aside(&batch);
        let rows = batch.rows.into_iter().enumerate();
        let waiting = rows.filter(|(index, _)| batch.todo.iter().any(|range| range.contains(index)));
        self.shared.stranded().extend(waiting.map(|(_, row)| Box::new(row)));
        self.shared.sending.store(false, Ordering::SeqCst);
    }
}

fn batch(rows: Vec<Row>, origin: Origin, end: Cursor) -> Option<Batch> {
    let whole = 0..rows.len();
    (!rows.is_empty()).then(|| Batch {
        rows,
        origin,
        end,
        todo: vec![whole],
        refused: Vec::new(),
    })
}
