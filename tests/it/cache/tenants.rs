//! Whose answers a request may get: nobody else's, whatever is asked and however much at once; and what changes for a caller holds
//! for hits from that moment on.

use super::{ask, cached, content, counting, until_hit, whole};
use crate::accounts::{admin, bearer, builder, make_key, read, records, settled};
use crate::support::client::{Client, Response, post};
use crate::support::upstream::json_answer;
use crate::support::{Gate, Gateway, Upstream, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

const CHAT: &str = "/v1/chat/completions";

/// Two teams of one organisation and one of another; secrets are names.
const TENANTS: &str = "organisations: { acme: {}, other: {} }\n\
    teams: { blue: { organisation: acme }, red: { organisation: acme }, green: { organisation: other } }\n\
    keys:\n  blue-1: { secret: env:BLUE_1, team: blue }\n  blue-2: { secret: env:BLUE_2, team: blue }\n  \
    red-1: { secret: env:RED_1, team: red }\n  green-1: { secret: env:GREEN_1, team: green }\n";
const KEYS: [&str; 4] = ["blue-1", "blue-2", "red-1", "green-1"];

fn secret(key: &str) -> String {
    format!("secret-of-{key}-0123456789-0123456789")
}

fn start(body: String) -> Gateway {
    let mut builder = builder(body);
    for key in KEYS {
        builder = builder.env(&key.to_uppercase().replace('-', "_"), secret(key));
    }
    builder.start()
}

fn of_tenants(upstream: &Upstream, policy: &str) -> Gateway {
    start(cached(upstream, policy) + TENANTS)
}

/// As the holder of this secret.
#[track_caller]
fn ask_as(gateway: &Gateway, secret: &str, body: &Value) -> Response {
    gateway.post_with(CHAT, &bearer(secret), body.to_string())
}

fn result(response: &Response) -> &str {
    response.header("x-cirque-cache").unwrap_or("none")
}

/// Asks, so that the answer is kept, and goes on until it is served.
#[track_caller]
fn kept(gateway: &Gateway, secret: &str, body: &Value) -> Response {
    let response = ask_as(gateway, secret, body).ok();
    if result(&response) == "hit" {
        return response;
    }
    found(gateway, secret, body)
}

/// What is kept of an answer that was sent already. Nothing that is asked meanwhile takes its place.
#[track_caller]
fn found(gateway: &Gateway, secret: &str, body: &Value) -> Response {
    let headers = format!("{}x-cirque-cache: no-store\r\n", bearer(secret));
    eventually("it is kept", || {
        let response = gateway.post_with(CHAT, &headers, body.to_string()).ok();
        (result(&response) == "hit").then_some(response)
    })
}

#[test]
fn who_shares_answers_is_what_the_scope_says_and_nobody_else() {
    for (scope, sharing) in [
        ("key", &["blue-1"][..]),
        ("user", &["blue-1"]),
        ("project", &["blue-1"]),
        ("team", &["blue-1", "blue-2"]),
        ("organisation", &["blue-1", "blue-2", "red-1"]),
    ] {
        let upstream = counting();
        let gateway = of_tenants(&upstream, &format!("{{ mode: exact, scope: {scope} }}"));
        let body = ask("What is in the box?");
        let first = content(&kept(&gateway, &secret("blue-1"), &body));
        for key in KEYS {
            let headers = format!(
                "{}x-cirque-cache-scope: organisation\r\nx-cirque-metadata: {{\"team\":\"blue\"}}\r\n",
                bearer(&secret(key))
            );
            let response = gateway.post_with(CHAT, &headers, body.to_string()).ok();
            let shares = sharing.contains(&key);
            assert_eq!(result(&response), if shares { "hit" } else { "miss" }, "{scope}: {key}");
            assert_eq!(content(&response) == first, shares, "{scope}: {key}");
        }
    }
}

#[test]
fn a_team_that_shares_with_all_neither_reads_nor_is_read_by_one_that_does_not() {
    let upstream = counting();
    let tenants = TENANTS.replace(
        "blue: { organisation: acme }",
        "blue: { organisation: acme, cache: { scope: organisation } }",
    );
    let gateway = start(cached(&upstream, "{ mode: exact, scope: team }") + &tenants);
    let body = ask("What is in the box?");
    let blue = content(&kept(&gateway, &secret("blue-1"), &body));
    let red = ask_as(&gateway, &secret("red-1"), &body).ok();
    assert!(result(&red) == "miss" && content(&red) != blue);
    let again = found(&gateway, &secret("red-1"), &body);
    assert_eq!(content(&again), content(&red));
    assert_eq!(content(&found(&gateway, &secret("blue-2"), &body)), blue);
}

#[test]
fn identical_requests_under_way_of_two_tenants_are_two_calls() {
    let gate = Gate::default();
    let count = AtomicUsize::new(0);
    let upstream = {
        let gate = gate.clone();
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                let n = count.fetch_add(1, Ordering::SeqCst) + 1;
                gate.wait();
                conn.send(json_answer(200, &whole(n)));
            }
        })
    };
    let gateway = of_tenants(&upstream, "{ mode: exact, scope: team }");
    let body = ask("What is in the box?").to_string();
    let mut clients: Vec<Client> = KEYS
        .iter()
        .map(|key| {
            let mut client = gateway.client();
            client.post(CHAT, &bearer(&secret(key)), &body);
            client
        })
        .collect();
    eventually("all are asked", || (upstream.count() == 3).then_some(()));
    gateway.wait_metric("cirque_in_flight_requests", &[], 4.0);
    gate.open();
    let answers: Vec<String> = clients
        .iter_mut()
        .map(|client| content(&client.response().ok()))
        .collect();
    assert_eq!(answers[0], answers[1], "one team");
    let different: BTreeSet<_> = answers.iter().collect();
    assert_eq!((different.len(), upstream.count()), (3, 3));
}

