//! Clients and providers that mean harm: documents whose translation would take more than their size is worth, and nesting
//! as deep as it may be configured, on the stack of a worker.
//!
//! Times are bounded loosely: what grows with the square of these sizes takes ten times as long as is allowed.

use super::anthropic::{AnthropicCodec, Variant};
use super::bedrock::ConverseCodec;
use super::chat::ChatCodec;
use super::codec::{Aim, Codec, Expect, RawEvent};
use super::cohere::CohereCodec;
use super::gemini::GeminiCodec;
use super::mistral::MistralCodec;
use super::responses::ResponsesCodec;
use crate::wire::canonical::{Event, Request};
use crate::wire::client::{ClientDialect, Reply};
use crate::wire::json::Node;
use crate::wire::{chat, gemini, messages, responses};
use std::time::{Duration, Instant};

const MANY: usize = 30_000;
const MOST: Duration = Duration::from_secs(4);

/// The codecs, and a model that each knows.
fn codecs() -> Vec<(Box<dyn Codec>, &'static str)> {
    let quirks = crate::providers::chat::for_vendor;
    let chat = |name: &str| ChatCodec { quirks: quirks(name) };
    let anthropic = AnthropicCodec {
        variant: Variant::Direct,
    };
    vec![
        (Box::new(chat("openai")), "gpt-5"),
        (Box::new(chat("openrouter")), "m"),
        (Box::new(anthropic), "claude-sonnet-4-5"),
        (Box::new(GeminiCodec { vertex: true }), "gemini-3-pro"),
        (Box::new(ResponsesCodec), "gpt-5"),
        (Box::new(ConverseCodec), "anthropic.claude-sonnet-4-5-v1:0"),
        (Box::new(ConverseCodec), "amazon.nova-pro-v1:0"),
        (Box::new(CohereCodec), "command-a"),
        (Box::new(MistralCodec), "mistral-large"),
    ]
}

