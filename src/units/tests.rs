//! Money: exact against rational arithmetic, monotonic, never beyond its type.

use super::*;
use proptest::prelude::*;

#[test]
fn costs_are_exact() {
    let price = Price::flat(Rates {
        cached: 1_250_000_000,
        ..Rates::plain(2_500_000_000, 10_000_000_000)
    });
    let usage = Usage {
        input: 1000,
        cached: 400,
        output: 10,
        ..Usage::default()
    };
    // 600 × 2500 + 400 × 1250 + 10 × 10000 nano-dollars.
    assert_eq!(price.of(&usage).total(), 2_100_000);
    let absurd = Usage {
        input: u64::MAX,
        output: u64::MAX,
        cached: u64::MAX,
        web_searches: u64::MAX,
        tier: ServiceTier::Batch,
        ..Usage::default()
    };
    assert_eq!(price.of(&absurd).total(), u64::MAX);
    assert_eq!(price.at_most(1000, 10), 2_600_000);
}

#[test]
fn searches_cost_by_the_piece_and_service_tiers_their_part_of_tokens_only() {
    let price = Price {
        service: ServiceRates {
            batch: 5_000,
            flex: 5_000,
            priority: 25_000,
        },
        ..Price::flat(Rates {
            search: 10_000_000,
            ..Rates::plain(5_000_000_000, 30_000_000_000)
        })
    };
    let usage = Usage {
        input: 1000,
        output: 100,
        web_searches: 3,
        ..Usage::default()
    };
    let of = |tier| price.of(&Usage { tier, ..usage }).total();
    // 1000 × 5000 + 100 × 30000 nano-dollars, and three cents.
    assert_eq!(of(ServiceTier::Standard), 8_000_000 + 30_000_000);
    assert_eq!(of(ServiceTier::Batch), 4_000_000 + 30_000_000);
    assert_eq!(of(ServiceTier::Priority), 20_000_000 + 30_000_000);
    assert_eq!(price.at_most_as(ServiceTier::Batch, 1000, 100), 8_000_000);
    assert_eq!(price.at_most_as(ServiceTier::Priority, 1000, 100), 20_000_000);
}

#[test]
fn dollars_are_told_exactly() {
    assert_eq!(usd(0), "0");
    assert_eq!(usd(2_500_000_000), "2.5");
    assert_eq!(usd(1_234), "0.000001234");
    assert_eq!(usd(u64::MAX), "18446744073.709551615");
}

fn rates(most: u64) -> impl Strategy<Value = Rates> {
    proptest::array::uniform10(0..=most).prop_map(|r| Rates {
        input: r[0],
        output: r[1],
        cached: r[2],
        cache_write: r[3],
        cache_write_1h: r[4],
        reasoning: r[5],
        audio_input: r[6],
        audio_output: r[7],
        request: r[8],
        search: r[9],
    })
}

fn price(most: u64) -> impl Strategy<Value = Price> {
    let service = proptest::array::uniform3(0..=100_000u32);
    (rates(most), rates(most), 0..1_000_000u64, service).prop_map(|(base, tier, above, service)| Price {
        base,
        tiers: Box::new([(above, tier)]),
        service: ServiceRates {
            batch: service[0],
            flex: service[1],
            priority: service[2],
        },
    })
}

fn tier() -> impl Strategy<Value = ServiceTier> {
    proptest::sample::select(ServiceTier::ALL.to_vec())
}

/// Of any figures, also those that contradict each other.
fn usage(most: u64) -> impl Strategy<Value = Usage> {
    (proptest::array::uniform11(0..=most), tier()).prop_map(|(n, tier)| Usage {
        input: n[0],
        output: n[1],
        cached: n[2],
        cache_write: n[3],
        cache_write_1h: n[4],
        reasoning: n[5],
        audio_input: n[6],
        audio_output: n[7],
        web_searches: n[8],
        unbilled_input: n[9],
        unbilled_output: n[10],
        tier,
    })
}

