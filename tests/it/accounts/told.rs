//! Passthrough that is charged: what answers tell of themselves, heard while they pass and byte for byte as they came.

use super::*;
use crate::support::upstream::{CHAT as ANSWER, CHUNK, DONE, USAGE, answer, json_answer, stream_answer};

/// The blocks of a gateway whose rules are charged, but for `/v1/files`; the key has a budget and a limit on tokens.
fn charged(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let text = format!(
        "{TIMEOUTS}providers:\n  p: {{ kind: openai, base_url: \"{url}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ targets: [ {{ provider: p, model: up, price: {{ input: \"1000\", output: \"2000\" }} }} ] }}\n  \
         any-*: {{ targets: [ {{ provider: p, model: \"*\" }} ] }}\n  \
         spoken: {{ targets: [ {{ provider: p, model: whisper, price: {{ input: \"1000\", output: \"2000\", request: \"0.006\" }} }} ] }}\n\
         passthrough:\n  - {{ path: /v1/fim, pool: m, usage: true }}\n  - {{ path: /v1/any, pool: \"any-*\", usage: true }}\n  \
         - {{ path: /v1/audio, pool: spoken, usage: true }}\n  - {{ path: /v1/files, pool: m }}\n\
         keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"1\", period: total }} ], limits: [ {{ tokens: 100000, per: 24h }} ] }} }}\n"
    );
    builder(text).start()
}

/// Answers with `of` the path.
fn by_path(of: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Upstream {
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            conn.send(of(request.line.split(' ').nth(1).unwrap()));
        }
    })
}

fn ask(gateway: &Gateway, path: &str) -> Response {
    gateway.post_with(
        path,
        &format!("{}accept-encoding: gzip\r\n", bearer(KEY)),
        r#"{"model":"gpt-4o","stream":true}"#,
    )
}

/// Tokens in and out, and the cost, of the newest record.
#[track_caller]
fn newest(gateway: &Gateway, count: usize) -> (u64, u64, Option<String>) {
    let row = records(gateway, count, "").pop().unwrap();
    let tokens = |kind: &str| row["tokens"][kind].as_u64().unwrap();
    // What costs the price of a request is not known to have used nothing.
    let estimated = tokens("input") == 0 && !row["cost_usd"].is_null() && row["outcome"] == "ok";
    assert_eq!(
        (&row["operation"], &row["estimated"]),
        (&json!("passthrough"), &json!(estimated)),
        "{row}"
    );
    let cost = row["cost_usd"]["total"].as_str().map(str::to_owned);
    (tokens("input"), tokens("output"), cost)
}

#[test]
fn what_an_answer_tells_is_recorded_and_charged() {
    let upstream = by_path(|_| json_answer(200, ANSWER));
    let gateway = charged(&upstream);
    let passed = ask(&gateway, "/v1/fim/completions").ok();
    assert_eq!(passed.text(), ANSWER);
    // Three of the tokens were cached: at the price of others where there is none of their own.
    assert_eq!(newest(&gateway, 1), (9, 12, Some(COST.to_owned())));
    assert_eq!(settled(&gateway, "key", "k"), COST);
    let limits = read(&gateway, "/admin/v1/limits?scope=key&name=k");
    assert_eq!(limits["items"][0]["used"], 21, "{limits}");
    assert_eq!(upstream.request().header("accept-encoding"), Some("identity"));
    let labels = ["model=\"m\"", "kind=\"output\""];
    assert_eq!(gateway.metric("cirque_tokens_total", &labels), 12.0);
    // Until the budget is used up, which then refuses: 31 answers are 1.023 dollars.
    let mut answered = 1;
    let refused = eventually("it is used up", || {
        let answer = ask(&gateway, "/v1/fim/completions");
        answered += u64::from(answer.status == 200);
        Some(answer).filter(|answer| answer.status != 200)
    });
    refused.expect_error(429, "insufficient_quota", "budget_exceeded");
    let spent = nano(&settled(&gateway, "key", "k"));
    assert_eq!(spent, answered * nano(COST));
    assert!(spent >= 1_000_000_000, "{spent}");
}

#[test]
fn streams_and_long_answers_pass_as_they_came() {
    let long = format!(
        r#"{{"data":[{{"b64_json":"{}","usage":{{"prompt_tokens":1}}}}],"model":"up","usage":{{"prompt_tokens":9,"completion_tokens":12}}}}"#,
        "QUJD".repeat(700_000)
    );
    let whole = long.clone();
    let upstream = by_path(move |path| match path {
        "/v1/fim/stream" => stream_answer(&[CHUNK, USAGE, DONE]),
        "/v1/fim/messages" => stream_answer(&crate::support::upstream::MESSAGE_EVENTS),
        _ => json_answer(200, &whole),
    });
    let gateway = charged(&upstream);
    assert_eq!(
        ask(&gateway, "/v1/fim/stream").ok().text(),
        [CHUNK, USAGE, DONE].concat()
    );
    assert_eq!(newest(&gateway, 1), (9, 12, Some(COST.to_owned())));
    let events = crate::support::upstream::MESSAGE_EVENTS.concat();
    assert_eq!(ask(&gateway, "/v1/fim/messages").ok().text(), events);
    assert_eq!(newest(&gateway, 2), (9, 12, Some(COST.to_owned())));
    assert!(ask(&gateway, "/v1/fim/images").ok().text() == long);
    assert_eq!(newest(&gateway, 3), (9, 12, Some(COST.to_owned())));
    assert_eq!(nano(&settled(&gateway, "key", "k")), 3 * nano(COST));
}

