//! An exchange in memory that can fail, answer late, lose its memory and bury an instance; and what the contract says in code.

use crate::limits::{Ask, Exchange, Given, Outage, Report, Shape, Taken};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What all instances share.
#[derive(Default)]
pub struct Hub {
    pub now_ms: AtomicU64,
    pub up: AtomicBool,
    pub epoch: AtomicU64,
    pub instances: AtomicU64,
    /// Questions asked.
    pub asked: AtomicU64,
    /// Of a hundred calls so many fail before they arrive, and as many reports after it.
    pub flaky: AtomicU64,
    kept: Mutex<HashMap<String, Kept>>,
    seen: Mutex<HashMap<usize, u64>>,
}

#[derive(Default, Clone)]
struct Kept {
    /// By slot; one of windows.
    used: HashMap<u64, u64>,
    out: HashMap<usize, u64>,
}

/// One instance's way to it.
pub struct Way {
    pub hub: Arc<Hub>,
    pub instance: usize,
    /// Number of the next report, and whether the last one failed and is the same.
    number: Mutex<u64>,
    /// As last heard.
    heard: AtomicU64,
}

impl Hub {
    pub fn new(now_ms: u64, instances: u64) -> Arc<Self> {
        let hub = Self::default();
        hub.now_ms.store(now_ms, Ordering::SeqCst);
        hub.up.store(true, Ordering::SeqCst);
        hub.epoch.store(1, Ordering::SeqCst);
        hub.instances.store(instances, Ordering::SeqCst);
        Arc::new(hub)
    }

    pub fn way(self: &Arc<Self>, instance: usize) -> Arc<Way> {
        Arc::new(Way {
            hub: Arc::clone(self),
            instance,
            // One that was started anew under the same name goes on with later numbers.
            number: Mutex::new(fastrand::u64(1..1 << 60)),
            heard: AtomicU64::new(self.epoch.load(Ordering::SeqCst)),
        })
    }

    pub fn up(&self, up: bool) {
        self.up.store(up, Ordering::SeqCst);
    }

