//! Faults of a whole process or of its clients, which no cell can hold: each has a process of its own.

use super::caller::{Caller, Protocol, Reply};
use super::check::ensure;
use super::grid::{Failures, caught, left_over};
use super::row::Then;
use super::voice::{Heard, Lane, Voice};
use crate::support::gateway::Builder;
use crate::support::{Conn, Gateway, Upstream};
use serde_json::Value;

/// One scene.
pub struct Scene {
    pub design: &'static str,
    pub name: &'static str,
    pub run: fn() -> Failures,
}

/// One provider a lane and the process before them; models have the lanes' names.
pub struct Stage {
    pub gateway: Gateway,
    pub upstreams: Vec<(Lane, Upstream)>,
    pub failures: Failures,
}

/// Protocol and lane of a client.
pub type Kind = (Protocol, Lane);

/// Every kind of client.
pub fn kinds() -> Vec<Kind> {
    let both = |lane| [(Protocol::H1, lane), (Protocol::H2, lane)];
    Lane::ALL.into_iter().flat_map(both).collect()
}

pub fn model(lane: Lane) -> String {
    format!("{lane:?}").to_lowercase()
}

impl Stage {
    /// With these blocks at the top of the file, and this script for each request.
    pub fn new(blocks: &str, script: impl Fn(&mut Conn, Voice, &str) -> Then + Clone + Send + Sync + 'static) -> Self {
        let upstream = |lane: Lane| {
            let script = script.clone();
            let upstream = Upstream::script(move |conn| {
                while let Some(request) = conn.request() {
                    let voice = Voice {
                        dialect: lane.provider(),
                        stream: request.text().contains("\"stream\":true"),
                    };
                    if script(conn, voice, request.text()) == Then::Close {
                        return;
                    }
                }
            });
            (lane, upstream)
        };
        let upstreams: Vec<_> = Lane::ALL.into_iter().map(upstream).collect();
        let (mut providers, mut models) = (String::new(), String::new());
        for (lane, upstream) in &upstreams {
            let (name, kind, url) = (model(*lane), lane.kind(), upstream.url());
            providers += &format!("  {name}: {{ kind: {kind}, base_url: \"{url}\", api_key: env:UP_KEY }}\n");
            models += &format!("  {name}: {{ targets: [ {{ provider: {name}, model: up }} ] }}\n");
        }
        let gateway = Builder::new(format!("{blocks}providers:\n{providers}models:\n{models}"))
            .listen("{ address: ADDRESS, h2c: true }")
            .start();
        Self {
            gateway,
            upstreams,
            failures: Failures::new(),
        }
    }

    pub fn upstream(&self, lane: Lane) -> &Upstream {
        &self.upstreams.iter().find(|(known, _)| *known == lane).unwrap().1
    }

    /// Requests that reached any provider.
    pub fn calls(&self) -> usize {
        self.upstreams.iter().map(|(_, upstream)| upstream.count()).sum()
    }

    pub fn closings(&self) -> usize {
        self.upstreams
            .iter()
            .map(|(_, upstream)| upstream.closings().len())
            .sum()
    }

    pub fn connect(&self, (protocol, _): Kind) -> Result<Caller, String> {
        Caller::connect(protocol, self.gateway.address)
    }

    /// Send a request and leave it.
    pub fn send(&self, kind: Kind, stream: bool, text: &str) -> Result<Caller, String> {
        let mut caller = self.connect(kind)?;
        let dialect = kind.1.client();
        caller.send(dialect.path(), text, &dialect.request(&model(kind.1), stream, text))?;
        Ok(caller)
    }

    /// A stream whose first text has come.
    pub fn begin_stream(&self, kind: Kind, text: &str) -> Result<(Caller, Reply), String> {
        let mut caller = self.send(kind, true, text)?;
        let mut reply = caller.head()?;
        caller.until(&mut reply, "\"Hi\"")?;
        Ok((caller, reply))
    }

    /// One request of this kind is answered well.
    pub fn answers(&self, kind: Kind, stream: bool) -> Result<(), String> {
        let mut caller = self.send(kind, stream, "witness")?;
        let head = caller.head()?;
        is_whole(kind.1, stream, &caller.finish(head)?)
    }

    pub fn check(&mut self, what: impl std::fmt::Display, result: Result<(), String>) {
        if let Err(why) = result {
            self.failures.push(format!("{what}: {why}"));
        }
    }

    /// A metric reaches a value.
    pub fn metric(&mut self, name: &str, labels: &[&str], value: f64) {
        let mut last = f64::NAN;
        super::check::eventually_some(|| {
            last = self.gateway.metric(name, labels);
            (last == value).then_some(())
        });
        self.check(
            name,
            ensure(last == value, || format!("{labels:?} is {last}, not {value}")),
        );
    }

    /// Failures, with what the process left.
    pub fn end(mut self) -> Failures {
        self.failures.extend(left_over(&self.gateway));
        self.failures
    }
}

/// A whole answer or stream.
pub fn is_whole(lane: Lane, stream: bool, reply: &Reply) -> Result<(), String> {
    let text = reply.text();
    let wrong = |what: &str| format!("{what}: {} {}", reply.status, super::check::clipped(&text));
    ensure(reply.status == 200 && reply.complete, || wrong("not answered"))?;
    if stream {
        let heard = Heard::of(lane.client(), &text)?;
        let good = heard.texts >= 1 && heard.stop && heard.done && heard.errors.is_empty();
        return ensure(good, || wrong("no whole stream"));
    }
    let json: Value = serde_json::from_str(&text).map_err(|_| wrong("no JSON"))?;
    ensure(json["usage"].is_object(), || wrong("no whole answer"))
}

impl Scene {
    pub fn play(&self) -> Failures {
        let mut failures = Failures::new();
        match caught(|| Ok((self.run)())) {
            Ok(found) => failures.extend(found),
            Err(panic) => failures.push(panic),
        }
        let name = |why| format!("{} / {}: {why}", self.design, self.name);
        failures.into_iter().map(name).collect()
    }
}
