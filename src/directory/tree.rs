//! Organisations, teams, projects and users, compiled, and what their blocks come to for whoever is below them.
//!
//! ```text
//! organisation ← team ← project | user ← key | person
//! ```
//! Not who is below them (`build` for keys, `people` for the rest). The one idea: a [`Stem`] is everything that the outer blocks
//! of a caller come to; callers with the same outer blocks share it.

use super::principal::{Principal, ScopeBlock};
use super::{Origin, UnknownTenant};
use crate::auth::glob::Globs;
use crate::auth::hours::Hours;
use crate::auth::{Access, Block, Networks};
use crate::config::{CachePolicy, Shared, TenantKind};
use crate::ledger;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A block, compiled: of a tenant or a key.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// None: it restricts nothing.
    pub(super) block: Option<Arc<Block>>,
    pub(super) scope: Option<Arc<ScopeBlock>>,
    /// Limits and budgets of its tags; none unless it is vouched for.
    pub(super) tag_scopes: Box<[Arc<ScopeBlock>]>,
    pub(super) tags: Vec<Arc<str>>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Only an operator of all can have written it; not one of a team.
    pub(super) vouched: bool,
    pub(super) defaults: BTreeMap<String, Value>,
    pub(super) cache: Option<Arc<CachePolicy>>,
    pub(super) guardrails: Vec<Arc<str>>,
    /// The outer tenants it names.
    pub(super) organisation: Option<Arc<str>>,
    pub(super) team: Option<Arc<str>>,
}

/// Names of the outer tenants of a caller.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outer<'a> {
    pub(super) organisation: Option<&'a str>,
    pub(super) team: Option<&'a str>,
    pub(super) project: Option<&'a str>,
    pub(super) user: Option<&'a str>,
}

/// The tenants that run, by name.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) organisations: HashMap<Arc<str>, Node>,
    pub(super) teams: HashMap<Arc<str>, Node>,
    pub(super) projects: HashMap<Arc<str>, Node>,
    pub(super) users: HashMap<Arc<str>, Node>,
}

/// The outer tenants of a caller, found.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    organisation: Option<(&'a Arc<str>, &'a Node)>,
    team: Option<(&'a Arc<str>, &'a Node)>,
    project: Option<(&'a Arc<str>, &'a Node)>,
    user: Option<(&'a Arc<str>, &'a Node)>,
}

/// What the outer blocks of a caller come to.
#[derive(Debug)]
pub(super) struct Stem {
    tags: Arc<[Arc<str>]>,
    vouched_tags: Arc<[Arc<str>]>,
    access: Access,
    scopes: Arc<[Arc<ScopeBlock>]>,
    defaults: Arc<BTreeMap<String, Value>>,
    metadata: Arc<BTreeMap<String, String>>,
    cache: Option<Arc<CachePolicy>>,
    guardrails: Arc<[Arc<str>]>,
    team_metadata: Arc<BTreeMap<String, String>>,
}

impl Tree {
    pub(super) fn of(&self, kind: TenantKind) -> Option<&HashMap<Arc<str>, Node>> {
        Some(match kind {
            TenantKind::Organisation => &self.organisations,
            TenantKind::Team => &self.teams,
            TenantKind::Project => &self.projects,
            TenantKind::User => &self.users,
            TenantKind::Key => return None,
        })
    }

    pub(super) fn of_mut(&mut self, kind: TenantKind) -> Option<&mut HashMap<Arc<str>, Node>> {
        Some(match kind {
            TenantKind::Organisation => &mut self.organisations,
            TenantKind::Team => &mut self.teams,
            TenantKind::Project => &mut self.projects,
            TenantKind::User => &mut self.users,
            TenantKind::Key => return None,
        })
    }

