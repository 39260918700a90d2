//! Many clients that do nothing, and many large bodies at once.

use super::caller::{Caller, Protocol, Reply};
use super::check::{LONG, ensure, is_in_form, within};
use super::grid::{Failures, each};
use super::row::{FULL, Then};
use super::scene::{Scene, Stage, is_whole, kinds, model};
use super::voice::Lane;
use crate::support::Gate;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

pub const IDLE: &str = "10 000 idle clients";
pub const BODIES: &str = "20 MB bodies, 16 at once";

pub const SCENES: [Scene; 2] = [
    Scene {
        design: IDLE,
        name: "memory, and a new request",
        run: idle_clients,
    },
    Scene {
        design: BODIES,
        name: "as many as there is room for, 503 beyond",
        run: large_bodies,
    },
];

const CROWD: usize = 10_000;
/// By the design, for all of the crowd.
const CROWD_MEMORY: f64 = 300e6;
/// Descriptors kept for everything else in this process and in the gateway.
const SPARE_DESCRIPTORS: usize = 3_000;

/// Descriptors this process may still open; the gateway has the same limit.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line
        .split_whitespace()
        .nth(3)
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(usize::MAX);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    soft.saturating_sub(open).saturating_sub(SPARE_DESCRIPTORS)
}

/// A client that has connected, or was answered once, or has begun HTTP/2; and now does nothing.
fn idle_client(address: SocketAddr, nth: usize) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    match nth % 10 {
        0 => stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?,
        1..=3 => {
            stream.write_all(b"GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n")?;
            let mut answer = [0; 4096];
            if stream.read(&mut answer)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        _ => {}
    }
    Ok(stream)
}

fn idle_clients() -> Failures {
    let mut stage = Stage::new("limits: { header_timeout: 60s }\n", |conn, voice, _| {
        conn.send(voice.good());
        Then::Keep
    });
    let crowd = CROWD.min(descriptors());
    if crowd < CROWD {
        eprintln!("fault matrix: only {crowd} idle clients of {CROWD}, for want of file descriptors");
    }
    let before = stage.gateway.memory("VmRSS");
    let held = Mutex::new(Vec::with_capacity(crowd));
    let numbers: Vec<usize> = (0..crowd).collect();
    let address = stage.gateway.address;
    let failed = Mutex::new(Failures::new());
    each(&numbers, 8, |nth| match idle_client(address, *nth) {
        Ok(stream) => held.lock().unwrap().push(stream),
        Err(error) => failed.lock().unwrap().push(error.to_string()),
    });
    let failed = failed.into_inner().unwrap();
    stage.check(
        "connecting",
        ensure(failed.is_empty(), || format!("{} failed: {}", failed.len(), failed[0])),
    );
    stage.metric("cirque_client_connections", &[], crowd as f64);
    let grown = stage.gateway.memory("VmRSS").saturating_sub(before) as f64;
    let most = CROWD_MEMORY * crowd as f64 / CROWD as f64;
    stage.check(
        "memory",
        ensure(grown <= most, || format!("grew by {grown} bytes for {crowd} clients")),
    );
    for kind in kinds() {
        for stream in [false, true] {
            let answered = stage.answers(kind, stream);
            stage.check(format!("{kind:?} meanwhile"), answered);
        }
    }
    drop(held);
    stage.end()
}

const BODY: usize = 20 << 20;
const AT_ONCE: usize = 16;
/// `buffered_bytes` below, in bodies.
const FIT: usize = 10;
/// Beside the bodies: what the process needs to serve them.
const BESIDE: u64 = 48 << 20;

fn large_bodies() -> Failures {
    let gate = Gate::default();
    let open = gate.clone();
    let blocks = "limits: { buffered_bytes: 210MiB, body_timeout: 60s }\n";
    let mut stage = Stage::new(blocks, move |conn, voice, _| {
        gate.wait();
        conn.send(voice.good());
        Then::Keep
    });
    let before = stage.gateway.memory("VmHWM");
    // Native ones only: a translated request is a second body.
    let clients: Vec<(Protocol, Lane)> = kinds()
        .into_iter()
        .filter(|(_, lane)| lane.native())
        .cycle()
        .take(AT_ONCE)
        .collect();
    let replies: Mutex<Vec<(Lane, Result<Reply, String>)>> = Mutex::default();
    let address = stage.gateway.address;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            each(&clients, AT_ONCE, |&(protocol, lane)| {
                let reply = send_large(protocol, lane, address);
                replies.lock().unwrap().push((lane, reply));
            });
        });
        // Those that fit are with the provider, the others were answered.
        let fit = || stage.calls() >= FIT && replies.lock().unwrap().len() >= AT_ONCE - FIT;
        within(LONG, || fit().then_some(()));
        open.open();
    });
    let (mut answered, mut refused) = (0, 0);
    for (lane, reply) in replies.into_inner().unwrap() {
        let checked = reply.and_then(|reply| match reply.status {
            503 => {
                refused += 1;
                ensure(reply.header("retry-after").is_some(), || "no retry-after".to_owned())?;
                let json = serde_json::from_str(&reply.text()).map_err(|error| error.to_string())?;
                is_in_form(lane, &json, &FULL)
            }
            _ => {
                answered += 1;
                is_whole(lane, false, &reply)
            }
        });
        stage.check("a large body", checked);
    }
    stage.check(
        "answered and refused",
        ensure((answered, refused) == (FIT, AT_ONCE - FIT), || {
            format!("{answered} and {refused}, not {FIT} and {}", AT_ONCE - FIT)
        }),
    );
    let grown = stage.gateway.memory("VmHWM") - before;
    let most = (FIT * BODY) as u64 + BESIDE;
    stage.check(
        "memory",
        ensure(grown < most, || {
            format!("grew by {grown} bytes: more than one copy each")
        }),
    );
    // Room is given back.
    stage.metric("cirque_buffered_bytes", &[], 0.0);
    let again = send_large(Protocol::H1, Lane::Chat, address).and_then(|reply| is_whole(Lane::Chat, false, &reply));
    stage.check("the next one", again);
    stage.end()
}

/// The body is made by replacing: writing 20 MB as JSON is slow in a test's build.
fn send_large(protocol: Protocol, lane: Lane, address: SocketAddr) -> Result<Reply, String> {
    let dialect = lane.client();
    let body = dialect
        .request(&model(lane), false, "LARGE")
        .replace("LARGE", &"y".repeat(BODY - 1000));
    let mut caller = Caller::connect(protocol, address)?;
    // A refusal may come before all was taken: then sending fails, and the answer is there to read.
    let _ = caller.send(dialect.path(), "large", &body);
    let head = caller.head()?;
    caller.finish(head)
}
