//! What a Gemini answer or stream chunk says in passing, without a tree: usage, an error, an ending.
//!
//! ```json
//! {"candidates":[{"content":…,"finishReason":"STOP"}],"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{…}}
//! ```
//! A whole `streamGenerateContent` answer that is one JSON array is read element by element. The dialect has no end marker,
//! so nothing is ever `done`.

use super::json_array::JsonArrayReader;
use super::usage;
use crate::wire::json::{self, JsonError, Kind, Span};
use crate::wire::usage::Facts;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Read one document: a whole body or the data of one stream event.
pub fn facts(document: &[u8], max_depth: usize) -> Result<Facts, JsonError> {
    if document.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return of_array(document, max_depth);
    }
    let (mut figures, mut candidates, mut feedback): (Option<Span>, Option<Span>, Option<Span>) = (None, None, None);
    let mut facts = Facts::default();
    json::scan_object(document, max_depth, |member| match member.kind {
        Kind::Array if member.is("candidates") => candidates = Some(member.value),
        Kind::Object if member.is("usageMetadata") => figures = Some(member.value),
        Kind::Object if member.is("promptFeedback") => feedback = Some(member.value),
        Kind::Object | Kind::String if member.value.len() > 2 && member.is("error") => facts.error = true,
        _ => {}
    })?;
    let part = |span: Option<Span>| span.and_then(|at| document.get(at)).unwrap_or_default();
    facts.has_usage = figures.is_some();
    facts.usage = usage::read(part(figures));
    facts.finished = gives(&FINISH_REASON, part(candidates)) || gives(&BLOCK_REASON, part(feedback));
    Ok(facts)
}

fn of_array(document: &[u8], max_depth: usize) -> Result<Facts, JsonError> {
    json::scan_value(document, max_depth)?;
    let mut all = Facts::default();
    let found = JsonArrayReader::new(document.len()).push(document, |element| {
        let Ok(one) = facts(element, max_depth) else { return };
        if let Some(figures) = &one.usage {
            all.usage.get_or_insert_default().merge(figures);
        }
        all.has_usage |= one.has_usage;
        all.error |= one.error;
        all.finished |= one.finished;
    });
    // An array of something else is JSON of another sort: nothing is known of it.
    Ok(if found.is_ok() { all } else { Facts::default() })
}

/// Built once: making a searcher costs more than searching one event.
static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finishReason\""));
static BLOCK_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"blockReason\""));

/// Whether this key has a string value somewhere. A search, not a parse: the text of an answer cannot fake it, because
/// inside a JSON string the quotes would be escaped. (A function's arguments can; nobody names one `finishReason`.)
fn gives(key: &Finder<'_>, json: &[u8]) -> bool {
    key.find_iter(json).any(|at| {
        let rest = json.get(at + key.needle().len()..).unwrap_or_default();
        let mut after = rest.iter().filter(|byte| !byte.is_ascii_whitespace());
        after.next() == Some(&b':') && after.next() == Some(&b'"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_errors_and_endings_are_found() {
        let chunk = facts(
            br#"{"candidates":[{"content":{"parts":[{"text":"\"finishReason\":\"STOP\""}]},"index":0}],
                "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":4}}"#,
            64,
        )
        .unwrap();
        assert_eq!(chunk.usage.map(|usage| (usage.input, usage.output)), Some((3, 6)));
        assert!(!chunk.finished && !chunk.error && !chunk.done && chunk.has_usage);
        assert!(
            facts(br#"{"candidates":[{"finishReason" : "STOP"}]}"#, 64)
                .unwrap()
                .finished
        );
        assert!(
            facts(br#"{"promptFeedback":{"blockReason":"OTHER"}}"#, 64)
                .unwrap()
                .finished
        );
        assert!(facts(br#"{"error":{"code":500}}"#, 64).unwrap().error);
        assert!(facts(b"<html>", 64).is_err() && facts(b"[{]", 64).is_err());
    }

    #[test]
    fn an_array_is_read_element_by_element() {
        let array = facts(
            br#"[{"usageMetadata":{"promptTokenCount":3}},
                {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":9}}]"#,
            64,
        )
        .unwrap();
        assert_eq!(array.usage.map(|usage| (usage.input, usage.output)), Some((3, 9)));
        assert!(array.finished);
        assert_eq!(facts(b"[1]", 64).unwrap(), Facts::default());
    }
}
