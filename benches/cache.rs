//! What the exact cache costs a request: its name, a look into memory, and the answer from what is kept.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use cirque::cache::ask::{Terms, ask};
use cirque::cache::memory::Memory;
use cirque::cache::{Entry, Owner, Policy, form};
use cirque::gateway::cached::{Sent, keep, read, replay};
use cirque::wire::{Call, Dialect, Operation};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;

/// A call whose body has about so many bytes.
fn call(bytes: usize, stream: bool, tools: bool) -> Call {
    let turn = "The quick brown fox jumps over the lazy dog, then explains how it did so. ";
    let mut messages = vec![json!({"role": "system", "content": "You are a helpful assistant. Be brief."})];
    while messages.len() * (turn.len() + 35) + turn.len() < bytes {
        let role = if messages.len() % 2 == 1 { "user" } else { "assistant" };
        messages.push(json!({"role": role, "content": turn}));
    }
    messages.push(json!({"role": "user", "content": "Why is the sky blue, and the sunset red?"}));
    let mut body = json!({"model": "fast", "temperature": 0.2, "stream": stream, "messages": messages});
    if tools {
        body["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}}}]);
    }
    Call::read_as(Operation::Chat, Dialect::OpenAi, body.to_string().into(), 64).unwrap()
}

fn policy() -> Policy {
    Policy {
        tools: true,
        ..Policy::default()
    }
}

fn terms(policy: &Policy) -> Terms<'_> {
    Terms {
        policy,
        owner: "key\0ci",
        model: "fast",
        target: None,
        also: None,
        max_depth: 64,
        now_ms: NOW,
    }
}

fn sent() -> Vec<u8> {
    let text = "Air scatters short waves more than long ones, so the blue comes from everywhere. ".repeat(12);
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": text}, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 200, "total_tokens": 220}})
    .to_string()
    .into_bytes()
}

fn names(c: &mut Criterion) {
    let policy = policy();
    for (name, bytes, tools) in [
        ("ask 1 KB", 1_000, false),
        ("ask 1 KB with a tool", 1_000, true),
        ("ask 20 KB", 20_000, false),
    ] {
        let call = call(bytes, false, tools);
        c.bench_function(&format!("{name} ({} bytes)", call.body.len()), |b| {
            b.iter(|| black_box(ask(black_box(&call), &terms(&policy)).unwrap().key));
        });
    }
}

fn answers(c: &mut Criterion) {
    let policy = policy();
    let sent = sent();
    let (whole, stream) = (call(1_000, false, false), call(1_000, true, false));
    let answer = keep(&whole, Sent::Whole(&sent), 1, None, &policy, 2048, 64).unwrap();
    let packed = keep(&whole, Sent::Whole(&sent), 1, None, &policy, 512, 64).unwrap();
    assert!(packed.zstd && !answer.zstd);
    let asked = ask(&whole, &terms(&policy)).unwrap();
    let memory = Memory::new(64 << 20);
    let entry = Entry {
        key: asked.key,
        partition: asked.partition,
        made_ms: NOW,
        fresh_ms: 1_000_000,
        stale_ms: 0,
        spare_ms: 0,
        owner: Owner::default(),
        model: "fast".into(),
        target: "t".into(),
        tags: Box::new([]),
        question: asked.question,
        semantic: false,
        usage: None,
        cost: None,
        answer: answer.clone(),
    };
    memory.put(Arc::new(entry));
    c.bench_function("memory get", |b| {
        b.iter(|| black_box(memory.get(black_box(asked.key), NOW)))
    });
    let plain = form::plain(&answer).unwrap();
    c.bench_function("unpack 1 KB", |b| {
        b.iter(|| black_box(form::unpack(black_box(&plain)).unwrap().candidates.len()))
    });
    for (name, call, answer) in [
        ("ask, get, replay whole 1 KB", &whole, &answer),
        ("ask, get, replay whole 1 KB, from zstd", &whole, &packed),
        ("ask, get, replay stream 1 KB", &stream, &answer),
    ] {
        c.bench_function(name, |b| {
            b.iter(|| {
                let asked = ask(call, &terms(&policy)).unwrap();
                let _ = black_box(memory.get(asked.key, NOW));
                black_box(replay(call, asked.reply, answer, NOW, 64).unwrap())
            });
        });
    }
    c.bench_function("keep whole 1 KB", |b| {
        b.iter(|| black_box(keep(&whole, Sent::Whole(&sent), 1, None, &policy, 2048, 64).unwrap()));
    });
    c.bench_function("read whole 1 KB", |b| {
        b.iter(|| black_box(read(&whole, Sent::Whole(&sent), 64).unwrap()))
    });
}

criterion_group!(benches, names, answers);
criterion_main!(benches);
