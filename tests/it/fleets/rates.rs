//! Requests and tokens per minute of a fleet: as many as the limit, not that many on each instance, and not twice around a turn of
//! the clock.

use super::instance::nano;
use super::provider::{PROMPT, Provider};
use super::{Chat, Instance, KEY, Load, OTHER_KEY, chat, fleet, rows, storm, within};
use crate::support::client::Client;
use crate::support::redis::{self, Redis};
use std::time::Duration;

#[test]
fn four_instances_let_a_hundred_pass_not_four_hundred() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let limits = "limits: [ { requests: 100, per: 1m }, { tokens: 10000, per: 1m } ]";
    let fleet = fleet(4, &redis.url(), &provider, limits);
    let addresses: Vec<_> = fleet.iter().map(|instance| instance.address).collect();
    // Small ones, so that the requests are what runs out.
    let small = |number| Chat {
        max_tokens: Some(5),
        writes: 5,
        ..Chat::new(number)
    };
    let to = addresses.clone();
    let answers = storm(400, move |number| chat(to[number % 4], KEY, small(number)));
    let mut accepted = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)));
    // What an instance had taken ahead and does not need is for the others.
    let mut number = 400;
    let began = std::time::Instant::now();
    while accepted < 100 && began.elapsed() < Duration::from_secs(15) {
        let answer = chat(addresses[number % 4], KEY, small(number));
        accepted += usize::from(answer.status == 200);
        number += 1;
    }
    let again = storm(100, move |number| {
        chat(addresses[number % 4], KEY, small(1000 + number))
    });
    accepted += again.iter().filter(|answer| answer.status == 200).count();
    println!(
        "requests: {accepted} of a limit of 100, provider was asked {}",
        provider.calls().len()
    );
    assert!((99..=100).contains(&accepted), "{accepted}");
    assert_eq!(provider.calls().len(), accepted);
}

#[test]
fn four_instances_let_ten_thousand_tokens_pass() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let limits = "limits: [ { requests: 100, per: 1m }, { tokens: 10000, per: 1m } ]";
    let fleet = fleet(4, &redis.url(), &provider, limits);
    let addresses: Vec<_> = fleet.iter().map(|instance| instance.address).collect();
    let large = |number| Chat {
        max_tokens: Some(490),
        writes: 490,
        stream: number % 2 == 0,
        ..Chat::new(number)
    };
    let answers = storm(100, move |number| chat(addresses[number % 4], KEY, large(number)));
    let accepted = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    println!("tokens: {} of a limit of 10000", accepted * (PROMPT + 490));
    // The estimate of a prompt is more than the ten tokens it turns out to have, until it was settled.
    assert!((15..=20).contains(&accepted), "{accepted}");
}

#[test]
fn bursts_around_a_turn_are_not_doubled() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let fleet = fleet(4, &redis.url(), &provider, "limits: [ { requests: 60, per: 5s } ]");
    let addresses: Vec<_> = fleet.iter().map(|instance| instance.address).collect();
    // All ask all the time: whoever may double at a turn will.
    let load = Load::start(8, &addresses, KEY, |number| Chat {
        max_tokens: Some(5),
        writes: 5,
        ..Chat::new(number)
    });
    within(Duration::from_secs(40), "three stretches are used", || {
        (provider.calls().len() > 150).then_some(())
    });
    load.stop();
    let mut times: Vec<_> = provider.calls().iter().map(|call| call.at).collect();
    times.sort_unstable();
    // A request arrives at the provider later than it was let pass, by up to what this machine is slow by.
    let slack = Duration::from_millis(1500);
    let most = times
        .iter()
        .map(|first| {
            let last = *first + Duration::from_secs(5) - slack;
            times.iter().filter(|at| (*first..=last).contains(*at)).count()
        })
        .max();
    println!(
        "bursts: at most {most:?} in 3.5 s of a limit of 60 in 5 s, {} in all",
        times.len()
    );
    assert!(most.unwrap() <= 60, "{most:?}");
}

