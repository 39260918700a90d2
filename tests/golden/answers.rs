//! The walk of an answer: decoded, written in every client dialect, read back; streams at every split, cut off and damaged.

use super::damage;
use super::echo;
use super::exchange::{Answer, Exchange, ways};
use super::fidelity::Table;
use super::meaning::{self, difference, forget};
use super::speakers::{Client, Spoken};
use super::stream::{Cut, DEPTH, Decoded, asked, cut, decode, reply, write, writer};
use cirque::error::{ErrorKind, GatewayError};
use cirque::providers::codec::{Expect, Framing};
use cirque::wire::canonical::{Delta, Event, Response};
use cirque::wire::json::Node;
use serde_json::{Value, json};

/// What goes wrong, by case: all of it is shown at once.
#[derive(Default)]
pub struct Problems(pub Vec<String>);

impl Problems {
    pub fn push(&mut self, name: &str, what: impl AsRef<str>) {
        self.0.push(format!("{name}: {}", what.as_ref()));
    }
}

/// What was walked.
#[derive(Debug, Default)]
pub struct Tally {
    pub requests: usize,
    pub answers: usize,
    pub streams: usize,
    pub refusals: usize,
    /// Vectors, orders, counts.
    pub aux: usize,
    /// Of APIs that are not spoken (Cohere v1 chat, moderations).
    pub skipped: Vec<String>,
}

/// What to know for reading an answer: the model asked for.
pub fn expect(exchange: &Exchange) -> Expect {
    let model = exchange.request.as_ref().and_then(|(_, body)| body["model"].as_str());
    Expect {
        model: model.unwrap_or("m").into(),
        ..Expect::default()
    }
}

pub fn walk(
    exchange: &Exchange,
    spoken: &Spoken,
    clients: &[Client],
    table: &mut Table,
    tally: &mut Tally,
    problems: &mut Problems,
) {
    let expect = expect(exchange);
    match &exchange.answer {
        Answer::Json(body) if exchange.status != 200 => {
            tally.refusals += 1;
            let text = body.to_string();
            let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
            if spoken.codec.decode(&node, &expect).is_ok() {
                problems.push(&exchange.name, "a refusal was read as an answer");
            }
        }
        // Gemini's other stream: an array of what would be events.
        Answer::Json(Value::Array(items)) => {
            let cuts = items.iter().map(|item| Cut {
                name: String::new(),
                exception: false,
                data: item.to_string().into_bytes(),
            });
            tally.streams += 1;
            streamed(exchange, spoken, clients, &cuts.collect::<Vec<_>>(), table, problems);
        }
        Answer::Json(body) => {
            tally.answers += 1;
            whole(exchange, spoken, clients, &body.to_string(), table, problems);
        }
        Answer::Events(sse) => {
            tally.streams += 1;
            stream(exchange, spoken, clients, sse.as_bytes(), table, problems);
        }
        Answer::Frames(bytes) => {
            tally.streams += 1;
            stream(exchange, spoken, clients, bytes, table, problems);
        }
    }
}

