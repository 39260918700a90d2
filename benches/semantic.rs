//! How often the semantic cache is right: on given pairs of questions, and on a stream of look-alikes (`make bench-semantic`).
//!
//! Not how fast it is. `measure IN OUT` writes what the verifier sees of each pair, for `scripts/semantic/fit.py`. The one idea: the
//! same pairs and the same stream go through thresholds on the cosine alone, which is what most caches do, and through this one.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a harness: what is not there ends it"
)]

use cirque::cache::semantic::encoder::{Embedding, Encoder, Place};
use cirque::cache::semantic::verify::{Lexical, Side, Veto, gate, judge, measure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The default of `threshold`.
const THRESHOLD: f32 = 0.98;
/// Candidates of a question, nearest first; of those that the gate leaves, so many are judged.
const NEAR: usize = 16;
const JUDGED: usize = 4;
/// Cosine of the static vectors below which nothing is a candidate.
const FLOOR: f32 = 0.5;

fn main() {
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let folder = std::env::var_os("CIRQUE_TEST_MODELS").map_or_else(|| PathBuf::from("models"), PathBuf::from);
    let encoder = match Encoder::open(&folder) {
        Ok(encoder) => encoder,
        Err(error) => return println!("skipped: {error}"),
    };
    let mut known = Known {
        encoder,
        read: HashMap::new(),
    };
    match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", from, to] => measured(&mut known, Path::new(from), Path::new(to)),
        ["report", pairs, stream, to] => report(&mut known, Path::new(pairs), Path::new(stream), Path::new(to)),
        _ => println!("skipped: `make bench-semantic` says what to read"),
    }
}

struct Known {
    encoder: Encoder,
    read: HashMap<String, (Lexical, Place, Embedding)>,
}

