//! A pool: the weighted targets behind one public model.
//!
//! Smooth weighted round robin (the nginx algorithm: a heavy member's turns are spread out, not bunched) is periodic, so
//! its one period is worked out when the pool is built and picking is one atomic add. A member that cannot be asked
//! loses its turn to the next in the sequence, and the cursor moves on for everybody, so the others keep their shares.

use super::breaker::{Breaker, Permit, Refusal};
use crate::ids::TargetId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest period kept; weights beyond it are scaled down (the shares then are right to one part in this many).
const MAX_PERIOD: u64 = 16_384;

/// One target as a pool sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Which target.
    pub id: TargetId,
    /// Its share; 0 = standby.
    pub weight: u32,
    /// Its breaker.
    pub breaker: Arc<Breaker>,
}

/// Targets and whose turn it is.
#[derive(Debug)]
pub struct Pool {
    members: Vec<Member>,
    /// Member indices in the order of their turns.
    turns: Vec<usize>,
    cursor: AtomicUsize,
}

/// A chosen member and the leave to ask it.
#[derive(Debug)]
pub struct Pick {
    /// Index of the member in the pool.
    pub index: usize,
    /// Must be reported.
    pub permit: Permit,
}

/// Nobody can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoPick {
    /// The shortest time after which a cooling member may be asked again.
    pub cooling: Option<Duration>,
    /// A member that was refused only because its breaker is open.
    pub open: Option<usize>,
}

impl Pool {
    /// A pool of these members.
    pub fn new(members: Vec<Member>) -> Self {
        let turns = turns(&members.iter().map(|m| m.weight).collect::<Vec<_>>());
        Self {
            members,
            turns,
            cursor: AtomicUsize::new(0),
        }
    }

    /// Its members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The next member that was not tried yet and may be asked.
    pub fn pick(&self, tried: &[usize], now: impl Fn() -> Instant) -> Result<Pick, NoPick> {
        let mut why = NoPick::default();
        let mut refused = Vec::new();
        for _ in 0..self.turns.len() {
            let turn = self.cursor.fetch_add(1, Ordering::Relaxed) % self.turns.len();
            let Some(&index) = self.turns.get(turn) else { break };
            if tried.contains(&index) || refused.contains(&index) {
                continue;
            }
            match self.ask(index, &now, &mut why) {
                Some(pick) => return Ok(pick),
                None => refused.push(index),
            }
            if refused.len() + tried.len() >= self.members.len() {
                break;
            }
        }
        // Standbys, and members whose turns others took while this loop ran.
        for index in 0..self.members.len() {
            if !tried.contains(&index)
                && !refused.contains(&index)
                && let Some(pick) = self.ask(index, &now, &mut why)
            {
                return Ok(pick);
            }
        }
        Err(why)
    }

    fn ask(&self, index: usize, now: &impl Fn() -> Instant, why: &mut NoPick) -> Option<Pick> {
        match self.members.get(index)?.breaker.admit(now) {
            Ok(permit) => return Some(Pick { index, permit }),
            Err(Refusal::Cooling(left)) => why.cooling = Some(why.cooling.map_or(left, |before| before.min(left))),
            Err(Refusal::Open) => why.open = why.open.or(Some(index)),
        }
        None
    }

    /// Ask this member whatever its breaker says.
    pub fn pick_anyway(&self, index: usize) -> Option<Pick> {
        Some(Pick {
            index,
            permit: self.members.get(index)?.breaker.admit_anyway(),
        })
    }
}

/// One period of smooth weighted round robin.
fn turns(weights: &[u32]) -> Vec<usize> {
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
            .min_by_key(|&i| (std::cmp::Reverse(current.get(i).copied().unwrap_or(i64::MIN)), i));
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
    use proptest::prelude::*;

    fn pool(weights: &[u32]) -> Pool {
        let member = |(i, &weight): (usize, &u32)| Member {
            id: TargetId::new(format!("t{i}")),
            weight,
            breaker: Arc::new(Breaker::default()),
        };
        Pool::new(weights.iter().enumerate().map(member).collect())
    }

    fn counts(pool: &Pool, requests: usize, tried: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; pool.members.len()];
        for _ in 0..requests {
            let pick = pool.pick(tried, Instant::now).unwrap();
            counts[pick.index] += 1;
            pick.permit.success();
        }
        counts
    }

    #[test]
    fn turns_are_spread_out() {
        assert_eq!(turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[20, 10]), [0, 1, 0]);
    }

    #[test]
    fn a_tried_member_leaves_its_turns_to_the_others_in_proportion() {
        assert_eq!(counts(&pool(&[1, 1, 1]), 600, &[1]), [300, 0, 300]);
        let split = counts(&pool(&[2, 5, 1]), 3000, &[1]);
        assert!((1900..=2100).contains(&split[0]), "{split:?}");
    }

    #[test]
    fn a_standby_is_asked_only_when_nobody_else_can_be() {
        let pool = pool(&[1, 0]);
        assert_eq!(counts(&pool, 10, &[]), [10, 0]);
        assert_eq!(pool.pick(&[0], Instant::now).unwrap().index, 1);
    }

    #[test]
    fn open_and_cooling_members_are_passed_over_and_named() {
        let (pool, now) = (pool(&[1, 1]), Instant::now());
        for _ in 0..5 {
            pool.members[0].breaker.admit(|| now).unwrap().failure(now);
        }
        assert_eq!(counts(&pool, 10, &[]), [0, 10]);
        pool.members[1]
            .breaker
            .admit(|| now)
            .unwrap()
            .cool(now, Duration::from_secs(9));
        let why = pool.pick(&[], || now).unwrap_err();
        assert_eq!(
            why,
            NoPick {
                cooling: Some(Duration::from_secs(9)),
                open: Some(0)
            }
        );
        assert_eq!(pool.pick_anyway(0).unwrap().index, 0);
    }

    proptest! {
        #[test]
        fn shares_are_exact_over_a_period(weights in prop::collection::vec(0u32..40, 1..6)) {
            prop_assume!(weights.iter().any(|&w| w > 0));
            let pool = pool(&weights);
            let total: u32 = weights.iter().sum();
            let counts = counts(&pool, total as usize, &[]);
            prop_assert_eq!(counts, weights.iter().map(|&w| w as usize).collect::<Vec<_>>());
        }
    }
}
