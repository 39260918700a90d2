//! Where the gateway keeps what must last, as written: the store, Redis, the ledger, prices; and operators.

use super::limit::OnOutage;
use crate::config::money::Percent;
use crate::config::scalars::{ByteSize, Interval, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// Where keys, tenants, usage and the audit log are kept. Default: SQLite in the state directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Store {
    /// A file of this machine: one instance.
    Sqlite {
        /// Its path. Default `cirque.db` in `server.state_dir`.
        #[serde(default)]
        path: Option<PathBuf>,
    },
    /// A server that instances share.
    Postgres {
        /// `postgres://user:password@host/database?sslmode=verify-full`, as `env:NAME` or `file:PATH`.
        url: SecretRef,
        /// Connections, at most. Default 8.
        #[serde(default)]
        #[schemars(range(min = 2, max = 500))]
        connections: Option<u32>,
    },
}

/// What seals secrets in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Keys of 32 bytes each, in hexadecimal or base64, as `env:NAME` or `file:PATH`. The first one seals, all of them open: to
    /// rotate, put a new one first, reload every instance, run `cirque secret reseal`, and take the old one out.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub keys: Vec<SecretRef>,
}

/// Redis or Valkey, through which instances share limits, budgets and revocations.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://user:password@host:6379/0` (`rediss://` for TLS), written, or as `env:NAME` or `file:PATH`. Several for a cluster.
    pub urls: Vec<String>,
    /// It is a Redis Cluster. Default false.
    #[serde(default)]
    pub cluster: bool,
    /// What all names in it begin with: instances that share have the same. Default `cirque`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Longest wait for an answer. Default 100ms; after it the `on_outage` of each limit decides.
    #[serde(default)]
    pub timeout: Option<Interval>,
    /// PEM of the authorities that sign its certificate. Default: the usual ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// After which silence an instance is taken for dead and what it had reserved returns. Default 15s.
    #[serde(default)]
    pub instance_expiry: Option<Interval>,
}

/// Usage records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Keep a record of every request. Default: true when there is a store.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Where records wait for the store. Default `spool` in `server.state_dir`.
    #[serde(default)]
    pub spool_dir: Option<PathBuf>,
    /// Largest spool. Default 1GiB; beyond it `on_full` decides.
    #[serde(default)]
    pub spool_size: Option<ByteSize>,
    /// What happens when a record can neither be spooled nor stored. Default serve.
    #[serde(default)]
    pub on_full: OnFull,
    /// Days that single records are kept. Default 90; totals by hour and day stay.
    #[serde(default)]
    #[schemars(range(min = 1, max = 36_500))]
    pub keep_days: Option<u32>,
    /// Days that entries of the audit log are kept. Default 400.
    #[serde(default)]
    #[schemars(range(min = 1, max = 36_500))]
    pub keep_audit_days: Option<u32>,
}

/// What happens when a record cannot be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// Requests are answered; the record is lost, and counted as lost.
    #[default]
    Serve,
    /// Requests are refused with 503 until records can be kept.
    Refuse,
}

/// Prices.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Files in the shape of `conf/prices.yaml`, read over the built-in ones; the last one wins.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// Added to what providers charge, for what is billed to tenants: `"10%"`. Default none.
    #[serde(default)]
    pub margin: Option<Percent>,
    /// What a request is assumed to write at most when neither it nor the model's price entry says: tokens. Default 4096.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub assumed_output_tokens: Option<u64>,
    /// Web searches that a request is assumed to make at most which lets the provider search and does not say how often. Default 10.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000))]
    pub assumed_web_searches: Option<u64>,
    /// What becomes of requests to models without a price where a budget applies. Default allow.
    #[serde(default)]
    pub unknown: Unpriced,
}

/// What becomes of requests whose cost cannot be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// They pass; their cost is recorded as unknown and counted in a metric.
    #[default]
    Allow,
    /// They are refused where a hard budget applies.
    Refuse,
}

/// An operator of the admin API.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The token, as `env:NAME` or `file:PATH`, at least 32 characters.
    pub token: SecretRef,
    /// What the operator may do.
    pub role: Role,
    /// The team whose keys, users and usage a `team-admin` sees.
    #[serde(default)]
    pub team: Option<String>,
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything, operators among it.
    Owner,
    /// Everything but what concerns operators and the audit log's retention.
    Admin,
    /// Keys, users, projects, limits and usage of one team.
    TeamAdmin,
    /// Reads everything, the audit log among it; changes nothing.
    Auditor,
    /// Reads everything but the audit log.
    ReadOnly,
}

/// Default of limits during an outage of Redis, by what is at stake.
impl OnOutage {
    /// Of rates.
    pub const RATES: Self = Self::Share;
    /// Of money.
    pub const MONEY: Self = Self::FailClosed;
}
