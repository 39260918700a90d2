//! A session of Codex CLI in front of targets that are not OpenAI's: what it sends arrives, what it is sent it can run.
//! The shape is `codex-rs`'s (`ResponsesApiRequest`, the lark grammar of `apply_patch`), read 2026-11; shortened.

use super::*;
use crate::providers::anthropic::{AnthropicCodec, Variant};
use crate::providers::bedrock::ConverseCodec;
use crate::providers::chat::ChatCodec;
use crate::providers::cohere::CohereCodec;
use crate::providers::gemini::GeminiCodec;
use crate::providers::mistral::MistralCodec;
use crate::wire::responses::as_functions;

const GRAMMAR: &str = "start: begin_patch hunk+ end_patch\nbegin_patch: \"*** Begin Patch\" LF\nend_patch: \"*** End Patch\" LF?\n\n%import common.LF\n";
const PATCH: &str =
    "*** Begin Patch\n*** Update File: src/main.rs\n@@\n-let a = \"é\";\n+let a = \"\\t\";\n*** End Patch\n";

fn session() -> Value {
    let text = |kind: &str, text: &str| json!([{"type": kind, "text": text}]);
    json!({"model": "m", "instructions": "You are Codex, based on GPT-5.", "store": false, "stream": true,
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "0199-thread", "text": {"verbosity": "low"},
        "tools": [
            {"type": "function", "name": "shell", "description": "Runs a shell command.", "strict": false,
                "parameters": {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}},
                    "workdir": {"type": "string"}}, "required": ["command"], "additionalProperties": false}},
            {"type": "function", "name": "update_plan", "description": "Updates the plan.", "strict": false,
                "parameters": {"type": "object", "properties": {"plan": {"type": "array", "items": {"type": "object",
                    "properties": {"step": {"type": "string"}, "status": {"type": "string"}}}}}, "required": ["plan"]}},
            {"type": "custom", "name": "apply_patch", "description": "Use the `apply_patch` tool to edit files.",
                "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR}},
            {"type": "local_shell"}],
        "input": [
            {"type": "message", "role": "developer", "content": text("input_text", "<permissions>rules</permissions>")},
            {"type": "message", "role": "user", "content": text("input_text", "<environment_context>cwd</environment_context>")},
            {"type": "message", "role": "user", "content": text("input_text", "fix it")},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "look first"}], "content": null,
                "encrypted_content": "cirque:anthropic:EqQB"},
            {"type": "function_call", "name": "update_plan", "arguments": "{\"plan\":[]}", "call_id": "call_plan"},
            {"type": "local_shell_call", "call_id": "call_ls", "status": "completed",
                "action": {"type": "exec", "command": ["bash", "-lc", "ls src"], "env": {}, "timeout_ms": 9}},
            {"type": "function_call_output", "call_id": "call_plan", "output": "Plan updated"},
            {"type": "function_call_output", "call_id": "call_ls", "output": "main.rs listed"},
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA-of-openai"},
            {"type": "custom_tool_call", "status": "completed", "call_id": "call_edit", "name": "apply_patch", "input": PATCH},
            {"type": "custom_tool_call_output", "call_id": "call_edit", "output": "Success. Updated"},
            {"type": "message", "role": "assistant", "content": text("output_text", "half done")},
            {"type": "message", "role": "user", "content": text("input_text", "go on")}]})
}

struct Target {
    name: &'static str,
    codec: Box<dyn Codec>,
    model: &'static str,
    /// A stream that calls the function which stands for `apply_patch`.
    answer: fn(&str, &str) -> Vec<(&'static str, Value)>,
}

/// The arguments in pieces, cut within an escape too.
fn pieces(arguments: &str) -> Vec<String> {
    let letters: Vec<char> = arguments.chars().collect();
    letters.chunks(7).map(String::from_iter).collect()
}

fn chat(name: &str, arguments: &str) -> Vec<(&'static str, Value)> {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        (
            "",
            json!({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}),
        )
    };
    let call = |call: Value| json!({ "tool_calls": [call] });
    let begin = json!({"index": 0, "id": "abcDEF123", "type": "function", "function": {"name": name, "arguments": ""}});
    let mut all = vec![chunk(call(begin), Value::Null)];
    for piece in pieces(arguments) {
        all.push(chunk(
            call(json!({"index": 0, "function": {"arguments": piece}})),
            Value::Null,
        ));
    }
    all.push(chunk(json!({}), json!("tool_calls")));
    all
}

