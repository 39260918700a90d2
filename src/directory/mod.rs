//! Tenants and keys as run: what the file declares and what the store holds, put together once and then only read.
//!
//! ```text
//! Config + FileKeys ─┐
//!                    ├─► Directory::build ─► digest ─► Principal      (every request; no lock, no allocation)
//! storage::Object ───┘                    └► entries                  (lists of the admin API)
//! ```
//! Not how a credential is found and hashed (`auth`), nor how limits count (`limits`: [`ScopeBlock`]s are what they are compiled
//! from). The one idea: a change rebuilds the whole and swaps it, so that a request sees either all of a change or nothing of
//! it. What the file declares wins and owns its name; an object of the store that does not fit is disabled with a reason and
//! never takes others down with it.

mod build;
mod entry;
mod file_keys;
mod people;
mod principal;
mod renew;
mod tree;

#[cfg(test)]
mod tests;

pub use build::Sources;
pub use entry::{Entry, Origin, Shown, Within};
pub use file_keys::FileKeys;
pub use people::{Named, UnknownTenant};
pub use principal::{Principal, ScopeBlock};

use crate::auth::Digest;
use crate::config::TenantKind;
use crate::storage::Kind;
use people::People;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use tree::Tree;

/// What a client reads whose key opens nothing: the same whether it never existed, was revoked, or its rotation is over.
pub const UNKNOWN_KEY: &str = "the key is not known here, or it was revoked";

/// Everybody who may call.
#[derive(Debug)]
pub struct Directory {
    keys: Opened,
    tree: Arc<Tree>,
    people: People,
    /// Sorted by kind, name, and whether it is shadowed.
    entries: Vec<Arc<Entry>>,
    scopes: Vec<Arc<ScopeBlock>>,
    /// A secret is that of two keys, of which the first in the order of names has it.
    tied: bool,
}

/// What digests open.
type Opened = HashMap<Digest, Opens, BuildHasherDefault<AsIs>>;

/// What a digest opens.
#[derive(Debug, Clone)]
struct Opens {
    principal: Arc<Principal>,
    /// Seconds since 1970, from when on it no longer does.
    until: Option<i64>,
}

impl Directory {
    /// Put together what file and store say.
    pub fn build(sources: &Sources<'_>) -> Self {
        build::build(sources)
    }

    /// The same as [`Self::build`], which it does if it has to, for what this one was built of when only keys in the store have
    /// changed since: what is not changed is shared with this one. File and file keys must be those that this one was built of,
    /// and no object may differ from the one of the same revision then.
    pub fn renew(&self, sources: &Sources<'_>) -> Self {
        renew::renew(self, sources).unwrap_or_else(|| Self::build(sources))
    }

    /// Whose key has this digest; none: nobody's, now (seconds since 1970). Whether the caller may do what it asks is for
    /// [`Principal::access`] to say: disabled and expired keys are found.
    pub fn principal(&self, digest: &Digest, now: i64) -> Option<&Arc<Principal>> {
        let opens = self.keys.get(digest);
        opens
            .filter(|opens| opens.until.is_none_or(|until| now < until))
            .map(|opens| &opens.principal)
    }

    /// The principal of somebody who proved a name instead of presenting a key. Tenants must exist; a user need not. Kept for
    /// the next request, within a bound.
    pub fn person(&self, named: &Named<'_>) -> Result<Arc<Principal>, UnknownTenant> {
        self.people.find(named, &self.tree)
    }

    /// Whether somebody of this name is declared, or was made.
    pub fn is_user(&self, name: &str) -> bool {
        self.tree.users.contains_key(name)
    }

    /// The principal of a key by its name, for client certificates that stand for one.
    pub fn key(&self, name: &str) -> Option<Arc<Principal>> {
        self.entry(TenantKind::Key, name)?.principal.clone()
    }

    /// What runs under a name (never what is shadowed).
    pub fn entry(&self, kind: TenantKind, name: &str) -> Option<&Entry> {
        let found = self
            .entries
            .binary_search_by(|entry| (entry.kind, &*entry.name, entry.shadowed).cmp(&(kind, name, false)));
        self.entries.get(found.ok()?).map(Arc::as_ref)
    }

    /// All of a kind that somebody with this view may know of, by name; what the store holds and the file shadows comes behind
    /// what shadows it.
    pub fn list<'a>(&'a self, kind: TenantKind, within: &'a Within) -> impl Iterator<Item = &'a Entry> {
        let from = self.entries.partition_point(|entry| entry.kind < kind);
        let all = self.entries.get(from..).unwrap_or_default().iter();
        all.map(Arc::as_ref)
            .take_while(move |entry| entry.kind == kind)
            .filter(move |entry| within.sees(entry))
    }

    /// Whatever does not run as written, with the reason.
    pub fn faults(&self) -> impl Iterator<Item = (&Entry, &str)> {
        self.entries
            .iter()
            .filter_map(|entry| Some((&**entry, entry.fault.as_deref()?)))
    }

    /// Every block with limits or budgets, at the position of its [`ScopeBlock::index`].
    pub fn scopes(&self) -> &[Arc<ScopeBlock>] {
        &self.scopes
    }

    /// Digests that open something.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }
}

/// What an object of the store is, if it is a tenant or a key.
pub fn tenant_kind(kind: Kind) -> Option<TenantKind> {
    Some(match kind {
        Kind::Organisation => TenantKind::Organisation,
        Kind::Team => TenantKind::Team,
        Kind::Project => TenantKind::Project,
        Kind::User => TenantKind::User,
        Kind::Key => TenantKind::Key,
        Kind::Price => return None,
    })
}

/// Passes on what a [`Digest`] hashes itself to.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
