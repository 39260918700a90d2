//! The ledger of the whole process: one record of every request, one of every call where there were several.

use super::*;
use crate::support::gateway::two;
use crate::support::upstream::{CHAT as ANSWER, error_body, json_answer};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn a_record_says_who_what_and_how_much() {
    let upstream = Upstream::ok();
    let gateway = gateway(
        &upstream,
        "organisations: { o: { tags: [ all ] } }\nteams: { t: { organisation: o, tags: [ blue ] } }\n\
         projects: { search: { team: t, tags: [ nightly, blue ] } }\nusers: { ann: { team: t } }\n\
         keys: { k: { secret: env:KEY, project: search, user: ann, tags: [ ci ] } }",
    );
    let headers = format!(
        "{}x-request-id: the-client-s-own\r\nx-cirque-metadata: {{\"job\":\"42\",\"retry\":3,\"dry\":false}}\r\n",
        bearer(KEY)
    );
    let began = jiff::Timestamp::now().as_millisecond();
    let answer = gateway.post_with(CHAT, &headers, chat("m")).ok();
    assert_eq!(answer.header("x-request-id"), Some("the-client-s-own"));
    let row = records(&gateway, 1, "").remove(0);
    let expected = json!({
        "attempt": 0, "request_id": "the-client-s-own", "operation": "chat", "model": "m", "target": "p/up", "provider": "p",
        "purpose": "first", "status": 200, "outcome": "ok", "cache": "off", "stream": false, "estimated": false,
        "tenant": {"organisation": "o", "team": "t", "project": "search", "user": "ann", "key": "k"},
        "tags": ["all", "blue", "ci", "nightly"], "metadata": {"job": "42", "retry": 3, "dry": false},
        "tokens": {"input": 9, "output": 12, "cached": 3, "cache_write": 0, "reasoning": 5, "audio": 0},
        "cost_usd": {"input": "0.006", "cached": "0.003", "output": "0.014", "reasoning": "0.01", "total": COST},
        "billed_usd": COST,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name}");
    }
    let at = row["at"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_millisecond();
    assert!(
        at >= began - 1 && at <= jiff::Timestamp::now().as_millisecond(),
        "{at} {began}"
    );
    assert_eq!(row["id"].as_str().unwrap().len(), 36);
    // The same id of a client twice is two requests.
    gateway.post_with(CHAT, &headers, chat("m")).ok();
    let rows = records(&gateway, 2, "");
    assert_ne!(rows[0]["id"], rows[1]["id"]);
    // Calls of a request that made one are not told again.
    records(&gateway, 2, "&attempts=true");
    for (filter, count) in [
        ("&team=t", 2),
        ("&tag=ci", 2),
        ("&key=other", 0),
        ("&model=m&provider=p&operation=chat", 2),
    ] {
        records(&gateway, count, filter);
    }
    let sums = read(&gateway, "/admin/v1/usage?group_by=team,tag");
    let groups = sums["items"].as_array().unwrap();
    assert_eq!(groups.len(), 4, "{sums}");
    assert!(
        groups
            .iter()
            .all(|group| group["requests"] == 2 && group["cost_usd"] == "0.066"),
        "{sums}"
    );
}

#[test]
fn every_call_of_a_request_has_a_record_where_there_were_several() {
    let (bad, good) = (
        Upstream::always(json_answer(500, &error_body("broken"))),
        Upstream::ok(),
    );
    let text = two(&bad.url(), &good.url()).replace(
        "model: spare }",
        "model: spare, price: { input: \"1000\", output: \"2000\" } }",
    );
    let gateway = builder(format!("{text}keys: {{ k: {{ secret: env:KEY }} }}\n")).start();
    chat_as(&gateway, KEY).ok();
    let rows = records(&gateway, 1, "");
    assert_eq!(
        (&rows[0]["billed_usd"], &rows[0]["provider"], &rows[0]["purpose"]),
        (&json!(COST), &json!("b"), &json!("fallback"))
    );
    let mut rows = records(&gateway, 3, "&attempts=true");
    rows.sort_by_key(|row| row["attempt"].as_u64());
    assert!(rows.iter().all(|row| row["id"] == rows[0]["id"]));
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["attempt"].as_u64().unwrap(),
                row["target"].as_str().unwrap(),
                row["purpose"].as_str().unwrap(),
                row["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, "b/spare", "fallback", 200),
            (1, "a/up", "first", 0),
            (2, "b/spare", "fallback", 200)
        ]
    );
    assert_ne!(rows[1]["outcome"], "ok");
    // Sums count requests, not calls.
    let sums = read(&gateway, "/admin/v1/usage");
    assert_eq!(
        (&sums["items"][0]["requests"], &sums["items"][0]["cost_usd"]),
        (&json!(1), &json!(COST)),
        "{sums}"
    );
}

