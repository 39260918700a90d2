//! What recorded calls cost: the same streamed, forwarded and whole; what vendors themselves say; and by hand.

use super::exchange::{Answer, Exchange, base64, exchanges, recordings};
use super::speakers::{Spoken, spoken};
use super::stream::{Cut, DEPTH, cut, decode};
use cirque::config::load_prices;
use cirque::prices::{Table, recompute};
use cirque::units::Usage;
use cirque::wire::json::Node;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// 2026-11-22.
const AT: i64 = 1_795_305_600;

fn table() -> Table {
    load_prices(&[]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every recorded conversation that was answered.
fn answered() -> Option<Vec<(Exchange, Spoken)>> {
    let mut folders: Vec<_> = std::fs::read_dir(recordings()?)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let all = folders.iter().flat_map(|folder| exchanges(folder));
    let good = all.filter(|exchange| exchange.status == 200).filter_map(|exchange| {
        let path = exchange.request.as_ref().map(|(path, _)| path.as_str());
        let spoken = spoken(&exchange.name, path)?;
        Some((exchange, spoken))
    });
    Some(good.collect())
}

fn vendor(name: &str) -> &str {
    match name.split('/').next().unwrap() {
        "openai-chat" | "openai-responses" | "openai-completions" | "openai-embeddings" => "openai",
        "azure-openai" => "azure",
        folder => folder,
    }
}

/// The model asked for: in the body, else in the path, else as the answer says.
fn model(exchange: &Exchange) -> String {
    if let Some((path, body)) = &exchange.request {
        let after = |mark: &str| Some(path.split_once(mark)?.1.split(['/', ':']).next()?.to_owned());
        let in_path = || {
            if let Some((_, rest)) = path.split_once("/model/") {
                // Bedrock: the name may hold a colon, and is then often written with %3A.
                return Some(rest.rsplit_once('/')?.0.replace("%3A", ":"));
            }
            after("/models/")
        };
        let named = body["model"].as_str().map(str::to_owned).or_else(in_path);
        if let Some(named) = named {
            return named;
        }
    }
    let said = |text: &str| Some(text.split_once("\"model\":")?.1.split('"').nth(1)?.to_owned());
    match &exchange.answer {
        Answer::Json(body) => body["model"].as_str().unwrap_or_default().to_owned(),
        Answer::Events(sse) => said(sse).unwrap_or_default(),
        Answer::Frames(_) => String::new(),
    }
}

fn cuts(exchange: &Exchange, spoken: &Spoken) -> Option<Vec<Cut>> {
    let bytes: &[u8] = match &exchange.answer {
        Answer::Events(sse) => sse.as_bytes(),
        Answer::Frames(bytes) => bytes,
        Answer::Json(Value::Array(items)) => {
            let cut = |item: &Value| Cut {
                name: String::new(),
                exception: false,
                data: item.to_string().into_bytes(),
            };
            return Some(items.iter().map(cut).collect());
        }
        Answer::Json(_) => return None,
    };
    Some(cut(spoken.codec.framing(), spoken.framed, &[bytes]).unwrap())
}

/// The documents of a stream; Bedrock's `invoke` wraps each in base64.
fn documents(cuts: &[Cut]) -> Vec<Vec<u8>> {
    let unwrapped = |cut: &Cut| {
        let frame: Option<Value> = serde_json::from_slice(&cut.data).ok();
        let inner = frame.as_ref().and_then(|frame| frame["bytes"].as_str());
        inner.map_or_else(|| cut.data.clone(), base64)
    };
    cuts.iter().map(unwrapped).collect()
}

/// As the gateway reads a conversation that it translates.
fn usage(exchange: &Exchange, spoken: &Spoken) -> Option<Usage> {
    let expect = super::answers::expect(exchange);
    if let Some(cuts) = cuts(exchange, spoken) {
        return decode(&*spoken.codec, expect, &cuts).fold.response().usage;
    }
    let Answer::Json(body) = &exchange.answer else {
        unreachable!()
    };
    whole(spoken, &body.to_string(), exchange)
}

fn whole(spoken: &Spoken, text: &str, exchange: &Exchange) -> Option<Usage> {
    let expect = super::answers::expect(exchange);
    let node = Node::parse(text.as_bytes(), DEPTH).unwrap();
    spoken
        .codec
        .decode(&node, &expect)
        .unwrap_or_else(|error| panic!("{}: {error}\n{text}", exchange.name))
        .usage
}

/// As the gateway reads a conversation that it forwards as it is: event by event. None: this API is not forwarded.
fn forwarded(api: &str, documents: &[Vec<u8>]) -> Option<Option<Usage>> {
    let read = match api {
        "chat" | "mistral" => cirque::wire::usage::read,
        "messages" | "anthropic" => cirque::wire::messages::facts,
        "responses" => cirque::wire::responses::facts,
        "gemini" => cirque::wire::gemini::facts,
        _ => return None,
    };
    let mut all: Option<Usage> = None;
    for document in documents.iter().filter(|document| document.trim_ascii() != b"[DONE]") {
        if let Ok(facts) = read(document, DEPTH)
            && let Some(usage) = facts.usage
        {
            all.get_or_insert_default().merge(&usage);
        }
    }
    Some(all)
}

/// A whole answer of this API with the figures that a stream of it told.
fn as_whole(spoken: &Spoken, documents: &[Vec<u8>]) -> Option<Value> {
    let events: Vec<Value> = documents
        .iter()
        .filter_map(|document| serde_json::from_slice(document).ok())
        .collect();
    let last =
        |find: &dyn Fn(&Value) -> Option<Value>| events.iter().rev().find_map(find).filter(|found| !found.is_null());
    let text = json!([{"type": "text", "text": "x"}]);
    Some(match spoken.api {
        "chat" | "mistral" => {
            let find = |event: &Value| {
                event
                    .get("usage")
                    .or_else(|| event.get("x_groq")?.get("usage"))
                    .filter(|usage| usage.is_object())
                    .cloned()
            };
            let tier = last(&|event| event.get("service_tier").cloned());
            json!({"id": "x", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"},
                "finish_reason": "stop"}], "usage": last(&find)?, "service_tier": tier})
        }
        "anthropic" | "messages" => {
            let mut usage = serde_json::Map::new();
            for event in &events {
                for part in [&event["message"]["usage"], &event["usage"]] {
                    let told = part
                        .as_object()
                        .into_iter()
                        .flatten()
                        .filter(|(_, value)| !value.is_null());
                    usage.extend(told.map(|(key, value)| (key.clone(), value.clone())));
                }
            }
            json!({"id": "x", "type": "message", "role": "assistant", "model": "m", "content": text, "stop_reason": "end_turn", "usage": usage})
        }
        "responses" => last(&|event| {
            (event["type"] == "response.completed" || event["type"] == "response.incomplete")
                .then(|| event["response"].clone())
        })?,
        "gemini" => {
            let usage = last(&|event| {
                event
                    .get("usageMetadata")
                    .filter(|usage| usage["promptTokenCount"].is_u64())
                    .cloned()
            })?;
            json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}], "usageMetadata": usage})
        }
        "bedrock" => {
            let usage = last(&|event| event.get("usage").cloned())?;
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}, "stopReason": "end_turn", "usage": usage})
        }
        "cohere" => {
            let usage = last(&|event| event["delta"].get("usage").cloned())?;
            json!({"id": "x", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": text}, "usage": usage})
        }
        other => panic!("{other}"),
    })
}

