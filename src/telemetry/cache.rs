//! Metrics of the cache: what it did with requests, why it kept or left answers alone, what it saved, how sure it was.
//!
//! Labels are closed sets, configured models, and of what was saved also teams, the first `MOST_TEAMS` that save something: what
//! others saved, and what keys and users did, is asked of the ledger. The one idea: a request counts through the [`CacheMeter`] of its
//! model, whose series are made with their first observation and found again without a lookup.

use super::family::{Family, Shape};
use prometheus::{Counter, Error, Histogram, IntCounter, IntGauge, Registry};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Teams counted apart; what comes after counts as `other`.
const MOST_TEAMS: usize = 500;

const REQUESTS: Shape = Shape {
    name: "cirque_cache_requests_total",
    help: "Requests whose policy has the cache on, by what became of them: hit, semantic, stale, miss, bypass, followed (another's call was shared).",
    labels: &["model", "result"],
    buckets: &[],
};
const BYPASSED: Shape = Shape {
    name: "cirque_cache_bypasses_total",
    help: "Requests that the cache left alone although it is on, by why.",
    labels: &["model", "reason"],
    buckets: &[],
};
const STORES: Shape = Shape {
    name: "cirque_cache_stores_total",
    help: "Answers that could have been kept: stored, or why not.",
    labels: &["model", "result"],
    buckets: &[],
};
const SEMANTIC: Shape = Shape {
    name: "cirque_cache_semantic_total",
    help: "Lookups by likeness, by how they ended: hit, shadow (found, not served), no_candidate, veto_KIND, below, busy, slow, failed.",
    labels: &["model", "outcome"],
    buckets: &[],
};
const SEMANTIC_TIME: Shape = Shape {
    name: "cirque_cache_semantic_seconds",
    help: "How long lookups by likeness took, the wait for a thread among it.",
    labels: &[],
    buckets: &[
        0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5,
    ],
};
const SAVED_TOKENS: Shape = Shape {
    name: "cirque_cache_saved_tokens_total",
    help: "Tokens of answers that came from the cache: what providers were not asked for.",
    labels: &["model", "kind"],
    buckets: &[],
};
const SAVED_USD: Shape = Shape {
    name: "cirque_cache_saved_usd_total",
    help: "What answers that came from the cache had cost when they were fetched, in US dollars.",
    labels: &["model"],
    buckets: &[],
};
const TEAM_TOKENS: Shape = Shape {
    name: "cirque_cache_team_saved_tokens_total",
    help: "Tokens saved by team; the first 500 that saved something, then other; none: callers without a team.",
    labels: &["team"],
    buckets: &[],
};
const TEAM_USD: Shape = Shape {
    name: "cirque_cache_team_saved_usd_total",
    help: "US dollars saved by team, likewise.",
    labels: &["team"],
    buckets: &[],
};
const WRONG: Shape = Shape {
    name: "cirque_cache_wrong_hits_total",
    help: "Answers reported to have served a question that they do not answer, by who reported: operator, client.",
    labels: &["model", "by"],
    buckets: &[],
};
const SHADOW: Shape = Shape {
    name: "cirque_cache_shadow_samples_total",
    help: "Answers found in shadow that were compared with the real one: agreed, differed.",
    labels: &["model", "result"],
    buckets: &[],
};
const EVICTIONS: Shape = Shape {
    name: "cirque_cache_evictions_total",
    help: "Answers that left memory, by why: size, expired, deleted.",
    labels: &["tier", "reason"],
    buckets: &[],
};
const OUTAGES: Shape = Shape {
    name: "cirque_cache_outages_total",
    help: "Calls to what instances share of the cache that failed; each was a miss, or kept in memory only.",
    labels: &["tier", "call"],
    buckets: &[],
};
const ENTRIES: Shape = Shape {
    name: "cirque_cache_entries",
    help: "Answers kept here now, by tier: memory, index.",
    labels: &["tier"],
    buckets: &[],
};
const BYTES: Shape = Shape {
    name: "cirque_cache_bytes",
    help: "Bytes that they take.",
    labels: &["tier"],
    buckets: &[],
};

