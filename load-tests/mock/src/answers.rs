//! Answers, rendered: what is said, in the shape in which OpenAI says it, and the bytes that go over the wire.
//!
//! An `Answer` is immutable and shared; its HTTP/1.1 form is made once, on first use, so that serving it again is one
//! write of ready bytes. When and whether it is served whole is not decided here (see `decide`, `h1`, `h2`).

use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use crate::messages;

pub const CREATED: u64 = 1_760_000_000;
/// Put into each event of a `stamp-` stream, followed by CLOCK_MONOTONIC in ns at the moment of writing.
pub const STAMP_KEY: &str = "mock_sent_ns";
const WORDS: [&str; 8] = [" the", " quick", " brown", " fox", " jumps", " over", " lazy", " dogs"];

/// The arguments of the one tool call there is, in the pieces of a stream.
pub const TOOL_INPUT: [&str; 5] = ["{\"", "city", "\":\"", "Paris", "\"}"];

pub enum Body {
    Whole(Bytes),
    /// Complete SSE events, blank line included.
    Events(Vec<Bytes>),
}

pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<u64>,
    pub body: Body,
    wire: OnceLock<Bytes>,
}

impl Answer {
    pub fn new(status: u16, content_type: impl Into<String>, body: Body) -> Self {
        Self {
            status,
            content_type: content_type.into(),
            retry_after: None,
            body,
            wire: OnceLock::new(),
        }
    }

    pub fn json(status: u16, value: &Value) -> Self {
        let body = Body::Whole(Bytes::from(value.to_string()));
        Self::new(status, "application/json", body)
    }

    /// OpenAI's error shape, always with its four members.
    pub fn error(status: u16, kind: &str, message: &str, code: Option<&str>) -> Self {
        let error = json!({"message": message, "type": kind, "param": null, "code": code});
        Self::json(status, &json!({ "error": error }))
    }

    /// The HTTP/1.1 head; `announced` overrides the true length.
    pub fn head(&self, announced: Option<usize>) -> Bytes {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\nx-request-id: req_mock_0123456789abcdef\r\nopenai-processing-ms: 1\r\n",
            self.status,
            reason(self.status),
            self.content_type
        );
        if let Some(seconds) = self.retry_after {
            head.push_str(&format!("retry-after: {seconds}\r\n"));
        }
        match &self.body {
            Body::Whole(body) => {
                let length = announced.unwrap_or(body.len());
                head.push_str(&format!("content-length: {length}\r\n\r\n"));
            }
            Body::Events(_) => head.push_str("cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"),
        }
        Bytes::from(head)
    }

    /// The body as it goes over HTTP/1.1: one piece, or a chunk for each event and the last chunk.
    pub fn pieces(&self) -> Vec<Bytes> {
        match &self.body {
            Body::Whole(body) => vec![body.clone()],
            Body::Events(events) => events
                .iter()
                .map(|event| chunk(event))
                .chain([Bytes::from_static(b"0\r\n\r\n")])
                .collect(),
        }
    }

    /// Head and body, framed for HTTP/1.1.
    pub fn wire(&self) -> &Bytes {
        self.wire.get_or_init(|| {
            let mut wire = BytesMut::from(self.head(None).as_ref());
            for piece in self.pieces() {
                wire.extend_from_slice(&piece);
            }
            wire.freeze()
        })
    }
}

pub fn chunk(payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(payload.len() + 16);
    framed.put_slice(format!("{:x}\r\n", payload.len()).as_bytes());
    framed.put_slice(payload);
    framed.put_slice(b"\r\n");
    framed.freeze()
}

fn reason(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}

/// Whose way of saying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Chat,
    Completions,
    Messages,
}

/// What the shape of an answer depends on; also the key under which a rendered one is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Shape {
    pub api: Api,
    /// Of the mock.
    pub name: String,
    /// The text repeats nothing, so that a piece that is missing or there twice is seen.
    pub numbered: bool,
    /// What has been said of it already.
    pub said: String,
    pub stream: bool,
    pub usage: bool,
    pub tool: Option<String>,
    pub model: String,
}

