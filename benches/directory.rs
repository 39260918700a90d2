//! Tenants and keys: building the directory of 10 000 keys and 1 000 teams, looking a key up, and what both take in memory.
//!
//! `cargo bench --bench directory` for times. `cargo bench --bench directory -- --rss` prints how much the process's memory
//! grows by building one, from the file and from the store: each in a process of its own (`--rss file`, `--rss store`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may fail by panicking"
)]

use cirque::auth::{Credential, Digest, KeyHasher, Question, credential, token};
use cirque::config::{self, Config};
use cirque::directory::{Directory, FileKeys, Named, Sources};
use cirque::secret::Secret;
use cirque::storage::{KeyHashRow, Kind, Object};
use criterion::{Criterion, criterion_group};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: usize = 10_000;
const TEAMS: usize = 1_000;
const HEAD: &str = "listen: 127.0.0.1:0\nauth: { key_secret: env:UNREAD }\nproviders: { p: { kind: demo } }\n\
                    models: { m: { targets: [ { provider: p } ] } }\norganisations: { acme: { tags: [acme] } }\n";

fn hasher() -> KeyHasher {
    KeyHasher::new(&Secret::new("h".repeat(32))).unwrap()
}

fn secret(key: usize) -> String {
    format!("key-number-{key:08}-of-the-benchmark")
}

fn digest(hasher: &KeyHasher, key: usize) -> Digest {
    hasher.digest(&secret(key))
}

fn team(index: usize) -> Value {
    json!({
        "organisation": "acme", "tags": [format!("cost-centre:{}", index % 50)], "models": ["m", "gpt-*"],
        "limits": [{"requests": 1000, "per": "1m"}, {"tokens": 1_000_000, "per": "1m"}], "budgets": [{"usd": "250.00"}],
        "metadata": {"owner": format!("owner-{index}@acme.example")},
    })
}

fn key(index: usize) -> Value {
    json!({
        "team": format!("team-{}", index % TEAMS), "limits": [{"requests": 60, "per": "1m"}],
        "description": "continuous integration", "expires": "2030-01-01T00:00:00Z",
    })
}

/// All in the store.
fn stored() -> Vec<Object> {
    let hasher = hasher();
    let object = |kind, name: String, document: Value, hashes| Object {
        kind,
        name,
        document: document.into(),
        hashes,
        revision: 1,
        created_at: 1,
        updated_at: 1,
        deleted: false,
    };
    let teams = (0..TEAMS).map(|index| object(Kind::Team, format!("team-{index}"), team(index), Vec::new()));
    let keys = (0..KEYS).map(|index| {
        let row = KeyHashRow {
            hash: digest(&hasher, index).to_hex(),
            shown: "cq-3fAx…".to_owned(),
            until: None,
        };
        object(Kind::Key, format!("key-{index}"), key(index), vec![row])
    });
    teams.chain(keys).collect()
}

/// All in a file.
fn written() -> Config {
    let hasher = hasher();
    let mut text = format!("{HEAD}teams:\n");
    for index in 0..TEAMS {
        text += &format!("  team-{index}: {}\n", team(index));
    }
    text += "keys:\n";
    for index in 0..KEYS {
        let mut key = key(index);
        key["hash"] = digest(&hasher, index).to_hex().into();
        text += &format!("  key-{index}: {key}\n");
    }
    config::parse(&text, "bench").unwrap()
}

fn build(config: &Config, objects: &[Object]) -> Directory {
    let (file_keys, problems) = FileKeys::read(config, &hasher());
    assert!(problems.is_empty());
    Directory::build(&Sources {
        config,
        file_keys: &file_keys,
        objects,
    })
}

fn directory(c: &mut Criterion) {
    let empty = config::parse(HEAD, "bench").unwrap();
    let objects = stored();
    let file = written();
    let mut group = c.benchmark_group("directory");
    group.sample_size(20);
    group.bench_function("build/store", |b| b.iter(|| build(&empty, black_box(&objects))));
    group.bench_function("build/file", |b| b.iter(|| build(black_box(&file), &[])));
    group.finish();

    let directory = build(&empty, &objects);
    assert_eq!(directory.key_count(), KEYS);
    let hasher = hasher();
    let digests: Vec<Digest> = (0..KEYS).map(|key| digest(&hasher, key)).collect();
    let unknown = hasher.digest("nobody's key, as long as the others");
    let mut next = 0;
    c.bench_function("lookup/known", |b| {
        b.iter(|| {
            next = (next + 7919) % KEYS;
            directory.principal(black_box(&digests[next]), 1).is_some()
        });
    });
    c.bench_function("lookup/unknown", |b| {
        b.iter(|| directory.principal(black_box(&unknown), 1).is_some())
    });
    let made = token::generate().unwrap();
    c.bench_function("token/check", |b| b.iter(|| token::check(black_box(made.expose()))));
    c.bench_function("token/digest", |b| b.iter(|| hasher.digest(black_box(made.expose()))));
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {}", made.expose());
    headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    c.bench_function("credential/find", |b| {
        b.iter(|| {
            matches!(
                credential::find(black_box(&headers), None),
                Ok(Some(Credential::Key(_)))
            )
        });
    });
    let principal = directory.principal(&digests[0], 1).unwrap();
    let question = Question {
        model: Some("m"),
        operation: "chat",
        ip: None,
        now: 1,
    };
    c.bench_function("access/check", |b| {
        b.iter(|| principal.access.check(black_box(&question)).is_ok())
    });
    let named = Named {
        team: Some("team-1"),
        user: Some("ann"),
        ..Named::default()
    };
    c.bench_function("person/kept", |b| {
        b.iter(|| directory.person(black_box(&named)).is_ok())
    });
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn memory(from: &str) {
    let (config, objects) = match from {
        "file" => (written(), Vec::new()),
        _ => (config::parse(HEAD, "bench").unwrap(), stored()),
    };
    let hasher = hasher();
    let (file_keys, _) = FileKeys::read(&config, &hasher);
    let before = resident();
    let began = std::time::Instant::now();
    let directory = Directory::build(&Sources {
        config: &config,
        file_keys: &file_keys,
        objects: &objects,
    });
    let took = began.elapsed();
    let after = resident();
    println!(
        "{KEYS} keys, {TEAMS} teams from the {from}: {:.1} MiB, first build {took:?} ({} keys open)",
        (after - before) as f64 / 1024.0,
        directory.key_count()
    );
}

criterion_group!(benches, directory);

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rss").skip(1);
    if std::env::args().any(|argument| argument == "--rss") {
        match arguments.next().filter(|from| !from.starts_with('-')) {
            Some(from) => memory(&from),
            None => {
                let own = std::env::current_exe().unwrap();
                for from in ["store", "file"] {
                    let status = std::process::Command::new(&own).args(["--rss", from]).status().unwrap();
                    assert!(status.success());
                }
            }
        }
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
