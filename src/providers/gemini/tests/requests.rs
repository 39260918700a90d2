//! What canonical requests become for Google.

use super::*;
use crate::wire::Dialect;
use crate::wire::canonical::{Candidate, Signature, Thinking, ToolCall, ToolCallKind};
use crate::wire::gemini::WRAPPED_BASE64;

fn encoded(request: &str, model: &str, vertex: bool) -> (Json, Vec<String>) {
    let body = node(request);
    let read = Gemini.read(&body, false).unwrap();
    let made = GeminiCodec { vertex }.encode(&read, aim(model)).unwrap();
    (
        serde_json::from_slice(&made.body).unwrap(),
        made.dropped.names().to_vec(),
    )
}

const TOOL_LOOP: &str = r#"{"contents":[{"parts":[{"text":"hi"}]},
    {"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"g","id":"x"}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"error":"no"},"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}},
                            {"functionResponse":{"name":"g","id":"x","response":{"output":"ok"}}},{"text":"go on"}]}]}"#;

#[test]
fn a_step_without_signatures_carries_the_documented_word_from_generation_3_on() {
    let (sent, dropped) = encoded(TOOL_LOOP, "gemini-3-pro-preview", false);
    assert!(dropped.is_empty());
    assert_eq!(
        sent["contents"],
        json!([{"role":"user","parts":[{"text":"hi"}]},
        {"role":"model","parts":[
            {"functionCall":{"id":"call_1","name":"f","args":{"a":1}},"thoughtSignature":"skip_thought_signature_validator"},
            {"functionCall":{"id":"x","name":"g","args":{}}}]},
        {"role":"user","parts":[
            {"functionResponse":{"id":"call_1","name":"f","response":{"error":"no"},"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}},
            {"functionResponse":{"id":"x","name":"g","response":{"output":"ok"}}}]},
        {"role":"user","parts":[{"text":"go on"}]}])
    );
    let (sent, _) = encoded(TOOL_LOOP, "gemini-2.5-flash", true);
    assert_eq!(
        sent["contents"][1]["parts"],
        json!([{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"g","args":{}}}])
    );
    assert_eq!(
        sent["contents"][3]["parts"],
        json!([{"inlineData":{"mimeType":"image/png","data":"aGk="}},{"text":"go on"}])
    );
}

#[test]
fn thinking_is_said_as_the_model_takes_it() {
    let said = |config: Json, model: &str| {
        let body = json!({"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":config}});
        let (sent, dropped) = encoded(&body.to_string(), model, false);
        (sent["generationConfig"]["thinkingConfig"].clone(), dropped.join(";"))
    };
    let exact = |it: Json| (it, String::new());
    assert_eq!(
        said(json!({"thinkingBudget":-1}), "gemini-2.5-pro"),
        exact(json!({"thinkingBudget":-1}))
    );
    assert_eq!(
        said(json!({"thinkingBudget":9}), "gemini-2.5-flash-lite"),
        exact(json!({"thinkingBudget":512}))
    );
    assert_eq!(
        said(json!({"thinkingBudget":0}), "gemini-2.5-flash"),
        exact(json!({"thinkingBudget":0}))
    );
    let forced = (
        json!({"thinkingBudget":128}),
        "reasoning (cannot be switched off)".to_owned(),
    );
    assert_eq!(said(json!({"thinkingBudget":0}), "gemini-2.5-pro"), forced);
    assert_eq!(
        said(json!({"thinkingLevel":"HIGH"}), "gemini-2.5-flash"),
        exact(json!({"thinkingBudget":24576}))
    );
    assert_eq!(
        said(json!({"thinkingBudget":9000}), "gemini-3.5-flash"),
        exact(json!({"thinkingLevel":"medium"}))
    );
    assert_eq!(
        said(json!({"thinkingBudget":0}), "gemini-3.5-flash"),
        exact(json!({"thinkingLevel":"minimal"}))
    );
    assert_eq!(
        said(json!({"thinkingBudget":9}), "gemini-1.5-pro"),
        (Json::Null, "reasoning".to_owned())
    );
    assert_eq!(
        said(json!({"includeThoughts":true}), "gemini-3.5-flash"),
        exact(json!({"includeThoughts":true}))
    );
}

