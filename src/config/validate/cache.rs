//! `cache`: where answers are kept, and every policy that is written, of models, rules, tenants and keys.
//!
//! Not whether the files of the built-in encoder are what `make models` wrote: who loads them checks that. The one idea: a policy is
//! checked alone, since which others it will be merged with is known only when somebody calls.

use super::super::model::{CachePolicy, Config, ProviderKind, SemanticStore, Store, VectorStore};
use super::super::problem::{Finding, Place, quoted};
use super::super::scalars::SecretRef;
use super::Names;
use super::models::unknown_remedy;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where `make models` writes, unless told otherwise.
const MODELS: &str = "models";
/// Least memory, in bytes.
const LEAST_MEMORY: usize = 1 << 20;
/// Largest request that is looked at and largest answer that is kept, in bytes.
const LARGEST: usize = 64 << 20;
/// Longest wait for looking by likeness.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Verifiers less sure than this let many wrong answers pass.
const UNSURE: f32 = 0.9;
/// What is missing where answers are to be found by likeness.
const NO_SEMANTIC: &str = "answers are found by likeness only where there is a `cache.semantic`";
const NO_SEMANTIC_REMEDY: &str = "add `cache: { semantic: {} }` and run `make models`, or name a model for embeddings there: \
                                  `cache: { semantic: { embedder: NAME } }`; or write `mode: exact`";

pub(super) fn check(config: &Config, names: &Names, out: &mut Vec<Finding>) {
    let at = Place::root().key("cache");
    let cache = &config.cache;
    if cache.memory.is_some_and(|memory| memory.as_bytes() < LEAST_MEMORY) {
        let message = "too small to keep answers in";
        out.push(Finding::new(at.key("memory"), message, "write at least `1MiB`"));
    }
    if cache.shared == Some(true) && config.redis.is_none() {
        let message = "there is no `redis` to share answers through";
        let remedy = "add `redis: { urls: [env:REDIS_URL] }`, or remove the key";
        out.push(Finding::new(at.key("shared"), message, remedy));
    }
    if cache.sealed == Some(true) && config.secrets.keys.is_empty() {
        let message = "there is no key that answers are sealed with";
        let remedy = "add `secrets: { keys: [env:CIRQUE_SECRETS_KEY] }`; `openssl rand -hex 32` makes one";
        out.push(Finding::new(at.key("sealed"), message, remedy));
    }
    if let Some(semantic) = &cache.semantic {
        semantic_store(config, names, semantic, &at.key("semantic"), out);
    }
    for (place, written) in of_the_file(config) {
        policy(written, names, &place, out);
    }
}

/// Policies of the file that are no tenant's.
fn of_the_file(config: &Config) -> impl Iterator<Item = (Place, &CachePolicy)> {
    let root = Place::root();
    let models = config.models.iter();
    let models = models.filter_map(|(name, model)| {
        Some((
            Place::root().key("models").key(name).key("cache"),
            model.cache.as_ref()?,
        ))
    });
    let rules = config.routes.iter().enumerate();
    let rules = rules.filter_map(|(index, rule)| {
        Some((
            Place::root().key("routes").index(index).key("cache"),
            rule.cache.as_ref()?,
        ))
    });
    let defaults = (root.key("cache").key("defaults"), &config.cache.defaults);
    std::iter::once(defaults).chain(models).chain(rules)
}

/// One policy, wherever it stands.
pub(super) fn policy(policy: &CachePolicy, names: &Names, place: &Place, out: &mut Vec<Finding>) {
    if policy.needs_semantic() && !names.semantic_cache {
        out.push(Finding::new(place.key("mode"), NO_SEMANTIC, NO_SEMANTIC_REMEDY));
    }
    if policy
        .time_limit
        .is_some_and(|limit| limit.as_duration() > LONGEST_WAIT)
    {
        let message = "longer than 5s, for which every request could wait";
        out.push(Finding::new(
            place.key("time_limit"),
            message,
            "write some milliseconds, such as `5ms`",
        ));
    }
    for (key, size) in [("max_request", policy.max_request), ("max_answer", policy.max_answer)] {
        if size.is_some_and(|size| size.as_bytes() > LARGEST) {
            let message = "more than 64MiB, which nobody asks twice";
            out.push(Finding::new(place.key(key), message, "write at most `64MiB`"));
        }
    }
}

