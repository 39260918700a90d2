//! What a request needs of a model, and about how many tokens it is: found in the bytes, nothing is built.
//!
//! Not a judgement of the request: what is malformed needs nothing. The idea: the top-level members say where tools,
//! formats and messages are; inside the messages only content is walked, by the members that lead to content parts, so
//! that neither text nor arguments of tools can be taken for a part.
//!
//! Sources: OpenAI API reference, chat/create, responses/create; Anthropic API reference, messages/create; Gemini API
//! reference, Content; read 2026-11.

mod walk;

#[cfg(test)]
mod tests;

use super::Dialect;
use super::json::{Kind, Span, scan_object};

/// What a request needs of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// It offers tools.
    pub tools: bool,
    /// It holds images or video.
    pub vision: bool,
    /// It holds audio, or asks for it.
    pub audio: bool,
    /// It holds documents or files.
    pub files: bool,
    /// It wants an answer of a JSON schema.
    pub json_schema: bool,
    /// It asks for reasoning.
    pub reasoning: bool,
}

/// What was seen in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// What it needs.
    pub needs: Needs,
    /// Bytes of media written into the body: images, audio, files in base64.
    pub media_bytes: usize,
}

/// Bytes of JSON to a token. English prose has four to a token; its JSON frame makes up for denser languages.
const BYTES_PER_TOKEN: u64 = 4;

/// About how many tokens a body is: its bytes without media, by four. An estimate for routing (a request of 100 000 tokens
/// against one of 1 000), not for billing: dense scripts and code are off by a factor of two either way, and media count
/// nothing.
pub fn estimate_tokens(body_len: usize, seen: &Seen) -> u64 {
    let text = body_len.saturating_sub(seen.media_bytes);
    u64::try_from(text).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN)
}

/// What a request needs; nothing when it is not a JSON object.
pub fn needs_of(body: &[u8], dialect: Dialect, max_depth: usize) -> Needs {
    look(body, dialect, max_depth).needs
}

/// The same, with what the estimate of tokens is made of.
pub fn look(body: &[u8], dialect: Dialect, max_depth: usize) -> Seen {
    let mut seen = Seen::default();
    let mut content: Vec<Span> = Vec::new();
    let scanned = scan_object(body, max_depth, |member| {
        let value = body.get(member.value.clone()).unwrap_or_default();
        let kind = member.kind;
        let needs = &mut seen.needs;
        let is = |names: &[&str]| names.iter().any(|name| member.is(name));
        match dialect {
            _ if kind == Kind::Array && (is(&["tools"]) || (dialect == Dialect::OpenAi && is(&["functions"]))) => {
                needs.tools |= filled(value);
            }
            Dialect::OpenAi if is(&["response_format"]) => needs.json_schema |= typed(value, kind, &["json_schema"]),
            Dialect::OpenAi if is(&["reasoning_effort"]) => needs.reasoning |= effort(value, kind),
            Dialect::OpenAi if is(&["modalities"]) => needs.audio |= has(value, b"\"audio\""),
            Dialect::Responses if is(&["text"]) => {
                needs.json_schema |= inner(value, kind, "format", |format, kind| {
                    typed(format, kind, &["json_schema"])
                });
            }
            Dialect::OpenAi | Dialect::Responses if is(&["reasoning"]) => {
                needs.reasoning |= kind == Kind::Object && !inner(value, kind, "effort", |at, kind| !effort(at, kind));
            }
            Dialect::Anthropic if is(&["thinking"]) => needs.reasoning |= typed(value, kind, &["enabled", "adaptive"]),
            Dialect::Anthropic if is(&["output_format"]) => needs.json_schema |= typed(value, kind, &["json_schema"]),
            Dialect::Anthropic if is(&["output_config"]) => {
                needs.json_schema |= inner(value, kind, "format", |format, kind| {
                    typed(format, kind, &["json_schema"])
                });
            }
            Dialect::Gemini if is(&["generationConfig", "generation_config"]) => generation(value, kind, needs),
            _ if is(contents(dialect)) && matches!(kind, Kind::Array | Kind::Object) => {
                // A hostile body may repeat it: all are walked, and all together are no more than the body.
                content.push(member.value.clone());
            }
            _ => {}
        }
    });
    if scanned.is_err() {
        return Seen::default();
    }
    for span in content {
        walk::walk(body.get(span).unwrap_or_default(), dialect, &mut seen);
    }
    seen
}

/// The members that hold what was said.
fn contents(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenAi | Dialect::Anthropic | Dialect::Bedrock | Dialect::Cohere => &["messages"],
        Dialect::Responses => &["input"],
        Dialect::Gemini => &["contents"],
    }
}

/// Whether an array has elements.
fn filled(array: &[u8]) -> bool {
    array
        .iter()
        .skip(1)
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte != b']')
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// Whether a string is one of these; escapes are not looked through, no client writes them there.
fn one_of(value: &[u8], words: &[&str]) -> bool {
    let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inside.is_some_and(|inside| words.iter().any(|word| word.as_bytes() == inside))
}

/// Whether an object's member fits. Depth was bounded by the scan of the whole.
fn inner(object: &[u8], kind: Kind, name: &str, fits: impl Fn(&[u8], Kind) -> bool) -> bool {
    let mut found = false;
    if kind == Kind::Object {
        let _ = scan_object(object, super::json::DEPTH_CAP, |member| {
            if member.is(name) {
                found |= fits(object.get(member.value.clone()).unwrap_or_default(), member.kind);
            }
        });
    }
    found
}

fn typed(object: &[u8], kind: Kind, types: &[&str]) -> bool {
    inner(object, kind, "type", |value, _| one_of(value, types))
}

fn effort(value: &[u8], kind: Kind) -> bool {
    kind == Kind::String && !one_of(value, &["none"])
}

fn generation(config: &[u8], kind: Kind, needs: &mut Needs) {
    let any = |value: &[u8], kind| kind == Kind::Object && filled_object(value);
    for name in [
        "responseSchema",
        "response_schema",
        "responseJsonSchema",
        "response_json_schema",
    ] {
        needs.json_schema |= inner(config, kind, name, any);
    }
    for name in ["thinkingConfig", "thinking_config"] {
        needs.reasoning |= inner(config, kind, name, |thinking, kind| {
            let off = |name| inner(thinking, kind, name, |budget, _| budget == b"0");
            filled_object(thinking) && kind == Kind::Object && !off("thinkingBudget") && !off("thinking_budget")
        });
    }
    for name in ["responseModalities", "response_modalities"] {
        needs.audio |= inner(config, kind, name, |list, _| has(list, b"\"AUDIO\""));
    }
}

fn filled_object(object: &[u8]) -> bool {
    object.contains(&b'"')
}
