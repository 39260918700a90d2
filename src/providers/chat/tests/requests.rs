//! Requests for vendors: what is mapped, what is named as dropped.

use super::*;
use crate::wire::canonical::{Part, Tool, ToolCall};

fn encoded(body: Value, vendor: &str, model: &str) -> (Value, Vec<String>) {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let request = Chat.read(&node, false).unwrap();
    let aim = Aim {
        model,
        stream_usage: false,
    };
    let encoding = ChatCodec::for_vendor(vendor).encode(&request, aim).unwrap();
    let dropped = encoding.dropped.names().to_vec();
    (serde_json::from_slice(&encoding.body).unwrap(), dropped)
}

#[test]
fn vendors_are_asked_for_reasoning_each_in_its_way() {
    let ask = |vendor: &str, model: &str, effort: &str| {
        let body = json!({"messages":[{"role":"user","content":"x"}],"reasoning_effort":effort});
        let (mut made, dropped) = encoded(body, vendor, model);
        made.as_object_mut()
            .unwrap()
            .retain(|key, _| key != "messages" && key != "model");
        (made, dropped)
    };
    let none = Vec::<String>::new();
    assert_eq!(
        ask("openai", "gpt-5-mini", "max"),
        (json!({"reasoning_effort":"high"}), none.clone())
    );
    assert_eq!(
        ask("openai", "gpt-5", "none"),
        (json!({"reasoning_effort":"minimal"}), none.clone())
    );
    assert_eq!(
        ask("openai", "gpt-4o", "high"),
        (json!({}), vec!["reasoning".to_owned()])
    );
    assert_eq!(ask("openai", "gpt-4o", "none"), (json!({}), none.clone()));
    assert_eq!(
        ask("openrouter", "x", "low"),
        (json!({"reasoning":{"effort":"low"}}), none.clone())
    );
    let dashscope = json!({"enable_thinking":true,"thinking_budget":8192});
    assert_eq!(ask("dashscope", "qwen", "medium"), (dashscope, none.clone()));
    let deepseek = json!({"thinking":{"type":"enabled"},"reasoning_effort":"high"});
    assert_eq!(ask("deepseek", "x", "low"), (deepseek, none.clone()));
    assert_eq!(
        ask("zai", "x", "none"),
        (json!({"thinking":{"type":"disabled"}}), none.clone())
    );
    let vllm = json!({"chat_template_kwargs":{"enable_thinking":true,"thinking":true},"reasoning_effort":"low"});
    assert_eq!(ask("vllm", "x", "minimal"), (vllm, none.clone()));
    assert_eq!(
        ask("groq", "llama-3.3", "low"),
        (json!({}), vec!["reasoning".to_owned()])
    );
    assert_eq!(
        ask("groq", "openai/gpt-oss-20b", "low"),
        (json!({"reasoning_effort":"low"}), none)
    );
}

#[test]
fn a_free_text_tool_stays_one_at_openai_and_is_a_function_elsewhere() {
    let format = json!({"type":"grammar","grammar":{"syntax":"regex","definition":"a+"}});
    let body = json!({"messages":[{"role":"user","content":"x"},
        {"role":"assistant","tool_calls":[{"id":"abcdefghi","type":"custom","custom":{"name":"c","input":"\"a"}}]},
        {"role":"tool","tool_call_id":"abcdefghi","content":"2"}],
        "tools":[{"type":"custom","custom":{"name":"c","description":"d","format":format}}],
        "tool_choice":{"type":"custom","custom":{"name":"c"}}});
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let flat = r#"{"type":"grammar","definition":"a+","syntax":"regex"}"#;
    let read = Chat.read(&node, false).unwrap();
    assert!(matches!(&read.tools[0], Tool::Custom { format: Some(format), .. } if format == flat));
    let (made, dropped) = encoded(body.clone(), "openai", "gpt-5.1");
    assert!(dropped.is_empty());
    assert_eq!(
        (&made["tools"], &made["tool_choice"]),
        (&body["tools"], &body["tool_choice"])
    );
    assert_eq!(made["messages"][1]["tool_calls"], body["messages"][1]["tool_calls"]);
    for vendor in ["groq", "mistral", "openrouter"] {
        let (made, dropped) = encoded(body.clone(), vendor, "m");
        assert_eq!(dropped, ["tools[0].format"]);
        let function = &made["tools"][0]["function"];
        assert_eq!(
            (&function["name"], &made["tools"][0]["type"]),
            (&json!("c__text"), &json!("function"))
        );
        assert!(function["description"].as_str().unwrap().ends_with("a+"));
        let call = &made["messages"][1]["tool_calls"][0]["function"];
        assert_eq!(*call, json!({"name":"c__text","arguments":"{\"input\":\"\\\"a\"}"}));
    }
}

