//! Two gateways on one Redis: what one keeps the other serves, what one deletes is gone on the other, and Redis may go away.

use super::{ask, cached, content, counting, until_hit};
use crate::accounts::{OWNER, admin, read};
use crate::support::client::Response;
use crate::support::gateway::Builder;
use crate::support::redis::{Redis, installed};
use crate::support::{Gateway, Upstream, eventually};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const CHAT: &str = "/v1/chat/completions";
const NO_STORE: &str = "x-cirque-cache: no-store\r\n";

fn start(upstream: &Upstream, redis: &Redis) -> Gateway {
    with(cached(upstream, "{ mode: exact }"), redis)
}

fn with(body: String, redis: &Redis) -> Gateway {
    let body = format!("{body}redis: {{ urls: [ \"{}\" ], timeout: 500ms }}\n", redis.url());
    let operators = "operators: { root: { role: owner, token: env:OWNER } }";
    let gateway = Builder::new(body).admin(operators).env("OWNER", OWNER).start();
    shared_up(&gateway, true);
    gateway
}

#[track_caller]
fn shared_up(gateway: &Gateway, up: bool) {
    eventually("the shared tier comes or goes", || {
        (read(gateway, "/admin/v1/cache")["shared_up"] == up).then_some(())
    });
}

#[track_caller]
fn get(gateway: &Gateway, text: &str, headers: &str) -> Response {
    gateway.post_with(CHAT, headers, ask(text).to_string()).ok()
}

fn result(response: &Response) -> &str {
    response.header("x-cirque-cache").unwrap_or("none")
}

fn in_redis(redis: &Redis) -> Vec<String> {
    redis.command(&["KEYS", "*cache:e:*"])
}

/// Kept on this one, and in Redis.
#[track_caller]
fn kept(gateway: &Gateway, redis: &Redis, text: &str) -> Response {
    let before = in_redis(redis).len();
    let response = until_hit(gateway, CHAT, &ask(text));
    eventually("it is in Redis", || (in_redis(redis).len() > before).then_some(()));
    response
}

fn id(response: &Response) -> String {
    let id = response.header("x-cirque-cache-id").unwrap();
    id.split('.').next().unwrap().to_owned()
}

#[track_caller]
fn delete(gateway: &Gateway, id: &str) -> Value {
    let path = format!("/admin/v1/cache/entries/{id}");
    admin(gateway, "DELETE", &path, &Value::Null).ok().json()
}

#[test]
fn what_one_keeps_the_other_serves_until_one_deletes_it() {
    if !installed() {
        return;
    }
    let (upstream, redis) = (counting(), Redis::start());
    let (one, two) = (start(&upstream, &redis), start(&upstream, &redis));
    let mut times = Vec::new();
    for round in 0..20 {
        let text = format!("What is in box {round}?");
        let (here, there) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let first = kept(here, &redis, &text);
        let asked = upstream.count();
        let hit = get(there, &text, "");
        assert_eq!((result(&hit), content(&hit)), ("hit", content(&first)));
        assert_eq!(upstream.count(), asked);
        // In memory of both by now. Deleted here, it is gone there, too.
        let deleted = delete(here, &id(&hit));
        assert_eq!(
            (&deleted["deleted"], &deleted["shared"]),
            (&1.into(), &1.into()),
            "{deleted}"
        );
        let began = Instant::now();
        eventually("it is gone on the other", || {
            (result(&get(there, &text, NO_STORE)) == "miss").then_some(())
        });
        times.push(began.elapsed());
        assert_eq!(result(&get(here, &text, NO_STORE)), "miss");
        assert_eq!(result(&get(there, &text, NO_STORE)), "miss", "and does not come back");
    }
    for gateway in [&one, &two] {
        assert!(!gateway.log_has("panic") && !gateway.log_has("has ended"));
    }
    times.sort_unstable();
    println!(
        "a deletion is seen on the other instance after (from the operator's answer, by polling): median {:?}, longest {:?} of {}",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}

#[test]
fn a_purge_and_a_deletion_by_model_reach_the_other() {
    if !installed() {
        return;
    }
    let (upstream, redis) = (counting(), Redis::start());
    let (one, two) = (start(&upstream, &redis), start(&upstream, &redis));
    for (method, path) in [
        ("DELETE", "/admin/v1/cache/entries?model=m"),
        ("POST", "/admin/v1/cache/purge"),
    ] {
        let texts: Vec<String> = (0..5).map(|n| format!("What is in box {n}?")).collect();
        for text in &texts {
            kept(&one, &redis, text);
            assert_eq!(result(&get(&two, text, "")), "hit");
        }
        admin(&one, method, path, &serde_json::json!({})).ok();
        eventually("all are gone on the other", || {
            let gone = texts.iter().all(|text| result(&get(&two, text, NO_STORE)) == "miss");
            gone.then_some(())
        });
        assert!(in_redis(&redis).is_empty());
    }
}

#[test]
fn redis_may_be_killed_and_come_back_and_no_client_notices() {
    if !installed() {
        return;
    }
    let (upstream, mut redis) = (counting(), Redis::start());
    let (one, two) = (start(&upstream, &redis), start(&upstream, &redis));
    let hot = "What is hot?";
    let first = content(&kept(&one, &redis, hot));
    assert_eq!(content(&get(&two, hot, "")), first);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (gateway, stop, served) = (if thread % 2 == 0 { &one } else { &two }, &stop, &served);
            let first = &first;
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    // What is kept here, and what nobody has asked yet: neither fails, whatever Redis does.
                    let hit = get(gateway, hot, "");
                    assert!(["hit", "miss", "followed"].contains(&result(&hit)));
                    assert!(result(&hit) != "hit" || content(&hit).starts_with("answer "), "{first}");
                    get(gateway, &format!("What is new {thread} {number}?"), "");
                    served.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        let more = |count: usize| {
            let before = served.load(Ordering::Relaxed);
            eventually("it goes on", || {
                (served.load(Ordering::Relaxed) >= before + count).then_some(())
            });
        };
        more(40);
        redis.kill();
        for gateway in [&one, &two] {
            shared_up(gateway, false);
            // Hits of memory go on.
            assert_eq!(result(&get(gateway, hot, "")), "hit");
        }
        more(40);
        redis.restart();
        shared_up(&one, true);
        shared_up(&two, true);
        more(40);
        // Hangs: accepts, and answers nothing.
        redis.stop();
        more(20);
        redis.go_on();
        more(20);
        stop.store(true, Ordering::Relaxed);
    });
    shared_up(&one, true);
    shared_up(&two, true);
    let text = "What is kept after all that?";
    let again = kept(&one, &redis, text);
    eventually("it is shared again", || {
        let hit = get(&two, text, NO_STORE);
        (result(&hit) == "hit").then(|| assert_eq!(content(&hit), content(&again)))
    });
}

