//! One request as one line, `key=value` or JSON, the same keys in the same order in both.
//!
//! Pure formatting; the queue and the thread that call it are in [`super::access_log`]. The idea: whatever a client or an
//! upstream put into a value, the line stays one line and parses. Everything that is not plain text is quoted, control
//! characters and those that reorder or hide text are escaped, long values are cut. Absent values have no key.
//!
//! ```json
//! {"time":"2026-01-31T12:00:00.123Z","request_id":"…","operation":"chat","method":"POST","path":"/v1/chat/completions",
//!  "model":"gpt-4o","target":"openai/gpt-4o","attempts":1,"status":200,"duration_ms":812.345,"ttft_ms":210.004,
//!  "own_ms":0.041,"input_tokens":12,"output_tokens":34,"tokens_estimated":true,"bytes_in":1024,"bytes_out":2048,
//!  "stream":true,"error":"provider_timeout","upstream_request_id":"req_…","client_left":true,
//!  "rule":"long-context","arm":"canary","purpose":"fallback","queued_ms":12.000,"seams":1,
//!  "guardrails":"personal-data:input:redact:EMAIL=2","cost_usd":0.002100000,
//!  "tries":[{"target":"azure/gpt-4o","purpose":"first","outcome":"server_error","duration_ms":31.500,"input_tokens":12,
//!  "output_tokens":0,"cost_usd":0.000030000}]}
//! ```

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest value of a free-text key, in characters.
const MAX_TEXT: usize = 256;
/// Most calls named in one line.
const MAX_TRIES: usize = 20;
/// Longest path, in characters.
const MAX_PATH: usize = 128;

/// Shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// `key=value key="quoted value"`
    Text,
    /// One JSON object.
    Json,
}

/// The facts of one request. Holds no address, prompt, completion or key, and must not.
#[derive(Debug, Clone)]
pub struct AccessRecord {
    /// When the request header had been read.
    pub time: SystemTime,
    /// `x-request-id`.
    pub request_id: Box<str>,
    /// What the client asked for: `chat`, `embeddings`, `passthrough`, …
    pub operation: &'static str,
    /// HTTP method.
    pub method: Cow<'static, str>,
    /// Path without query; [`clip_path`] makes it.
    pub path: Box<str>,
    /// Public model name as configured.
    pub model: Option<Arc<str>>,
    /// Target that gave the answer, or was tried last.
    pub target: Option<Arc<str>>,
    /// Calls made to targets.
    pub attempts: u32,
    /// Status the client got; 499 when it left first.
    pub status: u16,
    /// From the header read to the end of the answer.
    pub duration: Duration,
    /// To the first event of a stream.
    pub ttft: Option<Duration>,
    /// The gateway's own share of `duration`.
    pub own: Duration,
    /// Prompt tokens.
    pub input_tokens: Option<u64>,
    /// Answer tokens.
    pub output_tokens: Option<u64>,
    /// The token counts are the gateway's own.
    pub estimated: bool,
    /// Request body bytes as received.
    pub bytes_in: u64,
    /// Response body bytes as sent.
    pub bytes_out: u64,
    /// The answer was a stream.
    pub stream: bool,
    /// Error code the client was given, or the reason a stream broke.
    pub error: Option<&'static str>,
    /// The provider's own id of the request.
    pub upstream_request_id: Option<Box<str>>,
    /// The client went away before the answer was complete.
    pub client_left: bool,
    /// What happened on the way that does not happen to most requests.
    pub detours: Option<Box<Detours>>,
}

/// What happened to a request on its way to an answer, beyond one call to one target.
#[derive(Debug, Clone, Default)]
pub struct Detours {
    /// The rule that sent it where it went.
    pub rule: Option<Arc<str>>,
    /// The arm of the comparison that answered.
    pub arm: Option<Arc<str>>,
    /// Why the target that answered was asked, unless it was simply its turn.
    pub purpose: Option<&'static str>,
    /// How long it waited for a turn.
    pub queued: Option<Duration>,
    /// Streams that the answer was pieced together from, less one.
    pub seams: u32,
    /// What guardrails found: `name:direction:action:KIND=count,…`.
    pub guardrails: Option<Box<str>>,
    /// What all its calls cost, in nano-dollars, where prices are known.
    pub cost: Option<u64>,
    /// Calls that did not answer.
    pub tries: Vec<TriedCall>,
}

