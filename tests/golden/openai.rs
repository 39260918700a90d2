//! The walk of an exchange in OpenAI's dialect (see `../golden.rs`).

use super::{Answer, Exchange};
use bytes::Bytes;
use cirque::gateway::live::{Broken, LiveStream, Source};
use cirque::providers::native::{self, EncodeOptions, Encoded, Native};
use cirque::providers::openai::OpenAi;
use cirque::providers::{Blame, Provider};
use cirque::units::Usage;
use cirque::wire::{Call, Dialect, Endpoint, Operation, errors, usage};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const DEPTH: usize = 64;
const MAX_EVENT: usize = 8 << 20;
/// A name that needs escaping in JSON.
const RENAMED: &str = "up/str\"eam-é\n";

/// What was walked.
#[derive(Debug, Default)]
pub struct Tally {
    pub requests: usize,
    pub documents: usize,
    pub streams: usize,
    /// Of another API (`/responses`).
    pub other: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.documents += other.documents;
        self.streams += other.streams;
        self.other += other.other;
    }
}

pub fn walk(exchange: &Exchange, tally: &mut Tally) {
    if let Some((path, body)) = &exchange.request {
        let Some(operation) = operation(path) else {
            tally.other += 1;
            return;
        };
        request(&exchange.name, operation, body);
        tally.requests += 1;
    }
    match &exchange.answer {
        Answer::Json(body) if exchange.status == 200 => {
            document(&exchange.name, body);
            tally.documents += 1;
        }
        Answer::Json(body) => {
            refusal(exchange, body);
            tally.documents += 1;
        }
        Answer::Events(sse) => {
            stream(&exchange.name, sse);
            tally.streams += 1;
        }
        Answer::Frames(_) => panic!("{}: neither JSON nor events", exchange.name),
    }
}

/// By the path's end: vendors differ in what comes before it.
fn operation(path: &str) -> Option<Operation> {
    let tails = ["/chat/completions", "/completions", "/embeddings", "/moderations"];
    let tail = tails.iter().find(|tail| path.ends_with(**tail))?;
    Endpoint::find(&format!("/v1{tail}")).map(|endpoint| endpoint.operation)
}

// Requests

fn encode(call: &Call, model: &str, stream_usage: bool) -> (Bytes, bool) {
    let Encoded { body, withhold_usage } = native::encode(Native::OpenAi, call, EncodeOptions { model, stream_usage });
    assert_eq!(body.len(), body.concat().len());
    (body.concat(), withhold_usage)
}

fn request(name: &str, operation: Operation, body: &Value) {
    let compact = serde_json::to_string(body).unwrap();
    let spellings = [
        format!(
            " \r\n{{\t\"zz\" : 1.50e+1 ,\"y\\u0041\\/\":\"\\u00e9\",{}",
            compact.strip_prefix('{').unwrap()
        ),
        serde_json::to_string_pretty(body).unwrap(),
        compact,
    ];
    for text in spellings {
        let sent: Value = serde_json::from_str(&text).unwrap();
        let call = Call::read(operation, Bytes::from(text.clone()), DEPTH).unwrap();
        let model = body["model"].as_str().unwrap();
        let streams = body["stream"] == true && operation.streams();
        let asked = body["stream_options"]["include_usage"] == true;
        assert_eq!(
            (call.envelope.model.as_str(), call.streamed()),
            (model, streams),
            "{name}"
        );
        assert_eq!(call.envelope.include_usage, asked, "{name}");

        assert_eq!(
            encode(&call, model, false),
            (Bytes::from(text.clone()), false),
            "{name}"
        );
        let at = call.envelope.model_at.clone();
        let renamed = [
            &text[..at.start],
            &serde_json::to_string(RENAMED).unwrap(),
            &text[at.end..],
        ]
        .concat();
        assert_eq!(encode(&call, RENAMED, false), (Bytes::from(renamed), false), "{name}");

        let (out, withhold) = encode(&call, RENAMED, true);
        let mut wanted = sent;
        wanted["model"] = json!(RENAMED);
        if streams && !asked {
            if !wanted["stream_options"].is_object() {
                wanted["stream_options"] = json!({});
            }
            wanted["stream_options"]["include_usage"] = json!(true);
        }
        assert_eq!(withhold, streams && !asked, "{name}");
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), wanted, "{name}");
        let again = Call::read(operation, out, DEPTH).unwrap();
        assert_eq!(again.envelope.include_usage, streams || asked, "{name}");
    }
}

