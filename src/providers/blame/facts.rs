//! What an error body says, whatever its shape: codes, messages, a delay.
//!
//! ```text
//! {"error":{"message","type","code","status","innererror":{"code"},"details":[{"reason"},{"retryDelay"},{"violations"}],
//!           "metadata":{"raw":"{…}","reasons":[…],"headers":{…}}}}     OpenAI, Anthropic, Google, Azure, OpenRouter
//! {"message","type","code","__type"} · {"detail"} · {"error":"text","error_type"} · {"code":"text","error":"text"}
//! {"type":"response.failed","response":{"error":{"code","message"}}} · {"base_resp":{"status_code","status_msg"}} · [{…}]
//! ```
//! Only these members are read, so nothing a client wrote elsewhere counts. `metadata.raw` is the body of the vendor behind
//! OpenRouter; it is read by the same rules, once.

use crate::providers::retry_after;
use crate::wire::json::Node;
use http::HeaderMap;
use std::time::{Duration, SystemTime};

/// The code of a body that has something in it but is not JSON.
pub const NOT_JSON: &str = "(not JSON)";
/// The code of a body with nothing in it.
pub const EMPTY: &str = "(empty)";
/// The code of a Google quota by the day.
pub const PER_DAY: &str = "QuotaFailure: PerDay";
/// The code of a refusal by OpenRouter's moderation.
pub const MODERATED: &str = "metadata.reasons";

/// How deep bodies are read.
const DEPTH: usize = 16;
/// Bytes of a body that are looked at; whoever reads bodies stops there too.
const MOST: usize = 64 * 1024;
/// Bytes of a message that are compared.
const LONGEST: usize = 4096;

/// What an error says.
#[derive(Debug, Default)]
pub struct Facts {
    /// Everything it calls itself.
    pub codes: Vec<String>,
    /// Its message, and that of the error inside it.
    pub messages: Vec<String>,
    /// When to try again, as the body says.
    pub delay: Option<Duration>,
}

