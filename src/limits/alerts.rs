//! What is raised when a budget is nearly used up, used up, or will be; once per window, taken from a bounded queue.
//!
//! Each instance of a fleet raises its own: whoever sends them on tells them apart by count, window and kind.

use super::rule::Rule;
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

/// Raised and not yet taken, at most.
const WAITING: usize = 1024;

/// Something to tell the operator.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Id of the count.
    pub count: Arc<str>,
    /// Its rule.
    pub rule: Arc<Rule>,
    /// The value it is counted apart for.
    pub value: Option<Arc<str>>,
    /// What happened.
    pub kind: AlertKind,
    /// The limit, in the unit of the rule's measure.
    pub limit: u64,
    /// What is used of it.
    pub used: u64,
    /// When the window began, in seconds since 1970.
    pub start: i64,
    /// When it ends; `i64::MAX`: never.
    pub end: i64,
}

/// Kinds of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// So many percent of it are used.
    Percent(u32),
    /// If the window goes on as it went, it comes to this.
    Forecast(u64),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Alerts(ArrayQueue<Alert>);

impl Alerts {
    pub(super) fn new() -> Self {
        Self(ArrayQueue::new(WAITING))
    }

    /// Whether it fitted.
    pub(super) fn push(&self, alert: Alert) -> bool {
        self.0.push(alert).is_ok()
    }

    pub(super) fn drain(&self) -> Vec<Alert> {
        std::iter::from_fn(|| self.0.pop()).take(WAITING).collect()
    }
}