/// A call that did not answer.
#[derive(Debug, Clone)]
pub struct TriedCall {
    /// Who was asked.
    pub target: Arc<str>,
    /// Why.
    pub purpose: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Its tokens, in and out, where known.
    pub tokens: Option<(u64, u64)>,
    /// What it cost, in nano-dollars, where known.
    pub cost: Option<u64>,
}

/// The path as the log keeps it: no query, and no more than is ever written.
pub fn clip_path(path: &str) -> Box<str> {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    clip(path.get(..end).unwrap_or(path), MAX_PATH).into()
}

fn clip(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    match text.char_indices().nth(max) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// Writes records as lines. Keeps the last second's time stamp, which is most of a line's cost.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    second: Option<u64>,
    stamp: String,
}

impl LineWriter {
    /// Append one line, newline included.
    pub fn write(&mut self, out: &mut Vec<u8>, format: LineFormat, record: &AccessRecord) {
        let mut line = Line {
            out,
            format,
            first: true,
        };
        line.open();
        line.key("time");
        self.time(&mut line, record.time);
        line.text("request_id", &record.request_id, MAX_TEXT);
        line.text("operation", record.operation, MAX_TEXT);
        line.text("method", &record.method, MAX_TEXT);
        line.text("path", &record.path, MAX_PATH);
        if let Some(model) = &record.model {
            line.text("model", model, MAX_TEXT);
        }
        if let Some(target) = &record.target {
            line.text("target", target, MAX_TEXT);
        }
        line.number("attempts", u64::from(record.attempts));
        line.number("status", u64::from(record.status));
        line.millis("duration_ms", record.duration);
        if let Some(ttft) = record.ttft {
            line.millis("ttft_ms", ttft);
        }
        line.millis("own_ms", record.own);
        if let Some(tokens) = record.input_tokens {
            line.number("input_tokens", tokens);
        }
        if let Some(tokens) = record.output_tokens {
            line.number("output_tokens", tokens);
        }
        line.flag("tokens_estimated", record.estimated);
        line.number("bytes_in", record.bytes_in);
        line.number("bytes_out", record.bytes_out);
        line.flag("stream", record.stream);
        if let Some(error) = record.error {
            line.text("error", error, MAX_TEXT);
        }
        if let Some(id) = &record.upstream_request_id {
            line.text("upstream_request_id", id, MAX_TEXT);
        }
        line.flag("client_left", record.client_left);
        if let Some(detours) = &record.detours {
            line.detours(detours);
        }
        line.close();
    }

    /// RFC 3339, UTC, milliseconds.
    fn time(&mut self, line: &mut Line<'_>, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            let t = time::OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).unwrap_or_default())
                .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
            self.stamp = format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                t.year(),
                u8::from(t.month()),
                t.day(),
                t.hour(),
                t.minute(),
                t.second()
            );
            self.second = Some(since.as_secs());
        }
        line.quote_json();
        line.out.extend_from_slice(self.stamp.as_bytes());
        line.fraction(since.subsec_millis());
        line.out.push(b'Z');
        line.quote_json();
    }
}

/// One line under construction.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    format: LineFormat,
    first: bool,
}

