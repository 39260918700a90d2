//! Errors of providers that repeat what they were sent: the gateway's credential is overwritten in them, at the same length.
//!
//! Not in answers that are no errors, which are the client's data, and not in packed ones. Nothing is held back: of a credential
//! that comes in two pieces the second part is overwritten.

use crate::gateway::context::RequestContext;
use bytes::Bytes;

/// What is remembered of the pieces before: as long as most credentials.
const TAIL: usize = 512;

/// Look through a piece of a body.
pub fn conceal(ctx: &mut RequestContext, body: &mut Option<Bytes>) {
    let Some(passing) = ctx.passthrough.as_mut().filter(|passing| passing.failed) else {
        return;
    };
    let (Some(piece), Some(site)) = (body.as_mut(), passing.site().cloned()) else {
        return;
    };
    let before = passing.tail.len();
    passing.tail.extend_from_slice(piece);
    if site.is_betrayed_by(&passing.tail) {
        site.conceal(&mut passing.tail);
        *piece = Bytes::copy_from_slice(passing.tail.get(before..).unwrap_or_default());
    }
    let told = passing.tail.len().saturating_sub(TAIL);
    passing.tail.drain(..told);
}
