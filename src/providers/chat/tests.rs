//! The recordings, there and back; our own cases for what they lack; and hostile input.
//!
//! Recordings are found beside the repository; without them those tests say so and pass.

mod operations;
mod requests;
mod streams;

use super::*;
use crate::providers::codec::{RawEvent, Sink};
use crate::wire::canonical::{Event, Fold};
use crate::wire::chat::Chat;
use crate::wire::client::{ClientDialect, Reply, ReplyWriter};
use crate::wire::sse::{SseReader, events};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use streams::{chunks, delta, finished};

/// One recorded exchange.
pub struct Recording {
    /// Folder and file.
    pub name: String,
    /// The request's body.
    pub request: Option<Value>,
    /// Its path.
    pub path: String,
    /// Of the answer.
    pub status: u64,
    /// The answer, if it is one body.
    pub body: Option<String>,
    /// The answer, if it is a stream.
    pub sse: Option<String>,
}

/// The recordings of these folders.
pub fn recordings(folders: &[&str]) -> Vec<Recording> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = ["../shared/transcripts", "../../shared/transcripts"];
    let Some(root) = found.iter().map(|at| own.join(at)).find(|root| root.is_dir()) else {
        eprintln!("no recordings beside the repository: skipped");
        return Vec::new();
    };
    let mut all = Vec::new();
    for folder in folders {
        let mut files: Vec<_> = std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let response = &value["response"];
            all.push(Recording {
                name: format!("{folder}/{}", file.file_stem().unwrap().to_string_lossy()),
                request: Some(value["request"]["body"].clone()).filter(|body| !body.is_null()),
                path: value["request"]["path"]
                    .as_str()
                    .unwrap_or("/chat/completions")
                    .to_owned(),
                status: response["status"].as_u64().unwrap(),
                body: response.get("body").map(Value::to_string),
                sse: response["sse"].as_str().map(str::to_owned),
            });
        }
    }
    all
}

const FOLDERS: &[&str] = &[
    "openai-chat",
    "azure-openai",
    "deepseek",
    "groq",
    "huggingface",
    "mistral",
    "openrouter",
    "xai",
];

fn chats() -> Vec<Recording> {
    let mut all = recordings(FOLDERS);
    all.retain(|one| one.path.contains("chat/completions"));
    all
}

/// A stream through the event reader in pieces of this size, into the events' canonical whole.
pub fn fold(codec: &dyn Codec, sse: &[u8], size: usize, expect: Expect) -> Result<Fold, Undecodable> {
    let mut fold = Fold::new();
    each(codec, sse, size, expect, &mut |event| fold.event(&event))?;
    assert_eq!(fold.disorder, None);
    Ok(fold)
}

fn each(codec: &dyn Codec, sse: &[u8], size: usize, expect: Expect, sink: &mut Sink<'_>) -> Result<(), Undecodable> {
    let mut decoder = codec.decoder(expect);
    let mut reader = SseReader::new(1 << 20);
    let mut read = |batch: &[u8], sink: &mut Sink<'_>| {
        for event in events(batch) {
            if let Some(data) = event.data {
                let raw = RawEvent {
                    name: "",
                    exception: false,
                    data: &data,
                    max_depth: 64,
                };
                decoder.event(raw, sink)?;
            }
        }
        Ok::<_, Undecodable>(())
    };
    for piece in sse.chunks(size.max(1)) {
        reader.space().extend_from_slice(piece);
        let batch = reader.take().map_err(|error| Undecodable(error.to_string()))?;
        read(&batch, sink)?;
    }
    read(&reader.take_rest(), sink)?;
    decoder.finish(sink)
}

/// What must come back the same: all but whose answer it is.
fn essence(response: &Response<'_>) -> String {
    let Response {
        candidates,
        usage,
        service_tier,
        fingerprint,
        ..
    } = response;
    // Groq's word for the default tier.
    let service_tier = service_tier.as_deref().map(|tier| tier.replace("on_demand", "default"));
    format!("{candidates:?} {usage:?} {service_tier:?} {fingerprint:?}")
}

fn reply() -> Reply {
    Reply {
        id: "abc123".into(),
        created: 1_700_000_000,
        model: "public".into(),
        json_array: false,
    }
}

