//! One instance, no exchange.

use super::*;
use proptest::prelude::*;

#[test]
fn all_or_nothing_and_the_first_that_refuses_says_so() {
    let bank = Bank::new(None);
    let wide = bank.bind(Arc::new(rule("wide", Measure::Requests, 10, minute())));
    let narrow = bank.bind(Arc::new(rule("narrow", Measure::Tokens, 50, minute())));
    let money = bank.bind(Arc::new(rule("money", Measure::NanoUsd, 150, calendar(Period::Day))));
    let rules = [wide, narrow, money];
    let lease = granted(bank.try_reserve(&rules, &demand(), NOON));
    let standings = lease.standings();
    assert_eq!(standings.requests.map(|s| (s.limit, s.remaining)), Some((10, 9)));
    assert_eq!(standings.tokens.map(|s| (s.limit, s.remaining)), Some((50, 20)));
    assert_eq!(standings.requests.unwrap().reset, Duration::from_millis(63_000));
    let refusal = refused(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!(&*refusal.rule.id, "narrow");
    assert_eq!((refusal.asked, refusal.remaining, refusal.outage), (30, 20, false));
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(63_000)));
    let used = |id: &str| {
        bank.standings(NOON)
            .into_iter()
            .find(|s| &*s.id == id)
            .map(|s| (s.used, s.reserved))
    };
    assert_eq!(used("wide"), Some((0, 1)), "the refused request counts nowhere");
    let charged = lease.settle(&[spent(5, 5, 70)], NOON);
    assert_eq!(charged.len(), 1);
    assert_eq!((&*charged[0].count, charged[0].nano), ("money", 70));
    assert_eq!(
        (used("wide"), used("narrow"), used("money")),
        (Some((1, 0)), Some((10, 0)), Some((70, 0)))
    );
    let refusal = refused(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!((&*refusal.rule.id, refusal.remaining), ("money", 80));
    assert_eq!(refusal.retry_after, refusal.reset);
}

