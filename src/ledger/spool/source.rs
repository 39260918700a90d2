//! Reading segments: this instance's own and those of directories that were left.
//!
//! Not who takes the rows. The one idea: reading changes nothing but a cursor, which moves only when the rows are done with;
//! whatever goes wrong in between is read again.

use super::frame::{self, Found};
use super::home::create;
use super::{BATCH_ROWS, Shared};
use crate::ledger::{Row, encoding};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes read at once, unless one record has more.
const WINDOW: usize = 512 * 1024;

/// A place in a directory's segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Of the segment.
    pub number: u64,
    /// Bytes into it.
    pub offset: u64,
}

/// A file of records.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Counts from 1 in its directory.
    pub number: u64,
    /// Where.
    pub path: PathBuf,
    /// Held open for our own, so that deleting the directory loses nothing while this process lives.
    pub file: Option<Arc<File>>,
    /// Bytes of whole records.
    pub length: u64,
    /// Of those, the ones that survive power loss.
    pub synced: u64,
    /// Nothing will be appended.
    pub sealed: bool,
}

impl Segment {
    /// One that somebody else wrote.
    pub fn finished(number: u64, path: PathBuf, length: u64) -> Self {
        Self {
            number,
            path,
            file: None,
            length,
            synced: length,
            sealed: true,
        }
    }

    fn open(&self) -> io::Result<Arc<File>> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => File::open(&self.path).map(Arc::new),
        }
    }

    /// Delete it.
    pub fn delete(&self, shared: &Shared) {
        let _ = std::fs::remove_file(&self.path);
        shared.count.bytes.fetch_sub(self.length, Ordering::Relaxed);
    }

    /// It cannot be read: kept for the operator under another name, and passed over.
    pub fn set_aside(&self, problem: &io::Error) {
        tracing::error!(path = %self.path.display(), %problem, "a file of the spool cannot be read: it is set aside");
        let _ = std::fs::rename(&self.path, self.path.with_extension("unreadable"));
    }
}

/// What was read: rows, records that are no rows of this version, and where they end.
#[derive(Debug, Default)]
pub struct Piece {
    /// The rows, at most a batch.
    pub rows: Vec<Row>,
    /// Payloads that cannot be read though they are whole.
    pub strange: Vec<Vec<u8>>,
    /// Damaged places.
    pub damaged: u64,
    /// The file ends within a record; bytes of it.
    pub torn: Option<u64>,
    /// Where to go on in the segment.
    pub end: u64,
}

/// Read a batch from a segment, from an offset on. Nothing read: there is nothing more.
pub fn read(segment: &Segment, offset: u64) -> io::Result<Piece> {
    let mut piece = Piece {
        end: offset,
        ..Piece::default()
    };
    if offset >= segment.synced {
        return Ok(piece);
    }
    let file = segment.open()?;
    while piece.rows.len() < BATCH_ROWS && piece.end < segment.synced {
        let (before, began) = (piece.end, piece.rows.len() + piece.strange.len());
        step(&mut piece, &file, segment.synced, WINDOW)?;
        if piece.end == before {
            step(&mut piece, &file, segment.synced, frame::HEADER + frame::LONGEST)?;
        }
        if piece.end == before {
            // Cannot be, see `frame::at`; but a loop without end is worse than a gap.
            piece.damaged += 1;
            piece.end = segment.synced;
        }
        // A batch need not be full, if only it holds something.
        if piece.rows.len() + piece.strange.len() > began {
            break;
        }
    }
    Ok(piece)
}

/// One window of it.
fn step(piece: &mut Piece, file: &File, synced: u64, window: usize) -> io::Result<()> {
    let left = synced - piece.end;
    let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(window);
    let bytes = read_at(file, piece.end, wanted)?;
    // Shorter than it was: somebody cut it.
    let cut = bytes.len() < wanted;
    let whole = cut || wanted as u64 == left;
    let (base, mut place) = (piece.end, 0);
    while piece.rows.len() < BATCH_ROWS {
        match frame::at(&bytes, place, whole) {
            Found::Record(payload, next) => {
                match encoding::decode(payload) {
                    Ok(row) => piece.rows.push(row),
                    Err(_) => piece.strange.push(payload.to_vec()),
                }
                place = next;
            }
            Found::Damaged(next) => {
                piece.damaged += 1;
                place = next;
            }
            Found::Torn => {
                piece.torn = Some((bytes.len() - place) as u64);
                piece.end = synced;
                return Ok(());
            }
            Found::End => {
                piece.torn = cut.then(|| synced - base - bytes.len() as u64).or(piece.torn);
                piece.end = synced;
                return Ok(());
            }
            Found::More => break,
        }
    }
    piece.end = base + place as u64;
    Ok(())
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(space) = bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
        match file.read_at(space, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
            Err(problem) => return Err(problem),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The file of rows that the sink refused.
pub struct Rejected {
    path: PathBuf,
    written: u64,
}

impl Rejected {
    /// Bytes of it at most: a sink that refuses everything is not to fill the disk.
    const MOST: u64 = 64 * 1024 * 1024;

    /// It is made when it is needed.
    pub fn new(path: PathBuf) -> Self {
        Self { path, written: 0 }
    }

    /// Keep records. False: they could not be kept.
    pub fn keep(&mut self, records: &[u8]) -> bool {
        if self.written + records.len() as u64 > Self::MOST {
            return false;
        }
        let kept = (|| -> io::Result<()> {
            if let Some(dir) = self.path.parent() {
                super::home::make_dir(dir)?;
            }
            let mut file = create(&self.path)?;
            io::Write::write_all(&mut file, records)?;
            file.sync_data()
        })();
        self.written += records.len() as u64;
        kept.is_ok()
    }
}
