//! What the tier needs of whoever turns text into numbers, and of whoever says that two questions have one answer.
//!
//! Not the encoder ([`super::encoder`] is the built-in one), not the verifier ([`super::verify`]). The one idea: the two are seams,
//! so that the tier is tested with stand-ins that are exact, and a remote embedder can take the built-in one's place.

use super::vectors::{PLACE, Place};
use crate::cache::Outage;
use async_trait::async_trait;

/// An encoder in this process. Every call is pure.
pub trait Encode: Send + Sync {
    /// Where a text lies. Microseconds.
    ///
    /// # Errors
    /// It is longer than what is read (128 tokens with the built-in one), or nothing of it is known.
    fn place(&self, text: &str) -> Result<Box<Place>, Unread>;

    /// What a text means, or its beginning if it is longer than what is read: as many whole numbers for every text, of which only
    /// the direction counts. None if it cannot be told. Milliseconds: on the tier's own threads only.
    fn meaning(&self, text: &str) -> Option<Box<[i8]>>;
}

/// Why a text has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// Longer than what is read.
    TooLong,
    /// Nothing of it is known.
    Nothing,
}

/// An encoder elsewhere: a configured target with `/v1/embeddings`.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// A vector for each text, in their order, all of one length. Bounded in time by whoever implements it.
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Outage>;
}

/// Who says whether one answer serves two questions.
pub trait Verify: Send + Sync {
    /// For each kept question in turn: why its answer cannot serve what is asked, going by words alone. Microseconds.
    fn gate(&self, asked: &str, kept: &[&str]) -> Vec<Option<&'static str>>;

    /// How sure it is that the kept question's answer serves what is asked, 0 to 1, when their places and their meanings have these
    /// cosines. Never less when the meanings are nearer: with a cosine of 1 it says what could be reached at best.
    fn judge(&self, asked: &str, kept: &str, places: f32, meanings: f32) -> f32;
}

/// Whole numbers with the direction of a vector; the largest becomes ±127. None if it has no direction.
pub fn quantise(vector: &[f32]) -> Option<Box<[i8]>> {
    let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    if !largest.is_finite() || largest < f32::MIN_POSITIVE || vector.iter().any(|x| x.is_nan()) {
        return None;
    }
    let scale = 127.0 / largest;
    // In range by construction; a cast saturates anyway.
    Some(vector.iter().map(|x| (x * scale).round() as i8).collect())
}

/// Cosine between two vectors of whole numbers; 0 if they differ in length or one has no direction.
pub fn cosine(a: &[i8], b: &[i8]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot = |a: &[i8], b: &[i8]| -> i64 {
        // Sums of 128 products fit 32 bits many times over; vectors of any length do not.
        let parts = a.chunks(128).zip(b.chunks(128));
        parts
            .map(|(a, b)| i64::from(a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>()))
            .sum()
    };
    let norm = ((dot(a, a) as f64) * (dot(b, b) as f64)).sqrt();
    if norm < 1.0 {
        0.0
    } else {
        (dot(a, b) as f64 / norm) as f32
    }
}

/// The place of a vector of any length. Up to 256 numbers are taken as they are; more are turned by a fixed random rotation (random
/// signs, Hadamard transform, twice) of which the first 256 numbers are kept: a Johnson-Lindenstrauss projection, which keeps a
/// cosine c within about (1 - c²) / 16. The same in every process, so that a fleet can share places.
pub fn place_of(vector: &[f32]) -> Option<Box<Place>> {
    let mut wide: Vec<f32>;
    let kept = if vector.len() <= PLACE {
        vector
    } else {
        wide = vector.to_vec();
        wide.resize(vector.len().checked_next_power_of_two()?, 0.0);
        let mut seed = 0x5EED;
        for _ in 0..2 {
            wide.iter_mut().for_each(|x| {
                if splitmix(&mut seed) & 1 == 1 {
                    *x = -*x;
                }
            });
            hadamard(&mut wide);
            // Keeps the length, so that no vector however long overflows.
            let scale = (wide.len() as f32).sqrt().recip();
            wide.iter_mut().for_each(|x| *x *= scale);
        }
        wide.get(..PLACE)?
    };
    let whole = quantise(kept)?;
    let mut place = Box::new([0; PLACE]);
    place.iter_mut().zip(whole.iter()).for_each(|(to, from)| *to = *from);
    Some(place)
}

/// The Walsh-Hadamard transform, not scaled, of a power of two of numbers.
pub(super) fn hadamard<T>(numbers: &mut [T])
where
    T: Copy + std::ops::Add<Output = T> + std::ops::Sub<Output = T>,
{
    let mut half = 1;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(half * 2) {
            let (left, right) = pair.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
pub(super) const fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn real_cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_place_keeps_the_cosine(seed: u64, long in 2_usize..2000, mix in 0.0_f32..1.0) {
            let mut seed = seed;
            let mut draw = || (splitmix(&mut seed) >> 40) as f32 / (1 << 23) as f32 - 1.0;
            let a: Vec<f32> = (0..long).map(|_| draw()).collect();
            let b: Vec<f32> = a.iter().map(|a| a * mix + draw() * (1.0 - mix)).collect();
            let real = real_cosine(&a, &b);
            let kept = cosine(&*place_of(&a).unwrap(), &*place_of(&b).unwrap());
            let off = if long <= PLACE { 0.02 } else { 0.02 + 6.0 * (1.0 - real * real) / 16.0 };
            prop_assert!((real - kept).abs() < off, "{real} became {kept} ({long})");
            let whole = cosine(&quantise(&a).unwrap(), &quantise(&b).unwrap());
            prop_assert!((real - whole).abs() < 0.02, "{real} became {whole}");
        }

        #[test]
        fn any_vector_is_taken_or_refused(vector in prop::collection::vec(any::<f32>(), 0..600)) {
            let _ = place_of(&vector);
            if let Some(whole) = quantise(&vector) {
                prop_assert_eq!(whole.iter().map(|x| x.unsigned_abs()).max(), Some(127));
            }
        }
    }

    #[test]
    fn no_direction() {
        for vector in [&[][..], &[0.0; 300], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0]] {
            assert_eq!(quantise(vector), None);
            assert_eq!(place_of(vector), None);
        }
        assert_eq!(cosine(&[1, 2], &[1]), 0.0);
        assert_eq!(cosine(&[0], &[0]), 0.0);
    }
}