fn clients() -> [&'static dyn ClientDialect; 5] {
    [
        &chat::Chat,
        &chat::Completions,
        &messages::Messages,
        &gemini::Gemini,
        &responses::Responses,
    ]
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

/// Read and written for everybody in time, and not much larger than it came.
fn cheap(what: &str, client: &dyn ClientDialect, body: &str) {
    let took =
        |began: Instant, step: &str| assert!(began.elapsed() < MOST, "{what}: {step} took {:?}", began.elapsed());
    let node = Node::parse(body.as_bytes(), 64).unwrap();
    let began = Instant::now();
    let request = client.read(&node, false).unwrap();
    took(began, "reading");
    for (codec, model) in codecs() {
        let aim = Aim {
            model,
            stream_usage: true,
        };
        let began = Instant::now();
        if let Ok(made) = codec.encode(&request, aim) {
            assert!(
                made.body.len() < body.len() * 20,
                "{what}: {} for {model}",
                made.body.len()
            );
        }
        took(began, model);
    }
}

#[test]
fn conversations_of_very_many_calls_are_cheap() {
    let call =
        |i: usize| format!(r#"{{"id":"c{i}","type":"function","function":{{"name":"a b{i}","arguments":"{{}}"}}}}"#);
    let result = |i: usize| format!(r#"{{"role":"tool","tool_call_id":"c{i}","content":"r"}}"#);
    let signed =
        |i: usize| format!(r#"{{"type":"reasoning.encrypted","data":"x","id":"c{i}","format":"google-gemini-v1"}}"#);
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"assistant","tool_calls":[{}],"reasoning_details":[{}]}},{}]}}"#,
        list(MANY, call),
        list(MANY, signed),
        list(MANY, result)
    );
    cheap("chat calls", &chat::Chat, &body);
    let body = format!(
        r#"{{"max_tokens":1,"messages":[{{"role":"assistant","content":[{}]}},{{"role":"user","content":[{}]}}]}}"#,
        list(MANY, |i| format!(
            r#"{{"type":"tool_use","id":"c{i}","name":"a.b{i}","input":{{}}}}"#
        )),
        list(MANY, |i| format!(
            r#"{{"type":"tool_result","tool_use_id":"c{i}","content":"r"}}"#
        ))
    );
    cheap("messages calls", &messages::Messages, &body);
    for ids in [false, true] {
        let id = |i: usize| if ids { format!(r#""id":"i{i}","#) } else { String::new() };
        let body = format!(
            r#"{{"contents":[{{"role":"model","parts":[{}]}},{{"role":"user","parts":[{}]}}]}}"#,
            list(MANY, |i| format!(
                r#"{{"functionCall":{{{}"name":"f{i}","args":{{}}}}}}"#,
                id(i)
            )),
            list(MANY, |i| {
                let i = MANY - 1 - i;
                format!(
                    r#"{{"functionResponse":{{{}"name":"f{i}","response":{{"a":1}}}}}}"#,
                    id(i)
                )
            })
        );
        cheap("gemini calls", &gemini::Gemini, &body);
    }
    let body = format!(
        r#"{{"input":[{},{}]}}"#,
        list(MANY, |i| format!(
            r#"{{"type":"custom_tool_call","call_id":"c{i}","name":"b{i}","input":"x"}}"#
        )),
        list(MANY, |i| format!(
            r#"{{"type":"reasoning","id":"r{i}","summary":[],"encrypted_content":"QUJD"}}"#
        ))
    );
    cheap("responses calls and reasoning", &responses::Responses, &body);
}

#[test]
fn very_many_tools_and_turns_are_cheap() {
    // Different only in what no target keeps.
    let odd = |i: usize| format!("a{}b", char::from_u32(0x4e00 + i as u32).unwrap());
    let tools = list(MANY / 2, |i| {
        format!(r#"{{"type":"function","function":{{"name":"{}"}}}}"#, odd(i))
    });
    let allowed = list(MANY / 2, |i| {
        format!(r#"{{"type":"function","function":{{"name":"{}"}}}}"#, odd(i))
    });
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":"x"}}],"tools":[{tools}],
            "tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[{allowed}]}}}}}}"#
    );
    cheap("tools", &chat::Chat, &body);
    let turns = list(MANY, |i| {
        let role = if i % 2 == 0 { "user" } else { "system" };
        format!(r#"{{"role":"{role}","content":"x"}}"#)
    });
    cheap("turns", &chat::Chat, &format!(r#"{{"messages":[{turns}]}}"#));
}

#[test]
fn references_do_not_multiply_schemas() {
    let long = "x".repeat(50_000);
    let uses = list(1000, |i| format!(r##""p{i}":{{"$ref":"#/$defs/A"}}"##));
    let many = format!(
        r##"{{"type":"object","properties":{{{uses}}},"$defs":{{"A":{{"type":"string","description":"{long}"}}}}}}"##
    );
    let bomb = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"x":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/A"},{"$ref":"#/$defs/A"}]}}}"##;
    let bombs = list(300, |i| {
        format!(r#"{{"type":"function","function":{{"name":"f{i}","parameters":{bomb}}}}}"#)
    });
    for tools in [
        format!(r#"{{"type":"function","function":{{"name":"f","strict":true,"parameters":{many}}}}}"#),
        bombs,
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],"tools":[{tools}]}}"#);
        cheap("schemas", &chat::Chat, &body);
    }
}

/// What a stream's decoder says of these events: how many, or why it stopped.
fn decoded(
    codec: &dyn Codec,
    client: &dyn ClientDialect,
    events: impl Iterator<Item = String>,
) -> Result<usize, String> {
    let mut decoder = codec.decoder(Expect::default());
    let mut writer = client.writer(&Request::default(), Reply::default());
    let (mut out, mut count) = (Vec::new(), 0);
    let began = Instant::now();
    for event in events {
        let raw = RawEvent {
            name: "",
            exception: false,
            data: event.as_bytes(),
            max_depth: 64,
        };
        let mut take = |event: Event<'_>| {
            count += 1;
            out.clear();
            writer.event(&event, &mut out);
        };
        decoder.event(raw, &mut take).map_err(|error| error.to_string())?;
        assert!(began.elapsed() < MOST * 2, "{:?} after {count} events", began.elapsed());
    }
    Ok(count)
}

#[test]
fn one_event_of_very_many_items_is_cheap() {
    let event = format!(
        r#"{{"type":"response.completed","response":{{"output":[{}]}}}}"#,
        list(MANY * 8, |_| "{}".to_owned())
    );
    let refused = decoded(&ResponsesCodec, &chat::Chat, [event].into_iter()).unwrap_err();
    assert!(refused.contains("items in one answer"), "{refused}");
    let text = "é".repeat(100_000);
    let spans = list(MANY, |_| r#"{"startIndex":1,"endIndex":200000}"#.to_owned());
    let supports = list(MANY, |_| r#"{"segment":{"endIndex":200000}}"#.to_owned());
    let event = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}},"citationMetadata":{{"citationSources":[{spans}]}},
            "groundingMetadata":{{"groundingChunks":[],"groundingSupports":[{supports}]}}}}]}}"#
    );
    let event = event.replace('\n', " ");
    assert!(decoded(&GeminiCodec { vertex: false }, &chat::Chat, [event].into_iter()).is_ok());
}

