//! Clients that attack the protocol: slow headers and bodies, and HTTP/2 floods, frame by frame. Meanwhile another client asks
//! and is answered.

use super::caller::{Caller, Protocol};
use super::check::{ensure, eventually_some};
use super::grid::{Failures, caught};
use super::row::{SLOW_CLIENT, Then};
use super::scene::{Kind, Scene, Stage, kinds, model};
use super::voice::Lane;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub const FLOODS: &str = "slowloris, slow body, slow read, rapid reset, CONTINUATION / SETTINGS flood";

pub const SCENES: [Scene; 1] = [Scene {
    design: FLOODS,
    name: "attackers, and a client among them",
    run: attackers,
}];

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Longest an attack may last.
const ENOUGH: Duration = Duration::from_secs(10);
/// Memory that all attacks together may cost.
const FLAT: u64 = 64 << 20;

type Attack = fn(SocketAddr) -> Result<(), String>;

/// Attacks, and how many of each go on at one time.
const ATTACKS: [(&str, usize, Attack); 7] = [
    ("slow header", 8, slow_header),
    ("slow body over HTTP/1.1", 6, |address| slow_body(Protocol::H1, address)),
    ("slow body over HTTP/2", 6, |address| slow_body(Protocol::H2, address)),
    ("rapid reset", 2, rapid_reset),
    ("header block without an end", 2, endless_headers),
    ("settings and pings, answers unread", 2, settings_unread),
    ("a preface and no more", 2, preface_only),
];

fn attackers() -> Failures {
    let limits =
        "limits: { header_timeout: 500ms, body_timeout: 500ms, write_timeout: 500ms, keepalive_timeout: 2s }\n";
    let mut stage = Stage::new(limits, |conn, voice, _| {
        conn.send(voice.good());
        Then::Keep
    });
    let address = stage.gateway.address;
    let before = stage.gateway.memory("VmHWM");
    let over = AtomicBool::new(false);
    let failures = Mutex::new(Failures::new());
    let answered = std::thread::scope(|scope| {
        let witness = scope.spawn(|| witness(&stage, &over, &failures));
        let attackers: Vec<_> = ATTACKS
            .iter()
            .flat_map(|&(name, count, attack)| std::iter::repeat_n((name, attack), count))
            .map(|(name, attack)| (name, scope.spawn(move || caught(|| attack(address)))))
            .collect();
        for (name, attacker) in attackers {
            if let Err(why) = attacker.join().unwrap() {
                failures.lock().unwrap().push(format!("{name}: {why}"));
            }
        }
        over.store(true, Ordering::Relaxed);
        witness.join().unwrap()
    });
    stage.failures.extend(failures.into_inner().unwrap());
    stage.check(
        "the witness",
        ensure(answered >= kinds().len(), || format!("answered {answered} times")),
    );
    let calls = stage.calls();
    stage.check(
        "calls",
        ensure(calls == answered, || {
            format!("{calls} calls, {answered} of them the witness's")
        }),
    );
    let grown = stage.gateway.memory("VmHWM") - before;
    stage.check("memory", ensure(grown < FLAT, || format!("grew by {grown} bytes")));
    stage.metric("cirque_client_connections", &[], 0.0);
    stage.end()
}

/// Asks all the while, in every way; how often it was answered.
fn witness(stage: &Stage, over: &AtomicBool, failures: &Mutex<Failures>) -> usize {
    let mut answered = 0;
    let every: Vec<(Kind, bool)> = kinds()
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
        .collect();
    for (kind, stream) in every.into_iter().cycle() {
        if over.load(Ordering::Relaxed) && answered > kinds().len() {
            break;
        }
        match caught(|| stage.answers(kind, stream)) {
            Ok(()) => answered += 1,
            Err(why) => {
                failures.lock().unwrap().push(format!("the witness, {kind:?}: {why}"));
                break;
            }
        }
    }
    answered
}

