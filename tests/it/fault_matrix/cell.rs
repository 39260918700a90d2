//! One cell: a row for one client protocol, lane, form and company. Its part of the configuration, its requests, its checks.
//!
//! Every cell has a model and targets of its own, so that all cells share one process and each has its own breaker and its
//! own series of metrics.

use super::caller::{Caller, Protocol, Reply};
use super::check::{clipped, ensure, eventually_some, is_in_form, same};
use super::row::{Blame, Expected, Form, Row, Then, Want};
use super::voice::{Heard, INTERNAL, Lane, Voice};
use crate::support::Upstream;
use serde_json::Value;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Failures in a row that open a breaker, by the design.
const OPENS_AFTER: usize = 5;
/// How soon a provider must see that it is no longer listened to.
pub const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// Who else there is to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    Alone,
    Spare,
    Twins,
}

pub struct Cell {
    pub row: Row,
    pub number: usize,
    pub protocol: Protocol,
    pub lane: Lane,
    pub form: Form,
    pub company: Company,
    first: Upstream,
    twin: Option<Upstream>,
    /// None alone: a listener that nobody is told of may be another test's "nobody".
    spare: Option<Upstream>,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            lane,
            form,
            company,
            number,
            ..
        } = self;
        write!(
            f,
            "{} / {} [{protocol:?} {lane:?} {form:?} {company:?}, m{number}]",
            self.row.design, self.row.name
        )
    }
}

/// Runs a row's script for every request.
fn faulty(row: &Row, lane: Lane) -> Upstream {
    let script = row.script;
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let voice = Voice {
                dialect: lane.provider(),
                stream: request.text().contains("\"stream\":true"),
            };
            if script(conn, voice) == Then::Close {
                return;
            }
        }
    })
}

/// Gives whatever is asked for.
pub fn good(lane: Lane) -> Upstream {
    Upstream::script(move |conn| {
        while let Some(request) = conn.request() {
            let stream = request.text().contains("\"stream\":true");
            conn.send(
                Voice {
                    dialect: lane.provider(),
                    stream,
                }
                .good(),
            );
        }
    })
}

impl Cell {
    /// All cells of the rows.
    pub fn all(rows: &[Row]) -> Vec<Self> {
        let mut cells = Vec::new();
        for row in rows {
            for company in [Company::Alone, Company::Spare, Company::Twins] {
                if matches!(row.want(company), Want::Nothing) {
                    continue;
                }
                for &form in row.forms {
                    for lane in Lane::ALL {
                        for protocol in [Protocol::H1, Protocol::H2] {
                            cells.push(Self {
                                row: *row,
                                number: cells.len(),
                                protocol,
                                lane,
                                form,
                                company,
                                first: faulty(row, lane),
                                twin: (company == Company::Twins).then(|| faulty(row, lane)),
                                spare: (company != Company::Alone).then(|| good(lane)),
                            });
                        }
                    }
                }
            }
        }
        cells
    }

    /// Lines under `providers:`.
    pub fn providers(&self) -> String {
        let (n, kind) = (self.number, self.lane.kind());
        let mut out = format!(
            "  f{n}: {{ kind: {kind}, base_url: \"{}\", api_key: env:UP_KEY, timeouts: {{ {} }} }}\n",
            self.first.url(),
            self.row.timeouts
        );
        if let Some(twin) = &self.twin {
            let url = twin.url();
            out += &format!("  t{n}: {{ kind: {kind}, base_url: \"{url}\", api_key: env:UP_KEY }}\n");
        }
        if let Some(spare) = &self.spare {
            let url = spare.url();
            out += &format!("  s{n}: {{ kind: {kind}, base_url: \"{url}\", api_key: env:UP_KEY }}\n");
        }
        out
    }

