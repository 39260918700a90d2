//! The walk of a kept answer: what a client was sent is read back, kept, and served to clients of every dialect, whole and as a
//! stream; each of them must see what it would have seen of the live answer. What a dialect cannot carry is `speakers`'.

use super::answers::{Problems, compare, expect, fails};
use super::exchange::{Answer as Recorded, Exchange, exchanges, own, recordings};
use super::meaning::{self, forget};
use super::speakers::{Client, Spoken, clients, spoken};
use super::stream::{Cut, DEPTH, cut, decode, own as event_of_its_own};
use super::translate::OWN;
use bytes::Bytes;
use cirque::cache::ask::{Asked, Skip, Terms, ask};
use cirque::cache::{Policy, form};
use cirque::gateway::cached::{Replay, Sent, read, replay};
use cirque::wire::canonical::{Event, Finish, Response};
use cirque::wire::json::Node;
use cirque::wire::{Call, Dialect, Given, Operation, Reading};
use serde_json::{Value, json};
use std::path::Path;

const NOW: u64 = 1_700_000_000_000;

#[derive(Debug, Default)]
struct Tally {
    answers: usize,
    replays: usize,
    pieces: usize,
}

/// A call of a client of this dialect, that wants usage on its stream.
fn call(client: &Client, stream: bool, json_array: bool) -> Call {
    let turn = json!([{"role": "user", "content": "Why is the sky blue?"}]);
    let (operation, dialect, body) = match client.name {
        "chat" => (
            Operation::Chat,
            Dialect::OpenAi,
            json!({"model": "asked-for", "messages": turn}),
        ),
        "completions" => (
            Operation::Completions,
            Dialect::OpenAi,
            json!({"model": "asked-for", "prompt": "q"}),
        ),
        "messages" => (
            Operation::Chat,
            Dialect::Anthropic,
            json!({"model": "asked-for", "max_tokens": 9, "messages": turn}),
        ),
        "responses" => (
            Operation::Chat,
            Dialect::Responses,
            json!({"model": "asked-for", "input": "q"}),
        ),
        _ => (
            Operation::Chat,
            Dialect::Gemini,
            json!({"contents": [{"parts": [{"text": "q"}]}]}),
        ),
    };
    if dialect == Dialect::Gemini {
        let given = Given {
            model: "asked-for".to_owned(),
            stream,
            json_array,
        };
        let reading = Reading::given(operation, dialect, given, DEPTH);
        return reading.finish(body.to_string().into()).unwrap();
    }
    let mut body = body;
    body["stream"] = stream.into();
    if stream && dialect == Dialect::OpenAi {
        body["stream_options"] = json!({"include_usage": true});
    }
    Call::read_as(operation, dialect, body.to_string().into(), DEPTH).unwrap()
}

fn asked(call: &Call) -> Asked {
    let policy = Policy::default();
    let terms = Terms {
        policy: &policy,
        owner: "",
        model: "asked-for",
        target: None,
        also: None,
        max_depth: DEPTH,
        now_ms: NOW,
    };
    ask(call, &terms).unwrap()
}

fn walk(folder: &Path, tally: &mut Tally, problems: &mut Problems) {
    let clients = clients();
    let only = std::env::var("CIRQUE_CASE").unwrap_or_default();
    for exchange in exchanges(folder)
        .iter()
        .filter(|exchange| exchange.name.contains(&only))
    {
        let path = exchange.request.as_ref().map(|(path, _)| path.as_str());
        let Some(spoken) = spoken(&exchange.name, path) else {
            continue;
        };
        if exchange.status != 200 || exchange.covers.iter().any(|tag| tag == "media-in-pieces") {
            continue;
        }
        live(exchange, &spoken, &clients, tally, problems);
    }
}

/// The answer as each client is sent it by a live call, kept from there.
fn live(exchange: &Exchange, spoken: &Spoken, clients: &[Client], tally: &mut Tally, problems: &mut Problems) {
    let expect = expect(exchange);
    let cuts = match &exchange.answer {
        Recorded::Json(Value::Array(items)) => items
            .iter()
            .map(|item| Cut {
                name: String::new(),
                exception: false,
                data: item.to_string().into_bytes(),
            })
            .collect(),
        Recorded::Json(body) => {
            let text = body.to_string();
            let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
            let Ok(response) = spoken.codec.decode(&node, &expect) else {
                return;
            };
            for client in clients {
                let call = call(client, false, false);
                let mut out = Vec::new();
                asked(&call).reply.unwrap().whole(&response, &mut out);
                let place = format!("{} whole for {}", exchange.name, client.name);
                let kept = read(&call, Sent::Whole(&out), DEPTH);
                keep(&place, client, &response, kept, clients, tally, problems);
            }
            return;
        }
        Recorded::Events(sse) => cut(spoken.codec.framing(), spoken.framed, &[sse.as_bytes()]).unwrap(),
        Recorded::Frames(bytes) => cut(spoken.codec.framing(), spoken.framed, &[bytes]).unwrap(),
    };
    let decoded = decode(spoken.codec.as_ref(), expect, &cuts);
    let complete = decoded.fold.ended() && decoded.fold.error.is_none() && decoded.broken.is_none();
    for client in clients {
        for json_array in [false, true] {
            if json_array && client.name != "gemini" {
                continue;
            }
            let call = call(client, true, json_array);
            let mut writer = asked(&call).reply.unwrap();
            let mut chunks = Vec::new();
            for event in decoded.steps.iter().flatten().map(event_of_its_own) {
                let mut out = Vec::new();
                if !matches!(event, Event::Error { .. }) {
                    writer.event(&event, &mut out);
                }
                chunks.push(Bytes::from(out));
            }
            let place = format!("{} streamed for {}", exchange.name, client.name);
            let kept = read(&call, Sent::Stream(&chunks), DEPTH);
            if complete {
                keep(&place, client, decoded.fold.response(), kept, clients, tally, problems);
            } else if kept.is_ok() {
                problems.push(&place, "a broken stream was kept");
            }
            // Cut short by one event that a client would see, it is none.
            let last = chunks.iter().rposition(|chunk| !chunk.is_empty()).unwrap_or(0);
            if complete && read(&call, Sent::Stream(&chunks[..last]), DEPTH).is_ok() {
                problems.push(&place, "a stream without its end was kept");
            }
        }
    }
}