#[test]
fn a_schema_beside_tools_is_an_instruction_before_generation_3() {
    let body = r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]},{"googleSearch":{}}],
        "generationConfig":{"responseMimeType":"application/json","responseJsonSchema":{"type":"object"}}}"#;
    let (sent, dropped) = encoded(body, "gemini-2.5-flash", false);
    assert_eq!(
        dropped,
        [
            "tools[1] (googleSearch beside functions)",
            "response_format (asked for in words only, beside tools)"
        ]
    );
    assert!(sent.get("generationConfig").is_none());
    assert!(
        sent["systemInstruction"]["parts"][0]["text"]
            .as_str()
            .unwrap()
            .ends_with(r#"{"type":"object"}"#)
    );
    let (sent, dropped) = encoded(body, "gemini-3.5-flash", false);
    assert!(dropped.is_empty());
    assert_eq!(sent["generationConfig"]["responseJsonSchema"], json!({"type":"object"}));
    assert_eq!(sent["toolConfig"], json!({"includeServerSideToolInvocations":true}));
    let none = body.replace(
        r#""generationConfig""#,
        r#""toolConfig":{"functionCallingConfig":{"mode":"NONE"}},"generationConfig""#,
    );
    let (sent, _) = encoded(&none, "gemini-2.5-flash", false);
    assert!(sent.get("tools").is_none() && sent["generationConfig"]["responseMimeType"] == "application/json");
}

