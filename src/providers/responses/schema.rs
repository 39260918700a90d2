//! Schemas of functions as this API takes them: an object with `properties`, and no alternatives at the top.
//!
//! Everything below the top is passed as written. The API's refusals are "schema must have type 'object' and not have
//! 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level" and "object schema missing properties", read 2026-11.

use crate::wire::json::{JsonWriter, Kind, Node, scan_object};

/// What may not stand at the top.
const REFUSED: [&str; 5] = ["oneOf", "anyOf", "allOf", "enum", "not"];

/// Deepest schema that is looked into.
const DEEPEST: usize = 512;

/// The schema made to fit, and the keywords it lost; nothing when it fits as it is.
pub(super) fn fitted(raw: &str) -> Option<(String, Vec<&'static str>)> {
    let (mut object, mut properties, mut refused) = (false, false, false);
    scan_object(raw.as_bytes(), DEEPEST, |member| {
        object |= member.kind == Kind::String && member.is("type");
        properties |= member.kind == Kind::Object && member.is("properties");
        refused |= REFUSED.iter().any(|keyword| member.is(keyword));
    })
    .ok()?;
    if object && properties && !refused {
        return None;
    }
    let node = Node::parse(raw.as_bytes(), DEEPEST).ok()?;
    let mut lost = Vec::new();
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("type", "object");
        if node.get("properties").and_then(Node::as_object).is_none() {
            json.key("properties").object(|_| ());
        }
        for (key, value) in node.as_object().unwrap_or_default() {
            let valid = key != "properties" || value.as_object().is_some();
            if let Some(keyword) = REFUSED.iter().find(|keyword| *keyword == key) {
                lost.push(*keyword);
            } else if key != "type" && valid {
                json.raw_field(key, value.raw);
            }
        }
    });
    Some((String::from_utf8(json.finish()).ok()?, lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_top_is_made_to_fit() {
        assert_eq!(fitted(r#"{"type":"object","properties":{"a":{"anyOf":[{}]}}}"#), None);
        for (raw, made, lost) in [
            ("{}", r#"{"type":"object","properties":{}}"#, vec![]),
            (r#"{"type":"object"}"#, r#"{"type":"object","properties":{}}"#, vec![]),
            (
                r#"{"type":["object","null"],"anyOf":[{"x":1}],"properties":{"a":{}},"required":["a"]}"#,
                r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#,
                vec!["anyOf"],
            ),
            (
                r#"{"$schema":"x","properties":null,"not":{}}"#,
                r#"{"type":"object","properties":{},"$schema":"x"}"#,
                vec!["not"],
            ),
        ] {
            assert_eq!(fitted(raw), Some((made.to_owned(), lost)), "{raw}");
        }
        assert_eq!(fitted("[]"), None);
    }
}