fn writer() -> Box<dyn ReplyWriter> {
    let request = Request {
        stream_usage: true,
        ..Request::default()
    };
    Chat.writer(&request, reply())
}

#[test]
fn whole_recordings_decode_and_come_back_from_the_client_side() {
    for one in chats().iter().filter(|one| one.status == 200) {
        let Some(body) = &one.body else { continue };
        let node = Node::parse(body.as_bytes(), 64).unwrap();
        let expect = Expect::default();
        let response = PLAIN_CODEC
            .decode(&node, &expect)
            .unwrap_or_else(|error| panic!("{}: {error}", one.name));
        assert!(
            !response.candidates.is_empty() && response.usage.is_some(),
            "{}",
            one.name
        );
        assert!(!response.id.is_empty() && !response.model.is_empty(), "{}", one.name);
        assert!(response.candidates.iter().all(|c| c.finish.is_some()), "{}", one.name);
        let mut out = Vec::new();
        writer().whole(&response, &mut out);
        let again = Node::parse(&out, 64).unwrap();
        let back = PLAIN_CODEC.decode(&again, &expect).unwrap();
        assert_eq!(essence(&back), essence(&response), "{}", one.name);
        assert_eq!((back.id.as_ref(), back.model.as_ref()), ("chatcmpl-abc123", "public"));
    }
}

const PLAIN_CODEC: ChatCodec = ChatCodec { quirks: &quirks::PLAIN };

#[test]
fn streamed_recordings_decode_at_every_split_and_come_back_from_the_client_side() {
    for one in chats().iter().filter(|one| one.status == 200) {
        let Some(sse) = &one.sse else { continue };
        let whole = fold(&PLAIN_CODEC, sse.as_bytes(), usize::MAX, Expect::default())
            .unwrap_or_else(|error| panic!("{}: {error}", one.name));
        assert!(whole.ended() && whole.error.is_none(), "{}", one.name);
        assert!(whole.response().usage.is_some(), "{}", one.name);
        for size in [1, 7] {
            let again = fold(&PLAIN_CODEC, sse.as_bytes(), size, Expect::default()).unwrap();
            assert_eq!(again.response(), whole.response(), "{} in pieces of {size}", one.name);
        }
        let mut streaming = writer();
        let mut out = Vec::new();
        let mut sink = |event: Event<'_>| streaming.event(&event, &mut out);
        each(&PLAIN_CODEC, sse.as_bytes(), usize::MAX, Expect::default(), &mut sink).unwrap();
        let back =
            fold(&PLAIN_CODEC, &out, 11, Expect::default()).unwrap_or_else(|error| panic!("{}: {error}", one.name));
        assert_eq!(essence(back.response()), essence(whole.response()), "{}", one.name);
        // The same answer written whole says the same.
        let mut out = Vec::new();
        writer().whole(whole.response(), &mut out);
        let node = Node::parse(&out, 64).unwrap();
        let expect = Expect::default();
        let back = PLAIN_CODEC.decode(&node, &expect).unwrap();
        assert_eq!(back.candidates.len(), whole.response().candidates.len(), "{}", one.name);
        assert_eq!(back.usage, whole.response().usage, "{}", one.name);
    }
}

/// What need not be the same: nulls, a text as a string or as one part, `stop` as one or several, the name of the output cap,
/// `strict: false`, empty assistant messages and contents, the number of a call, `1` as `1.0`; and `stream_options`, which Mistral
/// does not document.
fn alike(body: &mut Value) {
    let object = body.as_object_mut().unwrap();
    if let Some(most) = object.remove("max_completion_tokens") {
        object.insert("max_tokens".into(), most);
    }
    if let Some(Value::String(stop)) = object.get("stop").cloned() {
        object.insert("stop".into(), json!([stop]));
    }
    if object.get("stream") == Some(&json!(false)) {
        object.remove("stream");
    }
    let messages = object.get_mut("messages").and_then(Value::as_array_mut).unwrap();
    for message in messages.iter_mut() {
        let message = message.as_object_mut().unwrap();
        message.retain(|_, value| !value.is_null() && *value != json!([]));
        if message["role"] == "assistant" && message.get("content") == Some(&json!("")) {
            message.remove("content");
        }
        for call in message
            .get_mut("tool_calls")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            call.as_object_mut().unwrap().remove("index");
        }
        if let Some([one]) = message.get("content").and_then(Value::as_array).map(Vec::as_slice)
            && one["type"] == "text"
        {
            let text = one["text"].clone();
            message.insert("content".into(), text);
        }
    }
    messages.retain(|message| {
        message["role"] != "assistant" || message.as_object().unwrap().iter().any(|(k, v)| k != "role" && v != "")
    });
    for tool in object
        .get_mut("tools")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let function = tool["function"].as_object_mut().unwrap();
        if function.get("strict") == Some(&json!(false)) {
            function.remove("strict");
        }
    }
    object.retain(|_, value| !value.is_null());
    for value in object.values_mut() {
        if let Some(number) = value.as_f64() {
            *value = json!(number);
        }
    }
}

