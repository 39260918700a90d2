//! All tenants and keys, those of the configuration file and those of the store, and whose they are.
//!
//! The store is asked for its revision at every look and for what changed since the last one: lists over thousands of keys read
//! nothing twice, and what another instance changed is there at once. While the store cannot be asked, what was known stays
//! readable.

use super::views::Origin;
use super::{Api, Failure};
use crate::storage::{Kind, Object, Revision};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;

type Objects = BTreeMap<(Kind, String), Arc<Object>>;

/// What the store held when it was last asked.
#[derive(Default)]
pub(super) struct Catalogue(Mutex<(Revision, Arc<Objects>)>);

/// Everything there is, at one moment.
pub(super) struct View {
    declared: BTreeMap<(Kind, String), Arc<Value>>,
    stored: Arc<Objects>,
}

/// One tenant or key.
#[derive(Clone)]
pub(super) struct Item {
    pub kind: Kind,
    pub name: String,
    pub origin: Origin,
    pub settings: Arc<Value>,
    /// Of what the store holds.
    pub object: Option<Arc<Object>>,
    /// The store holds one of this name that the file's takes the place of.
    pub shadows: bool,
}

impl Item {
    /// A text of its block.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.settings.get(name).and_then(Value::as_str)
    }
}

impl Api {
    /// Everything there is now.
    pub(super) async fn view(&self) -> Result<View, Failure> {
        let declared = self.tenancy.declared().into_iter();
        let declared = declared
            .map(|block| ((block.kind, block.name), Arc::new(block.settings)))
            .collect();
        let stored = match &self.store {
            None => Arc::default(),
            Some(store) => {
                let mut held = self.catalogue.0.lock().await;
                match self.kept(store.revision()).await {
                    Ok(revision) if revision == held.0 => {}
                    Ok(revision) => {
                        if revision < held.0 {
                            // It was put back to what it was before.
                            *held = Default::default();
                        }
                        let changes = self.kept(store.changes(held.0)).await?;
                        // Something between the two questions is asked for again the next time.
                        let newest = changes.iter().map(|object| object.revision).max();
                        let objects = Arc::make_mut(&mut held.1);
                        for object in changes {
                            let key = (object.kind, object.name.clone());
                            if object.deleted {
                                objects.remove(&key);
                            } else {
                                objects.insert(key, Arc::new(object));
                            }
                        }
                        held.0 = newest.unwrap_or(revision).max(held.0);
                    }
                    Err(failure) if held.0 == 0 => return Err(failure),
                    // Logged where it was turned into a failure.
                    Err(_) => {}
                }
                Arc::clone(&held.1)
            }
        };
        Ok(View { declared, stored })
    }
}

impl View {
    /// One, the file's before the store's.
    pub fn get(&self, kind: Kind, name: &str) -> Option<Item> {
        let key = (kind, name.to_owned());
        let object = self.stored.get(&key);
        if let Some(settings) = self.declared.get(&key) {
            return Some(Item {
                kind,
                name: key.1,
                origin: Origin::File,
                settings: Arc::clone(settings),
                object: None,
                shadows: object.is_some(),
            });
        }
        object.map(|object| Item {
            kind,
            name: key.1,
            origin: Origin::Store,
            settings: Arc::new(object.document.value()),
            object: Some(Arc::clone(object)),
            shadows: false,
        })
    }

    /// Names of a kind after one, in order.
    pub fn names_after<'a>(&'a self, kind: Kind, after: &str) -> impl Iterator<Item = &'a str> {
        let from = (kind, after.to_owned());
        let declared = self.declared.range(from.clone()..).map(|(key, _)| key);
        let stored = self.stored.range(from.clone()..).map(|(key, _)| key);
        merged(declared, stored)
            .take_while(move |key| key.0 == kind)
            .filter(move |key| **key != from)
            .map(|key| key.1.as_str())
    }

    /// All of a kind, in order.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = Item> {
        self.names_after(kind, "").filter_map(move |name| self.get(kind, name))
    }

    /// The team that something belongs to: for a key that of its project or user, unless it names one itself.
    pub fn team_of(&self, kind: Kind, name: &str, settings: &Value) -> Option<String> {
        let named = |settings: &Value, field: &str| settings.get(field).and_then(Value::as_str).map(str::to_owned);
        match kind {
            Kind::Organisation | Kind::Price => None,
            Kind::Team => Some(name.to_owned()),
            Kind::Project | Kind::User => named(settings, "team"),
            Kind::Key => named(settings, "team").or_else(|| {
                let of = |kind, field| {
                    let item = self.get(kind, &named(settings, field)?)?;
                    named(&item.settings, "team")
                };
                of(Kind::Project, "project").or_else(|| of(Kind::User, "user"))
            }),
        }
    }

    /// The organisation something belongs to: its own, or its team's.
    pub fn organisation_of(&self, kind: Kind, name: &str, settings: &Value) -> Option<String> {
        if kind == Kind::Organisation {
            return Some(name.to_owned());
        }
        let own = settings.get("organisation").and_then(Value::as_str).map(str::to_owned);
        own.or_else(|| {
            let team = self.team_of(kind, name, settings)?;
            self.get(Kind::Team, &team)?.field("organisation").map(str::to_owned)
        })
    }

    /// What names this in its block.
    pub fn users_of(&self, kind: Kind, name: &str) -> Vec<Item> {
        let field = kind.as_str();
        let kinds = [Kind::Team, Kind::Project, Kind::User, Kind::Key];
        let all = kinds.into_iter().flat_map(|kind| self.all(kind));
        all.filter(|item| item.field(field) == Some(name)).collect()
    }
}

/// Two ordered sequences as one, without repeats.
fn merged<T: Ord>(left: impl Iterator<Item = T>, right: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (None, _) => std::cmp::Ordering::Greater,
            (_, None) => std::cmp::Ordering::Less,
            (Some(left), Some(right)) => left.cmp(right),
        };
        if order == std::cmp::Ordering::Equal {
            right.next();
        }
        if order == std::cmp::Ordering::Greater {
            right.next()
        } else {
            left.next()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn sequences_are_merged_in_order() {
        let all =
            |left: &[i32], right: &[i32]| -> Vec<i32> { merged(left.iter().copied(), right.iter().copied()).collect() };
        assert_eq!(all(&[1, 3, 5], &[2, 3, 6, 7]), [1, 2, 3, 5, 6, 7]);
        assert_eq!(all(&[], &[1]), [1]);
        assert_eq!(all(&[1], &[]), [1]);
        assert!(all(&[], &[]).is_empty());
    }
}
