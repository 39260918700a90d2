//! Guardrails as clients and providers notice them: requests and whole answers, in every dialect. What is found is the detectors'
//! business (`src/guardrails`), what is a text `wire::prose`'s; streams are in `guard_streams.rs`.

use crate::support::client::chat_stream;
use crate::support::upstream::{CHAT, MESSAGE, json_answer};
use crate::support::{Gateway, Upstream};
use serde_json::{Value, json};

const CHATS: &str = "/v1/chat/completions";
const TEXTS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const GEMINI: &str = "/v1beta/models/m:generateContent";

const CANDIDATE: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":12,"totalTokenCount":21}}"#;
const COMPLETION: &str = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"up","choices":[{"text":"Hi","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"up","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":12,"total_tokens":21}}"#;

/// One model `m`, called `m` there, and what is done about zebras.
fn guarded(kind: &str, upstream: &Upstream, guardrail: &str) -> Gateway {
    Gateway::with(format!(
        "providers:\n  p: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY }}\n\
         models:\n  m: {{ targets: [ {{ provider: p }} ], guardrails: [zoo] }}\n\
         guardrails:\n  zoo: {{ {guardrail} }}\n",
        upstream.url()
    ))
}

fn zebras(action: &str, on: &str) -> String {
    format!("kind: keywords, words: [zebra], action: {action}, on: [{on}]")
}

/// Requests of every dialect that hold zebras, to a provider of the same: kind, its answer, path, body, and how a zebra is spelled in it.
/// White space, unknown members and escapes of other texts are there to be left alone.
fn requests() -> [(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
); 5] {
    [
        (
            "openai",
            CHAT,
            CHATS,
            r#"{ "model":"m", "messages":[{"role":"system","content":"a zebra \u00e9\/"},{"role":"user","name":"z","content":[{"type":"text","text":"Zebra!"},{"type":"image_url","image_url":{"url":"data:image/png;base64,zebra"}}]},
                {"role":"assistant","content":null,"tool_calls":[{"id":"zebra","type":"function","function":{"name":"zebra","arguments":"{\"x\" : \"z\\u0065bra\", \"n\":1e3}"}}]},{"role":"tool","tool_call_id":"zebra","content":"{\"zebra\":\"1\"}"},{"role":"user","content":"done"}],"seed":7 }"#,
            &["zebra \\u00e9\\/", "Zebra!", r"z\\u0065bra", r#"{\"zebra\":\"1\"}"#],
        ),
        (
            "openai",
            COMPLETION,
            TEXTS,
            "{\"model\":\"m\",\n\"prompt\":[\"one\", \"zebra two\"], \"user\":\"zebra\"}",
            &["zebra two"],
        ),
        (
            "openai",
            RESPONSE,
            RESPONSES,
            r#"{"model":"m","instructions":"zebra one","input":[{"role":"user","content":[{"type":"input_text","text":"z\u0065bra"}]},{"type":"function_call","call_id":"zebra","name":"zebra","arguments":"{}"},{"type":"function_call_output","call_id":"zebra","output":"zebra two"}], "metadata":{"a":"zebra"}}"#,
            &["zebra one", r"z\u0065bra", "zebra two"],
        ),
        (
            "anthropic",
            MESSAGE,
            MESSAGES,
            r#"{"model":"m","max_tokens":50, "system":[{"type":"text","text":"zebra one","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"zebra two"},{"role":"assistant","content":[{"type":"thinking","thinking":"zebra","signature":"QUJD"},{"type":"tool_use","id":"zebra","name":"zebra","input":{"zebra":"zebra \ud83d\ude00"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"zebra","content":[{"type":"text","text":"zebra three"}]}]}]}"#,
            &["zebra one", "zebra two", r"zebra \ud83d\ude00", "zebra three"],
        ),
        (
            "gemini",
            CANDIDATE,
            GEMINI,
            r#"{"systemInstruction":{"parts":[{"text":"zebra one"}]},"contents":[{"role":"user","parts":[{"text":"zebra two"}]},{"role":"model","parts":[{"functionCall":{"name":"zebra","args":{"a":["zebra three"]}},"thoughtSignature":"zebra"}]},{"role":"user","parts":[{"functionResponse":{"name":"zebra","response":{"type":"zebra four"}}}]}]}"#,
            &["zebra one", "zebra two", "zebra three", "zebra four"],
        ),
    ]
}

/// What becomes of a text when zebras are replaced.
fn masked(spelled: &str) -> String {
    let plain = spelled.replace(r"\\u0065", "e").replace(r"\u0065", "e");
    let hidden = plain.to_lowercase().replace("zebra", "[KEYWORD]");
    // What is written anew has the fewest escapes.
    hidden
        .replace(r"\u00e9", "é")
        .replace(r"\/", "/")
        .replace(r"\ud83d\ude00", "😀")
}

#[test]
fn a_provider_gets_what_is_left_and_every_other_byte_as_it_came() {
    for (kind, answer, path, body, spelled) in requests() {
        let upstream = Upstream::always(json_answer(200, answer));
        let gateway = guarded(kind, &upstream, &zebras("redact", "input"));
        gateway.post(path, body).ok();
        let expected = spelled.iter().fold(body.to_owned(), |body, text| {
            assert_eq!(body.matches(text).count(), 1, "{path}: {text}");
            body.replace(text, &masked(text))
        });
        assert_eq!(upstream.request().text(), expected, "{path}");
    }
}

#[test]
fn what_only_is_flagged_passes_byte_by_byte() {
    for (kind, answer, path, body, _) in requests() {
        let upstream = Upstream::always(json_answer(200, answer));
        let gateway = guarded(kind, &upstream, &zebras("flag", "input, output"));
        let response = gateway.post(path, body).ok();
        assert_eq!(upstream.request().text(), body, "{path}");
        assert!(response.text().contains("Hi"), "{path}");
    }
}

#[test]
fn a_request_is_refused_in_every_dialect_wherever_it_says_it() {
    let upstream = Upstream::ok();
    let gateway = guarded("openai", &upstream, &zebras("block", "input"));
    let says = |said: &str| {
        assert!(
            said.contains("`zoo`") && said.contains("KEYWORD") && !said.to_lowercase().contains("zebra"),
            "{said}"
        );
    };
    for (_, _, path, body, spelled) in requests() {
        // Each of its texts alone.
        for text in spelled {
            let others = spelled.iter().filter(|other| *other != text);
            let body = others.fold(body.to_owned(), |body, other| body.replace(other, "x"));
            let body = body.replace(r#""thinking":"zebra""#, r#""thinking":"x""#);
            let response = gateway.post(path, body);
            let json = response.json();
            assert_eq!(response.status, 400, "{path} {text}: {json}");
            says(json["error"]["message"].as_str().unwrap());
            match path {
                MESSAGES => assert_eq!(
                    (&json["type"], &json["error"]["type"]),
                    (&json!("error"), &json!("invalid_request_error"))
                ),
                GEMINI => assert_eq!(
                    (&json["error"]["code"], &json["error"]["status"]),
                    (&json!(400), &json!("INVALID_ARGUMENT"))
                ),
                _ => says(&response.expect_error(400, "invalid_request_error", "content_filter")),
            }
        }
    }
    // Of a stream too, before it begins; and none of it is written down.
    let streamed = gateway.post(CHATS, chat_stream("m").replace("Hello", "zebra"));
    streamed.expect_error(400, "invalid_request_error", "content_filter");
    gateway.access(streamed.header("x-request-id").unwrap());
    assert_eq!(upstream.count(), 0);
    let logs = gateway.stdout.text() + &gateway.stderr.text();
    assert!(!logs.replace("words: [zebra]", "").contains("zebra there"), "{logs}");
    // Without zebras it passes.
    gateway.post(CHATS, crate::support::client::chat("m")).ok();
}

#[test]
fn other_operations_are_judged_too() {
    const EMBEDDINGS: &str = r#"{"object":"list","model":"up","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    let upstream = Upstream::always(json_answer(200, EMBEDDINGS));
    let gateway = guarded("openai", &upstream, &zebras("block", "input, output"));
    for (path, body) in [
        ("/v1/embeddings", r#"{"model":"m","input":["x","zebra"]}"#),
        (
            "/v1/moderations",
            r#"{"model":"m","input":[{"type":"text","text":"zebra"}]}"#,
        ),
    ] {
        let response = gateway.post(path, body);
        response.expect_error(400, "invalid_request_error", "content_filter");
    }
    let tokens = gateway.post("/v1/embeddings", r#"{"model":"m","input":[[1,2,3]]}"#);
    tokens.expect_error(403, "permission_error", "guardrail_unread");
    assert_eq!(upstream.count(), 0);
    gateway.post("/v1/embeddings", r#"{"model":"m","input":"x"}"#).ok();
}

#[test]
fn a_large_request_is_judged_to_its_end() {
    let upstream = Upstream::ok();
    let gateway = guarded("openai", &upstream, &zebras("redact", "input"));
    let long = "word ".repeat(80_000);
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": long}, {"role": "user", "content": "zebra"}]});
    gateway.post(CHATS, body.to_string()).ok();
    let expected = body.to_string().replace("\"zebra\"", "\"[KEYWORD]\"");
    assert!(upstream.request().text() == expected);
}

/// What clients of every dialect ask, and the answer of an OpenAI target.
fn asked() -> [(&'static str, Value); 5] {
    let turns = json!([{"role": "user", "content": "Hello"}]);
    [
        (CHATS, json!({"model": "m", "messages": turns, "n": 2})),
        (TEXTS, json!({"model": "m", "prompt": "Hello"})),
        (RESPONSES, json!({"model": "m", "input": "Hello"})),
        (MESSAGES, json!({"model": "m", "max_tokens": 50, "messages": turns})),
        (
            GEMINI,
            json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}),
        ),
    ]
}

/// Speaks of zebras to whoever asks: in the text of chats and completions, and in what a tool is called with.
fn zebra_keeper() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let answer = if request.line.contains("/chat/") {
                let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"to\":\"z\\u0065bra\"}"}});
                let second = json!({"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [call]}, "finish_reason": "tool_calls"});
                let mut answer: Value = serde_json::from_str(&CHAT.replace("Hi", "A zebra ran")).unwrap();
                if request.text().contains("\"n\":2") {
                    answer["choices"].as_array_mut().unwrap().push(second);
                }
                answer.to_string()
            } else if request.line.contains("/responses") {
                RESPONSE.replace("Hi", "A zebra ran")
            } else {
                COMPLETION.replace("Hi", "A zebra ran")
            };
            conn.send(json_answer(200, &answer));
        }
    })
}

