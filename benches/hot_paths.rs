//! What every request runs through, piece by piece: scanner, envelope, event streams, usage, picking, ids, counting.
//!
//! For comparing a change with what was before (`cargo bench --bench hot_paths -- --save-baseline before`); what a request
//! costs in all is measured by `make overhead`. Only pure code: no sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use bytes::Bytes;
use cirque::balance::{Ask, Breaker, Member, Pool, Strategy};
use cirque::error::{ErrorKind, GatewayError};
use cirque::gateway::live::{LiveStream, Source};
use cirque::ids::{RequestId, TargetId};
use cirque::providers::native::{self, EncodeOptions, Native};
use cirque::telemetry::{AccessLog, AccessRecord, Finished, LineFormat, Meters, Outcome, access_line};
use cirque::units::Usage;
use cirque::wire::sse::{self, SseReader};
use cirque::wire::{Call, Dialect, Operation, errors, json, usage};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::FutureExt;
use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A chat body of about this many bytes: prose with line ends and quotes, as prompts have them.
fn chat_body(size: usize) -> Bytes {
    let mut messages = Vec::new();
    let mut length = 0;
    while length < size {
        let content = "The quick brown fox said \"jump\" over the lazy dog, and it did.\nThen it slept. ".repeat(10);
        let content = content.get(..content.len().min(size - length)).unwrap_or_default();
        length += content.len() + 30;
        messages.push(serde_json::json!({"role": "user", "content": content}));
    }
    let body = serde_json::json!({"messages": messages, "model": "mock", "stream": true, "temperature": 0.7});
    Bytes::from(body.to_string())
}

const SIZES: [(&str, usize); 3] = [("1 KB", 1 << 10), ("20 KB", 20 << 10), ("1 MB", 1 << 20)];

fn bodies(c: &mut Criterion) {
    for (name, size) in SIZES {
        let body = chat_body(size);
        let mut group = c.benchmark_group(format!("body/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("scan", |b| {
            b.iter(|| json::scan_object(black_box(&body), 64, |member| _ = black_box(member)));
        });
        group.bench_function("Call::read", |b| {
            b.iter(|| Call::read(Operation::Chat, black_box(body.clone()), 64).unwrap());
        });
        group.bench_function("Call::read + encode", |b| {
            b.iter(|| {
                let call = Call::read(Operation::Chat, black_box(body.clone()), 64).unwrap();
                let options = EncodeOptions {
                    model: "renamed",
                    stream_usage: true,
                };
                native::encode(Native::OpenAi, &call, options)
            });
        });
        group.finish();
    }
}

/// 34 events: a role, 30 tokens, an ending, usage, the end marker.
fn stream() -> Vec<Bytes> {
    let chunk = |choices: serde_json::Value, usage: serde_json::Value| {
        let body = serde_json::json!({"id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx", "object": "chat.completion.chunk",
            "created": 1_700_000_000, "model": "mock-2026-11-01", "system_fingerprint": "fp_0123456789",
            "choices": choices, "usage": usage});
        Bytes::from(format!("data: {body}\n\n"))
    };
    let token = |text: &str, reason: serde_json::Value| serde_json::json!([{"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": reason}]);
    let mut events = vec![chunk(token("", serde_json::Value::Null), serde_json::Value::Null)];
    events.extend((0..30).map(|_| chunk(token(" token", serde_json::Value::Null), serde_json::Value::Null)));
    events.push(chunk(token("", "stop".into()), serde_json::Value::Null));
    events.push(chunk(
        serde_json::json!([]),
        serde_json::json!({"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 40}),
    ));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn streams(c: &mut Criterion) {
    let events = stream();
    let whole: Bytes = events.concat().into();
    let mut group = c.benchmark_group("stream of 34 events");
    group.throughput(Throughput::Elements(34));
    group.bench_function("sse, ready at once", |b| {
        b.iter(|| {
            let mut reader = SseReader::new(1 << 20);
            reader.space().extend_from_slice(black_box(&whole));
            let batch = reader.take().unwrap();
            sse::events(&batch).filter(|event| event.data.is_some()).count()
        });
    });
    for (name, pieces) in [
        ("judged, ready at once", vec![whole.clone()]),
        ("judged, one by one", events),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let source = Source::Paced {
                    events: pieces.iter().cloned().collect(),
                    pace: Duration::ZERO,
                };
                let mut live = LiveStream::new(source, 1 << 20, 64, true);
                let mut bytes = 0;
                while !live.is_done() {
                    live.fill().now_or_never().unwrap();
                    bytes += live.take().len();
                }
                bytes
            });
        });
    }
    group.finish();
}

