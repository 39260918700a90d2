//! The client's side: what is read, which errors name which field, and what is written.

mod written;

use super::*;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Builtin, Cache, Effort, Format, Media, MediaKind, Part, Role, Signature, Source, Tool, ToolCallKind, ToolChoice,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn with<T>(body: &Value, check: impl FnOnce(Result<Request<'_>, Invalid>) -> T) -> T {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    check(Chat.read(&node, false))
}

fn user(content: Value) -> Value {
    json!({"messages":[{"role":"user","content":content}]})
}

#[test]
fn every_kind_of_content_is_read() {
    let body = user(json!([
        {"type":"text","text":"t","cache_control":{"type":"ephemeral","ttl":"1h"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,aGk=","detail":"low"}},
        {"type":"image_url","image_url":"https://i"},
        {"type":"input_audio","input_audio":{"data":"aGk=","format":"mp3"}},
        {"type":"file","file":{"file_data":"aGk=","filename":"A.PDF"}},
        {"type":"file","file":{"file_id":"file-1"}},
        {"type":"video_url","video_url":{"url":"https://v"}},
    ]));
    with(&body, |request| {
        let request = request.unwrap();
        let parts = &request.messages[0].parts;
        assert!(matches!(
            &parts[0],
            Part::Text {
                cache: Some(Cache::OneHour),
                ..
            }
        ));
        let media: Vec<&Media<'_>> = parts
            .iter()
            .filter_map(|p| if let Part::Media(m) = p { Some(m) } else { None })
            .collect();
        let kinds: Vec<_> = media.iter().map(|m| (m.kind, m.media_type.as_deref())).collect();
        use MediaKind::{Audio, Document, Image, Video};
        assert_eq!(
            kinds,
            [
                (Image, Some("image/png")),
                (Image, None),
                (Audio, Some("audio/mpeg")),
                (Document, Some("application/pdf")),
                (Document, None),
                (Video, None),
            ]
        );
        assert_eq!(media[0].detail.as_deref(), Some("low"));
        assert!(matches!(
            &media[4].source,
            Source::File {
                dialect: Dialect::OpenAi,
                ..
            }
        ));
    });
}

#[test]
fn a_conversation_with_calls_thoughts_and_legacy_functions() {
    let body = json!({"messages":[
        {"role":"developer","content":"d"},
        {"role":"assistant","content":"","reasoning_content":"r","tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":""},
             "extra_content":{"google":{"thought_signature":"cirque:gemini:sig"}}},
            {"id":"b","type":"custom","custom":{"name":"c","input":"free"}}]},
        {"role":"tool","tool_call_id":"a","content":"1"},
        {"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"2"}]},
        {"role":"assistant","content":null},
        {"role":"assistant","reasoning_details":[
            {"type":"reasoning.text","text":"x","index":0},
            {"type":"reasoning.text","text":"y","index":0},
            {"type":"reasoning.text","signature":"cirque:anthropic:s","index":0},
            {"type":"reasoning.encrypted","data":"d","format":"openai-responses-v1","id":"rs","index":1}],
         "function_call":{"name":"g","arguments":"{}"}},
        {"role":"function","name":"g","content":"3"}]});
    with(&body, |request| {
        let request = request.unwrap();
        let roles: Vec<_> = request.messages.iter().map(|m| m.role).collect();
        assert_eq!(
            roles,
            [
                Role::Developer,
                Role::Assistant,
                Role::User,
                Role::Assistant,
                Role::User
            ]
        );
        let Part::ToolCall(call) = &request.messages[1].parts[1] else {
            panic!()
        };
        assert_eq!(
            (call.arguments.as_ref(), call.signature.as_ref()),
            ("{}", Some(&Signature::new(Dialect::Gemini, "sig")))
        );
        assert_eq!(request.messages[2].parts.len(), 2);
        assert!(matches!(&request.messages[2].parts[1], Part::ToolResult(r) if r.kind == ToolCallKind::Custom));
        let Part::Thinking(thinking) = &request.messages[3].parts[0] else {
            panic!()
        };
        assert_eq!(thinking.text, "xy");
        assert_eq!(thinking.signature, Some(Signature::new(Dialect::Anthropic, "s")));
        let Part::Thinking(hidden) = &request.messages[3].parts[1] else {
            panic!()
        };
        assert!(hidden.redacted && hidden.signature == Some(Signature::new(Dialect::Responses, "d")));
        let (Part::ToolCall(call), Part::ToolResult(result)) =
            (&request.messages[3].parts[2], &request.messages[4].parts[0])
        else {
            panic!()
        };
        assert_eq!(call.id, result.call_id);
    });
}

#[test]
fn settings_of_every_dialect_of_this_shape() {
    let body = json!({"messages":[{"role":"user","content":"x"}],"max_tokens":1,"max_completion_tokens":2,"stop":["a","b"],
        "stream_options":{"include_usage":true},"reasoning":{"max_tokens":5000,"exclude":true},"web_search_options":{},
        "functions":[{"name":"f"}],"function_call":{"name":"f"},"modalities":["TEXT","Image"],"metadata":{"k":"v","n":1},
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}},
        "prediction":{"type":"content","content":"x"},"top_k":null});
    with(&body, |request| {
        let request = request.unwrap();
        assert_eq!(request.sampling.max_tokens, Some(2));
        assert_eq!(request.sampling.stop, ["a", "b"]);
        assert!(request.stream_usage && request.modalities == ["image"]);
        assert!(matches!(
            &request.tools[1],
            Tool::Builtin {
                kind: Builtin::WebSearch,
                ..
            }
        ));
        assert_eq!(request.tool_choice, Some(ToolChoice::Function("f".into())));
        let reasoning = request.reasoning.unwrap();
        assert_eq!(
            (reasoning.effort_for(), reasoning.show),
            (Some(Effort::Medium), Some(false))
        );
        assert!(matches!(request.format, Format::Schema { strict: Some(true), .. }));
        assert_eq!(request.metadata[1], ("n".into(), "1".into()));
        assert_eq!(
            (request.extras.len(), request.extras[0].key.as_ref()),
            (1, "prediction")
        );
    });
    for (choice, want) in [
        (json!("any"), ToolChoice::Required),
        (
            json!({"type":"function","function":{"name":"f"}}),
            ToolChoice::Function("f".into()),
        ),
        (
            json!({"type":"custom","custom":{"name":"f"}}),
            ToolChoice::Function("f".into()),
        ),
        (
            json!({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}),
            ToolChoice::Allowed {
                names: vec!["f".into()],
                required: true,
            },
        ),
    ] {
        let mut body = user(json!("x"));
        body["tool_choice"] = choice;
        with(&body, |request| assert_eq!(request.unwrap().tool_choice, Some(want)));
    }
}

