//! What lasts: keys and tenants made at run time, usage, counts of budgets, the audit log, settings. One trait, [`Store`], and
//! a folder for each backend that has it.
//!
//! Not on the request path: requests read the in-memory directory, usage goes through the spool (`ledger`), and an outage of
//! the store stops only what changes it. The one idea: every backend passes the same contract suite (`tests/it/stores`).

mod document;
mod migrations;
mod place;
mod postgres;
pub mod redis;
pub mod sealed;
mod sql;
mod sqlite;
mod usage;
pub mod vectors;

pub use document::Document;
pub use place::{CONNECTIONS, Place, Status, migrate, open, state_dir, status};
pub use usage::{Bucket, Dimension, Filter, Grouped, Page, Records, UsageQuery};

use crate::ledger::{Charge, Row};
use async_trait::async_trait;
use sealed::Sealed;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Grows by at least one with every change of an object; the same on all instances that share a store.
pub type Revision = i64;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `config::Organisation`
    Organisation,
    /// `config::Team`
    Team,
    /// `config::Project`
    Project,
    /// `config::User`
    User,
    /// `config::Key`, without `secret`.
    Key,
    /// A price entry that overrides the built-in ones.
    Price,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Organisation,
        Self::Team,
        Self::Project,
        Self::User,
        Self::Key,
        Self::Price,
    ];

    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
            Self::Price => "price",
        }
    }
}

/// Something made at run time.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its name: unique among the objects of its kind that are not deleted.
    pub name: String,
    /// As the configuration writes it.
    pub document: Document,
    /// Of keys: the keyed hashes that open it, each with the moment (seconds since 1970) from which it no longer does.
    pub hashes: Vec<KeyHashRow>,
    /// When it was changed last.
    pub revision: Revision,
    /// Seconds since 1970.
    pub created_at: i64,
    /// Seconds since 1970.
    pub updated_at: i64,
    /// It is gone; kept as a mark for [`Store::changes`] and so that usage can name it.
    pub deleted: bool,
}

/// A hash of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHashRow {
    /// HMAC-SHA-256 of the key, hexadecimal; unique in the store.
    pub hash: String,
    /// Its first characters, as shown in lists (`cq-3fA…`), and nothing that helps to guess it.
    pub shown: String,
    /// From when on it opens nothing, in seconds since 1970: a rotation's overlap.
    pub until: Option<i64>,
}

/// A change to one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// What.
    pub kind: Kind,
    /// Which.
    pub name: String,
    /// As it is from now on; none: deleted.
    pub document: Option<Value>,
    /// Of keys: all hashes from now on.
    pub hashes: Vec<KeyHashRow>,
    /// The revision it was read at; none: it must not exist.
    pub expected: Option<Revision>,
}

/// Why the store did not do something. Texts are for the log: they may name tables and hosts.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed it since it was read, or it exists already, or it is gone.
    #[error("{0}")]
    Conflict(&'static str),
    /// It cannot be reached, or is too slow.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// What is in it is not what this version keeps there.
    #[error("the store does not hold what it should: {0}")]
    Corrupt(String),
    /// It refused.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// One entry of the audit log: written before a change is made and completed after it.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Counts from 1, without gaps.
    pub number: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Who: an operator's name, or `cli`, `system`.
    pub actor: String,
    /// Its role.
    pub role: String,
    /// Where from.
    pub from: String,
    /// What: `key.create`, `team.update`, …
    pub action: String,
    /// On what: `key/ci`.
    pub subject: String,
    /// Before and after, without secrets: `{"before":…,"after":…}`.
    pub detail: Value,
    /// `begun`, `done`, or `failed: …`.
    pub outcome: String,
    /// SHA-256 over the hash of the entry before and everything above, hexadecimal. What completes an entry is an entry of its
    /// own that names the number it completes, so that nothing that was written is ever changed.
    pub hash: String,
}

/// A new entry.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditNote {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// Its role.
    pub role: String,
    /// Where from.
    pub from: String,
    /// What.
    pub action: String,
    /// On what.
    pub subject: String,
    /// Before and after, or `{"completes":12}`.
    pub detail: Value,
    /// `begun`, `done`, or `failed: …`.
    pub outcome: String,
}

/// What maintenance did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Usage rows dropped because of their age.
    pub rows: u64,
    /// Audit entries dropped because of theirs.
    pub audit: u64,
}

