//! Names that others refer to.

use super::super::model::{Config, TenantKind};
use crate::auth::glob;
use std::collections::{BTreeMap, BTreeSet};

/// Names there are: a reference to one of them is not a mistake. Of a file also those whose blocks were too broken to read.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Providers.
    pub providers: Vec<String>,
    /// Public models and patterns.
    pub models: Vec<String>,
    /// Aliases of models, with the models.
    pub aliases: BTreeMap<String, String>,
    /// Organisations.
    pub organisations: BTreeSet<String>,
    /// Teams.
    pub teams: BTreeSet<String>,
    /// Projects.
    pub projects: BTreeSet<String>,
    /// Users.
    pub users: BTreeSet<String>,
    /// Guardrails.
    pub guardrails: BTreeSet<String>,
    /// Tags with limits or budgets.
    pub tags: BTreeSet<String>,
    /// Kept answers can be found by likeness: there is a `cache.semantic`.
    pub semantic_cache: bool,
}

impl Names {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let mut names = Self {
            providers: config.providers.keys().cloned().collect(),
            models: config.models.keys().cloned().collect(),
            organisations: config.organisations.keys().cloned().collect(),
            teams: config.teams.keys().cloned().collect(),
            projects: config.projects.keys().cloned().collect(),
            users: config.users.keys().cloned().collect(),
            guardrails: config.guardrails.keys().cloned().collect(),
            tags: super::tags::counted(config),
            semantic_cache: config.cache.semantic.is_some(),
            ..Self::default()
        };
        names.add_aliases(config);
        names
    }

    pub(crate) fn add_aliases(&mut self, config: &Config) {
        for (name, model) in &config.models {
            let aliases = model.aliases.iter().map(|alias| (alias.clone(), name.clone()));
            self.aliases.extend(aliases);
        }
    }

    /// Add a tenant that is not in the file.
    pub fn add(&mut self, kind: TenantKind, name: &str) {
        match kind {
            TenantKind::Organisation => self.organisations.insert(name.to_owned()),
            TenantKind::Team => self.teams.insert(name.to_owned()),
            TenantKind::Project => self.projects.insert(name.to_owned()),
            TenantKind::User => self.users.insert(name.to_owned()),
            TenantKind::Key => false,
        };
    }

    /// Tenants of a kind.
    pub fn tenants(&self, kind: TenantKind) -> impl Iterator<Item = &String> {
        self.of_kind(kind).into_iter().flatten()
    }

    /// Whether there is a tenant.
    pub fn has_tenant(&self, kind: TenantKind, name: &str) -> bool {
        self.of_kind(kind).is_some_and(|names| names.contains(name))
    }

    /// Whether clients may ask for a model: by its name, or by one that fits a pattern.
    pub fn serves(&self, name: &str) -> bool {
        self.models
            .iter()
            .any(|model| model == name || model.contains('*') && glob::fits(model, name))
    }

    fn of_kind(&self, kind: TenantKind) -> Option<&BTreeSet<String>> {
        Some(match kind {
            TenantKind::Organisation => &self.organisations,
            TenantKind::Team => &self.teams,
            TenantKind::Project => &self.projects,
            TenantKind::User => &self.users,
            TenantKind::Key => return None,
        })
    }
}