    /// Lines under `models:`.
    pub fn models(&self) -> String {
        let n = self.number;
        let (chain, more) = match self.company {
            Company::Alone => ("", String::new()),
            Company::Spare => (
                ", fallback: [ x ]",
                format!("  x{n}: {{ targets: [ {{ provider: s{n}, model: spare }} ] }}\n"),
            ),
            Company::Twins => (
                ", fallback: [ y, x ]",
                format!(
                    "  y{n}: {{ targets: [ {{ provider: t{n}, model: up }} ] }}\n  \
                     x{n}: {{ targets: [ {{ provider: s{n}, model: spare }} ] }}\n"
                ),
            ),
        };
        let chain = chain.replace('x', &format!("x{n}")).replace('y', &format!("y{n}"));
        format!(
            "  m{n}: {{ targets: [ {{ provider: f{n}, model: up }} ], timeouts: {{ {} }}{chain} }}\n{more}",
            self.row.total
        )
    }

    /// What each request is to get, in order.
    pub fn wants(&self) -> Vec<Want> {
        let want = self.row.want(self.company);
        let alone = self.company == Company::Alone;
        match self.row.blame {
            _ if self.company == Company::Twins => vec![want],
            // Alone it is the last resort, which is asked whatever its breaker says.
            Blame::Target if alone => vec![want; OPENS_AFTER + 1],
            Blame::Target => [vec![want; OPENS_AFTER], vec![Want::Skipped]].concat(),
            Blame::Client => vec![want; OPENS_AFTER + 1],
            Blame::Limit if alone => vec![want; 2],
            Blame::Limit => vec![want, Want::Skipped],
            Blame::Credential if alone => vec![want],
            Blame::Credential => vec![want, Want::Skipped],
            Blame::Elsewhere => vec![want],
            Blame::Nobody => vec![want; 3],
        }
    }

    /// Requests that reach the faulty target.
    fn calls(&self) -> usize {
        let wants = self.wants();
        match self.row.blame {
            Blame::Limit => 1,
            _ => wants.iter().filter(|want| !matches!(want, Want::Skipped)).count(),
        }
    }

    fn spare_calls(&self) -> usize {
        let by_spare = |want: &&Want| matches!(want, Want::Elsewhere | Want::Skipped);
        self.wants().iter().filter(by_spare).count()
    }

    /// Ask, and check what client and provider saw.
    pub fn run(&self, address: SocketAddr) -> Result<(), String> {
        let mut caller = Caller::connect(self.protocol, address)?;
        let mut ends = Vec::new();
        for (nth, want) in self.wants().into_iter().enumerate() {
            let stream = self.form == Form::Stream;
            let dialect = self.lane.client();
            let body = dialect.request(&format!("m{}", self.number), stream, "Hello there");
            let reply = caller.ask(dialect.path(), &format!("cell-{}-{nth}", self.number), &body);
            let reply = reply.map_err(|why| format!("request {nth}: {why}"))?;
            ends.push(Instant::now());
            self.check(want, &reply).map_err(|why| {
                format!(
                    "request {nth}: {why}; got {} {:?}",
                    reply.status,
                    clipped(&reply.text())
                )
            })?;
        }
        self.check_upstream(&ends)
    }

    fn check(&self, want: Want, reply: &Reply) -> Result<(), String> {
        let text = reply.text();
        ensure(!text.contains(INTERNAL), || "a provider's bytes were shown".to_owned())?;
        ensure(!text.contains("sk-ours"), || "the credential was shown".to_owned())?;
        ensure(reply.complete, || {
            "the answer did not end as its framing says".to_owned()
        })?;
        ensure(reply.header("x-request-id").is_some(), || "no x-request-id".to_owned())?;
        let n = self.number;
        let by = |target: String, attempts: &str| {
            same("x-cirque-target", reply.header("x-cirque-target"), Some(&*target))?;
            same("x-cirque-attempts", reply.header("x-cirque-attempts"), Some(attempts))
        };
        match want {
            Want::Nothing => Ok(()),
            Want::Elsewhere => by(format!("s{n}/spare"), "2").and_then(|()| self.is_good(reply)),
            Want::Skipped => by(format!("s{n}/spare"), "1").and_then(|()| self.is_good(reply)),
            Want::Answer => by(format!("f{n}/up"), "1").and_then(|()| self.is_good(reply)),
            Want::Error(expected) => self.is_error(reply, expected),
            Want::Later(least, most) => {
                self.is_error(reply, &super::row::LIMITED)?;
                let after = reply.header("retry-after").and_then(|value| value.parse::<u64>().ok());
                ensure(after.is_some_and(|after| (least..=most).contains(&after)), || {
                    format!("retry-after is {after:?}, not within {least} and {most}")
                })
            }
            Want::InBand(expected, texts) => {
                by(format!("f{n}/up"), "1")?;
                let error = self.broken(reply, texts)?;
                is_in_form(self.lane, &error, expected)
            }
            Want::TheirError(texts) => {
                by(format!("f{n}/up"), "1")?;
                let error = self.broken(reply, texts)?;
                same(
                    "its text",
                    error["error"]["message"].as_str(),
                    Some("the model crashed"),
                )
            }
            Want::Passed(status) => self.is_passed(reply, status),
        }
    }

