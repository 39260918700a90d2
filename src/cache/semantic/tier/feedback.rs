//! What was said of wrong hits, and what follows from it.
//!
//! Not who may say it (the admin API and the caller's own feedback, the walk decides). Of a report:
//! 1. The pair (kept answer, question that got it) never matches again.
//! 2. What the verifier may doubt of this question, and of every question of the partition that lies close to it (cosine of places of
//!    at least 0.85), halves: a threshold of .98 becomes .99, then .995.
//! 3. After the third report the question leaves the index. What it was doubted for stays, for its neighbours and for its successor.
//!
//! All of it is bounded; the oldest reports are forgotten first. It is of this process: others of a fleet are told each report.

use crate::cache::semantic::encode::cosine;
use crate::cache::semantic::vectors::Place;
use crate::cache::{Key, Partition};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

/// Reports after which a question leaves the index.
pub const REPORTS: u32 = 3;

/// Places at least this near to a reported one are doubted with it.
const CLOSE: f32 = 0.85;

/// Pairs, and reported questions, that are remembered at most: about 0.4 and 1.5 MB.
const PAIRS: usize = 8192;
const DOUBTS: usize = 4096;

/// Reported questions of one partition that are remembered at most, since a lookup compares with each.
const DOUBTS_HERE: usize = 64;

#[derive(Default)]
pub struct Feedback {
    /// There is something: what was never told costs a lookup one relaxed load.
    some: AtomicBool,
    told: RwLock<Told>,
}

#[derive(Default)]
struct Told {
    pairs: HashSet<(Key, Key)>,
    pairs_in_order: VecDeque<(Key, Key)>,
    doubts: HashMap<Partition, VecDeque<Doubt>>,
    doubts_in_order: VecDeque<(Partition, Key)>,
}

struct Doubt {
    key: Key,
    place: Box<Place>,
    reports: u32,
}

impl Feedback {
    /// This kept answer does not answer that question.
    pub fn part(&self, kept: Key, asked: Key) {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        if told.pairs.insert((kept, asked)) {
            told.pairs_in_order.push_back((kept, asked));
            if told.pairs_in_order.len() > PAIRS
                && let Some(oldest) = told.pairs_in_order.pop_front()
            {
                told.pairs.remove(&oldest);
            }
        }
        self.some.store(true, Ordering::Release);
    }

    /// A question was reported. How often, with this time.
    pub fn doubt(&self, partition: Partition, key: Key, place: Box<Place>) -> u32 {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        self.some.store(true, Ordering::Release);
        let here = told.doubts.entry(partition).or_default();
        if let Some(doubt) = here.iter_mut().find(|doubt| doubt.key == key) {
            doubt.reports = doubt.reports.saturating_add(1);
            return doubt.reports;
        }
        here.push_back(Doubt { key, place, reports: 1 });
        let left = (here.len() > DOUBTS_HERE).then(|| here.pop_front()).flatten();
        if let Some(left) = left {
            told.doubts_in_order.retain(|at| *at != (partition, left.key));
        }
        told.doubts_in_order.push_back((partition, key));
        if told.doubts_in_order.len() > DOUBTS
            && let Some((partition, key)) = told.doubts_in_order.pop_front()
            && let Some(here) = told.doubts.get_mut(&partition)
        {
            here.retain(|doubt| doubt.key != key);
            if here.is_empty() {
                told.doubts.remove(&partition);
            }
        }
        1
    }

    /// Whether a kept answer was reported for this very question.
    pub fn parted(&self, kept: Key, asked: Key) -> bool {
        self.some.load(Ordering::Acquire)
            && self
                .told
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .pairs
                .contains(&(kept, asked))
    }

    /// The score that a kept question needs where `threshold` is asked for.
    pub fn needed(&self, threshold: f32, partition: Partition, key: Key, place: &Place) -> f32 {
        if !self.some.load(Ordering::Acquire) {
            return threshold;
        }
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        let Some(here) = told.doubts.get(&partition) else {
            return threshold;
        };
        let reports: u32 = here
            .iter()
            .filter(|doubt| doubt.key == key || cosine(&*doubt.place, place) >= CLOSE)
            .map(|doubt| doubt.reports)
            .fold(0, u32::saturating_add);
        1.0 - (1.0 - threshold) * 0.5_f32.powi(reports.min(24) as i32)
    }

    /// How many pairs, and how many reported questions, are remembered.
    pub fn told(&self) -> (usize, usize) {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        (told.pairs.len(), told.doubts_in_order.len())
    }
}
