//! The recordings (`../shared/transcripts`): every leaf of content, as a plain walk over the values finds them, is seen once.

use super::*;
use std::path::{Path, PathBuf};

/// Members that hold content, in any of the dialects, as their references name them.
const CONTENT: [&str; 36] = [
    "content",
    "text",
    "thinking",
    "reasoning",
    "reasoning_content",
    "refusal",
    "system",
    "instructions",
    "input",
    "output",
    "prompt",
    "suffix",
    "query",
    "documents",
    "title",
    "context",
    "cited_text",
    "filename",
    "transcript",
    "message",
    "chat_history",
    "texts",
    "tool_plan",
    "code",
    "renderedContent",
    "webSearchQueries",
    "retrieved_at",
    "file_url",
    "summary",
    "parts",
    "systemInstruction",
    "system_instruction",
    "contents",
    "json",
    "actionReason",
    "modelOutput",
];

/// Mark every leaf of content of a recorded body with a marker of its own; how many.
fn mark(value: &mut Value, key: &str, content: bool, count: &mut usize) {
    match value {
        Value::String(text)
            if key == "arguments" && serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_object()) =>
        {
            let mut inner: Value = serde_json::from_str(text).unwrap();
            mark(&mut inner, "", true, count);
            // As hidden as can be.
            *text = inner.to_string().replace('§', "\\u00a7");
        }
        Value::String(text) if content && !text.is_empty() => {
            text.push_str(&format!(" §{count}§"));
            *count += 1;
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mark(item, key, content, count)),
        Value::Object(members) => {
            let own = matches!(key, "args" | "response")
                || key == "input" && !members.contains_key("role") && !members.contains_key("type");
            for (name, value) in members.iter_mut() {
                let parameter = key == "body" && matches!(name.as_str(), "tools" | "reasoning" | "text" | "thinking");
                let signature = name == "input" && key == "body";
                if !parameter {
                    let name = if signature { "content" } else { name };
                    mark(value, name, own || key.is_empty() || CONTENT.contains(&name), count);
                }
            }
        }
        _ => {}
    }
}

fn recordings() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CIRQUE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let folder = shared.join("transcripts");
    let Ok(folders) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no recordings at {} (set CIRQUE_SHARED)", folder.display());
        return Vec::new();
    };
    let files = folders.filter_map(|entry| std::fs::read_dir(entry.unwrap().path()).ok());
    files
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect()
}

#[test]
fn every_leaf_of_content_of_every_recording_is_seen() {
    let (mut bodies, mut marks) = (0, 0);
    for path in recordings() {
        let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let dialect = match folder.as_str() {
            "openai-responses" => Dialect::Responses,
            "gemini" | "vertex" => Dialect::Gemini,
            "anthropic" => Dialect::Anthropic,
            "bedrock" => Dialect::Bedrock,
            "cohere" => Dialect::Cohere,
            _ => Dialect::OpenAi,
        };
        let file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (body, document) in [
            (&file["request"]["body"], Document::Request(Operation::Chat, dialect)),
            (&file["response"]["body"], Document::Answer(Operation::Chat, dialect)),
        ] {
            // What Responses repeats of a request is not marked by the plain walk either.
            let mut marked = body.clone();
            if let (Document::Answer(_, Dialect::Responses), Some(members)) = (document, marked.as_object_mut()) {
                members.retain(|name, _| name != "instructions");
            }
            let mut count = 0;
            mark(&mut marked, "body", false, &mut count);
            if count == 0 {
                continue;
            }
            let bytes = Bytes::from(serde_json::to_vec(&marked).unwrap());
            let mut seen = vec![0; count];
            let edited = rewrite(&bytes, document, 64, &mut |_, text| {
                let at = text.find(" §")?;
                seen[text[at + 3..text.len() - 2].parse::<usize>().unwrap()] += 1;
                Some(text[..at].to_owned())
            });
            assert!(
                seen.iter().all(|times| *times == 1),
                "{}: {document:?} {seen:?}\n{marked:#}",
                path.display()
            );
            let edited: Value = serde_json::from_slice(&edited.unwrap()).unwrap();
            // The signed stays marked; all else is as it was recorded.
            let signed = edited.to_string().matches(" §").count();
            assert!(
                signed <= 1 && (signed == 0 || edited.to_string().contains("\"signature\"")),
                "{}",
                path.display()
            );
            bodies += 1;
            marks += count;
        }
    }
    eprintln!("{bodies} bodies, {marks} leaves");
    assert!(
        recordings().is_empty() || bodies > 200 && marks > 400,
        "{bodies} {marks}"
    );
}
