//! Counting tokens for a target whose API does not: here, with tiktoken, off the workers, and said to be an estimate.

use super::super::super::buffers::Room;
use super::super::super::context::RequestContext;
use super::super::super::plan;
use super::Reply;
use super::attempt::Attempt;
use super::failure::{Failure, defect};
use crate::telemetry::estimate_input;
use crate::wire::canonical::aux::TokenCount;

/// Estimate the tokens of a request.
pub(super) async fn estimate(attempt: &Attempt<'_>, ctx: &mut RequestContext, model: &str) -> Result<Reply, Failure> {
    let (model, dialect, body) = (model.to_owned(), attempt.call.dialect, attempt.call.body.clone());
    let counted = tokio::task::spawn_blocking(move || estimate_input(&model, dialect, &body)).await;
    let input = counted.map_err(|error| defect(format!("blocking task: {error}")))?;
    ctx.record.estimated = true;
    let mut body = Vec::with_capacity(64);
    plan::client_of(attempt.call).write_count(&TokenCount { input, cached: None }, &mut body);
    Ok(Reply::Whole {
        body: body.into(),
        room: Room::none(&attempt.app.buffers),
    })
}