#[test]
fn an_answer_is_redacted_in_every_dialect() {
    let upstream = zebra_keeper();
    let gateway = guarded("openai", &upstream, &zebras("redact", "output"));
    for (path, body) in asked() {
        let response = gateway.post(path, body.to_string()).ok();
        let text = response.text();
        assert!(
            text.contains("A [KEYWORD] ran") && !text.contains("ebra"),
            "{path}: {text}"
        );
        if path == CHATS {
            let call = &response.json()["choices"][1]["message"]["tool_calls"][0]["function"];
            assert_eq!(call["arguments"], "{\"to\":\"[KEYWORD]\"}");
        }
    }
}

#[test]
fn a_blocked_answer_ends_as_a_refusal_of_the_dialect() {
    let upstream = zebra_keeper();
    let gateway = guarded("openai", &upstream, &zebras("block", "output"));
    for (path, body) in asked() {
        let response = gateway.post(path, body.to_string()).ok();
        let text = response.text();
        assert!(
            !text.contains("ebra") && !text.contains("0065") && !text.contains("ran"),
            "{path}: {text}"
        );
        let said = response.json();
        match path {
            CHATS => {
                for index in [0, 1] {
                    assert_eq!(said["choices"][index]["finish_reason"], "content_filter");
                }
                assert_eq!(said["usage"]["total_tokens"], 21);
                assert_eq!(said["model"], "m");
            }
            TEXTS => {
                assert_eq!(said["choices"][0]["finish_reason"], "content_filter");
                assert_eq!(
                    (&said["choices"][0]["text"], &said["usage"]["total_tokens"]),
                    (&json!(""), &json!(21))
                );
            }
            RESPONSES => {
                assert_eq!(said["status"], "incomplete");
                assert_eq!(said["incomplete_details"]["reason"], "content_filter");
            }
            MESSAGES => {
                assert_eq!(
                    (&said["stop_reason"], &said["content"]),
                    (&json!("refusal"), &json!([]))
                );
                assert_eq!(said["usage"]["output_tokens"], 12);
            }
            _ => assert_eq!(said["candidates"][0]["finishReason"], "SAFETY"),
        }
    }
    // It was answered, and is paid for.
    gateway.wait_metric("cirque_tokens_total", &["kind=\"output\""], 60.0);
}

#[test]
fn an_answer_that_cannot_be_read_is_not_sent() {
    let upstream = Upstream::always(json_answer(200, "no JSON, but a zebra"));
    for action in ["redact", "block"] {
        let gateway = guarded("openai", &upstream, &zebras(action, "output"));
        let response = gateway.post(CHATS, crate::support::client::chat("m"));
        assert_eq!(response.status, 502, "{}", response.text());
        assert!(!response.text().contains("zebra"), "{}", response.text());
    }
}

#[test]
fn the_length_of_all_texts_together_counts() {
    let upstream = Upstream::ok();
    let gateway = guarded(
        "openai",
        &upstream,
        "kind: length, max_characters: 20, action: block, on: [input]",
    );
    let body = |first: &str| json!({"model": "m", "messages": [{"role": "user", "content": first}, {"role": "user", "content": "0123456789"}]});
    gateway.post(CHATS, body("0123456789").to_string()).ok();
    let said = gateway.post(CHATS, body("0123456789é").to_string()).expect_error(
        400,
        "invalid_request_error",
        "content_filter",
    );
    assert!(said.contains("`zoo`") && said.contains("TOO_LONG"), "{said}");
    assert_eq!(upstream.count(), 1);
}