impl Facts {
    /// Of a response.
    pub fn read(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let mut facts = Self::default();
        // `ThrottlingException:http://internal.amazon.com/…`; some front ends name it in the body only (`__type`).
        if let Some(kind) = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()) {
            facts.code(kind.split(':').next().unwrap_or_default());
        }
        let body = body.get(..MOST).unwrap_or(body);
        match Node::parse(body, DEPTH) {
            Ok(node) => facts.document(&node, now, true),
            Err(_) if body.iter().all(u8::is_ascii_whitespace) => facts.codes.push(EMPTY.to_owned()),
            Err(_) => facts.codes.push(NOT_JSON.to_owned()),
        }
        facts
    }

    /// Of an event or a body of a 200, if it is an error.
    pub fn read_event(name: &str, data: &[u8], now: SystemTime) -> Option<Self> {
        let exception = name.ends_with("Exception");
        let node = Node::parse(data.get(..MOST).unwrap_or(data), DEPTH);
        let is_error = node.as_ref().is_ok_and(|node| is_error(first(node)));
        if !exception && !is_error {
            return None;
        }
        let mut facts = Self::default();
        if exception {
            // Headers of event streams begin small: `throttlingException`.
            let mut letters = name.chars();
            let head: String = letters
                .next()
                .map(|letter| letter.to_ascii_uppercase())
                .into_iter()
                .collect();
            facts.code(&format!("{head}{}", letters.as_str()));
        }
        if let Ok(node) = &node {
            facts.document(node, now, true);
        }
        Some(facts)
    }

    fn document(&mut self, node: &Node<'_>, now: SystemTime, outer: bool) {
        let node = first(node);
        for error in [Some(node), error_of(node)].into_iter().flatten() {
            self.names(error);
            self.details(error);
            if let Some(metadata) = error.get("metadata") {
                self.metadata(metadata, now, outer);
            }
        }
        if let Some(inner) = node.get("base_resp") {
            self.member(inner, "status_code");
        }
        if let Some(text) = message(node) {
            let within = |end: &usize| text.is_char_boundary(*end);
            let end = (0..=LONGEST.min(text.len())).rev().find(within).unwrap_or(0);
            let text = text.get(..end).unwrap_or_default();
            self.delay = self.delay.or_else(|| retry_after::in_message(text));
            self.messages.push(text.to_owned());
        }
        // Hugging Face, while a model loads.
        let estimate = node.get("estimated_time").and_then(Node::as_f64);
        self.delay = self.delay.or_else(|| retry_after::seconds(estimate?));
    }

    /// The members that name an error.
    fn names(&mut self, error: &Node<'_>) {
        for key in ["code", "type", "status", "error_type", "error_code"] {
            self.member(error, key);
        }
        // `com.amazon.coral.service#UnrecognizedClientException`
        if let Some(name) = error.get_str("__type") {
            self.code(name.rsplit('#').next().unwrap_or_default());
        }
        if let Some(inner) = error.get("innererror") {
            self.member(inner, "code");
        }
    }

    fn member(&mut self, node: &Node<'_>, key: &str) {
        let Some(value) = node.get(key) else { return };
        match (value.as_str(), value.as_u64()) {
            (Some(text), _) => self.code(text),
            (None, Some(number)) => self.codes.push(number.to_string()),
            (None, None) => (),
        }
    }

    /// Google's details.
    fn details(&mut self, error: &Node<'_>) {
        for detail in error.get("details").and_then(Node::as_array).unwrap_or_default() {
            self.member(detail, "reason");
            if let Some(delay) = detail.get_str("retryDelay") {
                self.delay = self.delay.or_else(|| retry_after::duration(delay));
            }
            let violations = detail.get("violations").and_then(Node::as_array).unwrap_or_default();
            let by_day = |violation: &Node<'_>| violation.get_str("quotaId").is_some_and(|id| id.contains("PerDay"));
            if violations.iter().any(by_day) {
                self.codes.push(PER_DAY.to_owned());
            }
        }
    }

    /// OpenRouter's metadata.
    fn metadata(&mut self, metadata: &Node<'_>, now: SystemTime, outer: bool) {
        let reasons = metadata.get("reasons").and_then(Node::as_array);
        if reasons.is_some_and(|reasons| !reasons.is_empty()) {
            self.codes.push(MODERATED.to_owned());
        }
        let reset = metadata
            .get("headers")
            .and_then(|headers| headers.get_str("X-RateLimit-Reset"));
        self.delay = self.delay.or_else(|| retry_after::reset(reset?, now));
        let raw = metadata.get_str("raw").filter(|_| outer);
        if let Some(Ok(node)) = raw.map(|raw| Node::parse(raw.as_bytes(), DEPTH)) {
            self.document(&node, now, false);
        }
    }

    fn code(&mut self, code: &str) {
        if !code.is_empty() && code.len() <= 200 {
            self.codes.push(code.to_owned());
        }
    }
}

/// Errors of Gemini's streams come in a list.
fn first<'n, 'a>(node: &'n Node<'a>) -> &'n Node<'a> {
    node.as_array().and_then(<[Node<'_>]>::first).unwrap_or(node)
}

fn error_of<'n, 'a>(node: &'n Node<'a>) -> Option<&'n Node<'a>> {
    let response = || node.get("response")?.get("error");
    let error = node.get("error").or_else(response)?;
    (!error.is_null()).then_some(error)
}

fn is_error(node: &Node<'_>) -> bool {
    let base = node.get("base_resp").and_then(|base| base.get_u64("status_code"));
    error_of(node).is_some_and(|error| error.as_object().is_some() || error.as_str().is_some())
        || node.get_str("type") == Some("error")
        || node.get_str("object") == Some("error")
        || base.is_some_and(|code| code != 0)
}

/// The message member of the error, wherever this vendor has it.
fn message<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    let error = error_of(node);
    error
        .and_then(|error| error.get_str("message").or_else(|| error.as_str()))
        .or_else(|| node.get_str("message"))
        .or_else(|| node.get_str("Message"))
        .or_else(|| node.get_str("detail"))
        .or_else(|| node.get("detail")?.get_str("error"))
        .or_else(|| node.get("base_resp")?.get_str("status_msg"))
}
