//! The index against brute force, against a model of it, and under many hands at once.

use super::*;
use crate::cache::semantic::encode::{cosine, quantise, splitmix};
use crate::cache::semantic::vectors::{Label, PLACE};
use crate::cache::{Answer, Form, Owner};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

struct Draw(u64);

impl Draw {
    fn number(&mut self) -> f32 {
        // The sum of four is near enough to a normal distribution.
        let mut one = || (splitmix(&mut self.0) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        one() + one() + one() + one()
    }

    fn vector(&mut self) -> Vec<f32> {
        let numbers: Vec<f32> = (0..PLACE).map(|_| self.number()).collect();
        unit(numbers)
    }

    /// A vector at this cosine.
    fn beside(&mut self, of: &[f32], cosine: f32) -> Vec<f32> {
        let other = self.vector();
        let along: f32 = of.iter().zip(&other).map(|(a, b)| a * b).sum();
        let across = unit(other.iter().zip(of).map(|(b, a)| b - along * a).collect());
        let sine = (1.0 - cosine * cosine).sqrt();
        of.iter().zip(across).map(|(a, b)| a * cosine + b * sine).collect()
    }
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / length).collect()
}

fn place(vector: &[f32]) -> Box<Place> {
    let mut place = Box::new([0; PLACE]);
    place.copy_from_slice(&quantise(vector).unwrap());
    place
}