proptest! {
    /// Whatever a call turns out to be made of, it costs no more than what was reserved for it.
    #[test]
    fn no_call_costs_more_than_at_most(price in price(1 << 32), usage in usage(2_000_000)) {
        let usage = Usage { web_searches: 0, ..usage };
        let most = price.at_most_as(usage.tier, usage.input, usage.output);
        prop_assert!(price.of(&usage).total() <= most);
    }

    /// Each class is what the fraction is, rounded down: of standard calls, and where the part of the rate is a whole number.
    #[test]
    fn classes_are_exact(base in rates(1 << 50), usage in usage(1 << 30), tier in tier()) {
        let even = |rate: u64| rate / 10_000 * 10_000;
        let base = Rates {
            input: even(base.input), output: even(base.output), cached: even(base.cached), reasoning: even(base.reasoning),
            cache_write: even(base.cache_write), cache_write_1h: even(base.cache_write_1h), ..base
        };
        let service = ServiceRates { batch: 5_000, flex: 2_500, priority: 17_500 };
        let price = Price { service, ..Price::flat(base) };
        let usage = Usage { audio_input: 0, audio_output: 0, unbilled_input: 0, unbilled_output: 0, tier, ..usage };
        let cost = price.of(&usage);
        let part = u128::from(service.of(tier));
        // tokens × rate × part / (1 000 000 × 10 000), by multiplication only: floor(x) ≤ x < floor(x) + 1.
        let floor = |nano: u64, tokens: u64, rate: u64| {
            let (exact, unit) = (u128::from(tokens) * u128::from(rate) * part, 10_000_000_000u128);
            u128::from(nano) * unit <= exact && exact < (u128::from(nano) + 1) * unit
        };
        let cached = usage.cached.min(usage.input);
        let written = usage.cache_write.min(usage.input - cached);
        let reasoning = usage.reasoning.min(usage.output);
        prop_assert!(floor(cost.cached, cached, base.cached));
        prop_assert!(floor(cost.input, usage.input - cached - written, base.input));
        prop_assert!(floor(cost.reasoning, reasoning, base.reasoning));
        prop_assert!(floor(cost.output, usage.output - reasoning, base.output));
    }

    /// Every token is charged once: where all classes cost the same, how they are told apart does not matter (but for what
    /// rounding drops, less than a nano-dollar a class).
    #[test]
    fn each_token_is_charged_once(rate in 0..1u64 << 40, usage in usage(1 << 30)) {
        let price = Price::flat(Rates::plain(rate, rate));
        let paid = usage.input.saturating_sub(usage.unbilled_input) + usage.output.saturating_sub(usage.unbilled_output);
        let exact = u128::from(paid) * u128::from(rate) / 1_000_000;
        let cost = u128::from(price.of(&usage).total());
        prop_assert!(cost <= exact && exact - cost < 9, "{cost} {exact}");
    }

    /// More tokens never cost less, as long as longer prompts are not cheaper.
    #[test]
    fn more_costs_no_less(base in rates(1 << 40), usage in usage(1 << 30), more in 0..1u64 << 30, up in 1..4u64) {
        let price = Price { tiers: Box::new([(1 << 20, Rates { input: base.input * up, ..base })]), ..Price::flat(base) };
        let cost = price.of(&usage).total();
        let of_output = Usage { reasoning: usage.reasoning.min(usage.output), audio_output: 0, unbilled_output: 0, ..usage };
        let longer = Usage { output: usage.output + more, ..of_output };
        prop_assert!(price.of(&longer).total() >= price.of(&of_output).total());
        let plain = Usage { unbilled_input: 0, cached: 0, cache_write: 0, cache_write_1h: 0, audio_input: 0, ..usage };
        let longer = Usage { input: usage.input + more, ..plain };
        prop_assert!(price.of(&longer).total() >= price.of(&plain).total());
        let searched = Usage { web_searches: usage.web_searches + more, ..usage };
        prop_assert!(price.of(&searched).total() >= cost);
    }

    /// No figures and no rates are too large.
    #[test]
    fn nothing_overflows(price in price(u64::MAX), usage in usage(u64::MAX)) {
        let _ = (price.of(&usage).total(), price.at_most_as(usage.tier, usage.input, usage.output), price.compared());
    }
}