#[test]
fn what_a_vendor_cannot_take_is_named() {
    let body = json!({"messages":[{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
        {"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://x"}}]}],
        "top_k":3,"n":2,"verbosity":"low","parallel_tool_calls":false,"store":false,"logit_bias":{"1":2},"seed":1,
        "tools":[{"type":"custom","custom":{"name":"c"}},{"type":"function","function":{"name":"f","strict":true}}],
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}});
    let (made, dropped) = encoded(body, "deepseek", "deepseek-chat");
    let names = "messages[1].content[1] (image)|response_format (schema)|tools[1].strict|parallel_tool_calls|top_k|n|logit_bias|verbosity";
    assert_eq!(dropped.join("|"), names);
    assert_eq!(made["messages"][0], json!({"role":"system","content":"a\n\nb"}));
    assert_eq!(made["response_format"], json!({"type":"json_object"}));
    assert_eq!(made["tools"][0]["function"]["name"], "c__text");
}

#[test]
fn a_schema_becomes_a_forced_call_where_there_is_no_other_way() {
    let body = json!({"messages":[{"role":"user","content":"x"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"my answer","schema":{"type":"object"}}}});
    let (made, dropped) = encoded(body, "deepseek", "deepseek-chat");
    assert!(dropped.is_empty() && made.get("response_format").is_none());
    assert_eq!(
        made["tool_choice"]["function"]["name"],
        made["tools"][0]["function"]["name"]
    );
}

fn message(role: crate::wire::canonical::Role, parts: Vec<Part<'_>>) -> crate::wire::canonical::Message<'_> {
    crate::wire::canonical::Message {
        role,
        name: None,
        parts,
    }
}

#[test]
fn results_come_first_and_their_images_after_them() {
    use crate::wire::canonical::{Media, MediaKind, Role, Source, ToolResult};
    let call = |id: &'static str| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: "mcp.tool/with:odd name".into(),
            arguments: "{}".into(),
            kind: Default::default(),
            signature: None,
            cache: None,
        })
    };
    let result = |id: &'static str, parts, is_error| {
        Part::ToolResult(ToolResult {
            call_id: id.into(),
            name: None,
            parts,
            is_error,
            kind: Default::default(),
            cache: None,
        })
    };
    let image = Part::Media(Media::new(MediaKind::Image, Source::Url("https://i".into()), None));
    let long = "toolu_0123456789012345678901234567890123456789";
    let request = Request {
        messages: vec![
            message(Role::Assistant, vec![call(long), call("b")]),
            message(
                Role::User,
                vec![
                    Part::text("look"),
                    result(long, vec![Part::text("one"), image], false),
                    result("b", vec![Part::text("it broke")], true),
                ],
            ),
        ],
        ..Request::default()
    };
    let aim = Aim {
        model: "gpt-4o",
        stream_usage: false,
    };
    let encoding = ChatCodec::for_vendor("openai").encode(&request, aim).unwrap();
    let made: Value = serde_json::from_slice(&encoding.body).unwrap();
    let messages = made["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["assistant", "tool", "tool", "user", "user"]);
    assert_eq!(messages[0]["tool_calls"][0]["id"], messages[1]["tool_call_id"]);
    assert!(messages[1]["tool_call_id"].as_str().unwrap().len() <= 40);
    assert_eq!(messages[2]["content"], "Error: it broke");
    assert_eq!(messages[3]["content"][1]["image_url"]["url"], "https://i");
    assert_eq!(messages[4]["content"], "look");
    let name = messages[0]["tool_calls"][0]["function"]["name"].as_str().unwrap();
    assert_eq!(encoding.expect.tool_name(name), "mcp.tool/with:odd name");
}

#[test]
fn a_last_message_of_the_models_is_continued_where_that_can_be_said() {
    let body = json!({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"Once"}]});
    let last = |vendor: &str| encoded(body.clone(), vendor, "m");
    let (_, dropped) = last("openai");
    assert_eq!(dropped, ["messages[1] (going on from the last message)"]);
    assert_eq!(last("moonshot").0["messages"][1]["partial"], true);
    assert_eq!(last("mistral").0["messages"][1]["prefix"], true);
    let (made, dropped) = last("vllm");
    assert_eq!(
        (&made["continue_final_message"], &made["add_generation_prompt"]),
        (&json!(true), &json!(false))
    );
    assert!(dropped.is_empty() && last("openrouter").1.is_empty());
}

#[test]
fn a_choice_the_vendor_cannot_make_is_made_by_offering_less() {
    let tool = |name: &str| json!({"type":"function","function":{"name":name}});
    let ask = |choice: Value, vendor: &str| {
        let body =
            json!({"messages":[{"role":"user","content":"x"}],"tools":[tool("a"),tool("b")],"tool_choice":choice});
        let (made, dropped) = encoded(body, vendor, "m");
        let names: Vec<_> = made["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["function"]["name"].clone())
            .collect();
        (json!(names), made["tool_choice"].clone(), dropped.len())
    };
    let allowed = json!({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[tool("b")]}});
    assert_eq!(ask(allowed.clone(), "groq"), (json!(["b"]), json!("required"), 0));
    assert_eq!(ask(allowed.clone(), "mistral"), (json!(["b"]), json!("any"), 0));
    assert_eq!(ask(allowed.clone(), "openai"), (json!(["a", "b"]), allowed, 0));
    assert_eq!(ask(tool("a"), "lm-studio"), (json!(["a"]), json!("required"), 0));
    assert_eq!(ask(tool("a"), "ollama"), (json!(["a"]), Value::Null, 1));
    assert_eq!(ask(tool("a"), "xai"), (json!(["a", "b"]), tool("a"), 0));
    assert_eq!(ask(json!("none"), "xai"), (json!(["a", "b"]), json!("none"), 0));
}