/// What of an answer a client of this dialect should see.
pub fn wanted(client: &Client, mut meaning: Value) -> Value {
    for candidate in meaning["candidates"].as_array_mut().into_iter().flatten() {
        // A provider that does not say how it ended is taken to be done.
        let word = candidate["finish"].as_str().unwrap_or("Stop").to_owned();
        let refused = client.ends_refused && candidate["refusal"] != "" && word == "Stop";
        let word = if refused { "Refusal".to_owned() } else { word };
        candidate["finish"] = word.as_str().into();
        // Blocks that only another API knows do not travel.
        let own = client.back.as_ref().map(|codec| codec.dialect().as_str());
        if let Some(all) = candidate["opaque"].as_array_mut() {
            all.retain(|part| part["dialect"].as_str() == own);
        }
        // Sound that has no place is written down.
        if client.forgets.contains(&"media") {
            let said: String = media_texts(candidate);
            if !said.is_empty() && candidate["text"] == "" {
                candidate["order"].as_array_mut().unwrap().push("text".into());
            }
            candidate["text"] = format!("{}{said}", candidate["text"].as_str().unwrap_or_default()).into();
        }
        if !client.refuses {
            let words = candidate["refusal"].as_str().unwrap_or_default().to_owned();
            candidate["text"] = format!("{}{words}", candidate["text"].as_str().unwrap_or_default()).into();
            candidate["refusal"] = "".into();
            for kind in candidate["order"].as_array_mut().into_iter().flatten() {
                if *kind == "refusal" {
                    *kind = "text".into();
                }
            }
        }
        for call in candidate["calls"].as_array_mut().into_iter().flatten() {
            if let Some(text) = call["arguments"].get("broken").filter(|_| !client.custom) {
                call["arguments"] = json!({ "input": text });
            }
        }
        let known = client.finishes.iter().find(|(from, _)| *from == word);
        let in_words = client.refuses && candidate["refusal"] != "";
        if let Some((_, to)) = known.filter(|_| !in_words) {
            candidate["finish"] = (*to).into();
        }
    }
    if client.one
        && let Some(all) = meaning["candidates"].as_array_mut()
    {
        all.retain(|candidate| candidate["index"] == 0);
    }
    forget(&mut meaning, client.forgets);
    // They come back in another form; `echo` sees whether they are the same.
    forget(&mut meaning, &["proofs"]);
    meaning
}

fn media_texts(candidate: &Value) -> String {
    let media = candidate["media"].as_array().into_iter().flatten();
    media.filter_map(|one| one["transcript"].as_str()).collect()
}

fn whole(
    exchange: &Exchange,
    spoken: &Spoken,
    clients: &[Client],
    text: &str,
    table: &mut Table,
    problems: &mut Problems,
) {
    let expect = expect(exchange);
    let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
    let response = match spoken.codec.decode(&node, &expect) {
        Ok(response) => response,
        Err(error) => return problems.push(&exchange.name, format!("does not decode: {error}")),
    };
    if response.candidates.is_empty() {
        problems.push(&exchange.name, "no candidate");
    }
    for client in clients {
        written_whole(&exchange.name, client, &response, spoken.api, table, problems);
    }
    damage::whole(exchange, spoken, clients, text);
}

fn written_whole(
    name: &str,
    client: &Client,
    response: &Response<'_>,
    api: &'static str,
    table: &mut Table,
    problems: &mut Problems,
) -> Option<Value> {
    let mut out = Vec::new();
    let request = cirque::wire::canonical::Request {
        stream: false,
        ..asked()
    };
    client.speak.writer(&request, reply(false)).whole(response, &mut out);
    let place = format!("{name} whole for {}", client.name);
    let Ok(document) = serde_json::from_slice::<Value>(&out) else {
        problems.push(&place, format!("is not JSON: {}", String::from_utf8_lossy(&out)));
        return None;
    };
    let original = meaning::answer(response);
    let Some(back) = &client.back else {
        completion(&place, &original, &document, problems);
        return None;
    };
    let node = Node::parse(&out, DEPTH).unwrap();
    let expect = Expect::default();
    match back.decode(&node, &expect) {
        Err(error) if !fails(client, &original) => problems.push(&place, format!("does not read back: {error}")),
        Err(_) => {}
        Ok(again) => {
            let mut got = meaning::answer(&again);
            compare(&place, client, &original, &got, problems);
            echo::check(&place, client, &document, &original, &mut got, problems);
            table.answer(api, client.name, &original, &got);
            return Some(meaning::answer(&again));
        }
    }
    None
}

/// It ended in a way that this dialect calls a failure.
fn fails(client: &Client, original: &Value) -> bool {
    let word = original["candidates"][0]["finish"].as_str();
    word.is_some_and(|word| client.fails.contains(&word))
}

