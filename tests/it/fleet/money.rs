//! Amounts beyond what a double can hold, against a model in whole numbers.

use super::{TOTAL, ask, fleet, report};
use crate::support::redis::{Redis, installed};
use cirque::limits::{Exchange, Taken};
use proptest::prelude::*;

/// Ten million dollars.
const MUCH: u64 = 10_000_000_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    Take {
        who: usize,
        need: u64,
        ahead: u64,
    },
    Report {
        who: usize,
        spent: u64,
        back: u64,
        beyond: u64,
    },
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..10_u64,
        0..MUCH,
        (0..1000_u64).prop_map(|less| MUCH / 7 - less),
        Just(999_999_999),
        Just(1_000_000_000)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize, amount(), amount()).prop_map(|(who, need, ahead)| Step::Take { who, need, ahead }),
        (0..2_usize, amount(), amount(), 0..100_000_u64).prop_map(|(who, spent, back, beyond)| Step::Report {
            who,
            spent,
            back,
            beyond
        }),
    ]
}

#[test]
fn ten_million_dollars_are_counted_to_the_nano_dollar() {
    if !installed() {
        return;
    }
    let redis = Redis::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let both = fleet(&redis, 2);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (proptest::collection::vec(step(), 1..30), MUCH - 1000..MUCH + 1000);
    let next = std::cell::RefCell::new(0_u64);
    runner
        .run(&strategy, |(steps, limit)| {
            *next.borrow_mut() += 1;
            let count = format!("money-{}", next.borrow());
            let (mut used, mut out) = (0_u64, [0_u64; 2]);
            for step in steps {
                match step {
                    Step::Take { who, need, ahead } => {
                        let taken = runtime
                            .block_on(both[who].take(&[ask(&count, TOTAL, limit, need, ahead)]))
                            .unwrap();
                        let room = limit.saturating_sub(used);
                        if room < need {
                            prop_assert_eq!(
                                taken,
                                Taken::Refused {
                                    index: 0,
                                    remaining: room,
                                    after: None
                                }
                            );
                            continue;
                        }
                        let amount = need + ahead.min((room - need) / 100);
                        (used, out[who]) = (used + amount, out[who] + amount);
                        let Taken::Granted(given) = taken else {
                            panic!("refused")
                        };
                        prop_assert_eq!((given[0].amount, given[0].used), (amount, used));
                    }
                    Step::Report {
                        who,
                        spent,
                        back,
                        beyond,
                    } => {
                        let spent = spent.min(out[who]);
                        let back = back.min(out[who] - spent);
                        out[who] -= spent + back;
                        used = used - back + beyond;
                        let after =
                            runtime.block_on(both[who].report(&[report(&count, TOTAL, limit, spent, back, beyond)]));
                        prop_assert_eq!(after, Ok(vec![used]));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}
