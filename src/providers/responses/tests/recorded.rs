//! Recorded exchanges, whole, at every split, and damaged.

use super::*;

#[test]
fn recorded_streams_are_read_the_same_at_any_split_and_as_their_own_last_word() {
    for (name, recording) in recordings() {
        let Some(sse) = recording["response"]["sse"].as_str() else {
            continue;
        };
        let at_once = fold(sse.as_bytes(), usize::MAX).unwrap();
        assert_eq!(at_once.disorder, None, "{name}");
        assert!(at_once.ended() && at_once.error.is_none(), "{name}");
        for piece in [1, 7] {
            assert_eq!(
                fold(sse.as_bytes(), piece).unwrap().response(),
                at_once.response(),
                "{name}"
            );
        }
        let mut documents = sse.lines().filter_map(|line| line.strip_prefix("data: "));
        let last = documents
            .find(|data| data.starts_with(r#"{"type":"response.completed""#))
            .unwrap();
        let last = Node::parse(last.as_bytes(), 64).unwrap();
        let expect = Expect::default();
        let whole = ResponsesCodec.decode(last.get("response").unwrap(), &expect).unwrap();
        let streamed = own(at_once.response());
        assert_eq!(streamed, own(&whole), "{name}");
        assert!(streamed.usage.is_some_and(|usage| usage.output > 0), "{name}");
    }
}

#[test]
fn recorded_answers_are_read() {
    for (name, recording) in recordings() {
        let body = &recording["response"]["body"];
        if body.is_null() {
            continue;
        }
        if recording["response"]["status"] != 200 {
            assert!(whole(body).is_err(), "{name}");
            continue;
        }
        let response = whole(body).unwrap();
        assert_eq!(response.id, body["id"].as_str().unwrap(), "{name}");
        assert_eq!(
            response.usage.unwrap().input,
            body["usage"]["input_tokens"].as_u64().unwrap()
        );
        let parts = &response.candidates[0].parts;
        assert!(!parts.is_empty(), "{name}");
        let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let finish = if calls { Finish::ToolCalls } else { Finish::Stop };
        assert_eq!(response.candidates[0].finish, Some(finish), "{name}");
    }
}

/// Bring two spellings of a request to one: what the reader knows to be the same.
fn plain(body: &Value) -> Value {
    let mut body = body.clone();
    let members = body.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
    // Ours says what this API would assume; it asks for what a model that reasons must get back.
    members.retain(|key, value| !(key == "store" || key == "include" || (key == "stream" && *value == false)));
    if let Some(text) = members["input"].as_str() {
        members["input"] = json!([{"role": "user", "content": text}]);
    }
    for item in members["input"].as_array_mut().unwrap() {
        let item = item.as_object_mut().unwrap();
        item.entry("type").or_insert(json!("message"));
        item.retain(|key, _| key != "id" && key != "status");
        let assistant = item.get("role") == Some(&json!("assistant"));
        if let Some(text) = item.get("content").and_then(Value::as_str) {
            item["content"] = match assistant {
                true => json!([{"type": "output_text", "text": text, "annotations": []}]),
                false => json!([{"type": "input_text", "text": text}]),
            };
        }
        for part in item
            .get_mut("content")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if part["type"] == "input_image" {
                part.as_object_mut().unwrap().entry("detail").or_insert(json!("auto"));
            }
        }
    }
    for tool in members
        .get_mut("tools")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if tool["type"] == "function" {
            tool.as_object_mut().unwrap().entry("strict").or_insert(json!(false));
        }
    }
    if let Some(reasoning) = members.get_mut("reasoning") {
        reasoning.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    body
}

#[test]
fn recorded_requests_come_out_as_they_went_in() {
    for (name, recording) in recordings() {
        let body = &recording["request"]["body"];
        let text = body.to_string();
        let node = Node::parse(text.as_bytes(), 64).unwrap();
        let request = Responses.read(&node, body["stream"] == true).unwrap();
        let (out, dropped) = encoded(&request, body["model"].as_str().unwrap());
        assert!(dropped.is_empty(), "{name}: {dropped:?}");
        assert_eq!(plain(&out), plain(body), "{name}");
        if let Some(store) = body["store"].as_bool() {
            assert_eq!(out["store"], store, "{name}");
        }
        if !body["include"].is_null() {
            assert_eq!(out["include"], body["include"], "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Damaged answers and streams are refused or read, never worse.
    #[test]
    fn damage_never_panics(seed in any::<u64>()) {
        let mut random = fastrand::Rng::with_seed(seed);
        for (_, recording) in recordings() {
            let text = match recording["response"]["sse"].as_str() {
                Some(sse) => sse.to_owned(),
                None => recording["response"]["body"].to_string(),
            };
            let mut bytes = text.into_bytes();
            match random.u8(0..3) {
                0 => bytes.truncate(random.usize(0..bytes.len())),
                1 => for _ in 0..8 { let at = random.usize(0..bytes.len()); bytes[at] ^= 1 << random.u8(0..8); },
                _ => {
                    // Mistyped: some values become others.
                    let text = String::from_utf8(bytes).unwrap();
                    let (from, to) = [("\"output\":[", "\"output\":7,\"x\":["), ("\"delta\":\"", "\"delta\":1,\"x\":\""),
                        ("\"output_index\":", "\"output_index\":-"), ("\"type\":\"message\"", "\"type\":[]"),
                        ("\"content\":[", "\"content\":{},\"x\":[")][random.usize(0..5)];
                    bytes = text.replace(from, to).into_bytes();
                }
            }
            if recording["response"]["sse"].is_string() {
                if let Ok(fold) = fold(&bytes, 64) {
                    prop_assert_eq!(fold.disorder, None);
                }
            } else if let Ok(node) = Node::parse(&bytes, 64) {
                let _ = ResponsesCodec.decode(&node, &Expect::default());
            }
        }
    }
}
