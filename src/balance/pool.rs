//! A pool: the targets behind one public model, and whose turn it is.
//!
//! ```text
//!   members ─ by tier, 0 first ─ in it by cost (cheapest only) ─► groups, each with its turns
//!                              └ weight 0: the tier's standbys ─► a group without turns, behind the others of the tier
//! ```
//! Groups are walked in this order for every request, so a lower tier is asked only while nobody above may be, and no
//! longer. Within a group the [`Strategy`] chooses (`choose.rs`). Weighted turns are one atomic add: a member that cannot
//! be asked loses its turn to the next in the sequence, and the cursor moves on for everybody, so the others keep their
//! shares. Load is what [`Breaker::in_flight`] counts, over all pools that name the target.

use super::breaker::{Breaker, Permit, Refusal};
use super::key::KeyHash;
use super::quarantine::Quarantine;
use super::turns::turns;
use crate::ids::TargetId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Default of `Sticky`'s `load_factor`.
pub const LOAD_FACTOR: f64 = 1.25;

/// How a pool chooses among members of one tier that may be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Strategy {
    /// Smooth weighted round robin.
    #[default]
    Weighted,
    /// Who has the fewest requests in flight for its weight; on a tie whose turn it is.
    LeastBusy,
    /// Of two drawn by weight, the one with the smaller latency × (in flight + 1) ÷ weight; see [`super::latency`].
    PeakEwma,
    /// One key, one member, so that the provider's prompt cache is met; without a key as `Weighted`.
    Sticky {
        /// A member with more than this times its share of all that is in flight passes its keys on. At least 1.
        load_factor: f64,
    },
    /// Shares of the *keys* by weight, for canaries and comparisons; without a key as `Weighted`.
    Split,
    /// The cheapest; equal ones, and those of unknown price behind all others, as `Weighted`.
    Cheapest,
}

/// One target as a pool sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Which target.
    pub id: TargetId,
    /// Its share; 0 = standby of its tier.
    pub weight: u32,
    /// 0 is asked first, the next only when nobody before it may be.
    pub tier: u32,
    /// Price in nano-USD per 1000 tokens, for [`Strategy::Cheapest`]; unknown: `u64::MAX`, which comes last.
    pub cost: u64,
    /// Its breaker.
    pub breaker: Arc<Breaker>,
    /// Of the credential it is asked with, shared by all targets that use it.
    pub quarantine: Option<Arc<Quarantine>>,
}

/// What of a request a choice may depend on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask {
    /// What it sticks by ([`KeyHash`]); only worth making if [`Pool::keyed`].
    pub key: Option<u64>,
    /// A stream: the time to its first token counts.
    pub stream: bool,
}

/// Targets and whose turn it is.
#[derive(Debug)]
pub struct Pool {
    pub(super) members: Vec<Member>,
    /// Per member, what its id hashes to.
    pub(super) seeds: Vec<u64>,
    groups: Vec<Group>,
    strategy: Strategy,
    measures: bool,
}

/// Members that are chosen among before anybody behind them is.
#[derive(Debug)]
pub(super) struct Group {
    /// Their indices.
    pub(super) members: Vec<usize>,
    /// Their indices in the order of their turns; empty: standbys, asked in order.
    pub(super) turns: Vec<usize>,
    pub(super) cursor: AtomicUsize,
    /// The same for requests that asked somebody already.
    pub(super) again: AtomicUsize,
}

/// A chosen member and the leave to ask it.
#[derive(Debug)]
pub struct Pick {
    /// Index of the member in the pool.
    pub index: usize,
    /// Must be reported.
    pub permit: Permit,
}

/// Nobody can be asked. Members that an operator holds out are in none of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoPick {
    /// The shortest time after which a cooling member may be asked again.
    pub cooling: Option<Duration>,
    /// Of the members that were refused only because their breakers are open, the one that is to be probed soonest.
    pub open: Option<usize>,
    /// Somebody has as many requests under way as it may have, and nothing else against it.
    pub full: bool,
    /// The first member whose credential its provider refuses.
    pub quarantined: Option<usize>,
}

