//! The rows whose fault is one provider's: what it does, and what has to come of it. Answers that break off are in `cuts.rs`,
//! statuses in `statuses.rs`.

use super::cuts;
use super::row::{BAD, Blame, FAILED, ROW, Row, STREAM, Script, TIMEOUT, Then, WHOLE, Want};
use super::voice::{INTERNAL, Voice};
use crate::support::upstream::{answer, stream_answer};
use crate::support::{Conn, PATIENCE};
use std::time::{Duration, Instant};

pub const HANG: &str = "upstream hangs before headers";
pub const STALL: &str = "hangs mid-stream";
pub const CUT: &str = "RST / EOF mid-stream";
pub const EMPTY: &str = "EOF before any event on a 200";
pub const GARBAGE: &str = "garbage JSON, HTML, wrong content type on a 200";
pub const LENGTH: &str = "short Content-Length";
pub const DRIP: &str = "slow drip upstream";
pub const LINE: &str = "10 MB SSE line without newline";

/// Every row.
pub fn rows() -> Vec<Row> {
    [hangs(), cuts::rows(), empty(), garbage(), lengths(), drips(), lines()].concat()
}

pub fn hang(conn: &mut Conn) -> Then {
    conn.wait_closed();
    Then::Close
}

/// Send this every 30 ms until the gateway closes: the pace of the fault, nothing waits for it.
fn drip(conn: &mut Conn, piece: &str, framed: bool) -> Then {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let taken = if framed { conn.chunk(piece) } else { conn.send(piece) };
        if !taken {
            conn.note_closed();
            break;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    Then::Close
}

/// The head of a whole answer of which `length` bytes are announced.
pub fn whole_head(conn: &mut Conn, length: usize) {
    conn.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    ));
}

pub fn reset(conn: &mut Conn) -> Then {
    conn.reset();
    Then::Close
}

fn hangs() -> Vec<Row> {
    vec![
        Row {
            design: HANG,
            name: "hang before headers",
            script: |conn, _| hang(conn),
            spare: Want::Elsewhere,
            alone: Want::Error(&TIMEOUT),
            outcome: "first_byte_timeout",
            closes: true,
            timeouts: "first_byte: 600ms",
            ..ROW
        },
        Row {
            design: STALL,
            name: "hang in a stream",
            forms: STREAM,
            script: |conn, voice| {
                voice.begin(conn);
                hang(conn)
            },
            spare: Want::InBand(&TIMEOUT, 1),
            alone: Want::InBand(&TIMEOUT, 1),
            outcome: "idle_timeout",
            closes: true,
            partial: true,
            timeouts: "idle: 300ms",
            ..ROW
        },
        Row {
            design: STALL,
            name: "hang in a whole answer",
            forms: WHOLE,
            script: |conn, _| {
                whole_head(conn, 1000);
                conn.send("{");
                hang(conn)
            },
            spare: Want::Elsewhere,
            alone: Want::Error(&TIMEOUT),
            outcome: "idle_timeout",
            closes: true,
            timeouts: "idle: 300ms",
            ..ROW
        },
    ]
}

fn empty() -> Vec<Row> {
    let row = Row {
        design: EMPTY,
        forms: STREAM,
        spare: Want::Elsewhere,
        ..ROW
    };
    vec![
        Row {
            name: "no event and a clean end",
            script: |conn, _| {
                conn.send(stream_answer(&[]));
                Then::Keep
            },
            alone: Want::Error(&BAD),
            outcome: "bad_response",
            ..row
        },
        Row {
            name: "comments only and a clean end",
            script: |conn, _| {
                conn.send(stream_answer(&[": hello\n\n", ": good-bye\n\n"]));
                Then::Keep
            },
            alone: Want::Error(&BAD),
            outcome: "bad_response",
            ..row
        },
        Row {
            name: "head and no more",
            script: |conn, _| {
                conn.stream_head();
                Then::Close
            },
            alone: Want::Error(&FAILED),
            outcome: "disconnected",
            ..row
        },
        Row {
            name: "reset inside the first event",
            script: |conn, voice| {
                conn.stream_head();
                conn.chunk(&voice.dialect.opening()[..20]);
                reset(conn)
            },
            alone: Want::Error(&FAILED),
            outcome: "disconnected",
            ..row
        },
    ]
}

fn bad(name: &'static str, script: Script) -> Row {
    Row {
        design: GARBAGE,
        name,
        script,
        spare: Want::Elsewhere,
        alone: Want::Error(&BAD),
        twins: Want::Error(&BAD),
        outcome: "bad_response",
        ..ROW
    }
}

fn said(conn: &mut Conn, kind: &str, body: &str) -> Then {
    conn.send(answer(200, &format!("content-type: {kind}\r\n"), body));
    Then::Keep
}

