//! A 64-bit hash that is the same in every process and release: what requests stick to a target by.
//!
//! Not for hash tables and not against forgery: who can choose keys can aim them at one target, which the load bound of
//! [`super::Strategy::Sticky`] limits. Several gateways without shared state must send one session to the same target,
//! therefore nothing random is mixed in. Eight bytes a step by a folded multiplication (the high half of the 128-bit
//! product on the low half): long system prompts are hashed in passing.

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const STEP: u64 = 0xd6e8_feb8_6659_fd93;

/// A hash under way. The borders between parts count: `"ab", "c"` is not `"a", "bc"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(u64);

impl Default for KeyHash {
    fn default() -> Self {
        Self(SEED)
    }
}

impl KeyHash {
    /// With the next part.
    #[must_use]
    pub fn part(self, bytes: &[u8]) -> Self {
        let mut state = self.0;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state = fold(state ^ u64::from_le_bytes(*word), STEP);
        }
        let mut last = [0u8; 8];
        for (slot, byte) in last.iter_mut().zip(rest) {
            *slot = *byte;
        }
        state = fold(state ^ u64::from_le_bytes(last), STEP);
        // The length ends the part, and tells trailing zero bytes from padding.
        Self(fold(state ^ bytes.len() as u64 ^ SEED, STEP))
    }

    /// The key.
    pub fn finish(self) -> u64 {
        mix(self.0)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // A zero operand would stay zero for ever; the addition moves it on.
    ((product >> 64) as u64 ^ product as u64).wrapping_add(SEED)
}

/// Spread the bits of a value over all of it (the finaliser of splitmix64; Steele, Lea, Flood 2014).
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(parts: &[&[u8]]) -> u64 {
        parts
            .iter()
            .fold(KeyHash::default(), |hash, part| hash.part(part))
            .finish()
    }

    #[test]
    fn it_is_the_same_in_every_release() {
        // Changing it moves every session to another target once: do so only knowingly.
        assert_eq!(key(&[b"session-1"]), 4_018_781_682_273_116_830);
    }

    #[test]
    fn borders_lengths_and_zeros_count() {
        let keys = [
            key(&[]),
            key(&[b""]),
            key(&[b"", b""]),
            key(&[b"\0"]),
            key(&[b"\0\0"]),
            key(&[b"ab", b"c"]),
            key(&[b"a", b"bc"]),
            key(&[b"abc"]),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn near_keys_spread_evenly() {
        let mut buckets = [0u32; 16];
        let mut seen = HashSet::new();
        for i in 0..160_000u32 {
            let key = key(&[format!("user-{i}").as_bytes()]);
            buckets[(key >> 60) as usize] += 1;
            assert!(seen.insert(key));
        }
        // 10 000 each, sigma 97.
        assert!(buckets.iter().all(|&n| (9_600..=10_400).contains(&n)), "{buckets:?}");
    }
}
