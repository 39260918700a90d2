//! Config and store → [`Directory`].
//!
//! Outermost kinds first, so that when a block is compiled those it names are. The one idea: a block that cannot be run (its
//! document is broken, or it names what does not exist) is closed, never left out: what is below it would be open otherwise.

use super::entry::{Entry, Origin, Shown};
use super::file_keys::FileKeys;
use super::principal::ScopeBlock;
use super::tree::{Node, Outer, Stem, StemKey, Tree, restrictions};
use super::{Directory, Opened, Opens, People, tenant_kind};
use crate::auth::{Block, Digest};
use crate::config::{self, Budget, Config, Limit, Tenant, TenantKind};
use crate::ledger;
use crate::limits::ScopeKind;
use crate::storage::Object;
use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a directory is built from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The file.
    pub config: &'a Config,
    /// Its keys.
    pub file_keys: &'a FileKeys,
    /// What the store holds, deleted or not.
    pub objects: &'a [Object],
}

pub(super) fn build(sources: &Sources<'_>) -> Directory {
    let mut builder = Builder::default();
    builder.declare_tags(sources.config);
    let mut items = from_file(sources.config);
    items.extend(from_store(sources.objects));
    // Stable: within a kind and name the file's comes first.
    items.sort_by(|a, b| (a.kind, a.name).cmp(&(b.kind, b.name)));
    builder.entries.reserve_exact(items.len());
    builder
        .keys
        .reserve(items.iter().filter(|item| item.kind == TenantKind::Key).count());
    for item in items {
        builder.add(&item, sources.file_keys);
    }
    builder.scopes.shrink_to_fit();
    builder.finish()
}

/// A tenant or key, before it is compiled.
pub(super) struct Item<'a> {
    pub(super) kind: TenantKind,
    pub(super) name: &'a str,
    written: Written<'a>,
}

