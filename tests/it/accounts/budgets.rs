//! Budgets: what a call is charged, whoever and whatever ends it; what happens when one is used up; what outlives the process.

use super::*;
use crate::support::eventually;
use crate::support::upstream::{CHUNK, DONE, FINISH, error_body, json_answer, stream_answer};

const CHAT: &str = "/v1/chat/completions";
/// The usage of `upstream::CHAT` as a stream ends with it.
const USAGE: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,\"prompt_tokens_details\":{\"cached_tokens\":3},\"completion_tokens_details\":{\"reasoning_tokens\":5}}}\n\n";

/// The same usage in OpenAI's other API.
const RESPONSE: &str = r#"{"id":"r1","object":"response","created_at":1,"status":"completed","model":"up","output":[{"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":3},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":21}}"#;

/// Streams to whoever wants one, and whole answers to others, with the same usage.
fn both() -> Upstream {
    Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let streams = request.text().contains("\"stream\":true");
            if request.line.contains("/responses") {
                let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"m1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hi\"}\n\n";
                let last = format!(
                    "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{RESPONSE}}}\n\n"
                );
                conn.send(if streams {
                    stream_answer(&[delta, &last])
                } else {
                    json_answer(200, RESPONSE)
                });
            } else if streams {
                conn.send(stream_answer(&[CHUNK, FINISH, USAGE, DONE]));
            } else {
                conn.send(json_answer(200, crate::support::upstream::CHAT));
            }
        }
    })
}

/// A key `k` with this budget.
fn with_budget(upstream: &Upstream, budget: &str) -> Gateway {
    gateway(
        upstream,
        &format!("keys: {{ k: {{ secret: env:KEY, budgets: [ {budget} ] }} }}"),
    )
}

#[track_caller]
fn used_up(answer: &Response) -> String {
    let text = answer.expect_error(429, "insufficient_quota", "budget_exceeded");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    text
}

/// A request with a bound that the answer keeps exactly.
fn bounded(gateway: &Gateway) -> Response {
    gateway.post_with(CHAT, &bearer(KEY), body(json!({"max_tokens": 12})))
}

#[test]
fn a_budget_is_used_up_and_not_more() {
    let upstream = both();
    let gateway = with_budget(&upstream, "{ usd: \"0.4\", period: total, name: pot }");
    let mut answered = 0;
    let last = loop {
        let answer = bounded(&gateway);
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert_eq!(answer.header("x-cirque-cost-usd"), Some(COST));
        let left = 400_000_000 - answered * nano(COST);
        eventually("it is settled", || {
            (settled(&gateway, "key", "k") == cirque::units::usd(400_000_000 - left)).then_some(())
        });
    };
    assert!(answered >= 4, "{answered}");
    let text = used_up(&last);
    assert!(
        text.contains("`pot` of key `k`, 0.4 USD") && text.contains("max_tokens"),
        "{text}"
    );
    assert_eq!(last.header("retry-after"), None, "it does not begin anew");
    assert_eq!(upstream.count() as u64, answered);
    let standing = budget(&gateway, "key", "k");
    assert_eq!(standing["used_usd"], cirque::units::usd(answered * nano(COST)));
}

#[test]
fn a_calendar_budget_says_when_to_come_back() {
    let upstream = both();
    let gateway = with_budget(&upstream, "{ usd: \"0.3\", period: day }");
    let answer = eventually("it is used up", || {
        Some(bounded(&gateway)).filter(|answer| answer.status != 200)
    });
    assert!(used_up(&answer).contains("; it begins anew in"), "{}", answer.text());
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&after), "{after}");
}

#[test]
fn budgets_go_on_where_they_were_after_kill_9_and_after_a_stop() {
    let upstream = both();
    let mut gateway = with_budget(&upstream, "{ usd: \"0.50\", period: total }");
    bounded(&gateway).ok();
    bounded(&gateway).ok();
    let before = settled(&gateway, "key", "k");
    assert_eq!(before, "0.066");
    records(&gateway, 2, "");
    gateway.kill_and_restart();
    assert_eq!(settled(&gateway, "key", "k"), before);
    bounded(&gateway).ok();
    assert_eq!(settled(&gateway, "key", "k"), "0.099");
    gateway.signal("TERM");
    gateway.wait_exit();
    gateway.kill_and_restart();
    assert_eq!(settled(&gateway, "key", "k"), "0.099");
    let rows = records(&gateway, 3, "");
    assert!(rows.iter().all(|row| row["billed_usd"] == COST), "{rows:#?}");
    // And after a reload that changes how much it is, but not what was used.
    gateway.edit(|text| text.replace("\"0.50\"", "\"0.10\""));
    gateway.reload();
    used_up(&bounded(&gateway));
}