/// Read by the client side, made by the codec, compared.
pub fn there_and_back(one: &Recording, codec: &dyn Codec) {
    let Some(mut request) = one.request.clone() else { return };
    let text = request.to_string();
    let node = Node::parse(text.as_bytes(), 64).unwrap();
    let stream = request["stream"] == json!(true);
    let read = Chat
        .read(&node, stream)
        .unwrap_or_else(|error| panic!("{}: {error}", one.name));
    let model = request["model"].as_str().unwrap();
    let aim = Aim {
        model,
        stream_usage: read.stream_usage,
    };
    let encoding = codec.encode(&read, aim).unwrap();
    let mut made: Value = serde_json::from_slice(&encoding.body).unwrap();
    assert_eq!(encoding.dropped.names(), [""; 0], "{}", one.name);
    alike(&mut request);
    alike(&mut made);
    if one.name.starts_with("mistral/") {
        request.as_object_mut().unwrap().remove("stream_options");
    }
    assert_eq!(made, request, "{}", one.name);
}

#[test]
fn recorded_requests_come_back_the_same() {
    let mut count = 0;
    for one in chats()
        .iter()
        .filter(|one| one.status == 200 && !one.name.starts_with("mistral/"))
    {
        let vendor = match one.name.split('/').next().unwrap() {
            "openai-chat" => "openai",
            "azure-openai" => "azure",
            other => other,
        };
        there_and_back(one, &ChatCodec::for_vendor(vendor));
        count += 1;
    }
    eprintln!("{count} requests");
}

fn samples() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = chats()
        .into_iter()
        .filter_map(|one| one.body.or(one.sse))
        .map(String::into_bytes)
        .collect();
    all.push(chunks(&[delta(json!({"content":"x"})), finished("stop")]));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_answers_never_panic(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        static SAMPLES: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(samples);
        let mut bytes = SAMPLES[pick.index(SAMPLES.len())].clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(node) = Node::parse(&bytes, 64) {
            let _ = PLAIN_CODEC.decode(&node, &Expect::default()).map(|_| ());
            let _ = PLAIN_CODEC.decode_embed(&node).map(|_| ());
        }
        let _ = fold(&PLAIN_CODEC, &bytes, 64, Expect::default());
    }

    #[test]
    fn mistyped_answers_never_panic_and_keep_the_order(which in 0..12usize, value in 0..7usize) {
        let values = [json!(null), json!(true), json!(-1.5), json!("x"), json!([]), json!({}), json!([{"a":[1]}])];
        let keys = ["content", "reasoning_content", "reasoning_details", "tool_calls", "function_call", "refusal", "audio",
            "images", "annotations", "reasoning", "role", "x"];
        let mut odd = serde_json::Map::new();
        odd.insert(keys[which].to_owned(), values[value].clone());
        let lines = chunks(&[delta(Value::Object(odd.clone())), delta(json!({"content":"a"})), finished("stop")]);
        let _ = fold(&PLAIN_CODEC, &lines, 64, Expect::default());
        let whole = json!({"choices":[{"message":odd,"logprobs":values[value],"finish_reason":values[value]}]}).to_string();
        let node = Node::parse(whole.as_bytes(), 64).unwrap();
        let _ = PLAIN_CODEC.decode(&node, &Expect::default()).map(|_| ());
    }
}