    /// The good answer and nothing else.
    fn is_good(&self, reply: &Reply) -> Result<(), String> {
        same("status", reply.status, 200)?;
        let (provider, text) = (self.lane.provider(), reply.text());
        if self.form == Form::Whole {
            let native = self.lane.native();
            ensure(!native || text == provider.whole(), || {
                "not the provider's bytes".to_owned()
            })?;
            let json: Value = serde_json::from_str(&text).map_err(|error| format!("no JSON: {error}"))?;
            return match self.lane {
                Lane::Chat => same("text", json["choices"][0]["message"]["content"].as_str(), Some("Hi")),
                _ => same("text", json["content"][0]["text"].as_str(), Some("Hi")),
            };
        }
        let whole = provider.opening() + &provider.ending();
        ensure(!self.lane.native() || text == whole, || {
            "not the provider's bytes".to_owned()
        })?;
        let heard = Heard::of(self.lane.client(), &text)?;
        let good = (heard.texts, heard.stop, heard.done, heard.errors.len()) == (1, true, true, 0);
        ensure(good, || format!("not a whole stream: {heard:?}"))
    }

    fn is_error(&self, reply: &Reply, expected: &Expected) -> Result<(), String> {
        same("status", reply.status, expected.status)?;
        same("content-type", reply.header("content-type"), Some("application/json"))?;
        let json = serde_json::from_str(&reply.text()).map_err(|error| format!("no JSON: {error}"))?;
        is_in_form(self.lane, &json, expected)
    }

    /// A stream that broke after so many texts; its error.
    fn broken(&self, reply: &Reply, texts: usize) -> Result<Value, String> {
        same("status", reply.status, 200)?;
        let mut heard = Heard::of(self.lane.client(), &reply.text())?;
        ensure(!heard.stop && !heard.done, || {
            format!("an ending was made up: {heard:?}")
        })?;
        ensure(heard.errors.len() == 1 && heard.error_is_last, || {
            format!("not one error at the end: {heard:?}")
        })?;
        if texts == usize::MAX {
            ensure(heard.texts > 0, || "no text".to_owned())?;
        } else {
            same("texts kept", heard.texts, texts)?;
        }
        Ok(heard.errors.remove(0))
    }

    fn is_passed(&self, reply: &Reply, status: u16) -> Result<(), String> {
        same("status", reply.status, status)?;
        same("content-type", reply.header("content-type"), Some("application/json"))?;
        let theirs = self.lane.provider().error("invalid_request_error", "your fault");
        ensure(!self.lane.native() || reply.text() == theirs, || {
            "not the provider's bytes".to_owned()
        })?;
        let json: Value = serde_json::from_str(&reply.text()).map_err(|error| format!("no JSON: {error}"))?;
        let form = if self.lane == Lane::Chat {
            json["type"].is_null()
        } else {
            json["type"] == "error"
        };
        ensure(form, || "not in the client's dialect".to_owned())?;
        same("text", json["error"]["message"].as_str(), Some("your fault"))
    }

