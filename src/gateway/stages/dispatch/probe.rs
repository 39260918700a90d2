//! One-token questions to targets whose breaker is open: an answer closes it before its time is up.

use super::super::super::App;
use super::attempt::Common;
use super::forward::Forwarded;
use super::race;
use super::search::{Chosen, Who};
use crate::snapshot::Snapshot;
use crate::telemetry::Purpose;
use crate::wire::{Call, Operation};
use bytes::Bytes;
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
        allotted: Some(PATIENCE),
        ..Common::plain(app, snapshot, &call, "probe", &headers, Instant::now() + PATIENCE)
    };
    let who = Who {
        index: model,
        model: public,
        member,
        target,
        purpose: Purpose::First,
        began: Instant::now(),
    };
    let permit = pick.permit;
    let finished = race::single(&common, Chosen { who, permit }).await;
    let answered = finished.result.is_ok();
    tracing::info!(target = %target.id, answered, "asked a target whose breaker is open for one token");
}
