//! The threads behind the shared cache: they connect, make up for what was left undone, and follow the log.
//!
//! Never on the way of a request. The one idea: two threads, so that a sink that takes its time (indexing what it is told) delays no
//! caller: one follows the log and tells, the other moves the bytes of all connections.

use super::call::{self, Failure};
use super::{Inner, Session, count};
use crate::cache::{Entry, News};
use crate::clock;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What is told.
pub(super) type Sink = Box<dyn Fn(News) + Send + Sync>;

/// Between attempts.
const REST: Duration = Duration::from_secs(1);

/// Longest wait for an answer where nobody waits for it.
const PATIENCE: Duration = Duration::from_millis(700);

/// How long a reading of the log waits for news, in milliseconds.
const BLOCK: u64 = 1000;

/// Records in one reading.
const RECORDS: usize = 256;

/// Start them.
pub(super) fn start(inner: Arc<Inner>, sink: Sink) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("cache-link")
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("cache-log".to_owned())
        .spawn(move || {
            let _ended = Ended(&inner);
            runtime.block_on(keep(&inner, &sink));
        })
        .map(drop)
}

/// Without a keeper nothing is known of deletions: nothing is answered then.
struct Ended<'a>(&'a Inner);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.session.store(None);
        if !self.0.closed.swap(true, Ordering::AcqRel) {
            tracing::error!(target: "cirque::redis", "following the cache's log has ended: answers are not shared any more");
        }
    }
}

async fn keep(inner: &Inner, sink: &Sink) {
    let (mut number, mut said) = (0, false);
    while !inner.closed.load(Ordering::Acquire) {
        let begun = Instant::now();
        number += 1;
        match establish(inner, number, sink).await {
            Ok((session, mut tail)) => {
                tracing::info!(target: "cirque::redis", "answers are shared through Redis");
                said = false;
                let ended = follow(inner, &session, &mut tail, sink).await;
                inner.end(number);
                if !inner.closed.load(Ordering::Acquire) {
                    let why = ended.err().map(reason);
                    tracing::warn!(target: "cirque::redis", why, "Redis does not answer: each instance has its own answers only");
                    said = true;
                }
                // One that worked for a while is tried again at once.
                if begun.elapsed() > REST {
                    continue;
                }
            }
            Err(why) if !said => {
                let why = reason(why);
                tracing::warn!(target: "cirque::redis", why, "Redis cannot be reached: each instance has its own answers only");
                said = true;
            }
            Err(_) => {}
        }
        // Not all instances at the same moment.
        let rest = REST.mul_f64(0.75 + fastrand::f64() / 2.0);
        let until = tokio::time::Instant::now() + rest.saturating_sub(begun.elapsed()).max(REST / 20);
        while tokio::time::timeout_at(until, inner.wake.notified()).await.is_ok() {
            if inner.closed.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

fn reason(failure: Failure) -> String {
    match failure {
        Failure::Link(why) | Failure::Call(why) => why,
    }
}

/// Connect twice (callers, and the log), find out where we are, make up for what is undone; from then on callers are answered.
async fn establish(inner: &Inner, number: u64, sink: &Sink) -> Result<(Arc<Session>, MultiplexedConnection), Failure> {
    let found = inner.link.find(&inner.state).await.map_err(|failure| {
        Failure::Link(match failure {
            super::super::script::Failure::Moved(_) => "moved".to_owned(),
            super::super::script::Failure::Broken(why) => why,
        })
    })?;
    let mut connection = found.connection;
    // Readings of the log wait for longer than any usual limit: they have their own here.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(None);
    let tail = found.client.get_multiplexed_async_connection_with_config(&config);
    let tail = timeout(PATIENCE, tail).await.map_err(|_| late())??;
    let fresh = super::super::random_name().map_err(Failure::Link)?;
    let arguments: [&[u8]; 3] = [fresh.as_bytes(), inner.begin.as_bytes(), found.run.as_bytes()];
    let hello = call::call(&mut connection, &call::HELLO, &inner.state, &arguments);
    let hello = timeout(PATIENCE, hello).await.map_err(|_| late())??;
    let (Some(epoch), Some(last)) = (call::text(hello.get(1)), call::number(hello.get(2))) else {
        return Err(call::rubbish());
    };
    let first = call::text(hello.get(3)).and_then(numbered);
    resume(inner, epoch, last, first, sink);
    let session = Arc::new(Session {
        connection,
        number,
        epoch: epoch.to_owned(),
    });
    // Before anybody is answered: what was deleted here while Redis was away is not shown again.
    let made_up = inner.make_up(&session).await;
    made_up.map_err(|outage| Failure::Link(outage.0))?;
    inner.session.store(Some(Arc::clone(&session)));
    Ok((session, tail))
}

/// Where to go on reading. What was missed is a gap; then, and at the start, the log's tail is read.
fn resume(inner: &Inner, epoch: &str, last: u64, first: Option<u64>, sink: &Sink) {
    let gap = {
        let mut heard = inner.heard();
        let same = heard.epoch == epoch;
        let next = heard.last.saturating_add(1);
        if same && (heard.last == last || (heard.last < last && first.is_some_and(|first| first <= next))) {
            return;
        }
        let gap = !heard.epoch.is_empty();
        let earliest = first.map_or(last, |first| first.saturating_sub(1));
        let from = last.saturating_sub(inner.settings.replay).max(earliest);
        heard.begin(epoch, from.min(last), clock::now_ms());
        gap
    };
    if gap {
        tell_gap(inner, sink);
    }
}

fn tell_gap(inner: &Inner, sink: &Sink) {
    count(&inner.counters.gaps);
    sink(News::Gap);
}

/// Until the session ends.
async fn follow(
    inner: &Inner,
    session: &Session,
    tail: &mut MultiplexedConnection,
    sink: &Sink,
) -> Result<(), Failure> {
    let log = format!("{}log", inner.begin);
    let over = || {
        let current = inner.session.load();
        let ours = current.as_ref().is_some_and(|current| current.number == session.number);
        inner.closed.load(Ordering::Acquire) || !ours
    };
    while !over() {
        let from = format!("{}-0", inner.heard().last);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(RECORDS).arg("BLOCK").arg(BLOCK);
        command.arg("STREAMS").arg(&log).arg(from);
        let reading = timeout(
            Duration::from_millis(BLOCK) + PATIENCE,
            command.query_async::<Value>(tail),
        );
        tokio::pin!(reading);
        let read = loop {
            tokio::select! {
                read = &mut reading => break read,
                () = inner.wake.notified() => if over() { return Ok(()) },
            }
        };
        for (number, fields) in records(read.map_err(|_| late())??)? {
            take_in(inner, session, number, &fields, sink);
        }
        if !inner.pending().is_empty() {
            inner.make_up(session).await.map_err(|outage| Failure::Link(outage.0))?;
        }
    }
    Ok(())
}

/// One record: tell it, unless it is our own, and note that it was read.
fn take_in(inner: &Inner, session: &Session, number: u64, fields: &Fields, sink: &Sink) {
    let now_ms = clock::now_ms();
    let expected = inner.heard().last.saturating_add(1);
    if number != expected {
        inner.heard().begin(&session.epoch, number.saturating_sub(1), now_ms);
        tell_gap(inner, sink);
    }
    if fields.who != inner.instance.as_bytes() {
        count(&inner.counters.heard);
        match inner.form.news(&fields.kind, &fields.body) {
            Some(News::Gap) => tell_gap(inner, sink),
            Some(News::Stored(entry)) if !of_use(&entry, now_ms) => {}
            Some(news) => sink(news),
            None => count(&inner.counters.unreadable),
        }
    }
    inner.heard().read(number, fields.kind != b"s", now_ms);
}

fn of_use(entry: &Entry, now_ms: u64) -> bool {
    entry.ends_ms() > now_ms
}

#[derive(Debug, Default)]
struct Fields {
    kind: Vec<u8>,
    who: Vec<u8>,
    body: Vec<u8>,
}

/// `[[log, [[id, [field, value, …]], …]]]`, or nothing new; RESP3 has a map around it.
fn records(value: Value) -> Result<Vec<(u64, Fields)>, Failure> {
    let streams = match value {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut stream)) => stream.pop(),
            _ => None,
        },
        Value::Map(mut streams) => streams.pop().map(|(_, records)| records),
        _ => None,
    };
    let Some(Value::Array(records)) = streams else {
        return Err(call::rubbish());
    };
    records
        .into_iter()
        .map(|record| one(record).ok_or_else(call::rubbish))
        .collect()
}

