//! Whether the gateway takes this request on now: by how many are under way and how many bytes of bodies are held, each
//! against the share of the request's priority (`gateway/overload.rs`).
//!
//! Asked twice, because what a request is worth is known late: at first the header has been read and the request is given
//! the best priority it may turn out to have; after the routing rules [`reconsider`] asks again with the one they gave.
//! Costs nothing beyond the counting of requests in flight: the number before comes with it.

use super::super::App;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use super::super::overload::{self, Priority};
use crate::error::GatewayError;
use crate::snapshot::Limits;
use crate::telemetry::{InFlight, Meters};
use http::header::{CONTENT_LENGTH, EXPECT};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Largest request body that is read only to keep the connection of a refused request.
const SPARED: usize = 64 * 1024;
/// Longest wait for it.
const SPARED_TIME: Duration = Duration::from_secs(1);

/// A request that was let in, for as long as it is under way.
#[derive(Debug)]
pub struct Admission {
    in_flight: InFlight,
    /// The client's own word, if it makes the request less important.
    asked: Option<Priority>,
    priority: Priority,
    refused: bool,
}

impl Admission {
    /// The answer is 503.
    fn refuse(&mut self, meters: &Meters) -> GatewayError {
        if !self.refused {
            self.refused = true;
            self.in_flight.refuse();
            meters.shed(self.priority.get());
        }
        overload::refusal()
    }

    fn reconsider(
        &mut self,
        meters: &Meters,
        held: usize,
        limits: &Limits,
        priority: Priority,
    ) -> Result<(), GatewayError> {
        self.priority = self.asked.map_or(priority, |asked| asked.min(priority));
        if fits(limits, self.priority, meters.admitted(), held) {
            Ok(())
        } else {
            Err(self.refuse(meters))
        }
    }
}

/// Count the request and see whether there is a place for it; during a graceful stop let it finish, but do not keep its
/// connection.
pub async fn run(
    app: &App,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    limits: &Limits,
) -> Result<(), GatewayError> {
    let asked = overload::lowered(&down.request().headers);
    let in_flight = app.meters.enter();
    if app.draining.load(Ordering::Relaxed) {
        down.close_after();
    }
    let position = in_flight.position();
    let known = asked.as_ref().copied().ok().flatten();
    let admission = ctx.admission.insert(Admission {
        in_flight,
        asked: known,
        priority: known.unwrap_or(Priority::DEFAULT),
        refused: false,
    });
    ctx.priority = admission.priority.get();
    asked?;
    // A rule may yet call it more important, and then it must not have been refused.
    let class = known.unwrap_or(Priority::new(limits.highest_priority));
    if fits(limits, class, position, app.buffers.held()) {
        return Ok(());
    }
    let refusal = admission.refuse(&app.meters);
    spare_connection(down).await;
    Err(refusal)
}

/// Ask again once the rules have given the request a priority. What the client asked for may still lower it.
pub fn reconsider(
    app: &App,
    ctx: &mut RequestContext,
    limits: &Limits,
    priority: Priority,
) -> Result<(), GatewayError> {
    let Some(admission) = &mut ctx.admission else {
        return Ok(());
    };
    let admitted = admission.reconsider(&app.meters, app.buffers.held(), limits, priority);
    ctx.priority = admission.priority.get();
    admitted
}

fn fits(limits: &Limits, priority: Priority, in_flight: usize, held: usize) -> bool {
    in_flight <= priority.share_of(limits.in_flight) && held <= priority.share_of(limits.buffered_bytes)
}

/// Read a small body that nobody wants, so that an HTTP/1 connection can be kept: a client that must connect anew for each
/// refusal costs more than the refusal. HTTP/2 resets the stream. A body that is large, late or not sent yet is not read,
/// and Pingora closes the connection.
async fn spare_connection(down: &mut Downstream<'_>) {
    let headers = &down.request().headers;
    let announced = headers
        .get(CONTENT_LENGTH)
        .map(|value| value.to_str().ok().and_then(|text| text.parse::<usize>().ok()));
    let large = announced.is_some_and(|length| length.is_none_or(|length| length > SPARED));
    if down.is_http2() || large || headers.contains_key(EXPECT) {
        return;
    }
    let deadline = Instant::now() + SPARED_TIME;
    let mut read = 0;
    while let Ok(Some(piece)) = down.read_body(deadline).await {
        read += piece.len();
        if read > SPARED {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::snapshot::{Snapshot, State};
    use std::sync::Arc;

    const CONFIG: &str = "
listen: 127.0.0.1:0
insecure: { open_access: true }
limits: { in_flight: 20, buffered_bytes: 100MiB }
providers: { d: { kind: demo } }
models: { m: { targets: [ { provider: d } ] } }
";

    fn limits(meters: &Arc<Meters>, more: &str) -> Limits {
        let config = config::parse(&format!("{CONFIG}{more}"), "test").unwrap();
        let state = State::new(Arc::clone(meters));
        Snapshot::build(&config, &state).unwrap().limits
    }

    fn admission(meters: &Meters, asked: Option<u8>) -> Admission {
        Admission {
            in_flight: meters.enter(),
            asked: asked.map(Priority::new),
            priority: Priority::DEFAULT,
            refused: false,
        }
    }

    #[test]
    fn rules_decide_the_class_and_the_client_may_lower_it() {
        let meters = Meters::new().unwrap();
        let limits = limits(&meters, "");
        // 12 of 20: more than the 10 of the lowest class, at most the 12 of the next.
        let _others: Vec<_> = (0..11).map(|_| meters.enter()).collect();
        let class = |asked: Option<u8>, by_rule: u8, held: usize| {
            let mut admission = admission(&meters, asked);
            let admitted = admission
                .reconsider(&meters, held, &limits, Priority::new(by_rule))
                .is_ok();
            (admission.priority.get(), admitted)
        };
        assert_eq!(class(None, 9, 0), (9, true));
        assert_eq!(class(None, 1, 0), (1, true));
        assert_eq!(class(None, 0, 0), (0, false));
        assert_eq!(class(Some(0), 9, 0), (0, false));
        assert_eq!(class(Some(4), 2, 0), (2, true));
        assert_eq!(
            class(Some(4), 9, 87 << 20),
            (4, false),
            "more bytes are held than its share"
        );
        assert_eq!(class(None, 5, 87 << 20), (5, true));
    }

    #[test]
    fn a_refusal_is_counted_once_and_keeps_no_place() {
        let meters = Meters::new().unwrap();
        let limits = limits(&meters, "");
        let _others: Vec<_> = (0..20).map(|_| meters.enter()).collect();
        let mut admission = admission(&meters, None);
        for _ in 0..2 {
            let error = admission.reconsider(&meters, 0, &limits, Priority::new(3)).unwrap_err();
            assert_eq!(error.error_code(), Some("overloaded"));
        }
        assert_eq!((meters.admitted(), meters.in_flight()), (20, 21));
        let shed = r#"cirque_requests_shed_total{priority="3"} 1"#;
        assert!(meters.render().contains(shed));
    }

    #[test]
    fn a_rule_that_gives_more_than_the_default_leaves_room_for_it() {
        let meters = Meters::new().unwrap();
        assert_eq!(limits(&meters, "").highest_priority, 5);
        let rule = |priority: u8| format!("routes: [ {{ name: r, priority: {priority} }} ]\n");
        assert_eq!(limits(&meters, &rule(8)).highest_priority, 8);
        assert_eq!(limits(&meters, &rule(1)).highest_priority, 5);
    }
}
