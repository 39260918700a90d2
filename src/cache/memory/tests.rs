//! The memory tier: its budget, what stays, what goes.

use super::*;
use crate::cache::{Answer, Form, Owner, Partition};
use bytes::Bytes;

fn entry(number: u64, bytes: usize) -> Arc<Entry> {
    Arc::new(made(number, bytes))
}

fn made(number: u64, bytes: usize) -> Entry {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&number.to_be_bytes());
    Entry {
        key: Key(key),
        partition: Partition([1; 16]),
        made_ms: 1_000,
        fresh_ms: 1_000,
        stale_ms: 0,
        spare_ms: 0,
        owner: Owner::default(),
        model: "m".into(),
        target: "t".into(),
        tags: Box::new([]),
        question: None,
        semantic: false,
        usage: None,
        cost: None,
        answer: Answer {
            form: Form::Canonical,
            zstd: false,
            length: bytes as u32,
            bytes: Bytes::from(vec![7; bytes]),
        },
    }
}

fn key(number: u64) -> Key {
    made(number, 0).key
}

#[test]
fn an_answer_is_there_until_its_time_is_over() {
    let memory = Memory::new(1 << 20);
    memory.put(entry(1, 10));
    assert_eq!(memory.get(key(1), 1_999).unwrap().answer.bytes.len(), 10);
    assert!(memory.get(key(2), 1_999).is_none());
    assert!(memory.get(key(1), 2_000).is_none());
    assert_eq!((memory.len(), memory.bytes()), (0, 0), "and is gone then");
}

#[test]
fn what_is_kept_stays_within_the_budget() {
    let budget = 1 << 20;
    let memory = Memory::new(budget);
    for number in 0..5_000 {
        memory.put(entry(number, (number as usize * 37) % 4_000));
        assert!(memory.bytes() <= budget);
    }
    assert!(memory.bytes() > budget / 2, "{}", memory.bytes());
    let held: u64 = memory
        .list(&all(), None, usize::MAX - 1)
        .iter()
        .map(|entry| weight(entry))
        .sum();
    assert_eq!(held, memory.bytes());
    assert_eq!(memory.crowded_out(), 5_000 - memory.len() as u64);
    // What is replaced made room for itself.
    let again = memory.list(&all(), None, 1).remove(0);
    memory.put(again);
    assert_eq!(memory.crowded_out(), 0);
}

fn all() -> Selection {
    Selection {
        all: true,
        ..Selection::default()
    }
}

/// Questions asked again and again outlive a flood of others that are asked once, of fifty times the room there is.
#[test]
fn a_flood_of_unique_questions_does_not_wash_out_the_hot_ones() {
    let memory = Memory::new(4 << 20);
    let hot = 200;
    for number in 0..hot {
        memory.put(entry(number, 2_000));
    }
    for _ in 0..3 {
        (0..hot).for_each(|number| assert!(memory.get(key(number), 1_500).is_some()));
    }
    for number in 0..100_000 {
        memory.put(entry(1_000_000 + number, 2_000));
    }
    let left = (0..hot)
        .filter(|number| memory.get(key(*number), 1_500).is_some())
        .count();
    assert!(left as u64 >= hot * 95 / 100, "{left} of {hot}");
}

#[test]
fn an_older_answer_does_not_replace_a_newer_one() {
    let memory = Memory::new(1 << 20);
    let fresh = Entry {
        made_ms: 1_200,
        ..made(1, 5)
    };
    memory.put(Arc::new(fresh));
    memory.put(entry(1, 9));
    assert_eq!(memory.get(key(1), 1_500).unwrap().answer.bytes.len(), 5);
    let fresher = Entry {
        made_ms: 1_300,
        ..made(1, 6)
    };
    memory.put(Arc::new(fresher));
    assert_eq!(memory.get(key(1), 1_500).unwrap().answer.bytes.len(), 6);
    assert_eq!(memory.len(), 1);
}

#[test]
fn what_is_selected_goes_and_nothing_else() {
    let memory = Memory::new(1 << 20);
    for number in 0..10 {
        memory.put(Arc::new(Entry {
            tags: if number % 2 == 0 {
                Box::new(["even".into()])
            } else {
                Box::new([])
            },
            owner: Owner {
                team: Some(if number < 5 { "a" } else { "b" }.into()),
                ..Owner::default()
            },
            ..made(number, 1)
        }));
    }
    assert_eq!(memory.remove(&Selection::default()), 0, "nothing given selects nothing");
    let one = Selection {
        ids: vec![key(3), key(99)],
        ..Selection::default()
    };
    assert_eq!(memory.remove(&one), 1);
    // By id, but of another team.
    let other = Selection {
        ids: vec![key(4)],
        team: Some("b".to_owned()),
        ..Selection::default()
    };
    assert_eq!(memory.remove(&other), 0);
    let even = Selection {
        tag: Some("even".to_owned()),
        team: Some("a".to_owned()),
        ..Selection::default()
    };
    assert_eq!(memory.remove(&even), 3);
    assert_eq!(memory.len(), 6);
    assert_eq!(memory.remove(&all()), 6);
    assert!(memory.is_empty());
}

#[test]
fn answers_are_listed_page_by_page() {
    let memory = Memory::new(1 << 20);
    (0..25).for_each(|number| memory.put(entry(number, 1)));
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = memory.list(&all(), after, 10);
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        seen.extend(page.iter().map(|entry| entry.key));
    }
    assert_eq!(seen, (0..25).map(key).collect::<Vec<_>>());
    assert!(memory.list(&all(), None, 0).is_empty());
}

#[test]
fn what_is_over_is_swept() {
    let memory = Memory::new(1 << 20);
    memory.put(entry(1, 1));
    memory.put(Arc::new(Entry {
        fresh_ms: 9_000,
        ..made(2, 1)
    }));
    assert_eq!(memory.sweep(5_000), 1);
    assert!(memory.get(key(2), 5_000).is_some());
}

#[test]
fn a_small_budget_keeps_what_fits() {
    let memory = Memory::new(1_000);
    memory.put(entry(1, 100_000));
    assert_eq!(memory.len(), 0);
    memory.put(entry(2, 1));
    assert!(memory.bytes() <= 1_000);
}