impl NoPick {
    /// Whom to ask all the same ([`Pool::pick_anyway`]) rather than to answer without having asked anybody: a breaker and a
    /// quarantine are guesses, and the last one left disproves them best. An open one before one that was refused.
    pub fn last_resort(&self) -> Option<usize> {
        self.open.or(self.quarantined)
    }
}

/// Who is out of the question for this pick.
pub(super) struct Out<'a> {
    tried: &'a [usize],
    /// Allocates only when somebody refuses.
    refused: Vec<usize>,
    why: NoPick,
    /// Time until `why.open` may be probed.
    opens_in: Duration,
}

impl Out<'_> {
    pub(super) fn has(&self, index: usize) -> bool {
        self.tried.contains(&index) || self.refused.contains(&index)
    }
}

impl Pool {
    /// A pool of these members. `measures`: how long they take is wanted for more than [`Strategy::PeakEwma`], which always
    /// measures; else nothing reads a clock.
    pub fn new(members: Vec<Member>, strategy: Strategy, measures: bool) -> Self {
        let strategy = match strategy {
            Strategy::Sticky { load_factor } if load_factor.is_nan() => Strategy::Sticky {
                load_factor: LOAD_FACTOR,
            },
            Strategy::Sticky { load_factor } => Strategy::Sticky {
                load_factor: load_factor.max(1.0),
            },
            other => other,
        };
        Self {
            seeds: members
                .iter()
                .map(|m| KeyHash::default().part(m.id.as_str().as_bytes()).finish())
                .collect(),
            groups: groups(&members, strategy),
            members,
            strategy,
            measures: measures || strategy == Strategy::PeakEwma,
        }
    }

    /// Its members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How it chooses.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Whether [`Ask::key`] makes a difference.
    pub fn keyed(&self) -> bool {
        matches!(self.strategy, Strategy::Sticky { .. } | Strategy::Split)
    }

    /// The next member that was not tried yet and may be asked. `now` is read when a breaker is not calm, and if the
    /// pool measures.
    pub fn pick(&self, tried: &[usize], ask: Ask, now: impl Fn() -> Instant) -> Result<Pick, NoPick> {
        if !self.measures {
            return self.walk(tried, ask, &now);
        }
        let at = now();
        let Pick { index, permit } = self.walk(tried, ask, &|| at)?;
        let permit = permit.measured(at, ask.stream);
        Ok(Pick { index, permit })
    }

    fn walk(&self, tried: &[usize], ask: Ask, now: &impl Fn() -> Instant) -> Result<Pick, NoPick> {
        let mut out = Out {
            tried,
            refused: Vec::new(),
            why: NoPick::default(),
            opens_in: Duration::ZERO,
        };
        for group in &self.groups {
            let pick = if group.turns.is_empty() {
                self.in_order(group, &mut out, now)
            } else {
                self.in_group(group, ask, &mut out, now)
            };
            if let Some(pick) = pick {
                return Ok(pick);
            }
        }
        Err(out.why)
    }

    fn in_group(&self, group: &Group, ask: Ask, out: &mut Out<'_>, now: &impl Fn() -> Instant) -> Option<Pick> {
        match (self.strategy, ask.key) {
            (Strategy::LeastBusy, _) => self.best(out, now, |out| self.least_busy(group, out)),
            (Strategy::PeakEwma, _) => {
                let at = now();
                self.best(out, now, |out| self.quicker_of_two(group, ask.stream, at, out))
            }
            (Strategy::Sticky { load_factor }, Some(key)) => {
                self.best(out, now, |out| self.sticky(group, key, load_factor, out))
            }
            (Strategy::Split, Some(key)) => self.best(out, now, |out| self.first_of_key(group, key, |_| true, out)),
            (Strategy::Weighted | Strategy::Cheapest | Strategy::Sticky { .. } | Strategy::Split, _) => {
                self.by_turns(group, out, now)
            }
        }
    }

