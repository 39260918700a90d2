//! What is written: whole, streamed, legacy, broken.

use super::*;
use crate::error::{ErrorKind, GatewayError};
use crate::wire::canonical::{Candidate, Citation, Event, Finish, Logprob, PartStart, Response, Thinking, ToolCall};

fn reply() -> Reply {
    Reply {
        id: "id1".into(),
        created: 7,
        model: "public \"m\"".into(),
        json_array: false,
    }
}

fn response() -> Response<'static> {
    let cited = Citation {
        url: Some("https://u".into()),
        title: Some("T".into()),
        span: Some((1, 2)),
        ..Citation::default()
    };
    let text = |text: &'static str, citations| Part::Text {
        text: text.into(),
        cache: None,
        citations,
        signature: None,
    };
    Response {
        candidates: vec![Candidate {
            index: 0,
            parts: vec![
                Part::Thinking(Thinking {
                    text: "hm".into(),
                    signature: Some(Signature::new(Dialect::Anthropic, "sig")),
                    ..Thinking::default()
                }),
                text("äb", vec![]),
                text("cd", vec![cited]),
                Part::Media(Media::new(
                    MediaKind::Image,
                    Source::Base64("aGk=".into()),
                    Some("image/png".into()),
                )),
                Part::ToolCall(ToolCall {
                    id: "c1".into(),
                    name: "f".into(),
                    arguments: "{\"a\": 1}".into(),
                    kind: ToolCallKind::Function,
                    signature: None,
                    cache: None,
                }),
            ],
            finish: Some(Finish::ToolCalls),
            stop_sequence: None,
            logprobs: vec![Logprob {
                token: "ä".into(),
                logprob: -0.5,
                top: vec![("b".into(), -1.0)],
            }],
            safety: None,
        }],
        usage: Some(crate::units::Usage {
            input: 9,
            output: 4,
            cached: 2,
            cache_write: 3,
            reasoning: 1,
            ..Default::default()
        }),
        ..Response::default()
    }
}

#[test]
fn a_whole_answer_has_what_the_sdks_want() {
    let mut out = Vec::new();
    Chat.writer(&Request::default(), reply()).whole(&response(), &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&value["id"], &value["object"], &value["model"]),
        (
            &json!("chatcmpl-id1"),
            &json!("chat.completion"),
            &json!("public \"m\"")
        )
    );
    let message = &value["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["refusal"]),
        (&json!("äbcd"), &Value::Null)
    );
    assert_eq!(message["annotations"][0]["url_citation"]["start_index"], 3);
    assert_eq!(message["reasoning_content"], "hm");
    let detail = json!({"type":"reasoning.text","text":"hm","signature":"cirque:anthropic:sig","format":"anthropic-claude-v1","index":0});
    assert_eq!(message["reasoning_details"], json!([detail]));
    assert_eq!(message["images"][0]["image_url"]["url"], "data:image/png;base64,aGk=");
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\": 1}");
    assert_eq!(
        value["choices"][0]["logprobs"]["content"][0]["bytes"],
        json!([195, 164])
    );
    assert_eq!(value["usage"]["total_tokens"], 13);
    assert_eq!(
        value["usage"]["prompt_tokens_details"],
        json!({"cached_tokens":2,"audio_tokens":0,"cache_write_tokens":3})
    );
}

