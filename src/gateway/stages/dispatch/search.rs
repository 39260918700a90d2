//! The search for a target: who is asked next, and what the client is told when nobody is left.
//!
//! ```text
//! for each pool of the chain (the model, then its fallbacks)
//!   for each member that was not tried, fits the request, and may be asked
//! ```
//! The chain changes once at most: to the fallbacks for conversations that are too long, or for what a filter refused. A further
//! call to a target that has not failed since it last answered is free; any other takes from the retry budget, and when that is
//! empty the next member is looked at.

use super::failure::{Failure, Report};
use crate::balance::pool::NoPick;
use crate::balance::{Ask, Permit, RetryBudget};
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::{PublicModel, Snapshot};
use crate::telemetry::Purpose;
use crate::upstream::Target;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers that do not decode are asked for again once; a second one is the client's answer.
const MAX_BAD_RESPONSES: u32 = 2;
/// Most calls one request may cause.
const MAX_CALLS: u32 = 16;

/// Model and member, of several.
type Places = Vec<(usize, usize)>;

/// Who was asked, when, and why.
#[derive(Clone, Copy)]
pub(super) struct Who<'a> {
    /// Which model of the snapshot.
    pub index: usize,
    pub model: &'a PublicModel,
    pub member: usize,
    pub target: &'a Arc<Target>,
    pub purpose: Purpose,
    pub began: Instant,
}

/// Somebody to ask, and the leave to.
pub(super) struct Chosen<'a> {
    pub who: Who<'a>,
    pub permit: Permit,
}

/// What is known while looking for somebody who answers.
pub(super) struct Search<'a> {
    snapshot: &'a Snapshot,
    budget: &'a RetryBudget,
    stream: bool,
    chain: &'a [usize],
    at: usize,
    tried: Vec<usize>,
    /// By model: what this request sticks by there.
    keys: Vec<(usize, u64)>,
    /// Members that cannot take this request, by model.
    unfit: Vec<(usize, usize)>,
    /// Members that failed on it.
    failed: Vec<(usize, usize)>,
    /// Members that said "later": they may be asked again, at the price of a retry.
    postponed: Vec<(usize, usize)>,
    /// Where to look when a detour was in vain that was taken on an estimate: the pools, and who of them is left out.
    home: Option<(&'a [usize], Places)>,
    /// Why somebody of this chain is asked, other than that it is their turn.
    detour: Option<Purpose>,
    last: Option<GatewayError>,
    cooling: Option<Duration>,
    full: bool,
    open: Option<(usize, usize)>,
    bad_responses: u32,
    only_limits: bool,
    /// Why a target could not even be asked: told when nobody was.
    unasked: Option<GatewayError>,
}

impl<'a> Search<'a> {
    pub fn new(snapshot: &'a Snapshot, budget: &'a RetryBudget, chain: &'a [usize], stream: bool) -> Self {
        Self {
            snapshot,
            budget,
            stream,
            chain,
            at: 0,
            tried: Vec::new(),
            keys: Vec::new(),
            unfit: Vec::new(),
            failed: Vec::new(),
            postponed: Vec::new(),
            home: None,
            detour: None,
            last: None,
            cooling: None,
            full: false,
            open: None,
            bad_responses: 0,
            only_limits: true,
            unasked: None,
        }
    }

    /// What the request sticks by, for the models where that matters.
    pub fn stick(&mut self, model: usize, key: u64) {
        self.keys.push((model, key));
    }

    /// Members that are not to be asked.
    pub fn leave_out(&mut self, members: Vec<(usize, usize)>) {
        self.unfit = members;
    }

