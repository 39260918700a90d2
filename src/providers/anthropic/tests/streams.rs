//! Streams the recordings lack: errors, cuts, strangers, damage; and what other vendors' streams become for a client.

use super::*;

#[test]
fn errors_endings_and_strangers_in_a_stream() {
    let start = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":3,"output_tokens":1}}}"#;
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let failed = fold(&lines(&[start, error]));
    assert_eq!((failed.error.as_deref(), failed.ended()), (Some("Overloaded"), false));

    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
    let cut = feed(&mut *DIRECT.decoder(Expect::default()), &lines(&[start, delta]), |_| ());
    assert!(cut.unwrap_err().contains("message_stop"));
    let early = feed(&mut *DIRECT.decoder(Expect::default()), &lines(&[delta]), |_| ());
    assert!(early.unwrap_err().contains("message_start"));

    let refused = fold(&lines(&[
        start,
        r#"{"type":"future_event","x":1}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"future_block","a":[1]}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"future_delta","b":2}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"query\":"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"x\"}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"No."}},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ]));
    let answer = &refused.response().candidates[0];
    assert_eq!(answer.finish, Some(Finish::Refusal));
    assert!(matches!(&answer.parts[0], Part::Opaque { kind, .. } if kind == "future_block"));
    assert!(matches!(&answer.parts[1], Part::Opaque { raw, .. } if raw.contains(r#""input":{"query":"x"}"#)));
    assert_eq!(answer.parts[2], Part::Refusal("No.".into()));
    assert_eq!(
        refused.response().usage.map(|usage| (usage.input, usage.output)),
        Some((3, 9))
    );
}

#[test]
fn nothing_a_target_sends_makes_it_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    for Recording { answer, .. } in recordings() {
        for _ in 0..20 {
            match &answer {
                Answer::Whole(_, body) => {
                    let mut text = body.to_string().into_bytes();
                    damage(&mut text, &mut random);
                    let _ = facts(&text, 64);
                    if let Ok(node) = Node::parse(&text, 64) {
                        let _ = DIRECT.decode(&node, &Expect::default()).map(|response| {
                            let mut out = Vec::new();
                            Messages.writer(&Request::default(), reply()).whole(&response, &mut out);
                            serde_json::from_slice::<Value>(&out).unwrap();
                        });
                    }
                }
                Answer::Stream(datas, _) => {
                    let mut datas = datas.clone();
                    let at = random.usize(..datas.len());
                    damage(&mut datas[at], &mut random);
                    let with = random.usize(..datas.len());
                    datas.swap(at, with);
                    let mut writer = Messages.writer(&Request::default(), reply());
                    let (mut out, mut fold) = (Vec::new(), Fold::new());
                    let _ = feed(&mut *DIRECT.decoder(Expect::default()), &datas, |event| {
                        fold.event(event);
                        writer.event(event, &mut out);
                    });
                    assert_eq!(fold.disorder, None);
                    for data in sse_events(&out, out.len().max(1)) {
                        serde_json::from_slice::<Value>(&data).unwrap();
                    }
                }
            }
        }
    }
}

fn damage(text: &mut Vec<u8>, random: &mut fastrand::Rng) {
    match random.u8(..3) {
        0 => text.truncate(random.usize(..text.len())),
        1 => {
            let at = random.usize(..text.len());
            text[at] ^= 1 << random.u8(..8);
        }
        _ => {
            // Another type in place of some value.
            let at = text.iter().position(|b| *b == b':').map_or(0, |first| first + 1);
            let value: &[u8] = [&b"null,\"x\":"[..], b"[],\"x\":", b"-1.5e9,\"x\":"][random.usize(..3)];
            text.splice(at..at, value.iter().copied());
        }
    }
}

fn through_the_writer(events: &[Event<'_>]) -> (Response<'static>, String) {
    let mut writer = Messages.writer(&Request::default(), reply());
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut out);
    }
    let folded = fold(&sse_events(&out, out.len()));
    (essence(folded.response()), String::from_utf8(out).unwrap())
}

fn begin() -> Event<'static> {
    Event::Start {
        id: "a".into(),
        model: "b".into(),
        created: None,
        usage: None,
        service_tier: None,
        fingerprint: None,
    }
}

fn begin_call(part: u32, id: &'static str, signature: Option<Signature<'static>>) -> Event<'static> {
    Event::PartStart {
        candidate: 0,
        part,
        start: PartStart::ToolCall {
            id: id.into(),
            name: "f".into(),
            kind: ToolCallKind::Function,
            signature,
        },
    }
}

fn more(part: u32, delta: Delta<'static>) -> Event<'static> {
    Event::Delta {
        candidate: 0,
        part,
        delta,
    }
}

fn ends(part: u32) -> Event<'static> {
    Event::PartEnd { candidate: 0, part }
}

#[test]
fn interleaved_calls_late_usage_and_signatures_of_others() {
    let usage = Usage {
        input: 10,
        output: 5,
        cached: 4,
        ..Usage::default()
    };
    let finish = Event::Finish {
        candidate: 0,
        finish: Finish::Stop,
        stop_sequence: None,
    };
    let arguments = |text: &'static str| Delta::Arguments(text.into());
    let (response, text) = through_the_writer(&[
        begin(),
        begin_call(0, "c0", Some(Signature::new(Dialect::Gemini, "S"))),
        begin_call(1, "c1", None),
        more(1, arguments("{\"b\"")),
        more(0, arguments("{\"a\":1}")),
        more(1, arguments(":2}")),
        ends(0),
        ends(1),
        Event::Ping,
        finish,
        Event::Usage(usage),
        Event::End,
    ]);
    let answer = &response.candidates[0];
    assert_eq!(answer.finish, Some(Finish::ToolCalls));
    assert_eq!(response.usage, Some(usage));
    let calls: Vec<_> = answer
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.id.as_ref(), call.arguments.as_ref())),
            _ => None,
        })
        .collect();
    assert_eq!(calls, [("c0", "{\"a\":1}"), ("c1", "{\"b\":2}")]);
    assert_eq!(text.matches("event: message_delta").count(), 1);
    assert!(text.contains(r#""signature":"cirque:gemini:S#call""#) && text.contains("event: ping"));
    assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));

    // The client sends it back: the signature is on the call again.
    let echo = r#"{"max_tokens":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[
        {"type":"thinking","thinking":"","signature":"cirque:gemini:S#call"},
        {"type":"tool_use","id":"c0","name":"f","input":{"a":1}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"c0"}]}]}"#;
    let node = Node::parse(echo.as_bytes(), 16).unwrap();
    let request = Messages.read(&node, false).unwrap();
    let Part::ToolCall(call) = &request.messages[1].parts[0] else {
        panic!("{:?}", request.messages[1])
    };
    assert_eq!(call.signature, Some(Signature::new(Dialect::Gemini, "S")));
}