/// The regression of the field: the same call, streamed and not, at two prices.
#[test]
fn a_stream_costs_what_the_whole_answer_costs() {
    let Some(all) = answered() else { return };
    let table = table();
    let (mut streams, mut priced, mut apis) = (0, 0, BTreeMap::new());
    for (exchange, spoken) in &all {
        let name = &exchange.name;
        let (streamed, told) = match (&exchange.answer, cuts(exchange, spoken)) {
            (_, Some(cuts)) => (true, documents(&cuts)),
            (Answer::Json(body), None) => (false, vec![body.to_string().into_bytes()]),
            _ => unreachable!(),
        };
        let translated = usage(exchange, spoken);
        if let Some(forwarded) = forwarded(spoken.api, &told) {
            assert_eq!(forwarded, translated, "{name}: forwarded and translated");
        }
        if !streamed {
            continue;
        }
        let Some(document) = as_whole(spoken, &told) else {
            assert_eq!(translated, None, "{name}: figures from nowhere");
            continue;
        };
        let whole = whole(spoken, &document.to_string(), exchange);
        assert_eq!(translated, whole, "{name}: streamed and whole");
        streams += 1;
        *apis.entry(spoken.api).or_insert(0) += 1;
        let cost = |usage: &Usage| recompute(&table, vendor(name), &model(exchange), usage, AT);
        let (streamed, whole) = (translated.as_ref().and_then(cost), whole.as_ref().and_then(cost));
        assert_eq!(streamed, whole, "{name}");
        priced += usize::from(streamed.is_some());
    }
    eprintln!("{streams} streams ({priced} with a price): {apis:?}");
    assert!(
        streams >= 55 && priced >= 50 && apis.len() >= 6,
        "{streams} {priced} {apis:?}"
    );
}

#[test]
fn every_recorded_call_of_a_known_model_costs_something() {
    let Some(all) = answered() else { return };
    let (table, mut priced, mut unknown) = (table(), BTreeMap::new(), Vec::new());
    for (exchange, spoken) in &all {
        let (name, model) = (&exchange.name, model(exchange));
        let Some(usage) = usage(exchange, spoken) else { continue };
        let Some(cost) = recompute(&table, vendor(name), &model, &usage, AT) else {
            unknown.push(format!("{}/{model}", vendor(name)));
            continue;
        };
        *priced.entry(vendor(name)).or_insert(0) += 1;
        // Empty answers have no tokens; what is free says so in its name.
        assert!(
            cost.total() > 0 || usage.total() == 0 || model.ends_with(":free"),
            "{name}: {model} {usage:?}"
        );
    }
    unknown.sort();
    unknown.dedup();
    eprintln!("priced {priced:?}; without a price: {unknown:?}");
    assert!(priced.len() >= 13 && priced.values().sum::<i32>() >= 130, "{priced:?}");
    assert!(unknown.len() <= 4, "{unknown:?}");
}