#[test]
fn a_streamed_call_costs_what_it_costs_when_it_is_not_in_every_dialect() {
    let upstream = both();
    let gateway = with_budget(&upstream, "{ usd: \"100\", period: total }");
    let messages = json!([{"role": "user", "content": "Hello there"}]);
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]});
    let calls = [
        (CHAT, CHAT, json!({"model": "m", "messages": messages})),
        (
            "/v1/messages",
            "/v1/messages",
            json!({"model": "m", "max_tokens": 50, "messages": messages}),
        ),
        (
            "/v1/responses",
            "/v1/responses",
            json!({"model": "m", "input": "Hello there"}),
        ),
        (
            "/v1beta/models/m:generateContent",
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            gemini,
        ),
    ];
    for (path, streamed, request) in calls {
        let answer = gateway.post_with(path, &bearer(KEY), request.to_string()).ok();
        assert_eq!(answer.header("x-cirque-cost-usd"), Some(COST), "{path}");
        let mut request = request;
        if !streamed.contains("alt=sse") {
            request["stream"] = json!(true);
        }
        let answer = gateway.post_with(streamed, &bearer(KEY), request.to_string()).ok();
        assert!(
            answer.header("content-type").unwrap().starts_with("text/event-stream"),
            "{streamed}"
        );
    }
    let rows = records(&gateway, 8, "");
    assert_eq!(rows.iter().filter(|row| row["stream"] == true).count(), 4);
    for row in &rows {
        assert_eq!(
            (&row["billed_usd"], &row["estimated"]),
            (&json!(COST), &json!(false)),
            "{row:#}"
        );
        assert_eq!(
            (&row["cost_usd"], &row["tokens"]),
            (&rows[0]["cost_usd"], &rows[0]["tokens"]),
            "{row:#}"
        );
    }
    let cost = &rows[0]["cost_usd"];
    assert_eq!(
        *cost,
        json!({"input": "0.006", "cached": "0.003", "output": "0.014", "reasoning": "0.01", "total": COST})
    );
    assert_eq!(settled(&gateway, "key", "k"), "0.264");
}

#[test]
fn a_stream_tells_what_it_cost_where_it_is_asked() {
    let upstream = both();
    let gateway = gateway(&upstream, "keys: { k: { secret: env:KEY } }");
    let ask = |header: &str, path: &str, more: Value| {
        let headers = format!("{}{header}", bearer(KEY));
        let mut request = json!({"model": "m", "stream": true});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        let answer = gateway.post_with(path, &headers, request.to_string()).ok();
        answer.text()
    };
    let asked = "x-cirque-cost: usage\r\n";
    let chat = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let mut with_usage = chat.clone();
    with_usage["stream_options"] = json!({"include_usage": true});
    let told = format!("\"usage\":{{\"gateway_cost_usd\":\"{COST}\",");
    for (path, body) in [
        (CHAT, with_usage.clone()),
        ("/v1/responses", json!({"input": "Hello"})),
        ("/v1/messages", json!({"max_tokens": 12, "messages": chat["messages"]})),
    ] {
        let text = ask(asked, path, body.clone());
        assert_eq!(text.matches(&told).count(), 1, "{path}: {text}");
        for data in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
            serde_json::from_str::<Value>(&format!("{{{data}")).unwrap();
        }
        let plain = ask("", path, body);
        assert!(!plain.contains("gateway_cost"), "{plain}");
    }
    // Who wants no usage is told in a comment, before the end.
    let text = ask(asked, CHAT, chat.clone());
    assert!(
        text.contains(&format!(": cirque cost {COST}\n\ndata: [DONE]")),
        "{text}"
    );
    assert!(!text.contains("\"usage\":{"), "{text}");
    let gemini = "/v1beta/models/m:streamGenerateContent?alt=sse";
    let text = ask(
        asked,
        gemini,
        json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}),
    );
    let told = format!("\"usageMetadata\":{{\"gateway_cost_usd\":\"{COST}\",");
    assert!(text.matches(&told).count() == 1 && !text.contains(": cirque"), "{text}");
}

