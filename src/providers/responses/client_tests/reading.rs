//! Requests read.

use super::*;

fn refused(body: &Value) -> (String, String) {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let invalid = Responses.read(&node, false).unwrap_err();
    (invalid.path.clone(), invalid.to_string())
}

#[test]
fn items_of_one_turn_are_one_message() {
    let body = json!({"model": "m", "instructions": "be brief", "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
         "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "one", "annotations": []}, {"type": "refusal", "refusal": "no"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "free"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "x"},
         {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
        {"role": "user", "content": [{"type": "input_file", "file_data": "aGk=", "filename": "a.PDF"},
         {"type": "input_image", "file_id": "file-1", "detail": "low"}, {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
         {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}}]}
    ]});
    read(&body, |request| {
        let roles: Vec<Role> = request.messages.iter().map(|m| m.role).collect();
        assert_eq!(
            roles,
            [Role::System, Role::User, Role::Assistant, Role::User, Role::User]
        );
        let turn = &request.messages[2].parts;
        assert_eq!(turn.len(), 6);
        let Part::Thinking(thinking) = &turn[0] else { panic!() };
        assert_eq!(
            (thinking.text.as_ref(), thinking.id.as_deref()),
            ("a\n\nb", Some("rs_1"))
        );
        assert_eq!(thinking.signature, Some(Signature::new(Dialect::Responses, "gAAA")));
        assert!(matches!(&turn[3], Part::Opaque { kind, .. } if kind == "web_search_call"));
        assert!(
            matches!(&turn[5], Part::ToolCall(call) if call.kind == ToolCallKind::Custom && call.arguments == "free")
        );
        let results = &request.messages[3].parts;
        assert_eq!(results.len(), 2);
        let Part::ToolResult(second) = &results[1] else {
            panic!()
        };
        assert!(matches!(&second.parts[1], Part::Media(image) if image.media_type.as_deref() == Some("image/png")));
        let user = &request.messages[4].parts;
        assert!(matches!(&user[0], Part::Media(pdf) if pdf.kind == MediaKind::Document
            && pdf.media_type.as_deref() == Some("application/pdf")));
        assert!(
            matches!(&user[1], Part::Media(image) if matches!(&image.source, Source::File { id, .. } if id == "file-1"))
        );
        assert!(matches!(&user[2], Part::Media(sound) if sound.kind == MediaKind::Audio));
        assert!(matches!(
            &user[3],
            Part::Text {
                cache: Some(Cache::Default),
                ..
            }
        ));
        assert!(!needs_state(&request));
    });
}

#[test]
fn settings_are_read() {
    let body = json!({"model": "m", "input": "hi", "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true}, {"type": "custom", "name": "g"},
            {"type": "web_search_preview"}, {"type": "code_interpreter", "container": {"type": "auto"}}, {"type": "mcp", "server_label": "x"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}, "verbosity": "high"},
        "reasoning": {"effort": "high", "summary": "detailed", "mode": "pro"}, "top_logprobs": 2,
        "include": ["reasoning.encrypted_content", "web_search_call.results"], "max_output_tokens": 100, "max_tool_calls": 3,
        "parallel_tool_calls": false, "store": false, "metadata": {"a": "b"}, "service_tier": "flex", "user": "u",
        "safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h", "truncation": "auto",
        "background": true, "stream_options": {"include_obfuscation": false}, "temperature": 1, "top_p": 0.5, "novel": {"x": 1}});
    read(&body, |request| {
        let kinds = request.tools.iter().filter_map(|tool| match tool {
            Tool::Builtin { kind, .. } => Some(*kind),
            _ => None,
        });
        assert_eq!(
            kinds.collect::<Vec<_>>(),
            [Builtin::WebSearch, Builtin::CodeExecution, Builtin::Other]
        );
        assert!(matches!(&request.tools[0], Tool::Function(f) if f.strict == Some(true)));
        assert_eq!(
            request.tool_choice,
            Some(ToolChoice::Allowed {
                names: vec!["f".into()],
                required: true
            })
        );
        assert!(matches!(&request.format, Format::Schema { strict: Some(true), .. }));
        let reasoning = request.reasoning.as_ref().unwrap();
        assert_eq!(
            (reasoning.effort, reasoning.encrypted, reasoning.show),
            (Some(Effort::High), true, Some(true))
        );
        assert_eq!(request.user.as_deref(), Some("s"));
        assert_eq!(
            (request.sampling.max_tokens, request.sampling.logprobs),
            (Some(100), Some(true))
        );
        let extras: Vec<_> = request
            .extras
            .iter()
            .map(|e| (e.key.as_ref(), e.raw.as_ref()))
            .collect();
        for extra in [
            ("reasoning.mode", "\"pro\""),
            ("include", "[\"web_search_call.results\"]"),
            ("max_tool_calls", "3"),
            ("truncation", "\"auto\""),
            ("background", "true"),
            ("novel", "{\"x\":1}"),
        ] {
            assert!(extras.contains(&extra), "{extra:?} {extras:?}");
        }
        assert_eq!(extras.len(), 7, "{extras:?}");
    });
    for (choice, wanted) in [
        (json!("required"), ToolChoice::Required),
        (json!({"type": "custom", "name": "g"}), ToolChoice::Function("g".into())),
    ] {
        read(&json!({"input": "x", "tool_choice": choice}), |request| {
            assert_eq!(request.tool_choice, Some(wanted));
        });
    }
    for choice in [
        json!({"type": "mcp", "server_label": "x"}),
        json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]}),
    ] {
        read(&json!({"input": "x", "tool_choice": choice}), |request| {
            assert!(matches!(request.tool_choice, Some(ToolChoice::Opaque { .. })));
        });
    }
}