fn semantic_store(config: &Config, names: &Names, store: &SemanticStore, place: &Place, out: &mut Vec<Finding>) {
    if let Some(name) = &store.embedder
        && let Some((message, remedy)) = bad_embedder(config, names, name)
    {
        out.push(Finding::new(place.key("embedder"), message, remedy));
    }
    if store.embedder.is_some() && store.models.is_some() {
        let message = "`embedder` stands for the built-in encoder, whose files these are";
        out.push(Finding::new(place.key("models"), message, "remove one of the two"));
    }
    if let Some(path) = &store.models {
        super::stores::plain_path(path, place.key("models"), out);
    }
    if let Some(VectorStore::Pgvector { url: None, .. }) = &store.vectors
        && !matches!(config.store, Some(Store::Postgres { .. }))
    {
        let message = "no PostgreSQL to keep vectors in";
        let remedy = "add `url: env:NAME` here, or `store: { kind: postgres, url: env:NAME }`";
        out.push(Finding::new(place.key("vectors"), message, remedy));
    }
}

/// What is wrong with the model that embeds.
fn bad_embedder(config: &Config, names: &Names, name: &str) -> Option<(String, String)> {
    let Some(model) = config.models.get(name) else {
        if names.models.iter().any(|known| known == name) {
            // Its block is broken, which is said there.
            return None;
        }
        let remedy = match names.aliases.get(name) {
            Some(owner) => format!("it is an alias; write {}", quoted(owner)),
            None => unknown_remedy(name, &names.models, "model", "models"),
        };
        return Some((format!("no model {}", quoted(name)), remedy));
    };
    if name.contains('*') {
        let message = "a pattern is no model that can be asked".to_owned();
        return Some((message, "name one model".to_owned()));
    }
    let embeds = |provider: &String| {
        let kind = config.providers.get(provider).map(|provider| provider.kind);
        // A provider that is not there is said elsewhere.
        kind.is_none_or(|kind| !matches!(kind, ProviderKind::Anthropic | ProviderKind::Demo))
    };
    (!model.targets.iter().any(|target| embeds(&target.provider))).then(|| {
        let message = format!("no target of the model {} offers embeddings", quoted(name));
        let remedy = "name a model whose provider does, such as `openai` with `text-embedding-3-small`";
        (message, remedy.to_owned())
    })
}

/// The URL of the vector store, if it has one of its own.
pub(super) fn vectors_url(config: &Config) -> Option<(Place, SecretRef)> {
    let VectorStore::Pgvector { url, .. } = config.cache.semantic.as_ref()?.vectors.as_ref()?;
    let at = Place::root().key("cache").key("semantic").key("vectors").key("url");
    Some((at, url.clone()?))
}

/// The folder of the built-in encoder, if it is configured and not there. Touches the file system.
pub(super) fn missing_models(config: &Config, out: &mut Vec<Finding>) {
    let Some(semantic) = config.cache.semantic.as_ref().filter(|it| it.embedder.is_none()) else {
        return;
    };
    let at = Place::root().key("cache").key("semantic");
    let (at, path) = match &semantic.models {
        Some(path) => (at.key("models"), path.clone()),
        None => (at, PathBuf::from(MODELS)),
    };
    if let Some(message) = no_folder(&path) {
        let remedy = "run `make models`, which writes the files of the built-in encoder, or name a model for embeddings \
                      instead (`embedder`)";
        out.push(Finding::new(at, message, remedy));
    }
}

fn no_folder(path: &Path) -> Option<String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(format!("{shown} is not a folder")),
        Err(error) => Some(format!("{shown} cannot be read: {error}")),
    }
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    let written: Vec<(Place, &CachePolicy)> = every(config);
    for (place, policy) in &written {
        if policy.threshold.is_some_and(|threshold| threshold < UNSURE) {
            let message = "below 0.9 many answers belong to other questions";
            let remedy = "try it with `mode: shadow` first, and see docs/semantic-cache.md";
            out.push(Finding::new(place.key("threshold"), message, remedy));
        }
    }
    if !written.iter().any(|(_, policy)| policy.turns_on())
        && let Some((place, _)) = written.first()
    {
        let message = "no policy of this file turns the cache on: answers are not kept";
        out.push(Finding::new(
            place.clone(),
            message,
            "write `mode: exact` where it is wanted",
        ));
    }
    let semantic = written.iter().any(|(_, policy)| policy.needs_semantic());
    if config.cache.semantic.is_some() && !semantic {
        let at = Place::root().key("cache").key("semantic");
        let message = "no policy of this file looks for answers by likeness";
        let remedy = "write `mode: semantic` (or `shadow`) where it is wanted, or remove it";
        out.push(Finding::new(at, message, remedy));
    }
}