impl Line<'_> {
    fn open(&mut self) {
        if self.format == LineFormat::Json {
            self.out.push(b'{');
        }
    }

    fn close(&mut self) {
        if self.format == LineFormat::Json {
            self.out.push(b'}');
        }
        self.out.push(b'\n');
    }

    fn quote_json(&mut self) {
        if self.format == LineFormat::Json {
            self.out.push(b'"');
        }
    }

    fn key(&mut self, key: &'static str) {
        match self.format {
            LineFormat::Json => {
                let before: &[u8] = if self.first { b"\"" } else { b",\"" };
                self.out.extend_from_slice(before);
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            LineFormat::Text => {
                if !self.first {
                    self.out.push(b' ');
                }
                self.out.extend_from_slice(key.as_bytes());
                self.out.push(b'=');
            }
        }
        self.first = false;
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.integer(value);
    }

    fn integer(&mut self, value: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn flag(&mut self, key: &'static str, value: bool) {
        if value {
            self.key(key);
            self.out.extend_from_slice(b"true");
        }
    }

    fn millis(&mut self, key: &'static str, value: Duration) {
        self.key(key);
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.integer(micros / 1000);
        self.fraction((micros % 1000) as u32);
    }

    /// `.` and three digits.
    fn fraction(&mut self, thousandths: u32) {
        let digit = |value: u32| b'0' + (value % 10) as u8;
        self.out.extend_from_slice(&[
            b'.',
            digit(thousandths / 100),
            digit(thousandths / 10),
            digit(thousandths),
        ]);
    }

    fn detours(&mut self, detours: &Detours) {
        for (key, text) in [("rule", &detours.rule), ("arm", &detours.arm)] {
            if let Some(text) = text {
                self.text(key, text, MAX_TEXT);
            }
        }
        if let Some(purpose) = detours.purpose {
            self.text("purpose", purpose, MAX_TEXT);
        }
        if let Some(queued) = detours.queued {
            self.millis("queued_ms", queued);
        }
        if detours.seams > 0 {
            self.number("seams", u64::from(detours.seams));
        }
        if let Some(guardrails) = &detours.guardrails {
            self.text("guardrails", guardrails, MAX_TEXT);
        }
        if let Some(cost) = detours.cost {
            self.dollars("cost_usd", cost);
        }
        if !detours.tries.is_empty() {
            self.tries(&detours.tries);
        }
    }

    /// An array of objects, or in text `target/purpose/outcome/ms` with commas between.
    fn tries(&mut self, tries: &[TriedCall]) {
        if self.format == LineFormat::Text {
            let shown = tries.iter().take(MAX_TRIES).map(|tried| {
                let (purpose, outcome, ms) = (tried.purpose, tried.outcome, tried.took.as_millis());
                format!("{} {purpose} {outcome} {ms}ms", clip(&tried.target, MAX_TEXT))
            });
            let text = shown.collect::<Vec<_>>().join(", ");
            return self.text("tries", &text, MAX_TEXT * MAX_TRIES);
        }
        self.key("tries");
        self.out.push(b'[');
        for (index, tried) in tries.iter().take(MAX_TRIES).enumerate() {
            self.out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
            self.first = true;
            self.text("target", &tried.target, MAX_TEXT);
            self.text("purpose", tried.purpose, MAX_TEXT);
            self.text("outcome", tried.outcome, MAX_TEXT);
            self.millis("duration_ms", tried.took);
            if let Some((input, output)) = tried.tokens {
                self.number("input_tokens", input);
                self.number("output_tokens", output);
            }
            if let Some(cost) = tried.cost {
                self.dollars("cost_usd", cost);
            }
            self.out.push(b'}');
        }
        self.first = false;
        self.out.push(b']');
    }

    /// Nano-dollars as dollars.
    fn dollars(&mut self, key: &'static str, nano: u64) {
        self.key(key);
        self.integer(nano / 1_000_000_000);
        let digits = format!(".{:09}", nano % 1_000_000_000);
        self.out.extend_from_slice(digits.as_bytes());
    }

    fn text(&mut self, key: &'static str, value: &str, max: usize) {
        self.key(key);
        let value = clip(value, max);
        let plain = value
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\' | b'='));
        if plain && self.format == LineFormat::Text && !value.is_empty() {
            self.out.extend_from_slice(value.as_bytes());
            return;
        }
        self.out.push(b'"');
        if plain {
            self.out.extend_from_slice(value.as_bytes());
        } else {
            value.chars().for_each(|c| self.escaped(c));
        }
        self.out.push(b'"');
    }

    /// One character of a quoted value, by JSON's rules in both formats.
    fn escaped(&mut self, c: char) {
        match c {
            '"' => self.out.extend_from_slice(b"\\\""),
            '\\' => self.out.extend_from_slice(b"\\\\"),
            '\n' => self.out.extend_from_slice(b"\\n"),
            '\r' => self.out.extend_from_slice(b"\\r"),
            '\t' => self.out.extend_from_slice(b"\\t"),
            c if hidden(c) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    let code = format!("\\u{unit:04x}");
                    self.out.extend_from_slice(code.as_bytes());
                }
            }
            c => {
                let mut bytes = [0u8; 4];
                self.out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
            }
        }
    }
}

/// Characters that end lines, drive terminals, or reorder and hide what stands around them.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
#[path = "access_line_tests.rs"]
pub(super) mod tests;