#[test]
fn what_is_kept_elsewhere_is_recognised() {
    let output = json!([{"type": "function_call_output", "call_id": "c", "output": "x"}]);
    for body in [
        json!({"previous_response_id": "resp_1", "input": output}),
        json!({"conversation": "conv_1", "input": output}),
        json!({"prompt": {"id": "pmpt_1"}}),
        json!({"input": [{"type": "item_reference", "id": "msg_1"}, output[0]]}),
        json!({"input": [{"id": "fc_1"}, output[0]]}),
    ] {
        assert!(read(&body, |request| needs_state(&request)), "{body}");
    }
}

#[test]
fn mistakes_are_named_by_their_path() {
    let item = |item: Value| json!({"input": [{"role": "user", "content": "x"}, item]});
    for (body, path) in [
        (json!({"model": "m"}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": 7}), "input"),
        (item(json!("x")), "input[1]"),
        (item(json!({"type": "novel"})), "input[1].type"),
        (item(json!({"role": "tool", "content": "x"})), "input[1].role"),
        (item(json!({"role": "user"})), "input[1].content"),
        (
            item(json!({"role": "user", "content": [{"type": "text", "text": "x"}]})),
            "input[1].content[0].type",
        ),
        (
            item(json!({"role": "user", "content": [{"type": "input_image"}]})),
            "input[1].content[0].image_url",
        ),
        (
            item(json!({"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,#"}]})),
            "input[1].content[0].image_url",
        ),
        (
            item(json!({"type": "function_call_output", "call_id": "c", "output": "x"})),
            "input[1].call_id",
        ),
        (
            item(json!({"type": "function_call", "call_id": "", "name": "f", "arguments": ""})),
            "input[1].call_id",
        ),
        (
            item(json!({"type": "function_call", "call_id": "c", "name": "f"})),
            "input[1].arguments",
        ),
        (item(json!({"type": "reasoning", "summary": "x"})), "input[1].summary"),
        (
            item(json!({"type": "reasoning", "summary": [], "encrypted_content": "cirque:gemini:x:{]#part"})),
            "input[1].encrypted_content",
        ),
        (json!({"input": "x", "tools": [{"type": "function"}]}), "tools[0].name"),
        (
            json!({"input": "x", "tools": [{"type": "function", "name": "f", "parameters": []}]}),
            "tools[0].parameters",
        ),
        (json!({"input": "x", "tool_choice": "any"}), "tool_choice"),
        (
            json!({"input": "x", "text": {"format": {"type": "yaml"}}}),
            "text.format.type",
        ),
        (json!({"input": "x", "text": {"verbosity": "loud"}}), "text.verbosity"),
        (json!({"input": "x", "reasoning": {"effort": 3}}), "reasoning.effort"),
        (
            json!({"input": "x", "reasoning": {"effort": "huge"}}),
            "reasoning.effort",
        ),
        (json!({"input": "x", "metadata": {"a": 1}}), "metadata.a"),
        (json!({"input": "x", "include": [1]}), "include[0]"),
        (json!({"input": "x", "max_output_tokens": -1}), "max_output_tokens"),
        (json!({"input": "x", "background": "yes"}), "background"),
    ] {
        let (found, message) = refused(&body);
        assert_eq!(found, path, "{message}");
    }
}