    /// Ask whom `choose` names until somebody agrees or nobody is left.
    fn best(
        &self,
        out: &mut Out<'_>,
        now: &impl Fn() -> Instant,
        choose: impl Fn(&Out<'_>) -> Option<usize>,
    ) -> Option<Pick> {
        loop {
            let index = choose(out)?;
            if let Some(pick) = self.ask(index, out, now) {
                return Some(pick);
            }
        }
    }

    fn by_turns(&self, group: &Group, out: &mut Out<'_>, now: &impl Fn() -> Instant) -> Option<Pick> {
        // Who goes on after a failure has turns of its own: those it took from the healthy would leave the one that fails with
        // more than its share of first calls.
        let cursor = if out.tried.is_empty() {
            &group.cursor
        } else {
            &group.again
        };
        for _ in 0..group.turns.len() {
            let turn = cursor.fetch_add(1, Ordering::Relaxed) % group.turns.len();
            let Some(&index) = group.turns.get(turn) else { break };
            if out.has(index) {
                continue;
            }
            if let Some(pick) = self.ask(index, out, now) {
                return Some(pick);
            }
            if out.refused.len() + out.tried.len() >= self.members.len() {
                break;
            }
        }
        // Members whose turns others took while this loop ran.
        self.in_order(group, out, now)
    }

    fn in_order(&self, group: &Group, out: &mut Out<'_>, now: &impl Fn() -> Instant) -> Option<Pick> {
        for &index in &group.members {
            if !out.has(index)
                && let Some(pick) = self.ask(index, out, now)
            {
                return Some(pick);
            }
        }
        None
    }

    fn ask(&self, index: usize, out: &mut Out<'_>, now: &impl Fn() -> Instant) -> Option<Pick> {
        match self.members.get(index)?.admit(now) {
            Ok(permit) => return Some(Pick { index, permit }),
            Err(refusal) => out.refuse(index, refusal),
        }
        None
    }

    /// Ask this member although its breaker is open or its credential in quarantine; `None` when an operator holds it out or
    /// its bound is reached.
    pub fn pick_anyway(&self, index: usize, now: impl Fn() -> Instant) -> Option<Pick> {
        let member = self.members.get(index)?;
        let entry = member.breaker.enter_anyway(now()).ok()?;
        let pass = member.quarantine.as_ref().map(Quarantine::admit_anyway);
        Some(Pick {
            index,
            permit: Permit::new(Arc::clone(&member.breaker), entry, pass),
        })
    }
}

impl Member {
    /// The credential is asked first: a refusal there must not take a probe's place in the breaker and give it back.
    fn admit(&self, now: &impl Fn() -> Instant) -> Result<Permit, Refusal> {
        let pass = match &self.quarantine {
            Some(quarantine) => Some(quarantine.admit(now).map_err(Refusal::Quarantined)?),
            None => None,
        };
        let entry = self.breaker.enter(now)?;
        Ok(Permit::new(Arc::clone(&self.breaker), entry, pass))
    }
}

impl Out<'_> {
    fn refuse(&mut self, index: usize, refusal: Refusal) {
        let why = &mut self.why;
        match refusal {
            Refusal::Cooling(left) => why.cooling = Some(why.cooling.map_or(left, |before| before.min(left))),
            Refusal::Open(left) if why.open.is_none() || left < self.opens_in => {
                why.open = Some(index);
                self.opens_in = left;
            }
            Refusal::Quarantined(_) => why.quarantined = why.quarantined.or(Some(index)),
            Refusal::Full => why.full = true,
            Refusal::Open(_) | Refusal::Held => {}
        }
        self.refused.push(index);
    }
}

/// The members in the order in which they may be asked at all.
fn groups(members: &[Member], strategy: Strategy) -> Vec<Group> {
    let rank = |member: &Member| {
        let standby = member.weight == 0;
        let by_cost = strategy == Strategy::Cheapest && !standby;
        (member.tier, standby, if by_cost { member.cost } else { 0 })
    };
    let mut order: Vec<(usize, &Member)> = members.iter().enumerate().collect();
    order.sort_by_key(|(_, member)| rank(member));
    order
        .chunk_by(|(_, a), (_, b)| rank(a) == rank(b))
        .map(|group| {
            let weights: Vec<u32> = group.iter().map(|(_, member)| member.weight).collect();
            Group {
                members: group.iter().map(|(index, _)| *index).collect(),
                turns: turns(&weights)
                    .into_iter()
                    .filter_map(|turn| Some(group.get(turn)?.0))
                    .collect(),
                cursor: AtomicUsize::new(0),
                again: AtomicUsize::new(0),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