fn tcp(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(ENOUGH)).unwrap();
    stream.set_write_timeout(Some(ENOUGH)).unwrap();
    Ok(stream)
}

/// Write this again and again, at the attack's pace; whether the other side ends it in time.
fn dripping_ends(stream: &mut TcpStream, piece: &[u8]) -> Result<(), String> {
    let until = Instant::now() + ENOUGH;
    while stream.write_all(piece).is_ok() {
        ensure(Instant::now() < until, || "it may go on for ever".to_owned())?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn slow_header(address: SocketAddr) -> Result<(), String> {
    let mut stream = tcp(address)?;
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nx-slow: ").unwrap();
    dripping_ends(&mut stream, b"y")
}

/// Sent in part, with a pause as long as the attack: refused, and the connection or stream is over.
fn slow_body(protocol: Protocol, address: SocketAddr) -> Result<(), String> {
    let lane = if protocol == Protocol::H1 {
        Lane::Chat
    } else {
        Lane::Messages
    };
    let mut caller = Caller::connect(protocol, address)?;
    let body = lane.client().request(&model(lane), false, "slow");
    caller.send_part(lane.client().path(), "slow", body.len(), &body[..20])?;
    let head = caller.head()?;
    let reply = caller.finish(head)?;
    ensure(reply.status == SLOW_CLIENT.status, || {
        format!("status {}", reply.status)
    })?;
    let json = serde_json::from_str(&reply.text()).map_err(|error| error.to_string())?;
    super::check::is_in_form(lane, &json, &SLOW_CLIENT)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /v1/models`, by HPACK's static table and two literals.
fn get_models() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, 10];
    block.extend(b"/v1/models");
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    block
}

fn http2(address: SocketAddr) -> Result<TcpStream, String> {
    let mut stream = tcp(address)?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    Ok(stream)
}

/// Whether the connection ends, whatever is read before.
fn ends(stream: &mut TcpStream) -> Result<(), String> {
    let mut sink = [0; 16 * 1024];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err("the connection is still open".to_owned());
            }
            Err(_) => return Ok(()),
        }
    }
}

fn rapid_reset(address: SocketAddr) -> Result<(), String> {
    let mut stream = http2(address)?;
    for number in 0..20_000 {
        let id = number * 2 + 1;
        let mut both = frame(HEADERS, END_STREAM | END_HEADERS, id, &get_models());
        both.extend(frame(RST_STREAM, 0, id, &8u32.to_be_bytes()));
        if stream.write_all(&both).is_err() {
            return Ok(());
        }
    }
    ends(&mut stream)
}

fn endless_headers(address: SocketAddr) -> Result<(), String> {
    let mut stream = http2(address)?;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &get_models())).unwrap();
    // A literal header field without indexing, again and again.
    let mut block = Vec::new();
    for _ in 0..200 {
        block.extend([0x00, 1, b'x', 60]);
        block.extend([b'y'; 60]);
    }
    let more = frame(CONTINUATION, 0, 1, &block);
    for _ in 0..(16 << 20) / more.len() {
        if stream.write_all(&more).is_err() {
            return Ok(());
        }
    }
    ends(&mut stream)
}

/// Frames that each want an answer, none of which is read: the connection is closed once its answers cannot be sent.
fn settings_unread(address: SocketAddr) -> Result<(), String> {
    let mut stream = http2(address)?;
    let mut frames = Vec::new();
    for _ in 0..100 {
        frames.extend(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
        frames.extend(frame(PING, 0, 0, &[7; 8]));
    }
    let until = Instant::now() + ENOUGH;
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut sent = 0;
    while Instant::now() < until {
        match stream.write(&frames[sent % frames.len()..]) {
            Ok(written) => sent += written,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Ok(()),
        }
    }
    Err(format!("the connection is still open after {sent} bytes"))
}

fn preface_only(address: SocketAddr) -> Result<(), String> {
    let mut stream = http2(address)?;
    eventually_some(|| ends(&mut stream).ok()).ok_or_else(|| "the connection is still open".to_owned())
}