    pub fn lose_memory(&self) {
        self.kept.lock().unwrap().clear();
        self.seen.lock().unwrap().clear();
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// What was out with it returns.
    pub fn bury(&self, instance: usize) {
        for kept in self.kept.lock().unwrap().values_mut() {
            let out = kept.out.remove(&instance).unwrap_or_default();
            kept.less(out);
        }
    }

    /// Used and out, and out, of one count.
    pub fn figures(&self, count: &str) -> (u64, u64) {
        let kept = self.kept.lock().unwrap();
        let of = |(name, _): &(&String, &Kept)| name.starts_with(count);
        let sum = kept
            .iter()
            .filter(of)
            .map(|(_, kept)| (kept.total(), kept.out.values().sum::<u64>()));
        sum.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    fn name(count: &str, shape: Shape) -> String {
        match shape {
            Shape::Window { start, .. } => format!("{count}@{start}"),
            _ => count.to_owned(),
        }
    }

    fn slot(&self, shape: Shape) -> u64 {
        match shape {
            Shape::Sliding(per) => {
                self.now_ms.load(Ordering::SeqCst) / u64::try_from(per.as_millis()).unwrap().div_ceil(20).max(1)
            }
            _ => 0,
        }
    }
}

impl Kept {
    fn total(&self) -> u64 {
        self.used.values().sum()
    }

    fn advance(&mut self, slot: u64) {
        self.used.retain(|at, _| at + 20 >= slot);
    }

    fn less(&mut self, mut amount: u64) {
        let mut slots: Vec<u64> = self.used.keys().copied().collect();
        slots.sort_unstable_by(|a, b| b.cmp(a));
        for slot in slots {
            let used = self.used.get_mut(&slot).unwrap();
            let now = amount.min(*used);
            *used -= now;
            amount -= now;
        }
    }
}

impl Way {
    async fn arrive(&self) -> Result<(), Outage> {
        for _ in 0..fastrand::usize(0..3) {
            tokio::task::yield_now().await;
        }
        if !self.hub.up.load(Ordering::SeqCst) || fastrand::u64(0..100) < self.hub.flaky.load(Ordering::SeqCst) {
            return Err(Outage);
        }
        let epoch = self.hub.epoch.load(Ordering::SeqCst);
        if self.heard.swap(epoch, Ordering::SeqCst) != epoch {
            return Err(Outage);
        }
        Ok(())
    }

    async fn leave(&self) {
        for _ in 0..fastrand::usize(0..3) {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Exchange for Way {
    async fn take(&self, asks: &[Ask]) -> Result<Taken, Outage> {
        self.hub.asked.fetch_add(1, Ordering::SeqCst);
        self.arrive().await?;
        let taken = {
            let mut all = self.hub.kept.lock().unwrap();
            let mut refused = None;
            for (index, ask) in asks.iter().enumerate() {
                let slot = self.hub.slot(ask.shape);
                let kept = all.entry(Hub::name(&ask.count, ask.shape)).or_default();
                kept.advance(slot);
                if ask.known > kept.total() {
                    *kept.used.entry(slot).or_default() += ask.known - kept.total();
                }
                let remaining = ask.limit.saturating_sub(kept.total());
                if remaining < ask.need && refused.is_none() {
                    let after = matches!(ask.shape, Shape::Sliding(_)).then_some(Duration::from_secs(1));
                    refused = Some(Taken::Refused {
                        index,
                        remaining,
                        after,
                    });
                }
            }
            refused.unwrap_or_else(|| {
                let give = |ask: &Ask| {
                    let slot = self.hub.slot(ask.shape);
                    let kept = all.entry(Hub::name(&ask.count, ask.shape)).or_default();
                    let remaining = ask.limit.saturating_sub(kept.total());
                    let amount = ask.need + ask.ahead.min((remaining - ask.need.min(remaining)) / 100);
                    *kept.used.entry(slot).or_default() += amount;
                    *kept.out.entry(self.instance).or_default() += amount;
                    Given {
                        amount,
                        used: kept.total(),
                    }
                };
                Taken::Granted(asks.iter().map(give).collect())
            })
        };
        self.leave().await;
        Ok(taken)
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<u64>, Outage> {
        self.arrive().await?;
        let number = *self.number.lock().unwrap();
        let figures = {
            let mut all = self.hub.kept.lock().unwrap();
            let repeated = self.hub.seen.lock().unwrap().insert(self.instance, number) == Some(number);
            let one = |report: &Report| {
                let slot = self.hub.slot(report.shape);
                let kept = all.entry(Hub::name(&report.count, report.shape)).or_default();
                kept.advance(slot);
                if report.known > kept.total() {
                    *kept.used.entry(slot).or_default() += report.known - kept.total();
                }
                if !repeated {
                    let out = kept.out.entry(self.instance).or_default();
                    assert!(*out >= report.back + report.spent, "{report:?} of {out}");
                    *out -= report.back + report.spent;
                    if report.shape == Shape::Concurrent {
                        *out += report.beyond;
                    }
                    kept.less(report.back);
                    *kept.used.entry(slot).or_default() += report.beyond;
                }
                kept.total()
            };
            reports.iter().map(one).collect()
        };
        // It arrived, but the answer does not.
        self.leave().await;
        if fastrand::u64(0..100) < self.hub.flaky.load(Ordering::SeqCst) {
            return Err(Outage);
        }
        *self.number.lock().unwrap() += 1;
        Ok(figures)
    }

    fn instances(&self) -> usize {
        usize::try_from(self.hub.instances.load(Ordering::SeqCst)).unwrap()
    }

    fn available(&self) -> bool {
        self.hub.up.load(Ordering::SeqCst)
    }

    fn epoch(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }
}
