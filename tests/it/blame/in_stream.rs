//! Errors that come with status 200, as the first event of a stream: judged as the status they stand for (docs/blame.md), as
//! long as the client has been sent nothing.

use super::turned::pair;
use super::{CHATS, from, two_models};
use crate::admin::target;
use crate::support::client::chat_stream;
use crate::support::upstream::{CHUNK, DONE, FINISH, stream_answer};
use crate::support::{Gateway, Upstream};

fn event(code: &str, message: &str) -> Vec<u8> {
    let event = format!(
        "data: {{\"error\":{{\"message\":\"{message}\",\"type\":\"{code}\",\"param\":null,\"code\":\"{code}\"}}}}\n\n"
    );
    stream_answer(&[&event])
}

fn gateway(said: Vec<u8>) -> (Upstream, Upstream, Gateway) {
    let (bad, good) = (
        Upstream::always(said),
        Upstream::always(stream_answer(&[CHUNK, FINISH, DONE])),
    );
    let gateway = Gateway::with(two_models("openai", &bad, &good));
    (bad, good, gateway)
}

#[test]
fn a_refused_credential_is_one_in_a_stream_too() {
    let (bad, _good, gateway) = gateway(event("insufficient_quota", "You exceeded your current quota"));
    from(gateway.stream(), "good/up", "2");
    from(gateway.post(CHATS, chat_stream("n")), "good/other", "1");
    assert_eq!(bad.count(), 1);
    assert_eq!(target(&gateway, "bad/up")["failures_in_a_row"], 0);
}

#[test]
fn a_limit_is_one_in_a_stream_too() {
    let (bad, _good, gateway) = gateway(event(
        "rate_limit_exceeded",
        "Rate limit reached. Please try again in 30s.",
    ));
    from(gateway.stream(), "good/up", "2");
    from(gateway.stream(), "good/up", "1");
    assert_eq!(bad.count(), 1);
    let shown = target(&gateway, "bad/up");
    assert!(shown["cooling_for_ms"].as_u64() > Some(20_000), "{shown}");
    assert_eq!(shown["failures_in_a_row"], 0);
}

#[test]
fn what_is_too_long_is_the_clients_in_a_stream_too() {
    let (bad, good, gateway) = gateway(event(
        "context_length_exceeded",
        "Your input exceeds the context window",
    ));
    for _ in 0..6 {
        let response = gateway.stream();
        assert_eq!(response.status, 400, "{}", response.text());
    }
    assert_eq!(
        (bad.count(), good.count()),
        (6, 0),
        "nobody else is asked, no breaker opens"
    );
    let (first, large) = (
        Upstream::always(event("context_length_exceeded", "x")),
        Upstream::always(stream_answer(&[CHUNK, FINISH, DONE])),
    );
    let gateway = pair("openai", &first, &large, "context_fallback: [ large ],");
    from(gateway.stream(), "l/big", "2");
    assert_eq!(target(&gateway, "a/up")["failures_in_a_row"], 0);
}
