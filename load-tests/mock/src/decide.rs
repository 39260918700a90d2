//! What to answer to a request, for both protocols: routes, failure share, rate-limit windows, directives, counters.
//!
//! `Provider::decide` never waits and never writes; it returns a `Decision` that `h1` or `h2` carries out.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use serde_json::json;

use crate::Flags;
use crate::answers::{self, Answer, Api, Body, CREATED, Shape};
use crate::ask::{Ask, Directives};
use crate::fault::{self, Cut, Fault};
use crate::{messages, vectors};

/// Rendered answers kept; more shapes than this (model names made up per request) are rendered each time.
const KEPT: usize = 64;

pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub content_type: Option<&'a str>,
    /// Value of `x-mock-fault`.
    pub fault: Option<&'a str>,
    pub body: &'a Bytes,
}

pub struct Decision {
    pub answer: Arc<Answer>,
    pub fault: Option<Fault>,
    /// Before the first byte.
    pub latency: Duration,
    /// Before each event but the first; zero means all at once.
    pub pace: Duration,
    pub stamp: bool,
    /// Held until the answer is over.
    under_way: Option<UnderWay>,
}

/// A request under way, for as long as this lives.
struct UnderWay(Arc<AtomicU64>);

impl UnderWay {
    /// With how many there are now.
    fn begin(count: &Arc<AtomicU64>) -> (Self, u64) {
        let now = count.fetch_add(1, Relaxed) + 1;
        (Self(Arc::clone(count)), now)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Decision {
    fn plain(answer: Answer) -> Self {
        Self {
            under_way: None,
            answer: Arc::new(answer),
            fault: None,
            latency: Duration::ZERO,
            pace: Duration::ZERO,
            stamp: false,
        }
    }
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
    aborted: AtomicU64,
    faults: AtomicU64,
    body_bytes: AtomicU64,
    under_way: Arc<AtomicU64>,
    most_under_way: AtomicU64,
    refused: AtomicU64,
    /// Requests with a `first-K` fault, see `Fault::Status`.
    firsts: AtomicU64,
}

pub struct Provider {
    pub flags: Flags,
    started: Instant,
    kept: Mutex<Vec<(Shape, Arc<Answer>)>>,
    counters: Counters,
}

/// Counts a connection as open for as long as it lives.
pub struct Tally(Arc<Provider>);

impl Tally {
    pub fn open(provider: &Arc<Provider>) -> Self {
        provider.counters.connections.fetch_add(1, Relaxed);
        provider.counters.open.fetch_add(1, Relaxed);
        Self(Arc::clone(provider))
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.0.counters.open.fetch_sub(1, Relaxed);
    }
}

impl Provider {
    pub fn new(flags: Flags) -> Self {
        Self {
            flags,
            started: Instant::now(),
            kept: Mutex::new(Vec::new()),
            counters: Counters::default(),
        }
    }

    /// The client left before its answer was complete.
    pub fn count_aborted(&self) {
        self.counters.aborted.fetch_add(1, Relaxed);
    }

    pub fn decide(&self, request: &Request) -> Decision {
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method, path) {
            ("GET", "/stats") => return Decision::plain(self.stats()),
            ("POST", "/reset") => return Decision::plain(self.reset()),
            _ => {}
        }
        self.counters.requests.fetch_add(1, Relaxed);
        self.counters.body_bytes.fetch_add(request.body.len() as u64, Relaxed);
        let (under_way, now) = UnderWay::begin(&self.counters.under_way);
        if let Some(refusal) = self.limited(now) {
            return refusal;
        }
        self.counters.most_under_way.fetch_max(now, Relaxed);
        let mut decision = self.route(request, path).unwrap_or_else(Decision::plain);
        match request.fault.map(str::parse).transpose() {
            Ok(fault) => decision.fault = fault.or_else(|| self.chance()).or(decision.fault),
            Err(problem) => decision = Decision::plain(bad_request(&problem)),
        }
        self.apply_answer_fault(&mut decision);
        decision.under_way = Some(under_way);
        decision
    }

    /// Too many at once, or within a window of `--rate-limit-window`: a limiter stands before the model and its faults.
    fn limited(&self, under_way: u64) -> Option<Decision> {
        let flags = &self.flags;
        let window = flags
            .rate_limit_window
            .and_then(|window| window.remaining(self.started.elapsed()));
        let crowd = flags.max_concurrent.filter(|most| under_way > *most);
        let left = window.or(crowd.map(|_| Duration::from_secs(1)))?;
        self.counters.faults.fetch_add(1, Relaxed);
        self.counters.refused.fetch_add(1, Relaxed);
        let seconds = left.as_secs_f64().ceil().max(1.0) as u64;
        Some(Decision::plain(refusal(429, Some(seconds))))
    }

    /// A failure of the command line.
    fn chance(&self) -> Option<Fault> {
        let flags = &self.flags;
        let window = flags
            .failure_window
            .and_then(|window| window.remaining(self.started.elapsed()));
        let share = flags.failure_share;
        let fails = window.is_some() || (share > 0.0 && rand::rng().random::<f64>() < share);
        fails.then_some(flags.failure)
    }

    fn route(&self, request: &Request, path: &str) -> Result<Decision, Answer> {
        let api = path.strip_prefix("/v1").unwrap_or(path);
        match (request.method, api) {
            ("POST", "/chat/completions") => self.completion(request, Api::Chat),
            ("POST", "/completions") => self.completion(request, Api::Completions),
            ("POST", "/messages") => self.completion(request, Api::Messages),
            ("POST", "/embeddings") => self.model_call(request, vectors::embeddings),
            ("POST", "/moderations") => self.model_call(request, vectors::moderations),
            ("GET", "/models") => Ok(Decision::plain(Answer::json(
                200,
                &json!({"object": "list", "data": [model("mock"), model("mock-large")]}),
            ))),
            ("GET", api) if api.starts_with("/models/") => {
                let name = api.trim_start_matches("/models/");
                Ok(Decision::plain(Answer::json(200, &model(name))))
            }
            ("GET", "/files") => Ok(Decision::plain(Answer::json(
                200,
                &json!({"object": "list", "data": [], "has_more": false}),
            ))),
            // Whatever else is sent comes back as it was: enough to see whether a passthrough kept every byte.
            ("POST" | "PUT", _) => Ok(self.timed(Answer::new(
                200,
                request.content_type.unwrap_or("application/octet-stream"),
                Body::Whole(request.body.clone()),
            ))),
            _ => Err(Answer::error(
                404,
                "invalid_request_error",
                &format!("Unknown request URL: {} {path}", request.method),
                Some("unknown_url"),
            )),
        }
    }

    fn timed(&self, answer: Answer) -> Decision {
        Decision {
            latency: self.flags.latency.sample(),
            ..Decision::plain(answer)
        }
    }

    fn model_call(&self, request: &Request, render: impl Fn(&Ask) -> Answer) -> Result<Decision, Answer> {
        let ask = parse(request.body)?;
        let directives = Directives::of(&ask.model).map_err(|problem| bad_request(&problem))?;
        Ok(Decision {
            fault: directives.fault,
            ..self.timed(render(&ask))
        })
    }

    fn completion(&self, request: &Request, api: Api) -> Result<Decision, Answer> {
        let ask = parse(request.body)?;
        let directives = Directives::of(&ask.model).map_err(|problem| bad_request(&problem))?;
        let said = ask.said(api == Api::Messages).unwrap_or_default();
        if api == Api::Messages && said.ends_with(char::is_whitespace) {
            let problem = "messages: final assistant content cannot end with trailing whitespace";
            return Err(messages::error(400, "invalid_request_error", problem));
        }
        let interval = Duration::from_millis(self.flags.token_interval);
        Ok(Decision {
            under_way: None,
            answer: self.rendered(&ask, api, directives.numbered || self.flags.numbered, said),
            fault: directives.fault,
            latency: self.flags.latency.sample(),
            pace: directives.pace.unwrap_or(interval),
            stamp: directives.stamp,
        })
    }

    fn rendered(&self, ask: &Ask, api: Api, numbered: bool, said: String) -> Arc<Answer> {
        let tool = ask.tool();
        let stream = ask.streams();
        let usage = stream && ask.wants_usage();
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        let found = kept.iter().find(|(shape, _)| {
            shape.model == ask.model
                && (shape.api, shape.stream, shape.usage) == (api, stream, usage)
                && (&shape.tool, &shape.said) == (&tool, &said)
        });
        if let Some((_, answer)) = found {
            return Arc::clone(answer);
        }
        let shape = Shape {
            api,
            name: self.flags.name.clone(),
            numbered,
            said,
            stream,
            usage,
            tool,
            model: ask.model.clone().into_owned(),
        };
        let answer = Arc::new(answers::completion(
            &shape,
            self.flags.tokens.max(1),
            self.flags.response_bytes,
        ));
        if kept.len() < KEPT && shape.said.is_empty() {
            kept.push((shape, Arc::clone(&answer)));
        }
        answer
    }

    /// Faults that are nothing but another answer are put in place here; the rest is for the protocol.
    fn apply_answer_fault(&self, decision: &mut Decision) {
        let Some(fault) = decision.fault else { return };
        let json_body = |body: &str| Answer::new(200, "application/json", Body::Whole(Bytes::from(body.to_owned())));
        let answer = match fault {
            Fault::Status {
                status,
                retry_after,
                first,
            } => {
                if first.is_some_and(|k| self.counters.firsts.fetch_add(1, Relaxed) >= k) {
                    decision.fault = None;
                    return;
                }
                // A refusal needs no model, and so takes none of its time.
                decision.latency = Duration::ZERO;
                refusal(status, retry_after)
            }
            Fault::GarbageBody => json_body(fault::GARBAGE_BODY),
            Fault::Html => Answer::new(
                200,
                "text/html; charset=utf-8",
                Body::Whole(Bytes::from_static(fault::HTML.as_bytes())),
            ),
            Fault::NoDone | Fault::ErrorInStream | Fault::After { cut: Cut::End, .. } => match &decision.answer.body {
                Body::Events(events) => cut_short(events, fault),
                Body::Whole(_) => refusal(500, None),
            },
            _ => {
                self.counters.faults.fetch_add(1, Relaxed);
                return;
            }
        };
        self.counters.faults.fetch_add(1, Relaxed);
        decision.answer = Arc::new(answer);
        decision.fault = None;
    }

    fn stats(&self) -> Answer {
        let c = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Answer::json(
            200,
            &json!({"requests": get(&c.requests), "connections": get(&c.connections),
                "open_connections": get(&c.open), "aborted": get(&c.aborted), "faults": get(&c.faults),
                "refused": get(&c.refused), "under_way": get(&c.under_way), "most_under_way": get(&c.most_under_way),
                "body_bytes": get(&c.body_bytes), "uptime_seconds": self.started.elapsed().as_secs()}),
        )
    }

    /// Zeroes everything but the numbers of open connections and requests under way; answers with the figures before.
    fn reset(&self) -> Answer {
        let before = self.stats();
        let c = &self.counters;
        for counter in [
            &c.requests,
            &c.connections,
            &c.aborted,
            &c.faults,
            &c.refused,
            &c.most_under_way,
            &c.body_bytes,
            &c.firsts,
        ] {
            counter.store(0, Relaxed);
        }
        before
    }
}

fn cut_short(events: &[Bytes], fault: Fault) -> Answer {
    let kept = match fault {
        Fault::After { events, .. } => events,
        _ => events.len() / 2,
    };
    let mut half: Vec<Bytes> = events.iter().take(kept).cloned().collect();
    if fault == Fault::ErrorInStream {
        let error = json!({"error": {"message": "The mock broke off on request.", "type": "server_error",
            "param": null, "code": null}});
        half.push(answers::event(&error.to_string()));
    }
    Answer::new(200, "text/event-stream; charset=utf-8", Body::Events(half))
}

fn parse(body: &[u8]) -> Result<Ask<'_>, Answer> {
    serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))
}

fn bad_request(problem: &str) -> Answer {
    Answer::error(400, "invalid_request_error", problem, None)
}

fn refusal(status: u16, retry_after: Option<u64>) -> Answer {
    let (kind, code) = match status {
        429 => ("requests", Some("rate_limit_exceeded")),
        401 | 403 => ("invalid_request_error", Some("invalid_api_key")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    let message = format!("The mock refuses with {status} on request.");
    let mut answer = Answer::error(status, kind, &message, code);
    answer.retry_after = retry_after;
    answer
}

fn model(name: &str) -> serde_json::Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "mock"})
}
