//! Requests that every target fails on: whoever sends them must not take the targets from others; outages are noticed all the same.

use crate::admin::target;
use crate::support::client::chat;
use crate::support::upstream::{CHAT, error_body, json_answer};
use crate::support::{Gateway, Upstream};

const POISON: &str = r#"{"model":"m","messages":[{"role":"user","content":"poison"}]}"#;
const CHATS: &str = "/v1/chat/completions";

/// Fails on requests that say one of these words.
fn allergic(words: &'static [&'static str]) -> Upstream {
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let text = request.text();
            let fails = words.iter().any(|word| text.contains(word));
            conn.send(if fails {
                json_answer(500, &error_body("x"))
            } else {
                json_answer(200, CHAT)
            });
        }
    })
}

/// One after the other, the first always asked first.
fn pool(upstreams: &[&Upstream]) -> Gateway {
    let mut text = String::from("breaker: { failures: 3, min_requests: 100000 }\nproviders:\n");
    let mut models = String::from("models:\n");
    for (at, upstream) in upstreams.iter().enumerate() {
        text += &format!("  p{at}: {{ kind: openai, base_url: \"{}\" }}\n", upstream.url());
        let name = if at == 0 { "m".to_owned() } else { format!("m{at}") };
        let next = (at + 1 < upstreams.len()).then(|| format!("fallback: [ m{} ], ", at + 1));
        let next = next.unwrap_or_default();
        models += &format!("  {name}: {{ {next}targets: [ {{ provider: p{at}, model: up }} ] }}\n");
    }
    Gateway::with(text + &models)
}

fn is_closed(gateway: &Gateway, at: usize) -> bool {
    target(gateway, &format!("p{at}/up"))["breaker"] == "closed"
}

#[test]
fn one_clients_poison_opens_no_breaker_of_targets_that_others_use() {
    let (first, second, third) = (allergic(&["poison"]), allergic(&["poison"]), allergic(&["poison"]));
    let gateway = pool(&[&first, &second, &third]);
    for _ in 0..6 {
        gateway
            .post(CHATS, POISON)
            .expect_error(502, "upstream_error", "provider_error");
        gateway.post(CHATS, chat("m")).ok();
    }
    assert!(
        second.count() >= 3 && third.count() >= 1,
        "{} {}",
        second.count(),
        third.count()
    );
    assert_eq!([0, 1, 2].map(|at| is_closed(&gateway, at)), [true; 3]);
}

#[test]
fn an_outage_of_all_is_noticed() {
    let down: [Upstream; 2] = [allergic(&["model"]), allergic(&["model"])];
    let gateway = pool(&[&down[0], &down[1]]);
    for _ in 0..8 {
        gateway.post(CHATS, chat("m"));
    }
    assert_eq!([0, 1].map(|at| is_closed(&gateway, at)), [false; 2]);
}

#[test]
fn who_fails_on_what_another_answers_has_failed() {
    let (first, second, third) = (allergic(&["poison"]), allergic(&["poison"]), allergic(&[]));
    let gateway = pool(&[&first, &second, &third]);
    for _ in 0..3 {
        gateway.post(CHATS, POISON).ok();
    }
    assert_eq!([0, 1, 2].map(|at| is_closed(&gateway, at)), [false, false, true]);
}
