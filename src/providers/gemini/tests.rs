//! The codec against the recorded exchanges and against the client side of its own dialect.

mod answers;
mod requests;

use super::*;
use crate::providers::codec::RawEvent;
use crate::wire::canonical::{Delta, Event, Finish, Fold, Part, Response, Source};
use crate::wire::client::{ClientDialect, Reply};
use crate::wire::gemini::{Gemini, JsonArrayReader};
use crate::wire::sse::{SseReader, events};
use serde_json::{Value as Json, json};

/// A recording: its name and content.
type Recording = (String, Json);

fn recordings() -> Vec<Recording> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/transcripts");
    let mut all = Vec::new();
    for (folder, of) in [("gemini", ""), ("vertex", "claude")] {
        let Ok(entries) = std::fs::read_dir(format!("{root}/{folder}")) else {
            eprintln!("skipped: no recordings in {root}/{folder}");
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = format!("{folder}/{}", path.file_stem().unwrap().to_string_lossy());
            if of.is_empty() || !name.contains(of) {
                all.push((name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()));
            }
        }
    }
    all
}

fn of_status_200() -> Vec<Recording> {
    recordings()
        .into_iter()
        .filter(|(_, it)| it["response"]["status"] == 200)
        .collect()
}

fn codec(name: &str) -> GeminiCodec {
    GeminiCodec {
        vertex: name.starts_with("vertex"),
    }
}

fn aim(model: &str) -> Aim<'_> {
    Aim {
        model,
        stream_usage: true,
    }
}

fn node(text: &str) -> Node<'_> {
    Node::parse(text.as_bytes(), 128).unwrap()
}

/// Feed a decoder; what comes out is folded and, if wanted, written again.
fn decode_events(datas: &[Vec<u8>]) -> Result<Fold, Undecodable> {
    let mut fold = Fold::new();
    let mut decoder = GeminiCodec::default().decoder(Expect::default());
    for data in datas {
        let raw = RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 128,
        };
        decoder.event(raw, &mut |event| fold.event(&event))?;
    }
    decoder.finish(&mut |event| fold.event(&event))?;
    decoder.finish(&mut |event| fold.event(&event))?;
    Ok(fold)
}

fn sse_datas(text: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut reader = SseReader::new(1 << 20);
    let mut datas = Vec::new();
    for bytes in text.chunks(piece) {
        reader.space().extend_from_slice(bytes);
        let batch = reader.take().unwrap();
        datas.extend(events(&batch).filter_map(|event| event.data.map(|data| data.into_owned())));
    }
    datas
}

fn array_datas(text: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut reader = JsonArrayReader::new(1 << 20);
    let mut datas = Vec::new();
    for bytes in text.chunks(piece) {
        reader.push(bytes, |element| datas.push(element.to_vec())).unwrap();
    }
    assert!(reader.ended());
    datas
}

fn whole(text: &str) -> Response<'static> {
    let body = node(text);
    let expect = Expect::default();
    let response = GeminiCodec::default().decode(&body, &expect).unwrap();
    own(&response)
}

