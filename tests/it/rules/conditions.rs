//! Conditions on everything a request says, each over the real gateway: one rule a case, chosen by a header.

use super::{CHATS, EMBED, MESSAGE, answering, config};
use crate::support::Gateway;
use crate::support::client::{chat, chat_stream};

const TOOLS: &str =
    r#"{"model":"base","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}"#;
const IMAGE: &str = r#"{"model":"base","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}]}]}"#;
const SOUND: &str = r#"{"model":"base","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}"#;
const FILE: &str =
    r#"{"model":"base","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]}"#;
const SCHEMA: &str =
    r#"{"model":"base","messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{}}}}"#;
const EFFORT: &str = r#"{"model":"base","messages":[],"reasoning_effort":"high"}"#;
/// A text that speaks of all of it and needs nothing.
const TALK: &str =
    r#"{"model":"base","messages":[{"role":"user","content":"\"tools\":[{}],{\"type\":\"image_url\"} json_schema"}]}"#;
const BATCH: &str = "x-cirque-metadata: {\"job\":\"batch\",\"n\":7,\"share\":0.5,\"on\":true,\"none\":null}\r\n";

/// Condition, path, headers, body, whether it holds.
type Case = (&'static str, &'static str, &'static str, String, bool);

fn case(condition: &'static str, headers: &'static str, body: &str, holds: bool) -> Case {
    (condition, CHATS, headers, body.to_owned(), holds)
}

fn cases() -> Vec<Case> {
    let plain = &chat("base");
    let long = format!(
        r#"{{"model":"base","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(400)
    );
    let mut cases = vec![
        case(r#"headers["x-tier"] == "gold""#, "x-tier: gold\r\n", plain, true),
        case(r#"headers["x-tier"] == "gold""#, "X-Tier: gold\r\n", plain, true),
        case(r#"headers["x-tier"] == "gold""#, "x-tier: silver\r\n", plain, false),
        case(r#"headers["x-tier"] == "gold""#, "", plain, false),
        case(r#"headers["x-tier"] != "gold""#, "", plain, false),
        case(r#""x-tier" in headers"#, "x-tier: \r\n", plain, true),
        case(r#"metadata.job == "batch""#, BATCH, plain, true),
        case(r#"metadata.job == "batch""#, "", plain, false),
        case(r#"!(metadata.job == "batch")"#, "", plain, false),
        case(r#"!has(metadata.job)"#, "", plain, true),
        case(r#"metadata.n > 5 && metadata.share < 1.0"#, BATCH, plain, true),
        case(r#"metadata.n == "7""#, BATCH, plain, false),
        case(r#"metadata.on == true"#, BATCH, plain, true),
        case(r#"metadata.none == null"#, BATCH, plain, true),
        case(r#"metadata.job.matches("^b.t")"#, BATCH, plain, true),
        case(r#"metadata.missing == 1 || metadata.n == 7"#, BATCH, plain, true),
        case(r#"operation == "chat""#, "", plain, true),
        case(r#"operation == "embeddings""#, "", plain, false),
        case("stream", "", &chat_stream("base"), true),
        case("stream", "", plain, false),
        case("tokens > 300", "", &long, true),
        case("tokens > 300", "", plain, false),
        case("has(request.max_tokens) && max_tokens > 10", "", MESSAGE, true),
        case("max_tokens > 10", "", plain, false),
        case("needs.tools", "", TOOLS, true),
        case("needs.vision", "", IMAGE, true),
        case("needs.audio", "", SOUND, true),
        case("needs.files", "", FILE, true),
        case("needs.json_schema", "", SCHEMA, true),
        case("needs.reasoning", "", EFFORT, true),
        case(
            "needs.tools || needs.vision || needs.json_schema || needs.files",
            "",
            TALK,
            false,
        ),
        case(r#"ip == "127.0.0.1""#, "", plain, true),
        case(r#"ip == "10.1.2.3""#, "x-forwarded-for: 10.1.2.3\r\n", plain, false),
        case(r#"within("00:00-24:00")"#, "", plain, true),
        case(r#"within("mon-sun 00:00-24:00", "Asia/Kolkata")"#, "", plain, true),
        case(r#"!within("00:00-24:00", "America/New_York")"#, "", plain, false),
        case(r#"within("00:00-12:00") || within("12:00-24:00")"#, "", plain, true),
        case(r#"within("00:00-12:00") && within("12:00-24:00")"#, "", plain, false),
        case(r#"now > timestamp("2026-01-01T00:00:00Z")"#, "", plain, true),
        case(r#"now.getFullYear() < 2020"#, "", plain, false),
        case(r#"dialect == "openai""#, "", plain, true),
        case(
            r#"model == "base" && key == "" && team == "" && size(tags) == 0"#,
            "",
            plain,
            true,
        ),
    ];
    cases.push((
        r#"operation == "embeddings""#,
        "/v1/embeddings",
        "",
        EMBED.to_owned(),
        true,
    ));
    cases.push((
        r#"dialect == "anthropic""#,
        "/v1/messages",
        "",
        MESSAGE.to_owned(),
        true,
    ));
    cases.push(("max_tokens == 50", "/v1/messages", "", MESSAGE.to_owned(), true));
    let gemini = r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}],"generationConfig":{"maxOutputTokens":7}}"#;
    let path = "/v1beta/models/base:generateContent";
    cases.push((
        r#"dialect == "gemini" && needs.vision && max_tokens == 7"#,
        path,
        "",
        gemini.to_owned(),
        true,
    ));
    cases.push((r#"model == "base" && !stream"#, path, "", gemini.to_owned(), true));
    let input = r#"{"model":"base","input":"Hello","max_output_tokens":9}"#;
    cases.push((
        r#"dialect == "responses" && max_tokens == 9"#,
        "/v1/responses",
        "",
        input.to_owned(),
        true,
    ));
    cases
}

#[test]
fn conditions_on_everything_a_request_says() {
    let upstream = answering();
    let cases = cases();
    let rules = cases.iter().enumerate();
    let rules = rules.map(|(number, (condition, ..))| {
        format!("name: case-{number}, when: 'headers[\"x-case\"] == \"{number}\" && ({condition})', to: other")
    });
    let gateway = Gateway::with(config(&upstream, &rules.collect::<Vec<_>>()));
    for (number, (condition, path, headers, body, holds)) in cases.iter().enumerate() {
        let id = format!("case-{number}-of-rules");
        let headers = format!("x-case: {number}\r\nx-request-id: {id}\r\n{headers}");
        let response = gateway.post_with(path, &headers, body).ok();
        let model = if *holds { "other" } else { "base" };
        assert_eq!(
            response.header("x-cirque-model"),
            Some(model),
            "{number}: {condition} {path}"
        );
        let sent = upstream.requests().pop().unwrap();
        assert!(
            sent.text().contains(&format!("\"model\":\"{model}\"")),
            "{condition}: {}",
            sent.text()
        );
        let line = gateway.access(&id);
        let rule = holds.then(|| format!("case-{number}"));
        assert_eq!(
            line.get("rule").and_then(|rule| rule.as_str()),
            rule.as_deref(),
            "{line}"
        );
        assert_eq!(line["model"], model);
    }
    for (number, (condition, .., holds)) in cases.iter().enumerate() {
        let label = format!("rule=\"case-{number}\"");
        let count = gateway.metric("cirque_route_rules_total", &[&label]);
        assert_eq!(count, f64::from(u8::from(*holds)), "{condition}");
    }
}
