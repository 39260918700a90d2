//! What the tenancy routes ask of the process: who is declared, how full limits are, prices, keys, and taking up what changed.
//!
//! Not what lasts, which is [`crate::storage::Store`]; not the routes. The one idea: routes work over two trait objects, so that
//! all of them can be tried without a database and without a gateway.

use crate::config::{Config, Role};
use crate::ledger::Row;
use crate::secret::Secret;
use crate::storage::Kind;
use crate::storage::sealed::Keyring;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the tenancy routes ask of the process.
#[async_trait]
pub trait Tenancy: Send + Sync {
    /// Something in the store was changed: take it up here, and tell other instances. Returns when this instance has it.
    async fn changed(&self);

    /// What the configuration file that runs declares ([`declared`] makes it). Called for every list: cheap.
    fn declared(&self) -> Vec<Declared>;

    /// Every limit and budget that was used or is configured, as this instance knows them; in a stable order.
    fn standings(&self, now_s: i64) -> Vec<Standing>;

    /// A new virtual key.
    async fn new_key(&self) -> Result<NewKey, String>;

    /// What is wrong with a block beyond its shape: patterns, networks, hours, models and providers that do not exist, limits
    /// out of bounds. Tenants it names are looked up by the routes. Messages name nothing but what the block holds, because
    /// whoever wrote it may not see more.
    fn problems(&self, kind: Kind, name: &str, settings: &Value) -> Vec<Problem>;

    /// All prices in force, overrides among them; sorted by name.
    fn prices(&self, now_s: i64) -> Vec<PriceEntry>;

    /// All rows of one request, the request's own (attempt 0) last: give them what they cost by the prices in force at their
    /// time. Calls may be missing, if they were not kept.
    fn reprice(&self, request: &mut [Row]);

    /// The configuration that runs, as written: secrets as references, never their values.
    fn config(&self) -> Value;

    /// What seals secrets in the store; nothing when no key is configured. An error says what is wrong with the keys. Blocks.
    fn keyring(&self) -> Result<Option<Keyring>, String> {
        Ok(None)
    }

    /// Which providers use which stored secrets: names of providers by the secret's.
    fn secret_uses(&self) -> BTreeMap<String, Vec<String>> {
        BTreeMap::new()
    }

    /// Who a bearer token of an identity provider is, if it is an operator's. `None` also when it is none.
    async fn operator(&self, bearer: &str, now_s: i64) -> Option<Identity>;

    /// What names of this kind begin with that identity providers give (`""`: any may be one).
    fn claimed(&self, _: Kind) -> Vec<String> {
        Vec::new()
    }

    /// Writes usage rows in a format; `None` when it is not built in.
    fn export(&self, format: Format) -> Option<Box<dyn RowWriter>>;
}

/// One block of the configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// As written, without what opens a key (`secret`, `hash`).
    pub settings: Value,
}

/// The tenants and keys that a configuration declares.
pub fn declared(config: &Config) -> Vec<Declared> {
    fn all<'a, T: Serialize + 'a>(
        kind: Kind,
        blocks: impl IntoIterator<Item = (&'a String, &'a T)>,
    ) -> impl Iterator<Item = Declared> {
        blocks.into_iter().filter_map(move |(name, block)| {
            let mut settings = serde_json::to_value(block).ok()?;
            if let Some(settings) = settings.as_object_mut() {
                settings.remove("secret");
                settings.remove("hash");
            }
            Some(Declared {
                kind,
                name: name.clone(),
                settings,
            })
        })
    }
    all(Kind::Organisation, &config.organisations)
        .chain(all(Kind::Team, &config.teams))
        .chain(all(Kind::Project, &config.projects))
        .chain(all(Kind::User, &config.users))
        .chain(all(Kind::Key, &config.keys))
        .collect()
}

/// How full a limit or budget is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Id of the count.
    pub id: String,
    /// Where it is written: `organisation`, `team`, `project`, `user`, `key`, `model`, `provider`.
    pub scope: String,
    /// Name of that.
    pub scope_name: String,
    /// Its own name.
    pub name: String,
    /// What is counted.
    pub measure: Measure,
    /// Counted apart: for this model, user or key.
    pub each: Option<(String, String)>,
    /// In what `measure` counts; money in nano-dollars.
    pub limit: u64,
    /// Used, settled.
    pub used: u64,
    /// Taken by requests under way.
    pub reserved: u64,
    /// It refuses nothing, it only alerts.
    pub soft: bool,
    /// Seconds since 1970; none: a stretch that ends now, or no time at all.
    pub window: Option<(i64, Option<i64>)>,
    /// Of limits per time: its length in milliseconds.
    pub per_ms: Option<u64>,
    /// What will have been used at the window's end at the present rate.
    pub forecast: Option<u64>,
}

/// What a standing counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Requests.
    Requests,
    /// Tokens of both directions.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
    /// Requests under way.
    Concurrent,
    /// Money.
    Usd,
}

/// A virtual key as it was made.
#[derive(Debug)]
pub struct NewKey {
    /// The key: told once, in the answer that made it.
    pub secret: Secret,
    /// What the store keeps of it.
    pub hash: String,
    /// What lists show of it.
    pub shown: String,
}

/// Something wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where, as `settings.limits[0].requests`.
    pub path: String,
    /// What, and what would be right.
    pub message: String,
}

/// A price in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceEntry {
    /// Model id or pattern, with its provider kind: `openai/gpt-4o`.
    pub name: String,
    /// `builtin`, `file` or `store`.
    pub origin: String,
    /// From when on, RFC 3339 date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// US dollars per million tokens by class, as text: `{"input":"2.5","output":"10"}`, and `request` per request.
    pub usd_per_million: std::collections::BTreeMap<String, String>,
    /// Where the figures are from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// An operator who proved who that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name under `admin.operators`, or the identity provider's name, `/`, and what it calls the person.
    pub name: String,
    /// What that operator may do.
    pub role: Role,
    /// The team of a `team-admin`; a team-admin without one sees nothing.
    pub team: Option<String>,
    /// `token` or `oidc`.
    pub via: &'static str,
}

/// A format of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values, RFC 4180, with a heading.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Writes usage rows piece by piece. Called on a thread that may block.
pub trait RowWriter: Send {
    /// Write these rows; bytes that are ready are appended to `out`.
    fn write(&mut self, rows: &[Row], out: &mut Vec<u8>) -> Result<(), String>;

    /// Nothing follows.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String>;
}

/// A process without tenants: what the listener is started with until there are any.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTenancy;

#[async_trait]
impl Tenancy for NoTenancy {
    async fn changed(&self) {}

    fn declared(&self) -> Vec<Declared> {
        Vec::new()
    }

    fn standings(&self, _: i64) -> Vec<Standing> {
        Vec::new()
    }

    async fn new_key(&self) -> Result<NewKey, String> {
        Err("this process makes no keys".to_owned())
    }

    fn problems(&self, _: Kind, _: &str, _: &Value) -> Vec<Problem> {
        Vec::new()
    }

    fn prices(&self, _: i64) -> Vec<PriceEntry> {
        Vec::new()
    }

    fn reprice(&self, _: &mut [Row]) {}

    fn config(&self) -> Value {
        Value::Null
    }

    async fn operator(&self, _: &str, _: i64) -> Option<Identity> {
        None
    }

    fn export(&self, _: Format) -> Option<Box<dyn RowWriter>> {
        None
    }
}
