//! Streams and whole answers that the recordings lack.

use super::*;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{Finish, Signature, Thinking, ToolCallKind};

const START: (&str, &str) = ("messageStart", r#"{"role":"assistant","p":"abc"}"#);
const STOP: (&str, &str) = ("messageStop", r#"{"stopReason":"end_turn"}"#);

/// The answer that these events and this body both are.
fn both(events: &[(&str, &str)], body: &str, expect: Expect) -> Response<'static> {
    let whole = decoded(body, &expect);
    let streamed = owned(folded(events, expect).unwrap().response());
    assert_eq!(streamed, whole);
    whole
}

#[test]
fn thinking_with_signature_and_redacted() {
    let events = [
        START,
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"I "}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"think"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"sig"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"YWJj"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"text":""}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"text":"so"}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        (
            "messageStop",
            r#"{"stopReason":"end_turn","additionalModelResponseFields":{"usage":{"output_tokens_details":{"thinking_tokens":3}}}}"#,
        ),
        (
            "metadata",
            r#"{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":145,"cacheReadInputTokens":100,"cacheWriteInputTokens":30,
                "cacheDetails":[{"ttl":"1h","inputTokens":20},{"ttl":"5m","inputTokens":10}]},"metrics":{"latencyMs":1}}"#,
        ),
        ("metadata", r#"{"metrics":{"latencyMs":2}}"#),
    ];
    let body = r#"{"output":{"message":{"role":"assistant","content":[
        {"reasoningContent":{"reasoningText":{"text":"I think","signature":"sig"}}},{"reasoningContent":{"redactedContent":"YWJj"}},{"text":"so"}]}},
        "stopReason":"end_turn","additionalModelResponseFields":{"usage":{"output_tokens_details":{"thinking_tokens":3}}},"usage":{"inputTokens":10.0,"outputTokens":5,"totalTokens":145,"cacheReadInputTokens":100,
        "cacheWriteInputTokens":30,"cacheDetails":[{"ttl":"1h","inputTokens":20},{"ttl":"5m","inputTokens":10}]}}"#;
    let answer = both(&events, body, expect(CLAUDE));
    let figures = Usage {
        input: 140,
        output: 5,
        cached: 100,
        cache_write: 30,
        cache_write_1h: 20,
        reasoning: 3,
        ..Usage::default()
    };
    assert_eq!(answer.usage, Some(figures));
    assert_eq!(answer.model, CLAUDE);
    let thought = Part::Thinking(Thinking {
        text: "I think".into(),
        signature: Some(Signature::new(Dialect::Anthropic, "sig")),
        ..Thinking::default()
    });
    assert_eq!(answer.candidates[0].parts[0], thought);
    let nova = both(&events, body, expect("us.amazon.nova-2-lite-v1:0"));
    let Part::Thinking(redacted) = &nova.candidates[0].parts[1] else {
        panic!("no thinking");
    };
    assert!(redacted.redacted);
    assert_eq!(redacted.signature, Some(Signature::new(Dialect::Bedrock, "YWJj")));
}

#[test]
fn calls_without_arguments_and_changed_names() {
    let mut expect = expect(CLAUDE);
    expect.renamed_tools.push(("a_b_1".into(), "a.b".into()));
    let events = [
        START,
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"x"}}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t1","name":"a_b_1"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":""}}}"#,
        ),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":2,"start":{"toolUse":{"name":"f"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"q\":1}"}}}"#,
        ),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ];
    let body = r#"{"output":{"message":{"content":[{"text":"x"},{"toolUse":{"toolUseId":"t1","name":"a_b_1","input":{}}},
        {"toolUse":{"name":"f","input":{"q":1}}}]}},"stopReason":"tool_use"}"#;
    let answer = both(&events, body, expect);
    let candidate = &answer.candidates[0];
    assert_eq!(
        (candidate.parts.len(), &candidate.finish),
        (3, &Some(Finish::ToolCalls))
    );
    let Part::ToolCall(call) = &candidate.parts[1] else {
        panic!("no call");
    };
    assert_eq!(
        (call.name.as_ref(), call.arguments.as_ref(), call.kind),
        ("a.b", "{}", ToolCallKind::Function)
    );
}