#[test]
fn what_fails_is_refunded() {
    let upstream = Upstream::script(|conn| {
        while let Some(request) = conn.request() {
            let text = request.text();
            if text.contains("cut") {
                return;
            } else if text.contains("broken") {
                conn.send(json_answer(200, "{\"nothing\":"));
            } else if text.contains("limited") {
                conn.send(json_answer(429, &error_body("slow down")));
            } else if text.contains("wrong") {
                conn.send(json_answer(400, &error_body("wrong")));
            } else {
                conn.send(json_answer(500, &error_body("broken")));
            }
        }
    });
    let gateway = with_budget(&upstream, "{ usd: \"1\", period: total }");
    for (text, status) in [
        ("cut", 502),
        ("wrong", 400),
        ("broken", 502),
        ("other", 502),
        ("limited", 429),
    ] {
        let request = body(json!({"max_tokens": 12, "messages": [{"role": "user", "content": text}]}));
        let answer = gateway.post_with(CHAT, &bearer(KEY), request);
        assert!(
            answer.status == status || answer.status == 503,
            "{text}: {} {}",
            answer.status,
            answer.text()
        );
        assert_eq!(settled(&gateway, "key", "k"), "0", "{text}");
    }
}

#[test]
fn a_stream_without_usage_is_counted_here_and_says_so() {
    let upstream = Upstream::always(stream_answer(&[CHUNK, CHUNK, FINISH, DONE]));
    let gateway = with_budget(&upstream, "{ usd: \"50\", period: total }");
    stream_as(&gateway, KEY).ok();
    let row = records(&gateway, 1, "").remove(0);
    assert_eq!(row["estimated"], true, "{row:#}");
    let (input, output) = (
        row["tokens"]["input"].as_u64().unwrap(),
        row["tokens"]["output"].as_u64().unwrap(),
    );
    assert!((2..30).contains(&input) && (1..5).contains(&output), "{row:#}");
    let cost = cirque::units::usd(input * 1_000_000 + output * 2_000_000);
    assert_eq!(row["billed_usd"], cost);
    assert_eq!(settled(&gateway, "key", "k"), cost);
}

#[test]
fn a_client_that_leaves_pays_for_what_was_sent() {
    let upstream = Upstream::script(|conn| {
        while conn.request().is_some() {
            conn.stream_head();
            conn.chunk(CHUNK);
            conn.wait_closed();
        }
    });
    let gateway = with_budget(&upstream, "{ usd: \"5\", period: total }");
    let mut client = gateway.client();
    client.post(CHAT, &bearer(KEY), body(json!({"stream": true, "max_tokens": 12})));
    assert_eq!(client.head().status, 200);
    client.until("Hi");
    let reserved = budget(&gateway, "key", "k")["reserved_usd"]
        .as_str()
        .unwrap()
        .to_owned();
    drop(client);
    let used = settled(&gateway, "key", "k");
    assert!(
        nano(&used) > 0 && nano(&used) <= nano(&reserved),
        "{used} of {reserved}"
    );
    let row = records(&gateway, 1, "").remove(0);
    assert_eq!(
        (&row["status"], &row["estimated"], &row["billed_usd"]),
        (&json!(499), &json!(true), &json!(used))
    );
}

/// Two providers: `dear` with the model `big`, `cheap` with `small`; `any` is either.
fn two_prices(upstream: &Upstream, more: &str) -> Gateway {
    let url = upstream.url();
    builder(format!(
        "{TIMEOUTS}providers:\n  dear: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }}\n  \
         cheap: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }}\nmodels:\n  \
         big: {{ targets: [ {{ provider: dear, model: up-big, price: {{ input: \"1000\", output: \"2000\" }} }} ] }}\n  \
         small: {{ targets: [ {{ provider: cheap, model: up-small, price: {{ input: \"1\", output: \"2\" }} }} ] }}\n  \
         any: {{ targets: [ {{ provider: dear, model: up-big, price: {{ input: \"1000\", output: \"2000\" }} }}, \
         {{ provider: cheap, model: up-small, tier: 1, price: {{ input: \"1\", output: \"2\" }} }} ] }}\n{more}\n"
    ))
    .start()
}

fn ask(gateway: &Gateway, model: &str) -> Response {
    let mut request: Value = serde_json::from_str(&chat(model)).unwrap();
    request["max_tokens"] = json!(12);
    gateway.post_with(CHAT, &bearer(KEY), request.to_string())
}

