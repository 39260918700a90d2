//! The format of a custom tool: this API nests a grammar, Responses and the canonical model have it flat.
//!
//! ```text
//! here       {"type":"grammar","grammar":{"syntax":"lark","definition":"…"}}
//! canonical  {"type":"grammar","syntax":"lark","definition":"…"}
//! both       {"type":"text"}
//! ```
//! Either form is understood where the other is due, and what is neither passes as written.

use crate::wire::json::{JsonWriter, Node};
use std::borrow::Cow;

/// A format has two levels; more are not looked into.
const DEPTH: usize = 16;

/// As the canonical model has it.
pub fn flat(format: &str) -> Cow<'_, str> {
    made(format, |node, json| {
        let inner = node.get("grammar")?.as_object()?;
        json.object(|json| {
            json.field("type", "grammar");
            for (key, value) in inner.iter().filter(|(key, _)| key != "type") {
                json.raw_field(key, value.raw);
            }
        });
        Some(())
    })
}

/// As this API has it.
pub fn nested(format: &str) -> Cow<'_, str> {
    made(format, |node, json| {
        let members = node.as_object()?;
        if node.get_str("type") != Some("grammar") || node.get("grammar").is_some() {
            return None;
        }
        json.object(|json| {
            json.field("type", "grammar");
            json.key("grammar").object(|json| {
                for (key, value) in members.iter().filter(|(key, _)| key != "type") {
                    json.raw_field(key, value.raw);
                }
            });
        });
        Some(())
    })
}

fn made<'f>(format: &'f str, make: impl FnOnce(&Node<'_>, &mut JsonWriter) -> Option<()>) -> Cow<'f, str> {
    let Ok(node) = Node::parse(format.as_bytes(), DEPTH) else {
        return format.into();
    };
    let mut json = JsonWriter::new();
    match make(&node, &mut json) {
        Some(()) => String::from_utf8(json.finish()).map_or(format.into(), Into::into),
        None => format.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grammar_goes_there_and_back() {
        let here = r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"start: \"x\""}}"#;
        let canonical = r#"{"type":"grammar","syntax":"lark","definition":"start: \"x\""}"#;
        assert_eq!(flat(here), canonical);
        assert_eq!(nested(canonical), here);
        assert_eq!((flat(canonical), nested(here)), (canonical.into(), here.into()));
        for same in [r#"{"type":"text"}"#, "{}", "[", r#"{"type":"grammar","grammar":1}"#] {
            assert_eq!((flat(same), nested(same)), (same.into(), same.into()));
        }
    }
}
