//! What clients send: read, refused with the right path, and never a panic. What they are sent is tested with the codec of the
//! same dialect (`providers::anthropic::tests`), which reads it back.

use super::Messages;
use crate::error::{ErrorKind, GatewayError};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Builtin, Cache, Citation, Delta, Effort, Event, Finish, Format, MediaKind, Part, PartStart, Request, Role,
    Signature, Source, Thinking, Tool, ToolChoice,
};
use crate::wire::client::{ClientDialect, Reply};
use crate::wire::json::Node;
use proptest::prelude::*;
use serde_json::{Value, json};

fn with<T>(body: &Value, check: impl FnOnce(&Request<'_>) -> T) -> T {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    check(&Messages.read(&node, false).unwrap())
}

fn refused(body: &Value) -> String {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    Messages.read(&node, false).unwrap_err().to_string()
}

/// A request that uses everything.
fn full() -> Value {
    json!({
        "model": "m", "max_tokens": 100, "stream": true, "temperature": 0.5, "top_p": 0.9, "top_k": 4,
        "stop_sequences": ["a", "b"], "metadata": {"user_id": "u"}, "service_tier": "auto",
        "cache_control": {"type": "ephemeral"}, "container": "c1", "future": {"x": 1},
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": 3},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true,
                   "cache_control": {"type": "ephemeral", "ttl": "5m"}},
                  {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                 "title": "t", "context": "c", "citations": {"enabled": true}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "in"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": []}]},
            {"role": "user", "content": "and"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "red"},
                {"type": "text", "text": "t", "citations": [
                    {"type": "char_location", "cited_text": "w", "document_index": 1, "document_title": "T"}]},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": true,
                 "content": [{"type": "text", "text": "r"},
                             {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]}]},
            {"role": "system", "content": "now"},
            {"role": "assistant", "content": "pre"}]
    })
}