#[test]
fn a_forced_tool_is_the_answers_text() {
    let mut expect = expect(CLAUDE);
    expect.structured_tool = Some("answer".into());
    let events = [
        START,
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"answer"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"a\""}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":":1}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ];
    let body = r#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"answer","input":{"a":1}}}]}},"stopReason":"tool_use"}"#;
    let answer = both(&events, body, expect);
    assert_eq!(answer.candidates[0].parts, [Part::text(r#"{"a":1}"#)]);
    assert_eq!(answer.candidates[0].finish, Some(Finish::Stop));
}

#[test]
fn free_text_is_taken_out_of_its_wrapping() {
    let mut expect = expect(CLAUDE);
    expect.renamed_tools.push(("patch__text".into(), "patch".into()));
    let piece = |json: &str| format!(r#"{{"contentBlockIndex":0,"delta":{{"toolUse":{{"input":{json}}}}}}}"#);
    let (first, second) = (piece(r#""{\"input\": \"a\\""#), piece(r#""nb\"}""#));
    let events = [
        START,
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"patch__text"}}}"#,
        ),
        ("contentBlockDelta", first.as_str()),
        ("contentBlockDelta", second.as_str()),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ];
    let body = r#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"patch__text","input":{"input":"a\nb"}}}]}},"stopReason":"tool_use"}"#;
    let answer = both(&events, body, expect);
    let Part::ToolCall(call) = &answer.candidates[0].parts[0] else {
        panic!("no call");
    };
    assert_eq!(
        (call.name.as_ref(), call.arguments.as_ref(), call.kind),
        ("patch", "a\nb", ToolCallKind::Custom)
    );
}

#[test]
fn stop_texts_are_told() {
    let body = r#"{"output":{"message":{"content":[{"text":"a"}]}},"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}}"#;
    let events = [
        START,
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#),
        (
            "messageStop",
            r#"{"stopReason":"stop_sequence","additionalModelResponseFields":{"delta":{"stop_sequence":"END"}}}"#,
        ),
    ];
    let answer = both(&events, body, expect(CLAUDE));
    assert_eq!(answer.candidates[0].stop_sequence.as_deref(), Some("END"));
    assert_eq!(answer.candidates[0].finish, Some(Finish::StopSequence));
}

#[test]
fn every_reason_to_stop() {
    for (word, finish) in [
        ("end_turn", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("content_filtered", Finish::ContentFilter),
        ("malformed_tool_use", Finish::MalformedCall),
        ("malformed_model_output", Finish::Error),
        ("model_context_window_exceeded", Finish::ContextWindow),
        ("something_new", Finish::Other("something_new".into())),
    ] {
        let stop = format!(r#"{{"stopReason":"{word}"}}"#);
        let fold = folded(&[START, ("messageStop", &stop)], expect(LLAMA)).unwrap();
        assert_eq!(fold.response().candidates[0].finish, Some(finish));
    }
}

#[test]
fn what_the_service_runs_itself_is_opaque_or_skipped() {
    let body = r#"{"output":{"message":{"content":[{"toolUse":{"type":"server_tool_use","toolUseId":"t","name":"nova_grounding","input":{}}},
        {"toolResult":{"toolUseId":"t","content":[]}},{"new":{}},{"image":{"format":"png","source":{"bytes":"aGk="}}},{"text":""}]}},"stopReason":"end_turn"}"#;
    let answer = decoded(body, &expect(NOVA));
    let kinds = answer.candidates[0].parts.iter().map(|part| match part {
        Part::Opaque { kind, .. } => kind.to_string(),
        Part::Media(media) => media.media_type.as_deref().unwrap().to_owned(),
        _ => String::new(),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["toolUse", "toolResult", "new", "image/png"]);
    let events = [
        START,
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"type":"server_tool_use","toolUseId":"t","name":"nova_grounding"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolResult":{"toolUseId":"t"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolResult":[{"text":"r"}]}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("someNewEvent", "not even JSON"),
        ("contentBlockStart", r#"{"contentBlockIndex":2,"start":{}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"text":"a"}}"#),
        STOP,
    ];
    let fold = folded(&events, expect(NOVA)).unwrap();
    assert_eq!(fold.response().candidates[0].parts, [Part::text("a")]);
}

#[test]
fn failures_inside_a_stream() {
    let text = ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#);
    for (name, data, said) in [
        ("throttlingException!", r#"{"message":"slow"}"#, "slow"),
        (
            "modelStreamErrorException",
            r#"{"originalStatusCode":500,"originalMessage":"gone"}"#,
            "gone",
        ),
        ("InternalFailure!", "", "the provider reported a failure in its stream"),
    ] {
        let fold = folded(&[START, text, (name, data), STOP], expect(CLAUDE)).unwrap();
        assert_eq!(fold.error.as_deref(), Some(said));
        assert!(!fold.ended());
    }
    let cut = folded(&[START, text], expect(CLAUDE)).map(|_| ());
    assert_eq!(cut, Err("the stream ended without messageStop".to_owned()));
    assert!(folded(&[], expect(CLAUDE)).is_err());
    assert!(folded(&[START, STOP, text], expect(CLAUDE)).is_err());
    assert!(folded(&[START, ("contentBlockDelta", "{")], expect(CLAUDE)).is_err());
    let orphan = (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#,
    );
    assert!(folded(&[START, orphan], expect(CLAUDE)).is_err());
    assert!(
        folded(&[START, STOP], expect(CLAUDE)).unwrap().ended(),
        "metadata may be missing"
    );
}

#[test]
fn figures_that_count_the_cache_in_are_not_added_up() {
    let counted_in = r#"{"inputTokens":50,"outputTokens":1,"totalTokens":51,"cacheReadInputTokens":40}"#;
    let beside = r#"{"inputTokens":50,"outputTokens":1,"totalTokens":91,"cacheReadInputTokens":40}"#;
    let body = |usage| format!(r#"{{"output":{{"message":{{"content":[]}}}},"usage":{usage}}}"#);
    let input = |body: &str, model| decoded(body, &expect(model)).usage.unwrap().input;
    assert_eq!(input(&body(counted_in), CLAUDE), 50);
    assert_eq!(input(&body(beside), CLAUDE), 90);
    let metadata = format!(r#"{{"usage":{beside}}}"#);
    let events = [START, STOP, ("metadata", metadata.as_str())];
    let streamed = |model| folded(&events, expect(model)).unwrap().response().usage.unwrap().input;
    assert_eq!((streamed(CLAUDE), streamed("global.openai.gpt-5.6-sol")), (90, 50));
}
