//! Requests written.

use super::*;

fn message<'a>(role: Role, parts: Vec<Part<'a>>) -> Message<'a> {
    Message {
        role,
        name: None,
        parts,
    }
}

fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Part<'a> {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        kind: ToolCallKind::Function,
        signature: None,
        cache: None,
    })
}

fn result<'a>(id: &'a str, parts: Vec<Part<'a>>) -> Part<'a> {
    Part::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts,
        is_error: false,
        kind: ToolCallKind::Function,
        cache: None,
    })
}

fn thinking(origin: Dialect, text: &str) -> Part<'_> {
    Part::Thinking(Thinking {
        text: text.into(),
        signature: Some(Signature::new(origin, "proof")),
        redacted: false,
        id: Some("rs_1".into()),
    })
}

#[test]
fn a_conversation_becomes_items_in_order() {
    let image = Media::new(
        MediaKind::Image,
        Source::Base64("aGk=".into()),
        Some("image/png".into()),
    );
    let pdf = Media::new(
        MediaKind::Document,
        Source::Base64("aGk=".into()),
        Some("application/pdf".into()),
    );
    let request = Request {
        messages: vec![
            message(Role::System, vec![Part::text("be brief")]),
            message(
                Role::User,
                vec![Part::text("look"), Part::Media(image.clone()), Part::Media(pdf)],
            ),
            message(
                Role::Assistant,
                vec![
                    thinking(Dialect::Anthropic, "not yours"),
                    thinking(Dialect::Responses, "I should call"),
                    Part::text("wait"),
                    call("call_1", "f.g", "{\"a\":1}"),
                    call("call_2", "ok", ""),
                ],
            ),
            message(
                Role::User,
                vec![
                    result("call_1", vec![Part::text("one")]),
                    result("call_2", vec![Part::text("two"), Part::Media(image)]),
                    Part::text("go on"),
                ],
            ),
        ],
        ..Request::default()
    };
    let (body, dropped) = encoded(&request, "gpt-5.5");
    assert_eq!(dropped, ["messages[2] (thinking of another vendor)"]);
    let items = body["input"].as_array().unwrap();
    let kinds: Vec<_> = items
        .iter()
        .map(|item| {
            (
                item["type"].as_str().unwrap(),
                item["role"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("message", "system"),
            ("message", "user"),
            ("reasoning", ""),
            ("message", "assistant"),
            ("function_call", ""),
            ("function_call", ""),
            ("function_call_output", ""),
            ("function_call_output", ""),
            ("message", "user"),
        ]
    );
    assert_eq!(items[1]["content"][1]["image_url"], "data:image/png;base64,aGk=");
    assert_eq!(items[1]["content"][2]["filename"], "document.pdf");
    assert_eq!(
        items[2],
        json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I should call"}],
               "encrypted_content": "proof"})
    );
    assert!(items[4]["name"].as_str().unwrap().starts_with("f_g_"));
    assert_eq!(items[5]["arguments"], "{}");
    assert_eq!(items[7]["output"][1]["type"], "input_image");
    assert_eq!(
        (&body["store"], &body["include"]),
        (&json!(false), &json!(["reasoning.encrypted_content"]))
    );
}

