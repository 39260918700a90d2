//! Vectors of questions from a configured model, in place of the built-in encoder.
//!
//! Asked as any request is asked, of the model's pool and fallbacks, and recorded in the ledger; nobody's tenant pays for it. The one
//! idea: an answer that is not what was asked for (a vector too few, another length, no number) is an outage, never a guess.

use super::super::super::App;
use super::super::dispatch::{Forwarded, Unattended};
use super::super::{guard, settle};
use crate::cache::Outage;
use crate::cache::semantic::Embedder;
use crate::guardrails::Direction;
use crate::snapshot::{PublicModel, Snapshot};
use crate::telemetry::{Purpose, Side};
use crate::wire::{Call, Operation};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Longest wait for vectors. A lookup has given up long before; what is learned can wait.
const LONGEST: Duration = Duration::from_secs(10);
/// Most numbers of a vector.
const MOST_NUMBERS: usize = 16 * 1024;

/// A public model that makes vectors.
pub struct PoolEmbedder {
    app: Weak<App>,
    model: String,
}

impl PoolEmbedder {
    /// Of this public model, which is looked up at each call: a reload may change who answers.
    pub fn new(app: &Arc<App>, model: impl Into<String>) -> Self {
        Self {
            app: Arc::downgrade(app),
            model: model.into(),
        }
    }

    async fn ask(&self, texts: &[&str]) -> Result<Bytes, Outage> {
        let app = self.app.upgrade().ok_or_else(|| outage("the gateway stops"))?;
        let snapshot = app.snapshot.load_full();
        let found = snapshot
            .find(&self.model)
            .ok_or_else(|| outage("cache.semantic.embedder is no model any more"))?;
        let to = snapshot
            .models
            .iter()
            .position(|model| std::ptr::eq(model, found.model));
        let body = serde_json::json!({"model": self.model, "input": texts, "encoding_format": "float"});
        let call = Call::read(
            Operation::Embeddings,
            body.to_string().into(),
            snapshot.limits.json_depth,
        )
        .map_err(|error| Outage(error.message.to_string()))?;
        let call = guarded(call, &snapshot, found.model)?;
        let request = Unattended {
            app: Arc::clone(&app),
            call,
            headers: Forwarded::default(),
            id: format!("cache-{:016x}", fastrand::u64(..)),
            to: to.ok_or_else(|| outage("cache.semantic.embedder is no model"))?,
            matched: found.matched.to_owned(),
            purpose: Purpose::Embedding,
            guard: None,
            snapshot: Arc::clone(&snapshot),
        };
        let began = Instant::now();
        let mut body = None;
        let answered = request.ask(&mut |piece| body = Some(piece)).await;
        let answered = answered.ok_or_else(|| outage("no target gave vectors"))?;
        settle::copy(
            &app,
            &snapshot,
            settle::Copied {
                request_id: &request.id,
                operation: Operation::Embeddings,
                stream: false,
                model: found.model,
                named: request.named(),
                target: &answered.target,
                usage: answered.usage,
                estimated: answered.estimated,
                side: &Side {
                    ok: answered.ok,
                    duration: began.elapsed(),
                    ..Side::default()
                },
                purpose: Purpose::Embedding,
                payer: None,
                lease: None,
            },
        );
        body.ok_or_else(|| outage("no body"))
    }
}

/// As the guardrails of the model that makes the vectors let it pass: those of the request were another model's.
fn guarded(call: Call, snapshot: &Snapshot, model: &PublicModel) -> Result<Call, Outage> {
    let policy = snapshot.guardrail_policy(model, std::iter::empty());
    let policy = policy.map_err(|_| outage("a guardrail is not configured"))?;
    let Some(policy) = policy.filter(|policy| policy.holds(Direction::Input)) else {
        return Ok(call);
    };
    let judged = guard::judge_request(&policy, &call, snapshot.limits.json_depth).outcome;
    let edited = judged.map_err(|_| outage("a guardrail of the embedder refuses the text"))?;
    Ok(edited.unwrap_or(call))
}

#[async_trait]
impl Embedder for PoolEmbedder {
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Outage> {
        let asked = tokio::time::timeout(LONGEST, self.ask(texts)).await;
        let body = asked.map_err(|_| outage("no vectors in time"))??;
        vectors(&body, texts.len())
    }
}

fn outage(why: &str) -> Outage {
    Outage(why.to_owned())
}

/// The vectors of an answer, in the order of the texts.
fn vectors(body: &[u8], wanted: usize) -> Result<Vec<Vec<f32>>, Outage> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        index: usize,
        embedding: Vec<f32>,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| outage("what came is no answer with vectors"))?;
    let mut all = vec![Vec::new(); wanted];
    for one in answer.data {
        let sound = (1..=MOST_NUMBERS).contains(&one.embedding.len()) && one.embedding.iter().all(|x| x.is_finite());
        match all.get_mut(one.index) {
            Some(place) if place.is_empty() && sound => *place = one.embedding,
            _ => return Err(outage("a vector that was not asked for, or is none")),
        }
    }
    let length = all.first().map_or(0, Vec::len);
    if all.iter().any(|one| one.is_empty() || one.len() != length) {
        return Err(outage("vectors are missing, or differ in length"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let two = br#"{"data":[{"index":1,"embedding":[0.5,1]},{"index":0,"embedding":[1,2]}]}"#;
        assert_eq!(vectors(two, 2).unwrap(), [vec![1.0, 2.0], vec![0.5, 1.0]]);
        for (wanted, wrong) in [
            (1, &two[..]),
            (3, &two[..]),
            (1, br#"{"data":[]}"#),
            (1, br#"{"data":[{"index":0,"embedding":[]}]}"#),
            (1, br#"{"data":[{"index":0,"embedding":[1e99]}]}"#),
            (1, br#"{"data":[{"index":0,"embedding":"AAAA"}]}"#),
            (
                2,
                br#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]}"#,
            ),
            (
                2,
                br#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#,
            ),
            (1, b"nonsense"),
        ] {
            assert!(vectors(wrong, wanted).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
