//! The project's own look-alikes (`tests/fixtures/semantic/own_pairs.jsonl`) through gate and judge, with the cosines that the encoder
//! gave them, so that no model files are needed.
//!
//! The one idea: no wrong hit of a pair that is written down comes back, and no mend for one costs the hits of the others unseen.

use super::{Lexical, Side, gate, judge};
use serde_json::Value;

const PAIRS: &str = include_str!("../../../../tests/fixtures/semantic/own_pairs.jsonl");

/// Hits of a set, its pairs of one answer, and the wrong hits.
fn served(set: &str) -> (usize, usize, Vec<String>) {
    let (mut hits, mut same, mut wrong) = (0, 0, Vec::new());
    for line in PAIRS.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["set"] != set {
            continue;
        }
        let (a, b) = (line["a"].as_str().unwrap(), line["b"].as_str().unwrap());
        let (x, y) = (Lexical::of(a), Lexical::of(b));
        let cosine = |key: &str| line[key].as_f64().unwrap() as f32;
        let sides = (Side { text: a, lexical: &x }, Side { text: b, lexical: &y });
        let verdict = judge(&sides.0, &sides.1, cosine("place"), cosine("cosine"));
        let turned = judge(&sides.1, &sides.0, cosine("place"), cosine("cosine"));
        assert_eq!(verdict.veto.is_some(), turned.veto.is_some(), "{a:?} {b:?}");
        assert!((verdict.score - turned.score).abs() < 1e-4, "{a:?} {b:?}");
        let served = gate(&x, &y).is_none() && verdict.score >= 0.98;
        if line["label"] == 1 {
            same += 1;
            hits += usize::from(served);
        } else if served {
            wrong.push(format!("{}: {a:?} is not {b:?}", line["kind"]));
        }
    }
    (hits, same, wrong)
}

fn demanded(set: &str, pairs: usize, least: f64) {
    let (hits, same, wrong) = served(set);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(same, pairs);
    let reached = hits as f64 / same as f64;
    assert!(reached >= least, "{hits} of {same} hits: {reached:.3}, not {least}");
}

#[test]
fn none_of_the_development_pairs_is_served_wrongly() {
    demanded("dev", 354, 0.60);
}

#[test]
fn none_of_the_held_out_pairs_is_served_wrongly() {
    demanded("held", 336, 0.54);
}

#[test]
fn none_of_the_pairs_written_last_is_served_wrongly() {
    demanded("late", 134, 0.73);
}