/// Legacy completions carry the text alone.
fn completion(place: &str, original: &Value, document: &Value, problems: &mut Problems) {
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        let words = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        list.map(|one| words(one, "text") + &words(one, "refusal")).collect()
    };
    if texts(&original["candidates"]) != texts(&document["choices"]) {
        problems.push(place, format!("other texts: {document}"));
    }
    let figure = |name: &str| original["usage"][name].as_u64().unwrap_or(0);
    if original["usage"] != json!({})
        && (document["usage"]["prompt_tokens"] != figure("input")
            || document["usage"]["completion_tokens"] != figure("output"))
    {
        problems.push(place, format!("other usage: {}", document["usage"]));
    }
}

fn compare(place: &str, client: &Client, original: &Value, got: &Value, problems: &mut Problems) {
    let (wanted, got) = (wanted(client, original.clone()), wanted(client, got.clone()));
    for line in difference(&wanted, &got) {
        problems.push(place, line);
    }
}

// Streams

fn stream(
    exchange: &Exchange,
    spoken: &Spoken,
    clients: &[Client],
    bytes: &[u8],
    table: &mut Table,
    problems: &mut Problems,
) {
    let framing = spoken.codec.framing();
    let cuts = match cut(framing, spoken.framed, &[bytes]) {
        Ok(cuts) => cuts,
        Err(error) => return problems.push(&exchange.name, format!("cannot be cut: {error}")),
    };
    for (way, pieces) in ways(bytes, exchange.seed()).iter().enumerate() {
        if cut(framing, spoken.framed, pieces).as_ref() != Ok(&cuts) {
            problems.push(&exchange.name, format!("other events when fed way {way}"));
        }
    }
    streamed(exchange, spoken, clients, &cuts, table, problems);
    damage::stream(exchange, spoken, clients, bytes, framing);
}

fn streamed(
    exchange: &Exchange,
    spoken: &Spoken,
    clients: &[Client],
    cuts: &[Cut],
    table: &mut Table,
    problems: &mut Problems,
) {
    let name = &exchange.name;
    let expect = expect(exchange);
    let decoded = decode(spoken.codec.as_ref(), expect.clone(), cuts);
    if let Some(error) = &decoded.broken
        && !exchange.covers.iter().any(|tag| tag == "error")
    {
        problems.push(name, format!("an event does not decode: {error}"));
    }
    if let Some(disorder) = decoded.fold.disorder {
        problems.push(name, format!("disorder: {disorder}"));
    }
    if decoded.overlap {
        problems.push(name, "a part begins while prose is open");
    }
    let told = decoded.fold.error.is_some() || decoded.broken.is_some() || decoded.end.is_err();
    if told != exchange.covers.iter().any(|tag| tag == "error") {
        problems.push(
            name,
            format!("failed: {told} ({:?}, {:?})", decoded.fold.error, decoded.end),
        );
    }
    let nameless: Vec<Cut> = cuts
        .iter()
        .map(|cut| Cut {
            name: String::new(),
            ..cut.clone()
        })
        .collect();
    if spoken.codec.framing() == Framing::Sse
        && !spoken.framed
        && decode(spoken.codec.as_ref(), expect.clone(), &nameless).steps != decoded.steps
    {
        problems.push(name, "the events differ without the `event:` lines");
    }
    let fails = decoded.fold.error.is_some() || decoded.end.is_err();
    if !fails && !decoded.fold.ended() {
        problems.push(name, "a proper end without Event::End");
    }
    cut_off(name, spoken, &expect, cuts, problems);
    for client in clients {
        let streamed = written_stream(name, client, &decoded, problems);
        broken_off(name, client, &decoded, problems);
        // Nobody puts the pieces of a sound together but the application.
        if fails || exchange.covers.iter().any(|tag| tag == "media-in-pieces") {
            continue;
        }
        // The same answer, not streamed.
        let response = decoded.fold.response();
        let whole = written_whole(&format!("{name} folded"), client, response, spoken.api, table, problems);
        if let (Some(streamed), Some(whole)) = (streamed, whole) {
            let (mut whole, mut streamed) = (whole, streamed);
            for keys in [client.forgets, client.not_late] {
                forget(&mut whole, keys);
                forget(&mut streamed, keys);
            }
            for line in difference(&whole, &streamed) {
                problems.push(&format!("{name} for {}: streamed is not as whole", client.name), line);
            }
        }
    }
}

