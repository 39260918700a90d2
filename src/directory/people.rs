//! Principals of those who prove a name instead of presenting a key: from JSON web tokens and client certificates.
//!
//! How many there are is up to an identity provider, so what is kept is bounded: when it is full it is emptied, and those who
//! still call are found again in microseconds. The one idea: what is kept is found by a hash of the borrowed names, so that finding it
//! allocates nothing; two with the same hash take turns.

use super::principal::Principal;
use super::tree::{Outer, Tree};
use crate::config::TenantKind;
use dashmap::DashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Most principals kept.
pub(super) const MOST: usize = if cfg!(test) { 500 } else { 20_000 };

/// Names that somebody proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Named<'a> {
    /// An organisation that exists.
    pub organisation: Option<&'a str>,
    /// A team that exists.
    pub team: Option<&'a str>,
    /// A project that exists.
    pub project: Option<&'a str>,
    /// A user, who need not.
    pub user: Option<&'a str>,
}

/// A tenant that somebody names, and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {} {name:?}", kind.as_str())]
pub struct UnknownTenant {
    /// What it would be.
    pub kind: TenantKind,
    /// Its name.
    pub name: String,
}

#[derive(Debug, Default)]
pub(super) struct People {
    kept: DashMap<u64, Kept>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Kept {
    names: [Option<Box<str>>; 4],
    principal: Arc<Principal>,
}

impl Kept {
    fn is(&self, named: &Named<'_>) -> bool {
        let theirs = [named.organisation, named.team, named.project, named.user];
        self.names
            .iter()
            .zip(theirs)
            .all(|(mine, theirs)| mine.as_deref() == theirs)
    }
}

impl People {
    pub(super) fn find(&self, named: &Named<'_>, tree: &Tree) -> Result<Arc<Principal>, UnknownTenant> {
        let hash = self.hasher.hash_one(named);
        if let Some(kept) = self.kept.get(&hash).filter(|kept| kept.is(named)) {
            return Ok(kept.principal.clone());
        }
        let outer = Outer {
            organisation: named.organisation,
            team: named.team,
            project: named.project,
            user: named.user,
        };
        let found = tree.find(&outer, false)?;
        let mut tenant = found.tenant();
        if tenant.user.is_none() {
            tenant.user = named.user.map(Arc::from);
        }
        let principal = Arc::new(found.stem().principal(Arc::new(tenant), None));
        if self.kept.len() >= MOST {
            self.kept.clear();
        }
        let names = [named.organisation, named.team, named.project, named.user];
        let kept = Kept {
            names: names.map(|name| name.map(Box::from)),
            principal: principal.clone(),
        };
        self.kept.insert(hash, kept);
        Ok(principal)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}
