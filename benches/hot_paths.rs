//! What every request runs through, piece by piece: scanner, envelope, event streams, usage, picking, ids, counting.
//!
//! For comparing a change with what was before (`cargo bench --bench hot_paths -- --save-baseline before`); what a request
//! costs in all is measured by `make overhead`. Only pure code: no sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may fail by panicking"
)]

use bytes::Bytes;
use cirque::balance::queue::Queue;
use cirque::balance::{Ask, Breaker, LOAD_FACTOR, Member, Pool, Quarantine, Strategy};
use cirque::error::{ErrorKind, GatewayError};
use cirque::gateway::live::{LiveStream, Source};
use cirque::ids::{RequestId, TargetId};
use cirque::providers::native::{self, EncodeOptions, Native};
use cirque::snapshot::routes::{Asked, Caller, Routes};
use cirque::telemetry::{AccessLog, AccessRecord, Finished, LineFormat, Meters, Outcome, access_line};
use cirque::units::Usage;
use cirque::wire::sse::{self, SseReader};
use cirque::wire::{Call, Dialect, Operation, errors, json, usage};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
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

/// Members of different weight and price, all with a credential that is watched.
fn members(count: u32) -> Vec<Member> {
    let member = |index: u32| Member {
        id: TargetId::new(format!("provider-{index}/model-{index}")),
        weight: index % 3 + 1,
        tier: 0,
        cost: u64::from(index / 5),
        breaker: Arc::default(),
        quarantine: Some(Arc::default()),
    };
    (0..count).map(member).collect()
}

const STRATEGIES: [(&str, Strategy); 6] = [
    ("weighted", Strategy::Weighted),
    ("least-busy", Strategy::LeastBusy),
    ("peak-ewma", Strategy::PeakEwma),
    (
        "sticky",
        Strategy::Sticky {
            load_factor: LOAD_FACTOR,
        },
    ),
    ("split", Strategy::Split),
    ("cheapest", Strategy::Cheapest),
];