fn one(record: Value) -> Option<(u64, Fields)> {
    let Value::Array(parts) = record else { return None };
    let [id, Value::Array(pairs)] = parts.as_slice() else {
        return None;
    };
    let number = numbered(call::text(Some(id))?)?;
    let mut fields = Fields::default();
    for pair in pairs.chunks_exact(2) {
        let [name, value] = pair else { continue };
        let value = call::bytes(Some(value))?.to_vec();
        match call::bytes(Some(name))? {
            b"k" => fields.kind = value,
            b"i" => fields.who = value,
            b"b" => fields.body = value,
            _ => {}
        }
    }
    Some((number, fields))
}

/// The number in a record's id.
fn numbered(id: &str) -> Option<u64> {
    let (number, rest) = id.split_once('-')?;
    (rest == "0").then(|| number.parse().ok()).flatten()
}

fn late() -> Failure {
    Failure::Link("no answer in time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn records_are_read_in_both_protocols_and_rubbish_is_not() {
        let record = |id: &str| {
            Value::Array(vec![
                text(id),
                Value::Array(vec![text("k"), text("s"), text("b"), text("x")]),
            ])
        };
        let list = || Value::Array(vec![record("7-0"), record("8-0")]);
        for shape in [
            Value::Array(vec![Value::Array(vec![text("log"), list()])]),
            Value::Map(vec![(text("log"), list())]),
        ] {
            let read = records(shape).unwrap();
            assert_eq!(read.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 8]);
            assert_eq!(
                (read[0].1.kind.as_slice(), read[0].1.body.as_slice()),
                (&b"s"[..], &b"x"[..])
            );
        }
        assert!(records(Value::Nil).unwrap().is_empty());
        for rubbish in [
            Value::Okay,
            Value::Array(vec![]),
            Value::Array(vec![Value::Array(vec![text("log"), Value::Array(vec![record("7-1")])])]),
            Value::Map(vec![(text("log"), Value::Array(vec![text("7-0")]))]),
        ] {
            assert!(records(rubbish).is_err());
        }
    }
}
