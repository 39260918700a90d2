//! Counting tokens for a target whose API does not: here, with tiktoken, off the workers, and said to be an estimate.

use super::super::super::aside::aside;
use super::super::super::buffers::Room;
use super::super::super::plan;
use super::Reply;
use super::attempt::{Attempt, Notes};
use super::failure::{Failure, defect};
use crate::telemetry::estimate_input;
use crate::wire::canonical::aux::TokenCount;

/// Estimate the tokens of a request.
pub(super) async fn estimate(attempt: &Attempt<'_>, notes: &mut Notes, model: &str) -> Result<Reply, Failure> {
    let call = attempt.common.call;
    let (model, dialect, body) = (model.to_owned(), call.dialect, call.body.clone());
    let counted = aside(move || estimate_input(&model, dialect, &body)).await;
    let input = counted.map_err(|error| defect(format!("blocking task: {error}")))?;
    notes.estimated = true;
    let mut body = Vec::with_capacity(64);
    plan::client_of(call).write_count(&TokenCount { input, cached: None }, &mut body);
    Ok(Reply::Whole {
        body: body.into(),
        room: Room::none(&attempt.common.app.buffers),
        filtered: false,
    })
}
