//! Golden walk: every recorded exchange goes through the pure code, request and answer, and nothing may be lost.
//!
//! Recordings are in `../shared/transcripts` (or `$CIRQUE_SHARED/transcripts`; a clone without them skips those and says
//! so); ours, in the same format, are in `tests/fixtures/<dialect>` and always run. No code is written for a case.
//!
//! Two walks. [`openai`]: the client speaks the target's API, and what must come out is worked out from the recording by
//! serde_json and a plain line splitter. [`translate`]: every exchange into every other dialect and back; what a dialect
//! cannot carry is data (`golden/speakers.rs`, `golden/requests.rs`), what targets accept is in `golden/shapes`, and
//! `docs/fidelity.md` is made from it. `CIRQUE_CASE=anthropic/cache` walks only the cases whose name holds that.
//!
//! A new dialect adds its folders to [`FOLDERS`] and `speakers::spoken`, itself to `speakers::{clients, targets}`, a shape,
//! and a column in `probes.json`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "golden/answers.rs"]
mod answers;
#[path = "golden/aux.rs"]
mod aux;
#[path = "golden/costs.rs"]
mod costs;
#[path = "golden/damage.rs"]
mod damage;
#[path = "golden/echo.rs"]
mod echo;
#[path = "golden/exchange.rs"]
mod exchange;
#[path = "golden/fidelity.rs"]
mod fidelity;
#[path = "golden/kept.rs"]
mod kept;
#[path = "golden/meaning.rs"]
mod meaning;
#[path = "golden/names.rs"]
mod names;
#[path = "golden/openai.rs"]
mod openai;
#[path = "golden/protocol.rs"]
mod protocol;
#[path = "golden/requests.rs"]
mod requests;
#[path = "golden/rules.rs"]
mod rules;
#[path = "golden/speakers.rs"]
mod speakers;
#[path = "golden/stream.rs"]
mod stream;
#[path = "golden/streams.rs"]
mod streams;
#[path = "golden/translate.rs"]
mod translate;

use exchange::{Answer, Exchange, exchanges, own, recordings};
use std::path::Path;

/// What a folder of recordings speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    /// Another, which only the walk across dialects takes.
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
    let tally = walk(&own("openai"), Dialect::OpenAi);
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