// Documents

/// What a document says of usage, as serde_json sees it.
fn usage_of(document: &Value) -> Option<Usage> {
    let found = [&document["usage"], &document["x_groq"]["usage"]]
        .into_iter()
        .find(|usage| usage.is_object())?;
    let figure = |pointer: &str| found.pointer(pointer).and_then(Value::as_u64);
    let input = figure("/prompt_tokens").or(figure("/total_tokens"))?;
    let mut output = figure("/completion_tokens").unwrap_or(0);
    // xAI counts reasoning beside the completion.
    let beside = figure("/completion_tokens_details/reasoning_tokens").unwrap_or(0);
    if beside > 0 && figure("/total_tokens") == Some(input + output + beside) {
        output += beside;
    }
    Some(Usage {
        input,
        output,
        cached: figure("/prompt_tokens_details/cached_tokens")
            .or(figure("/prompt_cache_hit_tokens"))
            .or(figure("/cached_tokens"))
            .unwrap_or(0),
        cache_write: figure("/prompt_tokens_details/cache_write_tokens").unwrap_or(0),
        cache_write_1h: 0,
        reasoning: figure("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
        audio_input: figure("/prompt_tokens_details/audio_tokens").unwrap_or(0),
        audio_output: figure("/completion_tokens_details/audio_tokens").unwrap_or(0),
        // No recording has searches that are counted, or another tier than the usual.
        ..Usage::default()
    })
}

fn finishes(document: &Value) -> bool {
    let choices = document["choices"].as_array();
    choices.is_some_and(|choices| choices.iter().any(|choice| choice["finish_reason"].is_string()))
}

fn is_error(document: &Value) -> bool {
    document["error"].is_object() || document["error"].is_string()
}

fn document(name: &str, body: &Value) {
    for text in [body.to_string(), serde_json::to_string_pretty(body).unwrap()] {
        let facts = usage::read(text.as_bytes(), DEPTH).unwrap();
        assert_eq!(facts.usage, usage_of(body), "{name}");
        assert_eq!(
            (facts.finished, facts.error),
            (finishes(body), is_error(body)),
            "{name}"
        );
    }
}

fn refusal(exchange: &Exchange, body: &Value) {
    let mut headers = HeaderMap::new();
    for (key, value) in exchange.headers.as_object().unwrap() {
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        headers.append(HeaderName::from_bytes(key.as_bytes()).unwrap(), value);
    }
    let text = body.to_string();
    let status = StatusCode::from_u16(exchange.status).unwrap();
    let verdict = OpenAi::default().classify(status, &headers, text.as_bytes(), SystemTime::UNIX_EPOCH);
    let wanted = match exchange.status {
        401..=403 => Blame::Credential,
        429 if body["error"]["code"] == "insufficient_quota" => Blame::Credential,
        429 => Blame::RateLimit,
        500.. => Blame::Server,
        _ => Blame::Client,
    };
    assert_eq!(verdict.blame, wanted, "{}", exchange.name);
    let seconds = exchange.headers["retry-after"]
        .as_str()
        .and_then(|text| text.parse().ok());
    if let Some(seconds) = seconds {
        assert_eq!(
            verdict.retry_after,
            Some(Duration::from_secs(seconds)),
            "{}",
            exchange.name
        );
    }
    let presentable = body["error"]["message"]
        .as_str()
        .is_some_and(|message| !message.is_empty());
    assert_eq!(
        errors::is_presentable(Dialect::OpenAi, text.as_bytes()),
        presentable,
        "{}",
        exchange.name
    );
    if !presentable {
        assert!(errors::foreign_message(text.as_bytes()).is_some(), "{}", exchange.name);
    }
}

// Streams

/// One recorded event, found without the code under test: its text and its data.
struct Recorded<'a> {
    raw: &'a str,
    data: Option<String>,
}

fn split(sse: &str) -> Vec<Recorded<'_>> {
    let mut events = Vec::new();
    let (mut start, mut at, mut data): (usize, usize, Option<String>) = (0, 0, None);
    while at < sse.len() {
        let rest = &sse[at..];
        let length = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let end = match &rest[length..] {
            more if more.starts_with("\r\n") => 2,
            more => more.len().min(1),
        };
        let line = &rest[..length];
        at += length + end;
        if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            data = Some(data.map_or(value.to_owned(), |before| before + "\n" + value));
        }
        if line.is_empty() {
            let raw = &sse[start..at];
            events.push(Recorded { raw, data: data.take() });
            start = at;
        }
    }
    assert_eq!(start, sse.len(), "a recording that ends inside an event");
    events
}