#[test]
fn outermost_schemas_are_made_fit() {
    let tool = |schema: Value| json!({"type":"function","function":{"name":"f","parameters":schema}});
    let body = json!({"messages":[{"role":"user","content":"x"}],"tools":[tool(json!({})),
        tool(json!({"type":"object","properties":{"a":{"anyOf":[{}]}},"anyOf":[{"required":["a"]}]})),
        tool(json!({"$ref":"#/$defs/a","$defs":{"a":{}}}))]});
    let (made, dropped) = encoded(body.clone(), "openai", "gpt-4o");
    let schema = |at: usize| made["tools"][at]["function"]["parameters"].clone();
    assert_eq!(schema(0), json!({"type":"object","properties":{}}));
    assert_eq!(schema(1), json!({"type":"object","properties":{"a":{"anyOf":[{}]}}}));
    assert_eq!(schema(2), json!({"$ref":"#/$defs/a","$defs":{"a":{}}}));
    assert_eq!(dropped, ["tools[1].parameters (anyOf)"]);
    let (made, dropped) = encoded(body, "xai", "grok");
    assert!(dropped.is_empty() && made["tools"][1]["function"]["parameters"]["anyOf"].is_array());
}

/// A request with everything in it, for every vendor: JSON, no member twice.
#[test]
fn every_vendor_gets_a_body_without_repeats() {
    let body = json!({"messages":[{"role":"developer","name":"n","content":"d"},
        {"role":"user","name":"u","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},
            {"type":"image_url","image_url":{"url":"https://x"}},{"type":"video_url","video_url":{"url":"https://x"}},
            {"type":"input_audio","input_audio":{"data":"aGk=","format":"ogg"}},
            {"type":"file","file":{"file_data":"data:text/plain;base64,aGk=","filename":"a.txt"}},
            {"type":"file","file":{"file_id":"f"}}]},
        {"role":"assistant","content":"c","refusal":"r","audio":{"id":"a"},"tool_calls":[
            {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
            {"id":"b","type":"custom","custom":{"name":"c","input":"{"}}],
         "reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s","format":"anthropic-claude-v1","index":0},
            {"type":"reasoning.encrypted","data":"d","index":1}]},
        {"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"1"},{"type":"image_url","image_url":"https://y"}]},
        {"role":"tool","tool_call_id":"b","content":"2"}],
        "tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c"}},{"type":"web_search"}],
        "web_search_options":{},"max_tokens":5,"temperature":0.5,"top_p":0.9,"top_k":4,"frequency_penalty":1,"presence_penalty":1,
        "seed":1,"stop":["a","b","c","d","e"],"n":2,"logprobs":true,"top_logprobs":2,"logit_bias":{},"verbosity":"low",
        "modalities":["audio"],"audio":{"voice":"x"},"user":"u".repeat(80),"metadata":{"a":"b"},"service_tier":"flex",
        "prompt_cache_key":"k","store":true,"cache_control":{"type":"ephemeral"},"parallel_tool_calls":false,
        "chat_template_kwargs":{"a":1},"reasoning_effort":"low"});
    for choice in [
        json!("required"),
        json!({"type":"function","function":{"name":"f"}}),
        json!({"type":"allowed_tools","allowed_tools":{"tools":[{"type":"function","function":{"name":"f"}}]}}),
    ] {
        for format in [
            json!({"type":"text"}),
            json!({"type":"json_object"}),
            json!({"type":"json_schema","json_schema":{"schema":{}}}),
            json!({"type":"grammar"}),
        ] {
            let mut body = body.clone();
            body["tool_choice"] = choice.clone();
            body["response_format"] = format;
            let text = body.to_string();
            let node = Node::parse(text.as_bytes(), 64).unwrap();
            let request = Chat.read(&node, true).unwrap();
            for vendor in vendors::ROWS.iter().chain([&quirks::PLAIN]) {
                for model in ["m", "gpt-4o-search", "o3", "gpt-5.1", "gpt-oss"] {
                    let aim = Aim {
                        model,
                        stream_usage: true,
                    };
                    let made = ChatCodec { quirks: vendor }.encode(&request, aim).unwrap();
                    let node = Node::parse(&made.body, 64).unwrap_or_else(|e| panic!("{}: {e}", vendor.name));
                    assert_unrepeated(&node, vendor.name);
                }
            }
        }
    }
}

fn assert_unrepeated(node: &Node<'_>, vendor: &str) {
    for (at, (key, value)) in node.as_object().unwrap_or_default().iter().enumerate() {
        let members = node.as_object().unwrap();
        assert!(
            !members[..at].iter().any(|(other, _)| other == key),
            "{vendor}: {key} twice"
        );
        assert_unrepeated(value, vendor);
    }
    node.as_array()
        .unwrap_or_default()
        .iter()
        .for_each(|item| assert_unrepeated(item, vendor));
}
