//! Counts shared through Redis: the contract of `Exchange`, and what becomes of it when Redis or an instance fails.
//!
//! Real servers, one for each test; every process of a fleet is an exchange of its own here.

mod contract;
mod failures;
mod figures;
mod money;
mod proxy;
mod servers;

use crate::support::redis::Redis;
use crate::support::{PATIENCE, eventually};
use cirque::limits::{Ask, Exchange, Outage, Report, Shape, Taken};
use cirque::secret::Secret;
use cirque::storage::redis::{RedisExchange, Settings};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const TOTAL: Shape = Shape::Window {
    start: 0,
    end: i64::MAX,
};

pub fn settings(urls: &[String]) -> Settings {
    let mut settings = Settings::new(urls.iter().map(|url| Secret::new(url.clone())).collect());
    settings.seeding = Duration::from_millis(300);
    // Generous: the machine is busy, and what is tested is not how fast it is.
    settings.timeout = Duration::from_millis(500);
    settings
}

/// One instance, ready.
pub fn instance(settings: Settings) -> Arc<RedisExchange> {
    let exchange = RedisExchange::connect(settings).unwrap();
    ready(&*exchange);
    exchange
}

pub fn fleet(redis: &Redis, size: usize) -> Vec<Arc<RedisExchange>> {
    (0..size).map(|_| instance(settings(&[redis.url()]))).collect()
}

pub fn ready(exchange: &dyn Exchange) {
    eventually("the exchange can be asked", || exchange.available().then_some(()));
}

pub fn ask(count: &str, shape: Shape, limit: u64, need: u64, ahead: u64) -> Ask {
    Ask {
        count: Arc::from(count),
        shape,
        limit,
        need,
        ahead,
        known: 0,
    }
}

pub fn report(count: &str, shape: Shape, limit: u64, spent: u64, back: u64, beyond: u64) -> Report {
    Report {
        count: Arc::from(count),
        shape,
        limit,
        spent,
        back,
        beyond,
        known: 0,
    }
}

/// What one ask gives, none if refused.
pub async fn take(exchange: &dyn Exchange, ask: Ask) -> Result<Option<u64>, Outage> {
    Ok(match exchange.take(&[ask]).await? {
        Taken::Granted(given) => Some(given[0].amount),
        Taken::Refused { .. } => None,
    })
}

/// Used and out, as a question that takes nothing tells.
pub async fn used(exchange: &dyn Exchange, count: &str, shape: Shape) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(Taken::Granted(given)) = exchange.take(&[ask(count, shape, u64::MAX, 0, 0)]).await {
            return given[0].used;
        }
        assert!(Instant::now() < deadline, "the exchange cannot be asked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Poll until a count is as it should be.
pub async fn becomes(exchange: &dyn Exchange, count: &str, shape: Shape, wanted: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = used(exchange, count, shape).await;
        if now == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "`{count}` is {now}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
