//! What the client is sent, and what comes back of it.

use super::*;

/// The parts of another vendor's answer.
pub(super) fn foreign() -> Vec<Part<'static>> {
    let signature = |data: &'static str| Some(Signature::new(Dialect::Anthropic, data));
    vec![
        Part::Thinking(Thinking {
            text: "first, I think".into(),
            signature: signature("s/1+="),
            ..Thinking::default()
        }),
        Part::Thinking(Thinking {
            signature: signature("hidden"),
            redacted: true,
            ..Thinking::default()
        }),
        Part::Thinking(Thinking {
            text: "more".into(),
            signature: signature("s2"),
            ..Thinking::default()
        }),
        Part::text("it is so"),
        Part::ToolCall(ToolCall {
            id: "toolu_1".into(),
            name: "f".into(),
            arguments: r#"{"a":[1,2]}"#.into(),
            kind: ToolCallKind::Function,
            signature: None,
            cache: None,
        }),
    ]
}

pub(super) fn streamed(parts: Vec<Part<'static>>, json_array: bool) -> String {
    let mut events = vec![Event::Start {
        id: "x".into(),
        model: "other".into(),
        created: None,
        usage: Some(crate::units::Usage {
            input: 7,
            ..Default::default()
        }),
        service_tier: None,
        fingerprint: None,
    }];
    for (number, part) in parts.into_iter().enumerate() {
        let (candidate, number) = (0, number as u32);
        let start = |start| Event::PartStart {
            candidate,
            part: number,
            start,
        };
        let delta = |delta| Event::Delta {
            candidate,
            part: number,
            delta,
        };
        match part {
            Part::Thinking(thinking) if thinking.redacted => {
                events.push(start(PartStart::Whole(Box::new(Part::Thinking(thinking)))));
            }
            Part::Thinking(thinking) => {
                events.push(start(PartStart::Thinking { id: None }));
                let (head, tail) = thinking.text.split_at(2);
                events.push(delta(Delta::Thinking(head.to_owned().into())));
                events.push(delta(Delta::Thinking(tail.to_owned().into())));
                events.extend(thinking.signature.map(|given| delta(Delta::Signature(given))));
            }
            Part::Text { text, .. } => {
                events.push(start(PartStart::Text));
                let (head, tail) = text.split_at(5);
                events.push(delta(Delta::Text(head.to_owned().into())));
                events.push(delta(Delta::Text(tail.to_owned().into())));
            }
            Part::ToolCall(call) => {
                events.push(start(PartStart::ToolCall {
                    id: call.id,
                    name: call.name,
                    kind: call.kind,
                    signature: call.signature,
                }));
                events.extend([r#"{"a":"#, "[1,2", "]}"].map(|piece| delta(Delta::Arguments(piece.into()))));
            }
            _ => panic!(),
        }
        events.push(Event::PartEnd {
            candidate,
            part: number,
        });
    }
    events.push(Event::Finish {
        candidate: 0,
        finish: Finish::ToolCalls,
        stop_sequence: None,
    });
    events.push(Event::Usage(crate::units::Usage {
        output: 9,
        reasoning: 4,
        ..Default::default()
    }));
    events.push(Event::End);
    let mut writer = writer(json_array);
    let mut out = Vec::new();
    for event in &events {
        writer.event(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn another_vendors_answer_survives_the_clients_history() {
    let stream = streamed(foreign(), false);
    assert!(stream.ends_with("\r\n\r\n"));
    let chunks: Vec<Json> = stream
        .split_terminator("\r\n\r\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    let array: Vec<Json> = serde_json::from_str(&streamed(foreign(), true)).unwrap();
    assert_eq!(chunks, array);
    let last = chunks.last().unwrap();
    assert_eq!(
        last["usageMetadata"],
        json!({"promptTokenCount":7,"candidatesTokenCount":5,"totalTokenCount":16,"thoughtsTokenCount":4,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":7}]})
    );
    let reasons: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["candidates"][0].get("finishReason"))
        .collect();
    assert_eq!(reasons, ["STOP"]);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["modelVersion"] == "m" && chunk["responseId"] == "r1")
    );

    // Google's SDKs put every chunk's content into the history; the answer whole puts one.
    let mut contents = vec![json!({"parts":[{"text":"hi"}]})];
    contents.extend(chunks.iter().map(|chunk| chunk["candidates"][0]["content"].clone()));
    let mut out = Vec::new();
    let response = Response {
        candidates: vec![Candidate {
            parts: foreign(),
            finish: Some(Finish::ToolCalls),
            ..Candidate::default()
        }],
        ..Response::default()
    };
    writer(false).whole(&response, &mut out);
    let whole: Json = serde_json::from_slice(&out).unwrap();
    for history in [
        contents,
        vec![
            json!({"parts":[{"text":"hi"}]}),
            whole["candidates"][0]["content"].clone(),
        ],
    ] {
        let text = json!({"contents": history}).to_string();
        assert!(text.contains(WRAPPED_BASE64));
        let body = node(&text);
        let request = Gemini.read(&body, false).unwrap();
        assert_eq!(request.messages.len(), 2);
        assert_eq!(
            request.messages[1],
            Message {
                role: Role::Assistant,
                name: None,
                parts: foreign()
            }
        );
    }
}

#[test]
fn a_stream_that_breaks_stays_readable() {
    let error = GatewayError::new(ErrorKind::ProviderError, "the provider failed");
    let broken = json!({"error":{"code":502,"message":"the provider failed","status":crate::wire::errors::google_status(error.kind)}});
    let text = Event::Delta {
        candidate: 0,
        part: 0,
        delta: Delta::Text("a\"".into()),
    };
    for begun in [false, true] {
        for json_array in [false, true] {
            let mut writer = writer(json_array);
            let mut out = Vec::new();
            if begun {
                writer.event(&text, &mut out);
            }
            writer.fail(&error, &mut out);
            let sent = String::from_utf8(out).unwrap();
            let all: Vec<Json> = match json_array {
                true => serde_json::from_str(&sent).unwrap(),
                false => sent
                    .split_terminator("\r\n\r\n")
                    .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
                    .collect(),
            };
            assert_eq!((all.len(), all.last()), (1 + usize::from(begun), Some(&broken)));
            assert!(!sent.contains("finishReason"));
        }
    }
}

#[test]
fn endings_refusals_and_sources() {
    let part = Part::Text {
        text: "é so".into(),
        cache: None,
        citations: vec![
            Citation {
                url: Some("https://a".into()),
                span: Some((2, 4)),
                ..Citation::default()
            },
            Citation {
                title: Some("doc".into()),
                cited_text: Some("words".into()),
                ..Citation::default()
            },
        ],
        signature: None,
    };
    let response = Response {
        candidates: vec![Candidate {
            parts: vec![part, Part::Refusal("no".into())],
            finish: Some(Finish::Refusal),
            ..Candidate::default()
        }],
        ..Response::default()
    };
    let mut out = Vec::new();
    writer(false).whole(&response, &mut out);
    let sent: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        sent["candidates"],
        json!([{"content":{"parts":[{"text":"é so"},{"text":"no"}],"role":"model"},"finishReason":"SAFETY","index":0,
            "groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a"}},{"retrievedContext":{"title":"doc","text":"words"}}],
              "groundingSupports":[{"segment":{"partIndex":0,"startIndex":3,"endIndex":5},"groundingChunkIndices":[0]}]}}])
    );
    for (finish, word) in [
        (Finish::StopSequence, "STOP"),
        (Finish::ContextWindow, "MAX_TOKENS"),
        (Finish::Other("LANGUAGE".into()), "LANGUAGE"),
        (Finish::Other("insufficient_system_resource".into()), "OTHER"),
    ] {
        assert_eq!(parts::finish_out(&finish), word);
    }
}