fn garbage() -> Vec<Row> {
    vec![
        bad("HTML", |conn, _| {
            said(conn, "text/html", &format!("<html>{INTERNAL}</html>"))
        }),
        bad("half of a JSON body", |conn, voice| {
            let kind = if voice.stream {
                "text/event-stream"
            } else {
                "application/json"
            };
            said(conn, kind, &format!("{{\"choices\":[{{\"{INTERNAL}"))
        }),
        bad("no object", |conn, voice| {
            let (kind, body) = match voice.stream {
                true => ("text/event-stream", "data: null\n\n"),
                false => ("application/json", "null"),
            };
            said(conn, kind, body)
        }),
        bad("an empty body", |conn, _| said(conn, "application/json", "")),
        Row {
            forms: STREAM,
            ..bad("a whole answer to who wants a stream", |conn, voice| {
                said(conn, "application/json", voice.dialect.whole())
            })
        },
        Row {
            forms: STREAM,
            ..bad("a first event that is none", |conn, _| {
                said(conn, "text/event-stream", &format!("data: <html>{INTERNAL}\n\n"))
            })
        },
        Row {
            twins: Want::Nothing,
            ..bad("no HTTP at all", |conn, _| {
                conn.send("SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n");
                Then::Close
            })
        },
        Row {
            alone: Want::Error(&FAILED),
            twins: Want::Nothing,
            outcome: "server_error",
            ..bad("an error object on a 200", |conn, voice| {
                let error = voice.dialect.error("api_error", INTERNAL);
                match voice.stream {
                    true => said(conn, "text/event-stream", &format!("event: error\ndata: {error}\n\n")),
                    false => said(conn, "application/json", &error),
                }
            })
        },
    ]
}

fn lengths() -> Vec<Row> {
    let row = Row { design: LENGTH, ..ROW };
    vec![
        Row {
            name: "a body shorter than announced",
            forms: WHOLE,
            script: |conn, voice| {
                let body = voice.dialect.whole();
                whole_head(conn, body.len());
                conn.send(&body[..body.len() - 1]);
                Then::Close
            },
            spare: Want::Elsewhere,
            alone: Want::Error(&FAILED),
            outcome: "disconnected",
            fresh: true,
            ..row
        },
        Row {
            name: "a stream shorter than announced",
            forms: STREAM,
            script: |conn, voice| {
                let text = voice.dialect.opening();
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len() + 500
                ));
                Then::Close
            },
            spare: Want::InBand(&FAILED, 1),
            alone: Want::InBand(&FAILED, 1),
            outcome: "disconnected",
            fresh: true,
            ..row
        },
        Row {
            name: "bytes beyond the announced length",
            script: |conn, voice| {
                let (kind, body) = match voice.stream {
                    true => ("text/event-stream", voice.dialect.opening() + &voice.dialect.ending()),
                    false => ("application/json", voice.dialect.whole().to_owned()),
                };
                let mut bytes = answer(200, &format!("content-type: {kind}\r\n"), &body);
                bytes.extend(answer(200, "content-type: application/json\r\n", INTERNAL));
                conn.send(bytes);
                Then::Keep
            },
            alone: Want::Answer,
            outcome: "ok",
            blame: Blame::Nobody,
            fresh: true,
            ..row
        },
    ]
}

fn drips() -> Vec<Row> {
    let row = Row {
        design: DRIP,
        closes: true,
        ..ROW
    };
    let stream = Row { forms: STREAM, ..row };
    vec![
        Row {
            name: "comments and never an event",
            script: |conn, _| {
                conn.stream_head();
                drip(conn, ": ping\n\n", true)
            },
            spare: Want::Elsewhere,
            alone: Want::Error(&TIMEOUT),
            outcome: "first_event_timeout",
            timeouts: "first_event: 600ms",
            ..stream
        },
        Row {
            name: "bytes and never the end of an event",
            script: |conn, voice| {
                voice.begin(conn);
                conn.chunk("data: ");
                drip(conn, "x", true)
            },
            spare: Want::InBand(&TIMEOUT, 1),
            alone: Want::InBand(&TIMEOUT, 1),
            outcome: "idle_timeout",
            timeouts: "idle: 300ms",
            ..stream
        },
        Row {
            name: "events without end",
            script: |conn, voice| {
                voice.begin(conn);
                drip(conn, voice.dialect.text(), true)
            },
            alone: Want::InBand(&TIMEOUT, usize::MAX),
            outcome: "total_timeout",
            blame: Blame::Elsewhere,
            total: "stream_total: 600ms",
            ..stream
        },
        Row {
            name: "a whole answer byte by byte",
            forms: WHOLE,
            script: |conn, _| {
                whole_head(conn, 100_000);
                drip(conn, " ", false)
            },
            alone: Want::Error(&TIMEOUT),
            outcome: "total_timeout",
            blame: Blame::Elsewhere,
            total: "total: 600ms",
            ..row
        },
    ]
}

/// 10 MiB of one line, as far as the gateway takes it.
pub fn endless_line(conn: &mut Conn) -> Then {
    conn.chunk("data: ");
    for _ in 0..640 {
        if !conn.chunk([b'x'; 16384]) {
            conn.note_closed();
            return Then::Close;
        }
    }
    hang(conn)
}

fn lines() -> Vec<Row> {
    let row = Row {
        design: LINE,
        forms: STREAM,
        outcome: "bad_response",
        closes: true,
        ..ROW
    };
    vec![
        Row {
            name: "10 MB line as the first event",
            script: |conn, _: Voice| {
                conn.stream_head();
                endless_line(conn)
            },
            spare: Want::Elsewhere,
            alone: Want::Error(&BAD),
            ..row
        },
        Row {
            name: "10 MB line in a stream",
            script: |conn, voice| {
                voice.begin(conn);
                endless_line(conn)
            },
            spare: Want::InBand(&BAD, 1),
            alone: Want::InBand(&BAD, 1),
            ..row
        },
    ]
}