/// A question of many that look alike.
fn look_alike(number: usize) -> String {
    let n = number / 8;
    match number % 8 {
        0 => format!("How do I connect the pump of model {n} to the tank?"),
        1 => format!("Tell me how to connect the pump of model {n} to the tank"),
        2 => format!("How do I connect the tank of model {n} to the pump?"),
        3 => format!("How do I disconnect the pump of model {n} from the tank?"),
        4 => format!("how do i connect the pump of model {n} to the tank"),
        5 => format!("What does part {n} of the pump cost?"),
        6 => format!("What does part {n} of the tank cost?"),
        _ => format!("How much is part {n} of the pump?"),
    }
}

/// So many requests of two tenants at once, each asking the same questions in another order. No answer may reach both.
fn flood(gateway: &Gateway, requests: usize, questions: usize) -> [usize; 3] {
    const THREADS: usize = 8;
    let tenants = ["blue-1", "green-1"].map(|key| bearer(&secret(key)));
    let run = |thread: usize| {
        let mut client = gateway.client();
        let (mut seen, mut results) = (BTreeSet::new(), [0; 3]);
        for n in 0..requests / THREADS {
            // Coprime steps: every thread meets every question, in its own order.
            let step = [7, 11, 13, 17][thread / 2];
            let text = look_alike((n * step + thread * 31) % questions);
            client.send(post(CHAT, &tenants[thread % 2], ask(&text).to_string()));
            let response = client.response().ok();
            seen.insert(content(&response));
            match result(&response) {
                "miss" => results[0] += 1,
                "hit" | "followed" => results[1] += 1,
                "semantic" => results[2] += 1,
                other => panic!("{other}: {text}"),
            }
        }
        (seen, results)
    };
    let run = &run;
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all = [BTreeSet::new(), BTreeSet::new()];
    let mut sum = [0; 3];
    for (thread, (seen, results)) in done.into_iter().enumerate() {
        all[thread % 2].extend(seen);
        for (sum, result) in sum.iter_mut().zip(results) {
            *sum += result;
        }
    }
    let crossed: Vec<_> = all[0].intersection(&all[1]).collect();
    assert!(
        crossed.is_empty(),
        "answers of one tenant that the other got: {crossed:?}"
    );
    sum
}