fn small(c: &mut Criterion) {
    let answer = serde_json::json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "mock",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word ".repeat(150)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 150, "total_tokens": 160,
                  "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}})
    .to_string();
    c.bench_function("usage::read, 1 KB answer", |b| {
        b.iter(|| usage::read(black_box(answer.as_bytes()), 64).unwrap());
    });
    let error = GatewayError::new(ErrorKind::NotFound, "the model `x` does not exist here").param("model");
    c.bench_function("error body", |b| {
        b.iter(|| errors::body(Dialect::OpenAi, black_box(&error), "r"))
    });
    c.bench_function("RequestId::random", |b| b.iter(RequestId::random));
}

fn balance(c: &mut Criterion) {
    for members in [1, 10] {
        let member = |index: u32| Member {
            id: TargetId::new(format!("mock/{index}")),
            weight: index + 1,
            tier: 0,
            cost: 0,
            breaker: Arc::default(),
            quarantine: None,
        };
        let pool = Pool::new((0..members).map(member).collect(), Strategy::Weighted, false);
        c.bench_function(&format!("Pool::pick + success, {members} members"), |b| {
            b.iter(|| {
                pool.pick(black_box(&[]), black_box(Ask::default()), Instant::now)
                    .unwrap()
                    .permit
                    .success()
            });
        });
    }
    let breaker: Arc<Breaker> = Arc::default();
    c.bench_function("Breaker admit + success", |b| {
        b.iter(|| breaker.admit(Instant::now).unwrap().success());
    });
}

fn record(model: &Arc<str>, target: &Arc<str>) -> Box<AccessRecord> {
    Box::new(AccessRecord {
        time: SystemTime::UNIX_EPOCH,
        request_id: "req_0123456789abcdef0123456789abcdef".into(),
        operation: "chat",
        method: Cow::Borrowed("POST"),
        path: access_line::clip_path("/v1/chat/completions"),
        model: Some(Arc::clone(model)),
        target: Some(Arc::clone(target)),
        attempts: 1,
        status: 200,
        duration: Duration::from_micros(812_345),
        ttft: None,
        own: Duration::from_nanos(41_900),
        input_tokens: Some(12),
        output_tokens: Some(34),
        estimated: false,
        bytes_in: 1024,
        bytes_out: 2048,
        stream: false,
        error: None,
        upstream_request_id: Some("chatcmpl-aaaaaaaaaaaaaaaaaaaaaa".into()),
        client_left: false,
        detours: None,
    })
}

fn telemetry(c: &mut Criterion) {
    let meters = Meters::new().unwrap();
    let route = meters.route("chat", "mock", "mock");
    let attempts = meters.attempts("mock", "mock/mock");
    let finished = Finished {
        status: 200,
        duration: Duration::from_millis(12),
        ttft: None,
        own: Duration::from_micros(40),
        usage: Some(Usage {
            input: 10,
            output: 20,
            ..Usage::default()
        }),
        estimated: false,
    };
    c.bench_function("RouteMeter::finish", |b| b.iter(|| route.finish(black_box(&finished))));
    c.bench_function("AttemptMeter::count", |b| {
        b.iter(|| attempts.count(black_box(Outcome::Ok)))
    });
    let sink = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let dropped = meters.access_log_dropped.clone();
    let log = AccessLog::start(Some(LineFormat::Json), Box::new(sink), dropped).unwrap();
    let (model, target): (Arc<str>, Arc<str>) = ("mock".into(), "mock/mock".into());
    // Faster than the log's thread writes, so most are dropped at the full queue: the price for the request either way.
    c.bench_function("AccessLog::push, saturated", |b| {
        b.iter_batched(
            || record(&model, &target),
            |record| log.push(record),
            BatchSize::LargeInput,
        );
    });
}

criterion_group! {
    name = hot_paths;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(50);
    targets = bodies, streams, small, balance, telemetry
}
criterion_main!(hot_paths);