/// What the cache did with a request. Its words stand in the ledger (`Row::cache`), in the access log and in `x-cirque-cache`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheResult {
    /// No policy turns it on: not counted here.
    #[default]
    Off,
    /// It was left alone, or told to be.
    Bypass,
    /// Nothing was found.
    Miss,
    /// The very same question was answered before.
    Hit,
    /// One that means the same was.
    Semantic,
    /// The same as a hit, too old by the policy: served while a fresher answer is fetched, or because none can be.
    Stale,
    /// Another request under way asked the same, and its answer is this one's too.
    Followed,
}

impl CacheResult {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Off,
        Self::Bypass,
        Self::Miss,
        Self::Hit,
        Self::Semantic,
        Self::Stale,
        Self::Followed,
    ];

    /// In metrics, logs and usage records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Semantic => "semantic",
            Self::Stale => "stale",
            Self::Followed => "followed",
        }
    }

    /// Whether no provider was asked for this request.
    pub const fn saves(self) -> bool {
        matches!(self, Self::Hit | Self::Semantic | Self::Stale | Self::Followed)
    }
}

/// What an answer from the cache would have taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Nano-dollars.
    pub nano: u64,
}

struct Families {
    requests: Family<IntCounter>,
    bypassed: Family<IntCounter>,
    stores: Family<IntCounter>,
    semantic: Family<IntCounter>,
    semantic_time: Family<Histogram>,
    tokens: Family<IntCounter>,
    usd: Family<Counter>,
    team_tokens: Family<IntCounter>,
    team_usd: Family<Counter>,
    wrong: Family<IntCounter>,
    shadow: Family<IntCounter>,
    evictions: Family<IntCounter>,
    outages: Family<IntCounter>,
    entries: Family<IntGauge>,
    bytes: Family<IntGauge>,
    teams: Mutex<BTreeSet<Box<str>>>,
}

/// Every family of this file.
pub struct CacheMeters(Arc<Families>);

impl CacheMeters {
    /// Register them. Series appear with their first observation.
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        Ok(Self(Arc::new(Families {
            requests: Family::new(registry, REQUESTS)?,
            bypassed: Family::new(registry, BYPASSED)?,
            stores: Family::new(registry, STORES)?,
            semantic: Family::new(registry, SEMANTIC)?,
            semantic_time: Family::new(registry, SEMANTIC_TIME)?,
            tokens: Family::new(registry, SAVED_TOKENS)?,
            usd: Family::new(registry, SAVED_USD)?,
            team_tokens: Family::new(registry, TEAM_TOKENS)?,
            team_usd: Family::new(registry, TEAM_USD)?,
            wrong: Family::new(registry, WRONG)?,
            shadow: Family::new(registry, SHADOW)?,
            evictions: Family::new(registry, EVICTIONS)?,
            outages: Family::new(registry, OUTAGES)?,
            entries: Family::new(registry, ENTRIES)?,
            bytes: Family::new(registry, BYTES)?,
            teams: Mutex::default(),
        })))
    }

    /// The handle of a public model. Allocates: resolve it once per snapshot.
    pub fn model(&self, model: &str) -> CacheMeter {
        CacheMeter(Arc::new(Series {
            families: Arc::clone(&self.0),
            model: model.to_owned(),
            results: std::array::from_fn(|_| OnceLock::new()),
            input: OnceLock::new(),
            output: OnceLock::new(),
            usd: OnceLock::new(),
        }))
    }

    /// Answers left a tier (`memory`, `index`) for a reason (`size`, `expired`, `deleted`).
    pub fn evicted(&self, tier: &'static str, reason: &'static str, more: u64) {
        if more > 0 {
            self.0.evictions.get(&[tier, reason]).inc_by(more);
        }
    }

    /// A call (`get`, `put`, `delete`, `disown`, `log`, `search`) to a shared tier (`redis`, `vectors`) failed.
    pub fn outage(&self, tier: &'static str, call: &'static str) {
        self.0.outages.get(&[tier, call]).inc();
    }

    /// What a tier (`memory`, `index`) holds now.
    pub fn holds(&self, tier: &'static str, entries: u64, bytes: u64) {
        let shown = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        self.0.entries.get(&[tier]).set(shown(entries));
        self.0.bytes.get(&[tier]).set(shown(bytes));
    }

    /// Somebody (`operator`, `client`) reported that an answer of this public model served a question wrongly.
    pub fn wrong(&self, model: &str, by: &'static str) {
        self.0.wrong.get(&[model, by]).inc();
    }

    /// Drop the series of models that the configuration no longer names.
    pub(super) fn retain(&self, model: &dyn Fn(&str) -> bool) {
        let first = |values: &[String]| values.first().is_none_or(|value| model(value));
        let families = &self.0;
        for family in [
            &families.requests,
            &families.bypassed,
            &families.stores,
            &families.semantic,
            &families.tokens,
            &families.wrong,
            &families.shadow,
        ] {
            family.retain(first);
        }
        families.usd.retain(first);
    }
}

