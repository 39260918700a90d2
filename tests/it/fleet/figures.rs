//! What a question costs. Nothing is asserted; printed when `CIRQUE_FIGURES` is set:
//! `CIRQUE_FIGURES=1 cargo test --release --test it fleet::figures -- --nocapture`

use super::{TOTAL, ask, instance, report, settings};
use crate::support::redis::{Redis, installed};
use cirque::limits::{Exchange, Shape};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_take_and_a_report() {
    if std::env::var_os("CIRQUE_FIGURES").is_none() || !installed() {
        return;
    }
    let redis = Redis::start();
    let one = instance(settings(&[redis.url()]));
    let minute = Shape::Sliding(Duration::from_secs(60));
    let five = [
        ask("a", TOTAL, 10_000_000_000_000_000, 1_000_000, 0),
        ask("b", TOTAL, 10_000_000_000_000_000, 1_000_000, 0),
        ask("c", minute, 1_000_000_000, 1, 0),
        ask("d", minute, 1_000_000_000_000, 1000, 0),
        ask("e", Shape::Concurrent, 1_000_000, 1, 0),
    ];
    for (what, asks) in [
        ("one window", &five[..1]),
        ("one sliding", &five[2..3]),
        ("five counts", &five[..]),
    ] {
        const TIMES: u32 = 5_000;
        redis.command::<String>(&["CONFIG", "RESETSTAT"]);
        let begun = Instant::now();
        for _ in 0..TIMES {
            one.take(asks).await.unwrap();
        }
        let took = begun.elapsed() / TIMES;
        let stats: String = redis.command(&["INFO", "commandstats"]);
        let script = stats.lines().find(|line| line.starts_with("cmdstat_evalsha"));
        println!(
            "take, {what}: {took:?} each, one after another; {}",
            script.unwrap_or_default()
        );
    }
    redis.command::<String>(&["CONFIG", "RESETSTAT"]);
    let begun = Instant::now();
    for _ in 0..1_000 {
        let reports = [
            report("a", TOTAL, 1, 500_000, 500_000, 0),
            report("c", minute, 1, 1, 0, 0),
            report("e", Shape::Concurrent, 1, 0, 1, 0),
        ];
        one.report(&reports).await.unwrap();
    }
    let took = begun.elapsed() / 1_000;
    let stats: String = redis.command(&["INFO", "commandstats"]);
    let script = stats.lines().find(|line| line.starts_with("cmdstat_evalsha"));
    println!("report, three counts: {took:?}; {}", script.unwrap_or_default());
}