    fn get<'a>(
        &'a self,
        kind: TenantKind,
        name: Option<&str>,
    ) -> Result<Option<(&'a Arc<str>, &'a Node)>, UnknownTenant> {
        let Some(name) = name else { return Ok(None) };
        let found = self.of(kind).and_then(|nodes| nodes.get_key_value(name));
        found.map(Some).ok_or_else(|| UnknownTenant {
            kind,
            name: name.to_owned(),
        })
    }

    /// Find the tenants of a caller: those it names, else those that its project and user name. `known_user`: an operator wrote
    /// this; a user must exist too. Otherwise a project of another team than the one that is named does not exist, nor a team of
    /// another organisation.
    pub(super) fn find(&self, outer: &Outer<'_>, known_user: bool) -> Result<Found<'_>, UnknownTenant> {
        let user = match self.get(TenantKind::User, outer.user) {
            Err(_) if !known_user => None,
            other => other?,
        };
        let project = self.get(TenantKind::Project, outer.project)?;
        let of_inner = || project.and_then(|(_, node)| node.team.as_deref());
        let of_user = || user.and_then(|(_, node)| node.team.as_deref());
        let team = self.get(TenantKind::Team, outer.team.or_else(of_inner).or_else(of_user))?;
        let of_team = || team.and_then(|(_, node)| node.organisation.as_deref());
        let organisation = self.get(TenantKind::Organisation, outer.organisation.or_else(of_team))?;
        if !known_user {
            // What somebody else claims must go together: the limits of the team whose project it is could be evaded, and those
            // of an organisation that has nothing to do with it used up.
            together(
                TenantKind::Project,
                project,
                project.and_then(|(_, node)| node.team.as_ref()),
                team,
            )?;
            together(
                TenantKind::Team,
                team,
                team.and_then(|(_, node)| node.organisation.as_ref()),
                organisation,
            )?;
        }
        Ok(Found {
            organisation,
            team,
            project,
            user,
        })
    }
}

/// Whether what an inner tenant belongs to is the outer one.
fn together(
    kind: TenantKind,
    inner: Option<(&Arc<str>, &Node)>,
    own: Option<&Arc<str>>,
    outer: Option<(&Arc<str>, &Node)>,
) -> Result<(), UnknownTenant> {
    match (inner, own, outer) {
        (Some((name, _)), Some(own), Some((outer, _))) if own != outer => Err(UnknownTenant {
            kind,
            name: name.to_string(),
        }),
        _ => Ok(()),
    }
}

/// What [`Stem`]s are told apart by.
pub(super) type StemKey = [Option<Arc<str>>; 4];

impl Found<'_> {
    pub(super) fn key(&self) -> StemKey {
        [self.organisation, self.team, self.project, self.user].map(|found| found.map(|(name, _)| name.clone()))
    }

    /// Names for the ledger.
    pub(super) fn tenant(&self) -> ledger::Tenant {
        let [organisation, team, project, user] = self.key();
        ledger::Tenant {
            organisation,
            team,
            project,
            user,
            key: None,
        }
    }

    /// Whether the limits of a tag count for whoever is below.
    pub(super) fn carries(&self, tag: &ScopeBlock) -> bool {
        let nodes = [self.organisation, self.team, self.project, self.user];
        let mut scopes = nodes.into_iter().flatten().flat_map(|(_, node)| &node.tag_scopes);
        scopes.any(|scope| scope.index == tag.index)
    }

    pub(super) fn stem(&self) -> Stem {
        let nodes = [self.organisation, self.team, self.project, self.user];
        let mut stem = Stem::default();
        for (_, node) in nodes.into_iter().flatten() {
            stem.grow(node);
        }
        stem
    }
}

impl Default for Stem {
    fn default() -> Self {
        let none: Arc<[Arc<str>]> = Arc::from([]);
        Self {
            tags: none.clone(),
            guardrails: none.clone(),
            vouched_tags: none,
            access: Access::default(),
            scopes: Arc::from([]),
            defaults: Arc::default(),
            metadata: Arc::default(),
            cache: None,
            team_metadata: Arc::default(),
        }
    }
}