/// Two teams, each asking its own two instances: what they have in common is the tag.
#[test]
fn a_tag_is_one_count_on_all_instances() {
    if !redis::installed() {
        return;
    }
    let (redis, provider) = (Redis::start(), Provider::start());
    let body = format!(
        "{}redis: {{ urls: [ \"{}\" ], timeout: 600ms, instance_expiry: 2s }}\n\
         tags: {{ \"night:eu/1\": {{ limits: [ {{ requests: 40, per: 1h }} ], budgets: [ {{ usd: \"1\", period: total }} ] }} }}\n\
         teams: {{ red: {{ tags: [ \"night:eu/1\" ], limits: [ {{ requests: 1000, per: 1h }} ] }}, blue: {{ tags: [ \"night:eu/1\" ] }} }}\n\
         keys: {{ r: {{ secret: env:KEY, team: red }}, b: {{ secret: env:OTHER_KEY, team: blue }} }}\n",
        provider.config(),
        redis.url()
    );
    let fleet: Vec<Instance> = (0..4).map(|_| Instance::spawn(&body)).collect();
    fleet.iter().for_each(Instance::ready);
    for instance in &fleet {
        instance.wait_metric("cirque_redis_up", 1.0);
        instance.wait_metric("cirque_instances", 4.0);
    }
    let addresses: Vec<_> = fleet.iter().map(|instance| instance.address).collect();
    let ask = move |number: usize| {
        let key = [KEY, OTHER_KEY][number / 2 % 2];
        let small = Chat {
            max_tokens: Some(5),
            writes: 5,
            ..Chat::new(number)
        };
        chat(addresses[number % 4], key, small)
    };
    let to = ask.clone();
    let answers = storm(160, to);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)));
    let refused = answers.iter().filter(|answer| answer.status == 429);
    assert!(
        refused.clone().count() > 0
            && refused
                .clone()
                .all(|answer| answer.text.contains("of tag `night:eu/1`"))
    );
    let mut accepted = answers.iter().filter(|answer| answer.status == 200).count();
    let mut number = 160;
    within(
        Duration::from_secs(20),
        "what was taken ahead is for the others",
        || {
            accepted += usize::from(ask(number).status == 200);
            number += 1;
            (accepted >= 40).then_some(())
        },
    );
    let again = storm(40, move |number| ask(1000 + number));
    assert_eq!(again.iter().filter(|answer| answer.status == 200).count(), 0);
    println!("a tag: {accepted} of a limit of 40 on four instances");
    assert_eq!((accepted, provider.calls().len()), (40, 40));
    // 40 requests of 10 tokens in and 5 out; an instance shows what it knows to be used, or taken ahead by others.
    within(Duration::from_secs(10), "all of it is on record", || {
        let billed: u64 = fleet
            .iter()
            .map(|instance| rows::billed(&rows::of_file(&instance.database())))
            .sum();
        (billed == 40 * 250_000).then_some(())
    });
    within(Duration::from_secs(10), "all is reported", || {
        let known = fleet.iter().map(|instance| {
            let (_, told) = instance.admin("GET", "/admin/v1/budgets?scope=tag&name=night:eu/1", "");
            nano(told["items"][0]["used_usd"].as_str().unwrap())
        });
        known.max().filter(|used| *used >= 40 * 250_000)
    });
}

/// What a prompt is estimated as follows what the provider says prompts like it were: rates ask for no more than that.
#[test]
fn estimates_are_learned_from_what_the_provider_says() {
    let provider = Provider::start();
    let limit = 1_000_000;
    let body = format!(
        "{}keys: {{ k: {{ secret: env:KEY, limits: [ {{ tokens: {limit}, per: 1h }} ] }} }}\n",
        provider.config()
    );
    let instance = Instance::start(&body);
    let text = "word ".repeat(400);
    let mut settled = 0;
    let mut estimates = Vec::new();
    for number in 0..80 {
        let body = format!(
            r#"{{"model":"m","max_tokens":5,"messages":[{{"role":"user","content":"write 5 of #{number}. {text}"}}]}}"#
        );
        let mut client = Client::connect(instance.address);
        client.post(
            "/v1/chat/completions",
            &format!("authorization: Bearer {KEY}\r\n"),
            body,
        );
        let answer = client.response().ok();
        let remaining: u64 = answer.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
        estimates.push(limit - remaining - settled - 5);
        settled += PROMPT + 5;
        // Settling follows the answer.
        within(Duration::from_secs(5), "it is settled", || {
            let (_, told) = instance.admin("GET", "/admin/v1/limits", "");
            let used = told["items"][0]["used"].as_u64().unwrap_or_else(|| panic!("{told}"));
            (used == settled).then_some(())
        });
    }
    println!(
        "estimates of a prompt of 2 KB that is ten tokens: {} at first, {} at last",
        estimates[0], estimates[79]
    );
    assert!(estimates[0] > 550 && estimates[79] < 200, "{estimates:?}");
}