#[test]
fn everything_is_read() {
    with(&full(), |request| {
        let sampling = &request.sampling;
        assert_eq!(
            (sampling.max_tokens, sampling.top_k, sampling.stop.len()),
            (Some(100), Some(4), 2)
        );
        assert_eq!(
            (request.user.as_deref(), request.cache),
            (Some("u"), Some(Cache::Default))
        );
        let reasoning = request.reasoning.as_ref().unwrap();
        assert_eq!(
            (reasoning.budget, reasoning.effort, reasoning.show),
            (Some(2000), Some(Effort::Low), Some(false))
        );
        assert!(matches!(&request.format, Format::Schema { schema, .. } if schema == r#"{"type":"object"}"#));
        assert_eq!(request.tool_choice, Some(ToolChoice::Function("f".into())));
        assert_eq!(request.parallel_tool_calls, Some(false));
        assert!(
            matches!(&request.tools[0], Tool::Function(f) if f.strict == Some(true) && f.cache == Some(Cache::FiveMinutes))
        );
        assert!(matches!(
            &request.tools[1],
            Tool::Builtin {
                kind: Builtin::WebSearch,
                ..
            }
        ));
    });
}

#[test]
fn every_message_is_read() {
    with(&full(), |request| {
        let mut extras: Vec<_> = request.extras.iter().map(|extra| extra.key.as_ref()).collect();
        extras.sort_unstable();
        assert_eq!(extras, ["container", "future", "output_config.task_budget"]);
        let roles: Vec<_> = request.messages.iter().map(|message| message.role).collect();
        use Role::{Assistant, System, User};
        assert_eq!(roles, [System, User, User, Assistant, User, System, Assistant]);
        assert!(matches!(
            &request.messages[0].parts[0],
            Part::Text {
                cache: Some(Cache::OneHour),
                ..
            }
        ));
        let parts = &request.messages[1].parts;
        assert!(
            matches!(&parts[1], Part::Media(m) if m.kind == MediaKind::Image && m.media_type.as_deref() == Some("image/png"))
        );
        assert!(
            matches!(&parts[3], Part::Media(m) if matches!(&m.source, Source::File { dialect: Dialect::Anthropic, .. }))
        );
        assert!(matches!(&parts[4], Part::Media(m) if m.citations == Some(true) && m.context.is_some()));
        assert!(matches!(&parts[6], Part::Media(m) if matches!(&m.source, Source::Parts(inner) if inner.len() == 1)));
        assert!(matches!(&parts[7], Part::Opaque { kind, .. } if kind == "search_result"));
        let said = &request.messages[3].parts;
        assert!(
            matches!(&said[0], Part::Thinking(t) if t.signature == Some(Signature::new(Dialect::Anthropic, "sig")))
        );
        assert!(matches!(&said[1], Part::Thinking(t) if t.redacted));
        assert!(matches!(&said[2], Part::Text { citations, .. } if citations[0].title.as_deref() == Some("T")));
        assert!(matches!(&said[5], Part::ToolCall(call) if call.arguments == r#"{"a":1}"#));
        assert!(matches!(&request.messages[4].parts[0], Part::ToolResult(r) if r.is_error && r.parts.len() == 2));
        assert_eq!(request.tool_name("t1"), Some("f"));
    });
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let user = |content: Value| json!({"max_tokens": 1, "messages": [{"role": "user", "content": content}]});
    let cases = [
        (
            json!({"messages": []}),
            "`messages` is empty; send at least one message",
        ),
        (json!({"max_tokens": 1}), "`messages` is required"),
        (
            json!({"messages": [{"role": "user", "content": "x"}]}),
            "`max_tokens` is required",
        ),
        (json!({"messages": {}}), "`messages` must be an array"),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "`messages[0].role` must be",
        ),
        (
            json!({"messages": [{"role": "user"}]}),
            "`messages[0].content` is required",
        ),
        (
            user(json!(3)),
            "`messages[0].content` must be a string or an array of content blocks",
        ),
        (
            user(json!([{"type": "text", "text": 3}])),
            "`messages[0].content[0].text` must be a string",
        ),
        (
            user(json!([{"text": "x"}])),
            "`messages[0].content[0].type` is required",
        ),
        (
            user(json!([{"type": "audio"}])),
            "`messages[0].content[0].type` must be one of text, image",
        ),
        (
            user(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "@"}}])),
            "`messages[0].content[0].source.data` is not standard base64",
        ),
        (
            user(json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1d"}}])),
            "`messages[0].content[0].cache_control.ttl` must be",
        ),
        (
            user(json!([{"type": "tool_result", "tool_use_id": "t9", "content": "x"}])),
            "`messages[0].content[0].tool_use_id` answers no `tool_use` block",
        ),
        (
            user(json!([{"type": "tool_use", "id": "a", "name": "b", "input": {}}])),
            "`messages[0].content[0].type` \"tool_use\" belongs",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": "{}"}]}]}),
            "`messages[0].content[0].input` must be an object",
        ),
        (
            json!({"system": [{"type": "image"}]}),
            "`system[0].type` must be \"text\"",
        ),
    ];
    for (body, expected) in cases {
        let message = refused(&body);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn options_that_are_wrong_are_named_too() {
    let mut body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
    for (key, value, expected) in [
        (
            "thinking",
            json!({"type": "enabled"}),
            "`thinking.budget_tokens` is required",
        ),
        (
            "output_config",
            json!({"effort": "huge"}),
            "`output_config.effort` must be",
        ),
        ("output_config", json!([]), "`output_config` must be an object"),
        ("output_format", json!({"type": "json"}), "`output_format.type` must be"),
        ("tools", json!([{"name": "a"}]), "`tools[0].input_schema` is required"),
        ("tool_choice", json!({"type": "tool"}), "`tool_choice.name` is required"),
        (
            "stop_sequences",
            json!(["a", 1]),
            "`stop_sequences[1]` must be a string",
        ),
        ("metadata", json!({"user_id": 1}), "`metadata.user_id` must be a string"),
        ("max_tokens", json!(-1), "`max_tokens` must be a whole number"),
    ] {
        let before = body[key].take();
        body[key] = value;
        let message = refused(&body);
        assert!(message.starts_with(expected), "{message}");
        body[key] = before;
    }
}

#[test]
fn a_result_must_answer_the_turn_before_it() {
    let turns = |between: Value| {
        let mut messages = vec![
            json!({"role": "user", "content": "q"}),
            json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}),
        ];
        messages.extend(between.as_array().unwrap().iter().cloned());
        messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}));
        json!({"max_tokens": 1, "messages": messages})
    };
    with(&turns(json!([])), |request| assert_eq!(request.messages.len(), 3));
    with(&turns(json!([{"role": "user", "content": "wait"}])), |request| {
        assert_eq!(request.messages.len(), 4)
    });
    with(&turns(json!([{"role": "assistant", "content": "more"}])), |_| ());
    let late = turns(json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]));
    assert!(refused(&late).starts_with("`messages[4].content[0].tool_use_id` answers no"));
}

#[test]
fn a_count_needs_no_bound() {
    let text = r#"{"messages":[{"role":"user","content":"x"}]}"#;
    let node = Node::parse(text.as_bytes(), 8).unwrap();
    assert!(Messages.read_count(&node).is_ok() && Messages.read(&node, false).is_err());
}

#[test]
fn deep_nesting_is_refused() {
    let mut content = json!([{"type": "text", "text": "x"}]);
    for _ in 0..8 {
        content = json!([{"type": "document", "source": {"type": "content", "content": content}}]);
    }
    let body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": content}]});
    assert!(refused(&body).contains("nests content blocks too deeply"));
}