#[test]
fn over_it_is_no_longer_under_way_and_all_else_stays_reserved() {
    let bank = Bank::new(None);
    let rules = [
        bank.bind(Arc::new(rule("c", Measure::Concurrent, 1, Window::Now))),
        bank.bind(Arc::new(rule("m", Measure::NanoUsd, 150, calendar(Period::Month)))),
    ];
    let mut lease = granted(bank.try_reserve(&rules, &demand(), NOON));
    lease.over(NOON);
    let refusal = refused(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!(&*refusal.rule.id, "m", "its money is still held, its place is not");
    assert_eq!(lease.settle(&[spent(1, 1, 40)], NOON).len(), 1);
    granted(bank.try_reserve(&rules, &demand(), NOON)).settle(&[], NOON);
    // Not released twice.
    let _one = granted(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!(&*refused(bank.try_reserve(&rules, &demand(), NOON)).rule.id, "c");
}

#[test]
fn dropped_all_returns_and_sent_the_request_counts() {
    let bank = Bank::new(None);
    let rules = [
        bank.bind(Arc::new(rule("r", Measure::Requests, 2, minute()))),
        bank.bind(Arc::new(rule("c", Measure::Concurrent, 1, Window::Now))),
        bank.bind(Arc::new(rule("m", Measure::NanoUsd, 100, calendar(Period::Month)))),
    ];
    for _ in 0..100 {
        drop(granted(bank.try_reserve(&rules, &demand(), NOON)));
    }
    let mut lease = granted(bank.try_reserve(&rules, &demand(), NOON));
    let refusal = refused(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!((&*refusal.rule.id, refusal.retry_after), ("c", None));
    lease.sent();
    drop(lease);
    let lease = granted(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!(lease.standings().requests.unwrap().remaining, 0);
}

#[test]
fn what_was_used_beyond_is_charged_in_full() {
    let bank = Bank::new(None);
    let rules = [bank.bind(Arc::new(rule("m", Measure::NanoUsd, 100, calendar(Period::Total))))];
    let lease = granted(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!(lease.settle(&[spent(0, 0, 130)], NOON)[0].nano, 130);
    let standing = &bank.standings(NOON)[0];
    assert_eq!((standing.used, standing.limit, standing.end), (130, 100, None));
}

#[test]
fn a_lease_is_settled_in_the_window_it_was_reserved_in() {
    let bank = Bank::new(None);
    let rules = [bank.bind(Arc::new(rule("m", Measure::NanoUsd, 100, calendar(Period::Minute))))];
    let lease = granted(bank.try_reserve(&rules, &demand(), NOON));
    let next = granted(bank.try_reserve(&rules, &demand(), NOON + 60_000));
    let charged = lease.settle(&[spent(0, 0, 60)], NOON + 61_000);
    assert_eq!(charged[0].window, (NOON / 1000) as i64);
    let standing = &bank.standings(NOON + 61_000)[0];
    assert_eq!((standing.used, standing.reserved), (0, 100));
    drop(next);
    // An hour on and still under way: nothing is kept of windows that are over and settled.
    assert_eq!(bank.standings(NOON + 3_600_000)[0].reserved, 0);
}

#[test]
fn providers_count_what_they_answered() {
    let bank = Bank::new(None);
    let here: Arc<str> = "azure".into();
    let only = Rule {
        providers: vec![Arc::clone(&here)],
        ..rule("azure", Measure::Requests, 1, minute())
    };
    let money = Rule {
        providers: vec![Arc::clone(&here)],
        ..rule("azure-money", Measure::NanoUsd, 1000, calendar(Period::Day))
    };
    let rules = [bank.bind(Arc::new(only)), bank.bind(Arc::new(money))];
    let providers = [Arc::from("openai"), here];
    let asked = Demand {
        providers: &providers,
        ..demand()
    };
    let at = |provider, nano| Spent {
        provider: Some(provider),
        ..spent(0, 0, nano)
    };
    let charged = granted(bank.try_reserve(&rules, &asked, NOON)).settle(&[at("openai", 50)], NOON);
    assert!(charged.is_empty(), "nobody asked azure");
    let elsewhere = Demand {
        providers: &providers[..1],
        ..demand()
    };
    assert!(granted(bank.try_reserve(&rules, &elsewhere, NOON)).is_empty());
    let charged = granted(bank.try_reserve(&rules, &asked, NOON)).settle(&[at("openai", 50), at("azure", 7)], NOON);
    assert_eq!(charged[0].nano, 7);
    assert_eq!(&*refused(bank.try_reserve(&rules, &asked, NOON)).rule.id, "azure");
}

#[test]
fn counted_apart_and_bounded() {
    let bank = Bank::new(None);
    let each = Rule {
        each: Some(Each::User),
        ..rule("each", Measure::Requests, 1, minute())
    };
    let rules = [bank.bind(Arc::new(each))];
    let settle = |lease: Lease| lease.settle(&[spent(0, 0, 0)], NOON);
    settle(granted(bank.try_reserve(&rules, &of("ann"), NOON)));
    settle(granted(bank.try_reserve(&rules, &of("bob"), NOON)));
    assert_eq!(
        refused(bank.try_reserve(&rules, &of("bob"), NOON)).value.as_deref(),
        Some("bob")
    );
    let long = ["x".repeat(100_000), format!("{}y", "x".repeat(99_999))];
    settle(granted(bank.try_reserve(&rules, &of(&long[0]), NOON)));
    settle(granted(bank.try_reserve(&rules, &of(&long[1]), NOON)));
    let mut passed = 0;
    for n in 0..VALUES + 500 {
        let name = n.to_string();
        if let Attempt::Granted(lease) = bank.try_reserve(&rules, &of(&name), NOON) {
            settle(lease);
            passed += 1;
        }
    }
    assert_eq!(bank.standings(NOON).len(), VALUES + 1);
    assert_eq!(passed, VALUES - 4 + 1, "those beyond share one count");
    assert!(bank.standings(NOON).iter().all(|s| s.id.len() < 200));
    // A minute later nothing of it is remembered.
    futures::executor::block_on(bank.tick(NOON + 70_000));
    assert!(bank.standings(NOON + 70_000).is_empty());
}

#[test]
fn counts_go_on_over_a_reload_and_after_a_restart() {
    let bank = Bank::new(None);
    let first = [bank.bind(Arc::new(rule("m", Measure::NanoUsd, 1000, calendar(Period::Month))))];
    let held = granted(bank.try_reserve(&first, &demand(), NOON));
    let charged = granted(bank.try_reserve(&first, &demand(), NOON)).settle(&[spent(0, 0, 90)], NOON);
    let second = [bank.bind(Arc::new(rule("m", Measure::NanoUsd, 280, calendar(Period::Month))))];
    let refusal = granted_then_refused(&bank, &second);
    assert_eq!((refusal.remaining, refusal.rule.amount), (90, 280));
    drop(held);
    drop(granted(bank.try_reserve(&second, &demand(), NOON)));

    let again = Bank::new(None);
    again.restore(charged.iter().map(|c| (Arc::clone(&c.count), c.window, c.nano + 150)));
    let rules = [again.bind(Arc::new(rule("m", Measure::NanoUsd, 280, calendar(Period::Month))))];
    assert_eq!(refused(again.try_reserve(&rules, &demand(), NOON)).remaining, 40);
    assert!(again.alerts().is_empty(), "80 % was told before the restart");
    // A new month, and a scope that was deleted.
    drop(granted(again.try_reserve(&rules, &demand(), NOON + 10 * 86_400_000)));
    again.forget(&rules[0].rule().scope);
    assert!(again.standings(NOON).is_empty());
}

fn of(user: &str) -> Demand<'_> {
    Demand {
        user: Some(user),
        ..demand()
    }
}

fn granted_then_refused(bank: &Arc<Bank>, rules: &[Arc<Bound>]) -> Refusal {
    let lease = granted(bank.try_reserve(rules, &Demand { nano: 0, ..demand() }, NOON));
    drop(lease);
    refused(bank.try_reserve(rules, &demand(), NOON))
}

#[test]
fn soft_budgets_alert_once_in_a_window_and_refuse_nothing() {
    let bank = Bank::new(None);
    let soft = Rule {
        soft: true,
        ..rule("m", Measure::NanoUsd, 1000, calendar(Period::Day))
    };
    let rules = [bank.bind(Arc::new(soft))];
    // 06:40 of the day: more than a twentieth is gone.
    for _ in 0..20 {
        granted(bank.try_reserve(&rules, &demand(), NOON)).settle(&[spent(0, 0, 100)], NOON);
    }
    let kinds: Vec<(AlertKind, u64)> = bank.alerts().iter().map(|a| (a.kind, a.used)).collect();
    let [
        (AlertKind::Forecast(sum), 300),
        (AlertKind::Percent(80), 800),
        (AlertKind::Percent(100), 1000),
    ] = kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!(sum, 300 * 24 * 3 / 20, "06:40 is 20/72 of the day");
    assert!(bank.alerts().is_empty());
    let tomorrow = NOON + 86_400_000;
    granted(bank.try_reserve(&rules, &demand(), tomorrow)).settle(&[spent(0, 0, 5000)], tomorrow);
    assert_eq!(bank.alerts().len(), 3);
}

#[test]
fn more_than_the_limit_never_fits() {
    let bank = Bank::new(None);
    let rules = [bank.bind(Arc::new(rule("t", Measure::Tokens, 29, minute())))];
    let refusal = refused(bank.try_reserve(&rules, &demand(), NOON));
    assert_eq!((refusal.retry_after, refusal.remaining), (None, 29));
    let absurd = Demand {
        input: u64::MAX,
        output: u64::MAX,
        nano: u64::MAX,
        ..demand()
    };
    refused(bank.try_reserve(&rules, &absurd, u64::MAX));
    let none = [bank.bind(Arc::new(rule("none", Measure::Requests, 0, minute())))];
    refused(bank.try_reserve(&none, &demand(), 0));
}

#[test]
fn a_rule_given_twice_counts_once() {
    let bank = Bank::new(None);
    let one = bank.bind(Arc::new(rule("r", Measure::Requests, 5, minute())));
    let lease = granted(bank.try_reserve([&one, &one, &one], &demand(), NOON));
    assert_eq!(lease.standings().requests.unwrap().remaining, 4);
}

#[test]
fn five_hundred_at_once_on_a_nearly_empty_budget() {
    let bank = Bank::new(None);
    let rules = [
        bank.bind(Arc::new(rule(
            "team",
            Measure::NanoUsd,
            10_000,
            calendar(Period::Month),
        ))),
        bank.bind(Arc::new(rule("key", Measure::NanoUsd, 750, calendar(Period::Month)))),
    ];
    let leases: Vec<Lease> = std::thread::scope(|scope| {
        let one = |_| {
            scope.spawn(|| {
                (0..125)
                    .map(|_| bank.try_reserve(&rules, &demand(), NOON))
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(one).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        all.filter_map(|attempt| {
            if let Attempt::Granted(lease) = attempt {
                Some(lease)
            } else {
                None
            }
        })
        .collect()
    });
    assert_eq!(leases.len(), 7, "750 is seven times 100");
    let team = bank.standings(NOON).into_iter().find(|s| &*s.id == "team").unwrap();
    assert_eq!(team.reserved, 700, "what the key refused, the team did not see");
}

/// Ten thousand keys with three rules each: nothing until they are used, and standings of all of them.
#[test]
fn unused_rules_have_no_counts() {
    let bank = Bank::new(None);
    let make = |n: usize| bank.bind(Arc::new(rule(&format!("key:{n}"), Measure::Requests, 5, minute())));
    let rules: Vec<_> = (0..30_000).map(make).collect();
    assert!(bank.standings(NOON).is_empty());
    drop(granted(bank.try_reserve(&rules[..100], &demand(), NOON)));
    assert_eq!(bank.standings(NOON).len(), 100);
}

proptest! {
    /// Whatever happens to requests, on whichever clock: what is reserved is what requests hold, what is used is what they
    /// were settled with, and no window holds more than the limit.
    #[test]
    fn reserved_is_settled_or_refunded(steps in proptest::collection::vec((0..6u8, 0..200u64, 0..30_000u64), 1..300)) {
        let bank = Bank::new(None);
        let rules = [
            bank.bind(Arc::new(rule("c", Measure::Concurrent, 5, Window::Now))),
            bank.bind(Arc::new(rule("m", Measure::NanoUsd, 1000, calendar(Period::Total)))),
            bank.bind(Arc::new(rule("w", Measure::NanoUsd, 500, calendar(Period::Minute)))),
            bank.bind(Arc::new(rule("s", Measure::Tokens, 2000, minute()))),
        ];
        let (mut now, mut held, mut total) = (NOON, Vec::<(Lease, u64)>::new(), 0u64);
        for (what, nano, wait) in steps {
            now += wait;
            let asked = Demand { nano, output: nano, ..demand() };
            match what {
                0..=2 => if let Attempt::Granted(lease) = bank.try_reserve(&rules, &asked, now) { held.push((lease, nano)) },
                3 => if let Some((lease, most)) = held.pop() {
                    let used = most * (nano % 3) / 2;
                    total += used;
                    lease.settle(&[spent(0, used, used)], now);
                },
                4 => drop(held.pop()),
                _ => if !held.is_empty() { drop(held.remove(0)) },
            }
            let all = bank.standings(now);
            let of = |id: &str| all.iter().find(|s| &*s.id == id).map_or((0, 0), |s| (s.used, s.reserved));
            prop_assert_eq!(of("m"), (total, held.iter().map(|(_, nano)| nano).sum()));
            prop_assert_eq!(of("c").1, held.len() as u64);
            prop_assert!(held.len() <= 5);
        }
        drop(held);
        prop_assert!(bank.standings(now).iter().all(|s| s.reserved == 0));
    }
}