fn anthropic(name: &str, arguments: &str) -> Vec<(&'static str, Value)> {
    let block = json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}});
    let mut all = vec![
        (
            "message_start",
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "m"}}),
        ),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ),
    ];
    for piece in pieces(arguments) {
        let delta = json!({"type": "input_json_delta", "partial_json": piece});
        let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        all.push(("content_block_delta", event));
    }
    all.push(("content_block_stop", json!({"type": "content_block_stop", "index": 0})));
    let delta = json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}});
    all.push(("message_delta", delta));
    all.push(("message_stop", json!({"type": "message_stop"})));
    all
}

fn gemini(name: &str, arguments: &str) -> Vec<(&'static str, Value)> {
    let args: Value = serde_json::from_str(arguments).unwrap();
    let part = json!({"functionCall": {"name": name, "args": args}});
    let candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"});
    vec![("", json!({"responseId": "r", "candidates": [candidate]}))]
}

fn bedrock(name: &str, arguments: &str) -> Vec<(&'static str, Value)> {
    let start = json!({"toolUse": {"toolUseId": "t", "name": name}});
    let mut all = vec![
        ("messageStart", json!({"role": "assistant"})),
        ("contentBlockStart", json!({"contentBlockIndex": 0, "start": start})),
    ];
    for piece in pieces(arguments) {
        let delta = json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": piece}}});
        all.push(("contentBlockDelta", delta));
    }
    all.push(("contentBlockStop", json!({"contentBlockIndex": 0})));
    all.push(("messageStop", json!({"stopReason": "tool_use"})));
    all.push(("metadata", json!({"usage": {"inputTokens": 1, "outputTokens": 1}})));
    all
}

fn cohere(name: &str, arguments: &str) -> Vec<(&'static str, Value)> {
    let of = |kind: &str, call: Value| json!({"type": kind, "index": 0, "delta": {"message": {"tool_calls": call}}});
    let begin = json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": ""}});
    let mut all = vec![
        ("", json!({"type": "message-start", "id": "x"})),
        ("", of("tool-call-start", begin)),
    ];
    for piece in pieces(arguments) {
        all.push(("", of("tool-call-delta", json!({"function": {"arguments": piece}}))));
    }
    all.push(("", json!({"type": "tool-call-end", "index": 0})));
    all.push((
        "",
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}),
    ));
    all
}

fn targets() -> Vec<Target> {
    let target = |name, codec, model, answer| Target {
        name,
        codec,
        model,
        answer,
    };
    let claude = AnthropicCodec {
        variant: Variant::Direct,
    };
    vec![
        target(
            "groq",
            Box::new(ChatCodec::for_vendor("groq")),
            "openai/gpt-oss-120b",
            chat,
        ),
        target(
            "openrouter",
            Box::new(ChatCodec::for_vendor("openrouter")),
            "z-ai/glm-4.6",
            chat,
        ),
        target("anthropic", Box::new(claude), "claude-sonnet-4-5", anthropic),
        target("gemini", Box::<GeminiCodec>::default(), "gemini-3-pro-preview", gemini),
        target(
            "bedrock",
            Box::new(ConverseCodec),
            "anthropic.claude-sonnet-4-5-v1:0",
            bedrock,
        ),
        target("mistral", Box::new(MistralCodec), "mistral-large-latest", chat),
        target("cohere", Box::new(CohereCodec), "command-a-03-2025", cohere),
    ]
}

/// Encode for a target as the gateway does, and look at the body, what was dropped, and the writer of the answer.
fn sent<T>(
    session: &Value,
    target: &Target,
    look: impl FnOnce(Value, Vec<String>, Expect, Box<dyn ReplyWriter>) -> T,
) -> T {
    read(session, |mut request| {
        let writer = writer(&request);
        as_functions(&mut request);
        let aim = Aim {
            model: target.model,
            stream_usage: true,
        };
        let made = target.codec.encode(&request, aim).unwrap();
        let body = serde_json::from_slice(&made.body).unwrap();
        look(body, made.dropped.names().to_vec(), made.expect, writer)
    })
}