fn own(response: &Response<'_>) -> Response<'static> {
    let mut all = Vec::new();
    for one in &response.candidates {
        all.push(crate::wire::canonical::Candidate {
            index: one.index,
            parts: one.parts.iter().map(Part::to_static).collect(),
            finish: one.finish.as_ref().map(Finish::to_owned_finish),
            stop_sequence: None,
            logprobs: one
                .logprobs
                .iter()
                .map(crate::wire::canonical::Logprob::to_static)
                .collect(),
            safety: one
                .safety
                .as_ref()
                .map(|(dialect, raw)| (*dialect, raw.clone().into_owned().into())),
        });
    }
    Response {
        id: response.id.clone().into_owned().into(),
        model: response.model.clone().into_owned().into(),
        created: response.created,
        candidates: all,
        usage: response.usage,
        service_tier: response
            .service_tier
            .as_ref()
            .map(|tier| tier.clone().into_owned().into()),
        fingerprint: None,
    }
}

fn reply(json_array: bool) -> Reply {
    Reply {
        id: "r1".into(),
        created: 1,
        model: "m".into(),
        json_array,
    }
}

/// What a client of this dialect is sent for an answer, whole.
fn written(response: &Response<'_>) -> String {
    let mut out = Vec::new();
    Gemini
        .writer(&Default::default(), reply(false))
        .whole(response, &mut out);
    String::from_utf8(out).unwrap()
}

/// The streams of a recording, cut into event data at every piece size, which must all be the same.
fn stream_of(recording: &Json) -> Option<Vec<Vec<u8>>> {
    let response = &recording["response"];
    if let Some(sse) = response["sse"].as_str() {
        let whole = sse_datas(sse.as_bytes(), usize::MAX);
        for piece in [1, 7] {
            assert_eq!(sse_datas(sse.as_bytes(), piece), whole);
        }
        return Some(whole);
    }
    let list = response["body"].as_array()?;
    let text = serde_json::to_vec_pretty(list).unwrap();
    let whole = array_datas(&text, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(array_datas(&text, piece), whole);
    }
    Some(whole)
}

#[test]
fn recorded_answers_decode_and_come_back_from_the_writer() {
    for (name, recording) in of_status_200() {
        let body = &recording["response"]["body"];
        if body.get("candidates").is_none() {
            continue;
        }
        let response = whole(&body.to_string());
        let usage = response.usage.unwrap();
        assert_eq!(
            Some(usage.total()),
            body["usageMetadata"]["totalTokenCount"].as_u64(),
            "{name}"
        );
        let mut back = whole(&written(&response));
        assert_eq!((&*back.id, &*back.model), ("r1", "m"));
        back.id.clone_from(&response.id);
        back.model.clone_from(&response.model);
        if let Some(first) = back.candidates[0].logprobs.first() {
            panic!("{name}: {first:?}");
        }
        assert_eq!(back, response, "{name}");
        // The same answer as a stream of one event.
        let fold = decode_events(&[body.to_string().into_bytes()]).unwrap();
        assert_eq!((fold.disorder, fold.response()), (None, &response), "{name}");
        let covers = recording["covers"].to_string();
        let parts = &response.candidates[0].parts;
        assert_eq!(
            covers.contains("\"thinking\""),
            parts.iter().any(|part| matches!(part, Part::Thinking(_))),
            "{name}"
        );
        let cited = parts
            .iter()
            .any(|part| matches!(part, Part::Text { citations, .. } if !citations.is_empty()));
        assert_eq!(covers.contains("citations"), cited, "{name}");
        let called = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        assert_eq!(
            called,
            response.candidates[0].finish == Some(Finish::ToolCalls),
            "{name}"
        );
    }
}

#[test]
fn recorded_streams_decode_at_any_split_and_come_back_from_the_writer() {
    let mut streams = 0;
    for (name, recording) in of_status_200() {
        let Some(datas) = stream_of(&recording) else { continue };
        streams += 1;
        let fold = decode_events(&datas).unwrap();
        assert_eq!(
            (fold.disorder, fold.ended(), &fold.error),
            (None, true, &None),
            "{name}"
        );
        let response = fold.response();
        let last: Json = serde_json::from_slice(datas.last().unwrap()).unwrap();
        let total = last["usageMetadata"]["totalTokenCount"].as_u64();
        assert_eq!(response.usage.map(|usage| usage.total()), total, "{name}");
        for json_array in [false, true] {
            let sent = rewritten(&datas, json_array);
            let again = match json_array {
                false => sse_datas(&sent, usize::MAX),
                true => array_datas(&sent, usize::MAX),
            };
            let back = decode_events(&again).unwrap();
            assert_eq!(back.disorder, None, "{name}");
            let mut back = own(back.response());
            back.id.clone_from(&response.id);
            back.model.clone_from(&response.model);
            back.service_tier.clone_from(&response.service_tier);
            assert_eq!(&back, response, "{name}");
        }
    }
    assert!(streams == 0 || streams >= 8, "{streams}");
}

/// A stream decoded and written again for a client of this dialect.
fn rewritten(datas: &[Vec<u8>], json_array: bool) -> Vec<u8> {
    let mut writer = Gemini.writer(&Default::default(), reply(json_array));
    let mut decoder = GeminiCodec::default().decoder(Expect::default());
    let mut out = Vec::new();
    for data in datas {
        let raw = RawEvent {
            name: "",
            exception: false,
            data,
            max_depth: 128,
        };
        decoder.event(raw, &mut |event| writer.event(&event, &mut out)).unwrap();
    }
    decoder.finish(&mut |event| writer.event(&event, &mut out)).unwrap();
    out
}

/// A recorded body in the form that the codec writes. What differs, and why it is the same:
/// schemas are JSON Schema (`parametersJsonSchema`, `responseJsonSchema`, lower-case types), both spellings are one field,
/// an empty system prompt and empty configuration say nothing, `["TEXT"]` is what is answered anyway, numbers are numbers,
/// media are standard base64, `systemInstruction.role` is not looked at.
fn normal(value: &Json, key: &str, in_schema: bool) -> Json {
    match value {
        Json::Object(members) => {
            let mut all = serde_json::Map::new();
            for (key, value) in members {
                let spelled = match key.as_str() {
                    "parameters" => "parametersJsonSchema",
                    "responseSchema" | "response_schema" => "responseJsonSchema",
                    "response_mime_type" => "responseMimeType",
                    other => other,
                };
                let schema = in_schema || spelled.ends_with("JsonSchema");
                let value = normal(value, spelled, schema);
                if !value.is_null() {
                    all.insert(spelled.to_owned(), value);
                }
            }
            if key == "systemInstruction" {
                all.remove("role");
                let parts = all.remove("parts").unwrap_or_default();
                let parts = if parts.is_array() { parts } else { json!([parts]) };
                if parts == json!([{"text": ""}]) {
                    return Json::Null;
                }
                all.insert("parts".into(), parts);
            }
            if key == "generationConfig" && all.is_empty() {
                return Json::Null;
            }
            Json::Object(all)
        }
        Json::Array(_) if key == "responseModalities" && *value == json!(["TEXT"]) => Json::Null,
        Json::Array(items) => items.iter().map(|item| normal(item, "", in_schema)).collect(),
        Json::Number(number) => json!(number.as_f64()),
        Json::String(text) if in_schema && key == "type" => json!(text.to_lowercase()),
        Json::String(text) if key == "data" => json!(text.replace('-', "+").replace('_', "/")),
        other => other.clone(),
    }
}

#[test]
fn recorded_requests_come_back_equivalent() {
    for (name, recording) in recordings() {
        let request = &recording["request"];
        let path = request["path"].as_str().unwrap();
        let model = path
            .split("models/")
            .nth(1)
            .and_then(|rest| rest.split(':').next())
            .unwrap();
        let text = request["body"].to_string();
        let body = node(&text);
        let codec = codec(&name);
        let made = if path.contains("EmbedContents") {
            let read = Gemini.read_embed(&body).unwrap();
            assert!(read.batch && !is_batch(&read));
            codec.encode_embed(&read, aim(model)).unwrap()
        } else if path.contains("countTokens") {
            codec
                .encode_count(&Gemini.read_count(&body).unwrap(), aim(model))
                .unwrap()
        } else {
            let read = Gemini.read(&body, false).unwrap();
            let encoding = codec.encode(&read, aim(model)).unwrap();
            assert_eq!(encoding.expect.renamed_tools, []);
            Made {
                body: encoding.body,
                dropped: encoding.dropped,
            }
        };
        assert!(made.dropped.is_empty(), "{name}: {:?}", made.dropped);
        let mut sent: Json = serde_json::from_slice(&made.body).unwrap();
        if path.contains("batchEmbed") {
            // A batch of one is asked for alone.
            sent = json!({"requests": [sent]});
        }
        assert_eq!(normal(&sent, "", false), normal(&request["body"], "", false), "{name}");
    }
}

#[test]
fn recorded_counts_and_vectors_are_read() {
    for (name, recording) in of_status_200() {
        let text = recording["response"]["body"].to_string();
        let body = node(&text);
        if name.contains("count-tokens") {
            let count = GeminiCodec::default().decode_count(&body).unwrap();
            assert_eq!(Some(count.input), recording["response"]["body"]["totalTokens"].as_u64());
        } else if name.contains("embedding") {
            let response = GeminiCodec::default().decode_embed(&body).unwrap();
            let request = crate::wire::canonical::aux::EmbedRequest {
                batch: true,
                ..Default::default()
            };
            let mut out = Vec::new();
            Gemini.write_embed(&request, &response, &reply(false), &mut out);
            let back: Json = serde_json::from_slice(&out).unwrap();
            assert_eq!(back, recording["response"]["body"]);
        } else if name.contains("error") {
            assert!(GeminiCodec::default().decode(&body, &Expect::default()).is_err());
        }
    }
}

#[test]
fn facts_say_what_the_decoder_says() {
    for (name, recording) in of_status_200() {
        let Some(datas) = stream_of(&recording) else { continue };
        let mut usage = crate::units::Usage::default();
        let mut finished = false;
        for data in &datas {
            let facts = crate::wire::gemini::facts(data, 128).unwrap();
            facts.usage.iter().for_each(|figures| usage.merge(figures));
            finished |= facts.finished;
        }
        assert!(finished, "{name}");
        assert_eq!(Some(usage), decode_events(&datas).unwrap().response().usage, "{name}");
    }
}
