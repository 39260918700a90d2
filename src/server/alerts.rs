//! Alerts to a webhook: what budgets, breakers, Redis and the ledger have to say to an operator who is not looking.
//!
//! ```text
//! raise ─► deduplicated ─► bounded queue ─► POST, signed ─ 2xx ─► done
//!                                                        └ else ─► again after 1, 2, 4, 8, 16 s, then lost and counted
//! ```
//! Never on the way of a request. The one idea: each alert has a `key` that is the same on all instances and for all times it is
//! sent, so that whoever receives it can drop what it has.

use crate::clock;
use crate::config::{AlertKind, Config, Webhook};
use crate::gateway::App;
use crate::limits::{Alert, AlertKind as Raised, Exchange, Measure};
use crate::secret::Secret;
use crate::telemetry::Meters;
use crate::units::usd;
use crate::upstream::{SideCalls, Transport};
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Alerts that wait to be sent, at most; of more the oldest are lost.
const WAITING: usize = 256;
/// Keys remembered, at most.
const KNOWN: usize = 4_096;
/// The same is not said again so soon.
const AGAIN_MS: u64 = 600_000;
/// Attempts at one alert.
const ATTEMPTS: u32 = 6;
/// Records that wait so long for the store are too old.
const BEHIND_MS: u64 = 60_000;
const SIGNATURE: HeaderName = HeaderName::from_static("x-cirque-signature");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-cirque-timestamp");

/// Something to say.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    kind: AlertKind,
    key: String,
    /// False: it was so, and is over.
    firing: bool,
    at_ms: u64,
    text: String,
    details: Value,
}

/// Where to.
struct Target {
    url: Secret,
    key: ring::hmac::Key,
    kinds: Vec<AlertKind>,
    calls: SideCalls,
}

/// What waits, and what was said.
pub(super) struct Alerts {
    meters: Arc<Meters>,
    transport: Arc<Transport>,
    target: ArcSwapOption<Target>,
    queue: Mutex<VecDeque<Said>>,
    said: Mutex<HashMap<(String, bool), u64>>,
    wake: Notify,
}

