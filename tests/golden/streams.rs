//! The walk of a streamed answer: the same events at every split, written at once in every client dialect, read back as the
//! same answer, whole or broken off.

use super::answers::{Problems, compare, expect, fails, written_whole};
use super::damage;
use super::exchange::{Exchange, ways};
use super::fidelity::Table;
use super::meaning::{self, difference, forget};
use super::protocol;
use super::speakers::{Client, Spoken};
use super::stream::{Cut, Decoded, cut, decode, write, writer};
use cirque::error::{ErrorKind, GatewayError};
use cirque::providers::codec::{Expect, Framing};
use cirque::wire::canonical::{Delta, Event};
use serde_json::{Value, json};

pub fn stream(
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

pub fn streamed(
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
    if !fails(client, &original) {
        protocol::order(&place, client, &cuts, problems);
    }
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
