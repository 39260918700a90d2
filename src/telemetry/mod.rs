//! What the gateway says about itself: metrics, the access log, the event log, token counts where a provider gave none.
//!
//! Not for deciding anything: no other room reads a figure back from here, but for the number of requests in flight. A request hands over values at its end and goes
//! on; everything that formats, writes or counts text happens on threads of this room, behind bounded queues that drop
//! (and count what they dropped) rather than make a request wait.
//!
//! | file | what |
//! |---|---|
//! | [`metrics`] | every Prometheus name and label |
//! | [`route`] | the handles requests count through |
//! | `in_flight` | requests under way |
//! | [`cache`] | what the cache did and saved |
//! | [`guardrails`] | what guardrails found |
//! | [`routing`] | calls beyond the first, costs, comparisons, waiting |
//! | `family` | series made on first use, dropped when unconfigured |
//! | `process` | memory, CPU, descriptors at scrape time |
//! | [`access_log`], [`access_line`] | one line a request: the queue and its thread; the format |
//! | [`logging`] | `tracing` set-up, the bridge for Pingora's `log` records, the panic hook |
//! | [`count`], `chat_text` | tiktoken counts off the async workers; what of a body is text |

pub mod access_line;
pub mod access_log;
pub mod accounts;
mod any_text;
pub mod cache;
mod chat_text;
pub mod count;
mod family;
pub mod guardrails;
mod in_flight;
pub mod logging;
pub mod metrics;
mod process;
pub mod route;
pub mod routing;

pub use access_line::{AccessRecord, Detours, LineFormat, TriedCall};
pub use access_log::AccessLog;
pub use accounts::AccountMeters;
pub use cache::{CacheMeter, CacheMeters, CacheResult, Saved};
pub use count::{CountJob, ResponseText, TokenCounter, bound_input, estimate_input, rough_usage};
pub use guardrails::GuardrailMeters;
pub use in_flight::InFlight;
pub use logging::LogHandle;
pub use metrics::{BreakerLevel, Meters, NONE};
pub use route::{AttemptMeter, Finished, Outcome, Purpose, RouteMeter};
pub use routing::{ArmMeter, RoutingMeters, RuleMeter, Side};