#[test]
fn ten_thousand_look_alikes_of_two_tenants_and_none_crosses() {
    let upstream = counting();
    let models = super::alike::models();
    let mode = if models.is_some() { "semantic" } else { "exact" };
    let tier = models.map_or(String::new(), |models| {
        format!("cache: {{ semantic: {{ models: \"{}\" }} }}\n", models.display())
    });
    let policy = format!("{{ mode: {mode}, scope: organisation, time_limit: 30ms }}");
    let gateway = start(cached(&upstream, &policy) + TENANTS + &tier);
    let began = std::time::Instant::now();
    let [miss, hit, semantic] = flood(&gateway, 10_000, 960);
    println!(
        "10000 requests of two tenants in {:?}: {miss} misses, {hit} hits, {semantic} by likeness",
        began.elapsed()
    );
    assert!(hit > 1_000, "{hit}");
    // How many are in time depends on the machine; that it looked does not.
    assert!(mode == "exact" || gateway.metric("cirque_cache_semantic_total", &[]) > 0.0);
    assert_eq!(
        miss,
        upstream.count(),
        "each miss, and nothing else, asked the provider"
    );
}

#[test]
fn access_that_is_taken_away_holds_for_hits_at_once() {
    let upstream = counting();
    let another = cached(&upstream, "{ mode: exact, scope: team }")
        .replace("providers: {", "providers: { q: { kind: demo }, ")
        .replace("models: {", "models: { another: { targets: [ { provider: q } ] }, ");
    let gateway = start(another + TENANTS);
    let body = ask("What is in the box?");
    kept(&gateway, &secret("blue-1"), &body);
    let asked = upstream.count();
    let settings = |settings: Value| {
        let changed = admin(&gateway, "PATCH", "/admin/v1/keys/ci", &json!({ "settings": settings }));
        assert_eq!(changed.status, 200, "{}", changed.text());
    };
    let ci = make_key(&gateway, "ci", json!({"team": "blue"}));
    let hit = || assert_eq!(result(&ask_as(&gateway, &ci, &body).ok()), "hit");
    let denied = |code: &str| {
        ask_as(&gateway, &ci, &body).expect_error(403, "permission_error", code);
    };
    hit();
    settings(json!({"models": ["another"]}));
    denied("model_not_allowed");
    settings(json!({"models": null}));
    hit();
    settings(json!({"denied_models": ["m"]}));
    denied("model_not_allowed");
    settings(json!({"denied_models": null}));
    settings(json!({"providers": ["q"]}));
    assert_eq!(ask_as(&gateway, &ci, &body).status, 403);
    settings(json!({"providers": null}));
    hit();
    settings(json!({"operations": ["embeddings"]}));
    assert_eq!(ask_as(&gateway, &ci, &body).status, 403);
    settings(json!({"operations": null}));
    settings(json!({"cache": {"mode": "off"}}));
    assert_eq!(result(&ask_as(&gateway, &ci, &body).ok()), "none");
    settings(json!({"cache": null}));
    hit();
    settings(json!({"disabled": true}));
    assert_eq!(ask_as(&gateway, &ci, &body).status, 401);
    settings(json!({"disabled": null}));
    hit();
    admin(&gateway, "POST", "/admin/v1/keys/ci/revoke", &Value::Null).ok();
    ask_as(&gateway, &ci, &body).expect_error(401, "authentication_error", "invalid_api_key");
    assert_eq!(
        upstream.count(),
        asked + 1,
        "only where the cache was off was the provider asked"
    );
}

