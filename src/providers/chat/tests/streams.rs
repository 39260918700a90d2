//! Streams that the recordings lack: variants of vendors, errors, several answers.

use super::*;
use crate::wire::canonical::{Delta, Finish, Part, PartStart, Signature, Thinking};

pub fn chunks(lines: &[Value]) -> Vec<u8> {
    let mut sse = Vec::new();
    for line in lines {
        sse.extend_from_slice(format!("data: {line}\n\n").as_bytes());
    }
    sse
}

pub fn delta(delta: Value) -> Value {
    json!({"id":"x","model":"m","choices":[{"index":0,"delta":delta}]})
}

pub fn finished(reason: &str) -> Value {
    json!({"id":"x","model":"m","choices":[{"index":0,"delta":{},"finish_reason":reason}]})
}

fn folded(lines: &[Value]) -> Fold {
    fold(&PLAIN_CODEC, &chunks(lines), 5, Expect::default()).unwrap()
}

#[test]
fn calls_without_index_or_id_and_whole_in_one_chunk() {
    let fold = folded(&[
        delta(json!({"tool_calls":[{"function":{"name":"a","arguments":"{\"x\":"}}]})),
        delta(json!({"tool_calls":[{"function":{"arguments":"1}"}}]})),
        delta(
            json!({"tool_calls":[{"function":{"name":"b","arguments":{"y":2}}},{"index":0,"id":"c1","function":{"name":"c"}}]}),
        ),
        finished("stop"),
    ]);
    let candidate = &fold.response().candidates[0];
    let calls = candidate.parts.iter().map(|part| match part {
        Part::ToolCall(call) => (call.name.as_ref(), call.arguments.as_ref(), call.id.len() > 1),
        other => panic!("{other:?}"),
    });
    let calls: Vec<_> = calls.collect();
    assert_eq!(
        calls,
        [("a", "{\"x\":1}", true), ("b", "{\"y\":2}", true), ("c", "{}", true)]
    );
    assert_eq!(candidate.finish, Some(Finish::ToolCalls));
}

#[test]
fn the_same_index_with_another_id_is_another_call() {
    let fold = folded(&[
        delta(json!({"tool_calls":[{"index":0,"id":"1","function":{"name":"a","arguments":"{}"}}]})),
        delta(json!({"tool_calls":[{"index":0,"id":"2","function":{"name":"b","arguments":"{}"}}]})),
        finished("function_call"),
    ]);
    assert_eq!(fold.response().candidates[0].parts.len(), 2);
}

#[test]
fn a_missing_end_marker_is_an_error_only_before_the_finish() {
    let text = delta(json!({"content":"hi"}));
    assert!(fold(&PLAIN_CODEC, &chunks(std::slice::from_ref(&text)), 3, Expect::default()).is_err());
    assert!(fold(&PLAIN_CODEC, b"", 3, Expect::default()).is_err());
    assert!(fold(&PLAIN_CODEC, b"data: [DONE]\n\n", 3, Expect::default()).is_err());
    assert!(folded(&[text, finished("stop")]).ended());
}

