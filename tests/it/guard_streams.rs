//! Guardrails on streams as clients notice them: an address that comes in pieces, from providers of every dialect to clients of every
//! dialect. Requests and whole answers are in `guard.rs`; whose guardrails hold, in `guard_policy.rs`.

mod several;

use crate::accounts::{self, KEY, bearer, records};
use crate::support::client::{Response, ends_in_error};
use crate::support::upstream::{DONE, FINISH, MESSAGE_EVENTS, USAGE};
use crate::support::{Conn, Gateway, Upstream};
use serde_json::{Value, json};

/// What is said, as it comes.
const PIECES: [&str; 5] = ["Write to ze", "lda.qu", "ux@parc", "el.or", "g, p\u{e9}ase."];
/// The same whole.
const SAID: &str = "Write to zelda.quux@parcel.org, p\u{e9}ase.";
const REDACTED: &str = "Write to [EMAIL], p\u{e9}ase.";
/// Parts of the address that nothing else contains.
const ADDRESS: [&str; 4] = ["zelda", "lda.qu", "quux", "parcel"];

const CHATS: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const GEMINI: &str = "/v1beta/models/MODEL:streamGenerateContent?alt=sse";
const CLIENTS: [&str; 4] = [CHATS, RESPONSES, MESSAGES, GEMINI];
/// The models, each of a provider of that kind.
const MODELS: [&str; 3] = ["openai", "anthropic", "gemini"];

fn event(data: &Value) -> String {
    match data["type"].as_str() {
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    }
}

fn chat_delta(delta: Value) -> String {
    event(
        &json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
    )
}

fn gemini_part(part: Value) -> String {
    event(&json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]}))
}

/// The events of an answer of this text: how it begins, what it says, how it ends.
fn answer(line: &str, pieces: &[&str]) -> [Vec<String>; 3] {
    let of = |make: &dyn Fn(&str) -> String| pieces.iter().map(|piece| make(piece)).collect::<Vec<_>>();
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    if line.contains("/messages") {
        let delta = |piece: &str| {
            event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}))
        };
        [owned(&MESSAGE_EVENTS[..2]), of(&delta), owned(&MESSAGE_EVENTS[3..])]
    } else if line.contains("GenerateContent") {
        let end = json!({"candidates": [{"finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 12, "totalTokenCount": 21}});
        [
            vec![],
            of(&|piece| gemini_part(json!({"text": piece}))),
            vec![event(&end)],
        ]
    } else if line.contains("/responses") {
        responses(pieces)
    } else {
        [
            vec![chat_delta(json!({"role": "assistant", "content": ""}))],
            of(&|piece| chat_delta(json!({"content": piece}))),
            owned(&[FINISH, USAGE, DONE]),
        ]
    }
}

fn responses(pieces: &[&str]) -> [Vec<String>; 3] {
    let whole = pieces.concat();
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let message = |status: &str, content: Value| json!({"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content});
    let response = |status: &str, output: Value| {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "up", "output": output,
            "usage": {"input_tokens": 9, "output_tokens": 12, "total_tokens": 21}})
    };
    let at = |mut data: Value| {
        (data["item_id"], data["output_index"], data["content_index"]) = (json!("msg_1"), json!(0), json!(0));
        event(&data)
    };
    let done = message("completed", json!([text(&whole)]));
    [
        vec![
            event(&json!({"type": "response.created", "response": response("in_progress", json!([]))})),
            event(
                &json!({"type": "response.output_item.added", "output_index": 0, "item": message("in_progress", json!([]))}),
            ),
            at(json!({"type": "response.content_part.added", "part": text("")})),
        ],
        pieces
            .iter()
            .map(|piece| at(json!({"type": "response.output_text.delta", "delta": piece})))
            .collect(),
        vec![
            at(json!({"type": "response.output_text.done", "text": whole})),
            at(json!({"type": "response.content_part.done", "part": text(&whole)})),
            event(&json!({"type": "response.output_item.done", "output_index": 0, "item": done})),
            event(&json!({"type": "response.completed", "response": response("completed", json!([done]))})),
        ],
    ]
}

fn send_all(conn: &mut Conn, events: &[String]) {
    for event in events {
        conn.chunk(event);
    }
}

/// Says it in pieces, in the dialect it is asked in.
fn speaker() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            conn.stream_head();
            for events in answer(&request.line, &PIECES) {
                send_all(conn, &events);
            }
            conn.send("0\r\n\r\n");
        }
    })
}

