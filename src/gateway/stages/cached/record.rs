//! What the cache made of a request: for its headers, its record, and the metrics.

use super::super::super::context::RequestContext;
use crate::cache::feedback::{CACHE_ID, HitId};
use crate::cache::{Asked, Entry, Key};
use crate::clock;
use crate::telemetry::{CacheMeter, CacheResult, Saved};
use crate::units::{NanoUsd, Usage};
use http::HeaderValue;
use http::header::{AGE, HeaderName};
use pingora::http::ResponseHeader;

const RESULT: HeaderName = HeaderName::from_static("x-cirque-cache");
const ID: HeaderName = HeaderName::from_static(CACHE_ID);
const SCORE: HeaderName = HeaderName::from_static("x-cirque-cache-score");
const REASON: HeaderName = HeaderName::from_static("x-cirque-cache-reason");

/// What the cache made of a request.
#[derive(Debug, Clone)]
pub struct CacheRecord {
    /// In a word.
    pub result: CacheResult,
    /// Why it was left aside, or why something old was served.
    pub reason: Option<&'static str>,
    /// The answer that was served.
    pub id: Option<HitId>,
    /// How old it is, milliseconds.
    pub age_ms: Option<u64>,
    /// How sure the verifier was that it answers the question.
    pub score: Option<f32>,
    /// What it took when it was made.
    pub usage: Option<Usage>,
    /// What that cost.
    pub cost: Option<NanoUsd>,
    meter: CacheMeter,
}

impl CacheRecord {
    fn new(meter: &CacheMeter, result: CacheResult) -> Self {
        Self {
            result,
            reason: None,
            id: None,
            age_ms: None,
            score: None,
            usage: None,
            cost: None,
            meter: meter.clone(),
        }
    }

    /// Left aside.
    pub fn bypass(meter: &CacheMeter, reason: &'static str) -> Box<Self> {
        Box::new(Self {
            reason: Some(reason),
            ..Self::new(meter, CacheResult::Bypass)
        })
    }

    /// Nothing was there to serve.
    pub fn miss(meter: &CacheMeter) -> Box<Self> {
        Box::new(Self::new(meter, CacheResult::Miss))
    }

    /// Another's answer was followed.
    pub fn followed(meter: &CacheMeter) -> Box<Self> {
        Box::new(Self::new(meter, CacheResult::Followed))
    }

    /// Served from what is kept.
    pub fn served(meter: &CacheMeter, result: CacheResult, entry: &Entry, asked: Key, score: Option<f32>) -> Box<Self> {
        Box::new(Self {
            id: Some(HitId::new(entry.key, asked)),
            age_ms: Some(entry.age_ms(clock::now_ms())),
            score,
            usage: entry.usage,
            cost: entry.cost,
            ..Self::new(meter, result)
        })
    }

    /// Served although it is old, since nobody could answer.
    pub fn in_need(before: &Self, entry: &Entry, asked: &Asked) -> Box<Self> {
        let mut record = Self::served(&before.meter, CacheResult::Stale, entry, asked.key, None);
        record.reason = Some("error");
        record
    }

    /// Say it in a head.
    pub fn tell(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        head.insert_header(RESULT, HeaderValue::from_static(self.result.as_str()))?;
        if let Some(reason) = self.reason {
            head.insert_header(REASON, HeaderValue::from_static(reason))?;
        }
        if let Some(id) = self.id {
            head.insert_header(ID, id.to_string())?;
        }
        if let Some(age) = self.age_ms {
            head.insert_header(AGE, HeaderValue::from(age / 1000))?;
        }
        if let Some(score) = self.score {
            head.insert_header(SCORE, format!("{score:.4}"))?;
        }
        Ok(())
    }
}

/// Count what the cache did with a request.
pub fn count(ctx: &RequestContext) {
    let Some(record) = &ctx.record.cache else { return };
    match (record.result, record.reason) {
        (CacheResult::Bypass, Some(reason)) => record.meter.bypassed(reason),
        (result, _) => record.meter.request(result),
    }
    if record.usage.is_some() || record.cost.is_some() {
        let known = ctx.principal.known.as_ref();
        let team = known.and_then(|known| known.tenant.team.as_deref());
        let usage = record.usage.unwrap_or_default();
        record.meter.saved(
            team,
            Saved {
                input: usage.input,
                output: usage.output,
                nano: record.cost.unwrap_or_default(),
            },
        );
    }
}