pub fn completion(shape: &Shape, tokens: usize, response_bytes: usize) -> Answer {
    if shape.api == Api::Messages {
        return messages::answer(shape, tokens, response_bytes);
    }
    let chat = shape.api == Api::Chat;
    if shape.stream {
        let events = stream_events(shape, tokens);
        return Answer::new(200, "text/event-stream; charset=utf-8", Body::Events(events));
    }
    let usage = Some(usage(tokens));
    let whole = |text: &str| match (&shape.tool, chat) {
        (Some(tool), true) => envelope(
            shape,
            "chat.completion",
            &choice(
                "message",
                &format!(
                    r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_mock0001","type":"function","function":{{"name":{},"arguments":"{{\"city\":\"Paris\"}}"}}}}],"refusal":null}}"#,
                    json!(tool)
                ),
                Some("tool_calls"),
            ),
            usage.as_deref(),
        ),
        (None, true) => envelope(
            shape,
            "chat.completion",
            &choice(
                "message",
                &format!(
                    r#"{{"role":"assistant","content":{},"refusal":null,"annotations":[]}}"#,
                    json!(text)
                ),
                Some("stop"),
            ),
            usage.as_deref(),
        ),
        (_, false) => envelope(
            shape,
            "text_completion",
            &choice("text", &json!(text).to_string(), Some("stop")),
            usage.as_deref(),
        ),
    };
    let text = words(response_bytes.saturating_sub(whole("").len()));
    Answer::new(200, "application/json", Body::Whole(Bytes::from(whole(&text))))
}