/// A provider and a model of every kind over it, and what is done about personal data in answers.
fn guarded(upstream: &Upstream, action: &str) -> Gateway {
    let mut text = "providers:\n".to_owned();
    for kind in MODELS {
        text += &format!(
            "  {kind}: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY }}\n",
            upstream.url()
        );
    }
    text += "models:\n";
    for model in MODELS {
        text += &format!(
            "  {model}: {{ targets: [ {{ provider: {model}, model: up, price: {{ input: \"1000\", output: \"2000\" }} }} ] }}\n"
        );
    }
    text += &format!(
        "keys: {{ k: {{ secret: env:KEY }} }}\nguardrails:\n  personal: {{ kind: pii, action: {action}, on: [output], always: true }}\n"
    );
    accounts::builder(text).start()
}

/// A client of the API at this path asks for a stream.
#[track_caller]
fn ask(gateway: &Gateway, path: &str, model: &str) -> Response {
    let turns = json!([{"role": "user", "content": "Hello"}]);
    let body = match path {
        CHATS => json!({"model": model, "stream": true, "messages": turns}),
        RESPONSES => json!({"model": model, "stream": true, "input": "Hello"}),
        MESSAGES => json!({"model": model, "stream": true, "max_tokens": 50, "messages": turns}),
        _ => json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}),
    };
    let path = path.replace("MODEL", model);
    let response = gateway.post_with(&path, &bearer(KEY), body.to_string()).ok();
    let kind = response.header("content-type").unwrap();
    assert!(kind.starts_with("text/event-stream"), "{path}: {kind}");
    response
}

/// What is in the events of a stream.
fn data(response: &Response) -> Vec<Value> {
    let text = response.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}")))
        .collect()
}

/// The text of a stream, and how it ended.
fn read(path: &str, response: &Response) -> (String, String) {
    let (mut text, mut end) = (String::new(), String::new());
    for data in data(response) {
        let (piece, why) = match path {
            CHATS => (
                &data["choices"][0]["delta"]["content"],
                &data["choices"][0]["finish_reason"],
            ),
            RESPONSES if data["type"] == "response.output_text.delta" => (&data["delta"], &Value::Null),
            RESPONSES => (&Value::Null, &data["response"]["status"]),
            MESSAGES => (&data["delta"]["text"], &data["delta"]["stop_reason"]),
            _ => (
                &data["candidates"][0]["content"]["parts"][0]["text"],
                &data["candidates"][0]["finishReason"],
            ),
        };
        text += piece.as_str().unwrap_or_default();
        if let Some(why) = why.as_str() {
            end = why.to_owned();
        }
    }
    let last = response.text().trim_end().rsplit("\n\n").next().unwrap().to_owned();
    match path {
        CHATS => assert_eq!(last, DONE.trim_end()),
        MESSAGES => assert!(last.starts_with("event: message_stop\n"), "{last}"),
        RESPONSES => assert!(last.contains("\"response\":{"), "{last}"),
        _ => {}
    }
    assert!(!response.text().contains("\"error\":{"), "{}", response.text());
    (text, end)
}

#[track_caller]
fn says_nothing_of_it(what: &str, text: &str) {
    for part in ADDRESS {
        assert!(!text.contains(part), "{what}: {part}: {text}");
    }
}

/// Nothing of it is written down.
#[track_caller]
fn none_in_logs(gateway: &Gateway) {
    says_nothing_of_it("access log", &gateway.stdout.text());
    says_nothing_of_it("log", &gateway.stderr.text());
}

#[test]
fn an_address_in_pieces_is_redacted_and_nothing_else() {
    let upstream = speaker();
    let gateway = guarded(&upstream, "redact");
    for model in MODELS {
        for path in CLIENTS {
            let response = ask(&gateway, path, model);
            says_nothing_of_it(&format!("{model} {path}"), &response.text());
            let (text, end) = read(path, &response);
            assert_eq!(text, REDACTED, "{model} {path}: {}", response.text());
            let ends = match path {
                CHATS => "stop",
                RESPONSES => "completed",
                MESSAGES => "end_turn",
                _ => "STOP",
            };
            assert_eq!(end, ends, "{model} {path}");
            assert_eq!(
                gateway.access(response.header("x-request-id").unwrap())["guardrails"],
                "personal:output:redact:EMAIL=1"
            );
        }
    }
    none_in_logs(&gateway);
    for record in records(&gateway, 12, "") {
        assert_eq!(record["guardrails"], "personal:output:redact:EMAIL=1", "{record}");
        assert_eq!(record["cost_usd"]["total"], accounts::COST, "{record}");
    }
}

