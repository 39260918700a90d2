//! The request path: one walk through the stages, and what speaks HTTP to the client.
//!
//! [`proxy`] is Pingora's hook, one line per phase; [`pipeline`] is the walk; `stages/` holds one file per step; the rest
//! is the client side of the wire. Facts cross between rooms only here, as values.

pub mod accounts;
pub mod aside;
pub mod buffers;
pub mod cached;
pub mod caching;
pub mod context;
pub mod door;
pub mod downstream;
pub mod live;
pub mod overload;
pub mod passthrough;
pub mod pipeline;
pub mod plan;
pub mod proxy;
pub mod respond;
pub mod stages;
pub mod tape;
pub mod wire;

use crate::ledger::Ledger;
use crate::snapshot::{Snapshot, State};
use crate::telemetry::{AccessLog, Meters, RouteMeter, TokenCounter};
use crate::upstream::Transport;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the process shares between requests.
pub struct App {
    /// The configuration as run; a request pins the one it started with.
    pub snapshot: ArcSwap<Snapshot>,
    /// What outlives snapshots.
    pub state: Arc<State>,
    /// Who may call; none: anybody.
    pub accounts: ArcSwapOption<accounts::Accounts>,
    /// Answers that are kept.
    pub cache: ArcSwapOption<caching::Caching>,
    /// Where usage records go; none: nowhere.
    pub ledger: ArcSwapOption<Ledger>,
    /// Upstream connections.
    pub transport: Arc<Transport>,
    /// Metrics.
    pub meters: Arc<Meters>,
    /// Meters of requests that reached no target, by what they asked for.
    pub unrouted: Unrouted,
    /// One line a request.
    pub access_log: AccessLog,
    /// Counts tokens where a provider does not.
    pub counter: TokenCounter,
    /// Bytes of bodies held in memory.
    pub buffers: Arc<buffers::Buffers>,
    /// No new connections or requests are wanted; set when a graceful stop begins.
    pub draining: AtomicBool,
}

/// Meters for requests without a target.
pub struct Unrouted {
    /// API operations, by index.
    pub api: Vec<RouteMeter>,
    /// `GET /v1/models`.
    pub models: RouteMeter,
    /// Everything else.
    pub other: RouteMeter,
}

impl Unrouted {
    /// Resolve them.
    pub fn new(meters: &Meters) -> Self {
        use crate::telemetry::NONE;
        use crate::wire::Operation;
        Self {
            api: Operation::ALL
                .iter()
                .map(|op| meters.route(op.as_str(), NONE, NONE))
                .collect(),
            models: meters.route("models", NONE, NONE),
            other: meters.route("other", NONE, NONE),
        }
    }
}
