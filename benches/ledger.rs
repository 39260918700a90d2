//! The ledger's figures: what a push costs a request, what a row costs on its way to the store and when read back.
//!
//! `cargo bench --bench ledger`. Not criterion: these run threads and files, and one pass over many rows says it. `CIRQUE_BENCH_DIR`
//! is the disk to measure (default: the system's temporary directory). The push is measured with one producer and the writer
//! running beside it, the row made beforehand; what making a row costs is the request's affair.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may fail by panicking"
)]

use async_trait::async_trait;
use cirque::ledger::{Charge, Ledger, Row, RowId, Sink, SinkError, SpoolSettings, Tenant, encoding};
use cirque::units::{Cost, Usage};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn row(number: u64) -> Row {
    Row {
        id: RowId::new(1_763_800_000_000 + number),
        attempt: (number % 2) as u16,
        at_ms: 1_763_800_000_000 + number,
        tenant: Arc::new(Tenant {
            organisation: Some("acme".into()),
            team: Some("blue".into()),
            project: Some("search".into()),
            user: None,
            key: Some("ci-2026".into()),
        }),
        tags: ["batch".into(), "nightly".into()].into(),
        metadata: Some(r#"{"customer":"4711"}"#.into()),
        request_id: "01JD2Y8Q4W5V6X7Z8A9B0C1D2E".into(),
        operation: "chat",
        model: Some("gpt-large".into()),
        target: Some("openai/gpt-large-2026".into()),
        provider: Some("openai".into()),
        purpose: "first",
        status: 200,
        outcome: "ok",
        cache: "miss",
        stream: true,
        latency_ms: 2345,
        ttft_ms: Some(321),
        usage: Usage {
            input: 1234,
            output: 456,
            cached: 1000,
            ..Usage::default()
        },
        estimated: false,
        cost: Some(Cost {
            input: 585_000,
            output: 4_560_000,
            ..Cost::default()
        }),
        billed: Some(5_659_500),
        guardrails: None,
        saved: 0,
        charges: ["key/ci-2026/month", "team/blue/day"]
            .map(|count| Charge {
                count: count.into(),
                window: 1_763_800_000,
                nano: 5_145_000,
            })
            .to_vec(),
    }
}

#[derive(Default)]
struct Counting {
    rows: AtomicU64,
    away: AtomicBool,
}

#[async_trait]
impl Sink for Counting {
    async fn insert(&self, rows: &[Row]) -> Result<u64, SinkError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(SinkError::Unavailable);
        }
        self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(rows.len() as u64)
    }
}

fn codec() {
    let row = row(1);
    let mut bytes = Vec::new();
    encoding::encode(&row, &mut bytes);
    let (length, rounds) = (bytes.len(), 500_000);
    let began = Instant::now();
    for _ in 0..rounds {
        bytes.clear();
        encoding::encode(black_box(&row), &mut bytes);
    }
    let encode = began.elapsed() / rounds;
    let began = Instant::now();
    for _ in 0..rounds {
        black_box(encoding::decode(black_box(&bytes)).unwrap());
    }
    println!(
        "encode {encode:?}, decode {:?}, {length} bytes, and 16 of the frame in the spool",
        began.elapsed() / rounds
    );
}

fn pushes(ledger: &Ledger) {
    // 200 at a time, then a pause in which the writer drains: a busy gateway, not a queue that runs over.
    let mut each = Vec::new();
    for burst in 0..200u64 {
        let rows: Vec<Box<Row>> = (0..200).map(|number| Box::new(row(burst * 200 + number))).collect();
        let began = Instant::now();
        for row in rows {
            ledger.push(row);
        }
        each.push(began.elapsed().as_nanos() as u64 / 200);
        std::thread::sleep(Duration::from_millis(2));
    }
    each.sort_unstable();
    println!(
        "push: median {} ns, 99th percentile of bursts {} ns",
        each[100], each[198]
    );
}

fn throughput(ledger: &Ledger, sink: &Counting, runtime: &tokio::runtime::Runtime) {
    let (total, before) = (1_000_000u64, sink.rows.load(Ordering::Relaxed));
    let began = Instant::now();
    let mut pushed = 0;
    while pushed < total {
        if ledger.stats(0).queued > 8_000 {
            std::thread::yield_now();
            continue;
        }
        for _ in 0..1000 {
            ledger.push(Box::new(row(pushed)));
            pushed += 1;
        }
    }
    let accepted = began.elapsed();
    assert!(runtime.block_on(ledger.flush(Duration::from_secs(120))));
    let sent = began.elapsed();
    let stats = ledger.stats(0);
    assert_eq!((sink.rows.load(Ordering::Relaxed) - before, stats.lost), (total, 0));
    let per_second = |time: Duration| (total as f64 / time.as_secs_f64()) as u64;
    println!(
        "queue to files: {} rows/s; to the sink: {} rows/s",
        per_second(accepted),
        per_second(sent)
    );
}

fn main() {
    codec();
    let dir = std::env::var_os("CIRQUE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("cirque-bench-ledger-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let sink = Arc::new(Counting::default());
    let start = || Ledger::start(SpoolSettings::new(&dir), Arc::clone(&sink) as _, None, runtime.handle()).unwrap();
    let ledger = start();
    pushes(&ledger);
    assert!(runtime.block_on(ledger.flush(Duration::from_secs(60))));
    throughput(&ledger, &sink, &runtime);
    // A backlog, taken over by the next process.
    sink.away.store(true, Ordering::Relaxed);
    for number in 0..500_000 {
        while ledger.stats(0).queued > 8_000 {
            std::thread::yield_now();
        }
        ledger.push(Box::new(row(number)));
    }
    runtime.block_on(ledger.flush(Duration::from_secs(2)));
    drop(ledger);
    sink.away.store(false, Ordering::Relaxed);
    let before = sink.rows.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(6));
    let (ledger, began) = (start(), Instant::now());
    while sink.rows.load(Ordering::Relaxed) < before + 500_000 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let rows = sink.rows.load(Ordering::Relaxed) - before;
    println!(
        "replay after a restart: {rows} rows, {} rows/s",
        (rows as f64 / began.elapsed().as_secs_f64()) as u64
    );
    drop(ledger);
    let _ = std::fs::remove_dir_all(&dir);
}