#[test]
fn a_budget_that_is_used_up_may_send_to_a_cheaper_model() {
    let upstream = both();
    let gateway = two_prices(
        &upstream,
        "keys: { k: { secret: env:KEY, budgets: [ { usd: \"0.3\", period: total, downgrade_to: small } ] } }",
    );
    // Until everything is settled, by what the answers say they cost.
    let mut spent = 0;
    let mut next = || {
        let answer = ask(&gateway, "big").ok();
        spent += nano(answer.header("x-cirque-cost-usd").unwrap());
        eventually("it is settled", || {
            (budget(&gateway, "key", "k")["used_usd"] == cirque::units::usd(spent)).then_some(())
        });
        answer
    };
    let answer = next();
    assert_eq!(answer.header("x-cirque-model"), Some("big"));
    let cheaper = eventually("it is used up", || {
        Some(next()).filter(|answer| answer.header("x-cirque-model") == Some("small"))
    });
    assert_eq!(cheaper.header("x-cirque-target"), Some("cheap/up-small"));
    assert_eq!(cheaper.header("x-cirque-cost-usd"), Some("0.000033"));
    let last: Value = serde_json::from_slice(&upstream.requests().last().unwrap().body).unwrap();
    assert_eq!(last["model"], "up-small");
    assert!(gateway.metric("cirque_budget_downgrades_total", &[]) >= 1.0);
    // What it costs there counts on.
    assert_eq!(next().header("x-cirque-model"), Some("small"));
    // Nobody may be sent where it may not go.
    gateway.edit(|text| {
        text.replace(
            "keys: { k: { secret: env:KEY,",
            "keys: { k: { secret: env:KEY, denied_models: [ small ],",
        )
    });
    gateway.reload();
    let answer = ask(&gateway, "big");
    assert!(
        matches!(answer.status, 403 | 429) || answer.header("x-cirque-model") == Some("small"),
        "{}",
        answer.text()
    );
}

#[test]
fn when_a_providers_budget_is_used_up_another_of_the_pool_answers() {
    let upstream = both();
    let gateway = two_prices(&upstream, "keys: { k: { secret: env:KEY } }");
    gateway.edit(|text| {
        text.replace(
            "  dear: { kind: openai,",
            "  dear: { budgets: [ { usd: \"0.2\", period: total } ], kind: openai,",
        )
    });
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 1.0);
    assert_eq!(ask(&gateway, "any").ok().header("x-cirque-target"), Some("dear/up-big"));
    let other = eventually("the other provider answers", || {
        let answer = ask(&gateway, "any").ok();
        settled(&gateway, "provider", "dear");
        (answer.header("x-cirque-target") == Some("cheap/up-small")).then_some(answer)
    });
    assert_eq!(other.header("x-cirque-cost-usd"), Some("0.000033"));
    let spent = nano(&settled(&gateway, "provider", "dear"));
    assert!(spent <= 200_000_000, "{spent}");
    // Nor is it asked for what is passed through unread.
    gateway.edit(|text| {
        format!("{text}passthrough: [ {{ path: /v1/files, pool: any }}, {{ path: /v1/audio, pool: big }} ]\n")
    });
    gateway.edit(|text| text.replace("usd: \"0.2\"", "usd: \"0\""));
    gateway.reload();
    assert_eq!(gateway.metric("cirque_config_last_reload_success", &[]), 1.0);
    let passed = gateway.post_with("/v1/files", &bearer(KEY), "{}").ok();
    assert_eq!(passed.header("x-cirque-target"), Some("cheap/up-small"));
    used_up(&gateway.post_with("/v1/audio", &bearer(KEY), "{}"));
    // Alone it can only refuse.
    used_up(&ask(&gateway, "big"));
    assert_eq!(nano(&settled(&gateway, "provider", "dear")), spent);
}

#[test]
fn a_soft_budget_refuses_nothing_and_alerts_once() {
    let upstream = both();
    let gateway = with_budget(&upstream, "{ usd: \"0.05\", period: total, soft: true, name: watch }");
    for _ in 0..4 {
        bounded(&gateway).ok();
    }
    assert_eq!(settled(&gateway, "key", "k"), "0.132");
    gateway.wait_metric("cirque_budget_alerts_total", &["kind=\"share\"", "scope=\"key\""], 2.0);
    let lines = || {
        let log = gateway.stderr.text();
        log.lines()
            .filter(|line| line.contains("a budget alerts") && line.contains("watch"))
            .count()
    };
    eventually("both lines are written", || (lines() == 2).then_some(()));
    bounded(&gateway).ok();
    settled(&gateway, "key", "k");
    // Two looks of the loop that tells them, by its own gauge of time: other requests.
    records(&gateway, 5, "");
    assert_eq!(lines(), 2);
}

