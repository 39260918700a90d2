//! The cache at its place in the walk: behind authentication, access, rules and limits, before anybody is asked.
//!
//! ```text
//! policy ─► key ─► kept? ─────────────────────────────► served                         serve.rs
//!                  └ alike? (off the worker) ─────────► served, or noted (shadow)
//!                     └ under way? ───────────────────► followed                       follow.rs
//!                        └ asked; recorded as it is sent, kept when it is whole        keeper.rs, keep.rs
//! ```
//! What is served from here counts as a request and costs nothing. The one idea: every door to an answer is its key, which is a hash
//! over the caller's scope and everything that decides the answer.

pub mod embedder;
pub mod feedback;
mod follow;
mod keep;
mod keeper;
mod meter;
mod record;
mod refresh;
mod scope;
mod serve;
mod warm;

pub use self::keep::keep;
pub use self::keeper::Keeper;
pub use self::record::{CacheRecord, count};
pub use self::warm::{warm, written};

use self::follow::Followed;
use self::keeper::{Caps, Lead, Shadow};
use super::super::App;
use super::super::buffers::Room;
use super::super::caching::Caching;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::super::tape::{Shape, Tape};
use super::dispatch::asked_timeout;
use super::guard;
use crate::balance::singleflight::{Flight, Landed};
use crate::cache::semantic::{Asked as Question, Found as Alike, Terms as Likeness};
use crate::cache::{self, Asked, Entry, Mode, Policy, State, Wish};
use crate::clock;
use crate::error::{ErrorKind, GatewayError};
use crate::snapshot::{Found, Snapshot};
use crate::telemetry::CacheResult;
use crate::wire::Call;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// What came of looking.
pub enum Looked {
    /// The request is answered; the inner error says that the client could not be written to.
    Answered(pingora::Result<()>),
    /// Somebody has to be asked.
    Ask,
}

/// What may be kept and served of a request; nothing where nothing is configured.
pub fn policy(snapshot: &Snapshot, ctx: &RequestContext, found: Found<'_>) -> Option<Policy> {
    let tenant = ctx.principal.known.as_ref().and_then(|known| known.cache.as_deref());
    snapshot.cache_policy(found.model, tenant, ctx.rule_cache.as_deref())
}

/// A request that the cache looks at.
struct Looking<'a> {
    app: &'a Arc<App>,
    caching: Arc<Caching>,
    snapshot: &'a Arc<Snapshot>,
    call: &'a Call,
    found: Found<'a>,
    policy: Policy,
    wish: Wish,
}

/// Answer from what is kept, or see to it that the answer is.
pub async fn run(
    app: &Arc<App>,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    snapshot: &Arc<Snapshot>,
    call: &Call,
    found: Found<'_>,
    mut policy: Policy,
) -> Result<Looked, GatewayError> {
    let Some(caching) = app.cache.load_full() else {
        return Ok(Looked::Ask);
    };
    let wish = Wish::read(&down.request().headers)?;
    wish.narrow(&mut policy);
    if policy.mode == Mode::Off {
        ctx.record.cache = Some(CacheRecord::bypass(&found.model.cache_meter, "header"));
        return Ok(Looked::Ask);
    }
    let looking = Looking {
        app,
        caching,
        snapshot,
        call,
        found,
        policy,
        wish,
    };
    let asked = match looking.ask(down, ctx).await? {
        Ok(asked) => asked,
        Err(skip) => {
            ctx.record.cache = Some(CacheRecord::bypass(&found.model.cache_meter, skip.as_str()));
            return Ok(Looked::Ask);
        }
    };
    looking.run(down, ctx, asked).await
}

/// Nobody could answer: what is kept for that case is served, else the error stands.
pub async fn in_need(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    call: &Call,
    error: GatewayError,
) -> Result<pingora::Result<()>, GatewayError> {
    let Some(mut keeper) = ctx.keeper.take() else {
        return Err(error);
    };
    keeper.disband();
    let is_outage = matches!(
        error.kind,
        ErrorKind::ProviderAuthFailed
            | ErrorKind::ProviderError
            | ErrorKind::ProviderBadResponse
            | ErrorKind::NoHealthyTarget
            | ErrorKind::ProviderTimeout
            // A provider's; limits of our own were asked before.
            | ErrorKind::RateLimited
    );
    let spare = keeper.spare.take().filter(|_| is_outage);
    let Some(entry) = spare.filter(|entry| !keeper.caching.was_deleted(entry)) else {
        return Err(error);
    };
    let Some(before) = ctx.record.cache.take() else {
        return Err(error);
    };
    ctx.record.cache = Some(CacheRecord::in_need(&before, &entry, &keeper.asked));
    let policy = keeper.policy.clone();
    match serve::run(app, down, ctx, call, &policy, &mut keeper.asked, &entry.answer).await {
        Some(sent) => sent,
        None => {
            ctx.record.cache = Some(before);
            Err(error)
        }
    }
}

