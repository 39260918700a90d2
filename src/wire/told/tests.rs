//! What a body tells, however it is cut, and what it cannot be made to tell.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn hear(form: Form, body: &[u8]) -> Told {
    let mut listener = Listener::new(form);
    listener.push(body);
    listener.told()
}

/// Whole, byte by byte and in sevens.
#[track_caller]
fn all(form: Form, body: &str) -> Told {
    let whole = hear(form, body.as_bytes());
    for size in [1, 7] {
        let mut listener = Listener::new(form);
        body.as_bytes().chunks(size).for_each(|piece| listener.push(piece));
        assert_eq!(listener.told(), whole, "pieces of {size}");
    }
    whole
}

fn figures(told: &Told) -> Option<(u64, u64, u64)> {
    told.usage.map(|usage| (usage.input, usage.output, usage.cached))
}

#[test]
fn whole_answers_of_every_shape() {
    for (body, model, expected) in [
        (
            r#"{"id":"c","model":"gpt-x","choices":[{"message":{"content":"\"usage\":{}"}}],"usage":{"prompt_tokens":9,"completion_tokens":12,"prompt_tokens_details":{"cached_tokens":3}}}"#,
            Some("gpt-x"),
            Some((9, 12, 3)),
        ),
        (
            r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}}"#,
            None,
            Some((14, 45, 0)),
        ),
        (r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#, None, None),
        (
            r#"{ "model" : "claude" , "usage" : { "input_tokens" : 2 , "cache_read_input_tokens" : 5 , "output_tokens" : 1 } }"#,
            Some("claude"),
            Some((7, 1, 5)),
        ),
        (
            r#"{"object":"list","data":[{"usage":{"prompt_tokens":1}}],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}"#,
            Some("e"),
            Some((4, 0, 0)),
        ),
        (r#"{"usage":null,"model":null}"#, None, None),
        (
            r#"{"response":{"usage":{"input_tokens":1,"output_tokens":2},"model":"r"},"status":"x"}"#,
            Some("r"),
            Some((1, 2, 0)),
        ),
    ] {
        let told = all(Form::Json, body);
        assert_eq!((told.model.as_deref(), figures(&told)), (model, expected), "{body}");
    }
    let audio = all(
        Form::Json,
        r#"{"usage":{"input_tokens":14,"input_token_details":{"audio_tokens":14},"output_tokens":45}}"#,
    );
    assert_eq!(audio.usage.unwrap().audio_input, 14);
    let tier = all(Form::Json, r#"{"usage":{"prompt_tokens":1},"service_tier":"flex"}"#);
    assert_eq!(tier.usage.unwrap().tier, crate::units::ServiceTier::Flex);
}

#[test]
fn streams_of_every_dialect() {
    let chat = "data: {\"model\":\"m\",\"choices\":[{}],\"usage\":null}\n\n: a comment\n\ndata: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12}}\n\ndata: [DONE]\n\n";
    let responses = "event: response.created\r\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"r\",\"usage\":null}}\r\n\r\nevent: response.completed\r\ndata:{\"type\":\"response.completed\",\"response\":{\"model\":\"r\",\"tools\":[{\"parameters\":{\"usage\":{\"input_tokens\":0}}}],\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":12}}}\r\n\r\n";
    let messages = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"a\",\"usage\":{\"input_tokens\":4,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":12}}\n\n";
    let transcript = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"usage\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"x\",\"usage\":{\"input_tokens\":7,\"output_tokens\":2}}";
    let steps = "data: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: {\"model\":\"s\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n";
    for (body, model, expected) in [
        (chat, Some("m"), (9, 12, 0)),
        (responses, Some("r"), (9, 12, 3)),
        (messages, Some("a"), (9, 12, 5)),
        (transcript, None, (7, 2, 0)),
        (steps, Some("s"), (9, 3, 0)),
    ] {
        let told = all(Form::Events, body);
        assert_eq!(
            (told.model.as_deref(), figures(&told)),
            (model, Some(expected)),
            "{body}"
        );
    }
}

#[test]
fn what_a_client_can_have_repeated_tells_nothing() {
    let echo = json!({"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "model": "free"});
    for body in [
        json!({"tools": [echo], "metadata": echo, "output": [{"usage": 1, "message": echo}]}),
        json!({"response": {"tools": [echo], "metadata": echo}}),
        json!({"response": [echo, {"usage": {"prompt_tokens": 1}}]}),
        json!({"data": {"a": 1, "usage": {"prompt_tokens": 1}, "model": "free"}}),
        json!({"message": echo.to_string(), "delta": echo}),
        json!([echo, echo]),
        json!(echo.to_string()),
    ] {
        for body in [body.to_string(), format!("{body:#}")] {
            assert_eq!(all(Form::Json, &body), Told::default(), "{body}");
        }
    }
    // A comment and an event's name are no data.
    let events = format!(": {echo}\n\nevent: {echo}\nid: data: {echo}\n\n");
    assert_eq!(all(Form::Events, &events), Told::default());
}

#[test]
fn what_is_too_long_is_let_go() {
    let long = "x".repeat(100_000);
    let body = json!({"usage": {"prompt_tokens": 1, "note": long}, "model": long, "data": long}).to_string();
    let mut listener = Listener::new(Form::Json);
    body.as_bytes().chunks(1000).for_each(|piece| {
        listener.push(piece);
        assert!(listener.scan.held() < 10_000);
    });
    assert_eq!(listener.told(), Told::default());
    // Deep is only deep.
    let body = format!("{}{}", "[".repeat(500_000), "{\"usage\":".repeat(1000));
    assert_eq!(hear(Form::Json, body.as_bytes()), Told::default());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(|n| json!(n)),
        "[a-z\"\\\\{},:]{0,6}".prop_map(|s| json!(s))
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![
            Just("usage".to_owned()),
            Just("model".to_owned()),
            Just("message".to_owned()),
            "[a-z\"]{0,3}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// What is heard in passing is what a full reading finds, however the body is cut and whatever else is in it.
    #[test]
    fn agrees_with_a_full_reading(
        others in prop::collection::btree_map("[a-l]{1,3}", value(), 0..4), input: u32, output: u32, told: bool, pretty: bool,
        cuts in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let mut document = json!(others);
        if told {
            document["usage"] = json!({"prompt_tokens": input, "completion_tokens": output, "x": [{}, "}"]});
            document["model"] = json!("m\"1");
        }
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        let mut listener = Listener::new(Form::Json);
        let mut rest = text.as_bytes();
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            listener.push(piece);
            rest = more;
        }
        let usage = Usage { input: input.into(), output: output.into(), ..Usage::default() };
        let expected = Told { usage: told.then_some(usage), model: told.then(|| "m\"1".into()) };
        prop_assert_eq!(listener.told(), expected);
    }

    /// Anything at all: no panic, no growth, and the same whole as in pieces.
    #[test]
    fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..20, events: bool) {
        let form = if events { Form::Events } else { Form::Json };
        let mut listener = Listener::new(form);
        bytes.chunks(size).for_each(|piece| listener.push(piece));
        prop_assert_eq!(listener.told(), hear(form, &bytes));
    }
}
