//! The spool step by step: a clock that is a number, a disk that fails when told, a sink of every mood.

mod disks;
mod outages;
mod restarts;

use super::sender::Sender;
use super::writer::{Disk, Medium, Writer, sync};
use super::{Ledger, OnFull, Shared, SpoolSettings, Watch, ledger, rows_in};
use crate::ledger::{Charge, Row, RowId, Sink, SinkError, Tenant};
use crate::units::{Cost, Usage};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A directory that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("cirque-ledger-{}", ledger::name()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn settings(&self) -> SpoolSettings {
        SpoolSettings {
            queue: 4096,
            insert_timeout: Duration::from_millis(5),
            ..SpoolSettings::new(self.0.join("spool"))
        }
    }

    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|found| found == extension) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn row(number: u64) -> Box<Row> {
    Box::new(Row {
        id: RowId(u128::from(number)),
        attempt: (number % 2) as u16,
        at_ms: 1_763_800_000_000 + number,
        tenant: Arc::new(Tenant {
            team: Some("blue".into()),
            ..Tenant::default()
        }),
        tags: ["a".into(), "b".into()].into(),
        metadata: None,
        request_id: format!("request-{number}").into(),
        operation: "chat",
        model: Some("m".into()),
        target: Some("p/m".into()),
        provider: Some("p".into()),
        purpose: "first",
        status: 200,
        outcome: "ok",
        cache: "off",
        stream: true,
        latency_ms: 900,
        ttft_ms: Some(80),
        usage: Usage {
            input: number,
            output: 3,
            ..Usage::default()
        },
        estimated: false,
        cost: Some(Cost::default()),
        billed: Some(number),
        guardrails: None,
        saved: if number.is_multiple_of(2) { number } else { 0 },
        charges: vec![Charge {
            count: "key/ci/day".into(),
            window: -5,
            nano: number,
        }],
    })
}

/// What the sink does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    Unavailable,
    Hangs,
    Panics,
    /// Takes the rows and says that it could not.
    Lies,
    /// Refuses batches with a row whose number this divides.
    Refuses(u64),
    /// The same for so many calls, then it is away.
    RefusesThenLeaves(u64, u64),
}

/// A store: rows by id and attempt, and how often each was inserted.
struct Fake {
    mood: Mutex<Mood>,
    rows: Mutex<BTreeMap<(RowId, u16), (Row, u32)>>,
    calls: AtomicU64,
}

impl Fake {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Takes),
            rows: Mutex::default(),
            calls: AtomicU64::new(0),
        })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn numbers(&self) -> Vec<u64> {
        self.rows.lock().unwrap().keys().map(|(id, _)| id.0 as u64).collect()
    }

    /// Everything as it was made, and nothing else.
    #[track_caller]
    fn has_exactly(&self, numbers: impl IntoIterator<Item = u64>) {
        let rows = self.rows.lock().unwrap();
        let mut wanted = 0;
        for number in numbers {
            wanted += 1;
            let row = row(number);
            assert_eq!(
                rows.get(&(row.id, row.attempt)).map(|(kept, _)| kept),
                Some(&*row),
                "row {number}"
            );
        }
        assert_eq!(rows.len(), wanted);
    }

    fn most_often(&self) -> u32 {
        self.rows
            .lock()
            .unwrap()
            .values()
            .map(|(_, often)| *often)
            .max()
            .unwrap_or(0)
    }
}

#[async_trait]
impl Sink for Fake {
    async fn insert(&self, rows: &[Row]) -> Result<u64, SinkError> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(!rows.is_empty() && rows.len() <= super::BATCH_ROWS);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Unavailable => return Err(SinkError::Unavailable),
            Mood::Hangs => std::future::pending().await,
            Mood::Panics => panic!("the sink panics, as the test wants"),
            Mood::RefusesThenLeaves(_, most) if calls >= most => return Err(SinkError::Unavailable),
            Mood::Refuses(by) | Mood::RefusesThenLeaves(by, _)
                if rows.iter().any(|row| row.id.0.is_multiple_of(by.into())) =>
            {
                return Err(SinkError::Refused("no such tenant".to_owned()));
            }
            _ => {}
        }
        let mut kept = self.rows.lock().unwrap();
        for row in rows {
            let entry = kept.entry((row.id, row.attempt)).or_insert_with(|| (row.clone(), 0));
            assert_eq!(entry.0, *row);
            entry.1 += 1;
        }
        if mood == Mood::Lies {
            Err(SinkError::Unavailable)
        } else {
            Ok(rows.len() as u64)
        }
    }
}

/// A disk with so much room, which may be none, and that can be broken altogether.
struct SmallDisk {
    room: AtomicU64,
}

impl SmallDisk {
    fn new(room: u64) -> Arc<Self> {
        Arc::new(Self {
            room: AtomicU64::new(room),
        })
    }
}

impl Medium for SmallDisk {
    fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let room = self.room.load(Ordering::Relaxed);
        let fits = (bytes.len() as u64).min(room) as usize;
        // As much as there is room for is written, as real disks do it.
        file.write_all(&bytes[..fits])?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.store(room - fits as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Default)]
struct Seen {
    lost: AtomicU64,
    changes: AtomicU64,
}

impl Watch for Arc<Seen> {
    fn lost(&self, rows: u64) {
        self.lost.fetch_add(rows, Ordering::Relaxed);
    }
    fn blocked(&self, _: bool) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

/// An instance without its threads.
struct Rig {
    shared: Arc<Shared>,
    medium: Arc<dyn Medium>,
    writer: Writer,
    sender: Sender,
    now_ms: u64,
    seen: Arc<Seen>,
}

impl Rig {
    fn new(settings: SpoolSettings, sink: &Arc<Fake>) -> Self {
        Self::on(settings, sink, Arc::new(Disk))
    }

    fn on(settings: SpoolSettings, sink: &Arc<Fake>, medium: Arc<dyn Medium>) -> Self {
        let seen = Arc::new(Seen::default());
        let shared = Arc::new(Shared::new(settings, ledger::name(), Some(Box::new(Arc::clone(&seen)))));
        let sink: Arc<dyn Sink> = Arc::clone(sink) as _;
        Self {
            writer: Writer::new(Arc::clone(&shared), Arc::clone(&medium)),
            sender: Sender::new(Arc::clone(&shared), sink),
            medium,
            shared,
            now_ms: 0,
            seen,
        }
    }

    fn push(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.shared.push(row(number));
        }
    }

    /// Queue to disk.
    fn spool(&mut self) {
        while self.writer.step(self.now_ms) > 0 {}
        sync(&self.shared, &*self.medium);
    }

    /// Let so many milliseconds pass, in tens.
    async fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.now_ms += 10;
            self.spool();
            while self.sender.step(self.now_ms).await == 0 {}
        }
    }

    fn stats(&self) -> super::Stats {
        self.shared.stats(1_763_800_000_000)
    }
}