#[test]
fn what_a_stream_makes_us_keep_is_bounded() {
    let long = "x".repeat(500_000);
    let chat = ChatCodec {
        quirks: crate::providers::chat::for_vendor("openai"),
    };
    let early = (0..200).map(|i| {
        format!(
            r#"{{"id":"x","choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{i},"function":{{"arguments":"{long}"}}}}]}}}}]}}"#
        )
    });
    let refused = decoded(&chat, &chat::Chat, early).unwrap_err();
    assert!(refused.contains("to be kept"), "{refused}");
    let signatures = (0..200).map(|i| {
        format!(
            r#"{{"id":"x","choices":[{{"index":{},"delta":{{"reasoning_details":[{{"type":"reasoning.encrypted","data":"{long}","id":"i{i}","format":"google-gemini-v1"}}]}}}}]}}"#,
            i % 100
        )
    });
    assert!(
        decoded(&chat, &chat::Chat, signatures)
            .unwrap_err()
            .contains("to be kept")
    );
    // Citations are repeated at the end of this API's streams; beyond a bound the answer fails.
    let mut decoder = chat.decoder(Expect::default());
    let mut writer = responses::Responses.writer(&Request::default(), Reply::default());
    let (mut out, mut failed) = (Vec::new(), false);
    for i in 0..200 {
        let event = format!(
            r#"{{"id":"x","choices":[{{"index":0,"delta":{{"content":"t","annotations":[{{"type":"url_citation","url_citation":{{"url":"http://{i}","title":"{long}","start_index":0,"end_index":1}}}}]}}}}]}}"#
        );
        let raw = RawEvent {
            name: "",
            exception: false,
            data: event.as_bytes(),
            max_depth: 64,
        };
        decoder
            .event(raw, &mut |event| {
                out.clear();
                writer.event(&event, &mut out);
                failed |= out.windows(15).any(|text| text == b"response.failed");
            })
            .unwrap();
    }
    assert!(failed);
}

/// On a worker's stack, unoptimised.
fn on_a_small_stack(run: fn()) {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(run).unwrap().join().unwrap();
}