/// What a webhook got: bodies, after their signatures were checked.
fn checked(hook: &Upstream, secret: &str) -> Vec<Value> {
    let all = hook.requests();
    let one = |request: &crate::support::upstream::Recorded| {
        let of = |name: &str| request.header(name).unwrap().to_owned();
        let signed = [of("x-cirque-timestamp").as_bytes(), b".", &request.body].concat();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, &signed);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(of("x-cirque-signature"), format!("v1={hex}"));
        serde_json::from_slice(&request.body).unwrap()
    };
    all.iter().map(one).collect()
}

#[test]
fn a_webhook_is_told_of_a_budget_and_again_if_it_does_not_answer() {
    let upstream = both();
    let failed = std::sync::atomic::AtomicBool::new(false);
    let hook = Upstream::script(move |conn| {
        while conn.request().is_some() {
            let first = !failed.swap(true, std::sync::atomic::Ordering::SeqCst);
            conn.send(json_answer(if first { 500 } else { 204 }, ""));
        }
    });
    let secret = "alerts-are-signed-with-this-secret-01";
    let body = format!(
        "{}keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"0.3\", period: total, alert_percent: [ 10 ] }} ] }} }}\n\
         alerts: {{ webhook: {{ url: env:HOOK, secret: env:SIGN }} }}\n",
        priced(&upstream)
    );
    let gateway = builder(body).env("HOOK", hook.url()).env("SIGN", secret).start();
    bounded(&gateway).ok();
    let told = eventually("it is told twice", || {
        let told = checked(&hook, secret);
        (told.len() >= 2).then_some(told)
    });
    assert_eq!(told[0], told[1], "the first was not taken");
    assert_eq!(
        (told[0]["kind"].as_str(), told[0]["state"].as_str()),
        (Some("budget_share"), Some("firing"))
    );
    assert_eq!(
        (&told[0]["details"]["name"], &told[0]["details"]["percent"]),
        (&json!("k"), &json!(10))
    );
    eventually("it was sent", || {
        let sent = gateway.metric("cirque_alerts_total", &["kind=\"budget_share\"", "result=\"sent\""]);
        (sent == 1.0).then_some(())
    });
    assert_eq!(hook.count(), 2, "once is enough");
}

#[test]
fn what_has_no_price_is_recorded_as_unpriced_or_refused() {
    let upstream = both();
    let text = format!(
        "{TIMEOUTS}providers: {{ p: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }} }}\n\
         models: {{ m: {{ targets: [ {{ provider: p, model: nobody-knows-it }} ] }} }}\n\
         keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"1\", period: total }} ] }} }}\n",
        upstream.url()
    );
    let gateway = builder(text).start();
    let answer = bounded(&gateway).ok();
    assert_eq!(answer.header("x-cirque-cost-usd"), None);
    let row = records(&gateway, 1, "").remove(0);
    assert_eq!(
        (&row["cost_usd"], &row["billed_usd"]),
        (&Value::Null, &Value::Null),
        "{row:#}"
    );
    assert_eq!(row["tokens"]["input"], 9);
    let sums = read(&gateway, "/admin/v1/usage?group_by=key");
    assert_eq!(
        (&sums["items"][0]["unpriced"], &sums["items"][0]["cost_usd"]),
        (&json!(1), &json!("0")),
        "{sums}"
    );
    assert_eq!(gateway.metric("cirque_unpriced_requests_total", &["model=\"m\""]), 1.0);
    gateway.edit(|text| format!("{text}prices: {{ unknown: refuse }}\n"));
    gateway.reload();
    bounded(&gateway).expect_error(403, "permission_error", "model_without_price");
    // Without a hard budget nobody asks.
    let free = make_key(&gateway, "free", json!({"budgets": [{"usd": "1", "soft": true}]}));
    chat_as(&gateway, &free).ok();
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_margin_is_what_tenants_are_billed_and_budgets_count() {
    let upstream = both();
    let gateway = with_budget(&upstream, "{ usd: \"9\", period: total }");
    gateway.edit(|text| format!("{text}prices: {{ margin: \"10%\" }}\n"));
    gateway.reload();
    bounded(&gateway).ok();
    assert_eq!(settled(&gateway, "key", "k"), "0.0363");
    let row = records(&gateway, 1, "").remove(0);
    assert_eq!(
        (&row["cost_usd"]["total"], &row["billed_usd"]),
        (&json!(COST), &json!("0.0363"))
    );
}
