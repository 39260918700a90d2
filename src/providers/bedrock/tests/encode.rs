//! Conversations, media and tools as Converse writes them.

use super::*;
use crate::providers::codec::Unfit;
use crate::wire::Dialect;
use crate::wire::canonical::{Cache, Citation, Media, MediaKind, Signature, Source, Thinking, Tool};
use serde_json::json;

#[test]
fn turns_alternate_and_begin_with_the_user() {
    let request = Request {
        messages: vec![
            system("Be brief."),
            assistant(vec![Part::text("Hello!")]),
            user(vec![Part::text("a"), Part::text("  ")]),
            user(vec![Part::text("b")]),
            system("Be kind."),
            assistant(vec![Part::Thinking(Thinking::default())]),
            user(vec![Part::text("c")]),
        ],
        ..Request::default()
    };
    let (body, encoding) = encoded(&request, LLAMA);
    assert_eq!(body["system"], json!([{"text":"Be brief."},{"text":"Be kind."}]));
    assert_eq!(
        body["messages"],
        json!([{"role":"user","content":[{"text":"(The conversation begins with the assistant.)"}]},
               {"role":"assistant","content":[{"text":"Hello!"}]},
               {"role":"user","content":[{"text":"a"},{"text":"b"},{"text":"c"}]}])
    );
    assert_eq!(
        encoding.dropped.names(),
        [
            "messages[4] (position of a system message)",
            "messages[5] (thinking)",
            "messages[0] (a user's message was put before the assistant's)"
        ]
    );
    let only_thinking = Request {
        messages: vec![
            user(vec![Part::text("a")]),
            assistant(vec![Part::Thinking(Thinking {
                signature: Some(Signature::new(Dialect::Anthropic, "s")),
                ..Thinking::default()
            })]),
            user(vec![Part::text("b")]),
        ],
        ..Request::default()
    };
    assert_eq!(
        encoded(&only_thinking, CLAUDE).0["messages"],
        json!([{"role":"user","content":[{"text":"a"},{"text":"b"}]}])
    );
    let empty = ConverseCodec.encode(&Request::default(), aim(CLAUDE)).unwrap_err();
    assert!(matches!(empty, Unfit::Request { param: Some(param), .. } if param == "messages"));
}

#[test]
fn a_model_without_a_system_prompt_gets_it_as_text() {
    let mut request = asking();
    request.messages.insert(0, system("Be brief."));
    let (body, encoding) = encoded(&request, "mistral.mistral-7b-instruct-v0:2");
    assert_eq!(
        body,
        json!({"messages":[{"role":"user","content":[{"text":"Be brief."},{"text":"Hi"}]}]})
    );
    assert_eq!(encoding.dropped.names(), ["messages[0] (as the user's text)"]);
}

#[test]
fn calls_and_results() {
    let odd = "call.with:odd/characters";
    let request = Request {
        messages: vec![
            user(vec![Part::text("q")]),
            assistant(vec![
                call(odd, "mcp.tool", r#"{"a": 1.0}"#),
                call("c2", "f", "{broken"),
                call("c3", "f", ""),
            ]),
            user(vec![
                Part::text("and?"),
                result(
                    odd,
                    vec![Part::text("r"), image(Source::Base64("aGk=".into()), "image/png")],
                ),
            ]),
        ],
        tools: vec![function("mcp.tool")],
        ..Request::default()
    };
    let (body, encoding) = encoded(&request, CLAUDE);
    let content = &body["messages"][1]["content"];
    let id = content[0]["toolUse"]["toolUseId"].as_str().unwrap();
    let name = content[0]["toolUse"]["name"].as_str().unwrap();
    assert!(id.starts_with("call_with_odd_characters_") && name.starts_with("mcp_tool_"));
    assert_eq!(content[0]["toolUse"]["input"], json!({"a": 1.0}));
    assert_eq!(
        content[1]["toolUse"],
        json!({"toolUseId":"c2","name":"f","input":{"_raw":"{broken"}})
    );
    assert_eq!(content[2]["toolUse"]["input"], json!({}));
    let back = &body["messages"][2]["content"];
    assert_eq!(
        back[0]["toolResult"],
        json!({"toolUseId":id,"content":[{"text":"r"},{"image":{"format":"png","source":{"bytes":"aGk="}}}],"status":"error"})
    );
    assert_eq!(back[1], json!({"text":"and?"}));
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], name);
    assert_eq!(encoding.expect.tool_name(name), "mcp.tool");
    assert!(encoding.dropped.is_empty());
    assert_eq!(
        dropped(&request, LLAMA),
        ["messages[2].content[1] (image)", "messages[2].content[1] (is_error)"]
    );
}

