//! Answers written, and read back.

use super::*;

#[test]
fn what_is_written_reads_back_the_same_whole_and_streamed() {
    let answer = answer();
    let mut out = Vec::new();
    writer(&Request::default()).whole(&answer, &mut out);
    let node = Node::parse(&out, 64).unwrap();
    let expect = Expect::default();
    assert_eq!(ResponsesCodec.decode(&node, &expect).unwrap(), answer);

    let sse = streamed(&mut *writer(&Request::default()), &events_of(&answer));
    let fold = fold(&sse);
    assert_eq!(fold.disorder, None);
    assert_eq!(fold.response(), &answer);
    let last = documents(&sse).pop().unwrap();
    assert_eq!(last["type"], "response.completed");
    let whole: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(last["response"], whole);
}

#[test]
fn the_stream_has_the_events_of_the_api_in_order() {
    let mut answer = answer();
    answer.candidates[0].parts.truncate(2);
    answer.candidates[0].finish = Some(Finish::Stop);
    answer.id = "msg_foreign".into();
    let sse = streamed(&mut *writer(&Request::default()), &events_of(&answer));
    let all = documents(&sse);
    let mut kinds: Vec<_> = all.iter().map(|d| d["type"].as_str().unwrap()).collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.annotation.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let message = &all[all.len() - 2];
    assert_eq!(message["item"]["id"], "msg_abc1");
    assert_eq!(message["item"]["content"][0]["text"], "héllo");
    let last = &all[all.len() - 1]["response"];
    assert_eq!(
        (&last["id"], &last["created_at"], &last["model"]),
        (&json!("resp_abc"), &json!(7), &json!("claude"))
    );
    assert_eq!(last["usage"]["total_tokens"], 13);
}

#[test]
fn settings_are_said_again_on_one_line() {
    let text = "{\"input\":\"x\",\"instructions\":\"be brief\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\n\"type\":\n\"object\"}}],\n\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"},\"metadata\":{\"a\":\"b\"},\"temperature\":0.5,\"max_tool_calls\":2,\"text\":{\"verbosity\":\"low\"}}";
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let request = Responses.read(&node, true).unwrap();
    let sse = streamed(&mut *writer(&request), &events_of(&answer()));
    let created = &documents(&sse)[0]["response"];
    assert_eq!(created["tools"][0]["parameters"], json!({"type": "object"}));
    assert_eq!(created["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(created["metadata"], json!({"a": "b"}));
    assert_eq!(
        (&created["temperature"], &created["max_tool_calls"]),
        (&json!(0.5), &json!(2))
    );
    assert_eq!(created["instructions"], "be brief");
    assert_eq!(created["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    assert_eq!(
        (&created["status"], &created["usage"]),
        (&json!("in_progress"), &Value::Null)
    );
}

#[test]
fn parallel_calls_may_interleave() {
    let start = |part, id: &'static str| Event::PartStart {
        candidate: 0,
        part,
        start: PartStart::ToolCall {
            id: id.into(),
            name: "f".into(),
            kind: ToolCallKind::Function,
            signature: None,
        },
    };
    let more = |part, text: &'static str| Event::Delta {
        candidate: 0,
        part,
        delta: Delta::Arguments(text.into()),
    };
    let end = |part| Event::PartEnd { candidate: 0, part };
    let mut all = vec![events_of(&answer()).remove(0)];
    all.extend([
        start(0, "a"),
        start(1, "b"),
        more(0, "{\"x\""),
        more(1, "{}"),
        more(0, ":1}"),
        end(1),
        end(0),
    ]);
    all.extend([
        Event::Finish {
            candidate: 0,
            finish: Finish::Length,
            stop_sequence: None,
        },
        Event::End,
    ]);
    let sse = streamed(&mut *writer(&Request::default()), &all);
    let last = documents(&sse).pop().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    let output = &last["response"]["output"];
    assert_eq!(
        (&output[0]["arguments"], &output[1]["arguments"]),
        (&json!("{\"x\":1}"), &json!("{}"))
    );
    assert_eq!(
        (&output[0]["status"], &output[1]["status"]),
        (&json!("completed"), &json!("incomplete"))
    );
    assert_eq!(fold(&sse).disorder, None);
}