impl Alerts {
    pub(super) fn new(meters: Arc<Meters>) -> Arc<Self> {
        Arc::new(Self {
            meters,
            transport: Arc::new(Transport::new(1)),
            target: ArcSwapOption::empty(),
            queue: Mutex::default(),
            said: Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn raise(&self, said: Said) {
        let target = self.target.load();
        let Some(target) = target.as_ref() else { return };
        if !target.kinds.is_empty() && !target.kinds.contains(&said.kind) {
            return;
        }
        {
            let mut known = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (said.key.clone(), said.firing);
            if known.get(&key).is_some_and(|at| said.at_ms.abs_diff(*at) < AGAIN_MS) {
                self.meters.accounts.alert_sent(said.kind.as_str(), "repeated");
                return;
            }
            if known.len() >= KNOWN {
                known.retain(|_, at| said.at_ms.abs_diff(*at) < AGAIN_MS);
            }
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(key, said.at_ms);
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= WAITING
            && let Some(lost) = queue.pop_front()
        {
            self.meters.accounts.alert_sent(lost.kind.as_str(), "lost");
        }
        queue.push_back(said);
        drop(queue);
        self.wake.notify_one();
    }

    /// A budget alerts.
    pub(super) fn budget(&self, alert: &Alert) {
        let rule = &alert.rule;
        let shown = |figure: u64| match rule.measure {
            Measure::NanoUsd => usd(figure),
            _ => figure.to_string(),
        };
        let (kind, what, expected) = match alert.kind {
            Raised::Percent(percent) if percent >= 100 => (AlertKind::BudgetExhausted, "is used up".to_owned(), None),
            Raised::Percent(percent) => (AlertKind::BudgetShare, format!("has reached {percent} %"), None),
            Raised::Forecast(sum) => (
                AlertKind::BudgetForecast,
                "will be exceeded".to_owned(),
                Some(shown(sum)),
            ),
        };
        let percent = match alert.kind {
            Raised::Percent(percent) => Some(percent),
            Raised::Forecast(_) => None,
        };
        let scope = rule.scope.kind.as_str();
        self.raise(Said {
            kind,
            key: format!(
                "{}:{}:{}:{}",
                kind.as_str(),
                alert.count,
                alert.start,
                percent.unwrap_or_default()
            ),
            firing: true,
            at_ms: clock::now_ms(),
            text: format!("the budget `{}` of {scope} `{}` {what}", rule.name, rule.scope.name),
            details: json!({
                "scope": scope, "name": &*rule.scope.name, "budget": &*rule.name, "each": alert.value.as_deref(),
                "percent": percent, "used": shown(alert.used), "limit": shown(alert.limit), "expected": expected,
            }),
        });
    }

    /// Take what a configuration says. A wrong address is said and nothing sent.
    pub(super) fn adopt(&self, config: &Config) {
        let target = config
            .alerts
            .webhook
            .as_ref()
            .map(|webhook| target(webhook, config, &self.transport));
        let target = target.transpose().unwrap_or_else(|problem| {
            tracing::error!(problem, "alerts cannot be sent");
            None
        });
        self.target.store(target.map(Arc::new));
    }

    /// Send what is raised, for as long as the process lives.
    async fn send(&self) {
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(said) = next else {
                self.wake.notified().await;
                continue;
            };
            let result = match self.deliver(&said).await {
                Ok(()) => "sent",
                Err(problem) => {
                    tracing::warn!(problem, kind = said.kind.as_str(), "an alert could not be sent");
                    "failed"
                }
            };
            self.meters.accounts.alert_sent(said.kind.as_str(), result);
        }
    }

    async fn deliver(&self, said: &Said) -> Result<(), String> {
        let body = body(said);
        let mut problem = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                let wait = 1_000 << (attempt - 1);
                tokio::time::sleep(Duration::from_millis(wait + fastrand::u64(0..wait))).await;
            }
            // A reload may have mended the address.
            let Some(target) = self.target.load_full() else {
                return Ok(());
            };
            match target.post(&body, clock::now()).await {
                Ok(status) if (200..300).contains(&status) => return Ok(()),
                Ok(status) => problem = format!("status {status}"),
                Err(wrong) => problem = wrong,
            }
        }
        Err(problem)
    }
}

fn target(webhook: &Webhook, config: &Config, transport: &Arc<Transport>) -> Result<Target, String> {
    let url = webhook.url.read()?;
    let secret = webhook.secret.read()?;
    let link_local = config.insecure.allow_link_local_providers;
    let calls = SideCalls::new(Arc::clone(transport), Vec::new(), link_local);
    calls
        .check(url.expose())
        .map_err(|wrong| format!("alerts.webhook.url: {wrong}"))?;
    Ok(Target {
        url,
        key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.expose().as_bytes()),
        kinds: webhook.kinds.clone(),
        calls,
    })
}

