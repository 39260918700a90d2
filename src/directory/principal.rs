//! Who is calling, as every later stage reads it: whose it is, what it may do, and what counts.
//!
//! One for each key and each person. The one idea: what a key adds to its team is little, so everything that it does not add to is
//! shared with the others of the team.

use super::Origin;
use crate::auth::Access;
use crate::config::{Budget, CachePolicy, Limit};
use crate::ledger;
use crate::limits::ScopeKind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A block with limits or budgets, shared by all that it applies to.
#[derive(Debug, PartialEq, Eq)]
pub struct ScopeBlock {
    /// Position in [`super::Directory::scopes`].
    pub index: u32,
    /// What it stands under: a tenant, a key, or a tag.
    pub kind: ScopeKind,
    /// The name of that.
    pub name: Arc<str>,
    /// Requests, tokens and concurrency.
    pub limits: Vec<Limit>,
    /// Money.
    pub budgets: Vec<Budget>,
}

/// Who is calling.
#[derive(Debug)]
pub struct Principal {
    /// Who pays and who calls.
    pub tenant: Arc<ledger::Tenant>,
    /// Tags of all its blocks; sorted, none twice.
    pub tags: Arc<[Arc<str>]>,
    /// Those that no operator of a team can have set: of blocks in the file, and of organisations and teams. What rules see,
    /// and whose limits and budgets count.
    pub vouched_tags: Arc<[Arc<str>]>,
    /// What all of its blocks allow in common.
    pub access: Access,
    /// Its blocks with limits or budgets, outermost first, each followed by those of its vouched tags.
    pub scopes: Arc<[Arc<ScopeBlock>]>,
    /// Parameters that a request gets if it does not set them; of several blocks the narrowest won.
    pub defaults: Arc<BTreeMap<String, Value>>,
    /// Names and values that no operator of a team can have set; of several blocks the narrowest won.
    pub metadata: Arc<BTreeMap<String, String>>,
    /// What its blocks say of the cache; of several the narrowest won, member by member. None: nothing.
    pub cache: Option<Arc<CachePolicy>>,
    /// Names of the guardrails of all its blocks; sorted, none twice.
    pub guardrails: Arc<[Arc<str>]>,
    /// Those of projects, users and keys in the store, which an operator of their team may have set.
    pub team_metadata: Arc<BTreeMap<String, String>>,
    /// Where its key is kept; none: it has no key.
    pub origin: Option<Origin>,
    /// When the first of its blocks expires, in seconds since 1970. [`Access::check`] refuses from then on.
    pub until: Option<i64>,
}
