//! Whose answers a request may share, and what else than its body decides them.

use super::super::authenticate::Principal;
use crate::cache::{Entry, Owner, Scope};
use crate::directory;
use crate::snapshot::{Found, PublicModel};
use crate::wire::Call;
use http::HeaderMap;
use std::sync::Arc;

/// Headers of clients that reach providers and change what they answer.
const DECISIVE: [&str; 3] = ["anthropic-beta", "anthropic-version", "openai-beta"];

/// Whose answers the caller shares: the names of everything around it down to the scope, so that a name that is given anew
/// elsewhere is not the old one. Where the scope's own name is missing, the next narrower one.
pub fn owner(scope: Scope, principal: &Principal) -> String {
    let Some(known) = &principal.known else {
        return String::new();
    };
    let tenant = &known.tenant;
    let levels = [
        (Scope::Organisation, 'o', &tenant.organisation),
        (Scope::Team, 't', &tenant.team),
        (Scope::Project, 'p', &tenant.project),
        (Scope::User, 'u', &tenant.user),
        (Scope::Key, 'k', &tenant.key),
    ];
    let mut owner = String::with_capacity(64);
    let mut reached = false;
    for (level, mark, name) in levels {
        reached |= level == scope;
        if let Some(name) = name {
            owner.push(mark);
            owner.push_str(&name.len().to_string());
            owner.push(':');
            owner.push_str(name);
            if reached {
                break;
            }
        }
    }
    owner
}

/// The model that answers, and what its `*` stands for.
pub fn model(found: Found<'_>) -> String {
    [&found.model.name, "\0", found.matched].concat()
}

/// Who may answer.
pub fn targets(found: Found<'_>, barred: &[Arc<str>]) -> String {
    let mut ids: Vec<&str> = found
        .model
        .targets
        .iter()
        .filter(|target| !barred.contains(&target.provider))
        .map(|target| target.id.as_str())
        .collect();
    ids.sort_unstable();
    ids.join("\n")
}

/// Whose answer it is.
pub fn owner_of(known: Option<&directory::Principal>) -> Owner {
    let Some(known) = known else { return Owner::default() };
    let tenant = &known.tenant;
    Owner {
        organisation: tenant.organisation.clone(),
        team: tenant.team.clone(),
        project: tenant.project.clone(),
        user: tenant.user.clone(),
        key: tenant.key.clone(),
    }
}

/// What it can be deleted by.
pub fn tags(known: Option<&directory::Principal>) -> Box<[Box<str>]> {
    let tags = known.map(|known| known.tags.iter().map(|tag| Box::from(&**tag)));
    tags.into_iter().flatten().collect()
}

/// A model's name as it was asked for.
pub fn public_name(model: &PublicModel, call: &Call, matched: &str) -> Arc<str> {
    if matched.is_empty() {
        Arc::clone(&model.name)
    } else {
        Arc::from(&*call.envelope.model)
    }
}

/// Versions of Anthropic's API that say the same (`wire::messages`); one of them is in every request of its SDKs.
const USUAL: [&str; 2] = ["2023-06-01", "2026-10-21"];

/// What else than the body decides: headers, and the guardrails that the answer passes.
pub fn also(headers: &HeaderMap, guard: Option<String>) -> Option<String> {
    match (self::headers(headers), guard) {
        (Some(headers), Some(guard)) => Some(headers + &guard),
        (headers, guard) => headers.or(guard),
    }
}

/// What stands in headers. A usual version decides nothing: else no answer of another dialect, and none that was warmed, would be
/// found by such a client.
fn headers(headers: &HeaderMap) -> Option<String> {
    let mut all = String::new();
    for name in DECISIVE {
        for value in headers.get_all(name) {
            if name == "anthropic-version" && USUAL.iter().any(|usual| value == *usual) {
                continue;
            }
            all.push_str(name);
            all.push(':');
            all.push_str(&String::from_utf8_lossy(value.as_bytes()));
            all.push('\n');
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Whether the caller may have whatever answer is under way: who gives it may change until it ends. Who may not use every provider
/// that could asks for itself (and is served what is kept, where who gave it is known).
pub fn may_follow(principal: &Principal, model: &PublicModel) -> bool {
    let Some(known) = &principal.known else { return true };
    known.access.any_provider() || model.providers.iter().all(|name| known.access.provider(name).is_ok())
}

/// Whether the caller may have an answer that this provider gave: access that was taken away holds for what is kept, too.
pub fn may_have(principal: &Principal, entry: &Entry) -> bool {
    let Some(known) = &principal.known else { return true };
    if known.access.any_provider() {
        return true;
    }
    let provider = entry.target.split('/').next().unwrap_or_default();
    known.access.provider(provider).is_ok()
}
