//! Recorded exchanges: reading them, cutting their streams.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// One recorded exchange.
pub struct Exchange {
    /// Folder and file.
    pub name: String,
    /// What it is about.
    pub covers: Vec<String>,
    /// Path without its query, and body; absent where only the answer was recorded.
    pub request: Option<(String, Value)>,
    /// Of the answer.
    pub status: u16,
    /// Of the answer.
    pub headers: Value,
    pub answer: Answer,
}

/// What came back.
pub enum Answer {
    Json(Value),
    /// Server-sent events.
    Events(String),
    /// An AWS event stream.
    Frames(Vec<u8>),
}

impl Exchange {
    pub fn load(path: &Path) -> Self {
        let name = path.strip_prefix(path.ancestors().nth(2).unwrap()).unwrap();
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let response = &file["response"];
        let request = file["request"].as_object().map(|request| {
            let path = request["path"].as_str().unwrap();
            (path.split('?').next().unwrap().to_owned(), request["body"].clone())
        });
        let answer = if let Some(sse) = response.get("sse") {
            Answer::Events(sse.as_str().unwrap().to_owned())
        } else if let Some(body) = response.get("body") {
            Answer::Json(body.clone())
        } else {
            Answer::Frames(base64(response["base64"].as_str().unwrap()))
        };
        Self {
            name: name.display().to_string(),
            covers: serde_json::from_value(file["covers"].clone()).unwrap(),
            request,
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            headers: response["headers"].clone(),
            answer,
        }
    }

    /// A number of its own, to seed chance with.
    pub fn seed(&self) -> u64 {
        self.name
            .bytes()
            .fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte))
    }
}

/// The exchanges of a folder, by name.
pub fn exchanges(folder: &Path) -> Vec<Exchange> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths.iter().map(|path| Exchange::load(path)).collect()
}

/// The recordings, or why there are none.
pub fn recordings() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CIRQUE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let folder = shared.join("transcripts");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no recordings at {} (set CIRQUE_SHARED)", folder.display());
        return None;
    }
    Some(folder)
}

/// Our own exchanges, in the recordings' format.
pub fn own(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder)
}

/// The pieces of every way to feed: whole, byte by byte, by seven, and at seeded random places.
pub fn ways(bytes: &[u8], seed: u64) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![bytes], bytes.chunks(1).collect(), bytes.chunks(7).collect()];
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..4 {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(dice.usize(1..=rest.len().min(900)));
            pieces.push(piece);
            rest = more;
        }
        ways.push(pieces);
    }
    ways
}

/// Standard base64, without the code under test.
pub fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|byte| !matches!(byte, b'=' | b'\n')) {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("{other} is not base64"),
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}