fn key(number: u64) -> Key {
    let mut key = [7; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Key(key)
}

fn partition(number: u8) -> Partition {
    Partition([number; 16])
}

fn point(number: u64, part: u8, place: Box<Place>, ends_ms: u64) -> Point {
    let label = Label {
        owner: Owner::default(),
        model: "m".into(),
        tags: Box::new([format!("t{}", number % 3).into()]),
    };
    Point {
        key: key(number),
        partition: partition(part),
        label: Arc::new(label),
        made_ms: 0,
        ends_ms,
        question: format!("question {number}").into(),
        place,
        meaning: None,
    }
}

fn entry(number: u64, part: u8, ends_ms: u64) -> Entry {
    Entry {
        key: key(number),
        partition: partition(part),
        made_ms: 0,
        fresh_ms: ends_ms,
        stale_ms: 0,
        spare_ms: 0,
        owner: Owner::default(),
        model: "m".into(),
        target: "t".into(),
        tags: Box::new([format!("t{}", number % 3).into()]),
        question: Some(format!("question {number}").into()),
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

#[test]
fn finds_all_that_brute_force_finds() {
    let mut draw = Draw(1);
    // What an encoder's vectors have in common, which plain signs would trip over.
    let common = draw.vector();
    let topics: Vec<Vec<f32>> = (0..40).map(|_| draw.beside(&common, 0.5)).collect();
    let index = Index::new(1 << 20);
    let mut all = Vec::new();
    for number in 0..3000_u64 {
        let topic = &topics[number as usize % topics.len()];
        let near = [0.5, 0.7, 0.82, 0.9, 0.97][number as usize % 5];
        let place = place(&draw.beside(topic, near));
        index.put(point(number, 0, place.clone(), 10));
        all.push((key(number), place));
    }
    let (mut wanted, mut found) = (0, 0);
    for number in 0..120 {
        let asked = draw.beside(&topics[number % topics.len()], [0.9, 0.95, 0.99][number % 3]);
        let asked = place(&asked);
        let mut near: Vec<(f32, Key)> = all
            .iter()
            .map(|(key, place)| (cosine(&**place, &*asked), *key))
            .collect();
        near.retain(|(cosine, _)| *cosine >= 0.8);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let got = index.near(partition(0), &asked, 8, 0.8, 0);
        assert!(
            got.windows(2).all(|two| two[0].cosine >= two[1].cosine),
            "nearest first"
        );
        for near in &got {
            let at = u64::from_be_bytes(near.key.0[..8].try_into().unwrap());
            let (_, place) = &all[at as usize];
            assert!((near.cosine - cosine(&**place, &*asked)).abs() < 1e-4);
        }
        let got: BTreeSet<Key> = got.iter().map(|near| near.key).collect();
        wanted += near.len().min(8);
        found += near.iter().take(8).filter(|(_, key)| got.contains(key)).count();
    }
    assert!(wanted > 400, "{wanted}");
    assert_eq!(found, wanted);
}

#[test]
fn a_dense_partition_gives_its_nearest() {
    // Ten thousand look-alikes, all far above the floor, and one that is nearer.
    let mut draw = Draw(2);
    let middle = draw.vector();
    let index = Index::new(1 << 20);
    for number in 0..10_000 {
        index.put(point(number, 0, place(&draw.beside(&middle, 0.95)), 10));
    }
    let mut missed = 0;
    for number in 0..50 {
        let asked = draw.beside(&middle, 0.95);
        index.put(point(20_000 + number, 0, place(&draw.beside(&asked, 0.97)), 10));
        let near = index.near(partition(0), &place(&asked), 4, 0.8, 0);
        missed += usize::from(near[0].key != key(20_000 + number));
        assert_eq!(near.len(), 4);
    }
    assert_eq!(missed, 0);
}

#[test]
fn two_partitions_never_see_each_other() {
    let mut draw = Draw(3);
    let index = Index::new(1 << 20);
    let places: Vec<_> = (0..500).map(|_| place(&draw.vector())).collect();
    for number in 0..10_000_u64 {
        let place = places[number as usize % places.len()].clone();
        index.put(point(number, (number % 2) as u8, place, 10));
    }
    for place in &places {
        for part in [0, 1] {
            let near = index.near(partition(part), place, 64, 0.8, 0);
            assert!(near.iter().all(|near| near.key.0[7] % 2 == part));
        }
        assert!(index.near(partition(2), place, 64, -1.0, 0).is_empty());
    }
}

#[test]
fn a_flood_stays_within_the_cap_and_the_oldest_leave_first() {
    let mut draw = Draw(4);
    let index = Index::new(1000);
    let first = place(&draw.vector());
    for number in 0..10_000_u64 {
        // In as many partitions as questions, and in a few.
        let mut point = point(number, (number % 7) as u8, first.clone(), 10);
        if number % 2 == 0 {
            point.partition = Partition(key(number).0);
        }
        index.put(point);
        // Of use again and again.
        index.touch(partition(1), key(1));
        assert!(index.entries() <= 1000);
    }
    assert_eq!((index.entries(), index.evicted()), (1000, 9000));
    assert!(index.get_in(partition(1), key(1)).is_some(), "what is of use stays");
    assert!(index.get(key(3)).is_none() && index.get(key(8990)).is_none());
    assert!((9002..10_000).all(|number| index.get(key(number)).is_some()));
    assert!(index.order.lock().unwrap().len <= 1001);
    assert!(index.bytes() < 1000 * 2200, "{}", index.bytes());
}

#[test]
fn turns_of_the_deleted_do_not_pile_up() {
    let index = Index::new(1 << 20);
    let place = place(&Draw(5).vector());
    for number in 0..100_000 {
        index.put(point(number, 0, place.clone(), 10));
        if number % 10 != 0 || number > 1000 {
            assert!(index.remove(partition(0), key(number)));
        }
    }
    assert_eq!(index.entries(), 101);
    assert!(index.order.lock().unwrap().len <= 2 * 101 + 4097);
}

#[test]
fn memory_of_a_question() {
    let index = Index::new(1 << 20);
    let mut draw = Draw(6);
    let many = 20_000;
    for number in 0..many {
        index.put(point(number, 0, place(&draw.vector()), 10));
        index.set_meaning(partition(0), key(number), &[1; 384]);
    }
    let texts: u64 = (0..many).map(|number| format!("question {number}").len() as u64).sum();
    let each = (index.bytes() - texts) / many;
    assert!((700..=800).contains(&each), "{each} bytes");
    // Nothing is left of what is gone.
    assert_eq!(
        index.forget(&Selection {
            all: true,
            ..Selection::default()
        }),
        many
    );
    assert_eq!(
        (index.entries(), index.partitions(), index.bytes.load(Relaxed)),
        (0, 0, 0)
    );
}

#[test]
fn read_while_it_is_written() {
    let mut draw = Draw(7);
    let stable: Vec<_> = (0..300).map(|_| place(&draw.vector())).collect();
    let index = Index::new(1 << 20);
    for (number, place) in stable.iter().enumerate() {
        index.put(point(number as u64, 0, place.clone(), 10));
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 1..=2_u64 {
            let (index, over, draw) = (&index, &over, Draw(100 + writer));
            scope.spawn(move || write(index, over, draw, writer));
        }
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0..20 {
                        for (number, place) in stable.iter().enumerate().skip(round % 3).step_by(3) {
                            let near = index.near(partition(0), place, 4, 0.8, 5);
                            assert_eq!(near[0].key, key(number as u64));
                            assert!(near[0].cosine > 0.999);
                            assert_eq!(*near[0].question, format!("question {number}"));
                        }
                    }
                })
            })
            .collect();
        let read: Vec<_> = readers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Relaxed);
        assert!(read.iter().all(Result::is_ok));
    });
    index.expire(9);
    assert_eq!(index.entries(), 300);
}

/// Puts, deletes, expires, until told to stop.
fn write(index: &Index, over: &AtomicBool, mut draw: Draw, writer: u64) {
    let mut number = writer * 1_000_000;
    while !over.load(Relaxed) {
        for _ in 0..50 {
            number += 1;
            index.put(point(number, (number % 2) as u8, place(&draw.vector()), 9));
            index.set_meaning(partition((number % 2) as u8), key(number), &[1; 384]);
        }
        for back in (0..50).step_by(2) {
            index.remove(partition(((number - back) % 2) as u8), key(number - back));
        }
        if number.is_multiple_of(7) {
            index.expire(9);
        }
    }
}

/// What is done to an index.
#[derive(Debug, Clone)]
enum Do {
    Put(u64, u8, u64),
    Renew(u64, u8, u64),
    Remove(u64, u8),
    Mean(u64, u8),
    Touch(u64, u8),
    Expire(u64),
    Tag(u64),
    Ids(Vec<u64>),
    Partition(u8),
}