#[test]
fn tools_of_a_namespace_are_tools_with_its_name() {
    let body = json!({"input": [{"role": "user", "content": "x"},
            {"type": "function_call", "call_id": "c", "namespace": "files", "name": "list", "arguments": "{}"}],
        "tools": [{"type": "namespace", "name": "files", "description": "About files.",
            "tools": [{"type": "function", "name": "list"}, {"type": "custom", "name": "edit", "description": "Edit."}]}]});
    read(&body, |request| {
        assert_eq!(request.tools.len(), 2);
        assert!(matches!(&request.tools[0], Tool::Function(f) if f.name == "files::list"
            && f.description.as_deref() == Some("About files.")));
        assert!(matches!(&request.tools[1], Tool::Custom { name, .. } if name == "files::edit"));
        assert!(matches!(&request.messages[1].parts[0], Part::ToolCall(call) if call.name == "files::list"));
        let mut answer = answer();
        answer.candidates[0].parts = request.messages[1].parts.iter().map(Part::to_static).collect();
        let mut out = Vec::new();
        writer(&request).whole(&answer, &mut out);
        let whole: Value = serde_json::from_slice(&out).unwrap();
        let item = &whole["output"][0];
        assert_eq!((&item["namespace"], &item["name"]), (&json!("files"), &json!("list")));
    });
    let (path, _) =
        refused(&json!({"input": "x", "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}));
    assert_eq!(path, "tools[0].tools[0].name");
}

#[test]
fn a_string_alone_is_a_user_message() {
    read(&json!({"input": "hi"}), |request| {
        assert_eq!(request.messages.len(), 1);
        assert_eq!(
            (request.messages[0].role, &request.messages[0].parts),
            (Role::User, &vec![Part::text("hi")])
        );
        assert!(request.extras.is_empty() && request.reasoning.is_none() && request.stream_usage);
    });
}

/// The wire shape of Codex CLI: instructions, a developer message, bare items without ids, `null` members.
#[test]
fn a_turn_of_codex_is_read() {
    let body = json!({"model": "m", "instructions": "You are Codex.", "store": false, "stream": true, "parallel_tool_calls": true,
        "tool_choice": "auto", "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k", "text": {"verbosity": "medium"}, "service_tier": null,
        "tools": [{"type": "function", "name": "exec_command", "description": "Run.", "strict": false,
                "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "additionalProperties": false}},
            {"type": "custom", "name": "apply_patch", "description": "Patch.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "local_shell"}, {"type": "web_search", "external_web_access": false}],
        "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
            {"type": "reasoning", "summary": [], "content": null, "encrypted_content": "cirque:anthropic:EqQB"},
            {"type": "local_shell_call", "call_id": "s1", "status": "completed", "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "function_call", "name": "exec_command", "arguments": "{\"cmd\":\"ls\"}", "call_id": "c1"},
            {"type": "function_call_output", "call_id": "s1", "output": "a"},
            {"type": "function_call_output", "call_id": "c1", "output": "b"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]}]});
    read(&body, |request| {
        let roles: Vec<Role> = request.messages.iter().map(|m| m.role).collect();
        use Role::{Assistant, Developer, System, User};
        assert_eq!(roles, [System, Developer, User, Assistant, User, Assistant, User]);
        let Part::Thinking(thinking) = &request.messages[3].parts[0] else {
            panic!()
        };
        assert_eq!(thinking.signature, Some(Signature::new(Dialect::Anthropic, "EqQB")));
        assert!(matches!(&request.messages[4].parts[0], Part::Opaque { kind, .. } if kind == "function_call_output"));
        assert!(matches!(&request.messages[4].parts[1], Part::ToolResult(result) if result.call_id == "c1"));
        assert!(request.extras.is_empty());
    });
}
