//! Integration tests: the real binary, real HTTP, a scripted hostile upstream (`../support`).
//!
//! One file per concern; each test names the status and the error body it wants.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod admin;
mod admin_api;
mod attempts;
mod bad_input;
mod blame;
mod breaker;
mod cache;
mod cache_fleet;
mod charges;
mod client_certificates;
mod connections;
mod continuation;
mod dialects;
mod fault_matrix;
mod faults;
mod fidelity;
mod fleet;
mod fleets;
mod guard;
mod guard_cache;
mod guard_policy;
mod guard_streams;
mod hostile;
mod isolation;
mod jwt;
mod ledger;
mod needs;
mod others;
mod overload;
mod passthrough;
mod reload;
mod rules;
mod secrets;
mod stop;
mod stores;
mod strategies;
mod streams;
mod telemetry;
mod tls;
