//! What rules change in a request: only the parameters they name, in the dialect it came in, every other byte as it was.

use super::answering;
use crate::support::upstream::json_answer;
use crate::support::{Gateway, Upstream};
use serde_json::{Value, json};

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"up","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":12}}"#;
const CANDIDATE: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":12,"totalTokenCount":21},"modelVersion":"up","responseId":"r1"}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"up","output":[{"type":"message","id":"m1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":9,"output_tokens":12,"total_tokens":21}}"#;

/// Model `up` of a provider of this kind, and one rule.
fn edited(kind: &str, upstream: &Upstream, rule: &str) -> Gateway {
    Gateway::with(format!(
        "providers:\n  p: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  up: {{ targets: [ {{ provider: p }} ] }}\n\
         routes:\n  - {{ name: r, {rule} }}\n",
        upstream.url()
    ))
}

const RULE: &str =
    "set: { temperature: 0.5, stop: END }, default: { max_tokens: 64, top_p: 0.9 }, remove: [ user, seed ]";

#[test]
fn chat_keeps_every_other_byte() {
    let upstream = answering();
    let gateway = edited("openai", &upstream, RULE);
    for (sent, wanted) in [
        (
            "{ \"user\" : \"u\",\r\n \"x\":[1.0e2,{\"temperature\":2,\"user\":\"v\"}],\t\"temperature\" : 1.70 ,\"model\":\"up\",\"top_p\":null,\"max_completion_tokens\":9, \"seed\":1 }\n",
            "{\"stop\":\"END\",\r\n \"x\":[1.0e2,{\"temperature\":2,\"user\":\"v\"}],\t\"temperature\" : 0.5 ,\"model\":\"up\",\"top_p\":0.9,\"max_completion_tokens\":9 }\n",
        ),
        // Names in escapes and twice: no way around.
        (
            r#"{"model":"up","\u0074emperature":2,"temperature":1.9,"messages":[],"stop":["a"],"\u0075ser":"u","max_tokens":1,"top_p":1}"#,
            r#"{"model":"up","\u0074emperature":0.5,"temperature":0.5,"messages":[],"stop":"END","max_tokens":1,"top_p":1}"#,
        ),
        (
            r#"{"seed":1,"model":"up","user":"u"}"#,
            r#"{"max_tokens":64,"stop":"END","temperature":0.5,"top_p":0.9,"model":"up"}"#,
        ),
    ] {
        gateway.post("/v1/chat/completions", sent).ok();
        let got = upstream.requests().pop().unwrap();
        same_but_order(got.text(), wanted);
        assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()));
    }
}

/// The same bytes, but what was added in front may be in any order and have any spacing.
#[track_caller]
fn same_but_order(got: &str, wanted: &str) {
    if got == wanted {
        return;
    }
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(value(got), value(wanted), "\n{got}\n{wanted}");
    let mut bytes = (got.as_bytes().to_vec(), wanted.as_bytes().to_vec());
    bytes.0.sort_unstable();
    bytes.1.sort_unstable();
    assert_eq!(bytes.0, bytes.1, "other bytes:\n{got}\n{wanted}");
}

