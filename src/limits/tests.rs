//! Counts as a caller sees them, on one instance and in fleets.

mod fleet;
mod memory;
mod simulation;
mod single;

use super::*;
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-22T06:40:00Z, a Sunday.
const NOON: u64 = 1_795_329_600_000;

/// A rule of a team.
fn rule(id: &str, measure: Measure, amount: u64, window: Window) -> Rule {
    Rule {
        id: id.into(),
        scope: Scope {
            kind: ScopeKind::Team,
            name: "search".into(),
        },
        name: id.into(),
        measure,
        amount,
        window,
        models: Patterns::default(),
        providers: Vec::new(),
        each: None,
        soft: false,
        alerts: vec![80, 100],
        downgrade_to: None,
        on_outage: if measure == Measure::NanoUsd {
            OnOutage::FailClosed
        } else {
            OnOutage::Share
        },
    }
}

fn minute() -> Window {
    Window::Sliding(Duration::from_secs(60))
}

fn calendar(period: Period) -> Window {
    Window::Calendar {
        period,
        zone: jiff::tz::TimeZone::UTC,
    }
}

fn demand<'a>() -> Demand<'a> {
    Demand {
        model: "gpt-4o",
        user: Some("ann"),
        key: Some("ci"),
        providers: &[],
        input: 10,
        output: 20,
        nano: 100,
        overruled: &[],
    }
}

/// So much was spent, at a provider of no name.
fn spent<'a>(input: u64, output: u64, nano: u64) -> Spent<'a> {
    Spent {
        provider: None,
        input,
        output,
        nano,
    }
}

fn granted(attempt: Attempt) -> Lease {
    match attempt {
        Attempt::Granted(lease) => lease,
        other => panic!("{other:?}"),
    }
}

fn refused(attempt: Attempt) -> Refusal {
    match attempt {
        Attempt::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}