fn written(events: &[Event<'_>]) -> Vec<Value> {
    let mut writer = Messages.writer(&Request::default(), Reply::default());
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let mut all = Vec::new();
    for event in text.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').unwrap();
        let value: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), value["type"].as_str());
        all.push(value);
    }
    all
}

fn begins(part: u32, start: PartStart<'static>) -> Event<'static> {
    let candidate = 0;
    Event::PartStart { candidate, part, start }
}

fn more(part: u32, delta: Delta<'static>) -> Event<'static> {
    let candidate = 0;
    Event::Delta { candidate, part, delta }
}

fn ends(part: u32) -> Event<'static> {
    Event::PartEnd { candidate: 0, part }
}

/// Reasoning without a signature and with only one, a cited text with one, a second candidate.
fn foreign_stream() -> Vec<Value> {
    let id = Some("rs_1".into());
    let redacted = Part::Thinking(Thinking {
        signature: Some(Signature::new(Dialect::Responses, "enc")),
        redacted: true,
        ..Thinking::default()
    });
    let citation = Citation {
        url: Some("https://x".into()),
        ..Citation::default()
    };
    let second = Event::PartStart {
        candidate: 1,
        part: 0,
        start: PartStart::Text,
    };
    let finish = Event::Finish {
        candidate: 0,
        finish: Finish::StopSequence,
        stop_sequence: Some("END".into()),
    };
    written(&[
        begins(0, PartStart::Thinking { id }),
        more(0, Delta::Thinking("hm".into())),
        ends(0),
        begins(1, PartStart::Whole(Box::new(redacted))),
        ends(1),
        begins(2, PartStart::Text),
        more(2, Delta::Text("hi".into())),
        more(2, Delta::Citation(Box::new(citation))),
        more(2, Delta::Signature(Signature::new(Dialect::Gemini, "g"))),
        ends(2),
        second,
        finish,
        Event::End,
        Event::End,
    ])
}

#[test]
fn a_stream_of_another_vendor_has_every_event_the_sdks_want() {
    let events = foreign_stream();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "message_start");
    assert_eq!(kinds[kinds.len() - 2..], ["message_delta", "message_stop"]);
    let message = &events[0]["message"];
    assert_eq!(message["usage"]["input_tokens"], 0);
    assert!(message["stop_reason"].is_null() && message["content"] == json!([]));
    let signed = events.iter().filter_map(|event| event["delta"]["signature"].as_str());
    assert_eq!(
        signed.collect::<Vec<_>>(),
        ["cirque:responses:#id=rs_1", "cirque:gemini:g#text"]
    );
    assert_eq!(
        events[5]["content_block"],
        json!({"type": "redacted_thinking", "data": "cirque:responses:enc"})
    );
    let cited = events.iter().find(|event| event["delta"]["type"] == "citations_delta");
    assert_eq!(cited.unwrap()["delta"]["citation"]["url"], "https://x");
    let starts = events.iter().filter(|event| event["type"] == "content_block_start");
    let indexes: Vec<_> = starts.map(|event| event["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    let end = &events[events.len() - 2];
    assert_eq!(
        end["delta"],
        json!({"stop_reason": "stop_sequence", "stop_sequence": "END"})
    );
    assert_eq!(end["usage"]["output_tokens"], 0);
}

#[test]
fn a_broken_stream_ends_in_an_error_event() {
    let mut out = Vec::new();
    let error = GatewayError::new(ErrorKind::ProviderTimeout, "too slow").because("SECRET");
    Messages
        .writer(&Request::default(), Reply::default())
        .fail(&error, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"too slow\"}}\n\n"
    );
}

/// Every place in the document where a value stands, and what else could stand there.
fn mistype(value: &mut Value, at: &mut usize, by: &Value) {
    if *at == 0 {
        *value = by.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mistype(item, at, by)),
        Value::Object(members) => members.values_mut().for_each(|member| mistype(member, at, by)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn no_request_makes_it_panic(at in 0..220usize, by in 0..6usize, cut in any::<prop::sample::Index>(), flip: u8) {
        let others = [json!(null), json!([]), json!({}), json!("x"), json!(-1.5), json!([{"type": "text"}])];
        let mut body = full();
        mistype(&mut body, &mut at.clone(), &others[by]);
        let mut bytes = body.to_string().into_bytes();
        if let Ok(node) = Node::parse(&bytes, 64) {
            let _ = Messages.read(&node, true);
        }
        let index = cut.index(bytes.len());
        bytes[index] ^= flip;
        if let Ok(node) = Node::parse(&bytes, 64) {
            let _ = Messages.read(&node, true);
        }
    }
}