/// Two providers behind one model; the first answers.
fn two_providers(first: &Upstream, second: &Upstream) -> String {
    format!(
        "providers:\n  p: {{ kind: openai, base_url: \"{}\" }}\n  q: {{ kind: openai, base_url: \"{}\" }}\n\
         models:\n  m: {{ targets: [ {{ provider: p, model: up }}, {{ provider: q, model: up, tier: 1 }} ], cache: {{ mode: exact, scope: team }} }}\n",
        first.url(),
        second.url()
    )
}

#[test]
fn an_answer_of_a_provider_that_the_key_may_not_use_is_not_served_to_it() {
    let gate = Gate::default();
    let slow = {
        let gate = gate.clone();
        Upstream::script(move |conn| {
            while conn.request().is_some() {
                gate.wait();
                conn.send(json_answer(200, &whole(1)));
            }
        })
    };
    let other = Upstream::always(json_answer(200, &whole(2)));
    let gateway = start(two_providers(&slow, &other) + TENANTS);
    let narrow = make_key(&gateway, "narrow", json!({"team": "blue", "providers": ["q"]}));
    let body = ask("What is in the box?");
    // While it is under way it is not followed,
    let mut leader = gateway.client();
    leader.post(CHAT, &bearer(&secret("blue-1")), body.to_string());
    eventually("the first is asked", || (slow.count() == 1).then_some(()));
    let own = {
        let mut client = gateway.client();
        client.post(
            CHAT,
            &format!("{}x-cirque-cache: no-store\r\n", bearer(&narrow)),
            body.to_string(),
        );
        client.response().ok()
    };
    assert_eq!((result(&own), content(&own)), ("miss", "answer 2".to_owned()));
    gate.open();
    assert_eq!(content(&leader.response().ok()), "answer 1");
    // and when it is kept it is not served.
    assert_eq!(content(&found(&gateway, &secret("blue-2"), &body)), "answer 1");
    let own = ask_as(&gateway, &narrow, &body).ok();
    assert_eq!((result(&own), content(&own)), ("miss", "answer 2".to_owned()));
}

/// With a price that makes an answer cost 0.009 + 0.006 dollars.
fn priced(upstream: &Upstream, more: &str) -> String {
    cached(upstream, "{ mode: exact, scope: team }").replace(
        "model: up }",
        "model: up, price: { input: \"1000\", output: \"2000\" } }",
    ) + TENANTS
        + more
}

#[test]
fn a_hit_is_a_request_that_costs_nothing_and_its_record_says_what_it_saved() {
    let upstream = counting();
    let gateway = start(priced(&upstream, ""));
    let budget = json!({"team": "blue", "budgets": [{"usd": "100", "period": "total", "name": "pot"}]});
    let ci = make_key(&gateway, "ci", budget);
    let body = ask("What is in the box?");
    let paid = kept(&gateway, &secret("blue-1"), &body);
    assert_eq!(paid.header("x-cirque-cost-usd"), Some("0"));
    let asked = upstream.count();
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        let hit = ask_as(&gateway, &ci, &body).ok();
        assert_eq!((result(&hit), hit.header("x-cirque-cost-usd")), ("hit", Some("0")));
    }
    assert_eq!(settled(&gateway, "key", "ci"), "0");
    assert_eq!(upstream.count(), asked);
    for row in records(&gateway, 2, "&key=ci") {
        for (name, value) in [
            ("cache", json!("hit")),
            ("status", json!(200)),
            ("outcome", json!("ok")),
            ("billed_usd", json!("0")),
            ("saved_usd", json!("0.015")),
            ("model", json!("m")),
        ] {
            assert_eq!(row[name], value, "{name}: {row}");
        }
        assert_eq!(
            (&row["tokens"]["input"], &row["tokens"]["output"]),
            (&json!(9), &json!(3)),
            "{row}"
        );
    }
    let sums = read(&gateway, "/admin/v1/usage?group_by=key,cache");
    let of = |key: &str, cache: &str| {
        let items = sums["items"].as_array().unwrap();
        let found = items
            .iter()
            .find(|item| item["group"]["key"] == key && item["group"]["cache"] == cache);
        found.cloned().unwrap_or_else(|| panic!("{key} {cache}: {sums}"))
    };
    let hits = of("ci", "hit");
    assert_eq!(
        (&hits["requests"], &hits["cost_usd"], &hits["saved_usd"]),
        (&json!(2), &json!("0"), &json!("0.03")),
        "{hits}"
    );
    assert_eq!(of("blue-1", "miss")["cost_usd"], "0.015");
    assert!(gateway.metric("cirque_cache_saved_usd_total", &["m"]) > 0.03 - 1e-9);
    assert!(gateway.metric("cirque_cache_team_saved_usd_total", &["blue"]) > 0.03 - 1e-9);
}

