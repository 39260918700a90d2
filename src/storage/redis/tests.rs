//! The book, without a Redis: what comes of reports in doubt, and that a sliding count never loses what was used.

use super::book::{Book, Field};
use super::count::{self, Kind, SLOTS};
use crate::limits::{Report, Shape};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SLIDING: Shape = Shape::Sliding(Duration::from_secs(20));

fn report(shape: Shape, spent: u64, back: u64) -> Report {
    Report {
        count: Arc::from("a"),
        shape,
        limit: 100,
        spent,
        back,
        beyond: 0,
        known: 0,
    }
}

fn named(shape: Shape) -> [(Arc<str>, Kind); 1] {
    [count::name("{p}:", "a", shape)]
}

#[test]
fn a_report_in_doubt_is_settled_by_its_number() {
    let shape = Shape::Window { start: 0, end: 9 };
    let (names, now) = (named(shape), Instant::now());
    for (last, executed) in [(0, false), (1, true)] {
        let mut book = Book::default();
        book.settle(0, 5, now);
        book.begin(1, 5);
        book.note(&names[0].0, names[0].1, 0, 5, now);
        book.granted(&names[0].0, 0, 10, 10, 1, now);
        let reports = [report(shape, 3, 4)];
        assert_eq!(book.batch(&names, &reports).0, 1);
        book.settle(last, 5, now);
        assert_eq!(book.repeated(&reports), executed);
        assert!(!book.repeated(&reports), "once");
        let cell = format!("u@{}", names[0].0);
        // Redis believes what it executed: nothing has to be told, and otherwise what we have.
        for (believed, agrees) in [(3, executed), (10, !executed)] {
            let tells = book.differences(&[(cell.clone(), believed)].into(), 5, now);
            assert_eq!(tells.is_empty(), agrees, "{last} {believed}: {tells:?}");
        }
    }
}

#[test]
fn in_another_epoch_all_is_told_and_nothing_is_out() {
    let shape = Shape::Window { start: 0, end: 9 };
    let (names, now) = (named(shape), Instant::now());
    let mut book = Book::default();
    book.settle(0, 5, now);
    book.begin(1, 5);
    book.note(&names[0].0, names[0].1, 0, 5, now);
    book.granted(&names[0].0, 0, 10, 70, 2, now);
    // An answer that was overtaken.
    book.granted(&names[0].0, 0, 10, 60, 1, now);
    let reports = [report(shape, 3, 4)];
    book.batch(&names, &reports);
    book.settle(1, 6, now);
    assert!(!book.repeated(&reports));
    let tells = book.differences(&std::collections::HashMap::new(), 6, now);
    assert_eq!(tells.len(), 1);
    assert_eq!((tells[0].known, tells[0].out, tells[0].lost), (70, 0, true));
    book.told(&tells, 6);
    assert!(book.differences(&std::collections::HashMap::new(), 6, now).is_empty());
}

#[test]
fn what_cannot_matter_is_forgotten() {
    let now = Instant::now();
    let mut book = Book::default();
    for (index, shape) in [SLIDING, Shape::Window { start: 0, end: 9 }, Shape::Concurrent]
        .into_iter()
        .enumerate()
    {
        let [(name, kind)] = named(shape);
        book.note(&name, kind, 0, 5, now);
        assert_eq!(book.len(), index + 1);
    }
    let [(total, kind)] = named(Shape::Window {
        start: 0,
        end: i64::MAX,
    });
    book.note(&total, kind, 0, 5, now);
    book.prune(now, 8);
    assert_eq!(book.len(), 4);
    book.prune(now + Duration::from_secs(100), 1_000);
    assert_eq!(book.len(), 1);
}

proptest! {
    /// Grants in slots, each later spent or given back, in any order: what the lines leave in the slots covers, from any slot on,
    /// what was really used there or is still out.
    #[test]
    fn of_what_was_used_every_stretch_counts_as_much(
        steps in proptest::collection::vec((0..6_u64, 1..50_u64, any::<bool>(), 0..8_usize), 1..60)
    ) {
        let (names, now) = (named(SLIDING), Instant::now());
        let mut book = Book::default();
        book.begin(1, 5);
        book.note(&names[0].0, names[0].1, 0, 5, now);
        let (mut slot, mut counted, mut real) = (100, BTreeMap::<u64, u64>::new(), Vec::<(u64, u64)>::new());
        let mut open: Vec<usize> = Vec::new();
        for (index, (later, amount, spend, which)) in steps.into_iter().enumerate() {
            slot += later;
            book.granted(&names[0].0, slot, amount, 0, 0, now);
            *counted.entry(slot).or_default() += amount;
            open.push(real.len());
            real.push((slot, amount));
            if index % 2 == 1 && !open.is_empty() {
                let grant = open.remove(which % open.len());
                let amount = real[grant].1;
                let (spent, back) = if spend { (amount, 0) } else { (amount / 3, amount - amount / 3) };
                real[grant].1 = spent;
                let (_, lines) = book.batch(&names, &[report(SLIDING, spent, back)]);
                for line in lines {
                    if let Field::Slot(at) = line.field {
                        *counted.get_mut(&at).unwrap() -= line.back;
                    }
                }
                book.reported(&[], 0, now);
            }
            for from in slot.saturating_sub(SLOTS)..=slot {
                let counts: u64 = counted.range(from..).map(|(_, n)| n).sum();
                let used: u64 = real.iter().filter(|(at, _)| *at >= from).map(|(_, n)| n).sum();
                prop_assert!(counts >= used, "from {from} at {slot}: {counts} < {used}");
            }
        }
    }
}
