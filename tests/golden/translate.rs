//! The walk across dialects (see `../golden.rs`).

use super::answers::{self, Problems, Tally};
use super::aux;
use super::exchange::{exchanges, own, recordings};
use super::fidelity::Table;
use super::requests;
use super::speakers::{clients, spoken, targets};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Folders of `tests/fixtures` with exchanges of our own.
pub const OWN: [&str; 7] = [
    "openai",
    "responses",
    "anthropic",
    "gemini",
    "bedrock",
    "cohere",
    "mistral",
];

/// Walk every exchange of these folders.
pub fn walk(folders: &[&Path], table: &mut Table, problems: &mut Problems) -> Tally {
    let (clients, targets) = (clients(), targets());
    let mut tally = Tally::default();
    let only = std::env::var("CIRQUE_CASE").unwrap_or_default();
    for exchange in folders.iter().flat_map(|folder| exchanges(folder)) {
        if !exchange.name.contains(&only) {
            continue;
        }
        let path = exchange.request.as_ref().map(|(path, _)| path.as_str());
        if aux::walk(&exchange, problems) {
            tally.aux += 1;
            continue;
        }
        // Legacy completions are a client dialect only: no target is asked for them.
        if let Some(client) = clients
            .iter()
            .find(|client| client.name == "completions" && path.is_some_and(is_legacy))
        {
            tally.requests += usize::from(requests::walk(&exchange, client, &targets, problems));
            continue;
        }
        let Some(spoken) = spoken(&exchange.name, path) else {
            tally.skipped.push(exchange.name);
            continue;
        };
        // A panic is a problem of its case; the others are still walked.
        let walked = catch_unwind(AssertUnwindSafe(|| {
            if let Some(client) = clients.iter().find(|client| Some(client.name) == spoken.client) {
                tally.requests += usize::from(requests::walk(&exchange, client, &targets, problems));
            }
            answers::walk(&exchange, &spoken, &clients, table, &mut tally, problems);
        }));
        if walked.is_err() {
            problems.push(&exchange.name, "panicked");
        }
    }
    tally
}

fn is_legacy(path: &str) -> bool {
    path.ends_with("/completions") && !path.ends_with("/chat/completions")
}

/// Every folder there is.
pub fn everything(table: &mut Table, problems: &mut Problems) -> Tally {
    let mut folders: Vec<_> = OWN
        .iter()
        .map(|name| own(name))
        .filter(|folder| folder.is_dir())
        .collect();
    if let Some(recordings) = recordings() {
        let mut entries: Vec<_> = std::fs::read_dir(recordings)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        folders.extend(entries.into_iter().filter(|path| path.is_dir()));
    }
    let folders: Vec<&Path> = folders.iter().map(AsRef::as_ref).collect();
    walk(&folders, table, problems)
}

#[test]
fn every_exchange_in_every_dialect() {
    let (mut table, mut problems) = (Table::default(), Problems::default());
    let tally = everything(&mut table, &mut problems);
    eprintln!("{tally:?}");
    let shown: Vec<&str> = problems.0.iter().map(String::as_str).collect();
    let own = std::env::var_os("CIRQUE_CASE").is_none();
    assert!(
        !own || tally.requests >= 60 && tally.answers >= 55 && tally.streams >= 30,
        "{tally:?}"
    );
    assert!(shown.is_empty(), "{} problems:\n{}", shown.len(), shown.join("\n"));
}
