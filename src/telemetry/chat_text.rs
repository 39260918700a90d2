//! What of an OpenAI-family body is text that a model reads or writes, for [`super::count`].
//!
//! Not a validator and not the canonical model of a request: it reads bodies that were already served, takes the keys it
//! knows and passes over the rest. The idea: strings are collected piece by piece, because tokens do not merge across
//! messages, and what costs tokens without being text is added up as a number.
//!
//! ```json
//! {"messages":[{"role":"user","name":"…","content":"…"|[{"type":"text","text":"…"},{"type":"image_url",…}],
//!               "tool_calls":[{"function":{"name":"…","arguments":"…"}}]}],
//!  "tools":[…], "functions":[…], "prompt"|"input":"…"|["…"]|[1,2]|[[1,2]]}
//! {"choices":[{"index":0,"message"|"delta":{…},"text":"…"}]}
//! ```

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Tokens that frame one message, its role among them, and those that open the answer. OpenAI cookbook, "How to count
/// tokens with tiktoken".
pub(super) const PER_MESSAGE: u64 = 4;
const PER_NAME: u64 = 1;
pub(super) const PER_REPLY: u64 = 3;
/// A 1024 × 1024 image in high detail: 85 + 4 tiles of 170. OpenAI's vision guide; the true size is not in the body.
pub(super) const PER_IMAGE: u64 = 765;
/// Arrays nest two deep in what we read; anything deeper is not ours.
const MAX_DEPTH: u8 = 4;
/// Text kept for counting; of the rest only the length.
pub(super) const MAX_TEXT: usize = 1024 * 1024;
/// Pieces kept: a body of millions of tiny messages must not become millions of strings.
const MAX_PIECES: usize = 64 * 1024;
/// Tool definitions up to this size are written out again without white space before they are counted.
const MAX_TOOLS: usize = 256 * 1024;

/// Text to count, bounded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// The first [`MAX_TEXT`] bytes.
    pub pieces: Vec<String>,
    /// Bytes in `pieces`.
    pub kept: usize,
    /// Bytes that were not kept.
    pub skipped: usize,
}

impl Text {
    pub(super) fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut end = text.len().min(MAX_TEXT.saturating_sub(self.kept));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if self.pieces.len() >= MAX_PIECES {
            end = 0;
        }
        if let Some(head) = text.get(..end).filter(|head| !head.is_empty()) {
            self.pieces.push(head.to_owned());
        }
        self.kept += end;
        self.skipped += text.len() - end;
    }
}

/// A request: text to count, and tokens that are known without counting.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub text: Text,
    pub fixed: u64,
}

/// Text of an answer; reasoning apart, because it has a figure of its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub output: Text,
    pub reasoning: Text,
}

// Arrays stay raw and are walked one item at a time: `[{},{},…]` costs a client three bytes an item, and must not cost us
// a struct each.

#[derive(serde::Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, alias = "reasoning")]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
}

#[derive(serde::Deserialize)]
struct ToolCall<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(serde::Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<Cow<'a, str>>,
}

impl Function<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        [self.name.as_deref(), self.arguments.as_deref()].into_iter().flatten()
    }
}

#[derive(serde::Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(serde::Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

/// Calls `take` with every item of a JSON array, one at a time. False when it is no array or an item is not a `T`.
fn each<'a, T: Deserialize<'a>>(array: &'a RawValue, take: impl FnMut(T)) -> bool {
    struct Each<T, F>(F, PhantomData<T>);
    impl<'a, T: Deserialize<'a>, F: FnMut(T)> Visitor<'a> for Each<T, F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(array.get())
        .deserialize_seq(Each(take, PhantomData))
        .is_ok()
}

/// The text of a request body; `None` when it is not JSON of a shape we know.
pub(super) fn of_request(body: &[u8]) -> Option<Tally> {
    let request: Request<'_> = serde_json::from_slice(body).ok()?;
    let mut tally = Tally::default();
    if let Some(messages) = request.messages {
        tally.fixed += PER_REPLY;
        if !each(messages, |message: Message<'_>| tally.add_message(&message)) {
            return None;
        }
    }
    for raw in [request.prompt, request.input].into_iter().flatten() {
        tally.add(raw, MAX_DEPTH);
    }
    for raw in [request.tools, request.functions].into_iter().flatten() {
        // Without the client's indentation, which the model never sees.
        match serde_json::from_str::<serde_json::Value>(raw.get()) {
            Ok(value) if raw.get().len() <= MAX_TOOLS => tally.text.push(&value.to_string()),
            _ => tally.text.push(raw.get()),
        }
    }
    Some(tally)
}

