//! Rows of what providers answer instead of 200: whose fault each status is, by the design's paragraph on attempts.

use super::row::{AUTH, Blame, FAILED, ROW, Row, Script, Then, Want};
use super::voice::{Dialect, INTERNAL, Voice};
use crate::support::Conn;
use crate::support::upstream::answer;
use std::time::{Duration, SystemTime};

pub const STATUS: &str = "provider statuses";

pub fn rows() -> Vec<Row> {
    [failures(), credentials(), limits(), clients()].concat()
}

/// An answer of this status in the provider's form.
fn says(conn: &mut Conn, voice: Voice, status: u16, headers: &str, r#type: &str, message: &str) -> Then {
    let headers = format!("content-type: application/json\r\n{headers}");
    conn.send(answer(status, &headers, &voice.dialect.error(r#type, message)));
    Then::Keep
}

macro_rules! status {
    ($status:literal, $headers:literal) => {
        |conn, voice| says(conn, voice, $status, $headers, "api_error", INTERNAL)
    };
}

fn failures() -> Vec<Row> {
    let row = |name, script: Script, blame| Row {
        design: STATUS,
        name,
        script,
        spare: Want::Elsewhere,
        alone: Want::Error(&FAILED),
        outcome: "server_error",
        blame,
        ..ROW
    };
    vec![
        row("500", status!(500, ""), Blame::Target),
        row("502", status!(502, ""), Blame::Target),
        row("503", status!(503, ""), Blame::Target),
        row("504", status!(504, ""), Blame::Target),
        row("529", status!(529, ""), Blame::Target),
        row(
            "503 with a page",
            |conn, _| {
                conn.send(answer(
                    503,
                    "content-type: text/html\r\n",
                    &format!("<html>{INTERNAL}</html>"),
                ));
                Then::Keep
            },
            Blame::Target,
        ),
        row("408", status!(408, ""), Blame::Elsewhere),
        row("425", status!(425, ""), Blame::Elsewhere),
        // Following it would carry the credential to another host.
        row(
            "302",
            status!(302, "location: http://127.0.0.1:9/v1\r\n"),
            Blame::Elsewhere,
        ),
        row(
            "307",
            status!(307, "location: http://127.0.0.1:9/v1\r\n"),
            Blame::Elsewhere,
        ),
    ]
}

fn credentials() -> Vec<Row> {
    // As vendors do, it repeats what it was given.
    macro_rules! refusal {
        ($status:literal) => {
            |conn, voice| {
                says(
                    conn,
                    voice,
                    $status,
                    "",
                    "authentication_error",
                    "no such key: sk-ours",
                )
            }
        };
    }
    let row = |name, script: Script| Row {
        design: STATUS,
        name,
        script,
        spare: Want::Elsewhere,
        alone: Want::Error(&AUTH),
        outcome: "auth_failed",
        blame: Blame::Credential,
        ..ROW
    };
    vec![
        row("401", refusal!(401)),
        row("402", refusal!(402)),
        row("403", refusal!(403)),
        // Each vendor in its own words.
        row("an account without money", |conn, voice| {
            let (status, r#type, text) = match voice.dialect {
                Dialect::Chat => (429, "insufficient_quota", "You exceeded your current quota"),
                Dialect::Messages => (
                    400,
                    "invalid_request_error",
                    "Your credit balance is too low to access the Anthropic API.",
                ),
            };
            let body = voice
                .dialect
                .error(r#type, text)
                .replace("\"code\":null", "\"code\":\"insufficient_quota\"");
            conn.send(answer(status, "content-type: application/json\r\n", &body));
            Then::Keep
        }),
    ]
}

fn limits() -> Vec<Row> {
    let row = |name, script: Script, (least, most)| Row {
        design: STATUS,
        name,
        script,
        spare: Want::Elsewhere,
        alone: Want::Later(least, most),
        outcome: "rate_limited",
        blame: Blame::Limit,
        ..ROW
    };
    vec![
        row(
            "429 retry-after in seconds",
            status!(429, "retry-after: 40\r\n"),
            (10, 40),
        ),
        row(
            "429 retry-after-ms",
            status!(429, "retry-after-ms: 39500\r\n"),
            (10, 40),
        ),
        row(
            "429 retry-after as a date",
            |conn, voice| {
                let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(40));
                says(
                    conn,
                    voice,
                    429,
                    &format!("retry-after: {date}\r\n"),
                    "rate_limit_error",
                    INTERNAL,
                )
            },
            (10, 40),
        ),
        row(
            "429 x-ratelimit-reset",
            status!(
                429,
                "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1m20s\r\n"
            ),
            (50, 80),
        ),
        row(
            "429 anthropic-ratelimit-reset",
            |conn, voice| {
                let at = time::OffsetDateTime::now_utc() + Duration::from_secs(40);
                let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
                let headers = format!(
                    "anthropic-ratelimit-input-tokens-remaining: 0\r\nanthropic-ratelimit-input-tokens-reset: {at}\r\n"
                );
                says(conn, voice, 429, &headers, "rate_limit_error", INTERNAL)
            },
            (10, 41),
        ),
        row(
            "429 a time in the body",
            |conn, voice| says(conn, voice, 429, "", "rate_limit_error", "Please try again in 40s."),
            (10, 40),
        ),
        row("429 without a time", status!(429, ""), (1, 60)),
    ]
}

fn clients() -> Vec<Row> {
    let row = |status, name, script: Script| Row {
        design: STATUS,
        name,
        script,
        spare: Want::Passed(status),
        alone: Want::Passed(status),
        outcome: "client_error",
        blame: Blame::Client,
        ..ROW
    };
    macro_rules! clients {
        ($status:literal) => {
            row($status, stringify!($status), |conn, voice| {
                says(conn, voice, $status, "", "invalid_request_error", "your fault")
            })
        };
    }
    vec![
        clients!(400),
        clients!(404),
        clients!(409),
        clients!(413),
        clients!(422),
    ]
}