/// What is needed to look, apart from the body.
enum Kept {
    /// To be served.
    Serve(CacheResult, Arc<Entry>, Option<f32>),
    /// Not to be served, unless nobody else answers.
    Spare(Arc<Entry>),
    /// Found by likeness, and only noted.
    Shadow(Shadow),
    /// Nothing.
    Nothing,
}

impl Looking<'_> {
    /// The request's key; of a large body off the worker.
    async fn ask(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
    ) -> Result<Result<Asked, cache::Skip>, GatewayError> {
        use super::super::aside::{OFFLOAD_FROM, aside};
        let owner = scope::owner(self.policy.scope, &ctx.principal);
        let model = scope::model(self.found);
        let targets = self.policy.by_target.then(|| scope::targets(self.found, &ctx.barred));
        let also = scope::also(&down.request().headers, guard::decides(ctx));
        let terms = (owner, model, targets, also, self.snapshot.limits.json_depth);
        if self.call.body.len() < OFFLOAD_FROM.min(self.policy.max_request) {
            return Ok(ask(self.call, &self.policy, &terms));
        }
        if self.call.body.len() > self.policy.max_request {
            return Ok(Err(cache::Skip::TooLarge));
        }
        let (call, policy) = (self.call.clone(), self.policy.clone());
        let began = Instant::now();
        let asked = down.or_left(pin!(aside(move || ask(&call, &policy, &terms)))).await;
        down.waited += began.elapsed();
        asked
            .map_err(|_| GatewayError::client_left())?
            .map_err(|error| GatewayError::internal(format!("blocking task: {error}")))
    }

    async fn run(
        self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        mut asked: Asked,
    ) -> Result<Looked, GatewayError> {
        let mut spare = None;
        let mut shadow = None;
        if self.wish.serve {
            let began = Instant::now();
            let kept = {
                let look = pin!(self.look(ctx, &asked));
                down.or_left(look).await
            };
            down.waited += began.elapsed();
            match kept.map_err(|_| GatewayError::client_left())? {
                Kept::Serve(result, entry, score) => {
                    ctx.record.cache = Some(CacheRecord::served(
                        &self.found.model.cache_meter,
                        result,
                        &entry,
                        asked.key,
                        score,
                    ));
                    let answer = &entry.answer;
                    let sent = serve::run(self.app, down, ctx, self.call, &self.policy, &mut asked, answer).await;
                    if let Some(sent) = sent {
                        // Only now: what pays for the fresher one would pay for this request, could the old one not be read.
                        if result == CacheResult::Stale && sent.is_ok() {
                            refresh::send(&self, down, ctx, &asked, &entry);
                        }
                        return sent.map(Looked::Answered);
                    }
                    // It could not be read: nobody is to find it again.
                    self.discard(&entry);
                }
                Kept::Spare(entry) => spare = Some(entry),
                Kept::Shadow(seen) => shadow = Some(seen),
                Kept::Nothing => {}
            }
        }
        let lead = match self.join(down, ctx, &mut asked).await? {
            Joined::Answered(sent) => return Ok(Looked::Answered(sent)),
            Joined::Lead(lead) => lead,
        };
        ctx.record.cache = Some(CacheRecord::miss(&self.found.model.cache_meter));
        let mut keeper = self.keeper(asked, lead);
        keeper.spare = spare;
        keeper.shadow = shadow;
        if let Some(others) = keeper.others() {
            down.share(others);
        }
        ctx.keeper = Some(Box::new(keeper));
        Ok(Looked::Ask)
    }

    /// Look for what is kept.
    async fn look(&self, ctx: &RequestContext, asked: &Asked) -> Kept {
        let now_ms = clock::now_ms();
        if let Some(entry) = self.caching.find(asked.key).await
            && entry.partition == asked.partition
            && scope::may_have(&ctx.principal, &entry)
        {
            match entry.state(now_ms) {
                State::Fresh if self.wish.takes(entry.age_ms(now_ms)) => {
                    return Kept::Serve(CacheResult::Hit, entry, None);
                }
                State::Stale if self.wish.ttl.is_none() => return Kept::Serve(CacheResult::Stale, entry, None),
                State::Fresh | State::Stale | State::Spare if self.wish.ttl.is_none() => return Kept::Spare(entry),
                _ => {}
            }
        }
        self.look_alike(ctx, asked, now_ms).await
    }

    async fn look_alike(&self, ctx: &RequestContext, asked: &Asked, now_ms: u64) -> Kept {
        let (true, Some(semantic), Some(question)) = (
            self.policy.mode >= Mode::Shadow,
            &self.caching.semantic,
            asked.question.as_deref(),
        ) else {
            return Kept::Nothing;
        };
        let terms = Likeness {
            threshold: self.policy.threshold,
            time_limit: self.policy.time_limit,
        };
        let question = Question {
            partition: asked.partition,
            key: asked.key,
            question,
        };
        let began = Instant::now();
        let found = semantic.find(&question, &terms, now_ms).await;
        meter::looked_alike(&self.found.model.cache_meter, self.policy.mode, &found, began.elapsed());
        let Alike::Hit { key, score, .. } = found else {
            return Kept::Nothing;
        };
        let Some(entry) = self.caching.find(key).await else {
            self.caching.lost(key).await;
            return Kept::Nothing;
        };
        let fits = entry.partition == asked.partition
            && entry.state(now_ms) == State::Fresh
            && self.wish.takes(entry.age_ms(now_ms))
            && scope::may_have(&ctx.principal, &entry);
        match self.policy.mode {
            _ if !fits => Kept::Nothing,
            Mode::Semantic => Kept::Serve(CacheResult::Semantic, entry, Some(score)),
            _ => Kept::Shadow(Shadow { entry, score }),
        }
    }

    fn discard(&self, entry: &Entry) {
        let selection = cache::Selection {
            ids: vec![entry.key],
            ..cache::Selection::default()
        };
        let caching = Arc::clone(&self.caching);
        tokio::spawn(async move { caching.delete(&selection).await });
    }

    /// Follow whoever asks the same, or lead.
    async fn join(
        &self,
        down: &mut Downstream<'_>,
        ctx: &mut RequestContext,
        asked: &mut Asked,
    ) -> Result<Joined, GatewayError> {
        // Who wants it anew leads nobody: others are served what is kept. Who may not have every provider's answer asks for itself:
        // whose answer another gets is not known before it comes.
        if !self.policy.singleflight || !self.wish.serve || !scope::may_follow(&ctx.principal, self.found.model) {
            return Ok(Joined::Lead(None));
        }
        let hurry = asked_timeout(down)?;
        // The reader is made under the map's lock: a recording that others may come to is not cut short meanwhile.
        let under_way = self.caching.tapes.get(&asked.key).map(|tape| tape.reader());
        let reader = match under_way {
            Some(reader) => reader,
            None => match self.caching.flights.join(asked.key) {
                // Who gives itself less time leads nobody into its own deadline.
                Flight::Lead(lead) => return Ok(Joined::Lead(Some(lead).filter(|_| hurry.is_none()))),
                Flight::Alone => return Ok(Joined::Lead(None)),
                Flight::Follow(follower) => {
                    let deadline = follow::deadline(self, ctx, hurry);
                    let landed = {
                        let wait = pin!(follower.wait());
                        down.until(deadline, wait).await
                    };
                    match landed.map_err(follow::stopped)? {
                        Landed::Value(reader) => reader,
                        Landed::Lead(lead) => return Ok(Joined::Lead(Some(lead).filter(|_| hurry.is_none()))),
                        Landed::Alone => return Ok(Joined::Lead(None)),
                    }
                }
            },
        };
        let until = follow::deadline(self, ctx, hurry);
        match follow::run(self, down, ctx, asked, reader, until).await? {
            Followed::Answered(sent) => Ok(Joined::Answered(sent)),
            Followed::Nothing => Ok(Joined::Lead(None)),
        }
    }

    fn keeper(&self, asked: Asked, lead: Option<Lead>) -> Keeper {
        let limits = &self.snapshot.limits;
        let tape = Tape::new(Shape::of(self.call, asked.stream_usage), Room::none(&self.app.buffers));
        let caps = Caps {
            kept: self.policy.max_answer,
            answer: limits.response_body.max(self.policy.max_answer),
            buffered: limits.buffered_bytes,
        };
        Keeper::new(
            Arc::clone(&self.caching),
            asked,
            self.policy.clone(),
            self.wish.store,
            caps,
            tape,
            lead,
        )
    }
}

/// What came of joining.
enum Joined {
    /// Another's answer was sent on.
    Answered(pingora::Result<()>),
    /// This one asks, and others may follow.
    Lead(Option<Lead>),
}

type Place = (String, String, Option<String>, Option<String>, usize);

fn ask(call: &Call, policy: &Policy, (owner, model, targets, also, max_depth): &Place) -> Result<Asked, cache::Skip> {
    cache::ask(
        call,
        &cache::Terms {
            policy,
            owner,
            model,
            target: targets.as_deref(),
            also: also.as_deref(),
            max_depth: *max_depth,
            now_ms: clock::now_ms(),
        },
    )
}