#[test]
fn a_hedge_is_a_call_of_its_own_and_charged() {
    let gate = crate::support::Gate::default();
    let opened = gate.clone();
    let slow = Upstream::script(move |conn| {
        while conn.request().is_some() {
            opened.wait();
            conn.send(json_answer(200, ANSWER));
        }
    });
    let quick = Upstream::ok();
    let price = "price: { input: \"1000\", output: \"2000\" }";
    let text = format!(
        "providers:\n  a: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\n  \
         b: {{ kind: openai, base_url: \"{}\", api_key: env:UP_KEY }}\nmodels:\n  \
         m: {{ hedge: {{ after: 50ms, budget_percent: 100 }}, targets: [ {{ provider: a, model: up, {price} }}, \
         {{ provider: b, model: spare, tier: 1, {price} }} ] }}\n\
         keys: {{ k: {{ secret: env:KEY, budgets: [ {{ usd: \"90\", period: total }} ] }} }}\n",
        slow.url(),
        quick.url()
    );
    let gateway = builder(text).start();
    let answer = chat_as(&gateway, KEY).ok();
    gate.open();
    if answer.header("x-cirque-target") != Some("b/spare") {
        // The machine was so slow that the first call won.
        return;
    }
    let mut rows = records(&gateway, 3, "&attempts=true");
    rows.sort_by_key(|row| row["attempt"].as_u64());
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["purpose"].as_str().unwrap(),
                row["outcome"].as_str().unwrap(),
                row["billed_usd"].as_str().unwrap(),
            )
        })
        .collect();
    // Of the one that was overtaken the prompt counts, whose tokens the other told.
    assert_eq!(
        told,
        [
            ("hedge", "ok", "0.042"),
            ("first", "overtaken", "0.009"),
            ("hedge", "ok", COST)
        ]
    );
    assert_eq!(settled(&gateway, "key", "k"), "0.042");
}

#[test]
fn what_was_refused_or_failed_has_a_record_and_what_nobody_asked_has_none() {
    let upstream = Upstream::always(json_answer(400, &error_body("wrong")));
    let gateway = gateway(
        &upstream,
        "keys: { k: { secret: env:KEY, denied_models: [ \"no*\" ] } }",
    );
    gateway.post_with("/v1/nothing", &bearer(KEY), "{}");
    gateway.post("/v1/chat/completions", chat("m"));
    chat_as(&gateway, "nobodys-0123456789-0123456789");
    assert_eq!(chat_as(&gateway, KEY).status, 400);
    gateway.post_with(CHAT, &bearer(KEY), "{");
    gateway.post_with(CHAT, &bearer(KEY), chat("no"));
    gateway.post_with(CHAT, &bearer(KEY), chat("unknown"));
    let rows = records(&gateway, 4, "");
    let mut told: Vec<_> = rows.iter().map(|row| row["status"].as_u64().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, [400, 400, 404, 404], "{rows:#?}");
    assert!(
        rows.iter()
            .all(|row| row["outcome"] != "ok" && row["tenant"]["key"] == "k"),
        "{rows:#?}"
    );
}