/// What the client gets of a stream of this target.
fn answered(
    target: &Target,
    expect: Expect,
    name: &str,
    arguments: &str,
    mut writer: Box<dyn ReplyWriter>,
) -> Vec<Value> {
    let mut decoder = target.codec.decoder(expect);
    let (mut out, mut fold) = (Vec::new(), Fold::new());
    let mut give = |event: Event<'_>| {
        fold.event(&event);
        writer.event(&event, &mut out);
    };
    for (name, event) in (target.answer)(name, arguments) {
        let data = event.to_string();
        let raw = RawEvent {
            name,
            exception: false,
            data: data.as_bytes(),
            max_depth: 64,
        };
        decoder.event(raw, &mut give).unwrap();
    }
    decoder.finish(&mut give).unwrap();
    assert_eq!(fold.disorder, None, "{}", target.name);
    documents(&out)
}

/// Every string of a document; those that are JSON themselves, taken apart.
fn strings(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => strings(&inner, all),
            _ => all.push(text.clone()),
        },
        Value::Array(list) => list.iter().for_each(|value| strings(value, all)),
        Value::Object(members) => members.values().for_each(|value| strings(value, all)),
        _ => {}
    }
}

/// The proof of OpenAI's reasoning, the grammar's force, and what Codex does not need.
const DROPPED: [(&str, &str); 7] = [
    ("groq", "messages[6] (redacted thinking)|tools[2].format|verbosity"),
    ("openrouter", "tools[2].format"),
    (
        "anthropic",
        "messages[6] (thinking of another vendor)|tools[2].format|verbosity|prompt_cache_key",
    ),
    (
        "gemini",
        "tools[2].format|messages[4] (thinking of another vendor)|messages[6] (thinking of another vendor)|verbosity",
    ),
    (
        "bedrock",
        "tools[2].format|messages[6] (thinking of another vendor)|verbosity|prompt_cache_key",
    ),
    (
        "mistral",
        "messages[6] (redacted thinking)|tools[2].format|reasoning|verbosity",
    ),
    (
        "cohere",
        "messages[6] (thinking of another vendor)|tools[2].format|verbosity",
    ),
];

#[test]
fn nothing_essential_of_a_session_is_lost() {
    for target in targets() {
        sent(&session(), &target, |body, dropped, _, _| {
            let mut all = Vec::new();
            strings(&body, &mut all);
            let name = target.name;
            let count = |text: &str| all.iter().filter(|one| one.contains(text)).count();
            for (text, times) in [
                ("You are Codex", 1),
                ("<permissions>rules", 1),
                ("<environment_context>", 1),
                ("fix it", 1),
                ("Plan updated", 1),
                ("ls src", 1),
                ("main.rs listed", 1),
                ("Success. Updated", 1),
                ("half done", 1),
                ("go on", 1),
                ("Runs a shell command.", 1),
                (GRAMMAR, 1),
            ] {
                assert_eq!(count(text), times, "{name}: {text} in {body}");
            }
            assert_eq!(all.iter().filter(|one| *one == PATCH).count(), 1, "{name}: {body}");
            // Offered and called; Google names the function with the result too.
            for tool in ["update_plan", "apply_patch__text", "local_shell"] {
                let times = all.iter().filter(|one| *one == tool).count();
                assert_eq!(times, if name == "gemini" { 3 } else { 2 }, "{name}: {tool}");
            }
            // Routers pass proofs on, and know by their format whose they are.
            let claude = matches!(name, "anthropic" | "bedrock" | "openrouter");
            assert_eq!(all.iter().any(|one| one == "EqQB"), claude, "{name}");
            assert_eq!(body.to_string().contains("gAAAA"), name == "openrouter", "{name}");
            let expected = DROPPED.iter().find(|(of, _)| *of == name).unwrap().1;
            assert_eq!(dropped.join("|"), expected, "{name}");
        });
    }
}