/// Cut off after every event: the end is an error unless the stream had ended by then.
fn cut_off(name: &str, spoken: &Spoken, expect: &Expect, cuts: &[Cut], problems: &mut Problems) {
    for count in 0..cuts.len() {
        let part = decode(spoken.codec.as_ref(), expect.clone(), &cuts[..count]);
        if part.fold.error.is_some() || part.broken.is_some() {
            continue;
        }
        let finished = part.fold.response().candidates.iter().any(|c| c.finish.is_some());
        if part.end.is_ok() && !finished && !part.fold.ended() {
            problems.push(
                name,
                format!("cut off after event {count} of {}: taken for complete", cuts.len()),
            );
        }
        if part.end.is_ok() && !part.fold.ended() {
            problems.push(name, format!("cut off after event {count}: Ok without Event::End"));
        }
        // Usage after `messageStop` may be missing from Converse; the others have no end marker at all, or vendors that
        // leave it out.
        let strict = !matches!(spoken.api, "chat" | "mistral" | "gemini" | "bedrock");
        if strict && part.end.is_ok() && !part.ended_by_itself {
            problems.push(
                name,
                format!("cut off after event {count}: the end marker was not asked for"),
            );
        }
        if let Some(disorder) = part.fold.disorder {
            problems.push(name, format!("cut off after event {count}: disorder: {disorder}"));
        }
    }
}

fn written_stream(name: &str, client: &Client, decoded: &Decoded, problems: &mut Problems) -> Option<Value> {
    let place = format!("{name} streamed for {}", client.name);
    let mut made = writer(client, false);
    let outs = write(made.as_mut(), &decoded.steps);
    at_once(&place, client, decoded, &outs, problems);
    if decoded.fold.error.is_some() || decoded.end.is_err() {
        return None;
    }
    let bytes = outs.concat();
    let original = meaning::answer(decoded.fold.response());
    let Some(back) = &client.back else {
        completion_stream(&place, &original, &bytes, problems);
        return None;
    };
    let cuts = cut(Framing::Sse, false, &[&bytes]).unwrap();
    let again = decode(back.as_ref(), Expect::default(), &cuts);
    if let Some(error) = again.broken.as_ref().or(again.end.as_ref().err()) {
        if !fails(client, &original) {
            problems.push(&place, format!("does not read back: {error}"));
        }
        return None;
    }
    if let Some(disorder) = again.fold.disorder {
        problems.push(&place, format!("read back in disorder: {disorder}"));
    }
    let got = meaning::answer(again.fold.response());
    let mut timely = original.clone();
    if !got.to_string().contains("cache_write_1h") {
        forget(&mut timely, client.not_late);
    }
    compare(&place, client, &timely, &got, problems);
    if client.name == "gemini" {
        array_stream(&place, client, decoded, &original, problems);
    }
    Some(got)
}

/// The same as one JSON array.
fn array_stream(place: &str, client: &Client, decoded: &Decoded, original: &Value, problems: &mut Problems) {
    let mut made = writer(client, true);
    let bytes = write(made.as_mut(), &decoded.steps).concat();
    let Ok(Value::Array(items)) = serde_json::from_slice::<Value>(&bytes) else {
        return problems.push(place, format!("no JSON array: {}", String::from_utf8_lossy(&bytes)));
    };
    let cuts: Vec<Cut> = items
        .iter()
        .map(|item| Cut {
            name: String::new(),
            exception: false,
            data: item.to_string().into_bytes(),
        })
        .collect();
    let again = decode(client.back.as_ref().unwrap().as_ref(), Expect::default(), &cuts);
    let got = meaning::answer(again.fold.response());
    compare(&format!("{place} as array"), client, original, &got, problems);
}

