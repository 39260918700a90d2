//! A budget that is nearly empty, and many who want it: what is charged stays within it, whatever fails, and all of it can be used.

use super::instance::Instance;
use super::provider::{PRICE, Provider};
use super::rows::{self, Kept};
use super::{Answer, Chat, KEY, Load, abort, chat, fleet, storm, within};
use crate::support::client::Client;
use crate::support::redis::{self, Redis};
use std::time::{Duration, Instant};

/// Requests at one time.
const STORM: usize = 500;

/// Every row of every instance, once each has as many requests as it was asked.
fn all_rows(fleet: &[Instance]) -> Vec<Kept> {
    fleet
        .iter()
        .flat_map(|instance| rows::of_file(&instance.database()))
        .collect()
}

/// Rows once this many requests are in them.
fn settled_rows(fleet: &[Instance], requests: usize) -> Vec<Kept> {
    within(Duration::from_secs(20), "every request has its row", || {
        let rows = all_rows(fleet);
        let there = rows::requests(&rows).len();
        assert!(there <= requests, "{there} rows of {requests} requests");
        (there == requests).then_some(rows)
    })
}

/// Ask one after the other until all were refused for want of money for so long: what is left is less than one costs, and what
/// others had taken ahead has returned (idle shares do after five seconds). How many were asked.
fn use_up(fleet: &[Instance], from: usize, refused_for: Duration) -> usize {
    let (mut number, mut since) = (from, Instant::now());
    within(Duration::from_secs(40), "the budget is used up", || {
        for instance in fleet {
            let answer = chat(instance.address, KEY, Chat::new(number));
            number += 1;
            assert!(matches!(answer.status, 200 | 429), "{answer:?}");
            if answer.status == 200 {
                since = Instant::now();
            }
        }
        std::thread::sleep(Duration::from_millis(100));
        (since.elapsed() > refused_for).then_some(())
    });
    number - from
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// A storm of everything on a budget: the requests, their answers' statuses, and all rows after all of it was used.
fn storm_on(fleet: &[Instance], make: impl Fn(usize) -> Chat + Send + Sync + 'static) -> Vec<Kept> {
    let addresses: Vec<_> = fleet.iter().map(|instance| instance.address).collect();
    let answers = storm(STORM, move |number| {
        let to = addresses[number % addresses.len()];
        let plain = make(number);
        // Of eight on each instance: four whole, two streamed, one aborted, one that its provider fails.
        match number / addresses.len() % 8 {
            0..4 => chat(to, KEY, plain),
            4 | 5 => chat(to, KEY, Chat { stream: true, ..plain }),
            6 => abort(to, KEY, Chat { stream: true, ..plain }),
            _ => chat(to, KEY, Chat { model: "f", ..plain }),
        }
    });
    let (ok, refused) = (count(&answers, 200), count(&answers, 429));
    println!(
        "storm: {ok} answered, {refused} refused, {} failed",
        STORM - ok - refused
    );
    assert!(ok > 10 && refused > 100, "{ok} answered, {refused} refused");
    let after = use_up(fleet, STORM, Duration::from_secs(6));
    settled_rows(fleet, STORM + after)
}

#[test]
fn a_storm_on_a_nearly_empty_budget_overshoots_by_nothing() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let fleet = fleet(
        4,
        &redis.url(),
        &provider,
        "budgets: [ { usd: \"0.15\", period: total } ]",
    );
    let rows = storm_on(&fleet, Chat::new);
    rows::none_twice(&rows);
    let (billed, said) = (rows::billed(&rows), provider.said());
    println!(
        "with max_tokens: billed {billed}, the provider said {said}, of 150000000; {} calls failed",
        provider.failed()
    );
    assert!(billed <= 150_000_000 && said <= 150_000_000, "{billed} {said}");
    assert!(provider.failed() > 0);
    // All of it could be used: what is left covers no further request.
    assert!(billed > 150_000_000 - 4_000_000, "{billed}");
    // What was answered whole costs what the provider said it does.
    let aborted: u64 = rows::requests(&rows)
        .iter()
        .filter(|row| row.status == 499)
        .map(|row| row.billed)
        .sum();
    assert!(billed <= said + aborted, "{billed} {said} {aborted}");
}

#[test]
fn a_storm_without_max_tokens_overshoots_by_little() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let fleet = fleet(
        4,
        &redis.url(),
        &provider,
        "budgets: [ { usd: \"0.30\", period: total } ]",
    );
    // Assumed are 100; one in ten writes half as much again, the others less.
    let rows = storm_on(&fleet, |number| Chat {
        max_tokens: None,
        writes: if number % 10 == 9 {
            150
        } else {
            20 + (number as u64 * 37) % 70
        },
        ..Chat::new(number)
    });
    let billed = rows::billed(&rows);
    let over = billed.saturating_sub(300_000_000) as f64 / 300_000_000.0;
    println!(
        "without max_tokens: billed {billed} of 300000000, overshoot {:.2} %",
        over * 100.0
    );
    assert!(over <= 0.025, "{over}");
    assert!(provider.said() as f64 <= 300_000_000.0 * 1.025);
}