struct Series {
    families: Arc<Families>,
    model: String,
    results: [OnceLock<IntCounter>; CacheResult::ALL.len()],
    input: OnceLock<IntCounter>,
    output: OnceLock<IntCounter>,
    usd: OnceLock<Counter>,
}

/// The handle that requests of one public model count through.
#[derive(Clone)]
pub struct CacheMeter(Arc<Series>);

impl fmt::Debug for CacheMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CacheMeter").field(&self.0.model).finish()
    }
}

impl CacheMeter {
    /// A request is done with the cache. [`CacheResult::Off`] is not counted.
    pub fn request(&self, result: CacheResult) {
        let series = &*self.0;
        if let (true, Some(slot)) = (result != CacheResult::Off, series.results.get(result as usize)) {
            slot.get_or_init(|| series.families.requests.get(&[&series.model, result.as_str()]))
                .inc();
        }
    }

    /// A request was left alone: `temperature`, `time_bound`, `tools`, `header`, … It also counts as [`CacheResult::Bypass`].
    pub fn bypassed(&self, reason: &'static str) {
        self.request(CacheResult::Bypass);
        self.0.families.bypassed.get(&[&self.0.model, reason]).inc();
    }

    /// An answer was `stored`, or why not: `status`, `finish`, `incomplete`, `size`, `tool_calls`, …
    pub fn stored(&self, result: &'static str) {
        self.0.families.stores.get(&[&self.0.model, result]).inc();
    }

    /// A lookup by likeness ended: `hit`, `shadow`, `no_candidate`, `below`, `busy`, `slow`, `failed`; of vetoes see
    /// [`CacheMeter::vetoed`].
    pub fn semantic(&self, outcome: &'static str, took: Duration) {
        self.0.families.semantic.get(&[&self.0.model, outcome]).inc();
        self.0.families.semantic_time.get(&[]).observe(took.as_secs_f64());
    }

    /// The same, ended by a veto of this kind (`number`, `negation`, …).
    pub fn vetoed(&self, kind: &'static str, took: Duration) {
        let outcome = format!("veto_{kind}");
        self.0.families.semantic.get(&[&self.0.model, &outcome]).inc();
        self.0.families.semantic_time.get(&[]).observe(took.as_secs_f64());
    }

    /// An answer found in shadow was compared with the real one.
    pub fn sampled(&self, agreed: bool) {
        let result = if agreed { "agreed" } else { "differed" };
        self.0.families.shadow.get(&[&self.0.model, result]).inc();
    }

    /// An answer came from the cache, for this team.
    pub fn saved(&self, team: Option<&str>, saved: Saved) {
        let series = &*self.0;
        let families = &series.families;
        let tokens = |kind: &'static str| families.tokens.get(&[&series.model, kind]);
        let usd = saved.nano as f64 / 1e9;
        series.input.get_or_init(|| tokens("input")).inc_by(saved.input);
        series.output.get_or_init(|| tokens("output")).inc_by(saved.output);
        series
            .usd
            .get_or_init(|| families.usd.get(&[&series.model]))
            .inc_by(usd);
        let team = families.team(team);
        families
            .team_tokens
            .get(&[team])
            .inc_by(saved.input.saturating_add(saved.output));
        families.team_usd.get(&[team]).inc_by(usd);
    }
}

