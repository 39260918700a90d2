//! Whom to ask first, by strategy: pure functions of loads, latencies and keys. Breakers are asked afterwards, in
//! `pool.rs`; who refused is left out and the question put again.
//!
//! * *Power of two choices* (Mitzenmacher 2001): of two drawn at random the better one, which spreads load nearly as
//!   well as the best of all and does not send everybody to the same one on stale figures.
//! * *Weighted rendezvous hashing* (Thaler, Ravishankar 1998; weights: Schindelhauer, Schomaker 2005): the member with the
//!   largest weight ÷ -ln(hash of key and member). Who leaves takes only its own keys along, who comes takes only what
//!   it then serves, a changed weight moves only the difference.
//! * *Bounded loads* (Mirrokni, Thorup, Zadimoghaddam 2016): a member at the bound passes a key to the next in the key's
//!   own order, so that what spills over sticks as well.

use super::key::mix;
use super::pool::{Group, Member, Out, Pool};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Requests in flight below which a member is never full: with next to nothing under way any two requests of one key
/// would exceed a bound that is relative to the mean, and a cache be missed for nothing.
pub(super) const ALWAYS_ROOM: u32 = 4;
/// Turns looked at for breaking a tie, and draws before members are counted off instead.
const PATIENCE: usize = 32;

impl Pool {
    fn load(&self, index: usize) -> Option<(u64, u64)> {
        let member = self.members.get(index)?;
        Some((u64::from(member.breaker.in_flight()), u64::from(member.weight)))
    }

    fn eligible<'a>(&'a self, group: &'a Group, out: &'a Out<'_>) -> impl Iterator<Item = (usize, &'a Member)> {
        let known = group
            .members
            .iter()
            .filter_map(|&index| Some((index, self.members.get(index)?)));
        known.filter(|(index, _)| !out.has(*index))
    }

    /// The fewest in flight for its weight; of equals the one whose turn is next.
    pub(super) fn least_busy(&self, group: &Group, out: &Out<'_>) -> Option<usize> {
        let mut best: Option<(usize, u64, u64)> = None;
        let mut tied = false;
        for (index, member) in self.eligible(group, out) {
            let (load, weight) = (u64::from(member.breaker.in_flight()), u64::from(member.weight));
            // a/v < b/w without division.
            let order = best.map(|(_, least, its)| (load * its).cmp(&(least * weight)));
            match order {
                Some(std::cmp::Ordering::Greater) => {}
                Some(std::cmp::Ordering::Equal) => tied = true,
                Some(std::cmp::Ordering::Less) | None => {
                    best = Some((index, load, weight));
                    tied = false;
                }
            }
        }
        let (first, least, its) = best?;
        if !tied {
            return Some(first);
        }
        // The cursor moves on with every turn passed over, else whoever follows a busy heavy member had its turns too.
        let turns = (0..group.turns.len().min(PATIENCE)).filter_map(|_| {
            let turn = group.cursor.fetch_add(1, Ordering::Relaxed) % group.turns.len();
            group.turns.get(turn)
        });
        let mut as_idle = turns.copied().filter(|&index| {
            !out.has(index)
                && self
                    .load(index)
                    .is_some_and(|(load, weight)| load * its <= least * weight)
        });
        Some(as_idle.next().unwrap_or(first))
    }

    /// Of two drawn by weight, the one that would be done sooner.
    pub(super) fn quicker_of_two(&self, group: &Group, stream: bool, now: Instant, out: &Out<'_>) -> Option<usize> {
        let a = self.draw(group, out, None)?;
        let Some(b) = self.draw(group, out, Some(a)) else {
            return Some(a);
        };
        let (first, second) = (self.members.get(a)?, self.members.get(b)?);
        let latency = |member: &Member| member.breaker.latency().seconds(stream, now);
        // Who is unknown is taken to be as fast as the other one, so it gets its share and no flood: what it has in
        // flight already counts.
        let (of_a, of_b) = match (latency(first), latency(second)) {
            (Some(a), Some(b)) => (a, b),
            (Some(known), None) | (None, Some(known)) => (known, known),
            (None, None) => (1.0, 1.0),
        };
        let cost = |seconds: f32, member: &Member| {
            f64::from(seconds) * (f64::from(member.breaker.in_flight()) + 1.0) / f64::from(member.weight)
        };
        Some(if cost(of_b, second) < cost(of_a, first) { b } else { a })
    }

    /// A random one, by weight, that is not `but`.
    fn draw(&self, group: &Group, out: &Out<'_>, but: Option<usize>) -> Option<usize> {
        let fits = |index: usize| but != Some(index) && !out.has(index);
        if group.members.len() > 1 || but.is_none() {
            for _ in 0..PATIENCE {
                let drawn = *group.turns.get(fastrand::usize(..group.turns.len()))?;
                if fits(drawn) {
                    return Some(drawn);
                }
            }
        }
        // Hardly anybody is left, or nobody.
        let (members, start) = (&group.members, fastrand::usize(..group.members.len()));
        let rotated = members.iter().cycle().skip(start).take(members.len());
        rotated.copied().find(|&index| fits(index))
    }

    /// The key's member; if that has more than its share in flight, the key's next.
    pub(super) fn sticky(&self, group: &Group, key: u64, load_factor: f64, out: &Out<'_>) -> Option<usize> {
        let (mut in_flight, mut weights) = (0.0, 0.0);
        for (_, member) in self.eligible(group, out) {
            in_flight += f64::from(member.breaker.in_flight());
            weights += f64::from(member.weight);
        }
        let bound = load_factor * (in_flight + 1.0) / weights;
        let has_room = |member: &Member| {
            let own = member.breaker.in_flight();
            own < ALWAYS_ROOM || f64::from(own) < (bound * f64::from(member.weight)).ceil()
        };
        self.first_of_key(group, key, has_room, out)
            // Only when loads changed while they were added up: somebody always is below the mean.
            .or_else(|| self.first_of_key(group, key, |_| true, out))
    }

    /// The first of the key's own order of members that `fits`.
    pub(super) fn first_of_key(
        &self,
        group: &Group,
        key: u64,
        fits: impl Fn(&Member) -> bool,
        out: &Out<'_>,
    ) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (index, member) in self.eligible(group, out) {
            if !fits(member) {
                continue;
            }
            let score = score(key, self.seeds.get(index).copied()?, member.weight);
            if best.is_none_or(|(_, most)| score > most) {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index)
    }
}

/// Exponentially distributed with the weight as rate, inverted: the largest of several is a member's with a chance of its
/// weight over all weights.
fn score(key: u64, seed: u64, weight: u32) -> f64 {
    // 53 bits, strictly between 0 and 1.
    let uniform = ((mix(key ^ seed) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(weight) / -uniform.ln()
}
