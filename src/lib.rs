//! Cirque: an LLM gateway on Pingora.
//!
//! The map. Imports point to lower ranks only (`tests/architecture.rs` checks it).
//!
//! | rank | module | what |
//! |--:|---|---|
//! | 0 | [`clock`], [`error`], [`glob`], [`hex`], [`ids`], [`units`], [`secret`], [`link_local`] | words everybody uses |
//! | 1 | [`wire`] | operations, envelopes, event streams, usage, error bodies |
//! | 2 | [`auth`], [`balance`], [`cache`], [`guardrails`], [`ledger`], [`limits`], [`prices`], [`providers`], [`rules`], [`telemetry`] | rooms: each knows its own subject and no sibling |
//! | 3 | [`config`], [`storage`], [`upstream`] | the file; what lasts; targets and the exchange with one |
//! | 4 | [`directory`], [`snapshot`] | tenants and keys; everything a request reads |
//! | 5 | [`gateway`], [`admin`] | the walk; the operator's API |
//! | 6 | [`server`], [`notify`], [`cli`] | the process |

pub mod admin;
pub mod auth;
pub mod balance;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod error;
pub mod gateway;
pub mod glob;
pub mod guardrails;
pub mod hex;
pub mod ids;
pub mod ledger;
pub mod limits;
pub mod link_local;
pub mod notify;
pub mod prices;
pub mod providers;
pub mod rules;
pub mod secret;
pub mod server;
pub mod snapshot;
pub mod storage;
pub mod telemetry;
pub mod units;
pub mod upstream;
pub mod wire;
