//! Broken answers: an error or an answer, never a panic, never disorder.

use super::*;
use crate::wire::canonical::{Function, Tool, ToolCall, ToolCallKind};
use crate::wire::eventstream::messages;
use proptest::prelude::*;

/// Event names and payloads of a stream with everything in it.
const STREAM: &[(&str, &str)] = &[
    ("messageStart", r#"{"role":"assistant"}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"t"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"YQ=="}}}"#,
    ),
    ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"a"}}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":1,"delta":{"citation":{"location":{"web":{"url":"u"}}}}}"#,
    ),
    (
        "contentBlockStart",
        r#"{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{}"}}}"#,
    ),
    (
        "contentBlockStart",
        r#"{"contentBlockIndex":3,"start":{"image":{"format":"png"}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
    ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
    ("messageStop", r#"{"stopReason":"tool_use"}"#),
    (
        "metadata",
        r#"{"usage":{"inputTokens":1,"outputTokens":1},"trace":{"guardrail":{}}}"#,
    ),
    ("throttlingException", r#"{"message":"m"}"#),
];

const BODY: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"a"},{"toolUse":{"toolUseId":"t","name":"f","input":{"a":[1]}}},
    {"reasoningContent":{"reasoningText":{"text":"t","signature":"s"}}},{"citationsContent":{"content":[{"text":"c"}],"citations":[{"title":"t",
    "sourceContent":[{"text":"s"}],"location":{"documentChar":{"documentIndex":0,"start":0,"end":1}}}]}}]}},"stopReason":"end_turn",
    "usage":{"inputTokens":1,"outputTokens":2,"cacheDetails":[{"ttl":"1h","inputTokens":3}]},"trace":{"guardrail":{}}}"#;

/// Feed what may be nonsense; nothing may be out of order whatever comes.
fn feed(events: &[(&str, &[u8])]) {
    let mut decoder = ConverseCodec.decoder(expect(CLAUDE));
    let mut fold = Fold::new();
    for (name, data) in events {
        let raw = RawEvent {
            name,
            exception: false,
            data,
            max_depth: 64,
        };
        if decoder.event(raw, &mut |event| fold.event(&event)).is_err() {
            return;
        }
    }
    let _ = decoder.finish(&mut |event| fold.event(&event));
    assert_eq!(fold.disorder, None);
}

#[test]
fn blocks_do_not_pile_up() {
    let starts: Vec<String> = (0..100)
        .map(|n| format!(r#"{{"contentBlockIndex":{n},"start":{{"toolUse":{{"toolUseId":"t","name":"f"}}}}}}"#))
        .collect();
    let events: Vec<(&str, &str)> = starts.iter().map(|data| ("contentBlockStart", data.as_str())).collect();
    let error = folded(&events, expect(CLAUDE)).map(|_| ()).unwrap_err();
    assert_eq!(error, "too many content blocks are open at once");
}

#[test]
fn missing_and_mistyped_members_are_named() {
    let decode = |body: &str| {
        let node = Node::parse(body.as_bytes(), 64).unwrap();
        let error = ConverseCodec.decode(&node, &Expect::default()).map(|_| ()).unwrap_err();
        error.0
    };
    assert_eq!(decode("[]"), "`output.message` is missing");
    assert_eq!(
        decode(r#"{"output":{"message":{"content":{}}}}"#),
        "`content` must be an array"
    );
    let stream = |data| {
        folded(&[("contentBlockDelta", data)], Expect::default())
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(stream("{}"), "`contentBlockIndex` is required");
    assert_eq!(
        stream(r#"{"contentBlockIndex":-1}"#),
        "`contentBlockIndex` must be a whole number, 0 or greater"
    );
}

#[test]
fn recorded_streams_survive_bit_flips() {
    let mut random = fastrand::Rng::with_seed(7);
    for (_, recording) in super::recorded::recordings() {
        let Some(bytes) = super::recorded::stream(&recording) else {
            continue;
        };
        let frames = messages(&bytes, 1 << 20).unwrap();
        for _ in 0..40 {
            let mut payloads: Vec<Vec<u8>> = frames.iter().map(|frame| frame.payload.to_vec()).collect();
            let broken = random.usize(..payloads.len());
            let at = random.usize(..payloads[broken].len());
            payloads[broken][at] ^= 1 << random.u8(..8);
            let events: Vec<(&str, &[u8])> = frames
                .iter()
                .map(Frame::name)
                .zip(payloads.iter().map(Vec::as_slice))
                .collect();
            feed(&events);
            // And flipped on the wire: the frame is refused.
            let mut wire = bytes.clone();
            let at = random.usize(..wire.len());
            wire[at] ^= 1 << random.u8(..8);
            assert!(messages(&wire, 1 << 20).is_err());
        }
    }
}

proptest! {
    #[test]
    fn events_in_any_order(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
        let events: Vec<(&str, &[u8])> = picks.iter().map(|pick| pick.get(STREAM)).map(|(name, data)| (*name, data.as_bytes())).collect();
        feed(&events);
    }

    #[test]
    fn broken_events(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut owned: Vec<(&str, Vec<u8>)> = STREAM.iter().map(|(name, data)| (*name, data.as_bytes().to_vec())).collect();
        let event = pick.index(owned.len());
        let data = &mut owned[event].1;
        let at = at.index(data.len());
        data[at] = byte;
        let events: Vec<(&str, &[u8])> = owned.iter().map(|(name, data)| (*name, data.as_slice())).collect();
        feed(&events);
        owned[event].1.truncate(at);
        let events: Vec<(&str, &[u8])> = owned.iter().map(|(name, data)| (*name, data.as_slice())).collect();
        feed(&events);
    }

    #[test]
    fn broken_bodies(at in any::<prop::sample::Index>(), piece in prop::sample::select(vec!["", "null", "[]", "{}", "1", "\"x\"", "\"", "}", "-1.5"])) {
        let at = at.index(BODY.len());
        if !BODY.is_char_boundary(at) {
            return Ok(());
        }
        let end = BODY[at..].find([',', ':', '}', ']']).map_or(BODY.len(), |more| at + more);
        let broken = format!("{}{piece}{}", &BODY[..at], &BODY[end..]);
        let expect = expect(CLAUDE);
        if let Ok(node) = Node::parse(broken.as_bytes(), 64) {
            let _ = ConverseCodec.decode(&node, &expect);
        }
    }

    #[test]
    fn any_request_becomes_json(text in ".{0,20}", name in ".{0,80}", id in ".{0,80}", arguments in "[{}\":a1\\[\\] ]{0,12}", schema in "[{}\":a1\\[\\]$ref# ]{0,20}", model in "[a-z0-9.:-]{0,30}") {
        let request = Request {
            messages: vec![
                user(vec![Part::text(text.as_str()), Part::text("x")]),
                assistant(vec![Part::ToolCall(ToolCall {
                    id: id.as_str().into(), name: name.as_str().into(), arguments: arguments.as_str().into(),
                    kind: ToolCallKind::Function, signature: None, cache: None,
                })]),
            ],
            tools: vec![Tool::Function(Function { name: name.as_str().into(), parameters: Some(schema.as_str().into()), ..Function::default() })],
            ..Request::default()
        };
        for model in [model.as_str(), CLAUDE, NOVA] {
            let (body, _) = encoded(&request, model);
            prop_assert!(body["messages"].is_array());
        }
    }
}