fn completion_stream(place: &str, original: &Value, bytes: &[u8], problems: &mut Problems) {
    let mut texts = std::collections::BTreeMap::<u64, String>::new();
    for cut in cut(Framing::Sse, false, &[bytes]).unwrap() {
        if cut.data == b"[DONE]" {
            continue;
        }
        let Ok(document) = serde_json::from_slice::<Value>(&cut.data) else {
            return problems.push(place, "an event is not JSON");
        };
        for choice in document["choices"].as_array().into_iter().flatten() {
            let into = texts.entry(choice["index"].as_u64().unwrap()).or_default();
            into.push_str(choice["text"].as_str().unwrap_or(""));
        }
    }
    for candidate in original["candidates"].as_array().unwrap() {
        let got = texts
            .get(&candidate["index"].as_u64().unwrap())
            .cloned()
            .unwrap_or_default();
        let words = |key: &str| candidate[key].as_str().unwrap_or_default().to_owned();
        if words("text") + &words("refusal") != got {
            problems.push(place, format!("other text: {got}"));
        }
    }
}

/// Text and thoughts go on at once: the step that brings them writes them. Pieces of arguments too, where they have a form.
fn at_once(place: &str, client: &Client, decoded: &Decoded, outs: &[Vec<u8>], problems: &mut Problems) {
    // Legacy completions have prose only.
    let prose_only = client.back.is_none();
    for (step, out) in decoded.steps.iter().zip(outs) {
        for event in step {
            let Event::Delta { candidate, delta, .. } = event else {
                continue;
            };
            let text = match delta {
                Delta::Text(text) => text,
                Delta::Thinking(text) if !prose_only => text,
                Delta::Arguments(text) if matches!(client.name, "chat" | "responses") => text,
                _ => continue,
            };
            if client.one && *candidate > 0 {
                continue;
            }
            let quoted = json!(text).to_string();
            let inner = &quoted[1..quoted.len() - 1];
            if !String::from_utf8_lossy(out).contains(inner) {
                return problems.push(place, format!("{quoted} was not passed on at once"));
            }
        }
    }
}

/// It breaks after half of its events: an error in the dialect, and no end.
fn broken_off(name: &str, client: &Client, decoded: &Decoded, problems: &mut Problems) {
    let half = decoded.steps.len() / 2;
    let ended = decoded.steps[..half]
        .iter()
        .flatten()
        .any(|event| matches!(event, Event::End));
    if ended || half == 0 {
        return;
    }
    let place = format!("{name} broken off for {}", client.name);
    let mut made = writer(client, false);
    let mut bytes = write(made.as_mut(), &decoded.steps[..half]).concat();
    let error = GatewayError::new(ErrorKind::ProviderError, "the provider failed");
    made.fail(&error, &mut bytes);
    let Some(back) = &client.back else {
        if !String::from_utf8_lossy(&bytes).contains("the provider failed") {
            problems.push(&place, "does not say so");
        }
        return;
    };
    let cuts = match cut(Framing::Sse, false, &[&bytes]) {
        Ok(cuts) => cuts,
        Err(error) => return problems.push(&place, error),
    };
    let again = decode(back.as_ref(), Expect::default(), &cuts);
    let told = again
        .fold
        .error
        .as_deref()
        .is_some_and(|text| text.contains("the provider failed"));
    if !told {
        problems.push(&place, format!("is not told: {:?}", again.fold.error));
    }
    if again.fold.ended() {
        problems.push(&place, "looks complete");
    }
}
