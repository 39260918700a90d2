//! What a caller may not use is not used for it by a way round: not by a copy of its request, not by a budget that leads elsewhere.

use crate::support::client::{Response, chat};
use crate::support::gateway::Builder;
use crate::support::{Gateway, Upstream};

const BOUND: &str = "a-key-that-is-bound-to-little";
const FREE: &str = "a-key-that-may-use-everything";

/// Model `m` at provider `a`, `other` at `b`; two keys of which one has these restrictions, and both have these budgets.
fn gateway(model: &str, restriction: &str, both: &str) -> (Gateway, Upstream, Upstream) {
    let (a, b) = (Upstream::ok(), Upstream::ok());
    let mut builder = Builder::new("").env("BOUND", BOUND).env("FREE", FREE);
    builder.body = format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\" }}\n  b: {{ kind: openai, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: a, model: gpt-4o }} ]{model} }}\n  \
         other: {{ targets: [ {{ provider: b, model: gpt-4o-mini }} ] }}\n\
         keys:\n  bound: {{ secret: env:BOUND, {restriction}{both} }}\n  free: {{ secret: env:FREE{both} }}\n",
        a.url(),
        b.url()
    );
    (builder.start(), a, b)
}

fn ask(gateway: &Gateway, key: &str) -> Response {
    let headers = format!("authorization: Bearer {key}\r\n");
    gateway.post_with("/v1/chat/completions", &headers, chat("m"))
}

#[test]
fn no_copy_goes_to_a_provider_that_the_caller_may_not_use() {
    let (gateway, a, b) = gateway(", mirror: { to: other }", "providers: [ a ]", "");
    ask(&gateway, BOUND).ok();
    assert_eq!(
        gateway.metric("cirque_mirror_requests_total", &["to=\"other\"", "result=\"not_sent\""]),
        1.0
    );
    ask(&gateway, FREE).ok();
    gateway.wait_metric(
        "cirque_mirror_requests_total",
        &["to=\"other\"", "result=\"both\""],
        1.0,
    );
    assert_eq!((a.count(), b.count()), (2, 1));
}

#[test]
fn a_budget_leads_to_no_model_that_the_caller_may_not_ask() {
    let budget = ", budgets: [ { usd: \"0.000000001\", downgrade_to: other } ]";
    let (gateway, a, b) = gateway("", "models: [ m ]", budget);
    let refused = ask(&gateway, BOUND);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!((a.count(), b.count()), (0, 0));
    let served = ask(&gateway, FREE).ok();
    assert_eq!(served.header("x-cirque-model"), Some("other"));
    assert_eq!((a.count(), b.count()), (0, 1));
}