/// xAI and OpenRouter say what they billed: to the last digit what we say, streamed or not.
#[test]
fn vendors_that_tell_their_price_tell_ours() {
    let Some(all) = answered() else { return };
    let (table, mut told) = (table(), 0);
    for (exchange, spoken) in &all {
        let text = match &exchange.answer {
            Answer::Json(body) => body.to_string(),
            Answer::Events(sse) => sse.clone(),
            Answer::Frames(_) => continue,
        };
        let number = |key: &str| {
            let rest = text.rsplit_once(key)?.1.trim_start_matches(':').trim_start();
            let end = rest.find([',', '}'])?;
            Some(rest[..end].to_owned())
        };
        // Ticks of 1e-10 dollars; dollars.
        let ticks = number("\"cost_in_usd_ticks\"")
            .and_then(|ticks| ticks.parse::<u64>().ok())
            .map(|ticks| ticks / 10);
        let dollars = number("\"cost\"")
            .and_then(|text| text.parse::<f64>().ok())
            .map(|usd| (usd * 1e9).round() as u64);
        let Some(theirs) = ticks.or(dollars).filter(|theirs| *theirs > 0) else {
            continue;
        };
        let usage = usage(exchange, spoken).unwrap();
        let Some(ours) = recompute(&table, vendor(&exchange.name), &model(exchange), &usage, AT) else {
            continue;
        };
        let ours = ours.total();
        assert!(
            ours.abs_diff(theirs) <= 4,
            "{}: {theirs} theirs, {ours} ours, {usage:?}",
            exchange.name
        );
        told += 1;
    }
    eprintln!("{told} recordings say what they cost");
    assert!(told >= 8, "{told}");
}

/// One recording of each vendor, by hand: tokens × dollars per million = millionths of a dollar; here in nano-dollars.
#[test]
fn costs_are_those_worked_out_by_hand() {
    let Some(all) = answered() else { return };
    let table = table();
    let by_hand: [(&str, u64); 15] = [
        // 4 × 3 + 1165 read × 0.30 + 221 × 15 (claude-3-5-sonnet).
        ("anthropic/cache-stream-2", 12_000 + 349_500 + 3_315_000),
        // 2 × 2 + 3650 read × 0.20 + 32 written × 2.50 + 20 × 10 (claude-sonnet-5).
        ("anthropic/web-fetch-4", 4_000 + 730_000 + 80_000 + 200_000),
        // 8 × 0.05 + 377 × 0.40 (gpt-5-nano; 320 of reasoning are output).
        ("openai-chat/text-basic", 400 + 150_800),
        // 63 × 0.25 + 81 × 2 (gpt-5-mini).
        ("azure-openai/responses-thinking-1", 15_750 + 162_000),
        // 54 × 0.30 + (15 + 48 thoughts) × 2.50 (gemini-2.5-flash).
        ("gemini/tool-1", 16_200 + 157_500),
        // 394 × 3 + 68 × 15 (claude-3-7-sonnet).
        ("vertex/claude-tool-1", 1_182_000 + 1_020_000),
        // 446 × 2.20 + 55 × 11 (claude-sonnet-5 through a regional profile).
        ("bedrock/converse-tool-1", 981_200 + 605_000),
        // 52 × 0.10 + 36 × 0.10 (llama3-2-1b).
        ("bedrock/converse-stream-llama", 5_200 + 3_600),
        // 11 × 0.25 + 53 × 0.25 (mistral-tiny).
        ("mistral/text", 2_750 + 13_250),
        // 4 billed of 70 × 0.15 + 28 × 0.60 (command-r).
        ("cohere/text", 600 + 16_800),
        // 9 × 0.20 + 156 read × 0.05 + (2 + 125 of reasoning) × 0.50 (grok-4-fast).
        ("xai/text", 1_800 + 7_800 + 63_500),
        // 297 × 0.30 + 35 × 1.20 (deepseek-v4-flash, at the peak).
        ("deepseek/tool-stream", 89_100 + 42_000),
        // 20 × 1 + 4 × 3 (kimi-k2).
        ("groq/text", 20_000 + 12_000),
        // 93 × 1 + 21 × 3 (kimi-k2 at Groq).
        ("huggingface/tool-stream-1", 93_000 + 63_000),
        // 607 × 1 + 105 × 5 (claude-haiku-4.5).
        ("openrouter/thinking-anthropic-1", 607_000 + 525_000),
    ];
    for (case, nano) in by_hand {
        let found = all
            .iter()
            .find(|(exchange, _)| exchange.name.trim_end_matches(".json") == case);
        let (exchange, spoken) = found.unwrap_or_else(|| panic!("{case} is not there"));
        let usage = usage(exchange, spoken).unwrap();
        let cost = recompute(&table, vendor(case), &model(exchange), &usage, AT);
        let total = cost.map(|cost| cost.total());
        assert_eq!(total, Some(nano), "{case}: {} {usage:?}", model(exchange));
    }
}
