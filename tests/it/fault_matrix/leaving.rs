//! Clients that leave, and clients that do not read.

use super::caller::{Caller, Reply};
use super::cell::CLOSED_WITHIN;
use super::check::{ensure, eventually_some};
use super::grid::{Failures, each};
use super::row::Then;
use super::scene::{Kind, Scene, Stage, kinds, model};
use super::table::{LINE, endless_line};
use crate::support::upstream::Recorded;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub const LEAVES: &str = "client leaves (before headers, mid-stream)";
pub const READS: &str = "client reads slowly";

pub const SCENES: [Scene; 3] = [
    Scene {
        design: LEAVES,
        name: "a thousand clients, each at its moment",
        run: a_thousand_leave,
    },
    Scene {
        design: READS,
        name: "clients that take the head and no more",
        run: nobody_reads,
    },
    Scene {
        design: LINE,
        name: "memory while many such lines come",
        run: lines_in_memory,
    },
];

/// When a client leaves, and what it had asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    BeforeWhole,
    BeforeStream,
    MidStream,
}

const MOMENTS: [Moment; 3] = [Moment::BeforeWhole, Moment::BeforeStream, Moment::MidStream];
/// Of each kind at each moment.
const CLIENTS: usize = 56;
/// Of these at one time.
const BATCH: usize = 14;

fn a_thousand_leave() -> Failures {
    let mut stage = Stage::new("", |conn, voice, text| {
        if text.contains("MidStream") {
            voice.begin(conn);
        }
        conn.wait_closed();
        Then::Close
    });
    let groups: Vec<(Kind, Moment)> = kinds()
        .into_iter()
        .flat_map(|kind| MOMENTS.map(|moment| (kind, moment)))
        .collect();
    let left: Mutex<HashMap<String, Instant>> = Mutex::default();
    let failures = Mutex::new(Failures::new());
    each(&groups, 6, |&(kind, moment)| {
        // The first batch that fails says what there is to say.
        let failed = (0..CLIENTS / BATCH).find_map(|batch| leave_together(&stage, kind, moment, batch, &left).err());
        failures
            .lock()
            .unwrap()
            .extend(failed.map(|why| format!("{kind:?} {moment:?}: {why}")));
    });
    stage.failures.extend(failures.into_inner().unwrap());
    let left = left.into_inner().unwrap();
    let all = groups.len() * CLIENTS;
    stage.check(
        "clients that left",
        ensure(left.len() == all, || format!("{} of {all}", left.len())),
    );
    let late = closed_late(&stage, &left);
    let shown = late.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
    stage.check(
        "upstream connections",
        ensure(late.is_empty(), || format!("{} of {all}: {shown}", late.len())),
    );
    stage.metric("cirque_requests_total", &["status=\"499\""], all as f64);
    stage.metric("cirque_upstream_attempts_total", &["outcome=\"cancelled\""], all as f64);
    stage.metric("cirque_upstream_attempts_total", &[], all as f64);
    // A record of each, and what was produced is counted: a text of one token or more each.
    let recorded = || stage.gateway.stdout.text().matches("\"client_left\":true").count();
    eventually_some(|| (recorded() == all).then_some(()));
    let recorded = recorded();
    stage.check("records", ensure(recorded == all, || format!("{recorded} of {all}")));
    let begun = (all / MOMENTS.len()) as f64;
    let made = || {
        stage
            .gateway
            .metric("cirque_tokens_total", &["kind=\"output\"", "estimated=\"true\""])
    };
    eventually_some(|| (made() >= begun).then_some(()));
    let made = made();
    stage.check(
        "output tokens",
        ensure(made >= begun, || format!("{made}, and {begun} texts were sent")),
    );
    stage.end()
}

fn leave_together(
    stage: &Stage,
    kind: Kind,
    moment: Moment,
    batch: usize,
    left: &Mutex<HashMap<String, Instant>>,
) -> Result<(), String> {
    let mut clients = Vec::new();
    for nth in 0..BATCH {
        let id = format!("{:?}-{moment:?}-{batch}-{nth}", kind.0);
        let caller = match moment {
            Moment::MidStream => stage.begin_stream(kind, &id)?.0,
            _ => stage.send(kind, moment == Moment::BeforeStream, &id)?,
        };
        clients.push((id, caller));
    }
    let has = |request: &Recorded, id: &str| request.text().contains(&format!("{id}\""));
    let ids: Vec<String> = clients.iter().map(|(id, _)| id.clone()).collect();
    for id in &ids {
        let arrived = || stage.upstream(kind.1).requests().iter().any(|request| has(request, id));
        eventually_some(|| arrived().then_some(())).ok_or_else(|| format!("{id} did not arrive"))?;
    }
    let mut connections = Vec::new();
    for (nth, (id, caller)) in clients.into_iter().enumerate() {
        left.lock()
            .unwrap()
            .insert(format!("{}/{id}", model(kind.1)), Instant::now());
        // Every second HTTP/2 client keeps its connection and resets its stream only.
        connections.extend(caller.leave().filter(|_| nth % 2 == 0));
    }
    // The next batch comes when this one is gone, so that no more than so many are there.
    let upstream = stage.upstream(kind.1);
    eventually_some(|| {
        let closed: Vec<usize> = upstream.closings().into_iter().map(|(index, _)| index).collect();
        let ours = upstream
            .requests()
            .into_iter()
            .filter(|r| ids.iter().any(|id| has(r, id)));
        ours.into_iter().all(|r| closed.contains(&r.connection)).then_some(())
    })
    .ok_or("upstream connections stay open")?;
    drop(connections);
    Ok(())
}