/// Where it is written. It is read when its turn comes, since all of them read at once are megabytes.
enum Written<'a> {
    Organisation(&'a config::Organisation),
    Team(&'a config::Team),
    Project(&'a config::Project),
    User(&'a config::User),
    Key(&'a config::Key),
    Stored(&'a Object),
}

impl<'a> Item<'a> {
    /// What the store holds, if it is a tenant or a key and not deleted.
    pub(super) fn stored(object: &'a Object) -> Option<Self> {
        let kind = tenant_kind(object.kind).filter(|_| !object.deleted)?;
        Some(Self {
            kind,
            name: &object.name,
            written: Written::Stored(object),
        })
    }

    /// What the store holds of it.
    pub(super) const fn object(&self) -> Option<&'a Object> {
        match self.written {
            Written::Stored(object) => Some(object),
            _ => None,
        }
    }

    fn document(&self) -> Result<Tenant, String> {
        Ok(match self.written {
            Written::Organisation(it) => Tenant::Organisation(Box::new(it.clone())),
            Written::Team(it) => Tenant::Team(Box::new(it.clone())),
            Written::Project(it) => Tenant::Project(Box::new(it.clone())),
            Written::User(it) => Tenant::User(Box::new(it.clone())),
            Written::Key(it) => Tenant::Key(Box::new(it.clone())),
            Written::Stored(object) => {
                let mut text = serde_json::Deserializer::from_str(object.document.text());
                // What serde says may repeat what is in the document, and that is somebody else's.
                Tenant::read(self.kind, &mut text)
                    .map_err(|_| "its document is not what this version keeps".to_owned())?
            }
        })
    }
}

fn from_file(config: &Config) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut add = |kind, name, written| items.push(Item { kind, name, written });
    for (name, it) in &config.organisations {
        add(TenantKind::Organisation, name.as_str(), Written::Organisation(it));
    }
    for (name, it) in &config.teams {
        add(TenantKind::Team, name, Written::Team(it));
    }
    for (name, it) in &config.projects {
        add(TenantKind::Project, name, Written::Project(it));
    }
    for (name, it) in &config.users {
        add(TenantKind::User, name, Written::User(it));
    }
    for (name, it) in &config.keys {
        add(TenantKind::Key, name, Written::Key(it));
    }
    items
}

fn from_store(objects: &[Object]) -> impl Iterator<Item = Item<'_>> {
    objects.iter().filter_map(Item::stored)
}

/// A directory that is being put together.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) tree: Arc<Tree>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) scopes: Vec<Arc<ScopeBlock>>,
    /// Positions in `scopes` that are to be taken first.
    pub(super) free: Vec<u32>,
    pub(super) keys: Opened,
    /// A secret is that of two keys.
    pub(super) tied: bool,
    stems: HashMap<StemKey, Arc<Stem>>,
    /// Tags with limits or budgets.
    tags: HashMap<Arc<str>, Arc<ScopeBlock>>,
    words: HashSet<Arc<str>>,
}

impl Builder {
    /// Names and tags occur again and again.
    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.words.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.words.insert(new.clone());
        new
    }

    fn declare_tags(&mut self, config: &Config) {
        for (name, tag) in config.tags.iter().filter(|(_, tag)| tag.counts()) {
            let name = self.word(name);
            let scope = self.scope(ScopeKind::Tag, &name, &tag.limits, &tag.budgets);
            self.tags.insert(name, scope);
        }
    }

    /// All of a directory but its entries.
    pub(super) fn over(before: &Directory) -> Self {
        let tags = before.scopes.iter().filter(|scope| scope.kind == ScopeKind::Tag);
        Self {
            tree: before.tree.clone(),
            scopes: before.scopes.clone(),
            keys: before.keys.clone(),
            // The file's: what is renewed is the store's.
            tags: tags.map(|scope| (scope.name.clone(), scope.clone())).collect(),
            ..Self::default()
        }
    }

    pub(super) fn finish(self) -> Directory {
        Directory {
            keys: self.keys,
            tree: self.tree,
            people: People::default(),
            entries: self.entries,
            scopes: self.scopes,
            tied: self.tied,
        }
    }

    fn scope(&mut self, kind: ScopeKind, name: &Arc<str>, limits: &[Limit], budgets: &[Budget]) -> Arc<ScopeBlock> {
        let free = self.free.pop();
        let scope = Arc::new(ScopeBlock {
            index: free.unwrap_or_else(|| u32::try_from(self.scopes.len()).unwrap_or(u32::MAX)),
            kind,
            name: name.clone(),
            limits: limits.to_vec(),
            budgets: budgets.to_vec(),
        });
        match free.and_then(|at| self.scopes.get_mut(at as usize)) {
            Some(place) => *place = scope.clone(),
            None => self.scopes.push(scope.clone()),
        }
        scope
    }

    /// Put one in. Those before it are in already: what it belongs to, and the file's of its name.
    pub(super) fn add(&mut self, item: &Item<'_>, file_keys: &FileKeys) {
        let name = match item.kind {
            // Nothing names keys.
            TenantKind::Key => item.name.into(),
            _ => self.word(item.name),
        };
        let shadowed = self
            .entries
            .last()
            .is_some_and(|last| last.kind == item.kind && last.name == name);
        let object = item.object();
        let (mut fault, document) = match item.document() {
            Ok(document) => (None, Some(document)),
            Err(fault) => (Some(fault), None),
        };
        let mut node = self.node(item.kind, &name, document.as_ref(), &mut fault, shadowed);
        node.vouched = object.is_none() || matches!(item.kind, TenantKind::Organisation | TenantKind::Team);
        let uncounted = self.bind_tags(&mut node, document.as_ref());
        let tenant = self.place(item.kind, &name, document.as_ref(), &mut fault);
        let mut entry = Entry {
            kind: item.kind,
            name,
            origin: if object.is_some() { Origin::Store } else { Origin::File },
            shadowed,
            fault: None,
            tenant: Arc::new(tenant),
            shown: Box::default(),
            revision: object.map(|object| object.revision),
            principal: None,
        };
        let node = if fault.is_none() {
            node
        } else {
            closed(item.kind, &entry.name)
        };
        if item.kind == TenantKind::Key {
            let secrets = secrets(&entry, object, file_keys, &mut fault);
            entry.shown = secrets.iter().map(|(_, shown)| shown.clone()).collect();
            if !shadowed {
                self.open(&mut entry, document.as_ref(), &node, secrets, &mut fault);
            }
        } else if let (false, Some(nodes)) = (
            shadowed,
            Arc::get_mut(&mut self.tree).and_then(|tree| tree.of_mut(item.kind)),
        ) {
            nodes.insert(entry.name.clone(), node);
        }
        if fault.is_none() {
            fault = uncounted;
        }
        if shadowed {
            fault = Some(format!("the file declares a {} of this name", item.kind.as_str()));
        }
        entry.fault = fault.map(String::into_boxed_str);
        self.entries.push(Arc::new(entry));
    }

    /// Let the limits of its tags count for a block that may carry them; of one that may not, what it lacks by that.
    fn bind_tags(&self, node: &mut Node, document: Option<&Tenant>) -> Option<String> {
        if self.tags.is_empty() {
            return None;
        }
        let mut counted = node.tags.iter().filter_map(|tag| self.tags.get(tag));
        if node.vouched {
            node.tag_scopes = counted.cloned().collect();
            return None;
        }
        let outer = self.tree.find(&document.map(outer).unwrap_or_default(), true).ok();
        let lacking = counted.find(|scope| !outer.as_ref().is_some_and(|found| found.carries(scope)))?;
        Some(format!(
            "its tag {:?} has limits or budgets, which do not count for it: the team or the organisation has to carry the tag",
            &*lacking.name
        ))
    }

    /// Compile a block.
    fn node(
        &mut self,
        kind: TenantKind,
        name: &Arc<str>,
        document: Option<&Tenant>,
        fault: &mut Option<String>,
        shadowed: bool,
    ) -> Node {
        let Some(document) = document else {
            return Node::default();
        };
        let shared = document.shared();
        let block = match restrictions(kind, name, &shared) {
            Ok(block) => block,
            Err(wrong) => {
                fault.get_or_insert(wrong);
                return Node::default();
            }
        };
        let mut node = Node {
            block: (!block.is_open()).then(|| Arc::new(block)),
            scope: None,
            tags: shared.tags.iter().map(|tag| self.word(tag)).collect(),
            metadata: shared.metadata.clone(),
            defaults: shared.defaults.clone(),
            cache: shared.cache.cloned().map(Arc::new),
            guardrails: shared.guardrails.iter().map(|name| self.word(name)).collect(),
            ..Node::default()
        };
        for (outer, name) in document.names() {
            match outer {
                TenantKind::Organisation => node.organisation = Some(self.word(name)),
                TenantKind::Team => node.team = Some(self.word(name)),
                _ => {}
            }
        }
        let counts = !shared.limits.is_empty() || !shared.budgets.is_empty();
        if counts && !shadowed {
            node.scope = Some(self.scope(scope_kind(kind), name, shared.limits, shared.budgets));
        }
        node
    }

    /// Names of the tenants that an entry belongs to, itself among them. Those it names and that do not exist are a fault, and
    /// so that nobody else's list shows it, it then belongs to nobody.
    fn place(
        &self,
        kind: TenantKind,
        name: &Arc<str>,
        document: Option<&Tenant>,
        fault: &mut Option<String>,
    ) -> ledger::Tenant {
        let outer = document.map(outer).unwrap_or_default();
        let mut tenant = match self.tree.find(&outer, true) {
            Ok(found) => found.tenant(),
            Err(unknown) => {
                fault.get_or_insert(unknown.to_string());
                ledger::Tenant::default()
            }
        };
        let own = match kind {
            TenantKind::Organisation => &mut tenant.organisation,
            TenantKind::Team => &mut tenant.team,
            TenantKind::Project => &mut tenant.project,
            TenantKind::User => &mut tenant.user,
            TenantKind::Key => &mut tenant.key,
        };
        *own = Some(name.clone());
        tenant
    }

    /// Let a key's secrets open what it is.
    fn open(
        &mut self,
        entry: &mut Entry,
        document: Option<&Tenant>,
        node: &Node,
        secrets: Vec<(Digest, Shown)>,
        fault: &mut Option<String>,
    ) {
        let outer = document.map(outer).unwrap_or_default();
        let stem = match self.tree.find(&outer, true) {
            Ok(found) => {
                let stem = self.stems.entry(found.key());
                stem.or_insert_with(|| Arc::new(found.stem())).clone()
            }
            // Its own block is closed.
            Err(_) => Arc::default(),
        };
        let principal = Arc::new(stem.principal(entry.tenant.clone(), Some((node, entry.origin))));
        for (digest, shown) in secrets {
            match self.keys.entry(digest) {
                Slot::Occupied(opened) => {
                    let owner = opened.get().principal.tenant.key.as_deref().unwrap_or_default();
                    fault.get_or_insert(format!("one of its secrets opens the key {owner:?}"));
                    self.tied = true;
                }
                Slot::Vacant(vacant) => {
                    vacant.insert(Opens {
                        principal: principal.clone(),
                        until: shown.until,
                    });
                }
            }
        }
        entry.principal = Some(principal);
    }
}

