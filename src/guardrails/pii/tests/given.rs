//! How often right, on given tables: `../shared/testdata/pii` (or `$CIRQUE_SHARED`), which the project does not hold.
//!
//! The floors are the design's (07-guardrails). `cargo test pii::tests::given -- --nocapture` prints the figures.

use super::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn given(file: &str) -> Option<String> {
    let shared = std::env::var_os("CIRQUE_SHARED");
    let shared = shared.map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = shared.join("testdata/pii").join(file);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: no {} (set CIRQUE_SHARED)", path.display());
    }
    text
}

/// Spans of a label, in characters.
fn spans(pii: &Pii, text: &str, label: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    pii.scan(text, 0, &mut found);
    let chars = |at: usize| text[..at].chars().count();
    found
        .into_iter()
        .filter(|one| one.label == label)
        .map(|one| (chars(one.span.start), chars(one.span.end)))
        .collect()
}

#[derive(Debug, Default)]
struct Row {
    rows: usize,
    exact: usize,
}

/// The recogniser table: a row is right where just as many spans as expected are found, and where they are expected, in just those places.
///
/// All rows are counted. What cannot be right: rows that ask another leniency of telephone numbers say the opposite of rows that ask
/// the usual one.
#[test]
fn recogniser_table() {
    let Some(table) = given("presidio_recognizer_cases.jsonl") else {
        return;
    };
    let labels = [
        ("CREDIT_CARD", Kind::Card),
        ("EMAIL", Kind::Email),
        ("IP", Kind::Ip),
        ("PHONE", Kind::Phone),
        ("US_SSN", Kind::Ssn),
    ];
    let mut rows: BTreeMap<&str, [Row; 2]> = BTreeMap::new();
    for line in table.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let entity = row["entity"].as_str().unwrap();
        let (entity, kind) = labels.iter().find(|(name, _)| *name == entity).unwrap();
        let text = row["text"].as_str().unwrap();
        let positions = row
            .get("expected_positions")
            .or_else(|| row.get("expected_res"))
            .unwrap();
        let expected: Vec<(usize, usize)> = serde_json::from_value(positions.clone()).unwrap();
        let len = row["expected_len"].as_u64().unwrap() as usize;
        for (index, pii) in [all(), default()].into_iter().enumerate() {
            let got = spans(pii, text, kind.label());
            let right = got.len() == len && (expected.is_empty() || got == expected);
            let sum = &mut rows.entry(entity).or_default()[index];
            sum.rows += 1;
            sum.exact += usize::from(right);
            if !right {
                let set = ["all", "default"][index];
                eprintln!(
                    "{set}: {entity} {text:?}: {expected:?} ({len}), got {got:?}; leniency {}",
                    row["leniency"]
                );
            }
        }
    }
    let mut total = [Row::default(), Row::default()];
    for (entity, sums) in &rows {
        eprintln!(
            "{entity:12} {:3} rows, exact: {:3} of all kinds, {:3} by default",
            sums[0].rows, sums[0].exact, sums[1].exact
        );
        for (total, sum) in total.iter_mut().zip(sums) {
            total.rows += sum.rows;
            total.exact += sum.exact;
        }
    }
    let share = |row: &Row| row.exact as f64 / row.rows as f64;
    eprintln!(
        "all kinds {:.3}, default {:.3} of {} rows",
        share(&total[0]),
        share(&total[1]),
        total[0].rows
    );
    assert!(share(&total[0]) >= 0.98, "{total:?}");
    assert!(share(&total[1]) >= 0.96, "{total:?}");
}

#[derive(Debug, Default)]
struct Recall {
    given: usize,
    exact: usize,
    touched: usize,
    /// Found where nothing of that kind is.
    false_: usize,
}

/// The synthetic sentences, by what is on by default: recall by kind, and what is found where nothing of that kind stands.
#[test]
fn synthetic_sentences() {
    let Some(sentences) = given("presidio_research_synth_v2.json") else {
        return;
    };
    let kinds = [
        ("EMAIL_ADDRESS", Kind::Email),
        ("US_SSN", Kind::Ssn),
        ("IBAN_CODE", Kind::Iban),
        ("IP_ADDRESS", Kind::Ip),
        ("CREDIT_CARD", Kind::Card),
        ("PHONE_NUMBER", Kind::Phone),
    ];
    let sentences: Vec<Value> = serde_json::from_str(&sentences).unwrap();
    let mut sums: BTreeMap<&str, Recall> = BTreeMap::new();
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for sentence in &sentences {
        let text = sentence["full_text"].as_str().unwrap();
        let spans_of = |entity: &str| -> Vec<(usize, usize)> {
            let spans = sentence["spans"].as_array().unwrap().iter();
            let place = |one: &Value, end: &str| one[end].as_u64().unwrap() as usize;
            spans
                .filter(|one| one["entity_type"] == entity)
                .map(|one| (place(one, "start_position"), place(one, "end_position")))
                .collect()
        };
        for (entity, kind) in kinds {
            let sum = sums.entry(kind.as_str()).or_default();
            let (expected, got) = (spans_of(entity), spans(default(), text, kind.label()));
            let touch = |a: &(usize, usize), b: &(usize, usize)| a.0 < b.1 && b.0 < a.1;
            sum.given += expected.len();
            for one in &expected {
                sum.exact += usize::from(got.contains(one));
                let touched = got.iter().any(|other| touch(one, other));
                sum.touched += usize::from(touched);
                if !got.contains(one) {
                    let value: String = text.chars().skip(one.0).take(one.1 - one.0).collect();
                    eprintln!(
                        "{} {}: {value:?} in {text:?}",
                        ["missed", "other span"][usize::from(touched)],
                        kind.as_str()
                    );
                }
            }
            for one in got.iter().filter(|one| !expected.iter().any(|other| touch(one, other))) {
                sum.false_ += 1;
                let value: String = text.chars().skip(one.0).take(one.1 - one.0).collect();
                eprintln!("false {}: {value:?} in {text:?}", kind.as_str());
            }
        }
        let mut found = Vec::new();
        default().scan(text, 0, &mut found);
        for one in found {
            if !kinds.iter().any(|(_, kind)| kind.label() == one.label) {
                *others.entry(one.label).or_default() += 1;
            }
        }
    }
    for (kind, sum) in &sums {
        let share = |part: usize| part as f64 / sum.given as f64;
        eprintln!(
            "{kind:6} {:3} given, exact {:.3}, touched {:.3}, {} false",
            sum.given,
            share(sum.exact),
            share(sum.touched),
            sum.false_
        );
    }
    eprintln!("kinds that the sentences do not tell: {others:?}");
    for (kind, least, most) in [
        ("email", 0.95, 0),
        ("ssn", 0.95, 1),
        ("iban", 0.95, 0),
        ("ip", 0.95, 1),
        ("card", 0.85, 0),
        ("phone", 0.65, 20),
    ] {
        let sum = &sums[kind];
        assert!(
            sum.exact as f64 >= least * sum.given as f64 && sum.false_ <= most,
            "{kind}: {sum:?}"
        );
    }
}
