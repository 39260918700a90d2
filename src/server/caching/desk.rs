//! What operators ask of the cache, answered by what runs.

use super::Opened;
use crate::admin::{CacheDesk, CacheTier, CacheTotals, Cleared, Disowned, Kept, Look, Looked, SharedAway, Warm};
use crate::cache::{Entry, Key, Partition, Selection, Wrong};
use crate::gateway::App;
use crate::gateway::caching::Caching;
use crate::gateway::stages::cached;
use async_trait::async_trait;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Answers among which likeness is asked of.
const LOOKED_AT: usize = 10_000;
/// And their partitions.
const PARTITIONS: usize = 64;

/// The cache of this process.
pub(in crate::server) struct Desk {
    pub app: Arc<App>,
    pub opened: Arc<Opened>,
}

impl Desk {
    fn caching(&self) -> Option<Arc<Caching>> {
        self.app.cache.load_full()
    }

    /// The likest first.
    async fn alike(&self, caching: &Caching, look: &Look, like: &str) -> Result<Vec<Kept>, String> {
        let Some(semantic) = &caching.semantic else {
            return Err("`like` needs the semantic tier, which does not run".to_owned());
        };
        let entries = caching.memory.list(&look.selection, None, LOOKED_AT);
        let partitions: BTreeSet<Partition> = entries.iter().map(|entry| entry.partition).collect();
        let mut alike: BTreeMap<Key, f32> = BTreeMap::new();
        for partition in partitions.into_iter().take(PARTITIONS) {
            for listed in semantic.inspect(partition, Some(like), look.limit).await {
                if let Some(similarity) = listed.similarity.or(listed.nearness) {
                    alike.insert(listed.key, similarity);
                }
            }
        }
        let mut items: Vec<Kept> = entries
            .iter()
            .filter_map(|entry| {
                let similarity = *alike.get(&entry.key)?;
                Some(shown(entry, Some(similarity)))
            })
            .collect();
        items.sort_by(|a, b| {
            b.similarity
                .partial_cmp(&a.similarity)
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        items.truncate(look.limit);
        Ok(items)
    }
}

fn shown(entry: &Entry, similarity: Option<f32>) -> Kept {
    Kept {
        entry: entry.clone(),
        hits: None,
        similarity,
    }
}

#[async_trait]
impl CacheDesk for Desk {
    async fn totals(&self, _now_ms: u64) -> CacheTotals {
        let Some(caching) = self.caching() else {
            return CacheTotals::default();
        };
        let (memory, index) = self.opened.capacity;
        CacheTotals {
            memory: CacheTier {
                entries: caching.memory.len() as u64,
                bytes: caching.memory.bytes(),
                capacity: memory,
            },
            index: caching.semantic.as_ref().map(|semantic| {
                let stats = semantic.stats();
                CacheTier {
                    entries: stats.entries,
                    bytes: stats.bytes,
                    capacity: index,
                }
            }),
            semantic: self.opened.semantic.clone(),
            shared_up: self.opened.shared.as_ref().map(|shared| shared.available()),
        }
    }

    async fn list(&self, look: &Look, _now_ms: u64) -> Result<Looked, String> {
        let Some(caching) = self.caching() else {
            return Ok(Looked::default());
        };
        if let Some(like) = &look.like {
            let items = self.alike(&caching, look, like).await?;
            return Ok(Looked { items, more: false });
        }
        let entries = caching
            .memory
            .list(&look.selection, look.after, look.limit.saturating_add(1));
        Ok(Looked {
            more: entries.len() > look.limit,
            items: entries
                .iter()
                .take(look.limit)
                .map(|entry| shown(entry, None))
                .collect(),
        })
    }

    async fn get(&self, id: Key, _now_ms: u64) -> Option<(Kept, Value)> {
        let entry = self.caching()?.find(id).await?;
        let said = cached::written(&entry);
        Some((shown(&entry, None), said))
    }

    async fn delete(&self, selection: &Selection) -> Cleared {
        let Some(caching) = self.caching() else {
            return Cleared::default();
        };
        let gone = caching.delete(selection).await;
        Cleared {
            here: gone.here,
            shared: gone.shared.map(|told| told.map_err(|_| SharedAway)),
        }
    }

    async fn disown(&self, wrong: &Wrong) -> Disowned {
        let Some(caching) = self.caching() else {
            return Disowned::default();
        };
        let entry = caching.memory.peek(wrong.id);
        let (known, told) = caching.disown(wrong).await;
        let snapshot = self.app.snapshot.load();
        if let Some(found) = entry.as_ref().and_then(|entry| snapshot.find(&entry.model)) {
            self.app.meters.cache.wrong(&found.model.name, "operator");
        }
        Disowned {
            known,
            deleted: known && caching.memory.peek(wrong.id).is_none(),
            shared_away: told.is_err(),
        }
    }

    async fn warm(&self, answers: Vec<Warm>, _now_ms: u64) -> Vec<Result<Key, String>> {
        let mut kept = Vec::with_capacity(answers.len());
        for one in answers {
            kept.push(cached::warm(&self.app, &one.key, one.path.as_deref(), &one.request, &one.answer).await);
        }
        kept
    }
}
