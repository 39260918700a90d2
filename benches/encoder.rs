//! The sentence encoder: what a lookup pays on every request (tokens and place), and what the verifier pays by length.
//!
//! Needs the model files (`make models`, or `CIRQUE_TEST_MODELS`); without them it says so and measures nothing.

#![allow(clippy::unwrap_used, missing_docs)]

use cirque::cache::semantic::encoder::{Encoder, MANIFEST};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::PathBuf;

const QUESTION: &str = "How do I reset my password for the billing account?";

fn encoder(c: &mut Criterion) {
    let folder = std::env::var_os("CIRQUE_TEST_MODELS").map_or_else(|| PathBuf::from("models"), PathBuf::from);
    if !folder.join(MANIFEST).exists() {
        eprintln!(
            "skipped: no model files in {} (`make models`, or CIRQUE_TEST_MODELS)",
            folder.display()
        );
        return;
    }
    let encoder = Encoder::open(&folder).unwrap();
    c.bench_function("encoder/tokens", |b| b.iter(|| encoder.tokens(black_box(QUESTION))));
    c.bench_function("encoder/tokens_and_place", |b| {
        b.iter(|| encoder.place(&encoder.tokens(black_box(QUESTION))))
    });
    let mut group = c.benchmark_group("encoder/embed");
    for length in [10usize, 30, 100, 128] {
        let tokens = encoder.tokens(&"word ".repeat(length - 2));
        assert_eq!(tokens.ids().len(), length);
        group.bench_with_input(BenchmarkId::from_parameter(length), &tokens, |b, tokens| {
            b.iter(|| encoder.embed(black_box(tokens)));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("encoder/open");
    group.sample_size(10);
    group.bench_function("open", |b| b.iter(|| Encoder::open(black_box(&folder)).unwrap()));
    group.finish();
}

criterion_group!(benches, encoder);
criterion_main!(benches);