#[test]
fn a_deletion_that_cannot_reach_the_others_says_so() {
    if !installed() {
        return;
    }
    let (upstream, mut redis) = (counting(), Redis::start());
    let one = start(&upstream, &redis);
    let hit = kept(&one, &redis, "What is in the box?");
    redis.kill();
    shared_up(&one, false);
    let path = format!("/admin/v1/cache/entries/{}", id(&hit));
    let answer = admin(&one, "DELETE", &path, &Value::Null);
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (503, &"shared_unavailable".into()),
        "{}",
        answer.text()
    );
    assert_eq!(
        result(&get(&one, "What is in the box?", NO_STORE)),
        "miss",
        "here it is gone"
    );
}

#[test]
fn a_corrupt_payload_is_a_miss_and_goes() {
    if !installed() {
        return;
    }
    let (upstream, redis) = (counting(), Redis::start());
    let (one, two) = (start(&upstream, &redis), start(&upstream, &redis));
    for (round, value) in ["", "\u{1}rubbish", "{}", &"x".repeat(70_000)].into_iter().enumerate() {
        let text = format!("What is in box {round}?");
        kept(&one, &redis, &text);
        let names = in_redis(&redis);
        assert_eq!(names.len(), 1, "{names:?}");
        redis.command::<i64>(&["HSET", &names[0], "v", value]);
        let asked = upstream.count();
        let response = get(&two, &text, NO_STORE);
        assert_eq!((result(&response), upstream.count()), ("miss", asked + 1), "{round}");
        assert!(content(&response).starts_with("answer "));
        eventually("it is deleted", || in_redis(&redis).is_empty().then_some(()));
    }
    // Wrong bytes do no harm to what comes after.
    let text = "What is in the last box?";
    let first = kept(&one, &redis, text);
    assert_eq!(content(&get(&two, text, "")), content(&first));
}

#[test]
fn what_one_has_learned_is_found_by_likeness_on_the_others_until_it_is_deleted_or_disowned() {
    let Some(models) = super::alike::models() else { return };
    if !installed() {
        return;
    }
    let (upstream, redis) = (counting(), Redis::start());
    let start = || {
        let tier = format!("cache: {{ semantic: {{ models: \"{}\" }} }}\n", models.display());
        with(cached(&upstream, "{ mode: semantic, time_limit: 1s }") + &tier, &redis)
    };
    let (one, two) = (start(), start());
    let (text, other) = ("What is the capital of France?", "Tell me the capital of France");
    let found = |gateway: &Gateway| {
        eventually("it is found by likeness", || {
            Some(get(gateway, other, NO_STORE)).filter(|found| result(found) == "semantic")
        })
    };
    let lost = |gateway: &Gateway, text: &str| {
        eventually("it is found no more", || {
            (result(&get(gateway, text, NO_STORE)) == "miss").then_some(())
        });
    };
    let first = kept(&one, &redis, text);
    assert_eq!(content(&found(&two)), content(&first));
    // One that comes later hears of it, too.
    let three = start();
    assert_eq!(content(&found(&three)), content(&first));
    delete(&two, &id(&first));
    for gateway in [&one, &two, &three] {
        lost(gateway, other);
        lost(gateway, text);
    }
    kept(&three, &redis, text);
    let wrong = found(&one).header("x-cirque-cache-id").unwrap().to_owned();
    for gateway in [&two, &three] {
        found(gateway);
    }
    let report = serde_json::json!({ "id": wrong });
    admin(&one, "POST", "/admin/v1/cache/feedback", &report).ok();
    for gateway in [&one, &two, &three] {
        lost(gateway, other);
        assert_eq!(result(&get(gateway, text, NO_STORE)), "hit", "its own question gets it");
        assert!(!gateway.log_has("panic"));
    }
}
