//! Stand-ins: an encoder that counts words, a verifier that forbids other numbers, and an embedder and a store that can fail.

use crate::cache::semantic::encode::{Embedder, Encode, Unread, Verify, place_of, quantise, splitmix};
use crate::cache::semantic::vectors::{Near, Place, Point, Vectors};
use crate::cache::{Key, Outage, Partition, Selection};
use async_trait::async_trait;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex};

/// Each word is a direction; a text is the sum of its words.
#[derive(Default)]
pub struct Words {
    pub meant: AtomicU64,
    /// While true, whoever asks for a meaning waits.
    held: Mutex<bool>,
    changed: Condvar,
}

impl Words {
    fn vector(text: &str) -> Vec<f32> {
        let mut sum = vec![0.0; 384];
        for word in text.split_whitespace() {
            let mut seed = BuildHasherDefault::<DefaultHasher>::default().hash_one(word);
            sum.iter_mut()
                .for_each(|x| *x += (splitmix(&mut seed) >> 40) as f32 / (1 << 23) as f32 - 1.0);
        }
        sum
    }

    pub fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.changed.notify_all();
    }
}

impl Encode for Words {
    fn place(&self, text: &str) -> Result<Box<Place>, Unread> {
        if text.split_whitespace().count() > 30 {
            return Err(Unread::TooLong);
        }
        place_of(&Self::vector(text)).ok_or(Unread::Nothing)
    }

    fn meaning(&self, text: &str) -> Option<Box<[i8]>> {
        self.meant.fetch_add(1, Relaxed);
        let mut held = self.held.lock().unwrap();
        while *held {
            held = self.changed.wait(held).unwrap();
        }
        quantise(&Self::vector(text))
    }
}

pub struct Numbers;

impl Verify for Numbers {
    fn gate(&self, asked: &str, kept: &[&str]) -> Vec<Option<&'static str>> {
        let numbers = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
        let differ = |kept: &&str| (numbers(kept) != numbers(asked)).then_some("numbers");
        kept.iter().map(differ).collect()
    }

    fn judge(&self, _asked: &str, _kept: &str, _places: f32, meanings: f32) -> f32 {
        meanings
    }
}

/// An embedder elsewhere, and a store of vectors, that can fail.
#[derive(Default)]
pub struct Elsewhere {
    pub down: AtomicBool,
    calls: AtomicU64,
    points: Mutex<Vec<Point>>,
}

impl Elsewhere {
    fn up(&self) -> Result<(), Outage> {
        self.calls.fetch_add(1, Relaxed);
        if self.down.load(Relaxed) {
            Err(Outage("down".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Embedder for Elsewhere {
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Outage> {
        self.up()?;
        Ok(texts.iter().map(|text| Words::vector(text)).collect())
    }
}

#[async_trait]
impl Vectors for Elsewhere {
    async fn put(&self, point: &Point) -> Result<(), Outage> {
        self.up()?;
        self.points.lock().unwrap().push(point.clone());
        Ok(())
    }

    async fn near(&self, of: Partition, place: &Place, most: usize, floor: f32, now: u64) -> Result<Vec<Near>, Outage> {
        self.up()?;
        let points = self.points.lock().unwrap();
        let near = points
            .iter()
            .filter(|point| point.partition == of && point.ends_ms > now);
        let near = near.map(|point| Near {
            key: point.key,
            question: point.question.to_string().into(),
            cosine: crate::cache::semantic::encode::cosine(&*point.place, place),
            place: point.place.clone(),
            meaning: point.meaning.clone(),
        });
        Ok(near.filter(|near| near.cosine >= floor).take(most).collect())
    }

    async fn get(&self, key: Key) -> Result<Option<Point>, Outage> {
        self.up()?;
        Ok(self
            .points
            .lock()
            .unwrap()
            .iter()
            .find(|point| point.key == key)
            .cloned())
    }

    async fn list(&self, of: Partition, most: usize) -> Result<Vec<Point>, Outage> {
        self.up()?;
        let points = self.points.lock().unwrap();
        Ok(points
            .iter()
            .filter(|point| point.partition == of)
            .take(most)
            .cloned()
            .collect())
    }

    async fn delete(&self, selection: &Selection) -> Result<u64, Outage> {
        self.up()?;
        let mut points = self.points.lock().unwrap();
        let before = points.len();
        points.retain(|point| !point.is_in(selection));
        Ok((before - points.len()) as u64)
    }

    async fn expire(&self, now_ms: u64) -> Result<u64, Outage> {
        self.up()?;
        let mut points = self.points.lock().unwrap();
        let before = points.len();
        points.retain(|point| point.ends_ms > now_ms);
        Ok((before - points.len()) as u64)
    }

    async fn count(&self) -> Result<u64, Outage> {
        Ok(self.points.lock().unwrap().len() as u64)
    }
}