fn doing() -> impl Strategy<Value = Do> {
    let number = 0_u64..600;
    prop_oneof![
        12 => (number.clone(), 0_u8..3, 1_u64..20).prop_map(|(n, p, e)| Do::Put(n, p, e)),
        2 => (number.clone(), 0_u8..3, 1_u64..20).prop_map(|(n, p, e)| Do::Renew(n, p, e)),
        3 => (number.clone(), 0_u8..3).prop_map(|(n, p)| Do::Remove(n, p)),
        4 => (number.clone(), 0_u8..3).prop_map(|(n, p)| Do::Mean(n, p)),
        1 => (number.clone(), 0_u8..3).prop_map(|(n, p)| Do::Touch(n, p)),
        1 => (0_u64..6).prop_map(Do::Expire),
        1 => (0_u64..3).prop_map(Do::Tag),
        1 => prop::collection::vec(number, 1..4).prop_map(Do::Ids),
        1 => (0_u8..3).prop_map(Do::Partition),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn does_as_a_map_does(steps in prop::collection::vec(doing(), 1..900)) {
        let index = Index::new(1 << 20);
        // The place of each number, as much its own as its key is.
        let place_of = |number: u64| place(&Draw(number + 1).vector());
        let mut model: BTreeMap<(u8, u64), (u64, bool)> = BTreeMap::new();
        for step in steps {
            match step {
                Do::Put(number, part, ends) => {
                    index.put(point(number, part, place_of(number), ends));
                    model.insert((part, number), (ends, false));
                }
                Do::Renew(number, part, ends) => {
                    let known = model.get_mut(&(part, number)).map(|have| have.0 = ends).is_some();
                    prop_assert_eq!(index.renew(&entry(number, part, ends)), known);
                }
                Do::Remove(number, part) => {
                    let known = model.remove(&(part, number)).is_some();
                    prop_assert_eq!(index.remove(partition(part), key(number)), known);
                }
                Do::Mean(number, part) => {
                    index.set_meaning(partition(part), key(number), &[number as i8; 384]);
                    if let Some(have) = model.get_mut(&(part, number)) { have.1 = true; }
                }
                Do::Touch(number, part) => index.touch(partition(part), key(number)),
                Do::Expire(now) => {
                    let before = model.len();
                    model.retain(|_, have| have.0 > now);
                    prop_assert_eq!(index.expire(now), (before - model.len()) as u64);
                }
                Do::Tag(tag) => {
                    let before = model.len();
                    model.retain(|(_, number), _| number % 3 != tag);
                    let selection = Selection { tag: Some(format!("t{tag}")), ..Selection::default() };
                    prop_assert_eq!(index.forget(&selection), (before - model.len()) as u64);
                }
                Do::Ids(ids) => {
                    let before = model.len();
                    model.retain(|(_, number), _| !ids.contains(number));
                    let selection = Selection { ids: ids.iter().map(|id| key(*id)).collect(), ..Selection::default() };
                    prop_assert_eq!(index.forget(&selection), (before - model.len()) as u64);
                }
                Do::Partition(part) => {
                    let before = model.len();
                    model.retain(|(of, _), _| *of != part);
                    let selection = Selection { partition: Some(partition(part)), ..Selection::default() };
                    prop_assert_eq!(index.forget(&selection), (before - model.len()) as u64);
                }
            }
        }
        prop_assert_eq!(index.entries(), model.len() as u64);
        for part in 0..3 {
            let here: Vec<_> = model.iter().filter(|((of, _), _)| *of == part).collect();
            prop_assert_eq!(index.size_of(partition(part)), here.len());
            for ((_, number), (ends, meant)) in here {
                let point = index.get_in(partition(part), key(*number)).unwrap();
                prop_assert_eq!((point.key, point.ends_ms), (key(*number), *ends));
                let meaning = meant.then(|| vec![*number as i8; 384].into_boxed_slice());
                prop_assert_eq!(point.meaning, meaning);
                let near = index.near(partition(part), &place_of(*number), 2, 0.8, 0);
                prop_assert_eq!(near.first().map(|near| near.key), Some(key(*number)));
                prop_assert!(index.near(partition(part), &place_of(*number), 2, 0.8, *ends).iter().all(|near| near.key != key(*number)));
            }
        }
        index.forget(&Selection { all: true, ..Selection::default() });
        prop_assert_eq!((index.entries(), index.partitions(), index.bytes.load(Relaxed)), (0, 0, 0));
    }

    #[test]
    fn any_place_is_taken(places in prop::collection::vec(prop::array::uniform32(any::<i8>()), 1..4), floor in -1.5_f32..1.5) {
        let index = Index::new(10);
        for (number, small) in places.iter().enumerate() {
            let mut place = Box::new([0; PLACE]);
            place[..32].copy_from_slice(small);
            index.put(point(number as u64, 0, place.clone(), 10));
            index.near(partition(0), &place, 3, floor, 0);
        }
        prop_assert!(index.near(partition(0), &[0; PLACE], 3, 0.1, 0).is_empty());
    }
}