#[test]
fn a_blocked_stream_ends_as_a_refusal_and_is_paid_for() {
    let upstream = speaker();
    let gateway = guarded(&upstream, "block");
    for model in MODELS {
        for path in CLIENTS {
            let response = ask(&gateway, path, model);
            says_nothing_of_it(&format!("{model} {path}"), &response.text());
            let (text, end) = read(path, &response);
            assert_eq!(text, "Write to ", "{model} {path}");
            let ends = match path {
                CHATS => "content_filter",
                RESPONSES => "incomplete",
                MESSAGES => "refusal",
                _ => "SAFETY",
            };
            assert_eq!(end, ends, "{model} {path}: {}", response.text());
            if path == RESPONSES {
                let last = data(&response).pop().unwrap();
                assert_eq!(last["type"], "response.incomplete");
                assert_eq!(last["response"]["incomplete_details"]["reason"], "content_filter");
            }
        }
        gateway.wait_metric("cirque_breaker_state", &[&format!("target=\"{model}/up\"")], 0.0);
    }
    for record in records(&gateway, 12, "") {
        assert_eq!(record["guardrails"], "personal:output:block:EMAIL=1", "{record}");
        // What it took is estimated: nobody heard its end.
        let output = record["tokens"]["output"].as_u64().unwrap();
        assert!(
            (1..40).contains(&output) && record["cost_usd"]["total"] != "0",
            "{record}"
        );
    }
    // One was asked for each.
    assert_eq!(upstream.count(), 12);
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    none_in_logs(&gateway);
}

#[test]
fn what_is_flagged_passes_byte_by_byte_and_is_counted() {
    let upstream = speaker();
    let gateway = guarded(&upstream, "flag");
    for (model, path) in MODELS.into_iter().zip([CHATS, MESSAGES, GEMINI]) {
        let response = ask(&gateway, path, model);
        let sent = answer(path, &PIECES).concat().concat();
        // The figures were not asked for.
        assert_eq!(response.text(), sent.replace(USAGE, ""), "{model}");
    }
    let response = ask(&gateway, RESPONSES, "openai");
    assert_eq!(response.text(), answer(RESPONSES, &PIECES).concat().concat());
    // To clients of another dialect too.
    assert_eq!(read(MESSAGES, &ask(&gateway, MESSAGES, "openai")).0, SAID);
    let labels = ["guardrail=\"personal\"", "direction=\"output\"", "action=\"flag\""];
    gateway.wait_metric("cirque_guardrail_verdicts_total", &labels, 5.0);
    gateway.wait_metric(
        "cirque_guardrail_findings_total",
        &["guardrail=\"personal\"", "kind=\"EMAIL\""],
        5.0,
    );
    none_in_logs(&gateway);
}

/// Calls a tool with an address, whose `@` is an escape that is cut in two.
fn caller() -> Upstream {
    const ARGUMENTS: [&str; 4] = ["{\"to\" : \"zelda.quux\\u00", "40parc", "el.org\", \"n\":1.50", "}"];
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            conn.stream_head();
            if request.line.contains("/messages") {
                conn.chunk(MESSAGE_EVENTS[0]);
                conn.chunk(event(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {}}})));
                for piece in ARGUMENTS {
                    let delta = json!({"type": "input_json_delta", "partial_json": piece});
                    conn.chunk(event(
                        &json!({"type": "content_block_delta", "index": 0, "delta": delta}),
                    ));
                }
                conn.chunk(MESSAGE_EVENTS[3]);
                conn.chunk(MESSAGE_EVENTS[4].replace("end_turn", "tool_use"));
                conn.chunk(MESSAGE_EVENTS[5]);
            } else {
                let call = |call: Value| chat_delta(json!({"tool_calls": [call]}));
                conn.chunk(call(json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "send", "arguments": ""}})));
                for piece in ARGUMENTS {
                    conn.chunk(call(json!({"index": 0, "function": {"arguments": piece}})));
                }
                conn.chunk(FINISH.replace("stop", "tool_calls"));
                conn.chunk(USAGE);
                conn.chunk(DONE);
            }
            conn.send("0\r\n\r\n");
        }
    })
}

