//! Mistral's recordings, and the order of its messages.

use super::super::chat::tests::{fold, recordings, there_and_back};
use super::*;
use crate::wire::canonical::{Finish, Thinking};
use crate::wire::chat::Chat;
use crate::wire::client::ClientDialect;
use serde_json::{Value, json};

fn encoded(body: Value, model: &str) -> (Value, String) {
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let request = Chat.read(&node, body["stream"] == json!(true)).unwrap();
    let aim = Aim {
        model,
        stream_usage: true,
    };
    let encoding = MistralCodec.encode(&request, aim).unwrap();
    let dropped = encoding.dropped.names().join("|");
    (serde_json::from_slice(&encoding.body).unwrap(), dropped)
}

#[test]
fn recordings_go_and_come() {
    for one in recordings(&["mistral"]) {
        if one.path.ends_with("/embeddings") {
            continue;
        }
        // An extra of this family comes back as it is: `random_seed` too.
        there_and_back(&one, &MistralCodec);
        let expect = Expect::default();
        let text = one.body.clone().unwrap_or_default();
        if let Some(sse) = one.sse {
            let whole = fold(&MistralCodec, sse.as_bytes(), 3, expect).unwrap();
            assert!(whole.ended() && whole.response().usage.is_some(), "{}", one.name);
        } else {
            let node = Node::parse(text.as_bytes(), 64).unwrap();
            let response = MistralCodec.decode(&node, &expect).unwrap();
            assert!(response.candidates[0].finish.is_some(), "{}", one.name);
            if one.name.ends_with("prism-reasoning") {
                let parts = &response.candidates[0].parts;
                assert!(
                    matches!(parts.as_slice(), [Part::Thinking(_), Part::Text { .. }]),
                    "{parts:?}"
                );
            }
        }
    }
}

#[test]
fn members_have_its_names() {
    let (made, dropped) = encoded(
        json!({"stream":true,"max_completion_tokens":5,"seed":7,"tool_choice":"required","user":"u",
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],
            "messages":[{"role":"developer","content":"d"},
                {"role":"user","content":[{"type":"text","text":"t"},
                    {"type":"file","file":{"file_data":"data:application/pdf;base64,aGk=","filename":"a.pdf"}}]},
                {"role":"assistant","reasoning_content":"hm","content":"c","tool_calls":[
                    {"id":"call_long","type":"function","function":{"name":"f","arguments":"{}"}}]},
                {"role":"tool","tool_call_id":"call_long","content":"r"}]}),
        "mistral-large-latest",
    );
    assert_eq!(dropped, "user");
    let member = |key: &str| &made[key];
    assert_eq!(
        (member("max_tokens"), member("random_seed"), member("tool_choice")),
        (&json!(5), &json!(7), &json!("any"))
    );
    assert!(made.get("stream_options").is_none() && made.get("seed").is_none());
    let messages = &made["messages"];
    assert_eq!(messages[0]["role"], "system");
    assert_eq!(
        messages[1]["content"][1]["document_url"],
        "data:application/pdf;base64,aGk="
    );
    assert_eq!(messages[2]["content"][0]["thinking"][0]["text"], "hm");
    let id = messages[2]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!((id.len(), &messages[3]["tool_call_id"]), (9, &json!(id)));
}

#[test]
fn messages_are_put_in_order() {
    let call = json!({"role":"assistant","tool_calls":[{"id":"123456789","type":"function","function":{"name":"f","arguments":"{}"}}]});
    let (made, dropped) = encoded(
        json!({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},call,
            {"role":"tool","tool_call_id":"123456789","content":"r"},{"role":"user","content":"go on"},
            {"role":"system","content":"late"},{"role":"assistant","content":"I"}]}),
        "m",
    );
    let told: Vec<_> = made["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["role"].as_str().unwrap(), m["content"].to_string()))
        .collect();
    let text = |text: &str| format!("\"{text}\"");
    assert_eq!(told[0], ("system", text("s")));
    assert_eq!(told[1], ("system", text("late")));
    assert_eq!(told[4], ("tool", text("r\\ngo on")));
    assert_eq!(told[5], ("assistant", text("I")));
    assert_eq!(made["messages"][5]["prefix"], true);
    assert_eq!(
        dropped,
        "messages[4] (position behind a tool result)|messages[5] (position of a system message)"
    );
}

#[test]
fn reasoning_is_asked_for_by_model() {
    let ask = |model: &str, effort: &str| {
        let (made, dropped) = encoded(
            json!({"messages":[{"role":"user","content":"x"}],"reasoning_effort":effort}),
            model,
        );
        (made["reasoning_effort"].clone(), made["prompt_mode"].clone(), dropped)
    };
    let null = Value::Null;
    assert_eq!(
        ask("magistral-medium-latest", "low"),
        (null.clone(), json!("reasoning"), String::new())
    );
    assert_eq!(
        ask("mistral-small-latest", "low"),
        (json!("high"), null.clone(), String::new())
    );
    assert_eq!(
        ask("mistral-small-2603", "none"),
        (json!("none"), null.clone(), String::new())
    );
    assert_eq!(
        ask("codestral-latest", "low"),
        (null.clone(), null, "reasoning".to_owned())
    );
}

#[test]
fn thinking_streams_as_chunks_and_its_words_for_the_end_are_known() {
    let chunk = |content: Value, reason: Value| {
        let value =
            json!({"id":"x","model":"m","choices":[{"index":0,"delta":{"content":content},"finish_reason":reason}]});
        format!("data: {value}\n\n")
    };
    let sse = [
        chunk(
            json!([{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]),
            Value::Null,
        ),
        chunk(
            json!([{"type":"thinking","thinking":[{"type":"text","text":"b"}],"signature":"s","closed":true}]),
            Value::Null,
        ),
        chunk(
            json!([{"type":"text","text":"c"},{"type":"reference","reference_ids":[1]}]),
            Value::Null,
        ),
        chunk(json!("d"), json!("model_length")),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let fold = fold(&MistralCodec, sse.as_bytes(), 4, Expect::default()).unwrap();
    let candidate = &fold.response().candidates[0];
    let Part::Thinking(Thinking { text, signature, .. }) = &candidate.parts[0] else {
        panic!("{candidate:?}")
    };
    assert_eq!(
        (text.as_ref(), signature.as_ref().unwrap().data.as_ref()),
        ("ab", "mistral|s")
    );
    assert_eq!(
        (&candidate.parts[1], &candidate.finish),
        (&Part::text("cd"), &Some(Finish::ContextWindow))
    );
}