#[test]
fn messages_have_their_own_names_and_ranges() {
    let upstream = Upstream::always(json_answer(200, MESSAGE));
    let gateway = edited("anthropic", &upstream, RULE);
    let sent = "{\"model\":\"up\", \"max_tokens\": 9,\n\"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9 é\"}],\"temperature\":1.0,\"metadata\":{\"user_id\":\"u\",\"z\" : 1}, \"seed\": 3}";
    gateway.post("/v1/messages", sent).ok();
    // A seed is no parameter there, so it is the client's own and stays; so does what Anthropic calls otherwise.
    let wanted = "{\"stop_sequences\":[\"END\"],\"top_p\":0.9,\"model\":\"up\", \"max_tokens\": 9,\n\"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9 é\"}],\"temperature\":0.5,\"metadata\":{\"z\" : 1}, \"seed\": 3}";
    same_but_order(upstream.request().text(), wanted);
    let gateway = edited(
        "anthropic",
        &upstream,
        "set: { temperature: 1.8, user: ours, response_format: { type: json_object }, max_output_tokens: 5 }",
    );
    gateway
        .post("/v1/messages", r#"{"model":"up","max_tokens":900,"messages":[]}"#)
        .ok();
    let got: Value = serde_json::from_str(upstream.requests().pop().unwrap().text()).unwrap();
    let wanted =
        json!({"model": "up", "max_tokens": 5, "messages": [], "temperature": 1.0, "metadata": {"user_id": "ours"}});
    assert_eq!(got, wanted, "its temperature ends at 1; it has no response_format");
}

#[test]
fn responses_have_their_own_names() {
    let upstream = Upstream::always(json_answer(200, RESPONSE));
    let rule = format!("{RULE}, set: ").replace(", set: ", "");
    let gateway = edited("openai, api: responses", &upstream, &rule);
    let sent = "{\"model\":\"up\",\"input\" : \"x\",\"temperature\":2,\"user\":\"u\",\"max_output_tokens\":5 }";
    gateway.post("/v1/responses", sent).ok();
    // No stop sequences in this API.
    let wanted = "{\"top_p\":0.9,\"model\":\"up\",\"input\" : \"x\",\"temperature\":0.5,\"max_output_tokens\":5 }";
    let got = upstream.request();
    assert!(got.line.contains("/responses "), "{}", got.line);
    same_but_order(got.text(), wanted);
    let nested = "set: { reasoning_effort: low, verbosity: low }, default: { max_tokens: 7 }";
    let gateway = edited("openai, api: responses", &upstream, nested);
    for (sent, wanted) in [
        (
            json!({"model": "up", "input": "x"}),
            json!({"model": "up", "input": "x", "reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "max_output_tokens": 7}),
        ),
        (
            json!({"model": "up", "input": "x", "reasoning": {"effort": "high", "summary": "auto"}, "text": {"format": {"type": "text"}}, "max_output_tokens": 3}),
            json!({"model": "up", "input": "x", "reasoning": {"effort": "low", "summary": "auto"}, "text": {"format": {"type": "text"}, "verbosity": "low"}, "max_output_tokens": 3}),
        ),
        // Nothing where an object is: made one; something else: the provider says so better.
        (
            json!({"model": "up", "input": "x", "reasoning": null, "text": "loud", "max_output_tokens": null}),
            json!({"model": "up", "input": "x", "reasoning": {"effort": "low"}, "text": "loud", "max_output_tokens": 7}),
        ),
    ] {
        gateway.post("/v1/responses", sent.to_string()).ok();
        let got: Value = serde_json::from_str(upstream.requests().pop().unwrap().text()).unwrap();
        assert_eq!(got, wanted);
    }
}

#[test]
fn gemini_keeps_its_configuration_of_generation() {
    let upstream = Upstream::always(json_answer(200, CANDIDATE));
    let gateway = edited("gemini", &upstream, RULE);
    let path = "/v1beta/models/up:generateContent";
    let sent = "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}], \"generationConfig\" : {\"temperature\" : 2.0 ,\"seed\" : 4 ,\"responseModalities\":[\"TEXT\"]}}";
    gateway.post(path, sent).ok();
    let wanted = "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}], \"generationConfig\" : {\"maxOutputTokens\":64,\"stopSequences\":[\"END\"],\"topP\":0.9,\"temperature\" : 0.5 ,\"responseModalities\":[\"TEXT\"]}}";
    same_but_order(upstream.request().text(), wanted);
    for (sent, wanted) in [
        (
            json!({"contents": []}),
            json!({"contents": [], "generationConfig": {"temperature": 0.5, "stopSequences": ["END"], "maxOutputTokens": 64, "topP": 0.9}}),
        ),
        // By the other spelling of either level, too.
        (
            json!({"contents": [], "generation_config": {"max_output_tokens": 5, "top_p": 1.0, "stop_sequences": ["a"]}}),
            json!({"contents": [], "generation_config": {"max_output_tokens": 5, "top_p": 1.0, "stop_sequences": ["END"], "temperature": 0.5}}),
        ),
    ] {
        gateway.post(path, sent.to_string()).ok();
        let got: Value = serde_json::from_str(upstream.requests().pop().unwrap().text()).unwrap();
        assert_eq!(got, wanted);
    }
    // Written twice: a limit holds in both.
    let gateway = edited("gemini", &upstream, "set: { max_tokens: 5 }");
    gateway
        .post(
            path,
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":900},"generation_config":{"maxOutputTokens":901}}"#,
        )
        .ok();
    let got = upstream.requests().pop().unwrap();
    assert!(!got.text().contains("90"), "{}", got.text());
}

#[test]
fn a_translated_request_is_edited_before_it_is_translated() {
    let upstream = Upstream::always(json_answer(200, MESSAGE));
    let gateway = edited(
        "anthropic",
        &upstream,
        "set: { max_tokens: 7, stop: END, temperature: 2 }, remove: [ user ]",
    );
    let sent = json!({"model": "up", "user": "u", "max_completion_tokens": 800, "messages": [{"role": "user", "content": "x"}]});
    gateway.post("/v1/chat/completions", sent.to_string()).ok();
    let got: Value = serde_json::from_str(upstream.request().text()).unwrap();
    assert_eq!(
        (&got["max_tokens"], &got["stop_sequences"]),
        (&json!(7), &json!(["END"]))
    );
    assert!(got.get("metadata").is_none(), "{got}");
}

#[test]
fn embeddings_keep_to_what_they_have() {
    let upstream = answering();
    let gateway = edited(
        "openai",
        &upstream,
        "set: { temperature: 0, user: ours }, default: { dimensions: 8, encoding_format: float }",
    );
    gateway
        .post("/v1/embeddings", r#"{"model":"up","input":"x","dimensions":2}"#)
        .ok();
    let got: Value = serde_json::from_str(upstream.request().text()).unwrap();
    assert_eq!(
        got,
        json!({"model": "up", "input": "x", "dimensions": 2, "user": "ours", "encoding_format": "float"})
    );
}

#[test]
fn a_stream_stays_one_and_its_usage_is_still_asked_for() {
    let upstream = answering();
    let gateway = edited("openai", &upstream, "set: { temperature: 0 }, remove: [ max_tokens ]");
    gateway
        .post(
            "/v1/chat/completions",
            r#"{"max_tokens":5,"stream":true,"model":"up","messages":[],"stream_options":{"x":1}}"#,
        )
        .ok();
    let got: Value = serde_json::from_str(upstream.request().text()).unwrap();
    let wanted = json!({"stream": true, "model": "up", "messages": [], "temperature": 0, "stream_options": {"x": 1, "include_usage": true}});
    assert_eq!(got, wanted);
}

#[test]
fn large_values_and_deep_bodies_pass() {
    let upstream = answering();
    let gateway = edited("openai", &upstream, "set: { temperature: 0 }, remove: [ user ]");
    let text = "x\\n".repeat(400_000);
    let sent = format!(
        r#"{{"model":"up","temperature":1,"messages":[{{"role":"user","content":"{text}"}}],"user":"{}"}}"#,
        "u".repeat(100_000)
    );
    gateway.post("/v1/chat/completions", &sent).ok();
    let wanted = format!(r#"{{"model":"up","temperature":0,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    assert!(upstream.request().text() == wanted);
    let deep = format!(
        r#"{{"model":"up","metadata":{}{}}}"#,
        r#"{"a":"#.repeat(100),
        "1".to_owned() + &"}".repeat(100)
    );
    gateway.post("/v1/chat/completions", &deep).ok();
    assert!(
        upstream
            .requests()
            .pop()
            .unwrap()
            .text()
            .ends_with(deep.strip_prefix(r#"{"#).unwrap())
    );
}
#[test]
fn what_a_rule_takes_away_or_adds_counts_for_who_can_answer() {
    let (weak, able) = (answering(), answering());
    let config = |when: &str| {
        format!(
            "providers:\n  weak: {{ kind: openai, base_url: \"{}\" }}\n  able: {{ kind: openai, base_url: \"{}\" }}\nmodels:\n  \
             m: {{ targets: [ {{ provider: weak, model: up, lacks: [ json-schema ] }}, {{ provider: able, model: up, tier: 1 }} ] }}\n\
             routes:\n  - {{ name: add, when: '{when}', set: {{ response_format: {{ type: json_schema, json_schema: {{ name: x, schema: {{}} }} }} }} }}\n  \
             - {{ name: take, when: 'headers[\"x-do\"] == \"take\"', remove: [ response_format ] }}\n",
            weak.url(),
            able.url()
        )
    };
    // Whether a rule reads what a request needs must make no difference.
    for when in [
        r#"headers["x-do"] == "add""#,
        r#"headers["x-do"] == "add" && !needs.tools"#,
    ] {
        let gateway = Gateway::with(config(when));
        let schema = json!({"model": "m", "messages": [], "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}).to_string();
        for (what, body, target) in [
            ("nothing", r#"{"model":"m","messages":[]}"#, "weak/up"),
            ("nothing", schema.as_str(), "able/up"),
            ("add", r#"{"model":"m","messages":[]}"#, "able/up"),
            ("take", schema.as_str(), "weak/up"),
        ] {
            let response = gateway
                .post_with("/v1/chat/completions", &format!("x-do: {what}\r\n"), body)
                .ok();
            assert_eq!(response.header("x-cirque-target"), Some(target), "{what} {when}");
        }
    }
}