fn body(said: &Said) -> Bytes {
    let at = i64::try_from(said.at_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let all = json!({
        "key": said.key, "kind": said.kind.as_str(), "state": if said.firing { "firing" } else { "resolved" },
        "at": at.map(|at| at.to_string()), "text": said.text, "details": said.details,
    });
    all.to_string().into()
}

impl Target {
    /// `HMAC-SHA256(secret, timestamp + "." + body)`: who keeps timestamps cannot be told the same twice.
    fn signature(&self, body: &[u8], now_s: i64) -> String {
        let mut signed = format!("{now_s}.").into_bytes();
        signed.extend_from_slice(body);
        let tag = ring::hmac::sign(&self.key, &signed);
        tag.as_ref()
            .iter()
            .fold("v1=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    async fn post(&self, body: &Bytes, now_s: i64) -> Result<u16, String> {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "not a header".to_owned());
        let headers = [
            (TIMESTAMP, value(&now_s.to_string())?),
            (SIGNATURE, value(&self.signature(body, now_s))?),
        ];
        self.calls.post(self.url.expose(), &headers, body.clone()).await
    }
}

/// What was seen when it was last looked.
#[derive(Default)]
struct Watch {
    /// Times that breakers had opened, by target.
    opened: HashMap<String, u64>,
    redis: bool,
    behind: bool,
    full: bool,
}

impl Watch {
    fn look(&mut self, app: &App, exchange: Option<&Arc<dyn Exchange>>, alerts: &Alerts) {
        let now_ms = clock::now_ms();
        let redis = exchange.is_some_and(|exchange| !exchange.available());
        let ledger = app.ledger.load_full();
        let waited = ledger
            .as_ref()
            .map_or(0, |ledger| ledger.stats(now_ms).oldest_unsent_ms);
        let full = ledger.is_some_and(|ledger| !ledger.accepting());
        for (kind, was, is, text) in [
            (
                AlertKind::RedisDown,
                &mut self.redis,
                redis,
                "Redis does not answer: limits go by their on_outage",
            ),
            (
                AlertKind::StoreBehind,
                &mut self.behind,
                waited > BEHIND_MS,
                "records of usage wait for the store",
            ),
            (
                AlertKind::LedgerFull,
                &mut self.full,
                full,
                "records of usage cannot be kept",
            ),
        ] {
            if std::mem::replace(was, is) != is {
                alerts.raise(Said {
                    kind,
                    key: kind.as_str().to_owned(),
                    firing: is,
                    at_ms: now_ms,
                    text: text.to_owned(),
                    details: json!({}),
                });
            }
        }
        let snapshot = app.snapshot.load_full();
        let mut opened = HashMap::new();
        for target in snapshot.models.iter().flat_map(|model| &model.targets) {
            let times = target.breaker.times_opened();
            if opened.insert(target.id.as_str().to_owned(), times).is_some() {
                continue;
            }
            if self
                .opened
                .get(target.id.as_str())
                .is_some_and(|before| times > *before)
            {
                let id = target.id.as_str();
                alerts.raise(Said {
                    kind: AlertKind::BreakerOpened,
                    key: format!("breaker_opened:{id}"),
                    firing: true,
                    at_ms: now_ms,
                    text: format!("the breaker of `{id}` opened"),
                    details: json!({ "target": id, "times": times }),
                });
            }
        }
        self.opened = opened;
    }
}

/// Watch and send.
pub(super) async fn keep(
    alerts: Arc<Alerts>,
    app: Arc<App>,
    running: Arc<ArcSwap<Config>>,
    exchange: Option<Arc<dyn Exchange>>,
) {
    let watch = async {
        let (mut seen, mut config) = (Watch::default(), None);
        loop {
            let now = running.load_full();
            if config.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &now)) {
                alerts.adopt(&now);
                config = Some(now);
            }
            if alerts.target.load().is_some() {
                seen.look(&app, exchange.as_ref(), &alerts);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::join!(watch, alerts.send());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(url: &str) -> Arc<Alerts> {
        let alerts = Alerts::new(Meters::new().unwrap());
        let calls = SideCalls::new(Arc::clone(&alerts.transport), Vec::new(), false);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s");
        let url = Secret::new(url.to_owned());
        alerts.target.store(Some(Arc::new(Target {
            url,
            key,
            kinds: Vec::new(),
            calls,
        })));
        alerts
    }

    fn said(key: &str, at_ms: u64) -> Said {
        Said {
            kind: AlertKind::RedisDown,
            key: key.to_owned(),
            firing: true,
            at_ms,
            text: String::new(),
            details: json!({}),
        }
    }

    #[test]
    fn the_same_is_said_once_in_a_while_and_the_oldest_are_lost() {
        let alerts = alerts("http://127.0.0.1:1/");
        let waiting = || alerts.queue.lock().unwrap().len();
        for at in [0, 1, AGAIN_MS - 1] {
            alerts.raise(said("a", at));
        }
        alerts.raise(Said {
            firing: false,
            ..said("a", 2)
        });
        assert_eq!(waiting(), 2, "that it is over is another thing");
        alerts.raise(said("a", AGAIN_MS));
        assert_eq!(waiting(), 3);
        for n in 0..KNOWN + 10 {
            alerts.raise(said(&n.to_string(), 5));
        }
        assert_eq!(waiting(), WAITING);
        assert!(alerts.said.lock().unwrap().len() <= KNOWN);
        assert_eq!(
            alerts.queue.lock().unwrap().back().unwrap().key,
            (KNOWN + 9).to_string()
        );
    }

    #[test]
    fn a_signature_is_of_time_and_body() {
        let alerts = alerts("http://127.0.0.1:1/");
        let target = alerts.target.load_full().unwrap();
        // printf '7.{}' | openssl dgst -sha256 -hmac s
        assert_eq!(target.signature(b"{}", 7), SIGNED);
        assert_ne!(target.signature(b"{}", 8), SIGNED);
    }

    const SIGNED: &str = "v1=b12cae8f0db9d3d7c47e9b81ab46de84afeb161044a1c6fb23057d023b1e2b55";
}
