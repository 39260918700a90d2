//! The smaller operations: vectors, orders, counts. Requests by their client dialect to every codec that has the operation,
//! answers by their codec to every client dialect that has it.

use super::answers::Problems;
use super::exchange::{Answer, Exchange};
use super::speakers::{Spoken, chat, clients, spoken_to, targets};
use super::stream::{DEPTH, reply};
use cirque::providers::codec::{Aim, Unfit};
use cirque::wire::canonical::aux::Vector;
use cirque::wire::chat::Chat;
use cirque::wire::client::ClientDialect;
use cirque::wire::gemini::Gemini;
use cirque::wire::json::Node;
use cirque::wire::rerank::Rerank;
use serde_json::{Value, json};

/// Which operation a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Embed,
    Rerank,
    Count,
}

fn operation(path: &str) -> Option<Operation> {
    let ends = |tails: &[&str]| tails.iter().any(|tail| path.ends_with(tail));
    if ends(&["/embeddings", "/embed", ":embedContent", "EmbedContents"]) {
        Some(Operation::Embed)
    } else if ends(&["/rerank"]) {
        Some(Operation::Rerank)
    } else if ends(&["count_tokens", ":countTokens"]) {
        Some(Operation::Count)
    } else {
        None
    }
}

const AIM: Aim<'_> = Aim {
    model: "m",
    stream_usage: false,
};

/// Walk it if it is one of these; whether it was.
pub fn walk(exchange: &Exchange, problems: &mut Problems) -> bool {
    let Some((path, body)) = &exchange.request else {
        return false;
    };
    let Some(operation) = operation(path) else { return false };
    let Some(spoken) = spoken_to(&exchange.name) else {
        return false;
    };
    let text = body.to_string();
    let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
    if exchange.status != 400 {
        request(&exchange.name, operation, &spoken, &node, problems);
    }
    let Answer::Json(answer) = &exchange.answer else {
        return true;
    };
    if exchange.status == 200 {
        let text = answer.to_string();
        let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
        match operation {
            Operation::Embed => vectors(exchange, &spoken, answer, &node, problems),
            Operation::Rerank => order(exchange, &spoken, &node, problems),
            Operation::Count => count(exchange, &spoken, answer, &node, problems),
        }
    }
    true
}

/// What every target makes of it: JSON, or that it has no such operation.
fn request(name: &str, operation: Operation, spoken: &Spoken, node: &Node<'_>, problems: &mut Problems) {
    let all = clients();
    let client: &dyn ClientDialect = match (operation, spoken.client) {
        (Operation::Rerank, _) => &Rerank,
        (_, Some(name)) => all.iter().find(|client| client.name == name).unwrap().speak.as_ref(),
        (_, None) => return,
    };
    let mut taken = 0;
    for target in targets() {
        let made = match operation {
            Operation::Embed => match client.read_embed(node) {
                Ok(request) => target.codec.encode_embed(&request, AIM).map(|made| made.body),
                Err(invalid) => return problems.push(name, format!("is not read: {invalid}")),
            },
            Operation::Rerank => match client.read_rerank(node) {
                Ok(request) => target.codec.encode_rerank(&request, AIM).map(|made| made.body),
                Err(invalid) => return problems.push(name, format!("is not read: {invalid}")),
            },
            Operation::Count => match client.read_count(node) {
                Ok(request) => target.codec.encode_count(&request, AIM).map(|made| made.body),
                Err(invalid) => return problems.push(name, format!("is not read: {invalid}")),
            },
        };
        match made {
            Ok(body) if serde_json::from_slice::<Value>(&body).is_ok() => taken += 1,
            Ok(_) => problems.push(name, format!("to {}: is not JSON", target.name)),
            Err(Unfit::Operation | Unfit::Request { .. }) => {}
        }
    }
    if taken == 0 {
        problems.push(name, "no target takes it");
    }
}

/// The numbers arrive, whoever asked.
fn vectors(exchange: &Exchange, spoken: &Spoken, answer: &Value, node: &Node<'_>, problems: &mut Problems) {
    let name = &exchange.name;
    let response = match spoken.codec.decode_embed(node) {
        Ok(response) => response,
        Err(error) => return problems.push(name, format!("does not decode: {error}")),
    };
    let given = answer.to_string();
    for vector in &response.vectors {
        let (Vector::Numbers(text) | Vector::Base64(text)) = vector;
        let compact: Value = serde_json::from_str(text).unwrap_or(json!(text));
        if !given.contains(&compact.to_string()) {
            problems.push(name, "a vector is not as it came");
        }
    }
    for client in [&Chat as &dyn ClientDialect, &Gemini] {
        let mut out = Vec::new();
        let request = cirque::wire::canonical::aux::EmbedRequest {
            batch: response.vectors.len() > 1,
            ..Default::default()
        };
        client.write_embed(&request, &response, &reply(false), &mut out);
        let Ok(written) = serde_json::from_slice::<Value>(&out) else {
            problems.push(name, "written vectors are no JSON");
            continue;
        };
        let count = ["data", "embeddings"]
            .iter()
            .find_map(|key| written[*key].as_array())
            .map_or(1, Vec::len);
        if count != response.vectors.len() {
            problems.push(name, format!("{count} vectors of {}", response.vectors.len()));
        }
    }
}

fn order(exchange: &Exchange, spoken: &Spoken, node: &Node<'_>, problems: &mut Problems) {
    let name = &exchange.name;
    let Ok(response) = spoken.codec.decode_rerank(node) else {
        return problems.push(name, "does not decode");
    };
    let (_, body) = exchange.request.as_ref().unwrap();
    let text = body.to_string();
    let asked = Node::parse(text.as_bytes(), DEPTH).unwrap();
    let request = Rerank.read_rerank(&asked).unwrap();
    let mut out = Vec::new();
    Rerank.write_rerank(&request, &response, &reply(false), &mut out);
    let again = Node::parse(&out, DEPTH).unwrap();
    let codec = chat("openai");
    let back = spoken
        .codec
        .decode_rerank(&again)
        .or_else(|_| codec.decode_rerank(&again));
    match back {
        Ok(back) if back.results == response.results && back.search_units == response.search_units => {}
        other => problems.push(name, format!("reads back otherwise: {other:?}")),
    }
}

fn count(exchange: &Exchange, spoken: &Spoken, answer: &Value, node: &Node<'_>, problems: &mut Problems) {
    let name = &exchange.name;
    let count = match spoken.codec.decode_count(node) {
        Ok(count) => count,
        Err(error) => return problems.push(name, format!("does not decode: {error}")),
    };
    let figure = answer["input_tokens"].as_u64().or(answer["totalTokens"].as_u64());
    if figure != Some(count.input) {
        problems.push(name, format!("{figure:?} became {}", count.input));
    }
    for client in clients()
        .iter()
        .filter(|client| matches!(client.name, "messages" | "gemini" | "responses"))
    {
        let mut out = Vec::new();
        client.speak.write_count(&count, &mut out);
        let node = Node::parse(&out, DEPTH).unwrap();
        let again = client.back.as_ref().unwrap().decode_count(&node);
        if again.as_ref().ok().map(|again| again.input) != Some(count.input) {
            problems.push(name, format!("for {}: reads back as {again:?}", client.name));
        }
    }
}