#[test]
fn errors_name_the_field() {
    let call = json!({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f"}}]});
    let cases = [
        (json!([]), ""),
        (json!({}), "messages"),
        (json!({"messages":[]}), "messages"),
        (json!({"messages":{}}), "messages"),
        (json!({"messages":[1]}), "messages[0]"),
        (json!({"messages":[{"role":"king","content":"x"}]}), "messages[0].role"),
        (json!({"messages":[{"role":"user"}]}), "messages[0].content"),
        (user(json!(3)), "messages[0].content"),
        (user(json!([{"type":"hologram"}])), "messages[0].content[0].type"),
        (user(json!([{"type":"text"}])), "messages[0].content[0].text"),
        (
            user(json!([{"type":"image_url","image_url":{"url":"data:image/png;base64,#"}}])),
            "messages[0].content[0].image_url.url",
        ),
        (
            user(json!([{"type":"input_audio","input_audio":{"data":"a","format":"wav"}}])),
            "messages[0].content[0].input_audio.data",
        ),
        (user(json!([{"type":"file","file":{}}])), "messages[0].content[0].file"),
        (
            json!({"messages":[{"role":"tool","tool_call_id":"x","content":"y"}]}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"messages":[{"role":"function","name":"x","content":"y"}]}),
            "messages[0].name",
        ),
        (json!({"messages":[call]}), "messages[0].tool_calls[0].id"),
    ];
    for (body, path) in cases {
        with(&body, |request| assert_eq!(request.unwrap_err().path, path, "{body}"));
    }
    for (key, value, path) in [
        (
            "tools",
            json!([{"type":"function","function":{}}]),
            "tools[0].function.name",
        ),
        (
            "tools",
            json!([{"type":"function","function":{"name":"f","parameters":[]}}]),
            "tools[0].function.parameters",
        ),
        ("tool_choice", json!("maybe"), "tool_choice"),
        ("tool_choice", json!({"type":"function"}), "tool_choice.function"),
        ("temperature", json!("hot"), "temperature"),
        ("n", json!(-1), "n"),
        ("stop", json!([1]), "stop[0]"),
        (
            "response_format",
            json!({"type":"json_schema"}),
            "response_format.json_schema",
        ),
        (
            "response_format",
            json!({"type":"json_schema","json_schema":{"name":"x"}}),
            "response_format.json_schema.schema",
        ),
        ("reasoning_effort", json!("much"), "reasoning_effort"),
        ("reasoning", json!({"effort":1}), "reasoning.effort"),
        ("thinking", json!({"type":"x"}), "thinking.type"),
        (
            "stream_options",
            json!({"include_usage":1}),
            "stream_options.include_usage",
        ),
        ("metadata", json!([]), "metadata"),
    ] {
        let mut body = user(json!("x"));
        body[key] = value;
        with(&body, |request| assert_eq!(request.unwrap_err().path, path, "{body}"));
    }
}

fn whole_request() -> Value {
    json!({"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://x"}}]},
        {"role":"assistant","content":"c","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}],
         "reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s","index":0}]},
        {"role":"tool","tool_call_id":"a","content":"r"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto",
        "response_format":{"type":"json_object"},"reasoning":{"effort":"low"},"stop":"x","stream_options":{"include_usage":true}})
}

proptest! {
    #[test]
    fn damaged_requests_never_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = whole_request().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(node) = Node::parse(&bytes, 64) {
            let _ = Chat.read(&node, true).map(|_| ());
            let _ = Completions.read(&node, true).map(|_| ());
            let _ = Chat.read_embed(&node).map(|_| ());
        }
    }

    #[test]
    fn mistyped_requests_are_read_or_refused_with_a_path(pick in any::<prop::sample::Index>(), odd in 0..6usize) {
        let values = [json!(true), json!(-1.5), json!("x"), json!([]), json!({}), json!([[1]])];
        let mut body = whole_request();
        let mut spots = Vec::new();
        paths(&body, String::new(), &mut spots);
        let spot = &spots[pick.index(spots.len())];
        *body.pointer_mut(spot).unwrap() = values[odd].clone();
        with(&body, |request| {
            if let Err(invalid) = request {
                assert!(!invalid.path.is_empty(), "{spot}: {invalid}");
            }
        });
    }
}

fn paths(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, value)| paths(value, format!("{at}/{key}"), all)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, value)| paths(value, format!("{at}/{i}"), all)),
        _ => {}
    }
    if !at.is_empty() {
        all.push(at);
    }
}
