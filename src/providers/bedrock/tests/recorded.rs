//! The recorded exchanges of `../shared/transcripts/bedrock`; skipped with a message where they are not.

use super::*;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Citation, Extra, Finish, Function, Media, MediaKind, Source, Tool, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::eventstream::{FrameReader, messages};
use base64::Engine as _;
use serde_json::json;

/// All recordings: name and content.
pub(super) fn recordings() -> Vec<(String, Value)> {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = ["../shared/transcripts/bedrock", "../../shared/transcripts/bedrock"];
    let Some(files) = folders
        .iter()
        .find_map(|at| std::fs::read_dir(format!("{root}/{at}")).ok())
    else {
        eprintln!("skipped: no recordings beside {root}");
        return Vec::new();
    };
    let mut all = Vec::new();
    for file in files.map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        all.push((name, serde_json::from_str(&text).unwrap()));
    }
    all.sort_by(|a: &(String, Value), b| a.0.cmp(&b.0));
    all
}

pub(super) fn stream(recording: &Value) -> Option<Vec<u8>> {
    let text = recording["response"]["base64"].as_str()?;
    Some(base64::prelude::BASE64_STANDARD.decode(text).unwrap())
}

fn model(recording: &Value) -> String {
    let path = recording["request"]["path"].as_str().unwrap();
    path.split('/').nth(2).unwrap().replace("%3A", ":")
}

fn read(bytes: &[&[u8]], model: &str) -> Fold {
    let mut reader = FrameReader::new(1 << 20);
    let mut decoder = ConverseCodec.decoder(expect(model));
    let mut fold = Fold::new();
    for piece in bytes {
        reader.space().extend_from_slice(piece);
        while let Some(frame) = reader.take().unwrap() {
            decoder.event(raw(&frame), &mut |event| fold.event(&event)).unwrap();
        }
    }
    reader.finish().unwrap();
    decoder.finish(&mut |event| fold.event(&event)).unwrap();
    assert_eq!((fold.disorder, &fold.error), (None, &None));
    assert!(fold.ended());
    fold
}

#[test]
fn streams_decode_the_same_at_every_split() {
    let mut seen = 0;
    for (name, recording) in recordings() {
        let (Some(bytes), true) = (stream(&recording), name.starts_with("converse")) else {
            continue;
        };
        seen += 1;
        let model = model(&recording);
        let whole = owned(read(&[&bytes], &model).response());
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(&owned(read(&single, &model).response()), &whole, "{name}");
        let sevens: Vec<&[u8]> = bytes.chunks(7).collect();
        assert_eq!(&owned(read(&sevens, &model).response()), &whole, "{name}");
        assert!(
            !whole.candidates[0].parts.is_empty() && whole.candidates[0].finish.is_some(),
            "{name}"
        );
        assert!(
            whole.usage.is_some_and(|usage| usage.input > 0 && usage.output > 0),
            "{name}"
        );
    }
    eprintln!("{seen} converse streams");
}

#[test]
fn streams_of_other_dialects_are_framed_the_same() {
    for (name, recording) in recordings() {
        let (Some(bytes), true) = (stream(&recording), name.starts_with("invoke")) else {
            continue;
        };
        for frame in messages(&bytes, 1 << 20).unwrap() {
            assert_eq!((frame.name(), frame.is_exception()), ("chunk", false), "{name}");
            let data: Value = serde_json::from_slice(&frame.payload).unwrap();
            let inner = base64::prelude::BASE64_STANDARD
                .decode(data["bytes"].as_str().unwrap())
                .unwrap();
            assert!(serde_json::from_slice::<Value>(&inner).unwrap()["type"].is_string());
        }
    }
}

