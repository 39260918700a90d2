//! Secrets of providers that the store keeps sealed: set, listed, deleted, sealed again; never read back.
//!
//! No answer, note or error holds any of a value, nor of a body that was refused. The one idea: this process seals with the keys
//! of the configuration that runs, so what the store and its backups have is of no use without them.

use super::change::TAKE_UP;
use super::table::{Parameter, Route, Serve, Takes, WRITE, Who};
use super::views::{Deleted, Listed};
use super::{Answer, Asked, Failure, rfc3339};
use crate::config::is_stored_name;
use crate::secret::Secret;
use crate::storage::sealed::{Keyring, SealError, Sealed, unfit};
use crate::storage::{PROVIDER_SECRET, SecretName};
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most secrets: far more than there are providers.
const MOST: usize = 1000;
/// Most providers that an answer names.
const MOST_NAMED: usize = 10;

/// The rows of these routes.
pub(super) fn routes() -> Vec<Route> {
    const FORCE: &[Parameter] = &[Parameter::new(
        "force",
        Takes::Flag,
        "Also if a provider uses it: it works on until a restart",
    )];
    const ONE: &str = "/admin/v1/secrets/{name}";
    let who = Who::Only(WRITE);
    vec![
        Route::new::<Listed<StoredSecret>>(
            Method::GET,
            "/admin/v1/secrets",
            who,
            Serve::Api(|asked| Box::pin(list(asked))),
            "Secrets of providers that the store keeps, in order of names; never their values",
        ),
        Route::new::<StoredSecret>(
            Method::PUT,
            ONE,
            who,
            Serve::Api(|asked| Box::pin(put(asked))),
            "Keep a secret, sealed, for providers that name it as `store:NAME`; in place of the one before",
        )
        .body::<PutSecret>(),
        Route::new::<Deleted>(
            Method::DELETE,
            ONE,
            who,
            Serve::Api(|asked| Box::pin(delete(asked))),
            "Forget a secret",
        )
        .query(FORCE),
        Route::new::<Resealed>(
            Method::POST,
            "/admin/v1/reseal",
            who,
            Serve::Api(|asked| Box::pin(reseal(asked))),
            "Seal every secret with the first key that has another",
        ),
    ]
}

/// A secret that is kept, without its value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StoredSecret {
    /// Its name: `openai` for `store:openai`.
    pub name: String,
    /// When it was set or sealed again.
    pub changed_at: String,
    /// Id of the key it is sealed with.
    pub sealing_key: String,
    /// Another key seals now: `cirque secret reseal`.
    pub outdated: bool,
    /// Providers of the configuration that runs which use it.
    pub used_by: Vec<String>,
}

/// A secret to be kept.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read by hand, so that no error repeats what was sent")]
pub struct PutSecret {
    /// Its value: one line, or a JSON document (the key of a service account). White space around it is removed.
    #[schemars(length(min = 1, max = 65_536))]
    pub value: String,
}

/// What sealing again did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Resealed {
    /// Sealed again.
    pub resealed: Vec<String>,
    /// Those that no configured key opens, and why: set them again.
    pub failed: BTreeMap<String, String>,
    /// Id of the key that seals.
    pub sealing_key: String,
}

async fn list(asked: Asked) -> Result<Answer, Failure> {
    let uses = asked.api.tenancy.secret_uses();
    let ring = ring(&asked).await.ok();
    let items = names(&asked).await?;
    let items = items.into_iter().map(|secret| shown(secret, ring.as_deref(), &uses));
    Answer::json(&Listed {
        items: items.collect(),
        next_cursor: None,
    })
}

async fn put(asked: Asked) -> Result<Answer, Failure> {
    let value = value(&asked.body)?;
    check_name(&asked.name)?;
    let store = Arc::clone(asked.api.store()?);
    let ring = ring(&asked).await?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let all = names(&asked).await?;
    let before = all.iter().find(|secret| secret.name == asked.name);
    if before.is_none() && all.len() >= MOST {
        let message = format!("there are {MOST} secrets already: delete some");
        return Err(Failure::conflict("too_many_stored", message));
    }
    let sealed = ring.seal(PROVIDER_SECRET, &asked.name, &value);
    let sealed = sealed.map_err(|error| failed(&error))?;
    let detail = json!({"before": before.map(noted), "after": {"sealing_key": sealed.key()}});
    let kept = asked.api.kept(store.put_secret(PROVIDER_SECRET, &asked.name, &sealed));
    asked.audited("secret.set", &subject(&asked.name), detail, kept).await?;
    take_up(&asked).await;
    let secret = SecretName {
        kind: PROVIDER_SECRET.to_owned(),
        name: asked.name.clone(),
        sealing_key: sealed.key().to_owned(),
        changed_at: asked.now_s(),
    };
    Answer::json(&shown(secret, Some(&ring), &asked.api.tenancy.secret_uses()))
}

