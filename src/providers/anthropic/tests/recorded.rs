//! Every recording: answers decode and are written back the same, requests are read and written again.

use super::*;

#[test]
fn every_recorded_answer_decodes_and_is_written_back_the_same() {
    for Recording { name, answer, .. } in recordings() {
        match answer {
            Answer::Whole(200, body) if body.get("content").is_some() => {
                let text = body.to_string();
                let node = Node::parse(text.as_bytes(), 128).unwrap();
                let expect = Expect::default();
                let response = DIRECT.decode(&node, &expect).unwrap();
                assert!(
                    response.usage.is_some() && response.candidates[0].finish.is_some(),
                    "{name}"
                );
                assert_eq!(whole_again(&response), essence(&response), "{name}");
                let found = facts(text.as_bytes(), 128).unwrap();
                assert_eq!(found.usage, response.usage, "{name}");
                assert!(found.finished && !found.error, "{name}");
            }
            Answer::Whole(200, body) => {
                let text = body.to_string();
                let count = DIRECT.decode_count(&Node::parse(text.as_bytes(), 8).unwrap()).unwrap();
                let mut out = Vec::new();
                Messages.write_count(&count, &mut out);
                assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), body, "{name}");
            }
            Answer::Whole(_, body) => {
                let text = body.to_string();
                let node = Node::parse(text.as_bytes(), 8).unwrap();
                assert!(DIRECT.decode(&node, &Expect::default()).is_err(), "{name}");
                assert!(facts(text.as_bytes(), 8).unwrap().error, "{name}");
            }
            Answer::Stream(datas, raw) => {
                let whole = fold(&datas);
                assert!(whole.ended() && whole.error.is_none(), "{name}");
                let response = whole.response();
                assert!(response.candidates[0].finish.is_some(), "{name}");
                if name.starts_with("bedrock") {
                    let invoke = AnthropicCodec {
                        variant: Variant::BedrockInvoke,
                    };
                    let mut wrapped = Fold::new();
                    let chunks = frames(&raw);
                    feed(&mut *invoke.decoder(Expect::default()), &chunks, |event| {
                        wrapped.event(event)
                    })
                    .unwrap();
                    assert_eq!(wrapped.response(), response, "{name}");
                } else {
                    assert_eq!(sse_events(&raw, 1), datas, "{name}");
                }
                assert_eq!(stream_again(&datas), essence(response), "{name}");
                assert_eq!(whole_again(response), essence(response), "{name}");
                let mut usage = Usage::default();
                let found: Vec<_> = datas.iter().map(|data| facts(data, 128).unwrap()).collect();
                found
                    .iter()
                    .filter_map(|facts| facts.usage)
                    .for_each(|seen| usage.merge(&seen));
                assert_eq!(Some(usage), response.usage, "{name}");
                assert!(found.last().is_some_and(|last| last.done), "{name}");
                assert_eq!(found.iter().filter(|facts| facts.finished).count(), 1, "{name}");
            }
        }
    }
}

/// What is the same to the API said in two ways.
fn normal(value: &mut Value) {
    if let Value::Array(items) = value {
        return items.iter_mut().for_each(normal);
    }
    let Value::Object(members) = value else { return };
    for key in ["system", "content"] {
        if let Some(Value::String(text)) = members.get(key) {
            let block = json!([{"type": "text", "text": text}]);
            members.insert(key.to_owned(), block);
        }
    }
    for key in ["is_error", "disable_parallel_tool_use", "stream"] {
        if members.get(key) == Some(&Value::Bool(false)) {
            members.remove(key);
        }
    }
    if members.get("tools") == Some(&json!([])) {
        members.remove("tools");
    }
    // Of a client's own calls the API does not ask who made them.
    if members.get("type") == Some(&json!("tool_use")) {
        members.remove("caller");
    }
    // 1.0 and 1 are one number.
    if let Some(number) = members.get_mut("temperature") {
        *number = json!(number.as_f64());
    }
    for (key, member) in members.iter_mut() {
        if key != "input" && key != "input_schema" {
            normal(member);
        }
    }
}

#[test]
fn every_recorded_request_is_read_and_written_again() {
    for Recording {
        name,
        mut request,
        path,
        ..
    } in recordings()
    {
        let variant = match name.split('/').next() {
            Some("vertex") => Variant::Vertex,
            Some("bedrock") => Variant::BedrockInvoke,
            _ => Variant::Direct,
        };
        let codec = AnthropicCodec { variant };
        let in_path = || path.split("models/").nth(1).or(path.split("/model/").nth(1));
        let named = request["model"].as_str().map(str::to_owned);
        let model = named.unwrap_or_else(|| in_path().unwrap().split([':', '/']).next().unwrap().to_owned());
        let text = request.to_string();
        let node = Node::parse(text.as_bytes(), 128).unwrap();
        let stream = request["stream"] == json!(true);
        let (body, dropped) = if path.contains("count_tokens") {
            let read = Messages.read_count(&node).unwrap();
            let made = codec.encode_count(&read, aim(&model)).unwrap();
            (made.body, made.dropped)
        } else {
            let read = Messages.read(&node, stream).unwrap();
            let made = codec.encode(&read, aim(&model)).unwrap();
            assert!(made.headers.is_empty(), "{name}: {:?}", made.headers);
            (made.body, made.dropped)
        };
        let mut again: Value = serde_json::from_slice(&body).unwrap();
        normal(&mut again);
        normal(&mut request);
        assert_eq!(again, request, "{name}");
        assert!(dropped.is_empty(), "{name}: {}", dropped.header());
    }
}