/// The members every completion object has, in OpenAI's order (which `serde_json::Value` would not keep).
fn envelope(shape: &Shape, object: &str, choices: &str, usage: Option<&str>) -> String {
    let id = if shape.api == Api::Chat {
        "chatcmpl-mock000000000000000000000001"
    } else {
        "cmpl-mock000000000000000000000001"
    };
    let usage = usage.map_or(String::new(), |usage| format!(r#","usage":{usage}"#));
    format!(
        r#"{{"id":"{id}","object":"{object}","created":{CREATED},"model":{},"service_tier":"default","system_fingerprint":{},"choices":[{choices}]{usage}}}"#,
        json!(shape.model),
        json!(format!("fp_{}", shape.name)),
    )
}

/// One choice; `member` is `message`, `delta` or `text`.
fn choice(member: &str, value: &str, finish: Option<&str>) -> String {
    format!(
        r#"{{"index":0,"{member}":{value},"logprobs":null,"finish_reason":{}}}"#,
        json!(finish)
    )
}

pub fn words(length: usize) -> String {
    let mut text = String::from("Hello");
    for word in WORDS.iter().cycle() {
        if text.len() >= length {
            break;
        }
        text.push_str(word);
    }
    text.truncate(length);
    text
}

fn usage(tokens: usize) -> String {
    format!(
        r#"{{"prompt_tokens":9,"completion_tokens":{tokens},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        tokens + 9
    )
}

pub fn event(data: &str) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

/// The pieces of a stream's text, without what was said already. What was not said that way begins anew, behind a mark.
pub fn told(shape: &Shape, count: usize) -> Vec<String> {
    let all: Vec<String> = if shape.numbered {
        (1..=count).map(numbered).collect()
    } else {
        WORDS
            .iter()
            .cycle()
            .take(count)
            .map(|word| (*word).to_owned())
            .collect()
    };
    if !all.concat().starts_with(&shape.said) {
        return [" [this is not what I said] ".to_owned()]
            .into_iter()
            .chain(all)
            .collect();
    }
    let mut skip = shape.said.len();
    let mut rest = Vec::new();
    for piece in all {
        if let Some(piece) = piece.get(skip.min(piece.len())..).filter(|piece| !piece.is_empty()) {
            rest.push(piece.to_owned());
        }
        skip = skip.saturating_sub(piece.len());
    }
    rest
}

/// Most tokens begin with their blank; some end in blanks or are nothing else, and a stream may break right there.
fn numbered(nth: usize) -> String {
    match nth % 8 {
        0 => ".\n\n".to_owned(),
        1 => format!("Word{nth}"),
        4 => format!(" \"wörd\"{nth}, "),
        5 => format!("word{nth}"),
        _ => format!(" word{nth}"),
    }
}

/// Role chunk, `tokens - 1` content chunks and the finish chunk, the usage chunk when asked, `[DONE]`.
fn stream_events(shape: &Shape, tokens: usize) -> Vec<Bytes> {
    let chat = shape.api == Api::Chat;
    let (object, member) = if chat {
        ("chat.completion.chunk", "delta")
    } else {
        ("text_completion", "text")
    };
    // OpenAI writes `usage: null` into every other chunk once usage was asked for, and nothing otherwise.
    let no_usage = shape.usage.then_some("null");
    let chunk =
        |value: &str, finish: Option<&str>| event(&envelope(shape, object, &choice(member, value, finish), no_usage));
    let mut events = Vec::with_capacity(tokens + 3);
    if let (Some(tool), true) = (&shape.tool, chat) {
        let call = |call: &str| chunk(&format!(r#"{{"tool_calls":[{call}]}}"#), None);
        events.push(chunk(
            &format!(
                r#"{{"role":"assistant","content":null,"tool_calls":[{{"index":0,"id":"call_mock0001","type":"function","function":{{"name":{},"arguments":""}}}}],"refusal":null}}"#,
                json!(tool)
            ),
            None,
        ));
        for piece in TOOL_INPUT {
            events.push(call(&format!(
                r#"{{"index":0,"function":{{"arguments":{}}}}}"#,
                json!(piece)
            )));
        }
        events.push(chunk("{}", Some("tool_calls")));
    } else {
        let content = told(shape, tokens.saturating_sub(1));
        if chat {
            let role = r#"{"role":"assistant","content":"","refusal":null}"#;
            events.push(chunk(role, None));
            let delta = |word: &str| format!(r#"{{"content":{}}}"#, json!(word));
            events.extend(content.iter().map(|word| chunk(&delta(word), None)));
            events.push(chunk("{}", Some("stop")));
        } else {
            events.push(chunk("\"Hello\"", None));
            events.extend(content.iter().map(|word| chunk(&json!(word).to_string(), None)));
            events.push(chunk("\"\"", Some("stop")));
        }
    }
    if shape.usage {
        events.push(event(&envelope(shape, object, "", Some(&usage(tokens)))));
    }
    events.push(event("[DONE]"));
    events
}

/// The event with the time of its writing put in front of its other members; `[DONE]` stays as it is.
pub fn stamped(event: &Bytes, now_ns: u64) -> Bytes {
    match event.strip_prefix(b"data: {") {
        Some(rest) => {
            let mut out = BytesMut::with_capacity(event.len() + 40);
            out.put_slice(format!("data: {{\"{STAMP_KEY}\":{now_ns},").as_bytes());
            out.put_slice(rest);
            out.freeze()
        }
        None => event.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(stream: bool, usage: bool) -> Shape {
        Shape {
            api: Api::Chat,
            name: "mock0001".to_owned(),
            numbered: false,
            said: String::new(),
            stream,
            usage,
            tool: None,
            model: "mock".to_owned(),
        }
    }

    fn events(answer: &Answer) -> &[Bytes] {
        match &answer.body {
            Body::Events(events) => events,
            Body::Whole(_) => panic!("not a stream"),
        }
    }

    #[test]
    fn the_default_stream_has_34_events_and_usage_only_when_asked() {
        let plain = completion(&shape(true, false), 32, 1024);
        assert_eq!(events(&plain).len(), 34);
        assert!(!events(&plain).iter().any(|e| e.windows(7).any(|w| w == b"\"usage\"")));
        let with = completion(&shape(true, true), 32, 1024);
        assert_eq!(events(&with).len(), 35);
        let usage: Value = serde_json::from_slice(&events(&with)[33][6..]).unwrap();
        assert_eq!(usage["choices"], json!([]));
        assert_eq!(usage["usage"]["completion_tokens"], 32);
        let other: Value = serde_json::from_slice(&events(&with)[3][6..]).unwrap();
        assert!(other.get("usage").is_some_and(Value::is_null));
        assert_eq!(events(&with)[34], event("[DONE]"));
    }

    #[test]
    fn a_plain_answer_has_the_length_asked_for() {
        for length in [1024, 100_000] {
            let answer = completion(&shape(false, false), 32, length);
            match &answer.body {
                Body::Whole(body) => assert_eq!(body.len(), length),
                Body::Events(_) => panic!("a stream"),
            }
        }
    }

    #[test]
    fn every_shape_is_json() {
        for bits in 0..16 {
            let on = |bit: usize| bits & (1 << bit) != 0;
            let shape = Shape {
                api: if on(0) { Api::Chat } else { Api::Completions },
                name: "mock0001".to_owned(),
                numbered: false,
                said: String::new(),
                stream: on(1),
                usage: on(2),
                tool: on(3).then(|| "wea\"ther".to_owned()),
                model: "mo\"del".to_owned(),
            };
            let check = |text: &[u8]| {
                let value: Value = serde_json::from_slice(text).unwrap();
                assert_eq!(value["model"], "mo\"del");
            };
            match completion(&shape, 5, 900).body {
                Body::Whole(body) => check(&body),
                Body::Events(events) => {
                    for event in &events[..events.len() - 1] {
                        check(&event[6..]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_is_gone_on_with_from_anywhere() {
        let shape = |said: &str| Shape {
            numbered: true,
            said: said.to_owned(),
            ..shape(true, false)
        };
        let whole = told(&shape(""), 40).concat();
        for at in (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)) {
            let said = &whole[..at];
            assert_eq!(format!("{said}{}", told(&shape(said), 40).concat()), whole);
        }
        assert!(told(&shape("Something else"), 40)[0].contains("not what I said"));
    }

    #[test]
    fn stamped_events_stay_json() {
        let plain = completion(&shape(true, false), 4, 0);
        let first = stamped(&events(&plain)[0], 42);
        let value: Value = serde_json::from_slice(&first[6..]).unwrap();
        assert_eq!(value[STAMP_KEY], 42);
        assert_eq!(stamped(&event("[DONE]"), 42), event("[DONE]"));
    }
}
