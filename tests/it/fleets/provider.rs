//! A provider that writes as many tokens as a request tells it to, says so as usage, and remembers what it was asked.

use crate::support::Gate;
use crate::support::upstream::{CHUNK, DONE, Upstream, error_body, json_answer};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Nano-dollars for a token in and out.
pub const PRICE: (u64, u64) = (10_000, 30_000);
/// Tokens that it says every prompt has.
pub const PROMPT: u64 = 10;

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: usize,
    pub writes: u64,
    pub at: Instant,
    /// The answer went out to its end.
    pub whole: bool,
}

/// Two upstreams: one that answers, one that always fails.
pub struct Provider {
    good: Upstream,
    bad: Upstream,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Model `held` writes its first event and goes on once this is open.
    pub gate: Gate,
}

fn after(text: &str, mark: &str) -> u64 {
    let rest = text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?}: {text}")).1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

impl Provider {
    pub fn start() -> Self {
        let (calls, gate) = (Arc::<Mutex<Vec<Call>>>::default(), Gate::default());
        let (log, held) = (Arc::clone(&calls), gate.clone());
        let good = Upstream::script(move |conn| {
            while let Some(request) = conn.request() {
                let text = request.text();
                let (number, writes) = (after(text, "#") as usize, after(text, "write "));
                let index = {
                    let mut log = log.lock().unwrap();
                    let at = Instant::now();
                    log.push(Call {
                        number,
                        writes,
                        at,
                        whole: false,
                    });
                    log.len() - 1
                };
                // Long enough for many to be under way at one time.
                std::thread::sleep(Duration::from_millis(10));
                let usage = format!(
                    r#""usage":{{"prompt_tokens":{PROMPT},"completion_tokens":{writes},"total_tokens":{}}}"#,
                    PROMPT + writes
                );
                let whole = if text.contains("\"stream\":true") {
                    let mut sent = conn.stream_head() && conn.chunk(CHUNK);
                    if text.contains("held") {
                        held.wait();
                    }
                    for _ in 0..3 {
                        sent = sent && conn.chunk(CHUNK);
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    let last = format!(
                        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n\
                         data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],{usage}}}\n\n"
                    );
                    sent && conn.chunk(last) && conn.chunk(DONE) && conn.send("0\r\n\r\n")
                } else {
                    let body = format!(
                        r#"{{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hi"}},"finish_reason":"stop"}}],{usage}}}"#
                    );
                    conn.send(json_answer(200, &body))
                };
                log.lock().unwrap()[index].whole = whole;
                if !whole {
                    return;
                }
            }
        });
        Self {
            good,
            bad: Upstream::always(json_answer(500, &error_body("broken"))),
            calls,
            gate,
        }
    }

    /// The blocks `timeouts`, `providers` and `models`: `m`, `held` and `f`, which fails; `m` without a bound is taken for 100
    /// tokens.
    pub fn config(&self) -> String {
        let price = "price: { input: \"10\", output: \"30\" }";
        format!(
            "timeouts: {{ connect: 5s, first_byte: 20s, first_event: 20s, idle: 20s, total: 30s, stream_total: 40s }}\n\
             providers:\n  p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n  \
             b: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n\
             models:\n  m: {{ assumed_output_tokens: 100, targets: [ {{ provider: p, model: up, {price} }} ] }}\n  \
             held: {{ targets: [ {{ provider: p, model: held, {price} }} ] }}\n  \
             f: {{ targets: [ {{ provider: b, model: up, {price} }} ] }}\n",
            self.good.url(),
            self.bad.url()
        )
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Nano-dollars of all whole answers.
    pub fn said(&self) -> u64 {
        self.calls().iter().filter(|call| call.whole).map(cost).sum()
    }

    /// Failed calls.
    pub fn failed(&self) -> usize {
        self.bad.count()
    }
}

/// What a call cost, by what the provider said.
pub fn cost(call: &Call) -> u64 {
    PROMPT * PRICE.0 + call.writes * PRICE.1
}