/// What stands for a block that cannot be run.
fn closed(kind: TenantKind, name: &Arc<str>) -> Node {
    Node {
        block: Some(Arc::new(Block::closed(kind.as_str(), name.clone()))),
        ..Node::default()
    }
}

fn scope_kind(kind: TenantKind) -> ScopeKind {
    match kind {
        TenantKind::Organisation => ScopeKind::Organisation,
        TenantKind::Team => ScopeKind::Team,
        TenantKind::Project => ScopeKind::Project,
        TenantKind::User => ScopeKind::User,
        TenantKind::Key => ScopeKind::Key,
    }
}

fn outer(document: &Tenant) -> Outer<'_> {
    let mut outer = Outer::default();
    for (kind, name) in document.names() {
        match kind {
            TenantKind::Organisation => outer.organisation = Some(name),
            TenantKind::Team => outer.team = Some(name),
            TenantKind::Project => outer.project = Some(name),
            TenantKind::User => outer.user = Some(name),
            TenantKind::Key => {}
        }
    }
    outer
}

fn secrets(
    entry: &Entry,
    object: Option<&Object>,
    file_keys: &FileKeys,
    fault: &mut Option<String>,
) -> Vec<(Digest, Shown)> {
    let Some(object) = object else {
        let key = file_keys.get(&entry.name);
        if key.is_none() {
            fault.get_or_insert("its secret could not be read".to_owned());
        }
        let one = |key: &super::file_keys::FileKey| {
            let text = key.shown.clone();
            (key.digest, Shown { text, until: None })
        };
        return key.map(one).into_iter().collect();
    };
    let read = object.hashes.iter().filter_map(|row| {
        let digest = Digest::from_hex(&row.hash)?;
        let shown = Shown {
            text: row.shown.as_str().into(),
            until: row.until,
        };
        Some((digest, shown))
    });
    let read: Vec<_> = read.collect();
    if read.len() < object.hashes.len() {
        fault.get_or_insert("one of its hashes is not what this version keeps".to_owned());
    }
    read
}