#[test]
fn an_error_inside_a_stream_is_an_event() {
    for error in [
        json!({"error":{"code":502,"message":"overloaded"}}),
        json!({"object":"error","message":"overloaded","type":"server"}),
        json!({"id":"x","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"message":"overloaded"}}),
        json!({"error":"overloaded"}),
    ] {
        let fold = folded(&[delta(json!({"content":"hi"})), error, delta(json!({"content":"no"}))]);
        assert_eq!(fold.error.as_deref(), Some("overloaded"));
        assert!(!fold.ended());
    }
}

#[test]
fn reasoning_refusals_images_audio_and_addresses_are_parts() {
    let mut last = finished("");
    last["citations"] = json!(["https://a"]);
    let fold = folded(&[
        delta(json!({"reasoning_content":"think","content":null})),
        delta(json!({"reasoning":"ing","reasoning_details":[{"type":"reasoning.text","text":"ing","index":0}]})),
        delta(
            json!({"reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1","index":0}]}),
        ),
        delta(json!({"content":"text"})),
        last,
        delta(json!({"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]})),
        delta(json!({"audio":{"id":"a","data":"aGk=","transcript":"hi"}})),
        delta(json!({"refusal":"no"})),
        finished("stop"),
    ]);
    let parts = &fold.response().candidates[0].parts;
    let Part::Thinking(thinking) = &parts[0] else {
        panic!("{parts:?}")
    };
    assert_eq!(thinking.text, "thinking");
    assert_eq!(thinking.signature, Some(Signature::new(Dialect::Anthropic, "s")));
    assert!(matches!(&parts[1], Part::Text { text, citations, .. } if text == "text" && citations.len() == 1));
    assert!(matches!(&parts[2], Part::Media(_)) && matches!(&parts[3], Part::Media(_)));
    assert!(matches!(&parts[4], Part::Refusal(text) if text == "no"));
}

#[test]
fn a_structured_tool_becomes_text_and_renamed_tools_get_their_names_back() {
    let expect = Expect {
        structured_tool: Some("answer".into()),
        ..Expect::default()
    };
    let lines = chunks(&[
        delta(json!({"tool_calls":[{"index":0,"id":"1","function":{"name":"answer","arguments":"{\"a\""}}]})),
        delta(json!({"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]})),
        finished("tool_calls"),
    ]);
    let fold = fold(&PLAIN_CODEC, &lines, 9, expect.clone()).unwrap();
    let candidate = &fold.response().candidates[0];
    assert_eq!(
        (candidate.parts.as_slice(), &candidate.finish),
        (&[Part::text("{\"a\":1}")][..], &Some(Finish::Stop))
    );
    let body = json!({"choices":[{"message":{"tool_calls":[{"id":"1","function":{"name":"answer","arguments":"{}"}}]},"finish_reason":"tool_calls"}]});
    let body = body.to_string();
    let node = Node::parse(body.as_bytes(), 64).unwrap();
    let response = PLAIN_CODEC.decode(&node, &expect).unwrap();
    assert_eq!(response.candidates[0].finish, Some(Finish::Stop));
}

#[test]
fn what_only_this_stream_can_say_is_said() {
    let mut writer = writer();
    let mut out = Vec::new();
    let call = Event::PartStart {
        candidate: 0,
        part: 0,
        start: PartStart::ToolCall {
            id: "c".into(),
            name: "f".into(),
            kind: Default::default(),
            signature: Some(Signature::new(Dialect::Gemini, "sig")),
        },
    };
    let start = Event::Start {
        id: "".into(),
        model: "".into(),
        created: None,
        usage: None,
        service_tier: None,
        fingerprint: None,
    };
    let redacted = Part::Thinking(Thinking {
        redacted: true,
        signature: Some(Signature::new(Dialect::Anthropic, "data")),
        ..Thinking::default()
    });
    for event in [
        start,
        call,
        Event::Delta {
            candidate: 0,
            part: 0,
            delta: Delta::Arguments("{}".into()),
        },
        Event::PartEnd { candidate: 0, part: 0 },
        Event::PartStart {
            candidate: 0,
            part: 1,
            start: PartStart::Whole(Box::new(redacted.clone())),
        },
        Event::PartEnd { candidate: 0, part: 1 },
        Event::Finish {
            candidate: 0,
            finish: Finish::ToolCalls,
            stop_sequence: None,
        },
        Event::Usage(Default::default()),
        Event::End,
    ] {
        writer.event(&event, &mut out);
    }
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(
        text.contains(r#""thought_signature":"cirque:gemini:sig""#) && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    let fold = fold(&PLAIN_CODEC, &out, 13, Expect::default()).unwrap();
    let parts = &fold.response().candidates[0].parts;
    assert!(
        matches!(&parts[0], Part::ToolCall(call) if call.signature == Some(Signature::new(Dialect::Gemini, "sig")))
    );
    assert_eq!(parts[1], redacted);
}

#[test]
fn several_answers_with_logprobs_and_custom_calls_stream_side_by_side() {
    let of = |index: u32, delta: Value, more: Value| {
        let mut choice = json!({"index":index,"delta":delta});
        choice
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"id":"x","model":"m","choices":[choice]})
    };
    let token = json!({"logprobs":{"content":[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1.0}]}]}});
    let lines = [
        of(1, json!({"content":"a"}), token),
        of(
            0,
            json!({"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"n","input":"fr"}}]}),
            json!({}),
        ),
        of(
            1,
            json!({"content":"b"}),
            json!({"finish_reason":"stop","stop_reason":"END"}),
        ),
        of(
            0,
            json!({"tool_calls":[{"index":0,"custom":{"input":"ee"}}]}),
            json!({"finish_reason":"tool_calls"}),
        ),
        json!({"id":"x","choices":[],"x_groq":{"usage":{"prompt_tokens":3.0,"completion_tokens":2}}}),
    ];
    let fold = folded(&lines);
    let answer = fold.response();
    assert_eq!(answer.usage.unwrap().total(), 5);
    let one = answer.candidates.iter().find(|c| c.index == 1).unwrap();
    assert_eq!((one.parts[0].clone(), one.logprobs.len()), (Part::text("ab"), 1));
    assert_eq!(
        (one.finish.clone(), one.stop_sequence.as_deref()),
        (Some(Finish::StopSequence), Some("END"))
    );
    let zero = answer.candidates.iter().find(|c| c.index == 0).unwrap();
    assert!(matches!(&zero.parts[0], Part::ToolCall(call) if call.arguments == "free" && call.id == "c"));
    let mut writer = writer();
    let mut out = Vec::new();
    each(&PLAIN_CODEC, &chunks(&lines), 64, Expect::default(), &mut |event| {
        writer.event(&event, &mut out)
    })
    .unwrap();
    let mut back = fold_sorted(&out);
    back.sort();
    let mut first: Vec<_> = answer.candidates.iter().map(|c| format!("{c:?}")).collect();
    first.sort();
    assert_eq!(back, first);
}

fn fold_sorted(out: &[u8]) -> Vec<String> {
    let fold = fold(&PLAIN_CODEC, out, 64, Expect::default()).unwrap();
    fold.response().candidates.iter().map(|c| format!("{c:?}")).collect()
}

#[test]
fn figures_and_endings_in_every_vendors_words() {
    for (usage, want) in [
        (
            json!({"prompt_tokens":9,"completion_tokens":2,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":5}}),
            (9, 7),
        ),
        (
            json!({"prompt_tokens":9,"completion_tokens":7,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":5}}),
            (9, 7),
        ),
        (json!({"total_tokens":4}), (4, 0)),
    ] {
        let last = json!({"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":usage}]});
        let fold = folded(&[delta(json!({"content":"a"})), last]);
        let usage = fold.response().usage.unwrap();
        assert_eq!((usage.input, usage.output), want);
    }
    for (word, want) in [
        ("eos", Finish::Stop),
        ("length", Finish::Length),
        ("model_length", Finish::ContextWindow),
        ("sensitive", Finish::ContentFilter),
        ("insufficient_system_resource", Finish::Error),
        ("strange", Finish::Other("strange".into())),
    ] {
        let fold = folded(&[delta(json!({"content":"a"})), finished(word)]);
        assert_eq!(fold.response().candidates[0].finish, Some(want));
    }
}
