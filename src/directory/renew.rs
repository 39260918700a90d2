//! A directory in which some keys of the store have changed: what is made, rotated, revoked and deleted all day.
//!
//! Anything else (a tenant that changed, a key that the file declares too, a secret of two keys) is built anew as a whole. The
//! one idea: what a key comes to depends on itself and its tenants, so while no tenant changes the others are shared as they are,
//! and a change costs a few pointers for each key instead of all of them a second time.

use super::Directory;
use super::build::{Builder, Item, Sources};
use super::entry::{Entry, Origin};
use super::principal::{Principal, ScopeBlock};
use crate::config::TenantKind;
use crate::limits::ScopeKind;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

/// One of so many keys changed: then building anew is as quick.
const MANY: usize = 8;

/// None: it has to be built.
pub(super) fn renew(before: &Directory, sources: &Sources<'_>) -> Option<Directory> {
    if before.tied {
        return None;
    }
    let changes = changes(before, sources)?;
    let mut builder = Builder::over(before);
    builder.free = vacate(&changes.gone, &mut builder.scopes);
    // Secrets first: one may move from one key to another.
    let gone: HashSet<*const Principal> = changes
        .gone
        .iter()
        .filter_map(|entry| entry.principal.as_ref().map(Arc::as_ptr))
        .collect();
    builder
        .keys
        .retain(|_, opens| !gone.contains(&Arc::as_ptr(&opens.principal)));
    builder.entries.reserve_exact(before.entries.len() + changes.new.len());
    let mut left = changes.gone.iter().peekable();
    for entry in &before.entries {
        if left.next_if(|gone| Arc::ptr_eq(gone, entry)).is_none() {
            builder.entries.push(entry.clone());
        }
    }
    for item in &changes.new {
        builder.add(item, sources.file_keys);
    }
    if builder.tied {
        return None;
    }
    builder.entries.sort_by(|a, b| order(a).cmp(&order(b)));
    Some(builder.finish())
}

/// Keys of the store.
struct Changes<'a> {
    /// As they were, in order.
    gone: Vec<&'a Arc<Entry>>,
    /// As they are.
    new: Vec<Item<'a>>,
}

/// What differs; none: more than can be renewed.
fn changes<'a>(before: &'a Directory, sources: &Sources<'a>) -> Option<Changes<'a>> {
    let mut items: Vec<Item<'a>> = sources.objects.iter().filter_map(Item::stored).collect();
    items.sort_by(|a, b| (a.kind, a.name).cmp(&(b.kind, b.name)));
    let mut changes = Changes {
        gone: Vec::new(),
        new: Vec::new(),
    };
    let mut held = before
        .entries
        .iter()
        .filter(|entry| entry.origin == Origin::Store)
        .peekable();
    let mut items = items.into_iter().peekable();
    loop {
        let side = match (held.peek(), items.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(entry), Some(item)) => (entry.kind, &*entry.name).cmp(&(item.kind, item.name)),
        };
        let entry = if side.is_le() { held.next() } else { None };
        let item = if side.is_ge() { items.next() } else { None };
        let revision = |item: &Item<'_>| item.object().map(|object| object.revision);
        if let (Some(entry), Some(item)) = (entry, &item)
            && entry.revision == revision(item)
        {
            continue;
        }
        let kind = entry.map(|entry| entry.kind).or(item.as_ref().map(|item| item.kind));
        let named = entry.map(|entry| &*entry.name).or(item.as_ref().map(|item| item.name));
        if kind != Some(TenantKind::Key) || named.is_some_and(|name| sources.config.keys.contains_key(name)) {
            return None;
        }
        changes.gone.extend(entry);
        changes.new.extend(item);
    }
    let many = changes.gone.len().max(changes.new.len()) > before.keys.len() / MANY + MANY;
    (!many).then_some(changes)
}

/// Take the limits and budgets of these keys away. Which positions that leaves without any, with those that were left before.
fn vacate(gone: &[&Arc<Entry>], scopes: &mut [Arc<ScopeBlock>]) -> Vec<u32> {
    // By name: what a key that is closed has of its own is not among its principal's.
    let names: HashSet<&str> = gone.iter().map(|entry| &*entry.name).collect();
    let mut free = Vec::new();
    for place in scopes.iter_mut().rev() {
        if place.kind == ScopeKind::Key && names.contains(&*place.name) {
            *place = Arc::new(ScopeBlock {
                index: place.index,
                kind: ScopeKind::Key,
                name: Arc::default(),
                limits: Vec::new(),
                budgets: Vec::new(),
            });
        }
        if place.limits.is_empty() && place.budgets.is_empty() {
            free.push(place.index);
        }
    }
    free
}

fn order(entry: &Entry) -> (TenantKind, &str, bool) {
    (entry.kind, &entry.name, entry.shadowed)
}