#[test]
fn what_other_dialects_say_is_translated_or_named() {
    use crate::wire::canonical::*;
    let foreign = Signature::new(Dialect::Anthropic, "abc");
    let thinking = |signature| {
        Part::Thinking(Thinking {
            text: "t".into(),
            signature,
            ..Thinking::default()
        })
    };
    let message = |role, parts| Message {
        role,
        name: None,
        parts,
    };
    let call = |id: &'static str, arguments: &'static str, kind| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: "a b".into(),
            arguments: arguments.into(),
            kind,
            signature: None,
            cache: None,
        })
    };
    let result = |id: &'static str, parts| {
        Part::ToolResult(ToolResult {
            call_id: id.into(),
            name: None,
            parts,
            is_error: false,
            kind: ToolCallKind::Function,
            cache: None,
        })
    };
    let mut document = Media::new(MediaKind::Document, Source::Text("body".into()), None);
    document.title = Some("title".into());
    let request = Request {
        messages: vec![
            message(Role::Developer, vec![Part::text("sys")]),
            message(
                Role::User,
                vec![
                    Part::text("u"),
                    Part::Media(Media::new(MediaKind::Image, Source::Url("https://x/y".into()), None)),
                    Part::Media(document),
                ],
            ),
            message(
                Role::Assistant,
                vec![
                    thinking(Some(foreign)),
                    thinking(None),
                    call("1", "{broken", ToolCallKind::Function),
                    call("2", "free", ToolCallKind::Custom),
                ],
            ),
            message(
                Role::User,
                vec![
                    result("1", vec![Part::text("4")]),
                    result("2", vec![Part::text("{\"a\":1}")]),
                ],
            ),
            message(Role::System, vec![Part::text("later")]),
        ],
        tools: vec![
            Tool::Builtin {
                kind: Builtin::WebSearch,
                dialect: Dialect::Anthropic,
                name: "web_search".into(),
                raw: r#"{"type":"web_search_20250305","name":"web_search","max_uses":3}"#.into(),
            },
            Tool::Custom {
                name: "c".into(),
                description: None,
                format: Some("{}".into()),
            },
        ],
        tool_choice: Some(ToolChoice::Required),
        parallel_tool_calls: Some(false),
        sampling: Sampling {
            stop: vec!["a".into(); 7],
            seed: Some(1 << 40),
            n: Some(2),
            logprobs: Some(true),
            top_logprobs: Some(3),
            logit_bias: Some("{}".into()),
            ..Sampling::default()
        },
        format: Format::Text,
        reasoning: Some(Reasoning {
            effort: Some(Effort::High),
            ..Reasoning::default()
        }),
        user: Some("me".into()),
        service_tier: Some("scale".into()),
        store: Some(true),
        extras: vec![Extra {
            dialect: Dialect::OpenAi,
            key: "prediction".into(),
            raw: "{}".into(),
        }],
        ..Request::default()
    };
    let made = GeminiCodec::default()
        .encode(&request, aim("gemini-2.5-flash"))
        .unwrap();
    let sent: Json = serde_json::from_slice(&made.body).unwrap();
    let name = sent["contents"][1]["parts"][1]["functionCall"]["name"]
        .as_str()
        .unwrap();
    assert_eq!(made.expect.tool_name(name), "a b");
    let free = format!("{name}__text");
    let answer = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"{free}","args":{{"input":"line\n"}}}}}}]}}}}]}}"#
    );
    let answer = node(&answer);
    let back = GeminiCodec::default().decode(&answer, &made.expect).unwrap();
    let Part::ToolCall(call) = &back.candidates[0].parts[0] else {
        panic!()
    };
    assert_eq!(
        (&*call.name, &*call.arguments, call.kind),
        ("a b", "line\n", ToolCallKind::Custom)
    );
    assert_eq!(
        sent,
        json!({"contents":[
            {"role":"user","parts":[{"text":"u"},{"fileData":{"mimeType":"image/jpeg","fileUri":"https://x/y"}},{"text":"title\nbody"}]},
            {"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"id":"1","name":name,"args":{"_raw":"{broken"}}},
                {"functionCall":{"id":"2","name":free,"args":{"input":"free"}}}]},
            {"role":"user","parts":[{"functionResponse":{"id":"1","name":name,"response":{"output":"4"}}},
                {"functionResponse":{"id":"2","name":free,"response":{"a":1}}}]}],
          "systemInstruction":{"parts":[{"text":"sys"},{"text":"later"}]},
          "tools":[{"functionDeclarations":[{"name":"c__text","parametersJsonSchema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}]}],
          "toolConfig":{"functionCallingConfig":{"mode":"ANY"}},
          "generationConfig":{"stopSequences":["a","a","a","a","a"],"candidateCount":2,"responseLogprobs":true,"logprobs":3,
            "thinkingConfig":{"thinkingBudget":24576}}})
    );
    assert_eq!(
        made.dropped.names(),
        [
            "tools[1].format",
            "tools[0] (web_search beside functions)",
            "messages[2] (thinking of another vendor)",
            "messages[4] (position of a system message)",
            "seed (beyond 32 bits)",
            "stop (beyond the first 5)",
            "logit_bias",
            "prediction",
            "service_tier",
            "user",
            "store",
            "parallel_tool_calls"
        ]
    );
    let orphan = Request {
        messages: vec![message(Role::User, vec![result("9", vec![])])],
        ..Request::default()
    };
    assert!(matches!(
        GeminiCodec::default().encode(&orphan, aim("m")),
        Err(Unfit::Request { .. })
    ));
    let stateful = Request {
        previous_response_id: Some("r".into()),
        ..Request::default()
    };
    assert!(GeminiCodec::default().encode(&stateful, aim("m")).is_err());
    let alone = Request {
        messages: vec![message(Role::System, vec![Part::text("s")])],
        ..Request::default()
    };
    let made = GeminiCodec::default().encode(&alone, aim("m")).unwrap();
    assert_eq!(made.body, br#"{"contents":[{"role":"user","parts":[{"text":"s"}]}]}"#);
    assert!(!made.dropped.is_empty());
}

#[test]
fn vectors_for_both_backends() {
    let body = node(
        r#"{"requests":[{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"},{"content":{"parts":[{"text":"b"}]},"taskType":"RETRIEVAL_QUERY"}]}"#,
    );
    let read = Gemini.read_embed(&body).unwrap();
    assert_eq!(read.task.as_deref(), Some("search_query"));
    let made = GeminiCodec { vertex: true }.encode_embed(&read, aim("m")).unwrap();
    let sent: Json = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(
        sent,
        json!({"instances":[{"content":"a","task_type":"RETRIEVAL_QUERY"},{"content":"b","task_type":"RETRIEVAL_QUERY"}]})
    );
    let answer = node(
        r#"{"predictions":[{"embeddings":{"values":[1,2],"statistics":{"token_count":3}}},{"embeddings":{"values":[],"statistics":{"token_count":4.0}}}]}"#,
    );
    let vectors = GeminiCodec { vertex: true }.decode_embed(&answer).unwrap();
    assert_eq!((vectors.vectors.len(), vectors.usage.unwrap().input), (2, 7));
    let single = node(r#"{"content":{"parts":[{"text":"a"}]},"outputDimensionality":5}"#);
    let made = GeminiCodec::default()
        .encode_embed(&Gemini.read_embed(&single).unwrap(), aim("e"))
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Json>(&made.body).unwrap(),
        json!({"model":"models/e","content":{"parts":[{"text":"a"}]},"outputDimensionality":5})
    );
}

#[test]
fn a_forced_choice_and_formats() {
    let body = json!({"contents":{"parts":{"text":"x"}},"tools":{"functionDeclarations":{"name":"f"}},
        "toolConfig":{"functionCallingConfig":{"mode":"validated","allowedFunctionNames":["f"]}}});
    let (sent, _) = encoded(&body.to_string(), "gemini-2.5-flash", false);
    assert_eq!(
        sent["toolConfig"]["functionCallingConfig"],
        json!({"mode":"VALIDATED","allowedFunctionNames":["f"]})
    );
    let body = json!({"contents":{"parts":{"text":"x"}},"generationConfig":{"responseMimeType":"text/x.enum","responseSchema":{"type":"STRING","enum":["a"]},"speechConfig":{"a":1},"responseModalities":["AUDIO"]},"safetySettings":[],"serviceTier":"flex"});
    let (sent, dropped) = encoded(&body.to_string(), "gemini-2.5-flash", false);
    assert!(dropped.is_empty());
    assert_eq!(sent["generationConfig"], body["generationConfig"]);
    assert_eq!(
        (&sent["safetySettings"], &sent["serviceTier"]),
        (&json!([]), &json!("flex"))
    );
}

#[test]
fn vertex_counts_without_what_has_no_tokens() {
    let body = node(
        r#"{"contents":[{"parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}],"safetySettings":[],
            "toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"generationConfig":{"topK":2}}"#,
    );
    let read = Gemini.read_count(&body).unwrap();
    let sent = |vertex| -> Json {
        let made = GeminiCodec { vertex }
            .encode_count(&read, aim("gemini-2.5-flash"))
            .unwrap();
        serde_json::from_slice(&made.body).unwrap()
    };
    assert_eq!(
        sent(true),
        json!({"contents":[{"role":"user","parts":[{"text":"a"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}],
            "generationConfig":{"topK":2}})
    );
    let inner = &sent(false)["generateContentRequest"];
    assert_eq!(
        (&inner["model"], inner["toolConfig"].is_object()),
        (&json!("models/gemini-2.5-flash"), true)
    );
}

#[test]
fn other_vendors_web_search_is_googles() {
    use crate::wire::canonical::{Builtin, Message, Role, Tool};
    let request = Request {
        messages: vec![Message {
            role: Role::User,
            name: Some("ann".into()),
            parts: vec![Part::text("a")],
        }],
        tools: vec![Tool::Builtin {
            kind: Builtin::WebSearch,
            dialect: Dialect::Anthropic,
            name: "web_search".into(),
            raw: r#"{"type":"web_search_20250305","name":"web_search","max_uses":3}"#.into(),
        }],
        tool_choice: Some(crate::wire::canonical::ToolChoice::Required),
        ..Request::default()
    };
    let made = GeminiCodec::default().encode(&request, aim("gemini-2.5-pro")).unwrap();
    let sent: Json = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(sent["tools"], json!([{"googleSearch":{}}]));
    assert_eq!(
        made.dropped.names(),
        ["tools[0] (options of web_search)", "messages[0].name", "tool_choice"]
    );
}

#[test]
fn what_another_vendor_signed_never_reaches_google() {
    let thinking = |text: &'static str, data: &'static str| {
        Part::Thinking(Thinking {
            text: text.into(),
            signature: Some(Signature::new(Dialect::Anthropic, data)),
            redacted: text.is_empty(),
            id: None,
        })
    };
    let call = Part::ToolCall(ToolCall {
        id: "c1".into(),
        name: "f".into(),
        arguments: "{}".into(),
        kind: ToolCallKind::Function,
        signature: None,
        cache: None,
    });
    for parts in [
        vec![thinking("secret", "s1"), thinking("", "s2"), call],
        vec![thinking("secret", "s1"), Part::text("said")],
    ] {
        let response = Response {
            candidates: vec![Candidate {
                parts,
                ..Candidate::default()
            }],
            ..Response::default()
        };
        let sent: Json = serde_json::from_str(&written(&response)).unwrap();
        let history =
            json!({"contents":[{"role":"user","parts":[{"text":"hi"}]},sent["candidates"][0]["content"]]}).to_string();
        assert!(crate::providers::native::holds_foreign_parts(history.as_bytes()));
        let (sent, dropped) = encoded(&history, "gemini-3-pro-preview", false);
        let sent = sent.to_string();
        for foreign in ["secret", "cirque", WRAPPED_BASE64, "s1"] {
            assert!(!sent.contains(foreign), "{sent}");
        }
        assert_eq!(dropped[0], "messages[1] (thinking of another vendor)");
    }
}
