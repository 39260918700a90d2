//! Directories of the spool: an instance's own, those left by others, the mark of how far one was read.
//!
//! Not what is in a segment. The one idea: who holds the lock of a directory owns it; a lock dies with its process, however
//! that ends. A directory gets its name only when its lock is held, so nobody adopts one that is being made.

use super::frame::{Found, at};
use super::source::{Cursor, Segment};
use crate::ledger::{Row, encoding};
use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const POSITION: &str = "position";
/// Directory of what the sink refused.
pub const REJECTED: &str = "rejected";

/// A directory of ours: the lock is held until this is dropped.
pub struct Home {
    /// Where.
    pub path: PathBuf,
    lock: File,
}

impl Home {
    /// Make a new one.
    pub fn make(root: &Path, name: &str) -> io::Result<Self> {
        let unfinished = root.join(format!(".new-{name}"));
        make_dir(&unfinished)?;
        let lock = create(&unfinished.join(LOCK))?;
        lock.try_lock()?;
        let path = root.join(name);
        if let Err(problem) = std::fs::rename(&unfinished, &path) {
            let _ = std::fs::remove_file(unfinished.join(LOCK));
            let _ = std::fs::remove_dir(&unfinished);
            return Err(problem);
        }
        // Makes the name last; a file system that cannot do this for directories loses it on power loss only.
        let _ = sync_dir(root);
        Ok(Self { path, lock })
    }

    /// Take one over that nobody holds; none: somebody does.
    fn adopt(path: PathBuf) -> io::Result<Option<Self>> {
        let lock = create(&path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(problem)) => Err(problem),
        }
    }

    /// It is still there under its name, and the lock in it is the one held.
    pub fn stands(&self) -> bool {
        match (self.lock.metadata(), std::fs::metadata(self.path.join(LOCK))) {
            (Ok(held), Ok(found)) => held.ino() == found.ino() && held.dev() == found.dev(),
            _ => false,
        }
    }

    /// Remove it if nothing is left in it but the lock and the mark.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(self.path.join(POSITION));
        if self.segments().is_ok_and(|left| left.is_empty()) {
            let _ = std::fs::remove_file(self.path.join(LOCK));
            let _ = std::fs::remove_dir(&self.path);
        }
    }

    /// Its segments, oldest first.
    pub fn segments(&self) -> io::Result<VecDeque<Segment>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_suffix(".seg"))
                .and_then(|stem| stem.parse().ok());
            if let (Some(number), Ok(metadata)) = (number, entry.metadata())
                && metadata.is_file()
            {
                found.push(Segment::finished(number, entry.path(), metadata.len()));
            }
        }
        found.sort_unstable_by_key(|segment| segment.number);
        Ok(found.into())
    }

    /// How far it was read; the beginning when that is not known: what is stored already is then offered once more.
    pub fn position(&self) -> Cursor {
        let text = std::fs::read_to_string(self.path.join(POSITION)).unwrap_or_default();
        let (Some((mark, check)), true) = (text.trim_end().rsplit_once(' '), text.len() < 100) else {
            return Cursor::default();
        };
        let sound = u32::from_str_radix(check, 16).is_ok_and(|check| check == crc32fast::hash(mark.as_bytes()));
        let (number, offset) = mark.split_once(' ').unwrap_or_default();
        match (sound, number.parse(), offset.parse()) {
            (true, Ok(number), Ok(offset)) => Cursor { number, offset },
            _ => Cursor::default(),
        }
    }
}

/// Write how far a directory was read. By rename, and not synced: an older mark costs a repetition, and that is harmless.
pub fn mark(dir: &Path, sent: Cursor) -> io::Result<()> {
    let text = format!("{} {}", sent.number, sent.offset);
    let unfinished = dir.join(".position");
    let mut file = create(&unfinished)?;
    file.set_len(0)?;
    file.write_all(format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes())).as_bytes())?;
    std::fs::rename(&unfinished, dir.join(POSITION))
}

/// Directories whose instance is gone, at most so many: locked, so that they are ours now.
pub fn abandoned(root: &Path, most: usize) -> Vec<Home> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| entry.file_name().to_str().is_some_and(is_instance))
        .map(|entry| entry.path())
        .collect();
    // Names begin with the time: oldest first.
    found.sort_unstable();
    let adopted = found.into_iter().filter_map(|path| {
        Home::adopt(path.clone()).unwrap_or_else(|problem| {
            tracing::warn!(path = %path.display(), %problem, "a directory of the spool cannot be read");
            None
        })
    });
    adopted.take(most).collect()
}

/// Whether a name is one that [`super::ledger::name`] makes: nothing in other directories is touched, whatever `dir` is.
fn is_instance(name: &str) -> bool {
    let (Some(id), Some(process)) = (name.get(..36), name.get(36..)) else {
        return false;
    };
    let hyphen = |index: usize| matches!(index, 8 | 13 | 18 | 23);
    let sound = |(index, byte): (usize, u8)| {
        if hyphen(index) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    };
    let number = process.strip_prefix('-').unwrap_or_default();
    id.bytes().enumerate().all(sound) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Make a directory that only this user can read: rows name tenants.
pub fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Open a file for appending, made if need be, for this user only.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(path)
}

/// Make the names in a directory last.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The rows in the bytes of a segment or of a file of rejected rows, and the number of places that are damaged or hold
/// something else. For whoever reads such a file outside a gateway, and for the fuzzer.
pub fn rows_in(bytes: &[u8]) -> (Vec<Row>, u64) {
    let (mut rows, mut damaged, mut place) = (Vec::new(), 0, 0);
    loop {
        match at(bytes, place, true) {
            Found::Record(payload, next) => {
                match encoding::decode(payload) {
                    Ok(row) => rows.push(row),
                    Err(_) => damaged += 1,
                }
                place = next;
            }
            Found::Damaged(next) => {
                damaged += 1;
                place = next;
            }
            Found::Torn => return (rows, damaged + 1),
            Found::End | Found::More => return (rows, damaged),
        }
    }
}
