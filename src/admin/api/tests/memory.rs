//! A store in memory, for tests of what is above a store. It can be taken down.

use crate::ledger::{Charge, Row};
use crate::storage::*;
use async_trait::async_trait;
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub struct Memory {
    pub down: AtomicBool,
    /// Only changes fail, notes do not.
    pub no_changes: AtomicBool,
    pub held: Mutex<Held>,
}

#[derive(Default)]
pub struct Held {
    pub objects: BTreeMap<(Kind, String), Object>,
    pub revision: Revision,
    pub rows: Vec<Row>,
    pub audit: Vec<AuditEntry>,
    pub repriced: u64,
    pub secrets: BTreeMap<String, sealed::Sealed>,
}

/// How this store chains its entries.
fn chained(before: Option<&str>, entry: &AuditEntry) -> String {
    let text = format!(
        "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        before.unwrap_or_default(),
        entry.number,
        entry.at_ms,
        entry.actor,
        entry.role,
        entry.from,
        entry.action,
        entry.subject,
        entry.detail,
        entry.outcome
    );
    let bytes = digest(&SHA256, text.as_bytes());
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Memory {
    fn up(&self) -> Result<std::sync::MutexGuard<'_, Held>, StoreError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable(
                "SECRET-HOST:5432 refused the connection".to_owned(),
            ));
        }
        Ok(self.held.lock().unwrap())
    }

    /// As if another instance had made it.
    pub fn put(&self, kind: Kind, name: &str, document: serde_json::Value) {
        let mut held = self.held.lock().unwrap();
        held.revision += 1;
        let hash = KeyHashRow {
            hash: format!("HASH-of-{name}"),
            shown: format!("cq-{name}…"),
            until: None,
        };
        let object = Object {
            kind,
            name: name.to_owned(),
            document: document.into(),
            hashes: if kind == Kind::Key { vec![hash] } else { Vec::new() },
            revision: held.revision,
            created_at: 1,
            updated_at: 1,
            deleted: false,
        };
        held.objects.insert((kind, name.to_owned()), object);
    }
}

fn value(row: &Row, dimension: Dimension) -> Option<String> {
    let name = |name: &Option<std::sync::Arc<str>>| name.as_ref().map(ToString::to_string);
    match dimension {
        Dimension::Organisation => name(&row.tenant.organisation),
        Dimension::Team => name(&row.tenant.team),
        Dimension::Project => name(&row.tenant.project),
        Dimension::User => name(&row.tenant.user),
        Dimension::Key => name(&row.tenant.key),
        Dimension::Model => name(&row.model),
        Dimension::Provider => name(&row.provider),
        Dimension::Target => name(&row.target),
        Dimension::Operation => Some(row.operation.to_owned()),
        Dimension::Outcome => Some(row.outcome.to_owned()),
        Dimension::Cache => Some(row.cache.to_owned()),
        Dimension::Tag => row.tags.first().map(ToString::to_string),
    }
}

fn fits(row: &Row, filter: &Filter) -> bool {
    let at = row.at_ms as i64;
    let only = filter.only.iter();
    at >= filter.from_ms
        && at < filter.to_ms
        && only
            .clone()
            .all(|(by, values)| value(row, *by).is_some_and(|value| values.contains(&value)))
}