/// Every policy of the file that says something.
fn every(config: &Config) -> Vec<(Place, &CachePolicy)> {
    fn of<'a, T>(
        block: &'static str,
        all: &'a std::collections::BTreeMap<String, T>,
        policy: fn(&'a T) -> Option<&'a CachePolicy>,
    ) -> impl Iterator<Item = (Place, &'a CachePolicy)> {
        all.iter()
            .filter_map(move |(name, it)| Some((Place::root().key(block).key(name).key("cache"), policy(it)?)))
    }
    let mut all: Vec<(Place, &CachePolicy)> = of_the_file(config).collect();
    all.extend(of("organisations", &config.organisations, |it| it.cache.as_ref()));
    all.extend(of("teams", &config.teams, |it| it.cache.as_ref()));
    all.extend(of("projects", &config.projects, |it| it.cache.as_ref()));
    all.extend(of("users", &config.users, |it| it.cache.as_ref()));
    all.extend(of("keys", &config.keys, |it| it.cache.as_ref()));
    all.retain(|(_, policy)| **policy != CachePolicy::default());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Names, TenantKind, parse, tenant};

    fn config(more: &str) -> Config {
        let head = "listen: 127.0.0.1:0\ninsecure: { open_access: true }\nproviders: { d: { kind: demo } }\n";
        parse(&format!("{head}{more}"), "f").unwrap()
    }

    fn told(found: Vec<Finding>) -> Vec<String> {
        found
            .into_iter()
            .map(|finding| finding.unplaced().to_string())
            .collect()
    }

    fn warnings(more: &str) -> Vec<String> {
        let mut out = Vec::new();
        warn(&config(more), &mut out);
        told(out)
    }

    #[test]
    fn what_turns_nothing_on_and_what_is_unsure_is_worth_a_look() {
        let model = |cache: &str| format!("models: {{ m: {{ targets: [ {{ provider: d }} ]{cache} }} }}\n");
        assert_eq!(warnings(&model("")), Vec::<String>::new());
        assert_eq!(warnings(&model(", cache: { mode: exact }")), Vec::<String>::new());
        let off = warnings(&model(", cache: { ttl: 5m }"));
        assert!(
            off.len() == 1 && off[0].starts_with("models.m.cache: no policy"),
            "{off:?}"
        );
        assert_eq!(
            warnings(&format!(
                "{}teams: {{ t: {{ cache: {{ mode: exact }} }} }}\n",
                model(", cache: { ttl: 5m }")
            )),
            Vec::<String>::new()
        );
        let text = format!(
            "cache: {{ semantic: {{}} }}\n{}",
            model(", cache: { mode: semantic, threshold: 0.8 }")
        );
        let unsure = warnings(&text);
        assert!(
            unsure.len() == 1 && unsure[0].starts_with("models.m.cache.threshold: below 0.9"),
            "{unsure:?}"
        );
        let unused = warnings(&format!(
            "cache: {{ semantic: {{}} }}\n{}",
            model(", cache: { mode: exact }")
        ));
        assert!(
            unused.len() == 1 && unused[0].starts_with("cache.semantic: no policy"),
            "{unused:?}"
        );
    }

    #[test]
    fn a_folder_of_the_encoder_that_is_not_there_names_the_command() {
        let semantic = |store: &str| {
            let text = format!(
                "cache: {{ semantic: {store} }}\nmodels: {{ m: {{ targets: [ {{ provider: d }} ], cache: {{ mode: semantic }} }} }}\n"
            );
            let mut out = Vec::new();
            missing_models(&config(&text), &mut out);
            told(out)
        };
        let missing = semantic("{ models: /nowhere/at-all }");
        assert!(missing.len() == 1 && missing[0].starts_with("cache.semantic.models: /nowhere/at-all cannot be read"));
        assert!(missing[0].contains("`make models`") && missing[0].contains("embedder"));
        assert_eq!(semantic("{ models: src }"), Vec::<String>::new());
        assert!(semantic("{ models: Cargo.toml }")[0].contains("is not a folder"));
    }

    #[test]
    fn a_tenant_of_the_admin_api_may_not_ask_for_likeness_that_is_not_there() {
        let document = serde_json::json!({ "cache": { "mode": "semantic" } });
        let mut names = Names::default();
        let refused = tenant(TenantKind::Team, "t", &document, &names).unwrap_err();
        assert!(
            refused.len() == 1 && refused[0].remedy.contains("make models"),
            "{refused:?}"
        );
        names.semantic_cache = true;
        let read = tenant(TenantKind::Team, "t", &document, &names).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), document);
        let odd = serde_json::json!({ "cache": { "threshold": 2, "ttl": "31d", "shared": true } });
        assert_eq!(tenant(TenantKind::Key, "k", &odd, &names).unwrap_err().len(), 3);
    }
}
