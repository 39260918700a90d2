//! The ledger from outside: what any bytes in its spool give, what `kill -9` costs, a disk that is really full.
//!
//! Its parts, step by step and with a clock that is a number, are tested beside them (`src/ledger/spool/tests`).

mod full_disk;
mod kill;
mod records;

use async_trait::async_trait;
use cirque::ledger::{Charge, Ledger, Row, RowId, Sink, SinkError, SpoolSettings, Tenant};
use cirque::units::Usage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A directory that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cirque-it-ledger-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn row(number: u64, at_ms: u64) -> Row {
    Row {
        id: RowId(u128::from(number)),
        attempt: 0,
        at_ms,
        tenant: Arc::new(Tenant {
            team: Some("blue".into()),
            ..Tenant::default()
        }),
        tags: ["nightly".into()].into(),
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
        usage: Usage::default(),
        estimated: false,
        cost: None,
        billed: None,
        guardrails: None,
        saved: 0,
        charges: vec![Charge {
            count: "key/ci/day".into(),
            window: 0,
            nano: number,
        }],
    }
}

/// A store that keeps rows once, or is away.
#[derive(Default)]
struct Fake {
    away: AtomicBool,
    rows: Mutex<BTreeMap<u128, Row>>,
}

#[async_trait]
impl Sink for Fake {
    async fn insert(&self, rows: &[Row]) -> Result<u64, SinkError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(SinkError::Unavailable);
        }
        let mut kept = self.rows.lock().unwrap();
        for row in rows {
            kept.insert(row.id.0, row.clone());
        }
        Ok(rows.len() as u64)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn start(settings: SpoolSettings, sink: &Arc<Fake>, runtime: &tokio::runtime::Runtime) -> Ledger {
    Ledger::start(settings, Arc::clone(sink) as _, None, runtime.handle()).unwrap()
}
