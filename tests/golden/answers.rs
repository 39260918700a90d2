//! The walk of an answer: decoded, written in every client dialect, held against what its SDKs expect, read back.

use super::damage;
use super::echo;
use super::exchange::{Answer, Exchange};
use super::fidelity::Table;
use super::meaning::{self, difference, forget};
use super::requests::shapes;
use super::speakers::{Client, Spoken};
use super::stream::{Cut, DEPTH, asked, reply};
use super::{protocol, streams};
use cirque::providers::codec::Expect;
use cirque::wire::canonical::Response;
use cirque::wire::json::Node;
use serde_json::{Value, json};

/// What goes wrong, by case: all of it is shown at once.
#[derive(Default)]
pub struct Problems(pub Vec<String>);

impl Problems {
    pub fn push(&mut self, name: &str, what: impl AsRef<str>) {
        self.0.push(format!("{name}: {}", what.as_ref()));
    }

    /// Fails with the first of them, if there are any.
    pub fn report(self, tally: &impl std::fmt::Debug) {
        eprintln!("{tally:?}");
        let count = self.0.len();
        let shown: Vec<_> = self.0.into_iter().take(60).collect();
        assert!(shown.is_empty(), "{count} problems:\n{}", shown.join("\n"));
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
            streams::streamed(exchange, spoken, clients, &cuts.collect::<Vec<_>>(), table, problems);
        }
        Answer::Json(body) => {
            tally.answers += 1;
            whole(exchange, spoken, clients, &body.to_string(), table, problems);
        }
        Answer::Events(sse) => {
            tally.streams += 1;
            streams::stream(exchange, spoken, clients, sse.as_bytes(), table, problems);
        }
        Answer::Frames(bytes) => {
            tally.streams += 1;
            streams::stream(exchange, spoken, clients, bytes, table, problems);
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
            if client.name == "messages" {
                call["id"] = own_form(call["id"].as_str().unwrap_or_default()).into();
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

/// Ids that Anthropic would not take back are changed.
fn own_form(id: &str) -> &str {
    let fits = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let changed = id
        .strip_prefix("toolu_")
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if fits && !changed { id } else { "changed" }
}

fn media_texts(candidate: &Value) -> String {
    let media = candidate["media"].as_array().into_iter().flatten();
    media.filter_map(|one| one["transcript"].as_str()).collect()
}

pub fn whole(
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

pub fn written_whole(
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
    protocol::word(&place, client, &original, &document, problems);
    if client.back.is_some() {
        for fault in shapes().faults(&format!("answer-{}", client.name), &document) {
            problems.push(&place, format!("not in shape at {fault}"));
        }
    }
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
pub fn fails(client: &Client, original: &Value) -> bool {
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

pub fn compare(place: &str, client: &Client, original: &Value, got: &Value, problems: &mut Problems) {
    let (wanted, got) = (wanted(client, original.clone()), wanted(client, got.clone()));
    for line in difference(&wanted, &got) {
        problems.push(place, line);
    }
}