/// Twenty rules of the kinds people write, of which the one before the last decides: all before it are tried in vain.
/// `costly` adds what is read from the body: its length in tokens and what it needs.
fn rules(costly: bool) -> Routes {
    let mut rules: Vec<String> = Vec::new();
    for (number, region) in ["eu", "us", "cn", "in"].iter().enumerate() {
        rules.push(format!(
            "name: region-{number}, when: 'metadata.region == \"{region}-{number}\"', to: other"
        ));
        rules.push(format!(
            "name: tier-{number}, when: 'headers[\"x-tier\"] in [\"gold-{number}\", \"tin-{number}\"]', to: other"
        ));
        rules.push(format!(
            "name: family-{number}, when: 'model.startsWith(\"family-{number}-\") && stream', to: other"
        ));
    }
    rules.push(
        "name: off-peak, when: 'within(\"mon-fri 22:00-06:00\", \"Europe/Berlin\") && model == \"cheap\"', to: other"
            .to_owned(),
    );
    rules.push("name: batch, when: 'metadata.job.matches(\"^batch-[0-9]+$\")', priority: 2".to_owned());
    rules.push("name: embeds, when: 'operation == \"embeddings\"', to: other".to_owned());
    rules.push("name: theirs, when: 'dialect == \"anthropic\" && has(metadata.team)', to: other".to_owned());
    rules.push(
        if costly {
            "name: long, when: 'tokens > 100000 || needs.vision || needs.json_schema', to: other"
        } else {
            "name: agents, when: 'headers[\"user-agent\"].contains(\"curl\")', to: other"
        }
        .to_owned(),
    );
    rules.push("name: lab, switch: { on: metadata.lab, cases: { a: other, b: base } }".to_owned());
    rules.push("name: usual, when: 'metadata.team == \"search\" && stream', to: base".to_owned());
    rules.push("name: last, when: 'headers[\"x-last\"] == \"y\"', to: other".to_owned());
    assert_eq!(rules.len(), 20);
    let rules: String = rules.iter().map(|rule| format!("  - {{ {rule} }}\n")).collect();
    let text = format!(
        "listen: 127.0.0.1:1\ninsecure: {{ open_access: true }}\nproviders:\n  p: {{ kind: demo }}\nmodels:\n  \
         base: {{ targets: [ {{ provider: p }} ] }}\n  other: {{ targets: [ {{ provider: p }} ] }}\nroutes:\n{rules}"
    );
    let config = cirque::config::parse(&text, "bench.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    let index = |name: &str| config.models.keys().position(|known| known == name);
    Routes::build(&config, index).unwrap().unwrap()
}

/// Headers as an SDK of OpenAI's sends them, and ours.
fn headers() -> HeaderMap {
    [
        ("host", "gateway.example:8080"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", "AsyncOpenAI/Python 2.8.1"),
        ("authorization", "Bearer sk-0123456789abcdef0123456789abcdef"),
        ("content-type", "application/json"),
        ("x-stainless-lang", "python"),
        ("x-stainless-package-version", "2.8.1"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-runtime-version", "3.13.1"),
        ("x-stainless-retry-count", "0"),
        ("x-tier", "gold"),
        ("x-session-id", "5f0c6a52-6c1b-4c38-9a40-0d7cf1b1f9aa"),
        (
            "x-cirque-metadata",
            r#"{"team":"search","job":"interactive","region":"eu"}"#,
        ),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

/// What is decided before a target is asked: 20 rules, a pick among 10, its breaker and credential, whether anybody waits; and the
/// report of its success.
fn decide(c: &mut Criterion) {
    let headers = headers();
    let queue = Arc::new(Queue::new(100));
    for (what, costly, size) in [
        ("20 rules 10 targets", false, 1 << 10),
        ("20 rules 10 targets, tokens and needs of 1 KB", true, 1 << 10),
        ("20 rules 10 targets, tokens and needs of 20 KB", true, 20 << 10),
    ] {
        let routes = rules(costly);
        let call = Call::read(Operation::Chat, chat_body(size), 128).unwrap();
        let asked = || Asked {
            caller: Caller::default(),
            call: &call,
            headers: &headers,
            ip: Some([127, 0, 0, 1].into()),
            now: SystemTime::now(),
            max_depth: 128,
        };
        let name = |decision: &cirque::snapshot::routes::Decision<'_>| decision.rule.map(|rule| rule.to_string());
        assert_eq!(name(&routes.decide(asked())).as_deref(), Some("usual"));
        let strategies = if costly { &STRATEGIES[..1] } else { &STRATEGIES[..] };
        for (strategy, chosen) in strategies {
            let pool = Pool::new(members(10), *chosen, false);
            c.bench_function(&format!("decide/{what}, {strategy}"), |b| {
                b.iter(|| {
                    let decision = routes.decide(black_box(asked()));
                    let ask = Ask {
                        key: pool.keyed().then_some(0x5eed),
                        stream: true,
                    };
                    assert!(!black_box(&queue).is_waiting());
                    let pick = pool.pick(black_box(&[]), ask, Instant::now).unwrap();
                    pick.permit.success();
                    decision.model
                });
            });
        }
        c.bench_function(&format!("rules/{what}"), |b| {
            b.iter(|| routes.decide(black_box(asked())).model)
        });
    }
}

fn picks(c: &mut Criterion) {
    for (name, strategy) in STRATEGIES {
        let pool = Pool::new(members(10), strategy, false);
        let mut key = 0u64;
        c.bench_function(&format!("pick/10 members, {name}"), |b| {
            b.iter(|| {
                key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let ask = Ask {
                    key: pool.keyed().then_some(key),
                    stream: true,
                };
                pool.pick(black_box(&[]), ask, Instant::now).unwrap().permit.success();
            });
        });
    }
    // Nine of ten cannot be asked: their credential was refused, or their breakers are open.
    let quarantined = members(10);
    let shared: Arc<Quarantine> = Arc::default();
    let refused = quarantined.into_iter().map(|member| Member {
        quarantine: (member.id.as_str() != "provider-9/model-9").then(|| Arc::clone(&shared)),
        ..member
    });
    let pool = Pool::new(refused.collect(), Strategy::Weighted, false);
    let first = pool.pick(&[9], Ask::default(), Instant::now).unwrap();
    first.permit.refused_credential(Instant::now());
    c.bench_function("pick/10 members, 9 with a refused credential", |b| {
        b.iter(|| {
            pool.pick(black_box(&[]), Ask::default(), Instant::now)
                .unwrap()
                .permit
                .success()
        });
    });
    let pool = Pool::new(members(10), Strategy::Weighted, false);
    for member in pool.members().iter().take(9) {
        for _ in 0..5 {
            member.breaker.admit(Instant::now).unwrap().failure(Instant::now());
        }
    }
    c.bench_function("pick/10 members, 9 breakers open", |b| {
        b.iter(|| {
            pool.pick(black_box(&[]), Ask::default(), Instant::now)
                .unwrap()
                .permit
                .success()
        });
    });
}

fn queues(c: &mut Criterion) {
    let queue = Arc::new(Queue::new(10_000));
    let now = Instant::now();
    c.bench_function("queue/is_waiting, nobody", |b| {
        b.iter(|| black_box(&queue).is_waiting())
    });
    c.bench_function("queue/wake, nobody", |b| b.iter(|| black_box(&queue).wake()));
    // Somebody has the turn and keeps it: whoever comes waits for the next.
    let busy = Arc::new(Queue::new(10_000));
    let holder = busy.join(5, 0, now).unwrap();
    c.bench_function("queue/join + turn + served", |b| {
        b.iter(|| {
            let mut ticket = busy.join(5, black_box(7), now).unwrap();
            busy.wake();
            assert!(ticket.turn().now_or_never().is_some());
            ticket.served(now);
        });
    });
    let join = |number: u64| busy.join((number % 10) as u8, number % 100, now).unwrap();
    let waiting: Vec<_> = (0..1000).map(join).collect();
    c.bench_function("queue/join + leave, behind 1000 of 100 callers", |b| {
        b.iter(|| busy.join(5, black_box(7), now).unwrap());
    });
    drop((waiting, holder));
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
    targets = bodies, streams, small, balance, decide, picks, queues, telemetry
}
criterion_main!(hot_paths);
