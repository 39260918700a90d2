//! Five hundred at once before a budget that is nearly used up: whole answers and streams, clients that leave, providers that fail.

use super::*;
use crate::support::Gate;
use crate::support::upstream::{CHUNK, Conn, DONE, FINISH, Recorded, error_body, json_answer, stream_answer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CHAT: &str = "/v1/chat/completions";
const CROWD: usize = 500;

/// Nobody here is slow on purpose, and the machine may be.
const PATIENT: &str =
    "timeouts: { connect: 10s, first_byte: 30s, first_event: 30s, idle: 30s, total: 60s, stream_total: 60s }\n";

fn usage(output: u64) -> String {
    format!(
        r#""usage":{{"prompt_tokens":9,"completion_tokens":{output},"total_tokens":{}}}"#,
        output + 9
    )
}

/// An answer of so many tokens.
fn answer(conn: &mut Conn, request: &Recorded, output: u64) -> bool {
    if request.text().contains("\"stream\":true") {
        let last = format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],{}}}\n\n",
            usage(output)
        );
        return conn.send(stream_answer(&[CHUNK, FINISH, &last, DONE]));
    }
    conn.send(json_answer(
        200,
        &format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hi"}},"finish_reason":"stop"}}],{}}}"#,
            usage(output)
        ),
    ))
}

/// The number that a request of the crowd carries.
fn number(request: &Recorded) -> u64 {
    let text = request.text();
    let from = text.find("number ").unwrap() + 7;
    text[from..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

fn patient(upstream: &Upstream, model: &str, usd: &str) -> Gateway {
    let text = format!(
        "{PATIENT}providers: {{ p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }} }}\nmodels:\n  \
         m: {{ {model}targets: [ {{ provider: p, model: up, price: {{ input: \"10\", output: \"2000\" }} }} ] }}\n\
         breaker: {{ failures: 1000, min_requests: 100000 }}\n\
         teams: {{ t: {{ budgets: [ {{ usd: \"{usd}\", period: total }} ] }} }}\nkeys: {{ k: {{ secret: env:KEY, team: t }} }}\n",
        upstream.url()
    );
    builder(text).start()
}

/// What became of each of the crowd: statuses, 0 of those that left.
fn crowd(gateway: &Gateway, members: &Value, leaves: impl Fn(usize) -> bool + Sync, refused: &AtomicUsize) -> Vec<u16> {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..CROWD)
            .map(|at| {
                let mut members = members.clone();
                members["messages"] = json!([{"role": "user", "content": format!("number {at}")}]);
                if at % 2 == 1 {
                    members["stream"] = json!(true);
                }
                let leaves = &leaves;
                scope.spawn(move || {
                    let mut client = gateway.client();
                    client
                        .tcp
                        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
                        .unwrap();
                    client.post(CHAT, &bearer(KEY), body(members));
                    if leaves(at) {
                        return 0;
                    }
                    let answer = client.response();
                    if answer.status == 429 {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    answer.status
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// One after the other until one is refused; its status.
fn drain(gateway: &Gateway, mut members: Value) -> u16 {
    members["messages"] = json!([{"role": "user", "content": "number 0"}]);
    eventually("nothing more fits", || {
        let status = gateway.post_with(CHAT, &bearer(KEY), body(members.clone())).status;
        used(gateway);
        (status != 200).then_some(status)
    })
}

/// Wait until nobody holds anything; nano-dollars used.
fn used(gateway: &Gateway) -> u64 {
    nano(&settled(gateway, "team", "t"))
}

#[test]
fn with_max_tokens_nothing_is_overshot() {
    let (gate, arrived) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (opened, counted) = (gate.clone(), Arc::clone(&arrived));
    let upstream = Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            counted.fetch_add(1, Ordering::SeqCst);
            opened.wait();
            match number(&request) % 10 {
                3 => return,
                4 => _ = conn.send(json_answer(500, &error_body("broken"))),
                _ => _ = answer(conn, &request, 12),
            }
        }
    });
    let gateway = patient(&upstream, "", "3");
    let refused = AtomicUsize::new(0);
    let leaves = |at: usize| at % 10 == 7;
    let statuses = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            // All who have room are at the provider at the same time, and only then does the first of them get an answer.
            eventually("everybody has room or is refused", || {
                let (arrived, refused) = (arrived.load(Ordering::SeqCst), refused.load(Ordering::SeqCst));
                (arrived + refused >= CROWD - CROWD / 10).then_some(())
            });
            gate.open();
        });
        let statuses = crowd(&gateway, &json!({"max_tokens": 12}), leaves, &refused);
        watching.join().unwrap();
        statuses
    });
    let used_at_once = used(&gateway);
    let asked = arrived.load(Ordering::SeqCst);
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert!(
        asked < CROWD / 4 && count(429) > CROWD / 2,
        "{asked} asked, {} refused",
        count(429)
    );
    assert!(count(200) > 10, "{} of {asked} answered", count(200));
    assert!(used_at_once <= 3_000_000_000, "{used_at_once}");
    // And until nothing more fits.
    let refused = AtomicUsize::new(0);
    crowd(&gateway, &json!({"max_tokens": 12}), leaves, &refused);
    used(&gateway);
    let last = drain(&gateway, json!({"max_tokens": 12}));
    assert_eq!(last, 429);
    let used = used(&gateway);
    assert!(used <= 3_000_000_000, "{used}");
    assert!(used > 2_900_000_000, "{used} is too little: room was lost");
    // What was charged is what the ledger says.
    let sums = eventually("every record is stored", || {
        let sums = read(&gateway, "/admin/v1/usage?group_by=team")["items"][0].clone();
        (sums["billed_usd"] == cirque::units::usd(used)).then_some(sums)
    });
    assert!(sums["requests"].as_u64().unwrap() as usize > CROWD, "{sums}");
}

#[test]
fn without_max_tokens_it_is_a_fortieth_at_most() {
    // A model that is taken to write 64 tokens, mostly writes fewer, and one time in fifty more.
    let output = |number: u64| if number % 50 == 9 { 80 } else { 8 + number % 57 };
    let upstream = Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let number = number(&request);
            match number % 10 {
                3 => return,
                4 => _ = conn.send(json_answer(500, &error_body("broken"))),
                _ => _ = answer(conn, &request, output(number)),
            }
        }
    });
    let gateway = patient(&upstream, "assumed_output_tokens: 64, ", "8");
    let refused = AtomicUsize::new(0);
    crowd(&gateway, &json!({}), |at| at % 10 == 7, &refused);
    used(&gateway);
    drain(&gateway, json!({}));
    let used = used(&gateway);
    assert!(refused.load(Ordering::SeqCst) > 0, "the budget was not reached: {used}");
    assert!(used <= 8_200_000_000, "{used} of 8 dollars");
    assert!(used >= 7_800_000_000, "{used} is too little: room was lost");
}
