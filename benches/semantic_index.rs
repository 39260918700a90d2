//! The semantic tier: a search of the index by size of the partition, what a question takes there, and lookups with the real encoder
//! where its files are.
//!
//! `cargo bench --bench semantic_index`; with `CIRQUE_BENCH_MILLION=1` also a million questions in one partition (1 GB).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use cirque::cache::semantic::encode::quantise;
use cirque::cache::semantic::encoder::Encoder;
use cirque::cache::semantic::index::Index;
use cirque::cache::semantic::vectors::{Label, PLACE, Place, Point};
use cirque::cache::semantic::{Asked, Semantic, Settings, Source, Terms, Vetted};
use cirque::cache::{Answer, Entry, Form, Key, Owner, Partition};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Numbers about a middle that all have in common, as an encoder's have.
struct Draw(u64);

impl Draw {
    fn number(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn near(&mut self, middle: &[f32], share: f32) -> Vec<f32> {
        middle
            .iter()
            .map(|x| x * share + self.number() * (1.0 - share))
            .collect()
    }
}

fn place(vector: &[f32]) -> Box<Place> {
    let mut place = Box::new([0; PLACE]);
    place.copy_from_slice(&quantise(vector).unwrap());
    place
}

fn key(number: usize) -> Key {
    Key((number as u128 * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes())
}

/// What this process holds, in bytes.
fn resident() -> u64 {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split(' ').nth(1)?.parse().ok())
        .unwrap_or(0);
    pages * 4096
}

/// An index of questions of forty characters, on as many topics as there are hundreds, and a few questions like some of them.
fn filled(entries: usize, partitions: usize) -> (Index, Vec<Place>) {
    let mut draw = Draw(entries as u64);
    let zero = [0.0; PLACE];
    let common = draw.near(&zero, 0.0);
    let topics: Vec<Vec<f32>> = (0..entries.div_ceil(100)).map(|_| draw.near(&common, 0.3)).collect();
    let index = Index::new(usize::MAX);
    let label = Arc::new(Label {
        owner: Owner::default(),
        model: "m".into(),
        tags: Box::default(),
    });
    let mut asked = Vec::new();
    let before = resident();
    for number in 0..entries {
        let vector = draw.near(&topics[number % topics.len()], 0.4);
        if number % (entries / 20).max(1) == 0 {
            asked.push(*place(&draw.near(&vector, 0.75)));
        }
        let partition = Partition([(number % partitions) as u8; 16]);
        index.put(Point {
            key: key(number),
            partition,
            label: label.clone(),
            made_ms: 0,
            ends_ms: u64::MAX,
            question: "a question of about forty characters, no"[..40].into(),
            place: place(&vector),
            meaning: Some(Box::new([1; 384])),
        });
    }
    let held = resident().saturating_sub(before) as usize / entries;
    println!(
        "{entries} questions in {partitions} partitions: {} bytes counted, {held} bytes held each, text of 40 included",
        index.bytes() as usize / entries
    );
    (index, asked)
}

fn search(c: &mut Criterion) {
    let million = std::env::var_os("CIRQUE_BENCH_MILLION").map(|_| 1_000_000);
    for entries in [100, 2_000, 10_000, 100_000].into_iter().chain(million) {
        let (index, asked) = filled(entries, 1);
        let partition = Partition([0; 16]);
        let mut turn = asked.iter().cycle();
        c.bench_function(&format!("semantic/near/{entries}"), |b| {
            b.iter(|| index.near(partition, black_box(turn.next().unwrap()), 8, 0.8, 0));
        });
        if entries == 100_000 {
            let nothing = place(&Draw(99).near(&[0.0; PLACE], 0.0));
            c.bench_function("semantic/near/100000/nothing_like_it", |b| {
                b.iter(|| index.near(partition, black_box(&nothing), 8, 0.8, 0));
            });
            c.bench_function("semantic/put_and_remove/100000", |b| {
                b.iter_batched(
                    || Point {
                        key: Key([0xff; 16]),
                        ends_ms: u64::MAX,
                        ..index.get_in(partition, key(5)).unwrap()
                    },
                    |point| {
                        index.put(point);
                        index.remove(partition, Key([0xff; 16]))
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    filled(100_000, 256);
    let (index, asked) = filled(50, 1);
    c.bench_function("semantic/near/an_empty_partition", |b| {
        b.iter(|| index.near(Partition([9; 16]), black_box(&asked[0]), 8, 0.8, 0));
    });
}

fn entry(number: usize, question: &str) -> Entry {
    Entry {
        key: key(number),
        partition: Partition([1; 16]),
        made_ms: 0,
        fresh_ms: u64::from(u32::MAX),
        stale_ms: 0,
        spare_ms: 0,
        owner: Owner::default(),
        model: "m".into(),
        target: "t".into(),
        tags: Box::default(),
        question: Some(question.into()),
        semantic: true,
        usage: None,
        cost: None,
        answer: Answer {
            form: Form::Canonical,
            zstd: false,
            length: 0,
            bytes: Bytes::new(),
        },
    }
}

/// Lookups among 2 000 questions, with the built-in encoder and verifier.
fn lookups(c: &mut Criterion) {
    let models = std::env::var("CIRQUE_TEST_MODELS").unwrap_or_else(|_| "models".into());
    let Ok(encoder) = Encoder::open(models.as_ref()) else {
        println!("no model files in {models}: `make models`, or set CIRQUE_TEST_MODELS; lookups left out");
        return;
    };
    let source = Source::Built(Arc::new(encoder));
    let tier = Semantic::new(Settings::default(), source, Arc::new(Vetted), None).unwrap();
    let (things, places) = (
        ["kettle", "bicycle", "window", "violin"],
        ["Rome", "Oslo", "Lima", "Cairo", "Perth"],
    );
    for number in 0..2000 {
        let (thing, place) = (things[number % 4], places[number % 5]);
        tier.learn(&entry(
            number,
            &format!("How do I repair {number} of the {thing}s that I bought in {place}?"),
        ));
    }
    tier.learn(&entry(5000, "What is the capital of France?"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let terms = Terms {
        threshold: 0.9,
        time_limit: Duration::from_secs(5),
    };
    for (name, question) in [
        ("nothing_near", "Why is the sky blue?"),
        ("veto", "How do I repair 5000 of the kettles that I bought in Rome?"),
        ("judged", "Please tell me: what is the capital of France?"),
    ] {
        let asked = Asked {
            partition: Partition([1; 16]),
            key: key(9999),
            question,
        };
        println!("{name}: {:?}", runtime.block_on(tier.find(&asked, &terms, 1)));
        c.bench_function(&format!("semantic/find/2000/{name}"), |b| {
            b.iter(|| runtime.block_on(tier.find(&asked, &terms, 1)));
        });
    }
}

criterion_group!(benches, search, lookups);
criterion_main!(benches);
