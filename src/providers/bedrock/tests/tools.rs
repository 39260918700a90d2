//! Tools, their choice, and structured output.

use super::*;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Format, Function, Tool, ToolCallKind, ToolChoice};
use serde_json::json;

#[test]
fn tool_choice_by_model() {
    let chosen = |choice: Option<ToolChoice<'static>>, model| {
        let request = Request {
            tools: vec![function("f"), function("g")],
            tool_choice: choice,
            ..asking()
        };
        let (body, encoding) = encoded(&request, model);
        let config = &body["toolConfig"];
        let names = config["tools"].as_array().map_or(0, Vec::len);
        (names, config["toolChoice"].clone(), encoding.dropped.names().join("|"))
    };
    let this = || Some(ToolChoice::Function("f".into()));
    let allowed = |required| {
        let names = vec!["g".into()];
        Some(ToolChoice::Allowed { names, required })
    };
    let mistral = "mistral.mistral-large-2407-v1:0";
    for (choice, model, expected) in [
        (None, CLAUDE, (2, Value::Null, "")),
        (Some(ToolChoice::Auto), CLAUDE, (2, json!({"auto":{}}), "")),
        (Some(ToolChoice::Required), CLAUDE, (2, json!({"any":{}}), "")),
        (this(), CLAUDE, (2, json!({"tool":{"name":"f"}}), "")),
        (this(), mistral, (1, json!({"any":{}}), "")),
        (Some(ToolChoice::Required), LLAMA, (2, Value::Null, "tool_choice")),
        (this(), LLAMA, (2, Value::Null, "tool_choice")),
        (allowed(true), NOVA, (1, json!({"any":{}}), "")),
        (allowed(false), NOVA, (1, json!({"auto":{}}), "")),
        (Some(ToolChoice::None), CLAUDE, (0, Value::Null, "")),
    ] {
        let (tools, say, dropped) = chosen(choice.clone(), model);
        assert_eq!((tools, say, dropped.as_str()), expected, "{choice:?} {model}");
    }
}

#[test]
fn tool_blocks_need_tools() {
    let mut request = Request {
        messages: vec![
            user(vec![Part::text("q")]),
            assistant(vec![call("c", "f", "{}")]),
            user(vec![
                result("c", vec![Part::text("r")]),
                result("?", vec![Part::text("r")]),
            ]),
        ],
        ..Request::default()
    };
    let schema = json!({"json":{"type":"object","properties":{}}});
    assert_eq!(
        body(&request, CLAUDE)["toolConfig"],
        json!({"tools":[{"toolSpec":{"name":"f","inputSchema":schema}},{"toolSpec":{"name":"tool","inputSchema":schema}}]})
    );
    request.tools = vec![function("f")];
    request.tool_choice = Some(ToolChoice::None);
    let (body, encoding) = encoded(&request, CLAUDE);
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(encoding.dropped.names(), ["tool_choice"]);
}

