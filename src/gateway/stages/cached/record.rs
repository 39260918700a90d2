//! What the cache made of a request: for its headers, its record, and the metrics.

use crate::cache::{Entry, Key};
use crate::clock;
use crate::units::{NanoUsd, Usage};
use http::HeaderValue;
use http::header::{AGE, HeaderName};
use pingora::http::ResponseHeader;

const RESULT: HeaderName = HeaderName::from_static("x-cirque-cache");
const ID: HeaderName = HeaderName::from_static("x-cirque-cache-id");
const SCORE: HeaderName = HeaderName::from_static("x-cirque-cache-score");
const REASON: HeaderName = HeaderName::from_static("x-cirque-cache-reason");

/// What came of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// The cache was left aside.
    Bypass,
    /// Nothing was kept.
    Miss,
    /// Served, for the very same question.
    Hit,
    /// Served, for a question like it.
    Semantic,
    /// Served although it is old; a fresher one is being fetched.
    Stale,
    /// Served although it is old, since nobody could answer.
    StaleIfError,
    /// Another's answer, as it came.
    Followed,
}

impl CacheResult {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Semantic => "semantic",
            Self::Stale => "stale",
            Self::StaleIfError => "stale_if_error",
            Self::Followed => "followed",
        }
    }

    /// Whether nobody was asked for this request.
    pub fn is_served(self) -> bool {
        !matches!(self, Self::Bypass | Self::Miss)
    }
}

/// What the cache made of a request.
#[derive(Debug, Clone)]
pub struct CacheRecord {
    /// In a word.
    pub result: CacheResult,
    /// Why it was left aside.
    pub reason: Option<&'static str>,
    /// The answer that was served, or would have been (shadow).
    pub id: Option<Key>,
    /// How old it is, milliseconds.
    pub age_ms: Option<u64>,
    /// How sure the verifier was that it answers the question.
    pub score: Option<f32>,
    /// What it took when it was made.
    pub usage: Option<Usage>,
    /// What that cost.
    pub cost: Option<NanoUsd>,
}

impl CacheRecord {
    fn new(result: CacheResult) -> Self {
        Self {
            result,
            reason: None,
            id: None,
            age_ms: None,
            score: None,
            usage: None,
            cost: None,
        }
    }

    /// Left aside.
    pub fn bypass(reason: &'static str) -> Box<Self> {
        Box::new(Self {
            reason: Some(reason),
            ..Self::new(CacheResult::Bypass)
        })
    }

    /// Nothing was there to serve; in shadow, perhaps something to compare.
    pub fn miss(shadow: Option<(Key, f32)>) -> Box<Self> {
        Box::new(Self {
            id: shadow.map(|(key, _)| key),
            score: shadow.map(|(_, score)| score),
            ..Self::new(CacheResult::Miss)
        })
    }

    /// Another's answer was followed.
    pub fn followed() -> Box<Self> {
        Box::new(Self::new(CacheResult::Followed))
    }

    /// Served from what is kept.
    pub fn served(result: CacheResult, entry: &Entry, score: Option<f32>) -> Box<Self> {
        Box::new(Self {
            id: Some(entry.key),
            age_ms: Some(entry.age_ms(clock::now_ms())),
            score,
            usage: entry.usage,
            cost: entry.cost,
            ..Self::new(result)
        })
    }

    /// Say it in a head.
    pub fn tell(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        head.insert_header(RESULT, HeaderValue::from_static(self.result.as_str()))?;
        if let Some(reason) = self.reason {
            head.insert_header(REASON, HeaderValue::from_static(reason))?;
        }
        if !self.result.is_served() {
            // What would have been served is the operator's to know.
            return Ok(());
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
