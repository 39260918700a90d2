//! The ways in which the mock misbehaves on request, and how they are named.
//!
//! Only the names and their meaning; `h1` and `h2` carry them out, each as far as its protocol can.

use std::str::FromStr;
use std::time::Duration;

/// One misbehaviour, asked for by the header `x-mock-fault: NAME` or by the model name `fault-NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `status-NNN`, `status-NNN-after-S` (adds `retry-after: S`), `status-NNN-first-K` (only the first K requests
    /// since the last `/reset` that carry such a fault).
    Status {
        status: u16,
        retry_after: Option<u64>,
        first: Option<u64>,
    },
    /// `hang`: takes the request and never answers.
    Hang,
    /// `hang-mid-stream`: head and half of the body, then silence.
    HangMidStream,
    /// `reset`: RST instead of an answer.
    Reset,
    /// `reset-mid-stream`: head and half of the body, then RST.
    ResetMidStream,
    /// `eof-mid-stream`: head and half of the body, then FIN without the end of the framing.
    EofMidStream,
    /// `reset-after-N`, `eof-after-N`, `end-after-N`: N events at their pace, then the stream breaks in that way.
    After { events: usize, cut: Cut },
    /// `no-done`: the stream ends in good framing, but without finish chunk and `[DONE]`.
    NoDone,
    /// `error-in-stream`: half of the events, then an error event and a clean end.
    ErrorInStream,
    /// `garbage`: bytes that are not HTTP.
    Garbage,
    /// `garbage-body`: 200 and `application/json`, but the body is not JSON.
    GarbageBody,
    /// `html`: 200 and a page of HTML, as a captive proxy sends it.
    Html,
    /// `slow-drip`: the whole answer, right, 16 bytes every 20 ms.
    SlowDrip,
    /// `slow-head`: the header block one byte every 20 ms.
    SlowHead,
    /// `short-length`: announces more bytes than it sends, then closes.
    ShortLength,
    /// `close-after`: a right answer on a connection that is closed right after it, without saying so.
    CloseAfter,
}

/// How a stream breaks after some of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// RST.
    Reset,
    /// FIN without the end of the framing.
    Eof,
    /// The framing ends well; the stream has no end of its own.
    End,
}

/// A hung connection is given up after this, so that a forgotten client cannot keep it for ever.
pub const HANG_LIMIT: Duration = Duration::from_secs(300);
pub const DRIP_BYTES: usize = 16;
pub const DRIP_PAUSE: Duration = Duration::from_millis(20);
pub const GARBAGE: &[u8] = b"\x16\x03\x01\x02\x00 this is no HTTP at all\r\n\x00\xff\xfe\r\n\r\n";
pub const GARBAGE_BODY: &str = "{\"id\": \"chatcmpl-broken\", \"choices\": [ \u{fffd}";
pub const HTML: &str =
    "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>It works</h1></body></html>\n";

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some(rest) = name.strip_prefix("status-") {
            return status(rest).ok_or_else(|| format!("unknown mock fault {name:?}"));
        }
        if let Some(after) = after(name) {
            return Ok(after);
        }
        Ok(match name {
            "hang" => Self::Hang,
            "hang-mid-stream" => Self::HangMidStream,
            "reset" => Self::Reset,
            "reset-mid-stream" => Self::ResetMidStream,
            "eof-mid-stream" => Self::EofMidStream,
            "no-done" => Self::NoDone,
            "error-in-stream" => Self::ErrorInStream,
            "garbage" => Self::Garbage,
            "garbage-body" => Self::GarbageBody,
            "html" => Self::Html,
            "slow-drip" => Self::SlowDrip,
            "slow-head" => Self::SlowHead,
            "short-length" => Self::ShortLength,
            "close-after" => Self::CloseAfter,
            _ => return Err(format!("unknown mock fault {name:?}")),
        })
    }
}

fn after(name: &str) -> Option<Fault> {
    let (how, events) = name.split_once("-after-")?;
    let cut = match how {
        "reset" => Cut::Reset,
        "eof" => Cut::Eof,
        "end" => Cut::End,
        _ => return None,
    };
    let events = events.parse().ok()?;
    Some(Fault::After { events, cut })
}

fn status(rest: &str) -> Option<Fault> {
    let mut parts = rest.split('-');
    let status = parts.next()?.parse().ok().filter(|s| (200..600).contains(s))?;
    let (mut retry_after, mut first) = (None, None);
    while let Some(word) = parts.next() {
        let figure = parts.next()?.parse().ok()?;
        match word {
            "after" => retry_after = Some(figure),
            "first" => first = Some(figure),
            _ => return None,
        }
    }
    Some(Fault::Status {
        status,
        retry_after,
        first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse() {
        let status = |status, retry_after, first| {
            Ok(Fault::Status {
                status,
                retry_after,
                first,
            })
        };
        assert_eq!("status-500".parse(), status(500, None, None));
        assert_eq!("status-429-after-2".parse(), status(429, Some(2), None));
        assert_eq!("status-503-first-3".parse(), status(503, None, Some(3)));
        assert_eq!("status-429-after-1-first-2".parse(), status(429, Some(1), Some(2)));
        assert_eq!("eof-mid-stream".parse(), Ok(Fault::EofMidStream));
        let cut = |cut| Ok(Fault::After { events: 7, cut });
        assert_eq!("reset-after-7".parse(), cut(Cut::Reset));
        assert_eq!("eof-after-7".parse(), cut(Cut::Eof));
        assert_eq!("end-after-7".parse(), cut(Cut::End));
        for wrong in [
            "",
            "reset-after-",
            "hang-after-3",
            "status-",
            "status-99",
            "status-500-after",
            "nonsense",
        ] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }
}