#[test]
fn what_was_said_is_what_was_recorded() {
    for (name, recording) in recordings() {
        let Some(bytes) = stream(&recording).filter(|_| name.starts_with("converse")) else {
            continue;
        };
        let answer = owned(read(&[&bytes], &model(&recording)).response());
        let candidate = &answer.candidates[0];
        match name.as_str() {
            "converse-stream-tool-1" => {
                assert_eq!(
                    candidate.parts[0],
                    Part::text("I'll check the current weather in San Francisco, CA for you.")
                );
                let Part::ToolCall(call) = &candidate.parts[1] else {
                    panic!("no call");
                };
                assert_eq!(call.arguments, r#"{"location": "San Francisco, CA"}"#);
                assert_eq!(candidate.finish, Some(Finish::ToolCalls));
            }
            "converse-stream-parallel-tools-1" => {
                let calls = candidate.parts.iter().filter(|part| matches!(part, Part::ToolCall(_)));
                assert_eq!(calls.count(), 2);
            }
            "converse-citations-1" => {
                assert_eq!(candidate.parts.len(), 4);
                let Part::Text { text, citations, .. } = &candidate.parts[1] else {
                    panic!("no text");
                };
                assert_eq!(text, "20 days annual leave.");
                let first: &Citation<'_> = &citations[0];
                assert_eq!(
                    (first.document, first.title.as_deref()),
                    (Some(0), Some("company_policy"))
                );
                let cited = "Company leave policy: Employees get 20 days annual leave. ";
                assert_eq!(first.cited_text.as_deref(), Some(cited));
                assert_eq!(first.raw.as_ref().unwrap().0, Dialect::Bedrock);
            }
            "converse-stream-nova-guardrail" => {
                assert_eq!(candidate.finish, Some(Finish::ContentFilter));
                let (dialect, verdict) = candidate.safety.as_ref().unwrap();
                assert_eq!(*dialect, Dialect::Bedrock);
                assert!(verdict.contains("inputAssessment"));
            }
            _ => assert_eq!(candidate.finish, Some(Finish::Stop), "{name}"),
        }
    }
}

#[test]
fn whole_answers_decode() {
    for (name, recording) in recordings() {
        let response = &recording["response"];
        if !name.starts_with("converse") || response["status"] != 200 || response["body"].is_null() {
            continue;
        }
        let answer = decoded(&response["body"].to_string(), &expect(&model(&recording)));
        let candidate = &answer.candidates[0];
        assert!(!candidate.parts.is_empty() && candidate.finish.is_some(), "{name}");
        assert!(
            !candidate.parts.iter().any(|part| matches!(part, Part::Opaque { .. })),
            "{name}"
        );
        let usage = &response["body"]["usage"];
        let figures = Usage {
            input: usage["inputTokens"].as_u64().unwrap(),
            output: usage["outputTokens"].as_u64().unwrap(),
            ..Usage::default()
        };
        assert_eq!(answer.usage, Some(figures), "{name}");
        let text = |at: usize| match &candidate.parts[at] {
            Part::Text { text, .. } => text.to_string(),
            _ => String::new(),
        };
        match name.as_str() {
            "converse-text" => {
                assert_eq!(
                    (text(0).as_str(), &candidate.finish),
                    ("Hi, how can I help you", &Some(Finish::Length))
                );
            }
            "converse-guardrail" => {
                assert_eq!(candidate.finish, Some(Finish::ContentFilter));
                assert!(candidate.safety.as_ref().unwrap().1.contains("piiEntities"));
            }
            "converse-citations-2" => assert_eq!(text(1), "consult with your manager for details."),
            "converse-tool-1" => assert_eq!(candidate.finish, Some(Finish::ToolCalls)),
            _ => {}
        }
    }
}

/// A recorded body as a canonical request: no client speaks Converse, so only the tests read it.
fn request(body: &'static Value) -> Request<'static> {
    let text = |value: &'static Value| value.as_str().map(Into::into);
    let mut messages: Vec<Message<'static>> = Vec::new();
    for block in body["system"].as_array().into_iter().flatten() {
        messages.push(system(block["text"].as_str().unwrap()));
    }
    for message in body["messages"].as_array().unwrap() {
        let parts = message["content"].as_array().unwrap().iter().map(part).collect();
        let role = message["role"].as_str().unwrap();
        messages.push(if role == "user" { user(parts) } else { assistant(parts) });
    }
    let config = &body["inferenceConfig"];
    let mut request = Request {
        messages,
        ..Request::default()
    };
    request.sampling.max_tokens = config["maxTokens"].as_u64();
    request.sampling.temperature = config["temperature"].as_f64();
    request.sampling.top_p = config["topP"].as_f64();
    let stops = config["stopSequences"].as_array().into_iter().flatten();
    request.sampling.stop = stops.filter_map(text).collect();
    request.sampling.top_k = body["additionalModelRequestFields"]["inferenceConfig"]["topK"].as_u64();
    for tool in body["toolConfig"]["tools"].as_array().into_iter().flatten() {
        let spec = &tool["toolSpec"];
        request.tools.push(Tool::Function(Function {
            name: text(&spec["name"]).unwrap(),
            description: text(&spec["description"]),
            parameters: Some(spec["inputSchema"]["json"].to_string().into()),
            ..Function::default()
        }));
    }
    if let Some(config) = body.get("guardrailConfig") {
        request.extras.push(Extra {
            dialect: Dialect::Bedrock,
            key: "guardrailConfig".into(),
            raw: config.to_string().into(),
        });
    }
    request
}

fn part(block: &'static Value) -> Part<'static> {
    let (key, inner) = block.as_object().unwrap().iter().next().unwrap();
    let text = |value: &'static Value| value.as_str().map(Into::into);
    match key.as_str() {
        "text" => Part::text(inner.as_str().unwrap()),
        "toolUse" => Part::ToolCall(ToolCall {
            id: text(&inner["toolUseId"]).unwrap(),
            name: text(&inner["name"]).unwrap(),
            arguments: inner["input"].to_string().into(),
            kind: ToolCallKind::Function,
            signature: None,
            cache: None,
        }),
        "toolResult" => {
            let said = inner["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|said| match said.get("json") {
                    Some(json) => Part::text(json.to_string()),
                    None => part(said),
                });
            Part::ToolResult(ToolResult {
                call_id: text(&inner["toolUseId"]).unwrap(),
                name: None,
                parts: said.collect(),
                is_error: false,
                kind: ToolCallKind::Function,
                cache: None,
            })
        }
        "document" => {
            let source = Source::Text(text(&inner["source"]["text"]).unwrap());
            let mut media = Media::new(MediaKind::Document, source, Some("text/plain".into()));
            media.title = text(&inner["name"]);
            media.context = text(&inner["context"]);
            media.citations = inner["citations"]["enabled"].as_bool();
            Part::Media(media)
        }
        "citationsContent" => {
            let raw = |citation: &'static Value| Citation {
                raw: Some((Dialect::Bedrock, citation.to_string().into())),
                ..Citation::default()
            };
            Part::Text {
                text: text(&inner["content"][0]["text"]).unwrap(),
                cache: None,
                citations: inner["citations"].as_array().unwrap().iter().map(raw).collect(),
                signature: None,
            }
        }
        _ => Part::Opaque {
            dialect: Dialect::Bedrock,
            kind: key.as_str().into(),
            raw: block.to_string().into(),
        },
    }
}

/// What is written otherwise than recorded, and why.
fn as_written(name: &str, mut body: Value) -> Value {
    // Empty members say nothing.
    let members = body.as_object_mut().unwrap();
    members.retain(|_, value| !matches!(value, Value::Object(o) if o.is_empty()) && value != &json!([]));
    if let Some(top_p) = body.pointer_mut("/inferenceConfig/topP") {
        // The same number.
        *top_p = json!(top_p.as_f64());
    }
    for message in body["messages"].as_array_mut().unwrap() {
        for block in message["content"].as_array_mut().unwrap() {
            if let Some(result) = block.get_mut("toolResult") {
                // `success` is the default.
                result.as_object_mut().unwrap().remove("status");
                // The canonical model carries JSON results as text.
                for said in result["content"].as_array_mut().unwrap() {
                    if let Some(json) = said.get("json") {
                        *said = json!({ "text": json.to_string() });
                    }
                }
            }
            // An underscore is not among the characters documented for names.
            if let Some(document) = block.get_mut("document") {
                document["name"] = json!("company-policy");
            }
        }
    }
    if name == "converse-guardrail" {
        // Two user messages in a row become one turn.
        let second = body["messages"].as_array_mut().unwrap().remove(1);
        let more = second["content"][0].clone();
        body["messages"][0]["content"].as_array_mut().unwrap().push(more);
    }
    body
}

#[test]
fn recorded_requests_are_written_again() {
    for (name, recording) in recordings() {
        if !name.starts_with("converse") {
            continue;
        }
        let recorded: &'static Value = Box::leak(Box::new(recording["request"]["body"].clone()));
        let model = model(&recording);
        let (body, encoding) = encoded(&request(recorded), &model);
        assert_eq!(body, as_written(&name, recorded.clone()), "{name}");
        assert_eq!(encoding.dropped.names(), &[] as &[String], "{name}");
    }
}