impl Tally {
    fn add_message(&mut self, message: &Message<'_>) {
        self.fixed += PER_MESSAGE;
        if let Some(name) = &message.name {
            self.fixed += PER_NAME;
            self.text.push(name);
        }
        for raw in [message.content, message.refusal].into_iter().flatten() {
            self.add(raw, MAX_DEPTH);
        }
        if let Some(calls) = message.tool_calls {
            each(calls, |call: ToolCall<'_>| {
                let texts = call.function.iter().flat_map(Function::texts);
                texts.for_each(|text| self.text.push(text));
            });
        }
        let texts = message.function_call.iter().flat_map(Function::texts);
        texts.for_each(|text| self.text.push(text));
    }

    /// A string, a token id, a content part, or an array of these.
    fn add(&mut self, raw: &RawValue, depth: u8) {
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'"') => {
                if let Ok(text) = serde_json::from_str::<String>(json) {
                    self.text.push(&text);
                }
            }
            Some(b'0'..=b'9' | b'-') => self.fixed += 1,
            Some(b'[') if depth > 0 => {
                each(raw, |item: &RawValue| self.add(item, depth - 1));
            }
            Some(b'{') => {
                let Ok(part) = serde_json::from_str::<Part<'_>>(json) else {
                    return;
                };
                if let Some(text) = part.text {
                    self.text.push(&text);
                } else if part.kind.is_some_and(|kind| kind.contains("image")) {
                    self.fixed += PER_IMAGE;
                }
            }
            _ => {}
        }
    }
}

/// Where a fragment belongs: the choice, then the kind of text, then the tool call. Fragments of one slot are one text.
type Slot = (u32, Kind, u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Content,
    Reasoning,
    Tool,
}

/// Text of an answer under collection, from one body or from many events.
#[derive(Default)]
struct Collected(BTreeMap<Slot, String>);

impl Collected {
    fn add_reply(&mut self, json: &[u8]) -> bool {
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(json) else {
            return false;
        };
        reply.choices.is_none_or(|choices| {
            each(choices, |choice: Choice<'_>| {
                if let Some(text) = &choice.text {
                    self.push((choice.index, Kind::Content, 0), text);
                }
                for message in [&choice.message, &choice.delta].into_iter().flatten() {
                    self.add_message(choice.index, message);
                }
            })
        })
    }

    fn add_message(&mut self, index: u32, message: &Message<'_>) {
        for raw in [message.content, message.refusal].into_iter().flatten() {
            self.add_raw((index, Kind::Content, 0), raw);
        }
        if let Some(raw) = message.reasoning_content {
            self.add_raw((index, Kind::Reasoning, 0), raw);
        }
        if let Some(calls) = message.tool_calls {
            let mut position = 0;
            each(calls, |call: ToolCall<'_>| {
                if let Some(function) = &call.function {
                    let tool = call.index.unwrap_or(position);
                    self.add_function((index, Kind::Tool, tool), function);
                }
                position = position.saturating_add(1);
            });
        }
        if let Some(function) = &message.function_call {
            self.add_function((index, Kind::Tool, u32::MAX), function);
        }
    }

    fn add_function(&mut self, slot: Slot, function: &Function<'_>) {
        function.texts().for_each(|text| self.push(slot, text));
    }

    fn add_raw(&mut self, slot: Slot, raw: &RawValue) {
        let mut tally = Tally::default();
        tally.add(raw, MAX_DEPTH);
        for piece in &tally.text.pieces {
            self.push(slot, piece);
        }
    }

    fn push(&mut self, slot: Slot, text: &str) {
        if !text.is_empty() {
            self.0.entry(slot).or_default().push_str(text);
        }
    }

    fn finish(self) -> Answer {
        let mut answer = Answer::default();
        for ((_, kind, _), text) in self.0 {
            match kind {
                Kind::Reasoning => answer.reasoning.push(&text),
                Kind::Content | Kind::Tool => answer.output.push(&text),
            }
        }
        answer
    }
}

/// The text of a whole answer; `None` when it is not JSON of a shape we know.
pub(super) fn of_reply(body: &[u8]) -> Option<Answer> {
    let mut collected = Collected::default();
    collected.add_reply(body).then(|| collected.finish())
}

/// An answer whose text is at hand.
pub(super) fn of_plain(text: &str) -> Answer {
    let mut answer = Answer::default();
    answer.output.push(text);
    answer
}

