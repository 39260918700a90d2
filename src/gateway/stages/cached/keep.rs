//! From what was sent to what is kept: read back, judged, packed, put into the tiers. On no request's time.

use super::super::super::cached::{self, Sent};
use super::super::super::caching::Caching;
use super::super::super::context::RequestContext;
use super::super::super::tape::Shape;
use super::keeper::Shadow;
use super::scope;
use crate::cache::{Answer, Entry, Key, Mode, Owner, Partition, Policy, Skip, form};
use crate::clock;
use crate::telemetry::{CacheMeter, Purpose};
use crate::units::{NanoUsd, Usage};
use crate::wire::canonical::{Part, Response};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers from this size on are read back off the worker.
const ASIDE_FROM: usize = 16 * 1024;

/// Two answers that are this alike say the same, going by the words they share and by what they mean.
const AGREED: f32 = 0.8;

/// An answer that may be kept.
pub(super) struct Kept {
    pub meter: CacheMeter,
    pub caching: Arc<Caching>,
    /// How it is framed.
    pub shape: Shape,
    /// What was sent of it.
    pub pieces: Vec<Bytes>,
    pub key: Key,
    pub partition: Partition,
    pub question: Option<Box<str>>,
    /// How many answers were asked for.
    pub candidates: u32,
    pub policy: Policy,
    pub ttl: Duration,
    pub owner: Owner,
    pub tags: Box<[Box<str>]>,
    /// The model as asked.
    pub model: Arc<str>,
    pub target: Arc<str>,
    pub usage: Option<Usage>,
    pub cost: Option<NanoUsd>,
    /// What would have been served in its place.
    pub shadow: Option<Shadow>,
    /// When it was asked for: milliseconds since 1970.
    pub begun_ms: u64,
    pub max_depth: usize,
}

/// The request is over: keep its answer if it is one to keep. Called once, last.
pub fn keep(ctx: &mut RequestContext) {
    let Some(mut keeper) = ctx.keeper.take() else { return };
    let record = &ctx.record;
    let (Some(snapshot), Some(target)) = (&ctx.snapshot, &record.target) else {
        return;
    };
    let (place, _) = record.place;
    let Some(model) = snapshot.models.get(place) else {
        return;
    };
    if keeper.outgrown() {
        model.cache_meter.stored(Skip::TooLarge.as_str());
    }
    let Some((shape, pieces)) = keeper.recorded() else {
        return;
    };
    let elsewhere = matches!(
        record.purpose,
        Purpose::Fallback | Purpose::ContextFallback | Purpose::FilterFallback
    );
    if elsewhere || record.estimated {
        // Another model's answer, good while this one is out and no longer; or a figure of our own.
        model
            .cache_meter
            .stored(if elsewhere { "fallback" } else { "estimated" });
        return;
    }
    let price = snapshot.tariff.price(target, &record.named(), clock::now());
    let cost = price.zip(record.usage).map(|(price, usage)| price.of(&usage).total());
    let known = ctx.principal.known.as_deref();
    let wild = record.wild.as_ref().map(|(asked, _)| &**asked);
    let kept = Kept {
        meter: model.cache_meter.clone(),
        caching: Arc::clone(&keeper.caching),
        shape,
        pieces,
        key: keeper.asked.key,
        partition: keeper.asked.partition,
        question: keeper.asked.question.take(),
        candidates: keeper.asked.candidates,
        ttl: keeper.policy.ttl,
        policy: keeper.policy.clone(),
        owner: scope::owner_of(known),
        tags: scope::tags(known),
        model: wild.map_or_else(|| Arc::clone(&model.name), Arc::from),
        target: target.id.shared(),
        usage: record.usage,
        cost: cost.map(|cost| snapshot.tariff.billed(cost)),
        shadow: keeper.shadow.take(),
        begun_ms: begun(ctx.started),
        max_depth: snapshot.limits.json_depth,
    };
    tokio::spawn(store(kept));
}

/// Read it back, and keep it.
pub(super) async fn store(mut kept: Kept) {
    let bytes: usize = kept.pieces.iter().map(Bytes::len).sum();
    let packed = if bytes < ASIDE_FROM {
        kept.pack()
    } else {
        let work = move || (kept.pack(), kept);
        let Ok((packed, back)) = tokio::task::spawn_blocking(work).await else {
            return;
        };
        kept = back;
        packed
    };
    let answer = match packed {
        Ok(answer) => answer,
        Err(why) => return kept.meter.stored(why.as_str()),
    };
    if let (Some(shadow), Some(semantic)) = (&kept.shadow, &kept.caching.semantic)
        && fastrand::f32() < kept.policy.sample
        && let (Some(before), Some(text)) = (text_of(&shadow.entry.answer), text_of(&answer))
        && let Some(alike) = semantic.agreement(&before, &text).await
    {
        kept.meter.sampled(alike >= AGREED);
    }
    let (caching, meter, begun_ms) = (Arc::clone(&kept.caching), kept.meter.clone(), kept.begun_ms);
    let there = caching.keep(kept.entry(answer), begun_ms).await;
    meter.stored(if there { "stored" } else { "deleted" });
}

impl Kept {
    /// The answer as it is kept.
    fn pack(&self) -> Result<Answer, Skip> {
        let whole;
        let sent = if self.shape.stream {
            Sent::Stream(&self.pieces)
        } else {
            whole = self.pieces.concat();
            Sent::Whole(&whole)
        };
        let (call, above) = (self.shape.call(), self.caching.compress_above);
        cached::keep(
            &call,
            sent,
            self.candidates,
            self.usage,
            &self.policy,
            above,
            self.max_depth,
        )
    }

    fn entry(self, answer: Answer) -> Entry {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Entry {
            key: self.key,
            partition: self.partition,
            made_ms: clock::now_ms(),
            fresh_ms: ms(self.ttl),
            stale_ms: ms(self.policy.stale_while_revalidate),
            spare_ms: ms(self.policy.stale_if_error),
            owner: self.owner,
            model: self.model,
            target: self.target,
            tags: self.tags,
            semantic: self.policy.mode >= Mode::Shadow && self.question.is_some(),
            question: self.question,
            usage: self.usage,
            cost: self.cost,
            answer,
        }
    }
}

/// When that was: milliseconds since 1970.
pub(super) fn begun(started: Instant) -> u64 {
    let since = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    clock::now_ms().saturating_sub(since)
}

/// The prose of an answer.
fn said(response: &Response<'_>) -> String {
    let parts = response.candidates.iter().flat_map(|candidate| &candidate.parts);
    let texts = parts.filter_map(|part| match part {
        Part::Text { text, .. } => Some(&**text),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn text_of(answer: &Answer) -> Option<String> {
    let bytes = form::plain(answer).ok()?;
    Some(said(&form::unpack(&bytes).ok()?))
}
