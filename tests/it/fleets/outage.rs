//! Redis gone or hanging: each limit does as its `on_outage` says, and nobody waits for it more than once.

use super::provider::Provider;
use super::{Chat, Instance, KEY, chat, within};
use crate::support::redis::{self, Redis};
use std::time::{Duration, Instant};

/// The keys of three kinds of limits.
const SHARE: &str = "a-key-whose-limit-is-shared-0001";
const CLOSED: &str = "a-key-whose-limit-fails-closed-01";
const OPEN: &str = "a-key-whose-limit-fails-open-0001";
const MONEY: &str = "a-key-with-a-budget-and-its-default";

fn two(redis: &Redis, provider: &Provider) -> Vec<Instance> {
    let key = |name: &str, secret: &str, bound: &str| {
        // The secrets are files beside the state directory.
        format!("  {name}: {{ secret: \"file:STATE.{secret}\", {bound} }}\n")
    };
    let limit = |on: &str| format!("limits: [ {{ requests: 20, per: 1h, on_outage: {on} }} ]");
    let body = format!(
        "{}redis: {{ urls: [ \"{}\" ], timeout: 600ms, instance_expiry: 2s }}\nkeys:\n  k: {{ secret: env:KEY }}\n{}{}{}{}",
        provider.config(),
        redis.url(),
        key("share", "share", &limit("share")),
        key("closed", "closed", &limit("fail_closed")),
        key("open", "open", &limit("fail_open")),
        key("money", "money", "budgets: [ { usd: \"1\", period: total } ]"),
    );
    let places: Vec<_> = (0..2).map(|_| super::instance::written(&body)).collect();
    let started: Vec<Instance> = places
        .into_iter()
        .map(|(directory, address, admin)| {
            for (name, secret) in [("share", SHARE), ("closed", CLOSED), ("open", OPEN), ("money", MONEY)] {
                std::fs::write(directory.join(format!("state.{name}")), secret).unwrap();
            }
            Instance::at(directory, address, admin)
        })
        .collect();
    for instance in &started {
        instance.ready();
        instance.wait_metric("cirque_redis_up", 1.0);
        instance.wait_metric("cirque_instances", 2.0);
    }
    started
}

/// How many of so many pass, and the last refusal.
fn pass(instance: &Instance, key: &str, asked: usize) -> (usize, String) {
    let mut refused = String::new();
    let mut passed = 0;
    for number in 0..asked {
        let answer = chat(instance.address, key, Chat::new(number));
        match answer.status {
            200 => passed += 1,
            429 | 503 => refused = answer.text,
            _ => panic!("{answer:?}"),
        }
    }
    (passed, refused)
}

/// Twenty have passed, ten on each: from the first moment of a Redis that serves again, whoever has told it and whoever has not,
/// nobody lets one more pass; asked without a pause, until both know from Redis that nothing is left.
fn no_more_than_twenty(fleet: &[Instance]) {
    let mut known = vec![false; fleet.len()];
    within(Duration::from_secs(30), "Redis has the last word", || {
        for (instance, known) in fleet.iter().zip(&mut known) {
            let (passed, refused) = pass(instance, SHARE, 1);
            assert_eq!(passed, 0, "twenty passed already");
            *known = refused.contains("rate_limit_exceeded");
        }
        known.iter().all(|known| *known).then_some(())
    });
    for instance in fleet {
        assert_eq!(pass(instance, SHARE, 3).0, 0, "twenty passed already");
    }
}

#[test]
fn without_redis_limits_do_as_they_say() {
    if !redis::installed() {
        return;
    }
    let (mut redis, provider) = (Redis::start(), Provider::start());
    let fleet = two(&redis, &provider);
    redis.kill();
    for instance in &fleet {
        instance.wait_metric("cirque_redis_up", 0.0);
        // The limit of twenty, divided by the two that there were.
        let (passed, refused) = pass(instance, SHARE, 15);
        assert_eq!(passed, 10, "share: {refused}");
        let (passed, refused) = pass(instance, CLOSED, 3);
        assert!(
            passed == 0 && refused.contains("limits_unavailable") && refused.contains(" 503 "),
            "{refused}"
        );
        let (passed, refused) = pass(instance, OPEN, 25);
        assert_eq!(passed, 25, "open: {refused}");
        let (passed, refused) = pass(instance, MONEY, 3);
        assert!(passed == 0 && refused.contains("limits_unavailable"), "{refused}");
        // Who has no limit notices nothing.
        assert_eq!(pass(instance, KEY, 5).0, 5);
    }
    redis.restart();
    no_more_than_twenty(&fleet);
    within(Duration::from_secs(10), "budgets are served again", || {
        (pass(&fleet[0], MONEY, 1).0 == 1).then_some(())
    });
    // What passed meanwhile is counted afterwards.
    within(Duration::from_secs(10), "the open limit is used up", || {
        (pass(&fleet[0], OPEN, 1).0 == 0).then_some(())
    });
}

#[test]
fn a_hanging_redis_is_waited_for_once() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let fleet = two(&redis, &provider);
    redis.stop();
    let began = Instant::now();
    let (passed, refused) = pass(&fleet[0], OPEN, 1);
    let first = began.elapsed();
    assert_eq!(passed, 1, "{refused}");
    let began = Instant::now();
    assert_eq!(pass(&fleet[0], OPEN, 10).0, 10);
    let others = began.elapsed();
    println!("Redis hangs: the first request took {first:?}, the ten after it {others:?} together; timeout 600 ms");
    // Ten times the timeout would be six seconds. A busy machine is slow, too.
    assert!(
        first < Duration::from_secs(4) && others < Duration::from_secs(4),
        "{first:?} {others:?}"
    );
    for instance in &fleet {
        instance.wait_metric("cirque_redis_up", 0.0);
        let (passed, refused) = pass(instance, SHARE, 15);
        assert_eq!(passed, 10, "share: {refused}");
    }
    redis.go_on();
    // It remembers, and is used at once; but not what passed while it hung.
    no_more_than_twenty(&fleet);
    fleet[0].wait_metric("cirque_redis_up", 1.0);
    within(Duration::from_secs(10), "budgets are served again", || {
        (pass(&fleet[0], MONEY, 1).0 == 1).then_some(())
    });
}

#[test]
fn authorities_of_redis_are_read() {
    let provider = Provider::start();
    let body = format!(
        "{}keys: {{ k: {{ secret: env:KEY }} }}\nredis: {{ urls: [ \"rediss://127.0.0.1:1\" ], ca_file: /nowhere/redis-ca.pem }}\n",
        provider.config()
    );
    let (directory, ..) = super::instance::written(&body);
    let told = super::instance::command(&directory.join("cirque.yaml"), &["serve"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && said.contains("redis.ca_file"), "{said}");
    drop(std::fs::remove_dir_all(directory));
}
