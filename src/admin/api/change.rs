//! How one object is found and changed: what this operator sees, at the revision that was expected, noted before and after, taken
//! up by this process before it is answered.

use super::catalogue::{Item, View};
use super::views::Origin;
use super::{Asked, Failure};
use crate::storage::{Change, Document, KeyHashRow, Kind, Object, Revision};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for this process to take a change up: it is in the store by then.
pub(super) const TAKE_UP: Duration = Duration::from_secs(5);

/// Read what was sent as a struct of `views`.
pub(super) fn body<T: DeserializeOwned>(asked: &Asked) -> Result<T, Failure> {
    let body = if asked.body.is_null() {
        json!({})
    } else {
        asked.body.clone()
    };
    if !body.is_object() {
        return Err(Failure::invalid("the body is not a JSON object"));
    }
    serde_json::from_value(body).map_err(|error| {
        let message: String = error.to_string().chars().take(300).collect();
        Failure::invalid(message)
    })
}

impl Asked {
    /// Whether this operator sees it.
    pub(super) fn sees(&self, view: &View, item: &Item) -> bool {
        self.only_team()
            .is_none_or(|team| view.team_of(item.kind, &item.name, &item.settings).as_deref() == Some(team))
    }

    /// The one that the path names, if this operator sees it.
    pub(super) fn find(&self, view: &View, kind: Kind) -> Result<Item, Failure> {
        let found = view.get(kind, &self.name).filter(|item| self.sees(view, item));
        found.ok_or_else(|| Failure::not_found(kind.as_str()))
    }

    /// As [`Asked::find`], of those that can be changed here, at the revision that was expected.
    pub(super) fn find_own(
        &self,
        view: &View,
        kind: Kind,
        expected: Option<Revision>,
    ) -> Result<(Item, Arc<Object>), Failure> {
        let item = self.find(view, kind)?;
        let Some(object) = item.object.clone() else {
            return Err(declared(kind));
        };
        if expected.is_some_and(|expected| expected != object.revision) {
            let message = format!(
                "somebody else changed it since it was read: its revision is {} now; read it again",
                object.revision
            );
            return Err(Failure::conflict("conflict", message));
        }
        Ok((item, object))
    }

    /// Change one object: noted before and after, taken up by this process before it is answered.
    pub(super) async fn change(&self, action: &str, change: Change, before: Value) -> Result<Item, Failure> {
        let store = self.api.store()?;
        let after = match change.kind {
            Kind::Key => json!({"settings": change.document, "credentials": credentials(&change.hashes)}),
            _ => json!({"settings": change.document}),
        };
        let detail = json!({"before": before, "after": after});
        let subject = format!("{}/{}", change.kind.as_str(), change.name);
        let action = format!("{}.{action}", change.kind.as_str());
        let changes = std::slice::from_ref(&change);
        let revision = self
            .audited(&action, &subject, detail, self.api.kept(store.change(changes)))
            .await?;
        if tokio::time::timeout(TAKE_UP, self.api.tenancy.changed()).await.is_err() {
            tracing::warn!("a change made with the admin API is in the store and not yet taken up");
        }
        let document = change.document.unwrap_or_default();
        let object = Object {
            kind: change.kind,
            name: change.name.clone(),
            document: Document::from(&document),
            hashes: change.hashes,
            revision,
            created_at: self.now_s(),
            updated_at: self.now_s(),
            deleted: false,
        };
        Ok(Item {
            kind: change.kind,
            name: change.name,
            origin: Origin::Store,
            settings: Arc::new(document),
            object: Some(Arc::new(object)),
            shadows: false,
        })
    }

    /// An object as it is now, for the audit log.
    pub(super) fn before(object: &Object) -> Value {
        match object.kind {
            Kind::Key => json!({"settings": object.document, "credentials": credentials(&object.hashes)}),
            _ => json!({"settings": object.document}),
        }
    }
}

/// What may be shown of hashes.
fn credentials(hashes: &[KeyHashRow]) -> Value {
    hashes
        .iter()
        .map(|hash| json!({"shown": hash.shown, "until": hash.until}))
        .collect()
}

pub(super) fn declared(kind: Kind) -> Failure {
    let message = format!(
        "this {} is declared in the configuration file: change it there and reload",
        kind.as_str()
    );
    Failure::conflict("declared_in_file", message)
}

pub(super) fn taken(kind: Kind) -> Failure {
    let message = format!(
        "there is a {} of this name already, or was made just now: choose another",
        kind.as_str()
    );
    Failure::conflict("exists", message)
}

/// A new key: itself, and what is kept of it.
pub(super) async fn new_key(asked: &Asked) -> Result<(crate::secret::Secret, KeyHashRow), Failure> {
    match asked.api.tenancy.new_key().await {
        Ok(made) => {
            let kept = KeyHashRow {
                hash: made.hash,
                shown: made.shown,
                until: None,
            };
            Ok((made.secret, kept))
        }
        Err(error) => {
            tracing::error!(error, "no key could be made");
            Err(Failure::internal())
        }
    }
}

/// A change of something that is there.
pub(super) fn changed(object: &Object, settings: Value, hashes: Vec<KeyHashRow>) -> Change {
    Change {
        kind: object.kind,
        name: object.name.clone(),
        document: Some(settings),
        hashes,
        expected: Some(object.revision),
    }
}

/// What was changed, with the moment it was made.
pub(super) fn since(mut item: Item, before: &Object) -> Item {
    if let Some(object) = &mut item.object {
        Arc::make_mut(object).created_at = before.created_at;
    }
    item
}

/// JSON merge patch, RFC 7396.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(&key);
            } else {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_merged_as_rfc_7396_says() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": 1}), json!({"a": null}), json!({"b": 1})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, patch);
            assert_eq!(merged, expected);
        }
    }
}
