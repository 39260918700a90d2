//! One period of smooth weighted round robin (the nginx algorithm): a heavy member's turns are spread out, not bunched.
//!
//! It is periodic, so the period is worked out once and picking from it is one atomic add.

use std::cmp::Reverse;

/// Longest period kept; weights beyond it are scaled down (the shares then are right to one part in this many).
const MAX_PERIOD: u64 = 16_384;

/// Positions in `weights`, in the order of their turns; a weight of 0 has none.
pub(super) fn turns(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().filter(|&w| w > 0).fold(0, gcd).max(1);
    let mut weights: Vec<u64> = weights.iter().map(|&w| u64::from(w / divisor)).collect();
    let total: u64 = weights.iter().sum();
    if total > MAX_PERIOD {
        for weight in weights.iter_mut().filter(|w| **w > 0) {
            *weight = (*weight * MAX_PERIOD / total).max(1);
        }
    }
    let total = weights.iter().sum::<u64>() as i64;
    let mut current = vec![0i64; weights.len()];
    let mut turns = Vec::with_capacity(total as usize);
    for _ in 0..total {
        for (value, weight) in current.iter_mut().zip(&weights) {
            *value += *weight as i64;
        }
        // The first of the largest, among members with a share.
        let best = (0..weights.len())
            .filter(|&i| weights.get(i).is_some_and(|&w| w > 0))
            .min_by_key(|&i| (Reverse(current.get(i).copied().unwrap_or(i64::MIN)), i));
        if let Some(value) = best.and_then(|i| current.get_mut(i)) {
            *value -= total;
        }
        turns.extend(best);
    }
    turns
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_out() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[20, 10]), [0, 1, 0]);
        assert_eq!(turns(&[0, 0]), [0usize; 0]);
    }
}
