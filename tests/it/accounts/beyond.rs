//! What a request may cost that is not in its bytes: what the provider keeps, fetches, or searches for, and a second call for the
//! rest of a stream. A budget that has no room for it refuses, or ends the stream.

use super::*;
use crate::support::upstream::{CHUNK, DONE, FINISH, json_answer, stream_answer};

/// An answer that was searched for: Anthropic's, two searches.
const SEARCHED: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":12,"server_tool_use":{"web_search_requests":2}}}"#;
/// OpenAI's other API.
const RESPONSE: &str = r#"{"id":"r1","object":"response","created_at":1,"status":"completed","model":"up","output":[{"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":12,"total_tokens":21}}"#;

/// A key with a budget of so many dollars.
fn budget_of(usd: &str) -> String {
    format!("keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"{usd}\", period: total }} ] }} }}")
}

#[test]
fn what_the_provider_keeps_is_reserved_by_the_window() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let chat = request.line.contains("/chat/");
            conn.send(json_answer(
                200,
                if chat { crate::support::upstream::CHAT } else { RESPONSE },
            ));
        }
    });
    let ask = |gateway: &Gateway, path: &str, more: Value| {
        let mut request = json!({"model": "m", "max_tokens": 12});
        if path.contains("responses") {
            request = json!({"model": "m", "max_output_tokens": 12, "input": "Hello there"});
        }
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        gateway.post_with(path, &bearer(KEY), request.to_string())
    };
    let file = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]);
    let text = json!([{"role": "user", "content": "Hello there"}]);
    let cases = [
        ("/v1/responses", json!({"previous_response_id": "resp_1"})),
        ("/v1/responses", json!({"conversation": "conv_1"})),
        (
            "/v1/responses",
            json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs"]}]}),
        ),
        ("/v1/chat/completions", json!({"messages": file})),
    ];
    // A window is taken for 200 000 tokens: 200 dollars.
    let (small, large) = (
        gateway(&upstream, &budget_of("199")),
        gateway(&upstream, &budget_of("1000")),
    );
    for (path, more) in cases {
        let refused = ask(&small, path, more.clone());
        refused.expect_error(429, "insufficient_quota", "budget_exceeded");
        ask(&large, path, more).ok();
    }
    assert_eq!(settled(&small, "key", "k"), "0", "a refused request takes nothing");
    ask(&small, "/v1/responses", json!({"previous_response_id": null})).ok();
    ask(&small, "/v1/chat/completions", json!({"messages": text})).ok();
    // What it was in the end is what is charged.
    assert_eq!(settled(&large, "key", "k"), "0.132");
    assert_eq!(upstream.count(), 6);
}

#[test]
fn searches_are_reserved_as_many_as_there_may_be_and_charged_as_there_were() {
    let upstream = Upstream::script(|conn| {
        while conn.request().is_some() {
            conn.send(json_answer(200, SEARCHED));
        }
    });
    let gateway = |usd: &str| {
        let body = format!(
            "{TIMEOUTS}providers:\n  p: {{ kind: anthropic, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
             m: {{ targets: [ {{ provider: p, model: up, price: {{ input: \"1\", output: \"1\", search: \"1\" }} }} ] }}\n{}\n",
            upstream.url(),
            budget_of(usd)
        );
        builder(body).start()
    };
    let ask = |gateway: &Gateway, tool: Value| {
        let request = json!({"model": "m", "max_tokens": 12, "tools": [tool], "messages": [{"role": "user", "content": "Hello"}]});
        gateway.post_with("/v1/messages", &bearer(KEY), request.to_string())
    };
    let three = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    let any = json!({"type": "web_search_20250305", "name": "web_search"});
    // Three dollars of searches, three cents of what they find.
    let tight = gateway("3.02");
    assert_eq!(ask(&tight, three.clone()).status, 429);
    let fits = gateway("3.05");
    ask(&fits, three).ok();
    assert_eq!(settled(&fits, "key", "k"), "2.000021");
    let ten = gateway("10.05");
    assert_eq!(
        ask(&ten, any.clone()).status,
        429,
        "ten are assumed, and what they find is read"
    );
    let ten = gateway("10.2");
    ask(&ten, any).ok();
    assert_eq!(settled(&ten, "key", "k"), "2.000021");
}

/// Two targets that go on with one another's streams; the first breaks off after a word.
fn breaking(usd: &str) -> (Upstream, Upstream, Gateway) {
    let first = Upstream::script(|conn| {
        if conn.request().is_some() {
            conn.stream_head();
            conn.chunk(CHUNK);
            conn.reset();
        }
    });
    let second = Upstream::script(|conn| {
        while conn.request().is_some() {
            let usage = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}}\n\n";
            conn.send(stream_answer(&[CHUNK, FINISH, usage, DONE]));
        }
    });
    let gateway = builder(format!(
        "{TIMEOUTS}providers:\n  a: {{ kind: sglang, base_url: \"{}\" }}\n  b: {{ kind: sglang, base_url: \"{}\" }}\nmodels:\n  \
         m: {{ continuation: {{}}, targets: [ {{ provider: a, model: up, price: {{ input: \"1000\", output: \"2000\" }} }}, \
         {{ provider: b, model: up, weight: 0, price: {{ input: \"1000\", output: \"2000\" }} }} ] }}\n{}\n",
        first.url(),
        second.url(),
        budget_of(usd)
    ))
    .start();
    (first, second, gateway)
}

#[test]
fn a_stream_is_gone_on_with_only_if_there_is_room_for_a_second_call() {
    let ask = |gateway: &Gateway| {
        let mut request: Value = serde_json::from_str(&chat_stream("m")).unwrap();
        request["max_tokens"] = json!(12);
        gateway.post_with("/v1/chat/completions", &bearer(KEY), request.to_string())
    };
    let (_first, second, gateway) = breaking("10");
    let whole = ask(&gateway);
    assert!(whole.text().contains("[DONE]"), "{}", whole.text());
    let used = nano(&settled(&gateway, "key", "k"));
    assert!(
        used > 2 * nano("0.009") && second.count() == 1,
        "{used}: both calls are charged"
    );
    // What one call needs is somewhere below 0.2 dollars: the body has some 130 bytes.
    let (_first, second, gateway) = breaking("0.25");
    let broken = ask(&gateway);
    crate::support::client::ends_in_error(&broken, "upstream_error", "provider_error");
    assert_eq!(second.count(), 0);
    assert_eq!(
        gateway.metric("cirque_continuations_total", &["result=\"no_room\""]),
        1.0
    );
    assert!(nano(&settled(&gateway, "key", "k")) < nano("0.1"));
}
