//! Golden walk: every recorded exchange goes through the pure code, request and answer, and nothing may be lost.
//!
//! Recordings are in `../shared/transcripts` (or `$CIRQUE_SHARED/transcripts`; a clone without them skips those and says
//! so); a few written here, in the same format, are in `tests/fixtures/openai` and always run. No code is written for a
//! case: what must come out is worked out from the recording by serde_json and a plain line splitter, and compared.
//!
//! A new dialect adds its folders to [`FOLDERS`] and a walk of its own beside [`openai`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::path::{Path, PathBuf};

#[path = "golden/openai.rs"]
mod openai;

/// What a folder of recordings speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    /// Not spoken yet.
    Other,
}

/// Every folder there is, so that a new one is not overlooked.
const FOLDERS: [(&str, Dialect); 16] = [
    ("openai-chat", Dialect::OpenAi),
    ("openai-completions", Dialect::OpenAi),
    ("openai-embeddings", Dialect::OpenAi),
    ("azure-openai", Dialect::OpenAi),
    ("deepseek", Dialect::OpenAi),
    ("groq", Dialect::OpenAi),
    ("huggingface", Dialect::OpenAi),
    ("mistral", Dialect::OpenAi),
    ("openrouter", Dialect::OpenAi),
    ("xai", Dialect::OpenAi),
    ("openai-responses", Dialect::Other),
    ("anthropic", Dialect::Other),
    ("bedrock", Dialect::Other),
    ("cohere", Dialect::Other),
    ("gemini", Dialect::Other),
    ("vertex", Dialect::Other),
];

/// One recorded exchange.
struct Exchange {
    name: String,
    /// Path without its query, and body; absent where only the answer was recorded.
    request: Option<(String, Value)>,
    status: u16,
    headers: Value,
    answer: Answer,
}

enum Answer {
    Json(Value),
    Events(String),
    Other,
}

impl Exchange {
    fn load(path: &Path) -> Self {
        let name = path.strip_prefix(path.ancestors().nth(2).unwrap()).unwrap();
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let response = &file["response"];
        let request = file["request"].as_object().map(|request| {
            let path = request["path"].as_str().unwrap();
            (path.split('?').next().unwrap().to_owned(), request["body"].clone())
        });
        let answer = match (response.get("sse"), response.get("body")) {
            (Some(sse), _) => Answer::Events(sse.as_str().unwrap().to_owned()),
            (None, Some(body)) => Answer::Json(body.clone()),
            (None, None) => Answer::Other,
        };
        Self {
            name: name.display().to_string(),
            request,
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            headers: response["headers"].clone(),
            answer,
        }
    }
}

fn exchanges(folder: &Path) -> Vec<Exchange> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Exchange::load(path)).collect()
}

/// The recordings, or why there are none.
fn recordings() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CIRQUE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let folder = shared.join("transcripts");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no recordings at {} (set CIRQUE_SHARED)", folder.display());
        return None;
    }
    Some(folder)
}

fn walk(folder: &Path, dialect: Dialect) -> openai::Tally {
    let mut tally = openai::Tally::default();
    for exchange in exchanges(folder) {
        match dialect {
            Dialect::OpenAi => openai::walk(&exchange, &mut tally),
            Dialect::Other => {}
        }
    }
    tally
}

#[test]
fn own_exchanges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openai");
    let tally = walk(&folder, Dialect::OpenAi);
    eprintln!("own: {tally:?}");
    assert!(
        tally.requests >= 15 && tally.documents >= 5 && tally.streams >= 8,
        "{tally:?}"
    );
}

#[test]
fn recorded_exchanges() {
    let Some(folder) = recordings() else { return };
    let mut all = openai::Tally::default();
    for (name, dialect) in FOLDERS {
        let tally = walk(&folder.join(name), dialect);
        eprintln!("{name}: {tally:?}");
        all.add(&tally);
    }
    assert!(
        all.requests >= 50 && all.documents >= 35 && all.streams >= 20,
        "{all:?}"
    );
}

#[test]
fn every_folder_has_a_dialect() {
    let Some(folder) = recordings() else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(
            !entry.path().is_dir() || FOLDERS.iter().any(|(known, _)| *known == name),
            "{name} is not in FOLDERS"
        );
    }
}
