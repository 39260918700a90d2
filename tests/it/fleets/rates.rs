//! Requests and tokens per minute of a fleet: as many as the limit, not that many on each instance, and not twice around a turn of
//! the clock.

use super::provider::{PROMPT, Provider};
use super::{Chat, Instance, KEY, Load, chat, fleet, storm, within};
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
