//! One tenant or key as lists show it: where it comes from, whether it runs, and whose it is.
//!
//! Without secrets, digests and documents: those are the file's and the store's. Who may see it is decided here, by [`Within`], so that every list is filtered alike.

use super::Principal;
use crate::config::TenantKind;
use crate::ledger;
use crate::storage::Revision;
use std::sync::Arc;

/// Where something is kept, and so who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The store: the admin API.
    Store,
}

impl Origin {
    /// `file` or `store`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Store => "store",
        }
    }
}

/// One secret of a key, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `cq-3fAx…`
    pub text: Box<str>,
    /// Seconds since 1970, from when on it opens nothing.
    pub until: Option<i64>,
}

/// A tenant or key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub kind: TenantKind,
    /// Its name.
    pub name: Arc<str>,
    /// Where it is kept.
    pub origin: Origin,
    /// It is in the store, and the file declares one of the same kind and name: it does not run.
    pub shadowed: bool,
    /// Why it does not run as written.
    pub fault: Option<Box<str>>,
    /// Its own tenants: a team's organisation and the team itself, …
    pub tenant: Arc<ledger::Tenant>,
    /// Of keys: their secrets.
    pub shown: Box<[Shown]>,
    /// Of what the store holds.
    pub revision: Option<Revision>,
    /// Of keys that run.
    pub(super) principal: Option<Arc<Principal>>,
}

/// How much of the directory somebody may know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// All of it.
    All,
    /// One organisation and what belongs to it.
    Organisation(Arc<str>),
    /// One team and what belongs to it.
    Team(Arc<str>),
}

impl Within {
    /// Whether an entry is part of it.
    pub fn sees(&self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Organisation(name) => entry.tenant.organisation.as_ref() == Some(name),
            Self::Team(name) => entry.tenant.team.as_ref() == Some(name),
        }
    }
}
