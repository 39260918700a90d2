//! Requests of other dialects: arranged, and what did not fit is named.

use super::*;

fn user(parts: Vec<Part<'static>>) -> Message<'static> {
    message(Role::User, parts)
}

fn message(role: Role, parts: Vec<Part<'static>>) -> Message<'static> {
    Message {
        role,
        name: None,
        parts,
    }
}

fn call(id: &'static str, arguments: &'static str) -> Part<'static> {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
        kind: ToolCallKind::Function,
        signature: None,
        cache: None,
    })
}

fn result(id: &'static str) -> Part<'static> {
    Part::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts: vec![Part::text("done")],
        is_error: false,
        kind: ToolCallKind::Function,
        cache: None,
    })
}

fn function(name: &'static str) -> Tool<'static> {
    Tool::Function(Function {
        name: name.into(),
        ..Function::default()
    })
}

fn simple() -> Request<'static> {
    Request {
        messages: vec![user(vec![Part::text("hi")])],
        ..Request::default()
    }
}

fn encode(request: &Request<'_>, model: &str) -> (Value, String, Encoding) {
    let made = DIRECT.encode(request, aim(model)).unwrap();
    let body = serde_json::from_slice(&made.body).unwrap();
    (body, made.dropped.header(), made)
}

#[test]
fn a_conversation_is_arranged() {
    let request = Request {
        messages: vec![
            message(Role::System, vec![Part::text("s1")]),
            message(Role::Developer, vec![Part::text("s2")]),
            message(Role::Assistant, vec![Part::text("hello")]),
            user(vec![Part::text("a"), Part::text(" \n")]),
            message(Role::Assistant, vec![Part::text("")]),
            user(vec![Part::text("b")]),
            message(Role::Assistant, vec![call("call:1", "{\"x\":"), call("c2", "")]),
            user(vec![Part::text("first"), result("call:1")]),
            user(vec![result("c2")]),
            message(Role::System, vec![Part::text("s3")]),
            message(Role::Assistant, vec![Part::text("so: ")]),
        ],
        ..Request::default()
    };
    let (body, dropped, _) = encode(&request, "claude-sonnet-4-5");
    assert_eq!(
        body["system"],
        json!([{"type":"text","text":"s1"},{"type":"text","text":"s2"},{"type":"text","text":"s3"}])
    );
    let turns = body["messages"].as_array().unwrap();
    let roles: Vec<_> = turns.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "user", "assistant"]);
    assert_eq!(turns[2]["content"].as_array().unwrap().len(), 2);
    let id = turns[3]["content"][0]["id"].as_str().unwrap();
    assert_ne!(id, "call:1");
    assert_eq!(turns[3]["content"][0]["input"], json!({"_raw": "{\"x\":"}));
    assert_eq!(turns[3]["content"][1]["input"], json!({}));
    let answers = turns[4]["content"].as_array().unwrap();
    let kinds: Vec<_> = answers.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tool_result", "tool_result", "text"]);
    assert_eq!(answers[0]["tool_use_id"], id);
    assert_eq!(turns[5]["content"][0]["text"], "so:");
    assert_eq!(body["max_tokens"], 32_000);
    assert!(
        dropped.contains("messages[9] (position of a system message)"),
        "{dropped}"
    );
    assert!(
        dropped.contains("messages[0] (an assistant's first message"),
        "{dropped}"
    );
}

#[test]
fn a_later_system_message_stays_where_the_model_takes_it() {
    let system = || message(Role::System, vec![Part::text("now")]);
    let said = || message(Role::Assistant, vec![Part::text("so")]);
    let asked = || user(vec![Part::text("q")]);
    let roles = |messages: Vec<Message<'static>>, model: &str| {
        let request = Request {
            messages,
            ..Request::default()
        };
        let (body, dropped, _) = encode(&request, model);
        let turns = body["messages"].as_array().unwrap().iter();
        let roles: Vec<_> = turns.map(|turn| turn["role"].as_str().unwrap().to_owned()).collect();
        (roles.join(" "), dropped.contains("position of a system message"))
    };
    let stays = || vec![asked(), system(), said(), asked(), system()];
    assert_eq!(
        roles(stays(), "claude-opus-4-8"),
        ("user system assistant user system".to_owned(), false)
    );
    assert_eq!(
        roles(stays(), "claude-opus-4-7"),
        ("user assistant user".to_owned(), true)
    );
    let between = vec![asked(), system(), asked(), said(), system(), asked()];
    assert_eq!(
        roles(between, "claude-opus-5"),
        ("user assistant user".to_owned(), true)
    );
}