#[test]
fn a_patch_comes_back_as_the_input_of_a_custom_tool() {
    let arguments = json!({ "input": PATCH }).to_string();
    for target in targets() {
        // A model may call the tool as the prompt has it.
        for called in ["apply_patch__text", "apply_patch"] {
            let all = sent(&session(), &target, |_, _, expect, writer| {
                answered(&target, expect, called, &arguments, writer)
            });
            let of = |kind: &str| -> Vec<&Value> { all.iter().filter(|event| event["type"] == kind).collect() };
            let deltas = of("response.custom_tool_call_input.delta");
            let input: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
            assert_eq!(input, PATCH, "{}", target.name);
            assert_eq!(of("response.custom_tool_call_input.done")[0]["input"], PATCH);
            assert!(deltas.len() > 3 || target.name == "gemini", "{}", target.name);
            let item = &of("response.output_item.done")[0]["item"];
            assert_eq!(
                (&item["type"], &item["name"], &item["input"]),
                (&json!("custom_tool_call"), &json!("apply_patch"), &json!(PATCH))
            );
            let last = &of("response.completed")[0]["response"];
            assert_eq!(&last["output"][0], item);
            assert!(last["tools"][2]["format"]["definition"] == GRAMMAR && last["tools"][3]["type"] == "local_shell");
            assert!(of("response.function_call_arguments.delta").is_empty());
        }
    }
}

