//! What the tenancy routes take and give, as JSON. Their schemas and doc comments are the OpenAPI document.

use super::catalogue::{Item, View};
use super::rfc3339;
use crate::config;
use crate::storage::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where something is kept, and so who changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Declared in the configuration file: changed there and nowhere else.
    File,
    /// Made with this API.
    Store,
}

/// A tenant.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{S}Object")]
pub struct Shown<S> {
    /// Its name.
    pub name: String,
    /// Where it is kept.
    pub origin: Origin,
    /// It is declared in the file, and the store holds one of the same name that means nothing as long as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadows_store: bool,
    /// Of what the store keeps: grows with every change; sent back with the next change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// What it says, as in the configuration file.
    pub settings: S,
}

/// A virtual key. The key itself is in no answer but the ones that made it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyObject {
    /// Its name.
    pub name: String,
    /// Where it is kept.
    pub origin: Origin,
    /// It is declared in the file, and the store holds one of the same name that means nothing as long as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadows_store: bool,
    /// Of what the store keeps: grows with every change; sent back with the next change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When it was changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Whether it opens anything.
    pub state: KeyState,
    /// What opens it; several during a rotation. Of declared keys: nothing is shown.
    pub credentials: Vec<Credential>,
    /// The organisation that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// The team that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it says, as in the configuration file.
    pub settings: config::Key,
}

/// Whether a key opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It does.
    Live,
    /// Not until it is enabled.
    Disabled,
    /// Not any more: its time is over.
    Expired,
    /// Never again, except after a rotation.
    Revoked,
}

/// What opens a key, and what is shown of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Credential {
    /// Its first characters.
    pub shown: String,
    /// From when on it opens nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A key that was just made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct MadeKey {
    /// The key itself: told this once, kept nowhere.
    pub secret: String,
    /// What is kept.
    pub key: KeyObject,
}

/// Part of a list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct Listed<T> {
    /// The part, in order of names.
    pub items: Vec<T>,
    /// Where the next part begins, for `cursor`; none: this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A new tenant or key.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "New{S}")]
#[serde(deny_unknown_fields)]
pub struct Create<S> {
    /// Its name: 1 to 128 ASCII letters, digits and `._-@+:~`, beginning with a letter or digit.
    pub name: String,
    /// What it says, as in the configuration file. Default: nothing.
    #[serde(default)]
    pub settings: Option<S>,
}

/// A change that replaces all settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Replace{S}")]
#[serde(deny_unknown_fields)]
pub struct Replace<S> {
    /// The revision it was read at: 409 if somebody changed it since.
    pub revision: i64,
    /// What it says from now on.
    pub settings: S,
}

/// A change to some settings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The revision it was read at: 409 if somebody changed it since. Default: whatever it is now.
    #[serde(default)]
    pub revision: Option<i64>,
    /// JSON merge patch (RFC 7396): what is named is replaced, `null` takes it out, lists are replaced as a whole.
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub settings: Value,
}

/// What became of something that was to be deleted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// It is gone.
    pub deleted: bool,
    /// It is still there, refuses everything, and can be deleted once nothing names it any more.
    pub disabled: bool,
    /// What names it: at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
}

/// How long the old key goes on working.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// As `24h`, at most `720h`; `0s`: it stops at once. Default 24h.
    #[serde(default)]
    pub overlap: Option<String>,
    /// The revision it was read at. Default: whatever it is now.
    #[serde(default)]
    pub revision: Option<i64>,
}

/// What is the same of all kinds.
fn common(item: &Item) -> serde_json::Map<String, Value> {
    let mut shown = serde_json::Map::new();
    shown.insert("name".to_owned(), item.name.clone().into());
    shown.insert(
        "origin".to_owned(),
        serde_json::to_value(item.origin).unwrap_or_default(),
    );
    if item.shadows {
        shown.insert("shadows_store".to_owned(), true.into());
    }
    if let Some(object) = &item.object {
        shown.insert("revision".to_owned(), object.revision.into());
        shown.insert(
            "created_at".to_owned(),
            rfc3339(object.created_at.saturating_mul(1000)).into(),
        );
        shown.insert(
            "updated_at".to_owned(),
            rfc3339(object.updated_at.saturating_mul(1000)).into(),
        );
    }
    shown.insert("settings".to_owned(), Value::clone(&item.settings));
    shown
}

/// An object as its kind is shown.
pub(super) fn show(view: &View, item: &Item, now_s: i64) -> Value {
    let mut shown = common(item);
    if item.kind == Kind::Key {
        let hashes = item.object.iter().flat_map(|object| &object.hashes);
        let credentials = hashes.map(|hash| Credential {
            shown: hash.shown.clone(),
            until: hash.until.map(|until| rfc3339(until.saturating_mul(1000))),
        });
        let credentials: Vec<Credential> = credentials.collect();
        shown.insert(
            "credentials".to_owned(),
            serde_json::to_value(credentials).unwrap_or_default(),
        );
        shown.insert(
            "state".to_owned(),
            serde_json::to_value(state(item, now_s)).unwrap_or_default(),
        );
        let organisation = view.organisation_of(Kind::Key, &item.name, &item.settings);
        let team = view.team_of(Kind::Key, &item.name, &item.settings);
        for (name, value) in [("organisation", organisation), ("team", team)] {
            if let Some(value) = value {
                shown.insert(name.to_owned(), value.into());
            }
        }
    }
    Value::Object(shown)
}

/// Whether a key opens anything, as far as its own block says.
pub(super) fn state(item: &Item, now_s: i64) -> KeyState {
    let expires = item
        .field("expires")
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let opens = |object: &crate::storage::Object| {
        object
            .hashes
            .iter()
            .any(|hash| hash.until.is_none_or(|until| until > now_s))
    };
    if item.object.as_ref().is_some_and(|object| !opens(object)) {
        KeyState::Revoked
    } else if item.settings.get("disabled") == Some(&Value::Bool(true)) {
        KeyState::Disabled
    } else if expires.is_some_and(|at| at.as_second() <= now_s) {
        KeyState::Expired
    } else {
        KeyState::Live
    }
}
