//! Edits of any body: JSON stays JSON, what is set is set and what is removed is gone, everything else is as it was, and doing it
//! again changes nothing.
#![no_main]

use bytes::Bytes;
use cirque::wire::edit::Edits;
use cirque::wire::json::scan_object;
use cirque::wire::{Dialect, Operation};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const NAMES: [&str; 12] = [
    "temperature", "max_tokens", "stop", "user", "reasoning_effort", "verbosity", "top_p", "seed", "n", "top_k", "odd.name", "x\"y\\",
];
const DEPTH: usize = 64;

fn edits(picks: [u8; 6]) -> Edits {
    let name = |at: usize| NAMES[usize::from(picks[at]) % NAMES.len()].to_owned();
    let mut edits = Edits::default();
    edits.set.insert(name(0), json!(0.5));
    edits.set.insert(name(1), json!({"a": ["b", null]}));
    edits.default.insert(name(2), json!("text \"quoted\""));
    edits.default.insert(name(3), json!(7));
    edits.remove.extend([name(4), name(5)]);
    edits
}

/// Members of the top object: raw name and value.
fn members(body: &[u8]) -> Option<Vec<(bool, Vec<u8>)>> {
    let mut out = Vec::new();
    scan_object(body, DEPTH, |member| {
        let named = NAMES.iter().any(|name| member.is(name)) || ["max_completion_tokens", "max_output_tokens", "stop_sequences", "metadata", "reasoning", "text", "generationConfig", "generation_config"].iter().any(|name| member.is(name));
        out.push((named, body[member.value.clone()].to_vec()));
    })
    .ok()?;
    Some(out)
}

fuzz_target!(|input: ([u8; 6], u8, &[u8])| {
    let (picks, which, body) = input;
    let dialect = Dialect::ALL[usize::from(which) % Dialect::ALL.len()];
    let operation = [Operation::Chat, Operation::Completions, Operation::Embeddings, Operation::CountTokens][usize::from(which / 8) % 4];
    let edits = edits(picks);
    // What the loader refuses never gets here.
    if edits.check().iter().any(|problem| problem.message.contains("already")) {
        return;
    }
    let body = Bytes::copy_from_slice(body);
    let Some(before) = members(&body) else {
        return;
    };
    let Ok(edited) = edits.apply(&body, operation, dialect, DEPTH) else {
        return;
    };
    if serde_json::from_slice::<&RawValue>(&body).is_ok() {
        assert!(serde_json::from_slice::<&RawValue>(&edited).is_ok(), "{}", String::from_utf8_lossy(&edited));
    }
    let after = members(&edited).unwrap_or_else(|| panic!("not an object any more: {}", String::from_utf8_lossy(&edited)));
    let others = |all: &[(bool, Vec<u8>)]| all.iter().filter(|(named, _)| !named).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    assert_eq!(others(&before), others(&after), "members nobody named");
    let again = edits.apply(&edited, operation, dialect, DEPTH);
    assert!(again.is_ok_and(|again| again == edited), "once more is no change");
    if (operation, dialect) == (Operation::Chat, Dialect::OpenAi) {
        // serde_json keeps the last of two; all of them are checked.
        let mut values: Vec<(String, Value)> = Vec::new();
        let _ = scan_object(&edited, DEPTH, |member| {
            for name in NAMES {
                if member.is(name) {
                    values.push((name.to_owned(), serde_json::from_slice(&edited[member.value.clone()]).unwrap_or_default()));
                }
            }
        });
        for (name, value) in &values {
            assert!(!edits.remove.contains(name), "{name} is still there");
            assert!(edits.set.get(name).is_none_or(|set| set == value), "{name} is {value}");
        }
        for name in edits.set.keys() {
            assert!(values.iter().any(|(known, _)| known == name), "{name} is not there");
        }
    }
});