#[test]
fn whole_answers_are_unwrapped_too() {
    let arguments = json!({ "input": PATCH });
    for target in targets() {
        let function = json!({"name": "apply_patch__text", "arguments": arguments.to_string()});
        let calls = json!([{"id": "abcDEF123", "type": "function", "function": function}]);
        let part = json!({"functionCall": {"name": "apply_patch__text", "args": arguments}});
        let block = json!({"type": "tool_use", "id": "t", "name": "apply_patch__text", "input": arguments});
        let used = json!({"toolUseId": "t", "name": "apply_patch__text", "input": arguments});
        let answer = match target.name {
            "anthropic" => json!({"id": "x", "content": [block], "stop_reason": "tool_use"}),
            "gemini" => json!({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}),
            "bedrock" => json!({"output": {"message": {"content": [{"toolUse": used}]}}, "stopReason": "tool_use"}),
            "cohere" => json!({"id": "x", "message": {"tool_calls": calls}, "finish_reason": "TOOL_CALL"}),
            _ => json!({"id": "x", "choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]}),
        };
        sent(&session(), &target, |_, _, expect, mut writer| {
            let text = answer.to_string();
            let node = Node::parse(text.as_bytes(), 64).unwrap();
            let mut out = Vec::new();
            writer.whole(&target.codec.decode(&node, &expect).unwrap(), &mut out);
            let whole: Value = serde_json::from_slice(&out).unwrap();
            let item = &whole["output"][0];
            assert_eq!(
                (&item["type"], &item["input"]),
                (&json!("custom_tool_call"), &json!(PATCH)),
                "{}",
                target.name
            );
        });
    }
}

#[test]
fn tools_of_the_api_that_the_application_runs_are_functions_elsewhere() {
    let input = json!([{"role": "user", "content": "x"},
        {"type": "shell_call", "id": "sh_1", "call_id": "c1", "status": "completed", "action": {"commands": ["pwd"]}},
        {"type": "shell_call_output", "call_id": "c1",
            "output": [{"stdout": "home", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"type": "apply_patch_call", "call_id": "c2", "status": "completed", "operation": {"type": "delete_file", "path": "gone.rs"}},
        {"type": "apply_patch_call_output", "call_id": "c2", "status": "failed", "output": "no such file"},
        {"type": "local_shell_call", "id": "lsh_3", "call_id": "c3", "status": "completed",
            "action": {"type": "exec", "command": ["id"], "env": {}}},
        {"type": "local_shell_call_output", "id": "lsh_3", "output": "root"},
        {"type": "shell_call", "call_id": "c4", "status": "completed", "action": {"commands": ["unanswered"]}}]);
    let body = json!({"input": input, "tool_choice": {"type": "shell"},
        "tools": [{"type": "shell", "environment": {"type": "local"}}, {"type": "apply_patch"}, {"type": "local_shell"}]});
    read(&body, |mut request| {
        as_functions(&mut request);
        assert_eq!(request.tool_choice, Some(ToolChoice::Function("shell".into())));
        assert_eq!(request.functions().count(), 3);
        let parts: Vec<_> = request.messages.iter().flat_map(|message| &message.parts).collect();
        let call = |part: &Part<'_>, id: &str, name: &str, arguments: &str| matches!(part, Part::ToolCall(call) if call.id == id && call.name == name && call.arguments.contains(arguments));
        let result = |part: &Part<'_>, id: &str, said: &str, error: bool| match part {
            Part::ToolResult(result) => {
                let text = matches!(&result.parts[0], Part::Text { text, .. } if text.contains(said));
                result.call_id == id && text && result.is_error == error
            }
            _ => false,
        };
        assert!(call(parts[1], "c1", "shell", "pwd") && result(parts[2], "c1", "\"home\"", false));
        assert!(call(parts[3], "c2", "apply_patch", "gone.rs") && result(parts[4], "c2", "no such file", true));
        assert!(call(parts[5], "c3", "local_shell", "\"id\"") && result(parts[6], "c3", "root", false));
        assert!(matches!(parts[7], Part::Opaque { kind, .. } if kind == "shell_call"));
    });
}

#[test]
fn their_calls_come_back_as_items_of_their_own() {
    let body = json!({"input": "x", "tools": [{"type": "shell"}, {"type": "apply_patch"}, {"type": "local_shell"}]});
    for target in targets() {
        for (name, arguments, kind, doing) in [
            (
                "local_shell",
                json!({"command": ["ls"], "timeout_ms": 5}),
                "local_shell_call",
                json!({"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5}),
            ),
            (
                "shell",
                json!({"commands": ["ls", "pwd"]}),
                "shell_call",
                json!({"commands": ["ls", "pwd"]}),
            ),
            (
                "apply_patch",
                json!({"type": "update_file", "path": "a", "diff": "@@\n-a\n+b"}),
                "apply_patch_call",
                json!({"type": "update_file", "path": "a", "diff": "@@\n-a\n+b"}),
            ),
            // Not what the tool takes: the client is told so by a call it can refuse.
            ("shell", json!({"cmd": "ls"}), "function_call", Value::Null),
        ] {
            let all = sent(&body, &target, |_, dropped, expect, writer| {
                assert!(dropped.is_empty(), "{}: {dropped:?}", target.name);
                answered(&target, expect, name, &arguments.to_string(), writer)
            });
            let last = &all.last().unwrap()["response"];
            let item = &last["output"][0];
            assert_eq!(
                (&item["type"], last["output"].as_array().unwrap().len()),
                (&json!(kind), 1)
            );
            assert_eq!(item["status"], "completed");
            let member = if name == "apply_patch" { "operation" } else { "action" };
            assert_eq!(item[member], doing, "{}", target.name);
            let added = all
                .iter()
                .filter(|event| event["type"] == "response.output_item.added")
                .count();
            assert_eq!(added, 1);
        }
    }
}

#[test]
fn what_is_taken_or_run_elsewhere_is_not_offered() {
    for tools in [
        json!([{"type": "shell", "environment": {"type": "container_auto"}}]),
        json!([{"type": "shell"}, {"type": "function", "name": "shell"}]),
    ] {
        read(&json!({"input": "x", "tools": tools}), |mut request| {
            as_functions(&mut request);
            assert!(matches!(&request.tools[0], Tool::Builtin { name, .. } if name == "shell"));
        });
    }
}

proptest! {
    /// Items of any damage are kept or made ordinary, and never panic.
    #[test]
    fn damaged_items_never_panic(id in "[a-c]?", other in "[a-c]?", kind in "(local_shell|shell|apply_patch)", arguments in "\\PC{0,30}") {
        let output = format!("{kind}_call_output");
        let call = json!({"type": format!("{kind}_call"), "call_id": id, "action": arguments, "operation": {"type": arguments}});
        let body = json!({"input": [{"role": "user", "content": "x"}, call.clone(), {"type": output, "call_id": other, "output": arguments}, call,
            {"type": output, "id": id}]});
        read(&body, |mut request| {
            as_functions(&mut request);
            for target in targets() {
                let _ = target.codec.encode(&request, Aim { model: target.model, stream_usage: true });
            }
        });
    }
}
