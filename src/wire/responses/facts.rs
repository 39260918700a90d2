//! What an answer or a stream event of this API says in passing: usage, an error, the end.
//!
//! ```json
//! {"type":"response.completed","sequence_number":9,"response":{"status":"completed","error":null,"usage":{…}, …}}
//! {"type":"response.output_text.delta", …}        {"type":"error","code":"…","message":"…"}
//! {"id":"resp_…","object":"response","status":"completed","error":null,"usage":{"input_tokens":9, …}, …}
//! ```
//! Positions only, no tree: this runs on every event that is forwarded as it came.

use crate::units::{ServiceTier, Usage};
use crate::wire::json::{self, JsonError, Kind, Node, Span};
use crate::wire::usage::{Facts, read_tier};
use serde::Deserialize;

/// Read one document, checking that it is JSON.
pub fn facts(document: &[u8], max_depth: usize) -> Result<Facts, JsonError> {
    let mut facts = Facts::default();
    let (mut kind, mut response): (Option<Span>, Option<Span>) = (None, None);
    let (mut usage, mut status): (Option<Span>, Option<Span>) = (None, None);
    let mut tier: Option<Span> = None;
    json::scan_object(document, max_depth, |member| match member.kind {
        Kind::String if member.is("type") => kind = Some(member.value),
        Kind::Object if member.is("response") => response = Some(member.value),
        Kind::Object if member.is("usage") => usage = Some(member.value),
        Kind::String if member.is("status") => status = Some(member.value),
        Kind::String if member.is("service_tier") => tier = Some(member.value),
        Kind::Object | Kind::String if member.value.len() > 2 && member.is("error") => facts.error = true,
        _ => {}
    })?;
    let word = |span: Option<Span>| span.and_then(|at| document.get(at)).map(unquoted);
    let status = word(status);
    match word(kind) {
        Some(b"response.completed" | b"response.incomplete") => (facts.finished, facts.done) = (true, true),
        Some(b"response.failed" | b"error") => facts.error = true,
        // Of the other events only these carry a response, and it has no figures yet.
        Some(b"response.created" | b"response.in_progress" | b"response.queued") => return Ok(facts),
        _ => {}
    }
    facts.finished |= matches!(status, Some(b"completed" | b"incomplete"));
    facts.error |= status == Some(b"failed");
    let mut found = usage.and_then(|at| document.get(at));
    let mut tier = tier.and_then(|at| document.get(at));
    if let Some(inner) = response.and_then(|at| document.get(at)) {
        let (mut inside, mut tier_inside): (Option<Span>, Option<Span>) = (None, None);
        json::scan_object(inner, max_depth, |member| match member.kind {
            Kind::Object if member.is("usage") => inside = Some(member.value),
            Kind::String if member.is("service_tier") => tier_inside = Some(member.value),
            _ => {}
        })?;
        found = inside.and_then(|at| inner.get(at)).or(found);
        tier = tier_inside.and_then(|at| inner.get(at)).or(tier);
    }
    facts.has_usage = found.is_some();
    facts.usage = found.and_then(figures);
    if let (Some(usage), Some(tier)) = (&mut facts.usage, tier) {
        usage.tier = read_tier(tier);
    }
    Ok(facts)
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .unwrap_or(text)
}

/// ```json
/// {"input_tokens":9,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},
///  "output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}
/// ```
#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    input_tokens: Option<f64>,
    /// Of transcriptions: in the singular.
    #[serde(default, alias = "input_token_details")]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens: Option<f64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<f64>,
    #[serde(default)]
    cache_write_tokens: Option<f64>,
    #[serde(default)]
    audio_tokens: Option<f64>,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<f64>,
    #[serde(default)]
    audio_tokens: Option<f64>,
}

/// The figures of a usage object; nothing when it has none.
pub(in crate::wire) fn figures(object: &[u8]) -> Option<Usage> {
    let wire: WireUsage = serde_json::from_slice(object).ok()?;
    // Some servers write figures as floats; none has 2^53 tokens.
    let count = |figure: Option<f64>| figure.filter(|n| (0.0..9e15).contains(n)).map(|n| n as u64);
    let (read, made) = (
        wire.input_tokens_details.unwrap_or_default(),
        wire.output_tokens_details.unwrap_or_default(),
    );
    if wire.input_tokens.is_none() && wire.output_tokens.is_none() {
        return None;
    }
    Some(Usage {
        input: count(wire.input_tokens).unwrap_or(0),
        output: count(wire.output_tokens).unwrap_or(0),
        cached: count(read.cached_tokens).unwrap_or(0),
        cache_write: count(read.cache_write_tokens).unwrap_or(0),
        cache_write_1h: 0,
        reasoning: count(made.reasoning_tokens).unwrap_or(0),
        audio_input: count(read.audio_tokens).unwrap_or(0),
        audio_output: count(made.audio_tokens).unwrap_or(0),
        ..Usage::default()
    })
}

/// The figures of a response of this shape.
pub fn usage(response: &Node<'_>) -> Option<Usage> {
    let mut usage = figures(response.get("usage")?.raw.as_bytes())?;
    usage.tier = response
        .get_str("service_tier")
        .map(ServiceTier::read)
        .unwrap_or_default();
    Some(usage)
}
