//! One-token questions to targets whose breaker is open: an answer closes it before its time is up.

use super::super::super::App;
use super::attempt::Common;
use super::doubt::Doubts;
use super::forward::Forwarded;
use super::race;
use super::search::Chosen;
use crate::snapshot::Snapshot;
use crate::telemetry::Purpose;
use crate::wire::{Call, Operation};
use bytes::Bytes;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ask this target for one token. What came of it is known to its breaker afterwards.
pub async fn run(app: &App, snapshot: &Snapshot, model: usize, member: usize) {
    let Some(public) = snapshot.models.get(model) else {
        return;
    };
    let (Some(target), Some(pick)) = (
        public.targets.get(member),
        public.pool.pick_anyway(member, std::time::Instant::now),
    ) else {
        return;
    };
    let name = target.model.resolve(&public.name, "");
    let question = serde_json::json!({
        "model": name, "max_tokens": 1, "messages": [{"role": "user", "content": "ping"}],
    });
    let body = Bytes::from(question.to_string());
    let Ok(call) = Call::read(Operation::Chat, body, snapshot.limits.json_depth) else {
        return;
    };
    let headers = Forwarded::default();
    let common = Common {
        app,
        snapshot,
        call: &call,
        id: "probe",
        headers: &headers,
        matched: "",
        strict: false,
        continuation: None,
        filters: false,
        total: Instant::now() + PATIENCE,
        allotted: Some(PATIENCE),
        calls: AtomicU32::new(0),
        doubts: Doubts::default(),
    };
    let chosen = Chosen {
        index: model,
        model: public,
        member,
        target,
        permit: pick.permit,
        purpose: Purpose::First,
    };
    let finished = race::single(&common, chosen).await;
    let answered = finished.result.is_ok();
    tracing::info!(target = %target.id, answered, "asked a target whose breaker is open for one token");
}