#[test]
fn what_the_api_lacks_is_named() {
    let request = Request {
        messages: vec![message(
            Role::User,
            vec![
                Part::Text {
                    text: "hi".into(),
                    cache: Some(Cache::OneHour),
                    citations: Vec::new(),
                    signature: None,
                },
                Part::Media(Media::new(
                    MediaKind::Audio,
                    Source::Base64("aGk=".into()),
                    Some("audio/wav".into()),
                )),
                Part::Media(Media::new(
                    MediaKind::Image,
                    Source::File {
                        dialect: Dialect::Anthropic,
                        id: "file_1".into(),
                    },
                    None,
                )),
                Part::Media(Media::new(
                    MediaKind::Document,
                    Source::Url("gs://b/a.pdf".into()),
                    None,
                )),
            ],
        )],
        sampling: Sampling {
            max_tokens: Some(1),
            temperature: Some(0.5),
            top_k: Some(4),
            seed: Some(1),
            stop: vec!["x".into()],
            n: Some(2),
            frequency_penalty: Some(1.0),
            presence_penalty: Some(0.0),
            ..Sampling::default()
        },
        user: Some("u".repeat(65).into()),
        tool_choice: Some(ToolChoice::Required),
        extras: vec![Extra {
            dialect: Dialect::Gemini,
            key: "safetySettings".into(),
            raw: "[]".into(),
        }],
        ..Request::default()
    };
    let (body, dropped) = encoded(&request, "gpt-4o");
    assert_eq!(
        dropped,
        [
            "messages[0].content[1] (audio)",
            "messages[0].content[2] (file of another vendor)",
            "messages[0].content[3] (address that is not http)",
            "tool_choice",
            "max_tokens (raised to 16)",
            "top_k",
            "frequency_penalty",
            "seed",
            "stop",
            "n",
            "user",
            "safetySettings",
        ]
    );
    assert_eq!(
        body,
        json!({"model": "gpt-4o", "max_output_tokens": 16, "temperature": 0.5, "store": false,
               "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]})
    );
}

#[test]
fn reasoning_is_asked_for_as_the_model_takes_it() {
    let with = |reasoning: Reasoning<'static>, temperature: Option<f64>| Request {
        messages: vec![message(Role::User, vec![Part::text("x")])],
        sampling: Sampling {
            temperature,
            ..Sampling::default()
        },
        reasoning: Some(reasoning),
        ..Request::default()
    };
    let budget = with(
        Reasoning {
            enabled: Some(true),
            budget: Some(8192),
            show: Some(true),
            ..Reasoning::default()
        },
        Some(1.0),
    );
    let (body, dropped) = encoded(&budget, "gpt-5");
    assert_eq!(body["reasoning"], json!({"effort": "medium", "summary": "auto"}));
    assert!(dropped.is_empty() && body["temperature"].is_null(), "{dropped:?}");
    let (body, dropped) = encoded(&budget, "gpt-4.1");
    assert!(body["reasoning"].is_null() && body["include"].is_null());
    assert_eq!(dropped, ["reasoning"]);
    let off = with(
        Reasoning {
            enabled: Some(false),
            ..Reasoning::default()
        },
        Some(0.2),
    );
    assert_eq!(encoded(&off, "o3").0["reasoning"]["effort"], "low");
    let (body, dropped) = encoded(&off, "gpt-5.1");
    assert_eq!(
        (&body["reasoning"]["effort"], &body["temperature"]),
        (&json!("none"), &json!(0.2))
    );
    assert!(dropped.is_empty());
    assert_eq!(encoded(&off, "deployment").0["reasoning"], Value::Null);
    let high = with(
        Reasoning {
            effort: Some(Effort::XHigh),
            ..Reasoning::default()
        },
        Some(0.2),
    );
    let (body, dropped) = encoded(&high, "gpt-5.2");
    assert_eq!(body["reasoning"], json!({"effort": "xhigh"}));
    assert_eq!(dropped, ["temperature"]);
}

#[test]
fn tools_formats_and_choices_are_written() {
    let function = |name: &'static str| {
        Tool::Function(Function {
            name: name.into(),
            ..Function::default()
        })
    };
    let request = Request {
        messages: vec![message(Role::User, vec![Part::text("x")])],
        tools: vec![
            function("a"),
            Tool::Custom {
                name: "patch".into(),
                description: None,
                format: Some(r#"{"type":"grammar","syntax":"lark","definition":"d"}"#.into()),
            },
            Tool::Builtin {
                kind: crate::wire::canonical::Builtin::WebSearch,
                dialect: Dialect::Anthropic,
                name: "web_search_20250305".into(),
                raw: r#"{"type":"web_search_20250305","name":"web_search","max_uses":2,"allowed_domains":["x.org"]}"#
                    .into(),
            },
            Tool::Builtin {
                kind: crate::wire::canonical::Builtin::Other,
                dialect: Dialect::Anthropic,
                name: "bash_20250124".into(),
                raw: "{}".into(),
            },
        ],
        tool_choice: Some(ToolChoice::Allowed {
            names: vec!["a".into(), "patch".into()],
            required: true,
        }),
        format: Format::Schema {
            name: None,
            description: None,
            schema: "{}".into(),
            strict: None,
        },
        verbosity: Some("low".into()),
        ..Request::default()
    };
    let (body, dropped) = encoded(&request, "gpt-4.1");
    assert_eq!(dropped, ["tools[2].max_uses", "tools[3] (bash_20250124)"]);
    assert_eq!(body["tools"][0]["strict"], false);
    assert_eq!(
        body["tools"][1]["format"],
        json!({"type": "grammar", "syntax": "lark", "definition": "d"})
    );
    assert_eq!(
        body["tools"][2],
        json!({"type": "web_search", "filters": {"allowed_domains": ["x.org"]}})
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type": "allowed_tools", "mode": "required",
               "tools": [{"type": "function", "name": "a"}, {"type": "custom", "name": "patch"}]})
    );
    assert_eq!(
        body["text"],
        json!({"format": {"type": "json_schema", "name": "answer", "schema": {}}, "verbosity": "low"})
    );
    let count = ResponsesCodec.encode_count(&request, aim("gpt-4.1")).unwrap();
    let count: Value = serde_json::from_slice(&count.body).unwrap();
    assert!(count["store"].is_null() && count["tools"].is_array());
    let counted = br#"{"object":"response.input_tokens","input_tokens":11}"#;
    let counted = ResponsesCodec.decode_count(&Node::parse(counted, 8).unwrap()).unwrap();
    assert_eq!(counted.input, 11);
}