#[test]
fn limits_and_budgets_run_before_the_cache() {
    let upstream = counting();
    let gateway = start(priced(&upstream, ""));
    let body = ask("What is in the box?");
    kept(&gateway, &secret("blue-1"), &body);
    let asked = upstream.count();
    let counted = make_key(
        &gateway,
        "counted",
        json!({"team": "blue", "limits": [{"requests": 3, "per": "1h"}]}),
    );
    for _ in 0..3 {
        assert_eq!(result(&ask_as(&gateway, &counted, &body).ok()), "hit");
    }
    assert_eq!(
        ask_as(&gateway, &counted, &body).status,
        429,
        "a hit counts as a request"
    );
    // A budget with no room for any call: refused before anything is looked up.
    let poor = make_key(
        &gateway,
        "poor",
        json!({"team": "blue", "budgets": [{"usd": "0.000001", "period": "total"}]}),
    );
    ask_as(&gateway, &poor, &body).expect_error(429, "insufficient_quota", "budget_exceeded");
    assert_eq!(upstream.count(), asked);
    // Hits do not eat the budget: as many as one likes.
    let small = make_key(
        &gateway,
        "small",
        json!({"team": "blue", "budgets": [{"usd": "2", "period": "total"}]}),
    );
    let mut bounded = ask("What is in the box?");
    bounded["max_tokens"] = json!(3);
    kept(&gateway, &secret("blue-1"), &bounded);
    for _ in 0..20 {
        assert_eq!(result(&ask_as(&gateway, &small, &bounded).ok()), "hit");
    }
    assert_eq!(settled(&gateway, "key", "small"), "0");
}

#[test]
fn nobody_stores_for_another() {
    // Poisoning: a tenant asks what another will ask, and whatever it writes stays with it.
    let upstream = counting();
    let gateway = of_tenants(&upstream, "{ mode: exact, scope: team }");
    let body = ask("What is in the box?");
    let bad = kept(&gateway, &secret("green-1"), &body);
    let id = bad.header("x-cirque-cache-id").unwrap().to_owned();
    let good = ask_as(&gateway, &secret("blue-1"), &body).ok();
    assert!(result(&good) == "miss" && content(&good) != content(&bad));
    // Nor may it report, and so delete, what is another's.
    let own = kept(&gateway, &secret("blue-1"), &body);
    let report = json!({"id": own.header("x-cirque-cache-id").unwrap()}).to_string();
    let refused = gateway.post_with("/cirque/v1/cache/feedback", &bearer(&secret("green-1")), &report);
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert_eq!(result(&ask_as(&gateway, &secret("blue-1"), &body).ok()), "hit");
    let refused = gateway.post_with(
        "/cirque/v1/cache/feedback",
        &bearer(&secret("blue-1")),
        json!({ "id": id }).to_string(),
    );
    assert_eq!(refused.status, 404, "{}", refused.text());
    // Its own it may.
    gateway
        .post_with("/cirque/v1/cache/feedback", &bearer(&secret("blue-2")), &report)
        .ok();
    assert_eq!(result(&ask_as(&gateway, &secret("blue-1"), &body).ok()), "miss");
    // The model of one tenant's request is nobody's to choose: without a key nothing is shared with anybody.
    let open = Gateway::with(cached(&upstream, "{ mode: exact, scope: organisation }"));
    until_hit(&open, CHAT, &body);
}
