//! HTTP/2 floods on an h2c listener, frame by frame: the connection ends or is served in bounds, others notice nothing.

use crate::support::gateway::{Builder, Gateway, one};
use crate::support::upstream::Upstream;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

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

fn connect(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

/// Send these over and over; whether the other side ended the connection before `bytes` were sent.
fn ended_within(stream: &mut TcpStream, frames: &[u8], bytes: usize) -> bool {
    (0..bytes / frames.len()).any(|_| stream.write_all(frames).is_err())
}

/// Whether the connection ends, whatever is read before.
fn ends(stream: &mut TcpStream) -> bool {
    let mut sink = [0; 16 * 1024];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    }
}

fn gateway(upstream: &Upstream) -> Gateway {
    Builder::new(one(upstream))
        .listen("{ address: ADDRESS, h2c: true }")
        .start()
}

#[test]
fn a_thousand_requests_reset_at_once_leave_nothing_behind() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream);
    let mut stream = connect(&gateway);
    for number in 0..1000 {
        let id = number * 2 + 1;
        let mut both = frame(HEADERS, END_STREAM | END_HEADERS, id, &get_models());
        both.extend(frame(RST_STREAM, 0, id, &8u32.to_be_bytes()));
        if stream.write_all(&both).is_err() {
            break;
        }
        if number % 250 == 0 {
            gateway.chat().ok();
        }
    }
    gateway.chat().ok();
    drop(stream);
    gateway.wait_metric("cirque_in_flight_requests", &[], 0.0);
    gateway.wait_metric("cirque_client_connections", &[], 0.0);
}

#[test]
fn a_header_block_without_an_end_ends_the_connection() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream);
    let mut stream = connect(&gateway);
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &get_models())).unwrap();
    // A literal header field without indexing, again and again.
    let mut block = Vec::new();
    for _ in 0..200 {
        block.extend([0x00, 1, b'x', 60]);
        block.extend([b'y'; 60]);
    }
    let more = frame(CONTINUATION, 0, 1, &block);
    let ended = ended_within(&mut stream, &more, 16 << 20) || ends(&mut stream);
    assert!(ended, "16 MiB of one header block were taken in");
    gateway.chat().ok();
}

#[test]
fn settings_and_pings_without_end_disturb_nobody_else() {
    let upstream = Upstream::ok();
    let gateway = gateway(&upstream);
    let mut stream = connect(&gateway);
    let mut frames = Vec::new();
    for _ in 0..100 {
        frames.extend(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
        frames.extend(frame(6, 0, 0, &[7; 8]));
    }
    let before = gateway.metric("cirque_process_resident_memory_bytes", &[]);
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // Nothing is read: either the connection ends, or the answers that cannot be sent stop the reading.
    ended_within(&mut stream, &frames, 32 << 20);
    for _ in 0..20 {
        gateway.chat().ok();
    }
    let grown = gateway.metric("cirque_process_resident_memory_bytes", &[]) - before;
    assert!(grown < 64e6, "memory grew by {grown} bytes");
}