impl Families {
    /// What a team counts as.
    fn team<'a>(&self, team: Option<&'a str>) -> &'a str {
        let Some(team) = team else { return super::NONE };
        let mut known = self.teams.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(team) {
            return team;
        }
        if known.len() >= MOST_TEAMS {
            return "other";
        }
        known.insert(team.into());
        team
    }
}

#[cfg(test)]
mod tests {
    use super::super::Meters;
    use super::*;

    #[test]
    fn what_is_counted_is_shown_by_model_and_team() {
        let meters = Meters::new().unwrap();
        let meter = meters.cache.model("gpt");
        meter.request(CacheResult::Off);
        meter.request(CacheResult::Hit);
        meter.request(CacheResult::Hit);
        meter.bypassed("temperature");
        meter.stored("stored");
        meter.semantic("below", Duration::from_millis(3));
        meter.vetoed("number", Duration::from_millis(1));
        meter.sampled(true);
        meter.saved(
            Some("search"),
            Saved {
                input: 7,
                output: 3,
                nano: 2_500_000_000,
            },
        );
        meter.saved(
            None,
            Saved {
                input: 1,
                output: 1,
                nano: 0,
            },
        );
        meters.cache.wrong("gpt", "client");
        meters.cache.holds("memory", 5, 4096);
        meters.cache.evicted("memory", "size", 2);
        meters.cache.outage("redis", "get");
        let text = meters.render();
        for line in [
            "cirque_cache_requests_total{model=\"gpt\",result=\"hit\"} 2",
            "cirque_cache_requests_total{model=\"gpt\",result=\"bypass\"} 1",
            "cirque_cache_bypasses_total{model=\"gpt\",reason=\"temperature\"} 1",
            "cirque_cache_stores_total{model=\"gpt\",result=\"stored\"} 1",
            "cirque_cache_semantic_total{model=\"gpt\",outcome=\"below\"} 1",
            "cirque_cache_semantic_total{model=\"gpt\",outcome=\"veto_number\"} 1",
            "cirque_cache_semantic_seconds_count 2",
            "cirque_cache_shadow_samples_total{model=\"gpt\",result=\"agreed\"} 1",
            "cirque_cache_saved_tokens_total{kind=\"input\",model=\"gpt\"} 8",
            "cirque_cache_saved_usd_total{model=\"gpt\"} 2.5",
            "cirque_cache_team_saved_tokens_total{team=\"search\"} 10",
            "cirque_cache_team_saved_tokens_total{team=\"none\"} 2",
            "cirque_cache_team_saved_usd_total{team=\"search\"} 2.5",
            "cirque_cache_wrong_hits_total{by=\"client\",model=\"gpt\"} 1",
            "cirque_cache_entries{tier=\"memory\"} 5",
            "cirque_cache_bytes{tier=\"memory\"} 4096",
            "cirque_cache_evictions_total{reason=\"size\",tier=\"memory\"} 2",
            "cirque_cache_outages_total{call=\"get\",tier=\"redis\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
        assert!(!text.contains("result=\"off\""));
        meters.retain(|_| false, |_| true);
        let text = meters.render();
        assert!(
            !text.contains("model=\"gpt\"") && text.contains("team=\"search\""),
            "{text}"
        );
    }

    #[test]
    fn results_have_words_and_places_of_their_own() {
        for (index, result) in CacheResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, index);
        }
        let words: BTreeSet<&str> = CacheResult::ALL.iter().map(|result| result.as_str()).collect();
        assert_eq!(words.len(), CacheResult::ALL.len());
    }

    #[test]
    fn teams_are_counted_apart_up_to_a_bound() {
        let meters = Meters::new().unwrap();
        let meter = meters.cache.model("m");
        for team in 0..MOST_TEAMS + 10 {
            meter.saved(
                Some(&format!("t{team}")),
                Saved {
                    input: 1,
                    ..Saved::default()
                },
            );
        }
        let text = meters.render();
        assert!(
            text.contains("cirque_cache_team_saved_tokens_total{team=\"other\"} 10"),
            "{text}"
        );
        let series = text
            .lines()
            .filter(|line| line.starts_with("cirque_cache_team_saved_tokens_total{"));
        assert_eq!(series.count(), MOST_TEAMS + 1);
    }
}