#[test]
fn thinking_goes_back_to_its_own_vendor_only() {
    let thought = |origin, redacted| {
        Part::Thinking(Thinking {
            text: if redacted { "".into() } else { "hm".into() },
            signature: Some(Signature::new(origin, "sig")),
            redacted,
            id: None,
        })
    };
    let request = |origin| Request {
        messages: vec![
            user(vec![Part::text("q")]),
            assistant(vec![thought(origin, false), thought(origin, true), Part::text("a")]),
            user(vec![Part::text("r")]),
        ],
        ..Request::default()
    };
    let own = json!([{"reasoningContent":{"reasoningText":{"text":"hm","signature":"sig"}}},
                     {"reasoningContent":{"redactedContent":"sig"}},{"text":"a"}]);
    assert_eq!(
        body(&request(Dialect::Anthropic), CLAUDE)["messages"][1]["content"],
        own
    );
    assert_eq!(
        body(&request(Dialect::Bedrock), "us.amazon.nova-2-lite-v1:0")["messages"][1]["content"],
        own
    );
    for (origin, model) in [
        (Dialect::Gemini, CLAUDE),
        (Dialect::Anthropic, NOVA),
        (Dialect::Bedrock, CLAUDE),
    ] {
        assert_eq!(
            dropped(&request(origin), model),
            ["messages[1] (thinking of another vendor)"]
        );
    }
    assert_eq!(
        dropped(&request(Dialect::Bedrock), "us.deepseek.r1-v1:0"),
        ["messages[1] (thinking)"]
    );
}

#[test]
fn media_by_kind_and_model() {
    let titled = |source, title: &'static str, media_type: Option<&'static str>| {
        let mut media = Media::new(MediaKind::Document, source, media_type.map(Into::into));
        media.title = Some(title.into());
        Part::Media(media)
    };
    let bytes = || Source::Base64("aGk=".into());
    let request = Request {
        messages: vec![user(vec![
            image(bytes(), "image/jpg"),
            image(Source::Url("s3://bucket/key.webp".into()), ""),
            image(Source::Url("https://x/y.png".into()), "image/png"),
            image(bytes(), "image/tiff"),
            titled(bytes(), "Q3.report.pdf", Some("application/pdf")),
            titled(bytes(), "Q3.report.pdf", None),
            titled(Source::Text("text".into()), "notes.md", None),
            titled(Source::Parts(vec![Part::text("one"), Part::text("two")]), "", None),
            Part::Media(Media::new(MediaKind::Audio, bytes(), Some("audio/wav".into()))),
            Part::Media(Media::new(MediaKind::Video, bytes(), Some("video/mp4".into()))),
        ])],
        ..Request::default()
    };
    let (claude, encoding) = encoded(&request, CLAUDE);
    assert_eq!(
        claude["messages"][0]["content"],
        json!([
            {"image":{"format":"jpeg","source":{"bytes":"aGk="}}},
            {"image":{"format":"webp","source":{"s3Location":{"uri":"s3://bucket/key.webp"}}}},
            {"document":{"format":"pdf","name":"Q3-report","source":{"bytes":"aGk="}}},
            {"document":{"format":"pdf","name":"Q3-report 2","source":{"bytes":"aGk="}}},
            {"document":{"format":"md","name":"notes","source":{"text":"text"}}},
            {"document":{"format":"txt","name":"document","source":{"content":[{"text":"one"},{"text":"two"}]}}},
            {"text":"Document: document"}
        ])
    );
    assert_eq!(
        encoding.dropped.names(),
        [
            "messages[0].content[2] (image by URL)",
            "messages[0].content[3] (image image/tiff)",
            "messages[0].content[8] (audio)",
            "messages[0].content[9] (video)"
        ]
    );
    let nova = encoded(&request, NOVA).0;
    let content = nova["messages"][0]["content"].as_array().unwrap();
    assert_eq!(content[4]["document"]["source"], json!({"bytes":"dGV4dA=="}));
    assert_eq!(content[5]["document"]["source"], json!({"bytes":"b25lCgp0d28="}));
    assert_eq!(content[6], json!({"video":{"format":"mp4","source":{"bytes":"aGk="}}}));
    let micro = ConverseCodec
        .encode(&request, aim("amazon.nova-micro-v1:0"))
        .unwrap_err();
    assert!(micro.to_string().contains("holds nothing this model can take"));
    let mut request = request;
    request.messages.push(user(vec![Part::text("what is this?")]));
    assert_eq!(dropped(&request, "amazon.nova-micro-v1:0").len(), 10);
}