#[test]
fn redis_killed_and_empty_in_the_middle_of_it_is_no_way_around_a_budget() {
    if !redis::installed() {
        return;
    }
    let (mut redis, provider) = (Redis::start(), Provider::start());
    let limit = 1_000_000_000;
    let fleet = fleet(4, &redis.url(), &provider, "budgets: [ { usd: \"1\", period: total } ]");
    let addresses: Vec<_> = fleet.iter().map(|instance| instance.address).collect();
    let load = Load::start(24, &addresses, KEY, |number| Chat {
        stream: number % 3 == 0,
        ..Chat::new(number)
    });
    within(Duration::from_secs(30), "a quarter is spent", || {
        (provider.said() > limit / 4).then_some(())
    });
    redis.kill();
    load.more(50);
    let meanwhile = provider.said();
    redis.restart();
    within(Duration::from_secs(40), "all of it is spent", || {
        (load.with_status(429) > 100 && provider.said() > limit * 8 / 10).then_some(())
    });
    let answers = load.stop();
    assert!(
        meanwhile < limit * 8 / 10,
        "Redis was killed too late to prove anything: {meanwhile}"
    );
    assert!(
        answers
            .iter()
            .all(|(_, answer)| matches!(answer.status, 200 | 429 | 503))
    );
    let unavailable = answers.iter().filter(|(_, answer)| answer.status == 503).count();
    assert!(
        answers
            .iter()
            .all(|(_, answer)| answer.status != 503 || answer.is("limits_unavailable"))
    );
    let after = use_up(&fleet, answers.len(), Duration::from_secs(2));
    let rows = settled_rows(&fleet, answers.len() + after);
    let billed = rows::billed(&rows);
    println!(
        "Redis killed: billed {billed} of {limit}; {unavailable} of {} refused for the outage",
        answers.len()
    );
    assert!(
        billed <= limit && provider.said() <= limit,
        "{billed} {}",
        provider.said()
    );
    // What was out with instances when Redis forgot is forgone: at most a hundredth of what remained, each.
    assert!(billed > limit * 9 / 10, "{billed}");
}

#[test]
fn what_a_killed_instance_had_reserved_returns() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    // Room for ten that may write a thousand tokens.
    let most = (100 * PRICE.0 + 1_000 * PRICE.1) * 10;
    let usd = format!("0.{most:09}");
    let limits = format!("budgets: [ {{ usd: \"{usd}\", period: total }} ], limits: [ {{ concurrent: 20 }} ]");
    let mut fleet = fleet(2, &redis.url(), &provider, &limits);
    let large = |number| Chat {
        model: "held",
        max_tokens: Some(1_000),
        stream: true,
        ..Chat::new(number)
    };
    let mut held = Vec::new();
    loop {
        let mut client = Client::connect(fleet[1].address);
        client.send(large(held.len()).bytes(KEY, ""));
        if client.head().status != 200 {
            break;
        }
        held.push(client);
    }
    assert!((6..=10).contains(&held.len()), "{}", held.len());
    let one = Chat {
        model: "m",
        stream: false,
        ..large(100)
    };
    assert_eq!(chat(fleet[0].address, KEY, one).status, 429);
    let killed = Instant::now();
    fleet[1].kill();
    within(Duration::from_secs(15), "the room returns", || {
        (chat(fleet[0].address, KEY, one).status == 200).then_some(())
    });
    let took = killed.elapsed();
    println!(
        "an instance killed: {} reservations returned after {took:?}",
        held.len()
    );
    // Two seconds of expiry, a heartbeat, and what the machine is slow by.
    assert!(took < Duration::from_secs(8), "{took:?}");
    fleet[0].wait_metric("cirque_instances", 1.0);
    provider.gate.open();
}

#[test]
fn who_joins_serves_at_once_and_who_leaves_tells_what_it_spent() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let mut fleet = fleet(2, &redis.url(), &provider, "budgets: [ { usd: \"1\", period: total } ]");
    assert_eq!(chat(fleet[0].address, KEY, Chat::new(0)).status, 200);
    for round in 1..4 {
        // Told and gone before the next report would be due.
        let answer = chat(fleet[1].address, KEY, Chat::new(round));
        assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
        fleet[1].signal("TERM");
        fleet[1].ended();
        fleet[1].again();
    }
    let told = (10 * PRICE.0 + 50 * PRICE.1) * 4;
    assert_eq!(provider.said(), told);
    // Idle shares return after five seconds.
    let mut used = String::new();
    let met = (0..150).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let names: Vec<String> = redis.command(&["KEYS", "*:w:*"]);
        used = names
            .first()
            .map_or(String::new(), |name| redis.command(&["HGET", name, "u"]));
        used == told.to_string()
    });
    assert!(met, "Redis says {used}, the provider {told}");
}