    fn check_upstream(&self, ends: &[Instant]) -> Result<(), String> {
        let calls = self.calls();
        // One that hung may read its request only after the gateway gave it up.
        eventually_some(|| (self.first.count() >= calls).then_some(()));
        same("calls of the first target", self.first.count(), calls)?;
        if let Some(twin) = &self.twin {
            same("calls of its twin", twin.count(), 1)?;
        }
        if let Some(spare) = &self.spare {
            same("calls of the spare target", spare.count(), self.spare_calls())?;
        }
        if self.row.fresh {
            same("connections to the first target", self.first.connections(), calls)?;
        }
        if !self.row.closes {
            return Ok(());
        }
        let closings = eventually_some(|| Some(self.first.closings()).filter(|closings| closings.len() >= calls));
        let closings = closings.ok_or_else(|| {
            let (seen, all) = (self.first.closings().len(), calls);
            format!("{seen} of {all} upstream connections were closed")
        })?;
        // One connection a request, in order.
        for (index, closed) in closings {
            let late = ends.get(index).map(|end| closed.saturating_duration_since(*end));
            ensure(late.is_some_and(|late| late <= CLOSED_WITHIN), || {
                format!("upstream connection {index} was closed {late:?} after the answer")
            })?;
        }
        Ok(())
    }

    /// What the metrics must come to: name, label values, value.
    pub fn metered(&self) -> Vec<Metered> {
        let n = self.number;
        let mut out = Vec::new();
        let mut add = |name, labels: &[String], at_least: f64, at_most: f64| {
            out.push(Metered {
                name,
                labels: labels.to_vec(),
                at_least,
                at_most,
            });
        };
        let wants = self.wants();
        for status in wants
            .iter()
            .map(|want| want.status())
            .collect::<std::collections::BTreeSet<_>>()
        {
            let count = wants.iter().filter(|want| want.status() == status).count() as f64;
            // Refused because all targets are cooling: no target, and so no model, is named.
            let named = if self.row.blame == Blame::Limit && status == 429 {
                1.0
            } else {
                count
            };
            add("cirque_requests_total", &[format!("status=\"{status}\"")], named, count);
        }
        let calls = self.calls() as f64;
        let attempts =
            |provider: String, outcome: &str| [format!("provider=\"{provider}\""), format!("outcome=\"{outcome}\"")];
        add(
            "cirque_upstream_attempts_total",
            &attempts(format!("f{n}"), self.row.outcome),
            calls,
            calls,
        );
        // And no other outcome.
        add(
            "cirque_upstream_attempts_total",
            &[format!("provider=\"f{n}\"")],
            calls,
            calls,
        );
        let spare = self.spare_calls() as f64;
        add(
            "cirque_upstream_attempts_total",
            &[format!("provider=\"s{n}\"")],
            spare,
            spare,
        );
        let breaker = [format!("target=\"f{n}/up\"")];
        match (self.row.blame, self.company) {
            // Open; half-open if it was long ago.
            (Blame::Target, Company::Spare) => add("cirque_breaker_state", &breaker, 1.0, 2.0),
            (Blame::Client | Blame::Nobody | Blame::Limit, _) => add("cirque_breaker_state", &breaker, 0.0, 0.0),
            _ => {}
        }
        if self.row.blame == Blame::Credential {
            // What the operator is alerted by.
            let ours = [format!("provider=\"f{n}\"")];
            add("cirque_credential_quarantined", &ours, 1.0, 1.0);
        }
        if self.row.partial {
            let made = [
                format!("model=\"m{n}\""),
                "kind=\"output\"".to_owned(),
                "estimated=\"true\"".to_owned(),
            ];
            add("cirque_tokens_total", &made, calls, f64::MAX);
            let read = [format!("model=\"m{n}\""), "kind=\"input\"".to_owned()];
            add("cirque_tokens_total", &read, calls, f64::MAX);
        }
        out
    }
}

/// One claim about the scrape.
#[derive(Debug)]
pub struct Metered {
    pub name: &'static str,
    pub labels: Vec<String>,
    pub at_least: f64,
    pub at_most: f64,
}

impl Row {
    pub fn want(&self, company: Company) -> Want {
        match company {
            Company::Alone => self.alone,
            Company::Spare => self.spare,
            Company::Twins => self.twins,
        }
    }
}

impl Want {
    fn status(self) -> u16 {
        match self {
            Self::Error(expected) => expected.status,
            Self::Later(..) => 429,
            Self::Passed(status) => status,
            _ => 200,
        }
    }
}