#[test]
fn vertex_and_bedrock_fetch_nothing() {
    let image = Part::Media(crate::wire::canonical::Media::new(
        crate::wire::canonical::MediaKind::Image,
        crate::wire::canonical::Source::Url("https://x/y.png".into()),
        None,
    ));
    let mut request = simple();
    request.messages[0].parts.push(image);
    let (body, dropped, _) = encode(&request, "claude-opus-4-8");
    assert_eq!(
        (body["messages"][0]["content"][1]["type"].as_str(), dropped.as_str()),
        (Some("image"), "")
    );
    let vertex = AnthropicCodec {
        variant: Variant::Vertex,
    };
    let made = vertex.encode(&request, aim("claude-opus-4-8")).unwrap();
    assert_eq!(made.dropped.header(), "messages[0].content[1] (image by address)");
}

#[test]
fn a_system_prompt_alone_is_asked_by_the_user() {
    let mut request = simple();
    request.messages = vec![message(Role::System, vec![Part::text("Write a haiku.")])];
    let (body, dropped, _) = encode(&request, "claude-opus-4-5");
    assert_eq!(body["messages"][0]["content"][0]["text"], "Write a haiku.");
    assert!(body.get("system").is_none() && !dropped.is_empty());
    request.messages.clear();
    assert!(matches!(
        DIRECT.encode(&request, aim("claude-opus-4-5")),
        Err(Unfit::Request { .. })
    ));
    request.previous_response_id = Some("resp_1".into());
    assert!(DIRECT.encode(&request, aim("claude-opus-4-5")).is_err());
}

#[test]
fn what_the_api_has_not_is_named() {
    let mut request = simple();
    request.sampling.n = Some(2);
    request.sampling.seed = Some(1);
    request.sampling.temperature = Some(1.7);
    request.sampling.top_p = Some(0.5);
    request.sampling.stop = vec!["\n".into(), "END".into()];
    request.store = Some(true);
    request.metadata = vec![("a".into(), "b".into())];
    request.service_tier = Some("flex".into());
    request.extras = vec![Extra {
        dialect: Dialect::Gemini,
        key: "safetySettings".into(),
        raw: "[]".into(),
    }];
    let (body, dropped, _) = encode(&request, "claude-sonnet-4-5");
    assert_eq!(body["temperature"], 1.0);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert!(body.get("top_p").is_none());
    for name in [
        "n",
        "seed",
        "temperature (at most 1)",
        "top_p",
        "stop[0] (blank)",
        "store",
        "metadata",
    ] {
        assert!(dropped.contains(name), "{name}: {dropped}");
    }
    assert!(dropped.contains("service_tier") && dropped.contains("safetySettings"));
    let (body, _, _) = encode(&request, "claude-opus-4-8");
    assert!(body.get("temperature").is_none());
}

#[test]
fn thinking_of_others_and_unsigned_turns() {
    let thought = |origin| {
        Part::Thinking(Thinking {
            text: "hm".into(),
            signature: Some(Signature::new(origin, "sig")),
            ..Thinking::default()
        })
    };
    let mut request = simple();
    request.reasoning = Some(Reasoning {
        effort: Some(Effort::Medium),
        ..Reasoning::default()
    });
    for (origin, thinks) in [(Dialect::Anthropic, true), (Dialect::Gemini, false)] {
        request.messages.truncate(1);
        request
            .messages
            .push(message(Role::Assistant, vec![thought(origin), call("c", "{}")]));
        request.messages.push(user(vec![result("c")]));
        let (body, dropped, _) = encode(&request, "claude-sonnet-4-5");
        assert_eq!(body.get("thinking").is_some(), thinks, "{body}");
        assert_eq!(dropped.contains("thinking of another vendor"), !thinks, "{dropped}");
        assert_eq!(dropped.contains("the turn it continues"), !thinks, "{dropped}");
        // By effort, models take a turn without its thinking.
        let (body, _, _) = encode(&request, "claude-opus-4-6");
        assert_eq!(body["thinking"], json!({"type": "adaptive"}));
        assert_eq!(body["output_config"], json!({"effort": "medium"}));
    }
}