    /// The next one to ask; `calls` were made so far.
    pub fn next(&mut self, calls: u32) -> Option<Chosen<'a>> {
        if calls >= MAX_CALLS {
            return None;
        }
        while let Some(&index) = self.chain.get(self.at) {
            let Some(model) = self.snapshot.models.get(index) else {
                self.at += 1;
                continue;
            };
            if self.tried.is_empty() {
                let out = self.unfit.iter().chain(&self.failed);
                let here = out.filter(|(model, _)| *model == index);
                self.tried.extend(here.map(|(_, member)| *member));
            }
            let first = self.keys.iter().find(|(model, _)| *model == index);
            let ask = Ask {
                key: first.map(|(_, key)| *key),
                stream: self.stream,
            };
            match model.pool.pick(&self.tried, ask, Instant::now) {
                Ok(pick) => {
                    self.tried.push(pick.index);
                    let postponed = self.postponed.contains(&(index, pick.index));
                    let free = calls == 0 || (pick.permit.is_calm() && !postponed);
                    if !free && !self.budget.retry(Instant::now()) {
                        continue;
                    }
                    let Some(target) = model.targets.get(pick.index) else {
                        continue;
                    };
                    let who = Who {
                        index,
                        model,
                        member: pick.index,
                        target,
                        purpose: self.purpose(calls),
                        began: Instant::now(),
                    };
                    let permit = pick.permit;
                    return Some(Chosen { who, permit });
                }
                Err(why) => {
                    self.nobody(index, why);
                    self.at += 1;
                    self.tried.clear();
                }
            }
        }
        None
    }

    fn purpose(&self, calls: u32) -> Purpose {
        match self.detour {
            Some(purpose) => purpose,
            None if self.at > 0 => Purpose::Fallback,
            None if calls > 0 => Purpose::Retry,
            None => Purpose::First,
        }
    }

    /// Nobody could be asked and somebody's breaker is open: that one is asked all the same, rather than refusing without
    /// having tried. Once.
    pub fn last_resort(&mut self, calls: u32) -> Option<Chosen<'a>> {
        if calls > 0 {
            return None;
        }
        let (index, member) = self.open.take()?;
        let model = self.snapshot.models.get(index)?;
        let who = Who {
            index,
            model,
            member,
            target: model.targets.get(member)?,
            purpose: Purpose::LastResort,
            began: Instant::now(),
        };
        let permit = model.pool.pick_anyway(member, Instant::now)?.permit;
        Some(Chosen { who, permit })
    }

    /// Whether the pools are only full or cooling: waiting helps then.
    pub fn is_worth_waiting(&self) -> bool {
        self.full || (self.only_limits && self.cooling.is_some())
    }

    /// The soonest cool-down is over.
    pub fn forget_cooling(&mut self) {
        self.cooling = None;
    }

    /// Look in all pools of this chain but the first; `full`: that one was not even looked at.
    pub fn widen(&mut self, chain: &'a [usize], full: bool) {
        self.chain = chain;
        self.at = 1;
        self.full |= full;
        self.tried.clear();
    }

    /// Whether other pools than those of the model are asked.
    pub fn is_detoured(&self) -> bool {
        matches!(self.detour, Some(Purpose::ContextFallback | Purpose::FilterFallback))
    }

    /// How long until a cooling target may be asked again.
    pub fn cooling(&self) -> Option<Duration> {
        self.cooling
    }

    /// Whether asking those again who failed can help.
    pub fn is_worth_asking_again(&self) -> bool {
        self.last.is_some() && !self.only_limits && self.bad_responses < MAX_BAD_RESPONSES
    }

    /// Begin anew, and ask those who failed too.
    pub fn once_more(&mut self) {
        self.failed.clear();
        self.again(Some(Purpose::Again));
    }

    /// Begin anew, with what was learnt.
    pub fn again(&mut self, purpose: Option<Purpose>) {
        self.at = 0;
        self.tried.clear();
        self.cooling = None;
        self.full = false;
        self.detour = purpose;
    }

    /// The detour was a guess: these pools, without these members, are looked through when it was in vain.
    pub fn come_back_to(&mut self, chain: &'a [usize], without: Vec<(usize, usize)>) {
        self.home = Some((chain, without));
    }

    /// Go back to where a guess led away from.
    pub fn go_home(&mut self) -> bool {
        let Some((chain, without)) = self.home.take() else {
            return false;
        };
        (self.chain, self.unfit) = (chain, without);
        self.again(None);
        true
    }

    /// Look in other pools from here on. False when that was done already, or there are none.
    pub fn detour(&mut self, chain: &'a [usize], purpose: Purpose) -> bool {
        if self.is_detoured() || chain.is_empty() {
            return false;
        }
        self.chain = chain;
        self.again(Some(purpose));
        true
    }

    /// Learn from the failure of this member; an error is the client's answer.
    pub fn failed(&mut self, model: usize, member: usize, failure: Failure) -> Result<(), GatewayError> {
        // One that only wants to be left alone for a while may be asked when that is over.
        match failure.report {
            Report::Cool(_) => self.postponed.push((model, member)),
            _ => self.failed.push((model, member)),
        }
        if failure.unasked && failure.elsewhere {
            // What this one cannot take another may: those that were asked, or will be, say more.
            self.unasked.get_or_insert(failure.error);
            return Ok(());
        }
        if failure.error.kind == ErrorKind::ProviderBadResponse {
            self.bad_responses += 1;
        }
        self.only_limits &= matches!(failure.report, Report::Cool(_));
        if let Report::Cool(left) = failure.report {
            self.cools(Some(left));
        }
        if !failure.elsewhere || self.bad_responses >= MAX_BAD_RESPONSES {
            return Err(failure.error);
        }
        self.last = Some(failure.error);
        Ok(())
    }

    fn nobody(&mut self, model: usize, why: NoPick) {
        self.open = self.open.or(why.last_resort().map(|member| (model, member)));
        self.full |= why.full;
        self.cools(why.cooling);
    }

    fn cools(&mut self, left: Option<Duration>) {
        self.cooling = match (self.cooling, left) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// What the client is told when nobody answered. `soonest`: when a waiting line expects to have a turn.
    pub fn verdict(self, soonest: Option<Duration>) -> GatewayError {
        match (self.last, self.cooling) {
            // All that was heard is "later": say the soonest.
            (last, Some(left)) if self.only_limits => {
                let error = last.unwrap_or_else(|| {
                    GatewayError::new(
                        ErrorKind::RateLimited,
                        "every target of this model is rate limited by its provider",
                    )
                });
                error.retry_after(soonest.map_or(left, |soonest| soonest.max(left)))
            }
            (Some(error), _) => error,
            (None, _) if self.full => GatewayError::new(
                ErrorKind::Overloaded,
                "every target of this model has as many requests as it may have",
            )
            .retry_after(soonest.unwrap_or(Duration::from_secs(1))),
            (None, _) => self.unasked.unwrap_or_else(|| {
                GatewayError::new(ErrorKind::NoHealthyTarget, "no target of this model can be asked now")
                    .retry_after(Duration::from_secs(5))
            }),
        }
    }
}
