//! Whether the gateway takes this request on now. Today: not while it is stopping, and it is counted as in flight.

use super::super::App;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use std::sync::atomic::Ordering;

/// Count the request; during a graceful stop let it finish, but do not keep its connection.
pub fn run(app: &App, down: &mut Downstream<'_>, ctx: &mut RequestContext) {
    ctx.in_flight = Some(app.meters.enter());
    if app.draining.load(Ordering::Relaxed) {
        down.close_after();
    }
}