#[test]
fn cache_points_where_the_model_takes_them() {
    let mut tool = function("f");
    if let Tool::Function(function) = &mut tool {
        function.cache = Some(Cache::Default);
    }
    let mut request = Request {
        messages: vec![
            Message {
                role: Role::System,
                ..user(vec![marked("s", Cache::OneHour)])
            },
            user(vec![marked("u", Cache::FiveMinutes)]),
        ],
        tools: vec![tool],
        cache: Some(Cache::Default),
        ..Request::default()
    };
    let point = json!({"cachePoint":{"type":"default"}});
    let claude = body(&request, CLAUDE);
    assert_eq!(claude["toolConfig"]["tools"][1], point);
    assert_eq!(claude["system"][1], json!({"cachePoint":{"type":"default","ttl":"1h"}}));
    let content = &claude["messages"][0]["content"];
    assert_eq!(
        (&content[1], &content[2]),
        (&json!({"cachePoint":{"type":"default","ttl":"5m"}}), &point)
    );
    let older = encoded(&request, "anthropic.claude-3-7-sonnet-20250219-v1:0");
    assert_eq!(
        (&older.0["system"][1], older.1.dropped.names()),
        (&point, &["cache_control.ttl".to_owned()][..])
    );
    let (nova, encoding) = encoded(&request, NOVA);
    assert_eq!(nova["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&nova["system"][1], &nova["messages"][0]["content"][1]),
        (&point, &point)
    );
    assert_eq!(
        encoding.dropped.names(),
        ["cache_control (not behind text)", "cache_control.ttl"]
    );
    assert!(!body(&request, LLAMA).to_string().contains("cachePoint"));
    request.messages[1]
        .parts
        .extend([marked("v", Cache::Default), marked("w", Cache::Default)]);
    assert_eq!(dropped(&request, CLAUDE), ["cache_control (more than four)"]);
    assert_eq!(encoded(&request, CLAUDE).0.to_string().matches("cachePoint").count(), 4);
}

#[test]
fn citations_of_other_vendors_are_named() {
    let mut cited = Part::text("a");
    if let Part::Text { citations, .. } = &mut cited {
        citations.push(Citation {
            url: Some("https://x".into()),
            ..Citation::default()
        });
    }
    let mut request = asking();
    request
        .messages
        .extend([assistant(vec![cited]), user(vec![Part::text("b")])]);
    let (body, encoding) = encoded(&request, CLAUDE);
    assert_eq!(body["messages"][1]["content"], json!([{"text":"a"}]));
    assert_eq!(encoding.dropped.names(), ["messages[1].content[0] (citations)"]);
}
