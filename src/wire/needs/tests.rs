//! Needs: each dialect's ways of asking, and what only looks like asking.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn names(needs: Needs) -> String {
    let flags = [
        (needs.tools, "tools"),
        (needs.vision, "vision"),
        (needs.audio, "audio"),
        (needs.files, "files"),
        (needs.json_schema, "schema"),
        (needs.reasoning, "reasoning"),
    ];
    let names: Vec<_> = flags.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect();
    names.join(" ")
}

#[test]
fn each_dialect_says_it_in_its_own_way() {
    use Dialect::{Anthropic, Gemini, OpenAi, Responses};
    for (dialect, body, expected) in [
        (OpenAi, json!({"tools": []}), ""),
        (OpenAi, json!({"tools": [{}], "reasoning_effort": "none"}), "tools"),
        (
            OpenAi,
            json!({"reasoning_effort": "low", "response_format": {"type": "json_schema"}}),
            "schema reasoning",
        ),
        (OpenAi, json!({"response_format": {"type": "json_object"}}), ""),
        (
            OpenAi,
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "u"}}]}]}),
            "vision",
        ),
        (
            OpenAi,
            json!({"messages": [{"content": [{"type": "file", "file": {}}, {"type": "input_audio"}]}]}),
            "audio files",
        ),
        // Text and arguments that only look like parts.
        (
            OpenAi,
            json!({"messages": [{"content": "[{\"type\":\"image_url\"}]", "tool_calls": [{"function": {"x": {"content": [{"type": "image_url"}]}}}]}]}),
            "",
        ),
        (
            Responses,
            json!({"input": "hi", "text": {"format": {"type": "json_schema"}}}),
            "schema",
        ),
        (
            Responses,
            json!({"input": [{"content": [{"type": "input_image"}]}], "reasoning": {"effort": "none"}}),
            "vision",
        ),
        (
            Responses,
            json!({"input": [{"type": "function_call_output", "output": [{"type": "input_file"}]}]}),
            "files",
        ),
        (Responses, json!({"reasoning": {"effort": "high"}}), "reasoning"),
        (
            Anthropic,
            json!({"messages": [{"content": [{"type": "tool_result", "content": [{"type": "image", "source": {"type": "file"}}]}]}]}),
            "vision",
        ),
        (
            Anthropic,
            json!({"messages": [{"content": [{"type": "tool_use", "input": {"type": "image"}}]}]}),
            "",
        ),
        (
            Anthropic,
            json!({"thinking": {"type": "enabled"}, "tools": [{"name": "t"}]}),
            "tools reasoning",
        ),
        (
            Anthropic,
            json!({"thinking": {"type": "disabled"}, "output_config": {"format": {"type": "json_schema"}}}),
            "schema",
        ),
        (
            Gemini,
            json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}, {"file_data": {"mime_type": "application/pdf"}}]}]}),
            "vision files",
        ),
        (
            Gemini,
            json!({"contents": {"parts": [{"inline_data": {"mime_type": "audio/wav"}}]}}),
            "audio",
        ),
        (
            Gemini,
            json!({"generationConfig": {"responseSchema": {"type": "OBJECT"}, "thinkingConfig": {"thinkingBudget": 0}}}),
            "schema",
        ),
        (
            Gemini,
            json!({"generation_config": {"thinking_config": {"thinking_budget": 8}}}),
            "reasoning",
        ),
    ] {
        assert_eq!(
            names(needs_of(body.to_string().as_bytes(), dialect, 64)),
            expected,
            "{body}"
        );
    }
}

#[test]
fn the_estimate_leaves_media_out() {
    let image = "A".repeat(40_000);
    let text = "word ".repeat(800);
    let body = json!({"messages": [{"content": [
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{image}")}},
    ]}]})
    .to_string();
    let seen = look(body.as_bytes(), Dialect::OpenAi, 64);
    assert!(seen.needs.vision && seen.media_bytes > 40_000);
    let tokens = estimate_tokens(body.len(), &seen);
    assert!((1000..1060).contains(&tokens), "{tokens}");
}

proptest! {
    #[test]
    fn hostile_bodies_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), deep in 0usize..300) {
        let nested = format!("{{\"messages\":{}{}}}", "[{\"content\":".repeat(deep), "1");
        let closed = format!("{{\"messages\":{}1{}}}", "[".repeat(deep), "]".repeat(deep));
        for body in [&bytes[..], nested.as_bytes(), closed.as_bytes()] {
            for dialect in Dialect::ALL {
                let _ = look(body, dialect, 1024);
                let mut seen = Seen::default();
                walk::walk(body, dialect, &mut seen);
            }
        }
    }
}