fn keep(
    place: &str,
    client: &Client,
    original: &Response<'_>,
    kept: Result<Response<'static>, Skip>,
    clients: &[Client],
    tally: &mut Tally,
    problems: &mut Problems,
) {
    let meant = meaning::answer(original);
    let kept = match kept {
        Ok(kept) => kept,
        Err(_) if fails(client, &meant) => return,
        Err(_) if client.name == "completions" && (original.candidates.len() > 1 || has_logprobs(original)) => return,
        Err(skip) => return problems.push(place, format!("was not read: {}", skip.as_str())),
    };
    tally.answers += 1;
    let answer = form::pack(&kept, 200);
    let plain = form::plain(&answer).unwrap();
    if form::unpack(&plain).as_ref() != Ok(&kept) {
        problems.push(place, "another answer is kept than was read");
    }
    // Never kept: `form::storable` wants an end that has a name.
    let ended = |finish: &Option<Finish<'_>>| !matches!(finish, None | Some(Finish::Other(_)));
    if !kept.candidates.iter().all(|candidate| ended(&candidate.finish)) {
        return;
    }
    let meant = meaning::answer(&kept);
    for other in clients {
        // Gemini cites by places in the answer's text, which those clients are not told and so are not kept.
        let placeless = client.forgets.contains(&"span") && other.name == "gemini";
        let lost: &[&str] = if placeless { &["citations"] } else { &[] };
        for (stream, json_array) in [(false, false), (true, false), (true, true)] {
            if json_array && other.name != "gemini" {
                continue;
            }
            let call = call(other, stream, json_array);
            let sent = replay(&call, asked(&call).reply, &answer, NOW, DEPTH).unwrap();
            let place = format!(
                "{place}, replayed for {} (stream: {stream}, array: {json_array})",
                other.name
            );
            tally.replays += 1;
            let mut meant = meant.clone();
            forget(&mut meant, lost);
            seen(&place, other, &call, (&meant, lost), &sent, tally, problems);
        }
    }
}

fn has_logprobs(response: &Response<'_>) -> bool {
    response
        .candidates
        .iter()
        .any(|candidate| !candidate.logprobs.is_empty())
}

fn seen(
    place: &str,
    client: &Client,
    call: &Call,
    (meant, lost): (&Value, &[&str]),
    sent: &Replay,
    tally: &mut Tally,
    problems: &mut Problems,
) {
    let (read, text) = match sent {
        Replay::Whole(body) => (read(call, Sent::Whole(body), DEPTH), String::from_utf8(body.to_vec())),
        Replay::Stream(pieces) => {
            let pieces = pieces.each();
            tally.pieces += pieces.len();
            let whole = meant["candidates"][0]["text"].as_str().unwrap_or_default();
            if whole.split_whitespace().count() > 5 && pieces.len() < 5 {
                problems.push(place, format!("{} pieces", pieces.len()));
            }
            let alone = |piece: &Bytes| call.json_array || piece.ends_with(b"\n\n") || piece.ends_with(b"\r\n\r\n");
            if !pieces.iter().all(alone) {
                problems.push(place, "a piece is not whole events");
            }
            (
                read(call, Sent::Stream(&pieces), DEPTH),
                String::from_utf8(pieces.concat()),
            )
        }
    };
    let text = text.unwrap();
    if !text.contains("asked-for") {
        problems.push(place, "does not name the model that was asked");
    }
    // Of legacy completions one is read, and nothing of how likely its tokens were.
    let richer =
        meant["candidates"].as_array().is_some_and(|all| all.len() != 1) || text.contains("\"token_logprobs\"");
    if client.name == "completions" && richer {
        return;
    }
    let again = match read {
        Ok(again) => again,
        Err(_) if fails(client, meant) => return,
        Err(skip) => return problems.push(place, format!("does not read back: {} {text}", skip.as_str())),
    };
    if client.back.is_none() {
        return;
    }
    let (mut meant, mut got) = (meant.clone(), meaning::answer(&again));
    for one in [&mut meant, &mut got] {
        forget(one, lost);
        forget(one, client.not_late);
        // Of a sound, which chat names in the request only.
        forget(one, if client.name == "chat" { &["media_type"] } else { &[] });
    }
    compare(place, client, &meant, &got, problems);
}

#[test]
fn own_answers_are_kept_and_replayed() {
    let (mut tally, mut problems) = (Tally::default(), Problems::default());
    for folder in OWN {
        walk(&own(folder), &mut tally, &mut problems);
    }
    assert!(tally.answers > 150 && tally.replays > 1_000, "{tally:?}");
    problems.report(&tally);
}

#[test]
fn recorded_answers_are_kept_and_replayed() {
    let Some(folder) = recordings() else { return };
    let (mut tally, mut problems) = (Tally::default(), Problems::default());
    for (name, _) in super::FOLDERS {
        walk(&folder.join(name), &mut tally, &mut problems);
    }
    assert!(tally.answers > 300 && tally.replays > 3_000, "{tally:?}");
    problems.report(&tally);
}