async fn delete(asked: Asked) -> Result<Answer, Failure> {
    let store = Arc::clone(asked.api.store()?);
    let _one_at_a_time = asked.api.changing.lock().await;
    let all = names(&asked).await?;
    let Some(before) = all.iter().find(|secret| secret.name == asked.name) else {
        return Err(Failure::not_found("secret"));
    };
    let mut used_by = asked.api.tenancy.secret_uses().remove(&asked.name).unwrap_or_default();
    used_by.truncate(MOST_NAMED);
    if !used_by.is_empty() && !asked.query.flag("force") {
        let message = format!(
            "used by the provider {}: give it another credential first, or delete with `force`",
            used_by.join(", ")
        );
        return Err(Failure::conflict("in_use", message));
    }
    let detail = json!({"before": noted(before), "after": null});
    let gone = asked.api.kept(store.delete_secret(PROVIDER_SECRET, &asked.name));
    asked
        .audited("secret.delete", &subject(&asked.name), detail, gone)
        .await?;
    take_up(&asked).await;
    Answer::json(&Deleted {
        deleted: true,
        disabled: false,
        used_by,
    })
}

async fn reseal(asked: Asked) -> Result<Answer, Failure> {
    let store = Arc::clone(asked.api.store()?);
    let ring = ring(&asked).await?;
    let _one_at_a_time = asked.api.changing.lock().await;
    let all = asked.api.kept(store.secrets(PROVIDER_SECRET)).await?;
    let mut done = Resealed {
        resealed: Vec::new(),
        failed: BTreeMap::new(),
        sealing_key: ring.sealing_key().unwrap_or_default().to_owned(),
    };
    for (name, sealed) in all.iter().filter(|(_, sealed)| ring.outdated(sealed)) {
        let again = match again(&ring, name, sealed) {
            Ok(again) => again,
            Err(error) => {
                done.failed.insert(name.clone(), error.to_string());
                continue;
            }
        };
        let detail = json!({"before": {"sealing_key": sealed.key()}, "after": {"sealing_key": again.key()}});
        let kept = asked.api.kept(store.put_secret(PROVIDER_SECRET, name, &again));
        asked.audited("secret.reseal", &subject(name), detail, kept).await?;
        done.resealed.push(name.clone());
    }
    if !done.resealed.is_empty() {
        take_up(&asked).await;
    }
    Answer::json(&done)
}

fn again(ring: &Keyring, name: &str, sealed: &Sealed) -> Result<Sealed, SealError> {
    ring.seal(PROVIDER_SECRET, name, &ring.open(PROVIDER_SECRET, name, sealed)?)
}

/// The keys of the configuration that runs.
async fn ring(asked: &Asked) -> Result<Arc<Keyring>, Failure> {
    let tenancy = Arc::clone(&asked.api.tenancy);
    let read = tokio::task::spawn_blocking(move || tenancy.keyring()).await;
    match read.map_err(|_| Failure::internal())? {
        Ok(Some(ring)) => Ok(Arc::new(ring)),
        Ok(None) => {
            let message = "no key is configured to seal secrets with: write `secrets: { keys: [env:CIRQUE_SECRETS_KEY] }` \
                           (`openssl rand -hex 32` makes one) and reload";
            Err(Failure::conflict("no_sealing_key", message))
        }
        // Names a variable or a file, never what is in it.
        Err(problem) => Err(Failure::conflict("bad_sealing_key", problem)),
    }
}

async fn names(asked: &Asked) -> Result<Vec<SecretName>, Failure> {
    let store = asked.api.store()?;
    let mut all = asked.api.kept(store.secret_names()).await?;
    all.retain(|secret| secret.kind == PROVIDER_SECRET);
    Ok(all)
}

/// Everybody who uses secrets has the new ones before the answer, here; other instances within seconds.
async fn take_up(asked: &Asked) {
    if tokio::time::timeout(TAKE_UP, asked.api.tenancy.changed())
        .await
        .is_err()
    {
        tracing::warn!("a secret set with the admin API is in the store and not yet taken up");
    }
}

/// The value that was sent. Read by hand: serde's errors repeat what they do not understand.
fn value(body: &Value) -> Result<Secret, Failure> {
    let only = body.as_object().filter(|body| body.len() == 1);
    let Some(value) = only.and_then(|body| body.get("value")?.as_str()) else {
        return Err(Failure::invalid("send `{\"value\": \"…\"}` and nothing else"));
    };
    let secret = Secret::new(value.to_owned());
    if let Some(unfit) = unfit(&secret) {
        return Err(Failure::invalid(unfit));
    }
    Ok(secret)
}

fn check_name(name: &str) -> Result<(), Failure> {
    if is_stored_name(name) {
        return Ok(());
    }
    let message = "not a name: 1 to 128 ASCII letters, digits and `.`, `_`, `-`, beginning with a letter or digit";
    Err(Failure::invalid(message))
}

fn failed(error: &SealError) -> Failure {
    tracing::error!(%error, "a secret could not be sealed");
    Failure::internal()
}

fn subject(name: &str) -> String {
    format!("secret/{name}")
}

fn noted(secret: &SecretName) -> Value {
    json!({"sealing_key": secret.sealing_key, "changed_at": secret.changed_at})
}

fn shown(secret: SecretName, ring: Option<&Keyring>, uses: &BTreeMap<String, Vec<String>>) -> StoredSecret {
    StoredSecret {
        used_by: uses.get(&secret.name).cloned().unwrap_or_default(),
        changed_at: rfc3339(secret.changed_at.saturating_mul(1000)),
        outdated: ring.is_some_and(|ring| ring.sealing_key() != Some(secret.sealing_key.as_str())),
        name: secret.name,
        sealing_key: secret.sealing_key,
    }
}