#[test]
fn the_price_is_that_of_the_model_that_answered() {
    let tokens = r#""usage":{"prompt_tokens":1000,"completion_tokens":1000}}"#;
    let upstream = by_path(move |path| {
        let model = path.rsplit('/').next().unwrap();
        json_answer(200, &format!(r#"{{"model":"{model}",{tokens}"#))
    });
    let gateway = charged(&upstream);
    let mut count = 0;
    for (path, cost) in [
        // What the table says, whatever the pool's own model costs, and under a dated name.
        ("/v1/fim/gpt-4o", Some("0.0125")),
        ("/v1/fim/gpt-4o-2024-08-06", Some("0.0125")),
        ("/v1/any/gpt-4o", Some("0.0125")),
        // Nobody knows: recorded, and never nothing.
        ("/v1/fim/mystery", None),
        ("/v1/fim/up-dearer", None),
        ("/v1/any/mystery", None),
    ] {
        ask(&gateway, path).ok();
        count += 1;
        assert_eq!(newest(&gateway, count), (1000, 1000, cost.map(str::to_owned)), "{path}");
    }
    assert_eq!(settled(&gateway, "key", "k"), "0.0375");
    gateway.wait_metric("cirque_unpriced_requests_total", &[], 3.0);
}

#[test]
fn an_answer_that_names_no_model_is_the_pools() {
    let upstream = by_path(|path| match path {
        "/v1/audio/tokens" => json_answer(
            200,
            r#"{"text":"hi","usage":{"type":"tokens","input_tokens":9,"output_tokens":12}}"#,
        ),
        "/v1/audio/duration" => json_answer(200, r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#),
        "/v1/audio/plain" => answer(200, "content-type: text/plain\r\n", "hi"),
        _ => json_answer(200, r#"{"usage":{"input_tokens":9,"output_tokens":12}}"#),
    });
    let gateway = charged(&upstream);
    for (count, (path, expected)) in [
        ("/v1/audio/tokens", (9, 12, Some("0.039"))),
        // What has a price of a request costs that, if nothing else is told.
        ("/v1/audio/duration", (0, 0, Some("0.006"))),
        ("/v1/audio/plain", (0, 0, Some("0.006"))),
        // Whatever clients ask for there: whose price?
        ("/v1/any/thing", (9, 12, None)),
    ]
    .into_iter()
    .enumerate()
    {
        ask(&gateway, path).ok();
        let (input, output, cost) = newest(&gateway, count + 1);
        assert_eq!((input, output, cost.as_deref()), expected, "{path}");
    }
    assert_eq!(settled(&gateway, "key", "k"), "0.051");
}

#[test]
fn what_is_not_told_or_was_made_before_is_not_charged() {
    let upstream = by_path(|path| match path {
        "/v1/fim/packed" => answer(
            200,
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            ANSWER,
        ),
        "/v1/fim/binary" => answer(200, "content-type: application/octet-stream\r\n", ANSWER),
        "/v1/fim/bad" => json_answer(400, ANSWER),
        "/v1/fim/cut" => json_answer(200, &ANSWER[..ANSWER.len() - 1]),
        "/v1/fim/nested" => json_answer(200, &format!(r#"{{"model":"up","metadata":{ANSWER}}}"#)),
        _ => json_answer(200, ANSWER),
    });
    let gateway = charged(&upstream);
    let mut count = 0;
    for path in ["packed", "binary", "bad", "nested"] {
        ask(&gateway, &format!("/v1/fim/{path}"));
        count += 1;
        let (input, output, cost) = newest(&gateway, count);
        assert_eq!((input, output), (0, 0), "{path}");
        assert!(cost.is_none() || path == "bad", "{path} {cost:?}");
    }
    // Its figures end where it was cut: perhaps there was more to come.
    ask(&gateway, "/v1/fim/cut").ok();
    assert_eq!(newest(&gateway, 5), (0, 0, None));
    // A look at what was made before; and a rule that is not charged.
    get_as(&gateway, KEY, "/v1/fim/responses").ok();
    assert_eq!(newest(&gateway, 6), (0, 0, None));
    ask(&gateway, "/v1/files").ok();
    assert_eq!(newest(&gateway, 7), (0, 0, None));
    let asked = upstream.requests();
    assert_eq!(asked.last().unwrap().header("accept-encoding"), Some("gzip"));
    assert_eq!(settled(&gateway, "key", "k"), "0");
}