/// Upstream connections that outlived their client by too much, as lines.
fn closed_late(stage: &Stage, left: &HashMap<String, Instant>) -> Failures {
    let mut failures = Failures::new();
    let all = left.len();
    eventually_some(|| (stage.closings() >= all).then_some(()));
    for (lane, upstream) in &stage.upstreams {
        let closings: HashMap<usize, Instant> = upstream.closings().into_iter().collect();
        for request in upstream.requests() {
            let body: serde_json::Value = serde_json::from_str(request.text()).unwrap();
            let id = format!("{}/{}", model(*lane), text_of(&body));
            let late = closings
                .get(&request.connection)
                .zip(left.get(&id))
                .map(|(closed, left)| closed.saturating_duration_since(*left));
            if late.is_none_or(|late| late > CLOSED_WITHIN) {
                failures.push(format!("{id}: upstream closed {late:?} after it left"));
            }
        }
    }
    failures
}

/// The text of the first message, whichever form a dialect gives it.
fn text_of(body: &serde_json::Value) -> String {
    let content = &body["messages"][0]["content"];
    let text = content.as_str().or_else(|| content[0]["text"].as_str());
    text.unwrap_or_default().to_owned()
}

/// Bytes that lie in the sockets of both connections, at the most; everything above it would be in the gateway.
const IN_SOCKETS: usize = 16 << 20;
/// Clients of each kind in a measured round; before it one of each has warmed the process up.
const OF_A_KIND: usize = 6;
/// What a round may cost beside what is counted.
const BESIDE: usize = 16 << 20;
/// What a stream may cost as seen from outside, of the 128 MB that are sent: 256 KiB of buffers and as much kept for counting
/// tokens, twice that while they grow, and what an allocator leaves between.
const OF_A_STREAM: usize = 2 << 20;
/// The same of a line that does not end: its cap, in a buffer that grows by doubling.
const OF_A_LINE: usize = 4 << 20;

/// Ask for so many streams of each kind, have `meanwhile` seen to them, and give what the process grew by at its peak.
fn round(stage: &mut Stage, of_a_kind: usize, meanwhile: impl FnOnce(&mut Stage, Vec<(Kind, Caller)>)) -> usize {
    let before = stage.gateway.memory("VmHWM");
    let mut clients = Vec::new();
    for kind in (0..of_a_kind).flat_map(|_| kinds()) {
        match stage.send(kind, true, "a stream") {
            Ok(caller) => clients.push((kind, caller)),
            Err(why) => stage.failures.push(format!("{kind:?}: {why}")),
        }
    }
    meanwhile(stage, clients);
    usize::try_from(stage.gateway.memory("VmHWM") - before).unwrap()
}

fn nobody_reads() -> Failures {
    let taken: Arc<Mutex<Vec<Arc<AtomicUsize>>>> = Arc::default();
    let counters = Arc::clone(&taken);
    let mut stage = Stage::new("limits: { write_timeout: 500ms }\n", move |conn, voice, _| {
        let counter = Arc::new(AtomicUsize::new(0));
        counters.lock().unwrap().push(Arc::clone(&counter));
        voice.begin(conn);
        let event = voice.dialect.long_text(32_000);
        // 128 MB, as far as the gateway takes them.
        for _ in 0..4_000 {
            if !conn.chunk(&event) {
                conn.note_closed();
                break;
            }
            counter.fetch_add(event.len(), Ordering::Relaxed);
        }
        Then::Close
    });
    let mut asked = 0;
    let mut given_up = |stage: &mut Stage, clients: Vec<(Kind, Caller)>| {
        asked += clients.len();
        let held: Vec<Caller> = clients.into_iter().map(|(_, caller)| caller).collect();
        stage.metric("cirque_requests_total", &["status=\"499\""], asked as f64);
        stage.metric(
            "cirque_upstream_attempts_total",
            &["outcome=\"cancelled\""],
            asked as f64,
        );
        eventually_some(|| (stage.closings() >= asked).then_some(()));
        let closed = stage.closings();
        stage.check(
            "upstreams closed",
            ensure(closed == asked, || format!("{closed} of {asked}")),
        );
        drop(held);
    };
    round(&mut stage, 1, &mut given_up);
    let grown = round(&mut stage, OF_A_KIND, &mut given_up);
    let most = BESIDE + OF_A_STREAM * OF_A_KIND * kinds().len();
    stage.check(
        "memory",
        ensure(grown < most, || format!("grew by {grown} bytes, not {most}")),
    );
    for counter in taken.lock().unwrap().iter() {
        let bytes = counter.load(Ordering::Relaxed);
        let stopped = ensure(bytes < IN_SOCKETS, || format!("the provider could send {bytes} bytes"));
        stage.check("back-pressure", stopped);
    }
    stage.end()
}

fn lines_in_memory() -> Failures {
    let mut stage = Stage::new("", |conn, voice, _| {
        voice.begin(conn);
        endless_line(conn)
    });
    let refused = |stage: &mut Stage, clients: Vec<(Kind, Caller)>| {
        for (kind, mut caller) in clients {
            let ended = caller.head().and_then(|head| caller.finish(head));
            let in_error = |reply: Reply| ensure(reply.complete && reply.text().contains("error"), || reply.text());
            stage.check(format!("{kind:?}"), ended.and_then(in_error));
        }
    };
    round(&mut stage, 1, refused);
    let grown = round(&mut stage, OF_A_KIND, refused);
    let lines = OF_A_KIND * kinds().len();
    let most = BESIDE + OF_A_LINE * lines;
    stage.check(
        "memory",
        ensure(grown < most, || format!("grew by {grown} bytes, not {most}")),
    );
    let all = (lines + kinds().len()) as f64;
    stage.metric("cirque_upstream_attempts_total", &["outcome=\"bad_response\""], all);
    stage.end()
}