/// What must come of a stream.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    forwarded: String,
    usage: Option<Usage>,
    done: bool,
    broken: Option<&'static str>,
}

fn wanted(events: &[Recorded<'_>], withhold: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut finished = false;
    for event in events {
        let mut keep = true;
        if let Some(data) = &event.data {
            if data == "[DONE]" {
                outcome.done = true;
            } else {
                let Ok(document) = serde_json::from_str::<Value>(data) else {
                    outcome.broken = Some("garbage");
                    return outcome;
                };
                if is_error(&document) {
                    outcome.broken = Some("reported");
                    return outcome;
                }
                finished |= finishes(&document);
                let usage = usage_of(&document);
                keep = !(withhold && usage.is_some() && document["choices"] == json!([]));
                outcome.usage = usage.or(outcome.usage);
            }
        }
        if keep {
            outcome.forwarded += event.raw;
        }
        if outcome.done {
            return outcome;
        }
    }
    if !finished {
        outcome.broken = Some("unfinished");
    }
    outcome
}

/// Feed pieces as the relay does: until something ends it.
fn got(pieces: &[&[u8]], withhold: bool) -> Outcome {
    let events = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let pace = Duration::ZERO;
    let mut live = LiveStream::new(Source::Paced { events, pace }, MAX_EVENT, DEPTH, withhold);
    let mut forwarded = Vec::new();
    while !live.ended && live.broken.is_none() && !live.is_done() {
        live.fill()
            .now_or_never()
            .expect("a source without a pace waits for nothing");
        forwarded.extend_from_slice(&live.take());
    }
    Outcome {
        forwarded: String::from_utf8(forwarded).unwrap(),
        usage: live.usage,
        done: live.is_done(),
        broken: live.broken.map(|broken| match broken {
            Broken::Reported(_) | Broken::Said(_) => "reported",
            Broken::Garbage(_) => "garbage",
            Broken::Connection(_) => "connection",
            Broken::NoContinuation(_) => "no continuation",
            Broken::Unfinished => "unfinished",
        }),
    }
}

/// The pieces of every way to feed: whole, byte by byte, by seven, and at seeded random places.
fn ways(sse: &[u8], seed: u64) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![sse], sse.chunks(1).collect(), sse.chunks(7).collect()];
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..4 {
        let mut pieces = Vec::new();
        let mut rest = sse;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(dice.usize(1..=rest.len().min(900)));
            pieces.push(piece);
            rest = more;
        }
        ways.push(pieces);
    }
    ways
}

/// A `\r\n` that arrives in two reads may leave its `\n` behind when the event is withheld or the last: an empty line,
/// which means nothing.
fn comparable(mut outcome: Outcome) -> Outcome {
    if outcome.forwarded.contains('\r') {
        outcome.forwarded = outcome
            .forwarded
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .trim_end()
            .replace("\n\n\n", "\n\n");
    }
    outcome
}

fn stream(name: &str, sse: &str) {
    let events = split(sse);
    let seed = name
        .bytes()
        .fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte));
    for withhold in [false, true] {
        let complete = comparable(wanted(&events, withhold));
        for (way, pieces) in ways(sse.as_bytes(), seed).iter().enumerate() {
            assert_eq!(
                comparable(got(pieces, withhold)),
                complete,
                "{name}, way {way}, withhold {withhold}"
            );
        }
    }
    // Cut off after each event: an end without an ending is a break, and what was complete is forwarded.
    for count in 1..events.len() {
        let cut: usize = events[..count].iter().map(|event| event.raw.len()).sum();
        let outcome = wanted(&events[..count], false);
        assert_eq!(
            got(&[&sse.as_bytes()[..cut]], false),
            outcome,
            "{name}, cut after event {count}"
        );
        // Cut inside the next one: no piece of it is forwarded.
        let piece = events[count].raw.trim_end();
        let inside = (1..piece.len())
            .rev()
            .find(|at| *at <= piece.len() / 2 && piece.is_char_boundary(*at));
        if let Some(inside) = inside {
            let torn = got(&[&sse.as_bytes()[..cut + inside]], false);
            assert_eq!(torn, outcome, "{name}, cut inside event {}", count + 1);
        }
    }
}