#[test]
fn state_is_kept_apart() {
    let stateful = Request {
        previous_response_id: Some("resp_0".into()),
        ..Request::default()
    };
    let (body, _) = encoded(&stateful, "gpt-5");
    assert!(body["store"].is_null() && body["include"].is_null());
    assert_eq!(body["previous_response_id"], "resp_0");
    assert!(ResponsesCodec.encode(&Request::default(), aim("gpt-5")).is_err());
}

#[test]
fn a_failed_function_says_so_in_words() {
    let failed = |parts: Vec<Part<'static>>| {
        let Part::ToolResult(mut inner) = result("c", parts) else {
            panic!()
        };
        inner.is_error = true;
        message(Role::User, vec![Part::ToolResult(inner)])
    };
    let image = Media::new(MediaKind::Image, Source::Url("https://x/y.png".into()), None);
    let request = Request {
        messages: vec![
            failed(vec![Part::text("no such file")]),
            failed(vec![Part::text("ERROR: no such file")]),
            failed(vec![]),
            failed(vec![Part::Media(image)]),
        ],
        ..Request::default()
    };
    let (body, dropped) = encoded(&request, "gpt-5");
    let outputs: Vec<_> = body["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["output"])
        .collect();
    assert_eq!(
        outputs[..3],
        [
            &json!("Error: no such file"),
            &json!("ERROR: no such file"),
            &json!("Error")
        ]
    );
    assert_eq!(outputs[3][0], json!({"type": "input_text", "text": "Error:"}));
    assert!(dropped.is_empty());
}

#[test]
fn without_a_tool_left_there_is_no_choice() {
    let request = Request {
        messages: vec![message(Role::User, vec![Part::text("x")])],
        tools: vec![Tool::Builtin {
            kind: crate::wire::canonical::Builtin::Other,
            dialect: Dialect::Anthropic,
            name: "bash_20250124".into(),
            raw: "{}".into(),
        }],
        tool_choice: Some(ToolChoice::Auto),
        ..Request::default()
    };
    let (body, dropped) = encoded(&request, "gpt-4.1");
    assert_eq!(dropped, ["tools[0] (bash_20250124)"]);
    assert!(body["tools"].is_null() && body["tool_choice"].is_null());
}
