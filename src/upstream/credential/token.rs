//! One access token shared by every request that needs it: fetched once, renewed before it ends, never fetched twice at
//! the same time.
//!
//! ```text
//!  fetched ──────────────── renew at ───── unusable at ── expires
//!     │ use it                  │ use it, and   │ wait for a fetch, or be told
//!     │                         │ start a fetch │ why the last one failed
//! ```
//! A fetch runs as a task of its own, so that a client that leaves does not end it for the others. After a failure no
//! fetch begins for a while (1 s, doubling to 60 s): a wrong key must not become a flood of log-ins.
//!
//! Ages are taken from the wall clock handed in by callers; one that jumped makes the token count as too old.

use super::CredentialFault;
use super::grant::Grant;
use crate::providers::Body;
use crate::upstream::address::AddressBook;
use crate::upstream::exchange::{Fault, Transport};
use crate::upstream::site::BaseUrl;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// How long before its end a token is renewed, while it is still used.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long before its end a token is no longer sent: the way there takes time, and clocks differ.
const UNUSABLE_BEFORE: Duration = Duration::from_secs(10);
/// Life of a token whose answer does not say it, and the longest that is believed.
const UNSAID_LIFE: Duration = Duration::from_secs(10 * 60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The whole of one fetch, look-up and connecting included.
const FETCH_TIME: Duration = Duration::from_secs(10);
/// Largest answer read; a token is 1 to 4 KiB.
const LARGEST_ANSWER: usize = 64 * 1024;
/// Waits after failed fetches.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Age from which a token that a provider refused is given up.
const REFUSED_AGE: Duration = Duration::from_secs(60);
/// A clock this far behind a note of the past is believed to have been set back.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

type Outcome = Result<HeaderValue, CredentialFault>;
type Landing = watch::Receiver<Option<Outcome>>;

/// Where access tokens of one grant come from, and the current one.
pub struct TokenSource {
    grant: Grant,
    url: BaseUrl,
    addresses: Arc<AddressBook>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    flight: Option<Landing>,
    failure: Option<Failure>,
}

#[derive(Clone)]
struct Token {
    /// `Bearer …`
    value: HeaderValue,
    /// When it was asked for, which is before it was issued.
    since: SystemTime,
    life: Duration,
}

struct Failure {
    fault: CredentialFault,
    at: SystemTime,
    wait: Duration,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource")
            .field("host", &self.url.host)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl TokenSource {
    /// No token yet; nothing is asked before the first request. `addresses` must be those of `url`'s host.
    pub fn new(grant: Grant, url: BaseUrl, addresses: Arc<AddressBook>) -> Self {
        Self {
            grant,
            url,
            addresses,
            state: Mutex::default(),
        }
    }

    /// Addresses of the token endpoint, which somebody has to keep resolved.
    pub fn addresses(&self) -> &Arc<AddressBook> {
        &self.addresses
    }

    /// The value of `authorization`, waiting at most until `deadline` when there is no usable token.
    pub(super) async fn authorization(
        self: &Arc<Self>,
        transport: &Arc<Transport>,
        now: SystemTime,
        deadline: Instant,
    ) -> Outcome {
        let (usable, flight, begun) = self.look(now);
        if let Some(begun) = begun {
            let transport = Arc::clone(transport);
            tokio::spawn(async move { begun.run(&transport, now).await });
        }
        if let Some(token) = usable {
            return token;
        }
        let Some(mut flight) = flight else {
            return Err(INTERRUPTED);
        };
        let landed = tokio::time::timeout_at(deadline.into(), flight.wait_for(Option::is_some)).await;
        match landed {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Err(INTERRUPTED)),
            Ok(Err(_)) => Err(INTERRUPTED),
            Err(_) => Err(CredentialFault::Timeout),
        }
    }

    /// A provider refused the token. One that is brand-new stays: then it is not the token's age that is wrong, and
    /// fetching another for every refusal would help nobody.
    pub(super) fn refused(&self, now: SystemTime) {
        let mut state = self.lock();
        if state
            .token
            .as_ref()
            .is_some_and(|token| elapsed(token.since, now) >= REFUSED_AGE)
        {
            state.token = None;
        }
    }

    /// The token, usable or not.
    pub(super) fn current(&self) -> Option<HeaderValue> {
        self.lock().token.as_ref().map(|token| token.value.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is now: an answer for the caller or a fetch to wait for, and the fetch the caller has to run.
    ///
    /// It is not run here, under the lock: on a runtime that is shutting down a task is dropped at once, and dropping a
    /// [`Flight`] takes the lock.
    fn look(self: &Arc<Self>, now: SystemTime) -> (Option<Outcome>, Option<Landing>, Option<Flight>) {
        let mut state = self.lock();
        if let Some(token) = &state.token {
            let age = elapsed(token.since, now);
            if age < token.unusable_at() {
                let value = token.value.clone();
                let renew = age >= token.renew_at() && state.flight.is_none() && !state.waits(now);
                let begun = renew.then(|| self.begin(&mut state).1);
                return (Some(Ok(value)), None, begun);
            }
        }
        match (&state.flight, &state.failure) {
            (Some(flight), _) => (None, Some(flight.clone()), None),
            (None, Some(failure)) if state.waits(now) => (Some(Err(failure.fault.clone())), None, None),
            _ => {
                let (landing, flight) = self.begin(&mut state);
                (None, Some(landing), Some(flight))
            }
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State) -> (Landing, Flight) {
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        let source = Arc::clone(self);
        (receiver, Flight { source, sender })
    }

    async fn fetch(&self, transport: &Arc<Transport>, now: SystemTime) -> Result<Token, CredentialFault> {
        let form = self.grant.form(now)?;
        let body = Body::whole(Bytes::copy_from_slice(form.as_bytes()));
        let exchange = async {
            let deadline = Instant::now() + FETCH_TIME;
            let head = || self.head();
            let sent = transport.send_to(&self.addresses, &head, &body, deadline).await;
            let mut exchange = sent.map_err(CredentialFault::Unreachable)?;
            let answer = exchange.read_all(LARGEST_ANSWER).await;
            let status = exchange.status();
            let answer = answer.map_err(CredentialFault::Unreachable)?;
            let answer = answer.map_err(|_| CredentialFault::Answer("longer than 64 KiB"))?;
            exchange.release().await;
            Ok((status, answer))
        };
        let (status, answer) = tokio::time::timeout(FETCH_TIME, exchange)
            .await
            .map_err(|_| CredentialFault::Timeout)??;
        read(status, &answer, now)
    }

    fn head(&self) -> Result<Box<RequestHeader>, Fault> {
        let wrong = |e: Box<pingora::Error>| Fault::Malformed(e.etype.as_str().to_owned());
        let path = if self.url.path.is_empty() { "/" } else { &self.url.path };
        let mut head = RequestHeader::build_no_case(Method::POST, path.as_bytes(), Some(6)).map_err(wrong)?;
        head.insert_header(header::HOST, self.url.authority()).map_err(wrong)?;
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        head.insert_header(header::CONTENT_TYPE, form).map_err(wrong)?;
        let json = HeaderValue::from_static("application/json");
        head.insert_header(header::ACCEPT, json).map_err(wrong)?;
        let agent = HeaderValue::from_static(concat!("cirque/", env!("CARGO_PKG_VERSION")));
        head.insert_header(header::USER_AGENT, agent).map_err(wrong)?;
        Ok(Box::new(head))
    }
}

const INTERRUPTED: CredentialFault = CredentialFault::Answer("the fetch was interrupted");

/// A fetch under way. However it ends, also when its task is dropped, the next request may start another.
struct Flight {
    source: Arc<TokenSource>,
    sender: watch::Sender<Option<Outcome>>,
}

impl Flight {
    async fn run(self, transport: &Arc<Transport>, now: SystemTime) {
        let started = Instant::now();
        let fetched = self.source.fetch(transport, now).await;
        self.land(fetched, now + started.elapsed());
    }

    fn land(&self, fetched: Result<Token, CredentialFault>, now: SystemTime) {
        let outcome = fetched.as_ref().map(|token| token.value.clone()).map_err(Clone::clone);
        let mut state = self.source.lock();
        match fetched {
            Ok(token) => {
                state.token = Some(token);
                state.failure = None;
            }
            Err(fault) => {
                let before = state.failure.as_ref().map(|failure| failure.wait * 2);
                let wait = before.unwrap_or(FIRST_WAIT).min(LONGEST_WAIT);
                // Once for all who waited for it.
                tracing::warn!(host = %self.source.url.host, wait_ms = wait.as_millis() as u64, "no access token: {fault}");
                state.failure = Some(Failure { fault, at: now, wait });
            }
        }
        state.flight = None;
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Once landed, what is in its place is somebody else's.
        if self.sender.borrow().is_none() {
            self.source.lock().flight = None;
        }
    }
}

impl State {
    /// Whether it is too early to ask again after a failure.
    fn waits(&self, now: SystemTime) -> bool {
        self.failure
            .as_ref()
            .is_some_and(|failure| elapsed(failure.at, now) < failure.wait)
    }
}

impl Token {
    fn unusable_at(&self) -> Duration {
        self.life.saturating_sub(UNUSABLE_BEFORE.min(self.life / 2))
    }

    fn renew_at(&self) -> Duration {
        self.life.saturating_sub(RENEW_BEFORE.min(self.life / 2))
    }
}

/// From `since` to `now`; for ever, if the clock was set back in between.
fn elapsed(since: SystemTime, now: SystemTime) -> Duration {
    match now.duration_since(since) {
        Ok(age) => age,
        // Whoever asks may have looked at the clock before the note was made.
        Err(back) if back.duration() <= CLOCK_SLACK => Duration::ZERO,
        Err(_) => Duration::MAX,
    }
}

/// ```json
/// { "access_token": "ya29.…", "expires_in": 3599, "token_type": "Bearer" }
/// { "error": "invalid_grant", "error_description": "…", "error_codes": [7000215] }
/// ```
/// `expires_in` is text in some of Entra's answers.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
    error: Option<serde_json::Value>,
    error_codes: Option<serde_json::Value>,
}

fn read(status: StatusCode, body: &[u8], asked: SystemTime) -> Result<Token, CredentialFault> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    if status != StatusCode::OK {
        let code = answer.map_or_else(|| "no reason given".to_owned(), |answer| reason(&answer));
        return Err(CredentialFault::Refused {
            status: status.as_u16(),
            code,
        });
    }
    let answer = answer.ok_or(CredentialFault::Answer("not the expected JSON"))?;
    let token = answer.access_token.filter(|token| !token.is_empty());
    let token = zeroize::Zeroizing::new(token.ok_or(CredentialFault::Answer("there is no `access_token` in it"))?);
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.as_str()));
    let value = HeaderValue::from_str(&text);
    let mut value = value.map_err(|_| CredentialFault::Answer("the token has a character no header has"))?;
    value.set_sensitive(true);
    let life = answer
        .expires_in
        .as_ref()
        .and_then(seconds)
        .map_or(UNSAID_LIFE, Duration::from_secs);
    Ok(Token {
        value,
        since: asked,
        life: life.min(LONGEST_LIFE),
    })
}

fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The error's code, if it looks like one (RFC 6749 §5.2), and Entra's numbers: enough to look the cause up, nothing more.
fn reason(answer: &Answer) -> String {
    let word = |text: &&str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let code = answer.error.as_ref().and_then(|error| error.as_str()).filter(word);
    let mut reason = code.unwrap_or("no reason given").to_owned();
    let numbers = answer.error_codes.as_ref().and_then(|codes| codes.as_array());
    for number in numbers
        .into_iter()
        .flatten()
        .filter_map(|number| number.as_u64())
        .take(4)
    {
        reason.push_str(&format!(" AADSTS{number}"));
    }
    reason
}

#[cfg(test)]
mod tests;