/// Arrays or objects, as deep as is read.
fn deep(open: &str, inner: &str, close: &str, levels: usize) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn the_deepest_requests_fit_on_the_stack() {
    on_a_small_stack(|| {
        let schemas = [
            deep(r#"{"properties":{"a":"#, "{}", "}}", 250),
            deep(r#"{"type":"object","properties":{"a":"#, "{}", "}}", 30),
            deep(r#"{"type":"array","items":"#, "{}", "}", 60),
            deep(r#"{"anyOf":["#, "{}", "]}", 60),
            deep(r#"{"items":"#, "{}", "}", 500),
            deep(r#"{"anyOf":["#, "{}", "]}", 250),
        ];
        for schema in &schemas {
            let schema = format!(r#"{{"type":"object","additionalProperties":false,"properties":{{"a":{schema}}}}}"#);
            let body = format!(
                r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":{schema}}}}}]}}],
                    "tools":[{{"type":"function","function":{{"name":"f","strict":true,"parameters":{schema}}}}}],
                    "response_format":{{"type":"json_schema","json_schema":{{"name":"s","strict":true,"schema":{schema}}}}},"extra":{schema}}}"#
            );
            let Ok(node) = Node::parse(body.as_bytes(), 1024) else {
                continue;
            };
            let request = chat::Chat.read(&node, false).unwrap();
            for (codec, model) in codecs() {
                let aim = Aim {
                    model,
                    stream_usage: true,
                };
                if let Ok(made) = codec.encode(&request, aim) {
                    assert!(crate::wire::json::scan_object(&made.body, 1024, |_| ()).is_ok());
                }
            }
        }
        let content = deep(
            r#"[{"type":"tool_result","tool_use_id":"c","content":"#,
            r#""r""#,
            "}]",
            245,
        );
        let body = format!(
            r#"{{"max_tokens":1,"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"c","name":"f","input":{{}}}}]}},{{"role":"user","content":{content}}}]}}"#
        );
        let node = Node::parse(body.as_bytes(), 1024).unwrap();
        assert!(messages::Messages.read(&node, false).is_err());
        drop(node.clone());
    });
}

#[test]
fn the_deepest_answers_fit_on_the_stack() {
    on_a_small_stack(|| {
        let args = deep(r#"{"a":"#, "1", "}", 480);
        let bodies = [
            format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"f","args":{args}}}}},{{"executableCode":{args}}}]}},"safetyRatings":{args},"groundingMetadata":{args},"finishReason":"STOP"}}]}}"#
            ),
            format!(
                r#"{{"id":"x","choices":[{{"index":0,"message":{{"tool_calls":[{{"id":"c","function":{{"name":"f","arguments":{args}}}}}]}},"content_filter_results":{args},"finish_reason":"stop"}}]}}"#
            ),
            format!(
                r#"{{"type":"message","content":[{{"type":"tool_use","id":"c","name":"f","input":{args}}},{{"type":"server_tool_use","id":"d","name":"g","input":{args}}}],"stop_reason":"end_turn"}}"#
            ),
            format!(r#"{{"status":"completed","output":[{{"type":"web_search_call","id":"w","action":{args}}}]}}"#),
            format!(
                r#"{{"output":{{"message":{{"content":[{{"toolUse":{{"toolUseId":"c","name":"f","input":{args}}}}}]}}}},"stopReason":"tool_use"}}"#
            ),
        ];
        for body in &bodies {
            let node = Node::parse(body.as_bytes(), 1024).unwrap();
            let mut read = 0;
            for (codec, _) in codecs() {
                let expect = Expect::default();
                let Ok(response) = codec.decode(&node, &expect) else {
                    continue;
                };
                read += 1;
                for client in clients() {
                    let mut out = Vec::new();
                    client
                        .writer(&Request::default(), Reply::default())
                        .whole(&response, &mut out);
                    assert!(crate::wire::json::scan_object(&out, 1024, |_| ()).is_ok());
                }
            }
            assert!(read > 0, "{}", body.get(..60).unwrap());
        }
    });
}

#[test]
fn a_document_of_too_many_values_is_refused() {
    let body = format!("[{}1]", "1,".repeat(4 << 20));
    assert_eq!(Node::parse(body.as_bytes(), 8).unwrap_err().what, "too many values");
}

#[test]
fn what_was_dropped_is_named_once_however_it_is_written() {
    let mut dropped = crate::wire::canonical::Dropped::default();
    for end in ["é", "\r\n", ""] {
        dropped.push(format!("{}{end}", "k".repeat(200)));
    }
    assert_eq!(dropped.names(), ["k".repeat(100)]);
}

#[test]
fn forged_loads_of_reasoning_are_cheap() {
    let thought = r#"{"origin":"anthropic","data":"x","text":"t","back":1}"#;
    let load = format!(
        r#"cirque:thoughts:{{"thoughts":[{}]}}"#,
        list(20, |_| thought.to_owned())
    );
    let load = crate::wire::media::encode_base64(load.as_bytes());
    let text = "é".repeat(40);
    let parts = list(4000, |i| match i % 3 {
        0 => format!(r#"{{"text":"{text}"}}"#),
        1 => format!(r#"{{"text":"{text}","thoughtSignature":"{load}"}}"#),
        _ => format!(r#"{{"functionCall":{{"name":"f{i}","args":{{}}}},"thoughtSignature":"{load}"}}"#),
    });
    let body =
        format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"x"}}]}},{{"role":"model","parts":[{parts}]}}]}}"#);
    cheap("forged loads", &gemini::Gemini, &body);
}

#[test]
fn changed_names_are_found_among_very_many() {
    let name = |i: usize| (format!("n{i}").into_boxed_str(), format!("ours {i}").into_boxed_str());
    let expect = Expect {
        renamed_tools: (0..MANY).map(name).collect(),
        ..Expect::default()
    };
    let expect = expect.in_order();
    let began = Instant::now();
    for i in 0..MANY {
        assert_eq!(expect.tool_name(&format!("n{i}")), format!("ours {i}"));
        assert_eq!(super::free_text::tool("unknown", &expect).0, "unknown");
    }
    assert!(began.elapsed() < MOST);
}