/// What following the audit log's chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Entries that are as they were written.
    pub entries: u64,
    /// Hash of the last entry, hexadecimal: note it elsewhere, and a log that was written anew as a whole is noticed.
    pub head: String,
    /// The first entry that was changed, removed or put in; none: the log is whole.
    pub broken: Option<i64>,
}

/// The kind of secrets that providers use as `store:NAME`.
pub const PROVIDER_SECRET: &str = "provider";

/// A secret that is kept, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// What it is for: [`PROVIDER_SECRET`].
    pub kind: String,
    /// Whose.
    pub name: String,
    /// Id of the key it is sealed with.
    pub sealing_key: String,
    /// When it was set or sealed again, in seconds since 1970.
    pub changed_at: i64,
}

/// A place for what lasts.
#[async_trait]
pub trait Store: Send + Sync {
    /// `sqlite` or `postgres`.
    fn name(&self) -> &'static str;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The newest revision: cheap, asked every second or two.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Objects changed after a revision, deleted ones among them, oldest change first; 0: all that are not deleted.
    async fn changes(&self, after: Revision) -> Result<Vec<Object>, StoreError>;

    /// One object, if it is not deleted.
    async fn object(&self, kind: Kind, name: &str) -> Result<Option<Object>, StoreError>;

    /// Make changes, all or none. The revision they got.
    async fn change(&self, changes: &[Change]) -> Result<Revision, StoreError>;

    /// A setting kept for all instances; `propose` becomes it when there is none. Made once, never changed.
    async fn setting(&self, name: &str, propose: &str) -> Result<String, StoreError>;

    /// Keep usage rows and add their charges to the counts; rows that are kept already change nothing. How many were new.
    async fn insert(&self, rows: &[Row]) -> Result<u64, StoreError>;

    /// What each count had been charged in windows that began at or after a moment (seconds since 1970).
    async fn counts(&self, since: i64) -> Result<Vec<Charge>, StoreError>;

    /// Sums by dimension and time.
    async fn usage(&self, query: &UsageQuery) -> Result<Page<Grouped>, StoreError>;

    /// Single rows, newest first.
    async fn records(&self, query: &Records) -> Result<Page<Row>, StoreError>;

    /// Give rows another cost (a corrected price): rows of one page of [`Self::records`] with their `cost` and `billed` replaced.
    /// Sums follow; counts of budgets do not (what was refused cannot be undone). How many rows differed.
    async fn reprice(&self, rows: &[Row]) -> Result<u64, StoreError>;

    /// Append to the audit log. The entry's number.
    async fn audit(&self, note: &AuditNote) -> Result<i64, StoreError>;

    /// Entries after a number, oldest first, at most `limit`.
    async fn audit_log(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Drop what is older than it is kept (days): single rows, audit entries; make partitions for what comes.
    async fn maintain(&self, now_ms: i64, keep_days: u32, keep_audit_days: u32) -> Result<Maintained, StoreError>;

    /// Follow the chain of the audit log.
    async fn verify_audit(&self) -> Result<Verified, StoreError> {
        Err(StoreError::Failed("this store keeps no audit log".to_owned()))
    }

    /// Write a copy of everything to a file that does not exist (SQLite).
    async fn backup(&self, _to: &Path) -> Result<(), StoreError> {
        Err(StoreError::Failed("this store has no backups of its own".to_owned()))
    }

    /// Keep a secret, sealed (`sealed::Keyring`), in place of the one before. The revision grows, as with every change.
    async fn put_secret(&self, _kind: &str, _name: &str, _sealed: &Sealed) -> Result<(), StoreError> {
        Err(StoreError::Failed("this store keeps no secrets".to_owned()))
    }

    /// A secret, as it was sealed.
    async fn secret(&self, _kind: &str, _name: &str) -> Result<Option<Sealed>, StoreError> {
        Ok(None)
    }

    /// Which secrets are kept.
    async fn secret_names(&self) -> Result<Vec<SecretName>, StoreError> {
        Ok(Vec::new())
    }

    /// All of one kind, by their names, as they were sealed.
    async fn secrets(&self, _kind: &str) -> Result<BTreeMap<String, Sealed>, StoreError> {
        Ok(BTreeMap::new())
    }

    /// Forget a secret. Whether there was one.
    async fn delete_secret(&self, _kind: &str, _name: &str) -> Result<bool, StoreError> {
        Ok(false)
    }
}
