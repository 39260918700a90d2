//! Kept answers on the wire, with answers of our own; every recorded one goes through `tests/golden/kept.rs`.

use super::{Replay, Sent, keep, pieces, read, replay};
use crate::cache::ask::{Asked, Skip, Terms, ask};
use crate::cache::{Answer, Form, Policy, form};
use crate::units::Usage;
use crate::wire::canonical::{Finish, Part};
use crate::wire::{Call, Dialect, Given, Operation, Reading};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

const DEPTH: usize = 64;
const NOW: u64 = 1_700_000_000_000;

fn call(operation: Operation, dialect: Dialect, body: &Value) -> Call {
    Call::read_as(operation, dialect, body.to_string().into(), DEPTH).unwrap()
}

fn chat(stream: bool, usage: bool) -> Call {
    let mut body = json!({"model": "fast", "stream": stream, "messages": [{"role": "user", "content": "Why?"}]});
    if usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    call(Operation::Chat, Dialect::OpenAi, &body)
}

fn gemini(json_array: bool) -> Call {
    let given = Given {
        model: "fast".to_owned(),
        stream: true,
        json_array,
    };
    let reading = Reading::given(Operation::Chat, Dialect::Gemini, given, DEPTH);
    reading
        .finish(Bytes::from_static(br#"{"contents":[{"parts":[{"text":"q"}]}]}"#))
        .unwrap()
}

fn asked(call: &Call) -> Asked {
    let policy = Policy::default();
    let terms = Terms {
        policy: &policy,
        owner: "",
        model: "fast",
        target: None,
        also: None,
        max_depth: DEPTH,
        now_ms: NOW,
    };
    ask(call, &terms).unwrap()
}

fn again(call: &Call, answer: &Answer) -> Replay {
    replay(call, asked(call).reply, answer, NOW, DEPTH).unwrap()
}

const TEXT: &str = "The sky is blue, because air scatters short waves more: naïve 空が青い理由 👩‍🚀!";

fn whole_chat() -> Vec<u8> {
    let message = json!({"role": "assistant", "content": TEXT, "refusal": null});
    json!({"id": "chatcmpl-old", "object": "chat.completion", "created": 5, "model": "gpt-real",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}})
    .to_string()
    .into_bytes()
}

fn kept() -> Answer {
    let policy = Policy::default();
    keep(
        &chat(false, false),
        Sent::Whole(&whole_chat()),
        1,
        None,
        &policy,
        2048,
        DEPTH,
    )
    .unwrap()
}

#[test]
fn an_answer_sent_whole_is_streamed_to_another() {
    let call = chat(true, true);
    let Replay::Stream(pieces) = again(&call, &kept()) else {
        panic!("not a stream")
    };
    let pieces = pieces.each();
    assert!(pieces.len() > 15, "{}", pieces.len());
    let mut text = String::new();
    let mut ids = Vec::new();
    let all = String::from_utf8(pieces.concat()).unwrap();
    assert!(
        pieces
            .iter()
            .all(|piece| piece.starts_with(b"data: ") && piece.ends_with(b"\n\n"))
    );
    for event in all.split_terminator("\n\n") {
        let data = event.strip_prefix("data: ").unwrap();
        if data == "[DONE]" {
            continue;
        }
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (&event["model"], &event["created"]),
            (&json!("fast"), &json!(NOW / 1000))
        );
        ids.push(event["id"].clone());
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    assert_eq!(text, TEXT);
    assert!(all.ends_with("}\n\ndata: [DONE]\n\n"));
    assert!(ids.iter().all(|id| *id == ids[0] && id != "chatcmpl-old"));
    assert!(all.contains(r#""completion_tokens":20"#), "{all}");
    let Replay::Stream(other) = again(&call, &kept()) else {
        panic!("not a stream")
    };
    let other = other.each();
    assert_ne!(other[0], pieces[0], "another id");
    let Replay::Stream(without) = again(&chat(true, false), &kept()) else {
        panic!("not a stream")
    };
    let without = without.each();
    assert!(!without.concat().windows(19).any(|at| at == b"\"completion_tokens\""));
}

#[test]
fn a_stream_is_kept_and_answered_whole() {
    let streaming = chat(true, false);
    let Replay::Stream(pieces) = again(&streaming, &kept()) else {
        panic!("not a stream")
    };
    let pieces = pieces.each();
    let usage = Usage {
        input: 9,
        output: 20,
        ..Usage::default()
    };
    let policy = Policy::default();
    let sent = Sent::Stream(&pieces);
    let answer = keep(&streaming, sent, 1, Some(usage), &policy, 2048, DEPTH).unwrap();
    let Replay::Whole(body) = again(&chat(false, false), &answer) else {
        panic!("not whole")
    };
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], TEXT);
    assert_eq!(body["usage"]["total_tokens"], 29, "known beside the stream");
    // Wherever the network cut it.
    let bytes = pieces.concat();
    for size in [1, 7, 1000] {
        let chunks: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        assert!(read(&streaming, Sent::Stream(&chunks), DEPTH).is_ok());
    }
    // Or ended: anywhere before the last byte of its end marker but its closing line.
    for end in (0..bytes.len() - 1)
        .step_by(13)
        .chain([bytes.len() - 15, bytes.len() - 2])
    {
        let cut = [Bytes::copy_from_slice(&bytes[..end])];
        assert!(
            read(&streaming, Sent::Stream(&cut), DEPTH).is_err(),
            "{end} of {}",
            bytes.len()
        );
    }
}

#[test]
fn a_stream_that_failed_is_not_kept() {
    let streaming = chat(true, false);
    let Replay::Stream(pieces) = again(&streaming, &kept()) else {
        panic!("not a stream")
    };
    let mut pieces = pieces.each();
    pieces.truncate(4);
    pieces.push(Bytes::from_static(
        b"data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n",
    ));
    assert_eq!(
        read(&streaming, Sent::Stream(&pieces), DEPTH).unwrap_err(),
        Skip::Incomplete
    );
    let garbage = [Bytes::from_static(b"data: {nonsense\n\ndata: [DONE]\n\n")];
    assert_eq!(
        read(&streaming, Sent::Stream(&garbage), DEPTH).unwrap_err(),
        Skip::Unreadable
    );
    assert!(read(&streaming, Sent::Stream(&[]), DEPTH).is_err());
    assert!(read(&chat(false, false), Sent::Whole(b""), DEPTH).is_err());
    assert!(
        read(
            &chat(false, false),
            Sent::Whole(b"{\"error\":{\"message\":\"x\"}}"),
            DEPTH
        )
        .is_err()
    );
}

#[test]
fn gemini_streams_as_events_and_as_an_array() {
    for json_array in [false, true] {
        let call = gemini(json_array);
        let Replay::Stream(pieces) = again(&call, &kept()) else {
            panic!("not a stream")
        };
        let pieces = pieces.each();
        assert!(pieces.len() > 5);
        let response = read(&call, Sent::Stream(&pieces), DEPTH).unwrap();
        let Part::Text { text, .. } = &response.candidates[0].parts[0] else {
            panic!("no text")
        };
        assert_eq!(
            (text.as_ref(), &response.candidates[0].finish),
            (TEXT, &Some(Finish::Stop))
        );
        if json_array {
            let all: Value = serde_json::from_slice(&pieces.concat()).unwrap();
            assert!(all.as_array().is_some_and(|all| all.len() > 5));
            let open = &pieces[..pieces.len() - 1];
            assert!(read(&call, Sent::Stream(open), DEPTH).is_err());
        }
    }
}

#[test]
fn other_operations_are_served_as_they_were_sent() {
    let moderation = call(
        Operation::Moderations,
        Dialect::OpenAi,
        &json!({"model": "fast", "input": "x"}),
    );
    let sent = br#"{"id":"modr-0aB9","model":"m","results":[{"flagged":false,"id":"keep"}]}"#;
    let policy = Policy::default();
    let answer = keep(&moderation, Sent::Whole(sent), 1, None, &policy, 0, DEPTH).unwrap();
    assert_eq!(answer.form, Form::Verbatim(Dialect::OpenAi, Operation::Moderations));
    let Replay::Whole(body) = replay(&moderation, None, &answer, NOW, DEPTH).unwrap() else {
        panic!("not whole")
    };
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        body.starts_with(r#"{"id":"modr-"#)
            && body.ends_with(r#","model":"m","results":[{"flagged":false,"id":"keep"}]}"#)
    );
    assert!(body.len() == sent.len());
    let vectors = call(
        Operation::Embeddings,
        Dialect::OpenAi,
        &json!({"model": "fast", "input": "x"}),
    );
    assert!(
        replay(&vectors, None, &answer, NOW, DEPTH).is_err(),
        "of another operation"
    );
    let conversation = chat(false, false);
    assert!(replay(&conversation, asked(&conversation).reply, &answer, NOW, DEPTH).is_err());
    for wrong in [&b"[]"[..], br#"{"error":{"message":"no"}}"#, br#"{"error":"no"}"#] {
        let refused = keep(&vectors, Sent::Whole(wrong), 1, None, &policy, 0, DEPTH);
        assert_eq!(refused.unwrap_err(), Skip::Unreadable);
    }
    assert!(
        keep(
            &vectors,
            Sent::Whole(br#"{"error":null,"data":[]}"#),
            1,
            None,
            &policy,
            0,
            DEPTH
        )
        .is_ok()
    );
}

#[test]
fn legacy_completions() {
    let request = json!({"model": "fast", "prompt": "q"});
    let whole = call(Operation::Completions, Dialect::OpenAi, &request);
    let sent = json!({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [
        {"text": TEXT, "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let policy = Policy::default();
    let sent = sent.to_string();
    let answer = keep(&whole, Sent::Whole(sent.as_bytes()), 1, None, &policy, 2048, DEPTH).unwrap();
    let mut request = request;
    request["stream"] = true.into();
    let streaming = call(Operation::Completions, Dialect::OpenAi, &request);
    let Replay::Stream(pieces) = again(&streaming, &answer) else {
        panic!("not a stream")
    };
    let pieces = pieces.each();
    let back = read(&streaming, Sent::Stream(&pieces), DEPTH).unwrap();
    let Part::Text { text, .. } = &back.candidates[0].parts[0] else {
        panic!("no text")
    };
    assert_eq!(text, TEXT);
    assert!(pieces.len() > 10);
}

#[test]
fn what_is_damaged_is_a_miss() {
    let call = chat(true, false);
    let mut answer = kept();
    answer.bytes = answer.bytes.slice(..answer.bytes.len() - 3);
    assert!(replay(&call, asked(&call).reply, &answer, NOW, DEPTH).is_err());
    answer.length -= 3;
    assert!(replay(&call, asked(&call).reply, &answer, NOW, DEPTH).is_err());
    assert!(replay(&call, None, &kept(), NOW, DEPTH).is_err());
}

/// A megabyte is kept, compressed, and streamed in some thousand events rather than in two hundred thousand.
#[test]
fn a_huge_answer() {
    let text = "All work and no play makes Jack a dull boy.\n".repeat(24_000);
    let body = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]});
    let call = chat(true, false);
    let body = body.to_string();
    let policy = Policy {
        max_answer: 2 << 20,
        ..Policy::default()
    };
    let answer = keep(
        &chat(false, false),
        Sent::Whole(body.as_bytes()),
        1,
        None,
        &policy,
        2048,
        DEPTH,
    )
    .unwrap();
    assert!(answer.bytes.len() < 20_000);
    let Replay::Stream(pieces) = again(&call, &answer) else {
        panic!("not a stream")
    };
    let pieces = pieces.each();
    assert!((1_000..3_000).contains(&pieces.len()), "{}", pieces.len());
    let back = read(&call, Sent::Stream(&pieces), DEPTH).unwrap();
    assert_eq!(back.candidates[0].parts, [Part::text(text)]);
    let small = Policy::default();
    let long = keep(
        &chat(false, false),
        Sent::Whole(body.as_bytes()),
        1,
        None,
        &small,
        2048,
        DEPTH,
    );
    assert_eq!(long.unwrap_err(), Skip::TooLarge);
    assert_eq!(form::LONGEST, 64 << 20);
}

proptest! {
    #[test]
    fn pieces_are_the_text(text in "(\\PC|[ \n]){0,300}") {
        let all: Vec<&str> = pieces::of(&text).collect();
        prop_assert_eq!(all.concat(), text.clone());
        prop_assert!(all.iter().all(|piece| !piece.is_empty()));
    }

    #[test]
    fn words_are_pieces(words in proptest::collection::vec("[a-z]{1,8}", 1..40)) {
        let text = words.join(" ");
        prop_assert_eq!(pieces::of(&text).count(), words.len());
    }
}
