//! What translation costs: each codec's decoder and each client's writer, in stream events a second, and a whole 1 KB call
//! from client bytes to client bytes.
//!
//! `cargo bench --bench dialects`. Streams are written here in each vendor's shape: a start, 34 pieces of text, an end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may fail by panicking"
)]

use cirque::providers::Codec;
use cirque::providers::anthropic::{AnthropicCodec, Variant};
use cirque::providers::bedrock::ConverseCodec;
use cirque::providers::chat::ChatCodec;
use cirque::providers::codec::{Aim, Expect, RawEvent};
use cirque::providers::cohere::CohereCodec;
use cirque::providers::gemini::GeminiCodec;
use cirque::providers::responses::ResponsesCodec;
use cirque::wire::canonical::{Event, Fold};
use cirque::wire::client::{ClientDialect, Reply};
use cirque::wire::json::Node;
use cirque::wire::{chat, gemini, messages, responses};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const PIECES: usize = 34;

/// A stream: name and data of each event.
type Stream = Vec<(&'static str, String)>;

fn codecs() -> Vec<(&'static str, Box<dyn Codec>, Stream)> {
    let chat = ChatCodec {
        quirks: cirque::providers::chat::for_vendor("openai"),
    };
    let anthropic = AnthropicCodec {
        variant: Variant::Direct,
    };
    vec![
        ("chat", Box::new(chat), chat_stream()),
        ("anthropic", Box::new(anthropic), anthropic_stream()),
        ("gemini", Box::new(GeminiCodec { vertex: false }), gemini_stream()),
        ("responses", Box::new(ResponsesCodec), responses_stream()),
        ("bedrock", Box::new(ConverseCodec), bedrock_stream()),
        ("cohere", Box::new(CohereCodec), cohere_stream()),
    ]
}

fn clients() -> [(&'static str, &'static dyn ClientDialect, &'static str); 4] {
    [
        (
            "chat",
            &chat::Chat,
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        ),
        (
            "messages",
            &messages::Messages,
            r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        ),
        (
            "gemini",
            &gemini::Gemini,
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
        ),
        ("responses", &responses::Responses, r#"{"model":"m","input":"hi"}"#),
    ]
}

fn chat_stream() -> Stream {
    let chunk = |delta: &str, finish: &str| {
        format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
        )
    };
    let mut events = vec![("", chunk(r#"{"role":"assistant","content":""}"#, "null"))];
    events.extend((0..PIECES).map(|_| ("", chunk(r#"{"content":" circus"}"#, "null"))));
    events.push(("", chunk("{}", "\"stop\"")));
    events.push((
        "",
        r#"{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":34,"total_tokens":43}}"#
            .to_owned(),
    ));
    events.push(("", "[DONE]".to_owned()));
    events
}

fn anthropic_stream() -> Stream {
    let mut events = vec![
        ("message_start", r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#.to_owned()),
        ("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned()),
    ];
    events.extend((0..PIECES).map(|_| {
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" circus"}}"#.to_owned(),
        )
    }));
    events.push((
        "content_block_stop",
        r#"{"type":"content_block_stop","index":0}"#.to_owned(),
    ));
    events.push(("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":34}}"#.to_owned()));
    events.push(("message_stop", r#"{"type":"message_stop"}"#.to_owned()));
    events
}

fn gemini_stream() -> Stream {
    let chunk = |finish: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":" circus"}}],"role":"model"}},"index":0{finish}}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":34,"totalTokenCount":43}},"modelVersion":"m","responseId":"r"}}"#
        )
    };
    let mut events: Stream = (0..PIECES - 1).map(|_| ("", chunk(""))).collect();
    events.push(("", chunk(r#","finishReason":"STOP""#)));
    events
}

fn responses_stream() -> Stream {
    let response = |status: &str, more: &str| {
        format!(
            r#"{{"id":"resp_1","object":"response","created_at":1,"status":"{status}","model":"m","output":[]{more}}}"#
        )
    };
    let mut events = vec![
        ("response.created", format!(r#"{{"type":"response.created","sequence_number":0,"response":{}}}"#, response("in_progress", ""))),
        ("response.output_item.added", r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#.to_owned()),
        ("response.content_part.added", r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#.to_owned()),
    ];
    events.extend((0..PIECES).map(|n| ("response.output_text.delta", format!(r#"{{"type":"response.output_text.delta","sequence_number":{},"item_id":"msg_1","output_index":0,"content_index":0,"delta":" circus","logprobs":[]}}"#, n + 3))));
    let usage = r#","usage":{"input_tokens":9,"output_tokens":34,"total_tokens":43}"#;
    events.push(("response.output_text.done", r#"{"type":"response.output_text.done","sequence_number":40,"item_id":"msg_1","output_index":0,"content_index":0,"text":"x"}"#.to_owned()));
    events.push((
        "response.completed",
        format!(
            r#"{{"type":"response.completed","sequence_number":41,"response":{}}}"#,
            response("completed", usage)
        ),
    ));
    events
}

fn bedrock_stream() -> Stream {
    let mut events = vec![("messageStart", r#"{"role":"assistant"}"#.to_owned())];
    events.extend((0..PIECES).map(|_| {
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":" circus"}}"#.to_owned(),
        )
    }));
    events.push(("contentBlockStop", r#"{"contentBlockIndex":0}"#.to_owned()));
    events.push(("messageStop", r#"{"stopReason":"end_turn"}"#.to_owned()));
    events.push((
        "metadata",
        r#"{"metrics":{"latencyMs":1},"usage":{"inputTokens":9,"outputTokens":34,"totalTokens":43}}"#.to_owned(),
    ));
    events
}

fn cohere_stream() -> Stream {
    let mut events = vec![
        ("message-start", r#"{"id":"1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#.to_owned()),
        ("content-start", r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#.to_owned()),
    ];
    events.extend((0..PIECES).map(|_| {
        (
            "content-delta",
            r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" circus"}}}}"#.to_owned(),
        )
    }));
    events.push(("content-end", r#"{"type":"content-end","index":0}"#.to_owned()));
    events.push(("message-end", r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":9,"output_tokens":34}}}}"#.to_owned()));
    events
}

fn feed(codec: &dyn Codec, stream: &Stream, mut take: impl FnMut(&Event<'_>)) {
    let mut decoder = codec.decoder(Expect::default());
    for (name, data) in stream {
        let raw = RawEvent {
            name,
            exception: false,
            data: data.as_bytes(),
            max_depth: 64,
        };
        decoder.event(raw, &mut |event| take(&event)).unwrap();
    }
    decoder.finish(&mut |event| take(&event)).unwrap();
}

fn decoders(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode_stream");
    for (name, codec, stream) in codecs() {
        let mut fold = Fold::new();
        feed(codec.as_ref(), &stream, |event| fold.event(event));
        assert!(fold.ended() && fold.disorder.is_none(), "{name}: {:?}", fold.disorder);
        group.throughput(Throughput::Elements(stream.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                feed(codec.as_ref(), &stream, |event| {
                    black_box(event);
                })
            })
        });
    }
    group.finish();
}

fn translations(c: &mut Criterion) {
    let mut group = c.benchmark_group("translate_stream");
    for (client_name, client, body) in clients() {
        let node = Node::parse(body.as_bytes(), 64).unwrap();
        let request = client.read(&node, true).unwrap();
        for (name, codec, stream) in codecs() {
            group.throughput(Throughput::Elements(stream.len() as u64));
            group.bench_function(format!("{name}_to_{client_name}"), |b| {
                b.iter(|| {
                    let mut writer = client.writer(&request, Reply::default());
                    let mut out = Vec::new();
                    feed(codec.as_ref(), &stream, |event| {
                        out.clear();
                        writer.event(event, &mut out);
                        black_box(&out);
                    });
                });
            });
        }
    }
    group.finish();
}

/// A 1 KB call of an Anthropic client answered by OpenAI's API, all that the gateway adds to the same-dialect path.
fn whole(c: &mut Criterion) {
    let text = "Tell me more about the \\\"circus\\\" of old;\\n".repeat(20);
    let body = format!(
        r#"{{"model":"m","max_tokens":1024,"system":"You are a helpful assistant.","messages":[{{"role":"user","content":"{text}"}}]}}"#
    );
    let answer = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}}}"#
    );
    let codec = ChatCodec {
        quirks: cirque::providers::chat::for_vendor("openai"),
    };
    let mut group = c.benchmark_group("whole_1kb");
    group.bench_function("request_messages_to_chat", |b| {
        b.iter(|| {
            let node = Node::parse(black_box(body.as_bytes()), 64).unwrap();
            let request = messages::Messages.read(&node, false).unwrap();
            let aim = Aim {
                model: "up",
                stream_usage: true,
            };
            codec.encode(&request, aim).unwrap()
        });
    });
    let node = Node::parse(body.as_bytes(), 64).unwrap();
    let request = messages::Messages.read(&node, false).unwrap();
    group.bench_function("answer_chat_to_messages", |b| {
        b.iter(|| {
            let node = Node::parse(black_box(answer.as_bytes()), 64).unwrap();
            let expect = Expect::default();
            let response = codec.decode(&node, &expect).unwrap();
            let mut out = Vec::with_capacity(2048);
            messages::Messages
                .writer(&request, Reply::default())
                .whole(&response, &mut out);
            out
        });
    });
    group.finish();
}

criterion_group!(benches, decoders, translations, whole);
criterion_main!(benches);