#[test]
fn a_structured_answer_is_native_or_a_tool() {
    let mut request = simple();
    request.format = Format::Schema {
        name: Some("n".into()),
        description: None,
        schema: r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}"#.into(),
        strict: Some(true),
    };
    let (body, dropped, _) = encode(&request, "claude-haiku-4-5");
    assert_eq!(
        body["output_config"]["format"],
        json!({"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}})
    );
    assert_eq!(dropped, "response_format.schema (minimum)");

    let (body, dropped, made) = encode(&request, "claude-sonnet-4-20250514");
    assert_eq!(body["tool_choice"]["name"], "structured_answer");
    assert_eq!(made.expect.structured_tool.as_deref(), Some("structured_answer"));
    assert!(dropped.is_empty());
    let answer = br#"{"id":"m","content":[{"type":"tool_use","id":"t","name":"structured_answer","input":{"a": 1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let node = Node::parse(answer, 16).unwrap();
    let response = DIRECT.decode(&node, &made.expect).unwrap();
    assert_eq!(response.candidates[0].parts, [Part::text("{\"a\": 1}")]);
    assert_eq!(response.candidates[0].finish, Some(Finish::Stop));
    let datas = lines(&[
        r#"{"type":"message_start","message":{"id":"m"}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"structured_answer","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":" 1}"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":1,"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let streamed = fold_with(made.expect.clone(), &datas);
    assert_eq!(essence(streamed.response()), essence(&response));

    request.tools = vec![function("f")];
    let (body, _, _) = encode(&request, "claude-sonnet-4-20250514");
    assert_eq!(
        body["tool_choice"],
        json!({"type": "any", "disable_parallel_tool_use": true})
    );
    let own = br#"{"content":[{"type":"tool_use","id":"t","name":"f","input":{}}],"stop_reason":"tool_use"}"#;
    let own = Node::parse(own, 16).unwrap();
    let response = DIRECT.decode(&own, &made.expect).unwrap();
    assert_eq!(response.candidates[0].finish, Some(Finish::ToolCalls));
    request.format = Format::Json;
    let (body, dropped, _) = encode(&request, "claude-sonnet-4-5");
    assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON") && !dropped.is_empty());
}

#[test]
fn tools_are_renamed_there_and_back_and_free_text_is_unwrapped() {
    let mut request = simple();
    request.tools = vec![
        function("mcp.tool"),
        Tool::Custom {
            name: "apply_patch".into(),
            description: None,
            format: None,
        },
    ];
    request.tool_choice = Some(ToolChoice::Function("apply_patch".into()));
    request.parallel_tool_calls = Some(false);
    let (body, dropped, made) = encode(&request, "claude-sonnet-4-5");
    assert_eq!(dropped, "");
    let theirs = body["tools"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(
        body["tools"][0]["input_schema"],
        json!({"type": "object", "properties": {}})
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type": "tool", "name": "apply_patch__text", "disable_parallel_tool_use": true})
    );
    let start = |name: &str, index: u32| {
        format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":"t{index}","name":"{name}","input":{{}}}}}}"#
        )
    };
    let (first, second) = (start(&theirs, 0), start("apply_patch__text", 1));
    let datas = lines(&[
        r#"{"type":"message_start","message":{"id":"m"}}"#,
        &first,
        &second,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"input\": \"a\\"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"nb\"}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let folded = fold_with(made.expect, &datas);
    let calls: Vec<_> = folded.response().candidates[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolCall(call) => (call.name.as_ref(), call.arguments.as_ref(), call.kind),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        calls,
        [
            ("mcp.tool", "{}", ToolCallKind::Function),
            ("apply_patch", "a\nb", ToolCallKind::Custom)
        ]
    );
}

#[test]
fn cache_markers_files_and_headers() {
    let text = r#"{"max_tokens":5,"cache_control":{"type":"ephemeral"},"mcp_servers":[{"name":"m"}],
        "output_config":{"task_budget":{"total":9}},
        "messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_1"},"title":"t","citations":{"enabled":true}},{"type":"text","text":"q"}]}]}"#;
    let node = Node::parse(text.as_bytes(), 16).unwrap();
    let request = Messages.read(&node, false).unwrap();
    let (body, _, made) = encode(&request, "claude-sonnet-4-5");
    assert_eq!(body["cache_control"], json!({"type": "ephemeral"}));
    assert_eq!(body["output_config"], json!({"task_budget": {"total": 9}}));
    assert_eq!(made.headers[0].1, "files-api-2025-04-14,mcp-client-2025-04-04");
    let vertex = AnthropicCodec {
        variant: Variant::Vertex,
    };
    let made = vertex.encode(&request, aim("claude-sonnet-4-5")).unwrap();
    let body: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(
        body["messages"][0]["content"][0]["cache_control"],
        json!({"type": "ephemeral"})
    );
    assert!(body.get("cache_control").is_none() && body.get("model").is_none());
    assert_eq!(request.cache, Some(Cache::Default));
}