impl Stem {
    /// Add a narrower block. What it adds nothing to stays shared.
    fn grow(&mut self, node: &Node) {
        if !node.tags.is_empty() {
            // Shared where all are vouched for, as most are.
            let all = Arc::ptr_eq(&self.tags, &self.vouched_tags) && node.vouched;
            add_words(&mut self.tags, &node.tags);
            if all {
                self.vouched_tags = self.tags.clone();
            } else if node.vouched {
                add_words(&mut self.vouched_tags, &node.tags);
            }
        }
        if !node.guardrails.is_empty() {
            add_words(&mut self.guardrails, &node.guardrails);
        }
        if let Some(block) = &node.block {
            self.access = self.access.and(block.clone());
        }
        let new = |tag: &&Arc<ScopeBlock>| !self.scopes.iter().any(|scope| scope.index == tag.index);
        let more: Vec<_> = node.scope.iter().chain(node.tag_scopes.iter().filter(new)).collect();
        if !more.is_empty() {
            self.scopes = self.scopes.iter().chain(more).cloned().collect();
        }
        merge(&mut self.defaults, &node.defaults);
        match (&mut self.cache, &node.cache) {
            (Some(outer), Some(own)) => Arc::make_mut(outer).overlay(own),
            (outer @ None, Some(own)) => *outer = Some(own.clone()),
            (_, None) => {}
        }
        let metadata = if node.vouched {
            &mut self.metadata
        } else {
            &mut self.team_metadata
        };
        merge(metadata, &node.metadata);
    }

    /// The caller with these outer blocks and, if it is a key, its own.
    pub(super) fn principal(&self, tenant: Arc<ledger::Tenant>, own: Option<(&Node, Origin)>) -> Principal {
        let mut grown = Self {
            tags: self.tags.clone(),
            vouched_tags: self.vouched_tags.clone(),
            access: self.access.clone(),
            scopes: self.scopes.clone(),
            defaults: self.defaults.clone(),
            metadata: self.metadata.clone(),
            cache: self.cache.clone(),
            guardrails: self.guardrails.clone(),
            team_metadata: self.team_metadata.clone(),
        };
        if let Some((node, _)) = own {
            grown.grow(node);
        }
        Principal {
            tenant,
            tags: grown.tags,
            vouched_tags: grown.vouched_tags,
            until: grown.access.until(),
            access: grown.access,
            scopes: grown.scopes,
            defaults: grown.defaults,
            metadata: grown.metadata,
            cache: grown.cache,
            guardrails: grown.guardrails,
            team_metadata: grown.team_metadata,
            origin: own.map(|(_, origin)| origin),
        }
    }
}

fn add_words(mine: &mut Arc<[Arc<str>]>, more: &[Arc<str>]) {
    let mut tags: Vec<Arc<str>> = mine.iter().chain(more).cloned().collect();
    tags.sort_unstable();
    tags.dedup();
    *mine = tags.into();
}

fn merge<V: Clone>(mine: &mut Arc<BTreeMap<String, V>>, more: &BTreeMap<String, V>) {
    if !more.is_empty() {
        let all = Arc::make_mut(mine);
        all.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// The restrictions of a block. The error is for the operator.
pub(super) fn restrictions(kind: TenantKind, name: &Arc<str>, shared: &Shared<'_>) -> Result<Block, String> {
    let globs = |key: &str, list: &[String]| {
        Globs::compile(list.iter().map(String::as_str)).map_err(|wrong| format!("`{key}`: {wrong}"))
    };
    let networks = |key: &str, list: &[String]| {
        Networks::compile(list.iter().map(String::as_str)).map_err(|wrong| format!("`{key}`: {wrong}"))
    };
    let hours = shared.hours.iter().map(|hours| {
        let parsed = Hours::parse(hours.days.as_deref(), hours.time.as_deref(), hours.time_zone.as_deref());
        parsed.map_err(|bad| {
            bad.first()
                .map_or_else(String::new, |bad| format!("`hours`: {}", bad.message))
        })
    });
    Ok(Block {
        kind: kind.as_str(),
        name: name.clone(),
        disabled: shared.disabled,
        expires: shared.expires.map(|moment| moment.unix()),
        hours: hours.collect::<Result<_, _>>()?,
        models: shared.models.map(|list| globs("models", list)).transpose()?,
        denied_models: globs("denied_models", shared.denied_models)?,
        operations: shared.operations.map(|list| globs("operations", list)).transpose()?,
        providers: shared.providers.map(|list| globs("providers", list)).transpose()?,
        allowed_ips: shared
            .allowed_ips
            .map(|list| networks("allowed_ips", list))
            .transpose()?,
        denied_ips: networks("denied_ips", shared.denied_ips)?,
    })
}