#[test]
fn foreign_signatures_travel_and_come_back() {
    let gemini = Signature::new(Dialect::Gemini, "sig/+=");
    let claude = Signature::new(Dialect::Anthropic, "EqQB");
    let mut answer = answer();
    answer.candidates[0].logprobs.clear();
    let parts = vec![
        Part::Thinking(Thinking {
            text: "hm".into(),
            signature: Some(claude),
            ..Thinking::default()
        }),
        Part::Opaque {
            dialect: Dialect::Anthropic,
            kind: "server_tool_use".into(),
            raw: r##"{"type":"server_tool_use","id":"a:b#part"}"##.into(),
        },
        Part::Text {
            text: "said".into(),
            cache: None,
            citations: Vec::new(),
            signature: Some(gemini.clone()),
        },
        Part::ToolCall(ToolCall {
            id: "c1".into(),
            name: "f".into(),
            arguments: "{}".into(),
            kind: ToolCallKind::Function,
            signature: Some(gemini),
            cache: None,
        }),
    ];
    answer.candidates[0].parts.clone_from(&parts);
    let mut out = Vec::new();
    writer(&Request::default()).whole(&answer, &mut out);
    let whole: Value = serde_json::from_slice(&out).unwrap();
    let sse = streamed(&mut *writer(&Request::default()), &events_of(&answer));
    let last = documents(&sse).pop().unwrap();
    assert_eq!(last["response"]["output"], whole["output"]);
    read(&json!({"input": whole["output"]}), |request| {
        let mut expected = parts;
        let Part::Thinking(thinking) = &mut expected[0] else {
            panic!()
        };
        thinking.id = Some("rs_abc0".into());
        assert_eq!(request.messages[0].parts, expected);
    });
}

#[test]
fn endings_have_their_words() {
    for (finish, status, reason) in [
        (Finish::Stop, "completed", Value::Null),
        (Finish::Other("x".into()), "completed", Value::Null),
        (Finish::ContextWindow, "incomplete", json!("max_output_tokens")),
        (Finish::ContentFilter, "incomplete", json!("content_filter")),
        (Finish::Error, "failed", Value::Null),
        (Finish::MalformedCall, "failed", Value::Null),
    ] {
        let mut answer = answer();
        answer.candidates[0].finish = Some(finish);
        let mut out = Vec::new();
        writer(&Request::default()).whole(&answer, &mut out);
        let whole: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(whole["status"], status);
        assert_eq!(whole["incomplete_details"]["reason"], reason);
        assert_eq!(whole["error"].is_null(), status != "failed");
        let sse = streamed(&mut *writer(&Request::default()), &events_of(&answer));
        let last = documents(&sse).pop().unwrap();
        assert_eq!(last["type"], format!("response.{status}"));
        assert_eq!(last["response"], whole);
    }
}

#[test]
fn a_broken_stream_fails_and_then_is_silent() {
    let error = GatewayError::new(ErrorKind::RateLimited, "slow down");
    let events = events_of(&answer());
    for cut in [0, 1, 5] {
        let mut writer = writer(&Request::default());
        let mut out = streamed(&mut *writer, &events[..cut]);
        writer.fail(&error, &mut out);
        let all = documents(&out);
        assert_eq!(all[0]["type"], "response.created");
        let last = all.last().unwrap();
        assert_eq!(last["type"], "response.failed");
        let said = json!({"code": "rate_limit_exceeded", "message": "slow down"});
        assert_eq!(
            (&last["response"]["error"], &last["response"]["status"]),
            (&said, &json!("failed"))
        );
        let length = out.len();
        writer.event(&Event::End, &mut out);
        writer.fail(&error, &mut out);
        assert_eq!(out.len(), length);
    }
}

#[test]
fn an_endless_answer_fails() {
    let mut writer = writer(&Request::default());
    let mut out = Vec::new();
    let events = events_of(&answer());
    writer.event(&events[0], &mut out);
    let start = Event::PartStart {
        candidate: 0,
        part: 0,
        start: PartStart::Text,
    };
    writer.event(&start, &mut out);
    let piece = "x".repeat(1 << 20);
    for _ in 0..40 {
        out.clear();
        let delta = Delta::Text(piece.as_str().into());
        writer.event(
            &Event::Delta {
                candidate: 0,
                part: 0,
                delta,
            },
            &mut out,
        );
        if out.windows(15).any(|w| w == b"response.failed") {
            return;
        }
    }
    panic!("no end");
}

proptest! {
    /// Events in any order, as a broken decoder might give them: what comes out is well formed.
    #[test]
    fn events_out_of_order_never_panic(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let all = events_of(&answer());
        let picked: Vec<Event<'_>> = picks.iter().map(|pick| pick.get(&all).clone()).collect();
        documents(&streamed(&mut *writer(&Request::default()), &picked));
    }
}