/// What a tool is called with, and its name.
fn called(path: &str, response: &Response) -> (String, Value) {
    let (mut name, mut arguments) = (String::new(), String::new());
    for data in data(response) {
        let (named, piece) = match path {
            CHATS => {
                let call = &data["choices"][0]["delta"]["tool_calls"][0]["function"];
                (&call["name"], &call["arguments"])
            }
            MESSAGES => (&data["content_block"]["name"], &data["delta"]["partial_json"]),
            RESPONSES if data["type"] == "response.output_item.added" => (&data["item"]["name"], &Value::Null),
            RESPONSES if data["type"] == "response.function_call_arguments.delta" => (&Value::Null, &data["delta"]),
            RESPONSES => (&Value::Null, &Value::Null),
            _ => {
                let call = &data["candidates"][0]["content"]["parts"][0]["functionCall"];
                if call["args"].is_object() {
                    arguments += &call["args"].to_string();
                }
                (&call["name"], &Value::Null)
            }
        };
        name += named.as_str().unwrap_or_default();
        arguments += piece.as_str().unwrap_or_default();
    }
    let arguments = serde_json::from_str(&arguments).unwrap_or_else(|_| panic!("{path}: {}", response.text()));
    (name, arguments)
}

#[test]
fn what_a_tool_is_called_with_is_redacted_and_blocked() {
    let upstream = caller();
    let gateway = guarded(&upstream, "redact");
    for model in ["openai", "anthropic"] {
        for path in CLIENTS
            .into_iter()
            .filter(|path| (*path, model) != (RESPONSES, "openai"))
        {
            let response = ask(&gateway, path, model);
            says_nothing_of_it(path, &response.text());
            let (name, arguments) = called(path, &response);
            assert_eq!(
                (name.as_str(), arguments),
                ("send", json!({"to": "[EMAIL]", "n": 1.5})),
                "{model} {path}"
            );
        }
    }
    none_in_logs(&gateway);
    let gateway = guarded(&upstream, "block");
    for model in ["openai", "anthropic"] {
        for path in CLIENTS
            .into_iter()
            .filter(|path| (*path, model) != (RESPONSES, "openai"))
        {
            let text = ask(&gateway, path, model).text();
            says_nothing_of_it(path, &text);
            // A call that is refused was never begun.
            assert!(!text.contains("\"send\""), "{model} {path}: {text}");
        }
    }
}

#[test]
fn of_a_stream_that_breaks_what_was_held_back_comes_before_the_error() {
    for (pieces, comes) in [
        (&["Write to ", "zelda.qu"][..], "Write to zelda.qu"),
        (&["Write to ", "zelda.quux@parcel", ".or"], "Write to [EMAIL]"),
    ] {
        let upstream = Upstream::script(move |conn| {
            let Some(request) = conn.request() else { return };
            let [begin, says, _] = answer(&request.line, pieces);
            conn.stream_head();
            send_all(conn, &begin);
            send_all(conn, &says);
        });
        let gateway = guarded(&upstream, "redact");
        for model in MODELS {
            let response = ask(&gateway, CHATS, model);
            let all = data(&response);
            let (error, before) = all.split_last().unwrap();
            let said = before
                .iter()
                .filter_map(|data| data["choices"][0]["delta"]["content"].as_str());
            assert_eq!(said.collect::<String>(), comes, "{model}: {}", response.text());
            assert!(error["error"].is_object(), "{model}");
            ends_in_error(&response, "upstream_error", "provider_error");
            let response = ask(&gateway, MESSAGES, model);
            let text = response.text();
            let all = data(&response);
            let said = all.iter().filter_map(|data| data["delta"]["text"].as_str());
            assert_eq!(said.collect::<String>(), comes, "{model}: {text}");
            let last = text.trim_end().rsplit("\n\n").next().unwrap();
            assert!(last.starts_with("event: error\n"), "{model}: {text}");
        }
    }
}
