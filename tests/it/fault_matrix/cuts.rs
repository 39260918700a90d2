//! Rows of providers whose answer breaks off: reset, ended, or no longer what it began as.

use super::row::{BAD, BOTH, FAILED, ROW, Row, STREAM, Script, Then, WHOLE, Want};
use super::table::{CUT, hang, reset, whole_head};
use super::voice::INTERNAL;

fn cut(name: &'static str, script: Script) -> Row {
    Row {
        design: CUT,
        name,
        forms: STREAM,
        script,
        spare: Want::InBand(&FAILED, 1),
        alone: Want::InBand(&FAILED, 1),
        outcome: "disconnected",
        partial: true,
        ..ROW
    }
}

pub fn rows() -> Vec<Row> {
    let unfinished = Row {
        spare: Want::InBand(&BAD, 1),
        alone: Want::InBand(&BAD, 1),
        outcome: "bad_response",
        ..cut("", |_, _| Then::Close)
    };
    let whole = Row {
        forms: WHOLE,
        spare: Want::Elsewhere,
        alone: Want::Error(&FAILED),
        partial: false,
        ..cut("", |_, _| Then::Close)
    };
    vec![
        cut("reset in a stream", |conn, voice| {
            voice.begin(conn);
            reset(conn)
        }),
        cut("reset inside an event", |conn, voice| {
            voice.begin(conn);
            conn.chunk(&voice.dialect.text()[..30]);
            reset(conn)
        }),
        cut("end of the connection in a stream", |conn, voice| {
            voice.begin(conn);
            Then::Close
        }),
        cut("broken chunk framing in a stream", |conn, voice| {
            voice.begin(conn);
            conn.send("ZZZ\r\nnonsense\r\n");
            hang(conn)
        }),
        Row {
            name: "clean end without a finish",
            script: |conn, voice| {
                voice.begin(conn);
                conn.send("0\r\n\r\n");
                Then::Keep
            },
            ..unfinished
        },
        Row {
            name: "clean end inside an event",
            script: |conn, voice| {
                voice.begin(conn);
                let ending = voice.dialect.ending();
                conn.chunk(&ending[..ending.find("\n\n").unwrap() - 3]);
                conn.send("0\r\n\r\n");
                Then::Keep
            },
            ..unfinished
        },
        Row {
            name: "garbage event in a stream",
            script: |conn, voice| {
                voice.begin(conn);
                conn.chunk(format!("data: <html>{INTERNAL}</html>\n\n"));
                hang(conn)
            },
            closes: true,
            ..unfinished
        },
        Row {
            name: "the provider's error event in a stream",
            script: |conn, voice| {
                voice.begin(conn);
                let error = voice.dialect.error("api_error", "the model crashed");
                conn.chunk(format!("event: error\ndata: {error}\n\n"));
                conn.chunk(voice.dialect.ending());
                conn.send("0\r\n\r\n");
                Then::Keep
            },
            spare: Want::TheirError(1),
            alone: Want::TheirError(1),
            outcome: "server_error",
            ..unfinished
        },
        Row {
            name: "reset in a whole answer",
            script: |conn, voice| {
                whole_head(conn, 1000);
                conn.send(&voice.dialect.whole()[..40]);
                reset(conn)
            },
            ..whole
        },
        Row {
            name: "chunked whole answer without an end",
            script: |conn, voice| {
                conn.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
                conn.chunk(voice.dialect.whole());
                Then::Close
            },
            ..whole
        },
        Row {
            name: "reset before headers",
            forms: BOTH,
            script: |conn, _| reset(conn),
            ..whole
        },
        Row {
            name: "end before headers",
            forms: BOTH,
            script: |_, _| Then::Close,
            ..whole
        },
    ]
}