#[test]
fn what_a_client_echoes_is_what_was_said() {
    let mut said = response();
    let call = ToolCall {
        id: "c2".into(),
        name: "g".into(),
        arguments: "{}".into(),
        kind: ToolCallKind::Function,
        signature: Some(Signature::new(Dialect::Gemini, "gs|x")),
        cache: None,
    };
    let hidden = Thinking {
        signature: Some(Signature::new(Dialect::Responses, "enc")),
        redacted: true,
        id: Some("rs_1".into()),
        ..Thinking::default()
    };
    let parts = &mut said.candidates[0].parts;
    parts.insert(1, Part::Thinking(hidden));
    parts.push(Part::ToolCall(call));
    let mut out = Vec::new();
    Chat.writer(&Request::default(), reply()).whole(&said, &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    let body = json!({"messages":[{"role":"user","content":"x"}, value["choices"][0]["message"]]});
    with(&body, |request| {
        let request = request.unwrap();
        let echoed = |kind: fn(&Part<'_>) -> bool, parts: &[Part<'_>]| {
            parts
                .iter()
                .filter(|part| kind(part))
                .map(Part::to_static)
                .collect::<Vec<_>>()
        };
        for kind in [
            (|part| matches!(part, Part::Thinking(_))) as fn(&Part<'_>) -> bool,
            |part| matches!(part, Part::ToolCall(_)),
            |part| matches!(part, Part::Media(_)),
        ] {
            assert_eq!(
                echoed(kind, &request.messages[1].parts),
                echoed(kind, &said.candidates[0].parts)
            );
        }
    });
}

#[test]
fn every_finish_has_a_word() {
    for (finish, word) in [
        (Finish::Stop, "stop"),
        (Finish::StopSequence, "stop"),
        (Finish::Length, "length"),
        (Finish::ContextWindow, "length"),
        (Finish::ToolCalls, "tool_calls"),
        (Finish::ContentFilter, "content_filter"),
        (Finish::Refusal, "content_filter"),
        (Finish::Pause, "length"),
        (Finish::MalformedCall, "error"),
        (Finish::Error, "error"),
        (Finish::Other("x".into()), "stop"),
    ] {
        let mut response = response();
        response.candidates[0].finish = Some(finish);
        let mut out = Vec::new();
        Chat.writer(&Request::default(), reply()).whole(&response, &mut out);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["choices"][0]["finish_reason"], word);
    }
}

fn datas(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    events
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn streamed(writer: &mut dyn ReplyWriter, usage: bool) -> Vec<u8> {
    use crate::wire::canonical::Delta;
    let text = |text: &'static str| Event::Delta {
        candidate: 0,
        part: 0,
        delta: Delta::Text(text.into()),
    };
    let mut out = Vec::new();
    let mut events = vec![
        Event::Start {
            id: "p".into(),
            model: "pm".into(),
            created: None,
            usage: None,
            service_tier: None,
            fingerprint: Some("fp".into()),
        },
        Event::PartStart {
            candidate: 0,
            part: 0,
            start: PartStart::Text,
        },
        text("a"),
        Event::Ping,
        text("b"),
        Event::PartEnd { candidate: 0, part: 0 },
        Event::Finish {
            candidate: 0,
            finish: Finish::Length,
            stop_sequence: None,
        },
    ];
    if usage {
        events.push(Event::Usage(crate::units::Usage {
            input: 1,
            output: 2,
            ..Default::default()
        }));
    }
    events.push(Event::End);
    for event in events {
        writer.event(&event, &mut out);
    }
    out
}

#[test]
fn streams_give_the_role_first_and_usage_only_when_asked() {
    for asked in [false, true] {
        let request = Request {
            stream_usage: asked,
            ..Request::default()
        };
        let out = streamed(&mut *Chat.writer(&request, reply()), true);
        assert!(out.ends_with(b"data: [DONE]\n\n"));
        let chunks = datas(&out);
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        assert!(chunks.iter().all(|c| c["object"] == "chat.completion.chunk"
            && c["id"] == "chatcmpl-id1"
            && c["system_fingerprint"] == "fp"));
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "length");
        assert_eq!(chunks.len(), if asked { 5 } else { 4 });
        if asked {
            assert_eq!(
                (&chunks[4]["choices"], &chunks[4]["usage"]["total_tokens"]),
                (&json!([]), &json!(3))
            );
        }
    }
}

#[test]
fn a_broken_stream_ends_with_an_error_and_no_end_marker() {
    let mut out = Vec::new();
    let error = GatewayError::new(ErrorKind::ProviderError, "it \"broke\"").because("secret");
    Chat.writer(&Request::default(), reply()).fail(&error, &mut out);
    let value = datas(&out);
    let want = json!({"error":{"message":"it \"broke\"","type":"upstream_error","param":null,"code":"provider_error"}});
    assert_eq!(value, [want]);
}

#[test]
fn legacy_completions_go_and_come() {
    let read = |body: Value| {
        let text = body.to_string();
        let node = Node::parse(text.as_bytes(), 8).unwrap();
        Completions
            .read(&node, false)
            .map(|request| format!("{:?} {:?}", request.messages[0], request.sampling.top_logprobs))
    };
    assert!(read(json!({"prompt":["hi"],"logprobs":2})).unwrap().contains("Some(2)"));
    for (body, path) in [
        (json!({}), "prompt"),
        (json!({"prompt":[1,2]}), "prompt"),
        (json!({"prompt":["a","b"]}), "prompt"),
        (json!({"prompt":[]}), "prompt"),
        (json!({"prompt":"a","suffix":"b"}), "suffix"),
        (json!({"prompt":"a","echo":true}), "echo"),
        (json!({"prompt":"a","best_of":2}), "best_of"),
    ] {
        assert_eq!(read(body.clone()).unwrap_err().path, path, "{body}");
    }
    let mut out = Vec::new();
    Completions
        .writer(&Request::default(), reply())
        .whole(&response(), &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&value["object"], &value["choices"][0]["text"]),
        (&json!("text_completion"), &json!("äbcd"))
    );
    assert_eq!(value["choices"][0]["finish_reason"], "stop");
    assert_eq!(value["choices"][0]["logprobs"]["tokens"], json!(["ä"]));
    let request = Request {
        stream_usage: true,
        ..Request::default()
    };
    let out = streamed(&mut *Completions.writer(&request, reply()), true);
    let chunks = datas(&out);
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["text"].as_str()).collect();
    assert_eq!(
        (text.as_str(), &chunks[2]["choices"][0]["finish_reason"]),
        ("ab", &json!("length"))
    );
    assert_eq!(chunks[3]["usage"]["prompt_tokens"], 1);
}