/// The text of a stream, given as it arrived: server-sent events, cut anywhere.
pub(super) fn of_events(chunks: &[Bytes]) -> Answer {
    let stream = chunks.concat();
    let mut collected = Collected::default();
    for line in stream.split(|&byte| byte == b'\n' || byte == b'\r') {
        // Anything else, `[DONE]` included, is no reply and adds nothing.
        if let Some(data) = line.strip_prefix(b"data:") {
            collected.add_reply(data);
        }
    }
    collected.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn chat_request() {
        let body = br#"{"model":"m","temperature":1,"messages":[
            {"role":"system","content":"Be \"brief\"."},
            {"role":"user","name":"ann","content":[{"type":"text","text":"Look"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function",
                "function":{"name":"f","arguments":"{\"a\":1}"}}]},
            {"role":"tool","tool_call_id":"c","content":"42"}],
            "tools":[ {"type": "function"} ]}"#;
        let tally = of_request(body).unwrap();
        assert_eq!(
            tally.text.pieces,
            pieces(&[
                "Be \"brief\".",
                "ann",
                "Look",
                "f",
                "{\"a\":1}",
                "42",
                "[{\"type\":\"function\"}]"
            ])
        );
        assert_eq!(tally.fixed, 4 * PER_MESSAGE + PER_NAME + PER_REPLY + PER_IMAGE);
    }

    #[test]
    fn prompts_and_inputs_of_every_shape() {
        let cases: [(&[u8], &[&str], u64); 6] = [
            (br#"{"prompt":"a"}"#, &["a"], 0),
            (br#"{"prompt":["a","b"]}"#, &["a", "b"], 0),
            (br#"{"input":[1,2,3]}"#, &[], 3),
            (br#"{"input":[[1],[2,3]]}"#, &[], 3),
            (br#"{"input":[{"type":"text","text":"a"}]}"#, &["a"], 0),
            (br#"{"input":null}"#, &[], 0),
        ];
        for (body, texts, fixed) in cases {
            let tally = of_request(body).unwrap();
            assert_eq!((tally.text.pieces, tally.fixed), (pieces(texts), fixed));
        }
    }

    #[test]
    fn what_is_not_a_request_is_said_so() {
        for body in [&b""[..], b"[]", b"{", b"{\"messages\":3}", b"\xff"] {
            assert_eq!(of_request(body), None);
        }
        let deep = format!("{{\"input\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(of_request(deep.as_bytes()).unwrap().fixed, 0);
    }

    #[test]
    fn whole_replies() {
        let chat = of_reply(
            br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi","reasoning_content":"Hm",
                "tool_calls":[{"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"1"}}]}},
                {"index":1,"message":{"content":"Ho","refusal":"!"}}],"usage":null}"#,
        )
        .unwrap();
        assert_eq!(chat.output.pieces, pieces(&["Hi", "f{}", "g1", "Ho!"]));
        assert_eq!(chat.reasoning.pieces, pieces(&["Hm"]));
        let completion = of_reply(br#"{"choices":[{"index":0,"text":"abc"}]}"#).unwrap();
        assert_eq!(completion.output.pieces, pieces(&["abc"]));
        let embedding = of_reply(br#"{"data":[{"embedding":[0.1]}]}"#).unwrap();
        assert_eq!(embedding, Answer::default());
        assert_eq!(of_reply(b"<html>"), None);
    }

    #[test]
    fn what_is_kept_of_a_long_body_is_bounded_and_the_rest_is_measured() {
        let long = "é".repeat(MAX_TEXT);
        let tally = of_request(format!("{{\"prompt\":\"{long}\"}}").as_bytes()).unwrap();
        assert_eq!((tally.text.kept, tally.text.skipped), (MAX_TEXT, MAX_TEXT));
        let many = "\"ab\",".repeat(MAX_PIECES + 10);
        let tally = of_request(format!("{{\"prompt\":[{many}\"\"]}}").as_bytes()).unwrap();
        assert_eq!(tally.text.pieces.len(), MAX_PIECES);
        assert_eq!(tally.text.skipped, 20);
    }

    #[test]
    fn streams_read_the_same_wherever_they_are_cut() {
        let stream = b": hello\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
            data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\xc3\xbc\xc3\x9f\"}}]}\n\n\
            data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\" Gott\"}}]}\r\n\r\n\
            data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n\
            data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n\
            data: {\"choices\":[],\"usage\":null}\n\ndata: broken\n\ndata: [DONE]\n\n";
        for size in [1, 7, stream.len()] {
            let chunks: Vec<Bytes> = stream.chunks(size).map(Bytes::copy_from_slice).collect();
            let answer = of_events(&chunks);
            assert_eq!(answer.output.pieces, pieces(&["Grüß Gott", "f{}"]));
        }
    }
}
