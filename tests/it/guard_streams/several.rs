//! Streams of several answers, of completions, and those that are an array.

use super::*;

/// Says it in two answers at once, of chats and of completions.
fn twice() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            conn.stream_head();
            let chat = request.line.contains("/chat/");
            for piece in PIECES {
                for index in [0, 1] {
                    let (object, choice) = if chat {
                        let choice = json!({"index": index, "delta": {"content": piece}, "finish_reason": null});
                        ("chat.completion.chunk", choice)
                    } else {
                        let choice = json!({"index": index, "text": piece, "logprobs": null, "finish_reason": null});
                        ("text_completion", choice)
                    };
                    conn.chunk(event(
                        &json!({"id": "c1", "object": object, "created": 1, "model": "up", "choices": [choice]}),
                    ));
                }
            }
            for index in [0, 1] {
                let choice = match chat {
                    true => json!({"index": index, "delta": {}, "finish_reason": "stop"}),
                    false => json!({"index": index, "text": "", "logprobs": null, "finish_reason": "stop"}),
                };
                conn.chunk(event(
                    &json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}),
                ));
            }
            conn.chunk(DONE);
            conn.send("0\r\n\r\n");
        }
    })
}

#[test]
fn each_of_several_answers_is_a_text_of_its_own() {
    let upstream = twice();
    for (action, says, ends) in [("redact", REDACTED, "stop"), ("block", "Write to ", "content_filter")] {
        let gateway = guarded(&upstream, action);
        for (path, body) in [
            (
                CHATS,
                json!({"model": "openai", "stream": true, "n": 2, "messages": [{"role": "user", "content": "Hello"}]}),
            ),
            (
                "/v1/completions",
                json!({"model": "openai", "stream": true, "n": 2, "prompt": "Hello"}),
            ),
        ] {
            let response = gateway.post_with(path, &bearer(KEY), body.to_string()).ok();
            says_nothing_of_it(path, &response.text());
            assert!(response.text().ends_with(DONE), "{path}: {}", response.text());
            for index in [0, 1] {
                let (mut text, mut end) = (String::new(), Value::Null);
                for data in data(&response) {
                    let choices = data["choices"].as_array().unwrap();
                    for choice in choices.iter().filter(|choice| choice["index"] == index) {
                        let piece = match path {
                            CHATS => &choice["delta"]["content"],
                            _ => &choice["text"],
                        };
                        text += piece.as_str().unwrap_or_default();
                        if !choice["finish_reason"].is_null() {
                            end = choice["finish_reason"].clone();
                        }
                    }
                }
                assert_eq!(end, ends, "{action} {path} {index}: {}", response.text());
                // Of one that was stopped for the other's sake, less may have come.
                let right = if action == "block" {
                    says.starts_with(&text)
                } else {
                    says == text
                };
                assert!(right, "{action} {path} {index}: {text}");
            }
        }
    }
}

#[test]
fn a_stream_that_is_an_array_is_judged_too() {
    let upstream = speaker();
    for (action, says, ends) in [("redact", REDACTED, "STOP"), ("block", "Write to ", "SAFETY")] {
        let gateway = guarded(&upstream, action);
        for model in MODELS {
            let path = format!("/v1beta/models/{model}:streamGenerateContent");
            let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
            let response = gateway.post_with(&path, &bearer(KEY), body.to_string()).ok();
            says_nothing_of_it(&path, &response.text());
            let all = response.json();
            let all = all.as_array().unwrap();
            let text = all
                .iter()
                .filter_map(|data| data["candidates"][0]["content"]["parts"][0]["text"].as_str());
            assert_eq!(text.collect::<String>(), says, "{action} {model}: {}", response.text());
            assert_eq!(
                all.last().unwrap()["candidates"][0]["finishReason"],
                ends,
                "{action} {model}"
            );
        }
    }
}
