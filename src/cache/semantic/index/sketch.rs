//! Sketches: 256 bits of a place, compared by counting bits that differ; and the two loops that all searching is made of.
//!
//! The place is turned by a fixed random rotation (random signs, Hadamard transform, twice) and of each number the sign is kept. Two
//! places at an angle θ then differ in each bit with probability θ/π whatever the encoder's numbers look like, common mean and all
//! (Charikar 2002; orthogonal directions make it only surer: Ji et al. 2012). So a bound on the bits that differ finds what has a
//! cosine, with a chance of missing it that is the same for every encoder and known.
//!
//! Measured (`benches/semantic_index.rs`; Zen 5, ns an entry, the first 128 bits): baseline x86-64 1.06, AVX2 0.49, AVX-512 0.13;
//! 256-bit sketches cost twice that, a product of two places 31, 12 and 5. Hence the instructions are picked at run time, and the second
//! half of a sketch is only looked at where the first is near.

use crate::cache::semantic::encode::{hadamard, splitmix};
use crate::cache::semantic::vectors::{PLACE, Place};
use fearless_simd::{Level, Simd, dispatch};
use std::f32::consts::PI;

/// One half of a sketch.
pub type Half = [u64; 2];

/// Bits of one half.
pub const HALF: u32 = 128;

/// The random signs of the two rounds.
const SIGNS: [[i32; PLACE]; 2] = signs();

const fn signs() -> [[i32; PLACE]; 2] {
    let mut signs = [[1; PLACE]; 2];
    let mut seed = 0x5EED;
    let mut at = 0;
    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    while at < 2 * PLACE {
        if splitmix(&mut seed) & 1 == 1 {
            signs[at / PLACE][at % PLACE] = -1;
        }
        at += 1;
    }
    signs
}

/// The sketch of a place.
pub fn sketch(place: &Place) -> [Half; 2] {
    let mut turned = [0_i32; PLACE];
    turned
        .iter_mut()
        .zip(place)
        .for_each(|(to, from)| *to = i32::from(*from));
    for signs in &SIGNS {
        turned.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
        // Each round multiplies by 256 at most: 127 · 2¹⁶ fits.
        hadamard(&mut turned);
    }
    let mut words = turned.chunks_exact(64).map(|numbers| {
        let bits = numbers.iter().enumerate().map(|(at, x)| u64::from(*x < 0) << at);
        bits.fold(0, |word, bit| word | bit)
    });
    let mut half = || [words.next().unwrap_or(0), words.next().unwrap_or(0)];
    [half(), half()]
}

/// How far above what is expected the bits that differ are still looked at, in standard deviations of independent bits. These are less
/// than independent: measured, 4 are 4.2 for a half and 4.5 for both at a cosine of .8, so that one in 100 000 is missed.
pub const SURE: f32 = 4.0;

/// The same for ending a search early: who is missed then is at worst the last of the nearest, one in 5 000.
pub const LIKELY: f32 = 3.5;

/// How many of `bits` bits differ at most between two places of at least this cosine.
pub fn most_apart(cosine: f32, bits: u32, deviations: f32) -> u32 {
    let share = cosine.clamp(-1.0, 1.0).acos() / PI;
    let bits = bits as f32;
    (bits * share + deviations * (bits * share * (1.0 - share)).sqrt()).ceil() as u32
}

/// How many bits differ.
pub fn apart(a: &Half, b: &Half) -> u32 {
    let [a0, a1] = a;
    let [b0, b1] = b;
    (a0 ^ b0).count_ones() + (a1 ^ b1).count_ones()
}

/// How many bits each of the halves differs in from one, for as many as there is room for.
pub fn all_apart(level: Level, halves: &[Half], from: &Half, out: &mut [u8]) {
    #[inline(always)]
    fn each<S: Simd>(simd: S, halves: &[Half], from: &Half, out: &mut [u8]) {
        simd.vectorize(
            #[inline(always)]
            || {
                let [f0, f1] = *from;
                for ([h0, h1], out) in halves.iter().zip(out) {
                    *out = ((h0 ^ f0).count_ones() + (h1 ^ f1).count_ones()) as u8;
                }
            },
        );
    }
    dispatch!(level, simd => each(simd, halves, from, out));
}

/// The product of two places.
pub fn product(level: Level, a: &Place, b: &Place) -> i32 {
    #[inline(always)]
    fn sum<S: Simd>(simd: S, a: &Place, b: &Place) -> i32 {
        simd.vectorize(
            #[inline(always)]
            || a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum(),
        )
    }
    dispatch!(level, simd => sum(simd, a, b))
}

/// One over the length of a place; 0 if it has none.
pub fn scale(level: Level, place: &Place) -> f32 {
    let square = product(level, place, place);
    if square == 0 {
        0.0
    } else {
        (square as f32).sqrt().recip()
    }
}
