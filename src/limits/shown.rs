//! How all counts stand, for the operator; and forgetting those of who was deleted.

use super::bank::Bank;
use super::rule::{Each, Rule, Scope, ScopeKind};
use std::sync::Arc;

/// How one count stands.
#[derive(Debug, Clone)]
pub struct CountStanding {
    /// Its id.
    pub id: Arc<str>,
    /// Its rule.
    pub rule: Arc<Rule>,
    /// The value it is counted apart for.
    pub value: Option<Arc<str>>,
    /// The limit, in the unit of the rule's measure.
    pub limit: u64,
    /// Used in this window or stretch; in a fleet, by all, as last heard.
    pub used: u64,
    /// Held by requests under way at this instance.
    pub reserved: u64,
    /// When the window began, in seconds since 1970; none: it slides, or there is none.
    pub start: Option<i64>,
    /// When it ends; none: it slides, there is none, or it never does.
    pub end: Option<i64>,
    /// What the window comes to if it goes on as it went.
    pub forecast: Option<u64>,
}

impl Bank {
    /// Every count that was used and is remembered. Locks one at a time.
    pub fn standings(&self, now_ms: u64) -> Vec<CountStanding> {
        let counts = self.all();
        let one = |count: &Arc<super::count::Count>| {
            let mut state = count.lock();
            state.advance(now_ms);
            let (used, reserved) = state.figures();
            let windowed = matches!(state.rule.window, super::Window::Calendar { .. });
            CountStanding {
                id: Arc::clone(&count.id),
                rule: Arc::clone(&state.rule),
                value: count.value.clone(),
                limit: state.rule.amount,
                used,
                reserved,
                start: windowed.then_some(state.book.start),
                end: Some(state.book.end).filter(|end| windowed && *end != i64::MAX),
                forecast: state.forecast(),
            }
        };
        counts.iter().map(one).collect()
    }

    /// Forget what was counted for a scope that was deleted, so that one of the same name begins anew; also what other rules
    /// counted apart for that user, key or model. Rules bound before it go on with what they have: bind anew.
    pub fn forget(&self, scope: &Scope) {
        self.drop_counts(true, |count, state| {
            let apart = match state.rule.each {
                Some(Each::Model) => scope.kind == ScopeKind::Model,
                Some(Each::User) => scope.kind == ScopeKind::User,
                Some(Each::Key) => scope.kind == ScopeKind::Key,
                None => false,
            };
            state.rule.scope == *scope || (apart && count.value.as_deref() == Some(&*scope.name))
        });
    }
}
