//! One row: a request, or one attempt of it.
//!
//! Not how it is kept: the spool and the stores write it their own way. Names are shared with the configuration and with
//! tenants (`Arc<str>`), so that making a row copies nothing.

use crate::units::{Cost, NanoUsd, Usage};
use std::sync::Arc;

/// Id of a request in the ledger: UUID version 7, so ids sort by time. The client's `x-request-id` may repeat; this does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u128);

impl RowId {
    /// A new one, at a moment in milliseconds since 1970.
    pub fn new(now_ms: u64) -> Self {
        let random = fastrand::u128(..) & 0x0000_0000_0000_0FFF_3FFF_FFFF_FFFF_FFFF;
        let version = 0x7000_u128 << 64 | 0x8000_0000_0000_0000;
        Self(u128::from(now_ms) << 80 | version | random)
    }

    /// When it was made, in milliseconds since 1970.
    pub fn at_ms(self) -> u64 {
        u64::try_from(self.0 >> 80).unwrap_or_default()
    }
}

impl std::fmt::Display for RowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hex = format!("{:032x}", self.0);
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        write!(
            f,
            "{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        )
    }
}

/// Who pays and who calls: names of tenants, each optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenant {
    /// Organisation.
    pub organisation: Option<Arc<str>>,
    /// Team.
    pub team: Option<Arc<str>>,
    /// Project.
    pub project: Option<Arc<str>>,
    /// User.
    pub user: Option<Arc<str>>,
    /// Virtual key, by its name.
    pub key: Option<Arc<str>>,
}

/// A record. `attempt` 0 is the request as the client saw it, with the sums of all its attempts; 1, 2, … are the calls made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The request.
    pub id: RowId,
    /// Which of its attempts; 0: the request.
    pub attempt: u16,
    /// When it began, in milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// Who pays.
    pub tenant: Arc<Tenant>,
    /// Tags of key, project, team and organisation, and those of the request; sorted, none twice.
    pub tags: Arc<[Arc<str>]>,
    /// What the client put into `x-cirque-metadata`: flat JSON text, checked; empty when there was none.
    pub metadata: Option<Box<str>>,
    /// The client's request id, or ours.
    pub request_id: Box<str>,
    /// `chat`, `embeddings`, …, `passthrough`.
    pub operation: &'static str,
    /// Public model as configured; none: it was not found.
    pub model: Option<Arc<str>>,
    /// `provider/model` of the target.
    pub target: Option<Arc<str>>,
    /// Name of the provider in the configuration.
    pub provider: Option<Arc<str>>,
    /// Why this call was made (`first`, `retry`, `fallback`, `hedge`, `mirror`, …).
    pub purpose: &'static str,
    /// HTTP status sent to the client (499: it left); of attempts, 200 or 0.
    pub status: u16,
    /// `ok`, or what went wrong: a word of a closed set.
    pub outcome: &'static str,
    /// `off`, `miss`, `hit`, …
    pub cache: &'static str,
    /// What guardrails found, as `name:direction:action:KIND=count,…`, several with `;` between them; none: they found nothing, or there
    /// are none. Never what was found.
    pub guardrails: Option<Box<str>>,
    /// The answer was a stream.
    pub stream: bool,
    /// Milliseconds from the request's header to the end of the answer.
    pub latency_ms: u32,
    /// Milliseconds to the first event or byte of the answer.
    pub ttft_ms: Option<u32>,
    /// Tokens; of an answer from the cache those that it took when it was fetched.
    pub usage: Usage,
    /// The tokens were counted or estimated here: the provider gave none.
    pub estimated: bool,
    /// What it cost; none: the model has no price.
    pub cost: Option<Cost>,
    /// What it is billed at: the cost and the margin.
    pub billed: Option<NanoUsd>,
    /// What it would have been billed at, had its answer not come from the cache; 0: it did not, or that is not known.
    pub saved: NanoUsd,
    /// Budgets it was charged to: id of the count and the start of its window (seconds since 1970), with what was charged. The
    /// store adds these up in the same transaction that keeps the row, so that counts can be read back after a restart.
    pub charges: Vec<Charge>,
}

/// What one count was charged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Id of the count: stable over restarts, the same on all instances.
    pub count: Arc<str>,
    /// When its window began, in seconds since 1970.
    pub window: i64,
    /// Nano-dollars.
    pub nano: NanoUsd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_that_sort_by_time() {
        let (a, b) = (RowId::new(1_763_800_000_000), RowId::new(1_763_800_000_001));
        assert!(a < b);
        assert_eq!(a.at_ms(), 1_763_800_000_000);
        let text = a.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'7', "{text}");
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
    }
}