#[async_trait]
impl Store for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.up().map(|_| ())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.up()?.revision)
    }

    async fn changes(&self, after: Revision) -> Result<Vec<Object>, StoreError> {
        let held = self.up()?;
        let mut all: Vec<Object> = held
            .objects
            .values()
            .filter(|object| object.revision > after)
            .cloned()
            .collect();
        all.retain(|object| after > 0 || !object.deleted);
        all.sort_by_key(|object| object.revision);
        Ok(all)
    }

    async fn object(&self, kind: Kind, name: &str) -> Result<Option<Object>, StoreError> {
        let held = self.up()?;
        Ok(held
            .objects
            .get(&(kind, name.to_owned()))
            .filter(|object| !object.deleted)
            .cloned())
    }

    async fn change(&self, changes: &[Change]) -> Result<Revision, StoreError> {
        let mut held = self.up()?;
        if self.no_changes.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("relation SECRET-TABLE does not exist".to_owned()));
        }
        for change in changes {
            let there = held
                .objects
                .get(&(change.kind, change.name.clone()))
                .filter(|object| !object.deleted);
            if there.map(|object| object.revision) != change.expected {
                return Err(StoreError::Conflict("SECRET-TABLE differs"));
            }
        }
        held.revision += 1;
        let revision = held.revision;
        for change in changes {
            let object = Object {
                kind: change.kind,
                name: change.name.clone(),
                document: change.document.clone().unwrap_or_default().into(),
                hashes: change.hashes.clone(),
                revision,
                created_at: 7,
                updated_at: 7,
                deleted: change.document.is_none(),
            };
            held.objects.insert((change.kind, change.name.clone()), object);
        }
        Ok(revision)
    }

    async fn setting(&self, _: &str, propose: &str) -> Result<String, StoreError> {
        Ok(propose.to_owned())
    }

    async fn insert(&self, rows: &[Row]) -> Result<u64, StoreError> {
        self.up()?.rows.extend_from_slice(rows);
        Ok(rows.len() as u64)
    }

    async fn counts(&self, _: i64) -> Result<Vec<Charge>, StoreError> {
        Ok(Vec::new())
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Page<Grouped>, StoreError> {
        let held = self.up()?;
        let mut sums: BTreeMap<Vec<Option<String>>, Grouped> = BTreeMap::new();
        for row in held
            .rows
            .iter()
            .filter(|row| row.attempt == 0 && fits(row, &query.filter))
        {
            let values: Vec<Option<String>> = query.by.iter().map(|by| value(row, *by)).collect();
            let sum = sums.entry(values.clone()).or_default();
            sum.values = values;
            sum.requests += 1;
            sum.usage.input += row.usage.input;
            sum.cost += row.cost.map_or(0, |cost| cost.total());
            sum.latency_ms += u64::from(row.latency_ms);
        }
        if query.cursor.as_deref() == Some("nonsense") {
            return Err(StoreError::Conflict("cursor"));
        }
        Ok(Page {
            items: sums.into_values().take(query.limit as usize).collect(),
            next: None,
        })
    }

    async fn records(&self, query: &Records) -> Result<Page<Row>, StoreError> {
        let held = self.up()?;
        let from: usize = query
            .cursor
            .as_deref()
            .unwrap_or("0")
            .parse()
            .map_err(|_| StoreError::Conflict("cursor"))?;
        let mut all: Vec<Row> = held
            .rows
            .iter()
            .filter(|row| fits(row, &query.filter))
            .cloned()
            .collect();
        all.retain(|row| query.attempts || row.attempt == 0);
        all.sort_by_key(|row| std::cmp::Reverse((row.at_ms, row.id, row.attempt)));
        let to = (from + query.limit as usize).min(all.len());
        Ok(Page {
            items: all[from..to].to_vec(),
            next: (to < all.len()).then(|| to.to_string()),
        })
    }

    async fn reprice(&self, rows: &[Row]) -> Result<u64, StoreError> {
        let mut held = self.up()?;
        for new in rows {
            for row in held
                .rows
                .iter_mut()
                .filter(|row| (row.id, row.attempt) == (new.id, new.attempt))
            {
                row.clone_from(new);
            }
        }
        held.repriced += rows.len() as u64;
        Ok(rows.len() as u64)
    }

    async fn audit(&self, note: &AuditNote) -> Result<i64, StoreError> {
        let mut held = self.up()?;
        let before = held.audit.last().map(|entry| entry.hash.clone());
        let mut entry = AuditEntry {
            number: held.audit.len() as i64 + 1,
            at_ms: note.at_ms,
            actor: note.actor.clone(),
            role: note.role.clone(),
            from: note.from.clone(),
            action: note.action.clone(),
            subject: note.subject.clone(),
            detail: note.detail.clone(),
            outcome: note.outcome.clone(),
            hash: String::new(),
        };
        entry.hash = chained(before.as_deref(), &entry);
        held.audit.push(entry);
        Ok(held.audit.len() as i64)
    }

    async fn audit_log(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let held = self.up()?;
        let entries = held.audit.iter().filter(|entry| entry.number > after);
        Ok(entries.take(limit as usize).cloned().collect())
    }

    async fn put_secret(&self, _: &str, name: &str, sealed: &sealed::Sealed) -> Result<(), StoreError> {
        let mut held = self.up()?;
        held.revision += 1;
        held.secrets.insert(name.to_owned(), sealed.clone());
        Ok(())
    }

    async fn secrets(&self, _: &str) -> Result<BTreeMap<String, sealed::Sealed>, StoreError> {
        Ok(self.up()?.secrets.clone())
    }

    async fn secret_names(&self) -> Result<Vec<SecretName>, StoreError> {
        let held = self.up()?;
        let names = held.secrets.iter().map(|(name, sealed)| SecretName {
            kind: PROVIDER_SECRET.to_owned(),
            name: name.clone(),
            sealing_key: sealed.key().to_owned(),
            changed_at: 7,
        });
        Ok(names.collect())
    }

    async fn delete_secret(&self, _: &str, name: &str) -> Result<bool, StoreError> {
        Ok(self.up()?.secrets.remove(name).is_some())
    }

    async fn maintain(&self, _: i64, _: u32, _: u32) -> Result<Maintained, StoreError> {
        Ok(Maintained::default())
    }

    async fn verify_audit(&self) -> Result<Verified, StoreError> {
        let held = self.up()?;
        let mut head = None;
        for (index, entry) in held.audit.iter().enumerate() {
            if entry.hash != chained(head.as_deref(), entry) || entry.number != index as i64 + 1 {
                return Ok(Verified {
                    entries: index as u64,
                    head: head.unwrap_or_default(),
                    broken: Some(index as i64 + 1),
                });
            }
            head = Some(entry.hash.clone());
        }
        Ok(Verified {
            entries: held.audit.len() as u64,
            head: head.unwrap_or_default(),
            broken: None,
        })
    }
}
