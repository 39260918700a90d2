//! What limits cost a request: reserve and settle with limits at three scopes and two budgets, alone and with an exchange.
//!
//! `cargo bench --bench limits`. The exchange gives whatever is asked: what is measured is the instance's part of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark may fail by panicking"
)]

use async_trait::async_trait;
use cirque::limits::{
    Ask, Attempt, Bank, Bound, Demand, Exchange, Given, Measure, OnOutage, Outage, Patterns, Period, Prompt, Ratio,
    Report, Rule, Scope, ScopeKind, Spent, Taken, Window,
};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW_MS: u64 = 1_795_329_600_000;

/// Gives what is asked.
struct Generous;

#[async_trait]
impl Exchange for Generous {
    async fn take(&self, asks: &[Ask]) -> Result<Taken, Outage> {
        let give = |ask: &Ask| Given {
            amount: ask.need + 1_000_000_000,
            used: 0,
        };
        Ok(Taken::Granted(asks.iter().map(give).collect()))
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<u64>, Outage> {
        Ok(vec![0; reports.len()])
    }

    fn instances(&self) -> usize {
        4
    }

    fn available(&self) -> bool {
        true
    }

    fn epoch(&self) -> u64 {
        1
    }
}

fn rules(bank: &Arc<Bank>) -> Vec<Arc<Bound>> {
    let make = |kind: ScopeKind, measure, window| {
        let rule = Rule {
            id: format!("{}:a/{measure:?}", kind.as_str()).into(),
            scope: Scope { kind, name: "a".into() },
            name: "a".into(),
            measure,
            amount: u64::MAX / 4,
            window,
            models: Patterns::default(),
            providers: Vec::new(),
            each: None,
            soft: false,
            alerts: if measure == Measure::NanoUsd {
                vec![80, 100]
            } else {
                Vec::new()
            },
            downgrade_to: None,
            on_outage: OnOutage::Share,
        };
        bank.bind(Arc::new(rule))
    };
    let minute = || Window::Sliding(Duration::from_secs(60));
    let month = || Window::Calendar {
        period: Period::Month,
        zone: TimeZone::get("Europe/Berlin").unwrap(),
    };
    vec![
        make(ScopeKind::Key, Measure::Requests, minute()),
        make(ScopeKind::Team, Measure::Tokens, minute()),
        make(ScopeKind::Organisation, Measure::Concurrent, Window::Now),
        make(ScopeKind::Key, Measure::NanoUsd, month()),
        make(ScopeKind::Team, Measure::NanoUsd, month()),
    ]
}

fn once(bank: &Arc<Bank>, rules: &[Arc<Bound>], now_ms: u64) {
    let providers = [];
    let demand = Demand {
        model: "gpt-4o",
        user: None,
        key: Some("a"),
        providers: &providers,
        input: 300,
        output: 500,
        nano: 5_000_000,
        overruled: &[],
    };
    let Attempt::Granted(lease) = bank.try_reserve(rules, &demand, now_ms) else {
        panic!("no room");
    };
    let part = Spent {
        provider: Some("openai"),
        input: 310,
        output: 120,
        nano: 1_200_000,
    };
    black_box(lease.settle(&[part], now_ms));
}

fn limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("limits");
    let alone = Bank::new(None);
    let bound = rules(&alone);
    group.bench_function("3 limits, 2 budgets", |b| {
        b.iter(|| once(&alone, black_box(&bound), NOW_MS))
    });
    group.bench_function("no rule", |b| b.iter(|| once(&alone, black_box(&[]), NOW_MS)));
    group.bench_function("4 threads", |b| {
        b.iter_custom(|times| {
            let begun = std::time::Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..times / 4 + 1).for_each(|_| once(&alone, &bound, NOW_MS)));
                }
            });
            begun.elapsed()
        });
    });

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let shared = Bank::new(Some(Arc::new(Generous)));
    let bound = rules(&shared);
    let demand = Demand {
        model: "gpt-4o",
        user: None,
        key: None,
        providers: &[],
        input: 1,
        output: 1,
        nano: 1,
        overruled: &[],
    };
    drop(runtime.block_on(shared.reserve(&bound, &demand, NOW_MS)).unwrap());
    let mut now_ms = NOW_MS;
    group.bench_function("at an exchange, room at hand, a tick for every 200", |b| {
        b.iter_custom(|times| {
            let begun = std::time::Instant::now();
            for n in 0..times {
                once(&shared, &bound, now_ms);
                if n % 200 == 0 {
                    now_ms += 1;
                    runtime.block_on(shared.tick(now_ms));
                    drop(runtime.block_on(shared.reserve(&bound, &demand, now_ms)).unwrap());
                }
            }
            begun.elapsed()
        });
    });
    group.finish();

    let many = Bank::new(None);
    let each: Vec<_> = (0..10_000)
        .map(|n| {
            many.bind(Arc::new(Rule::clone(&Rule {
                id: format!("k{n}").into(),
                ..Rule::clone(bound[3].rule())
            })))
        })
        .collect();
    for one in &each {
        once(&many, std::slice::from_ref(one), NOW_MS);
    }
    c.bench_function("standings of 10 000 counts", |b| {
        b.iter(|| black_box(many.standings(NOW_MS)))
    });
    let ratio = Ratio::default();
    let prompt = Prompt {
        text_bytes: 4_000,
        messages: 3,
        ..Prompt::default()
    };
    c.bench_function("estimate a prompt", |b| {
        b.iter(|| ratio.likely(black_box(&prompt)) + ratio.safe(black_box(&prompt)))
    });
}

criterion_group!(benches, limits);
criterion_main!(benches);