impl Known {
    fn read(&mut self, text: &str) -> (Lexical, Place, Embedding) {
        if !self.read.contains_key(text) {
            let tokens = self.encoder.tokens(text);
            let read = (
                Lexical::of(text),
                self.encoder.place(&tokens),
                self.encoder.embed(&tokens),
            );
            self.read.insert(text.to_owned(), read);
        }
        self.read[text].clone()
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or("")
}

fn measured(known: &mut Known, from: &Path, to: &Path) {
    let mut out = String::new();
    for line in lines(from) {
        let (a, b) = (Lexical::of(text(&line, "a")), Lexical::of(text(&line, "b")));
        let veto = gate(&a, &b);
        let features = veto.is_none().then(|| {
            let ((a, p, e), (b, q, f)) = (known.read(text(&line, "a")), known.read(text(&line, "b")));
            measure(&a, &b, p.cosine(&q), e.cosine(&f))
        });
        let mut line = line;
        line["veto"] = json!(veto.map(Veto::name));
        line["f"] = json!(features.flatten().map(|features| features.0.to_vec()));
        out.push_str(&format!("{line}\n"));
    }
    std::fs::write(to, out).expect("the measured pairs are written");
}

/// One pair, as each method sees it.
struct Pair {
    same: bool,
    kind: String,
    cosine: f32,
    veto: Option<Veto>,
    score: f32,
}

const METHODS: [&str; 3] = ["cosine alone", "cosine and vetoes", "verifier"];

impl Pair {
    fn by(&self, method: &str) -> f32 {
        match method {
            "cosine alone" => self.cosine,
            _ if self.veto.is_some() => -1.0,
            "cosine and vetoes" => self.cosine,
            _ => self.score,
        }
    }
}

fn pairs(known: &mut Known, path: &Path) -> Vec<Pair> {
    let each = lines(path).into_iter().map(|line| {
        let (a, b) = (text(&line, "a"), text(&line, "b"));
        let ((x, p, e), (y, q, f)) = (known.read(a), known.read(b));
        let verdict = judge(
            &Side { text: a, lexical: &x },
            &Side { text: b, lexical: &y },
            p.cosine(&q),
            e.cosine(&f),
        );
        let (cosine, veto, score) = (e.cosine(&f), verdict.veto, verdict.score);
        Pair {
            same: line["label"] == 1,
            kind: text(&line, "kind").to_owned(),
            cosine,
            veto,
            score,
        }
    });
    each.collect()
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The share of the same that pass a threshold, and that of the others.
fn passed(pairs: &[Pair], method: &str, threshold: f32) -> (f64, f64) {
    let count = |same: bool| {
        let all = pairs.iter().filter(|pair| pair.same == same);
        share(
            all.clone().filter(|pair| pair.by(method) >= threshold).count(),
            all.count(),
        )
    };
    (count(true), count(false))
}

/// The lowest threshold at which no more than this share of the others pass.
fn edge(pairs: &[Pair], method: &str, most: f64) -> f32 {
    let mut wrong: Vec<f32> = pairs
        .iter()
        .filter(|pair| !pair.same)
        .map(|pair| pair.by(method))
        .collect();
    wrong.sort_by(|a, b| b.total_cmp(a));
    let allowed = (most * wrong.len() as f64).floor() as usize;
    wrong.get(allowed).map_or(0.0, |first| first.max(0.0).next_up())
}

fn report(known: &mut Known, path: &Path, stream: &Path, to: &Path) {
    let mut found = json!({});
    let pairs = pairs(known, path);
    if pairs.is_empty() {
        println!("no pairs: {} is not here", path.display());
    } else {
        found["pairs"] = of_pairs(&pairs);
    }
    let asked = lines(stream);
    if asked.is_empty() {
        println!("no stream: {} is not here", stream.display());
    } else {
        found["stream"] = of_stream(known, &asked);
    }
    std::fs::write(to, format!("{found:#}\n")).expect("the report is written");
    println!("\nwritten: {}", to.display());
}

fn of_pairs(pairs: &[Pair]) -> Value {
    let same = pairs.iter().filter(|pair| pair.same).count();
    println!("{} pairs, {same} that one answer serves\n", pairs.len());
    println!("| | threshold | hits | false hits |\n|---|--:|--:|--:|");
    let mut rows = Vec::new();
    let mut row = |name: String, method: &str, threshold: f32| {
        let (hits, wrong) = passed(pairs, method, threshold);
        println!(
            "| {name} | {threshold:.4} | {:.1} % | {:.2} % |",
            hits * 100.0,
            wrong * 100.0
        );
        rows.push(json!({"name": name, "method": method, "threshold": threshold, "hits": hits, "wrong": wrong}));
    };
    for method in METHODS {
        for most in [0.001, 0.01] {
            row(
                format!("{method}, at most {} % false", most * 100.0),
                method,
                edge(pairs, method, most),
            );
        }
    }
    for method in ["cosine alone", "cosine and vetoes"] {
        for threshold in [0.80, 0.90, 0.95] {
            row(method.to_owned(), method, threshold);
        }
    }
    row("verifier".to_owned(), "verifier", 0.90);
    row("verifier".to_owned(), "verifier", 0.995);
    row("verifier, as delivered".to_owned(), "verifier", THRESHOLD);

    println!(
        "\n| kind | pairs | cosine ≥ .90 | cosine ≥ .90 and vetoes | verifier | vetoes |\n|---|--:|--:|--:|--:|---|"
    );
    let mut kinds: BTreeMap<&str, Vec<&Pair>> = BTreeMap::new();
    pairs
        .iter()
        .for_each(|pair| kinds.entry(&pair.kind).or_default().push(pair));
    for (kind, own) in kinds {
        let hits = |method: &str, threshold: f32| own.iter().filter(|pair| pair.by(method) >= threshold).count();
        let mut vetoes: BTreeMap<&str, usize> = BTreeMap::new();
        own.iter()
            .filter_map(|pair| pair.veto)
            .for_each(|veto| *vetoes.entry(veto.name()).or_default() += 1);
        let vetoes: Vec<String> = vetoes.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let (a, b, c) = (
            hits("cosine alone", 0.9),
            hits("cosine and vetoes", 0.9),
            hits("verifier", THRESHOLD),
        );
        println!("| {kind} | {} | {a} | {b} | {c} | {} |", own.len(), vetoes.join(", "));
    }
    json!({"rows": rows, "curves": METHODS.map(|method| json!({"method": method, "points": curve(pairs, method)}))})
}

/// `[threshold, recall, precision]` at every threshold that changes them.
fn curve(pairs: &[Pair], method: &str) -> Vec<[f64; 3]> {
    let mut order: Vec<(f32, bool)> = pairs
        .iter()
        .map(|pair| (pair.by(method), pair.same))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let same = pairs.iter().filter(|pair| pair.same).count();
    let (mut right, mut points): (usize, Vec<[f64; 3]>) = (0, Vec::new());
    for (at, (score, own)) in order.iter().enumerate() {
        right += usize::from(*own);
        if order.get(at + 1).is_none_or(|next| next.0 < *score) {
            points.push([f64::from(*score), share(right, same), share(right, at + 1)]);
        }
    }
    points
}

/// What a cache did with a stream.
#[derive(Default)]
struct Served {
    repeats: usize,
    right: usize,
    wrong: usize,
    /// By the kind of look-alike.
    kinds: BTreeMap<String, usize>,
    examples: Vec<(String, String)>,
}

fn of_stream(known: &mut Known, asked: &[Value]) -> Value {
    let mut seen = HashSet::new();
    let repeats = asked.iter().filter(|line| !seen.insert(text(line, "intent"))).count();
    println!(
        "\n{} requests, {repeats} of them ask again what was asked\n",
        asked.len()
    );
    println!("| | right, of those that could be | wrong, of all | wrong by kind |\n|---|--:|--:|---|");
    let mut rows = Vec::new();
    for (method, threshold) in [
        ("cosine alone", 0.80),
        ("cosine alone", 0.90),
        ("cosine alone", 0.95),
        ("cosine and vetoes", 0.80),
        ("cosine and vetoes", 0.90),
        ("verifier", 0.90),
        ("verifier", THRESHOLD),
        ("verifier", 0.995),
    ] {
        let served = serve(known, asked, method, threshold);
        let (right, wrong) = (share(served.right, served.repeats), share(served.wrong, asked.len()));
        let kinds: Vec<String> = served
            .kinds
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        println!(
            "| {method} ≥ {threshold} | {:.1} % | {:.2} % | {} |",
            right * 100.0,
            wrong * 100.0,
            kinds.join(", ")
        );
        rows.push(
            json!({"method": method, "threshold": threshold, "right": right, "wrong": wrong, "by_kind": served.kinds}),
        );
        if threshold == THRESHOLD {
            served
                .examples
                .iter()
                .for_each(|(a, b)| println!("  wrong: {a:?} was answered as {b:?}"));
        }
    }
    json!({"requests": asked.len(), "repeats": repeats, "rows": rows})
}

/// A cache of nothing but a list: what is not answered is kept.
fn serve(known: &mut Known, asked: &[Value], method: &str, threshold: f32) -> Served {
    let mut kept: Vec<(&str, &str, (Lexical, Place, Embedding))> = Vec::new();
    let mut served = Served::default();
    for line in asked {
        let (question, intent) = (text(line, "text"), text(line, "intent"));
        let read = known.read(question);
        served.repeats += usize::from(kept.iter().any(|(_, other, _)| *other == intent));
        let mut near: Vec<(f32, usize)> = kept
            .iter()
            .enumerate()
            .map(|(at, (_, _, other))| (read.1.cosine(&other.1), at))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        near.truncate(NEAR);
        let near = near.into_iter().filter(|(place, _)| *place >= FLOOR);
        let left = near.filter(|(_, at)| method == "cosine alone" || gate(&read.0, &kept[*at].2.0).is_none());
        let scored = left
            .take(if method == "verifier" { JUDGED } else { NEAR })
            .map(|(place, at)| {
                let (text, _, other) = &kept[at];
                let cosine = read.2.cosine(&other.2);
                let score = match method {
                    "verifier" => {
                        judge(
                            &Side {
                                text: question,
                                lexical: &read.0,
                            },
                            &Side {
                                text,
                                lexical: &other.0,
                            },
                            place,
                            cosine,
                        )
                        .score
                    }
                    _ => cosine,
                };
                (score, at)
            });
        match scored
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(score, _)| *score >= threshold)
        {
            Some((_, at)) if kept[at].1 == intent => served.right += 1,
            Some((_, at)) => {
                served.wrong += 1;
                let kind = text(line, "kind");
                *served.kinds.entry(kind.to_owned()).or_default() += 1;
                served.examples.push((question.to_owned(), kept[at].0.to_owned()));
            }
            None => kept.push((question, intent, read)),
        }
    }
    served
}