#[test]
fn schemas_as_the_model_takes_them() {
    let strict = |parameters: &'static str| Request {
        tools: vec![Tool::Function(Function {
            name: "f".into(),
            description: Some("d".into()),
            parameters: Some(parameters.into()),
            strict: Some(true),
            cache: None,
        })],
        ..asking()
    };
    let closed = strict(
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
    );
    let spec = &body(&closed, CLAUDE)["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!((&spec["strict"], &spec["description"]), (&json!(true), &json!("d")));
    assert_eq!(
        dropped(&closed, NOVA),
        ["tools[0].parameters (additionalProperties)", "tools[0].strict"]
    );
    let open = strict(r#"{"properties":{}}"#);
    let (body, encoding) = encoded(&open, CLAUDE);
    let spec = &body["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(spec["inputSchema"]["json"], json!({"type":"object","properties":{}}));
    assert_eq!(
        (spec.get("strict"), encoding.dropped.names().join("")),
        (None, "tools[0].strict".to_owned())
    );
}

#[test]
fn builtin_and_free_text_tools() {
    let builtin = |kind, dialect, raw: &'static str| Tool::Builtin {
        kind,
        dialect,
        name: "x".into(),
        raw: raw.into(),
    };
    let mut request = Request {
        tools: vec![
            builtin(Builtin::WebSearch, Dialect::Responses, "{}"),
            builtin(Builtin::Other, Dialect::Bedrock, r#"{"systemTool":{"name":"s"}}"#),
        ],
        ..asking()
    };
    let nova = body(&request, "us.amazon.nova-2-lite-v1:0");
    assert_eq!(
        nova["toolConfig"]["tools"],
        json!([{"systemTool":{"name":"nova_grounding"}},{"systemTool":{"name":"s"}}])
    );
    assert_eq!(dropped(&request, CLAUDE), ["tools[0] (x)"]);
    request.tools = vec![Tool::Custom {
        name: "patch".into(),
        description: Some("d".into()),
        format: Some("{}".into()),
    }];
    request.tool_choice = Some(ToolChoice::Function("patch".into()));
    let mut before = call("c", "patch", "*** Begin");
    if let Part::ToolCall(call) = &mut before {
        call.kind = ToolCallKind::Custom;
    }
    request.messages.push(assistant(vec![before]));
    let (body, encoding) = encoded(&request, CLAUDE);
    let text = json!({"type":"object","properties":{"input":{"type":"string"}},"required":["input"]});
    assert_eq!(
        body["toolConfig"],
        json!({"tools":[{"toolSpec":{"name":"patch__text","description":"d","inputSchema":{"json":text}}}],
               "toolChoice":{"tool":{"name":"patch__text"}}})
    );
    let call = json!({"toolUseId":"c","name":"patch__text","input":{"input":"*** Begin"}});
    assert_eq!(body["messages"][1]["content"][0]["toolUse"], call);
    assert_eq!(encoding.dropped.names(), ["tools[0].format"]);
    assert_eq!(encoding.expect.tool_name("patch__text"), "patch");
}

#[test]
fn structured_output_native_or_by_a_forced_tool() {
    let schema =
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    let asked = |schema: &'static str| Request {
        format: Format::Schema {
            name: Some("my answer".into()),
            description: Some("d".into()),
            schema: schema.into(),
            strict: Some(true),
        },
        ..asking()
    };
    let native = body(&asked(schema), CLAUDE);
    let json_schema = &native["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    assert_eq!(
        (&json_schema["schema"], native.get("toolConfig")),
        (&json!(schema), None)
    );
    assert!(json_schema["name"].as_str().unwrap().starts_with("my_answer_"));
    let (forced, encoding) = encoded(
        &asked(r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}"#),
        CLAUDE,
    );
    let name = encoding.expect.structured_tool.as_deref().unwrap();
    assert_eq!(forced["toolConfig"]["toolChoice"], json!({"tool":{"name":name}}));
    assert_eq!(forced["toolConfig"]["tools"][0]["toolSpec"]["description"], "d");
    let mut with_tools = asked(schema);
    with_tools.tools = vec![function("f")];
    let nova = encoded(&with_tools, NOVA).0;
    assert_eq!(nova["toolConfig"]["toolChoice"], json!({"any":{}}));
    assert_eq!(nova["toolConfig"]["tools"].as_array().unwrap().len(), 2);
    with_tools.tool_choice = Some(ToolChoice::Required);
    let (body, encoding) = encoded(&with_tools, NOVA);
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(encoding.dropped.names(), ["response_format"]);
    let bounded = r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}"#;
    let (unforced, encoding) = encoded(&asked(bounded), "us.anthropic.claude-sonnet-5-5");
    let json_schema = &unforced["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    let closed = r#"{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}"#;
    assert_eq!(json_schema["schema"], closed);
    assert_eq!(encoding.dropped.names(), ["response_format.schema (minimum)"]);
    assert_eq!(dropped(&asked(schema), LLAMA), ["response_format"]);
    assert_eq!(
        dropped(&asked(r#"{"type":"array","items":{}}"#), CLAUDE),
        ["response_format"]
    );
    let mut any = asking();
    any.format = Format::Json;
    any.tools = vec![function("answer")];
    let (_, encoding) = encoded(&any, CLAUDE);
    assert!(encoding.expect.structured_tool.unwrap().starts_with("answer__"));
}
