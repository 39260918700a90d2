//! JSON schemas as Bedrock's models take them.
//!
//! Three needs: a tool's schema must say that it is an object; constrained decoding takes only schemas whose objects are
//! closed (user guide, "Structured outputs", unsupported features); Nova takes only `type`, `properties` and `required` at the
//! top (Nova user guide, "Defining a tool"), so definitions must be put where they are used. Read 2026-11.

use crate::providers::anthropic::schema::FORMATS;
use crate::wire::json::{JsonWriter, Kind, Node, Value, scan_object};
use std::borrow::Cow;

/// Deepest schema that is looked into.
const DEPTH: usize = 128;
/// References followed into one another.
const MOST_NESTED: usize = 24;
/// Sub-schemas looked at or written, references followed: definitions can double with each level.
const MOST_PIECES: usize = 4000;
/// Bytes that references may make of a schema, for each of its own, and besides: very many tools may have small schemas.
const MOST_GROWTH: usize = 8;
const MOST_ADDED: usize = 1024;

/// The schema of a tool without one.
pub(super) const NOTHING: &str = r#"{"type":"object","properties":{}}"#;

/// The schema of an answer that is any object.
pub(super) const ANY_OBJECT: &str = r#"{"type":"object"}"#;

/// With `"type":"object"` at the top, if it says no type; nothing if it is no object.
pub(super) fn object_root(schema: &str) -> Option<Cow<'_, str>> {
    let mut kind = None;
    let mut members = 0;
    let scanned = scan_object(schema.as_bytes(), DEPTH, |member| {
        members += 1;
        if member.is("type") {
            kind = Some((member.kind, member.value));
        }
    });
    scanned.ok()?;
    match kind {
        Some((Kind::String, at)) => (schema.get(at) == Some(r#""object""#)).then_some(schema.into()),
        Some(_) => None,
        None => {
            let rest = schema.trim_start().strip_prefix('{')?;
            let comma = if members > 0 { "," } else { "" };
            Some(format!(r#"{{"type":"object"{comma}{rest}"#).into())
        }
    }
}

/// Whether constrained decoding takes this schema.
pub(super) fn closed(schema: &str) -> bool {
    let Ok(root) = Node::parse(schema.as_bytes(), DEPTH) else {
        return false;
    };
    root.get_str("type") == Some("object")
        && Looker {
            root: &root,
            left: MOST_PIECES,
        }
        .closed(&root, 0)
}

/// The schema with its objects closed, and the keywords that had to go; nothing if constrained decoding cannot take it so.
/// Whatever follows the closed schema follows the open one, unless a keyword was lost.
pub(super) fn close(schema: &str) -> Option<(String, Vec<String>)> {
    let root = Node::parse(schema.as_bytes(), DEPTH).ok()?;
    let mut lost = Vec::new();
    let mut json = JsonWriter::new();
    shut(&root, &mut lost, &mut json);
    let text = String::from_utf8(json.finish()).ok()?;
    closed(&text).then_some((text, lost))
}

fn shut(schema: &Node<'_>, lost: &mut Vec<String>, json: &mut JsonWriter) {
    let Some(members) = schema.as_object() else {
        return json.raw(schema.raw);
    };
    json.begin_object();
    for (key, value) in members {
        match (key.as_ref(), &value.value) {
            (key, _) if STRIPPED.contains(&key) => note(key, lost),
            ("minItems", _) if value.as_u64().is_none_or(|least| least > 1) => note(key, lost),
            ("format", _) if !FORMATS.contains(&value.as_str().unwrap_or_default()) => note(key, lost),
            ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                json.key(key).begin_object();
                for (name, schema) in schemas {
                    json.key(name);
                    shut(schema, lost, json);
                }
                json.end_object();
            }
            ("items", Value::Object(_)) => {
                json.key(key);
                shut(value, lost, json);
            }
            ("anyOf" | "allOf", Value::Array(schemas)) => {
                json.key(key).begin_array();
                schemas.iter().for_each(|schema| shut(schema, lost, json));
                json.end_array();
            }
            _ => json.raw_field(key, value.raw),
        }
    }
    // A map of anything, closed, would be nothing at all.
    let named = schema.get("properties").and_then(Node::as_object);
    if named.is_some_and(|named| !named.is_empty()) && schema.get("additionalProperties").is_none() {
        json.field("additionalProperties", false);
    }
    json.end_object();
}

fn note(key: &str, lost: &mut Vec<String>) {
    if !lost.iter().any(|before| before == key) {
        lost.push(key.to_owned());
    }
}

/// Keywords that only narrow what is valid, and are not taken.
const STRIPPED: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

struct Looker<'n> {
    root: &'n Node<'n>,
    left: usize,
}

impl<'n> Looker<'n> {
    fn all(&mut self, schemas: &'n [Node<'n>], depth: usize) -> bool {
        schemas.iter().all(|schema| self.closed(schema, depth))
    }

    fn closed(&mut self, schema: &'n Node<'n>, depth: usize) -> bool {
        let (Some(members), true) = (schema.as_object(), depth <= MOST_NESTED && self.left > 0) else {
            return false;
        };
        self.left -= 1;
        let is_object = schema.get_str("type") == Some("object") || schema.get("properties").is_some();
        let shut = matches!(
            schema.get("additionalProperties").map(|node| &node.value),
            Some(Value::Bool(false))
        );
        if is_object && !shut {
            return false;
        }
        members.iter().all(|(key, value)| match key.as_ref() {
            "type"
            | "title"
            | "description"
            | "default"
            | "examples"
            | "enum"
            | "const"
            | "required"
            | "$schema"
            | "additionalProperties" => true,
            "minItems" => value.as_u64().is_some_and(|least| least <= 1),
            "format" => FORMATS.contains(&value.as_str().unwrap_or_default()),
            "properties" => {
                let properties = value.as_object().unwrap_or_default();
                properties.iter().all(|(_, schema)| self.closed(schema, depth + 1))
            }
            // Looked at where they are used.
            "$defs" | "definitions" => depth == 0,
            "items" => self.closed(value, depth + 1),
            "anyOf" | "allOf" => value.as_array().is_some_and(|schemas| self.all(schemas, depth + 1)),
            "$ref" => target(self.root, value, &mut self.left).is_some_and(|target| self.closed(target, depth + 1)),
            _ => false,
        })
    }
}

/// What a local reference (`#/$defs/Name`) points at. Searching among very many definitions is charged to what is `left`.
fn target<'n>(root: &'n Node<'n>, reference: &Node<'_>, left: &mut usize) -> Option<&'n Node<'n>> {
    let path = reference.as_str()?.strip_prefix("#/")?;
    path.split('/').try_fold(root, |node, key| {
        *left = left.saturating_sub(node.as_object().map_or(0, <[_]>::len) / 64);
        node.get(key)
    })
}

/// Only `type`, `properties` and `required` at the top, references inside replaced by what they mean; and what was lost.
pub(super) fn narrow(schema: &str) -> (String, Vec<String>) {
    let Ok(document) = Node::parse(schema.as_bytes(), DEPTH) else {
        return (NOTHING.to_owned(), vec!["all of it".to_owned()]);
    };
    let mut lost = Vec::new();
    let mut left = MOST_PIECES;
    let root = match document.get("$ref") {
        Some(reference) => target(&document, reference, &mut left).unwrap_or(&document),
        None => &document,
    };
    for (key, _) in root.as_object().unwrap_or_default() {
        let kept = [
            "type",
            "properties",
            "required",
            "$schema",
            "$id",
            "title",
            "$defs",
            "definitions",
            "$ref",
        ];
        if !kept.contains(&key.as_ref()) {
            lost.push(key.as_ref().to_owned());
        }
    }
    let mut inliner = Inliner {
        root: &document,
        left,
        bytes: schema.len().saturating_mul(MOST_GROWTH).saturating_add(MOST_ADDED),
        cut: false,
    };
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("type", "object");
        json.key("properties");
        match root.get("properties") {
            Some(properties) => inliner.write(properties, 0, json),
            None => json.raw("{}"),
        }
        if let Some(required) = root.get("required") {
            json.raw_field("required", required.raw);
        }
    });
    if inliner.cut {
        lost.push("$ref".to_owned());
    }
    (
        String::from_utf8(json.finish()).unwrap_or_else(|_| NOTHING.to_owned()),
        lost,
    )
}

struct Inliner<'n> {
    root: &'n Node<'n>,
    left: usize,
    /// Bytes that may still be written.
    bytes: usize,
    /// A reference could not be followed, or not to its end.
    cut: bool,
}

impl<'n> Inliner<'n> {
    fn write(&mut self, node: &'n Node<'n>, depth: usize, json: &mut JsonWriter) {
        if self.left == 0 || self.bytes == 0 || depth > DEPTH {
            self.cut = true;
            return json.raw("{}");
        }
        self.left -= 1;
        match &node.value {
            Value::Object(members) => {
                if let Some(reference) = node.get("$ref").filter(|reference| reference.as_str().is_some()) {
                    return match target(self.root, reference, &mut self.left) {
                        // A reference costs as much as many levels: recursive schemas end soon.
                        Some(target) => self.write(target, depth + DEPTH / 8, json),
                        None => {
                            self.cut = true;
                            json.raw("{}");
                        }
                    };
                }
                json.begin_object();
                for (key, value) in members {
                    self.spend(key.len() + 4);
                    json.key(key);
                    self.write(value, depth + 1, json);
                }
                json.end_object();
            }
            Value::Array(items) => {
                json.begin_array();
                for item in items {
                    self.spend(2);
                    self.write(item, depth + 1, json);
                }
                json.end_array();
            }
            _ => {
                self.spend(node.raw.len());
                json.raw(node.raw);
            }
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_an_object() {
        assert_eq!(
            object_root(r#"{"type":"object","x":1}"#).unwrap(),
            r#"{"type":"object","x":1}"#
        );
        assert_eq!(
            object_root(r#" {"properties":{}}"#).unwrap(),
            r#"{"type":"object","properties":{}}"#
        );
        assert_eq!(object_root("{}").unwrap(), r#"{"type":"object"}"#);
        assert_eq!(object_root(r#"{"type":"array"}"#), None);
        assert_eq!(object_root("[]"), None);
    }

    #[test]
    fn only_closed_schemas_are_constrained() {
        let object =
            |inner: &str| format!(r#"{{"type":"object","additionalProperties":false,"properties":{{"a":{inner}}}}}"#);
        assert!(closed(&object(r#"{"type":"string","description":"d"}"#)));
        assert!(closed(&object(
            r#"{"anyOf":[{"type":"null"},{"type":"array","items":{"type":"integer"}}]}"#
        )));
        assert!(!closed(&object(r#"{"type":"object","properties":{}}"#)), "open inside");
        assert!(!closed(&object(r#"{"type":"integer","minimum":1}"#)));
        assert!(!closed(r#"{"type":"object"}"#));
        assert!(!closed(r#"{"type":"array","items":{}}"#));
        let refs = r##"{"type":"object","additionalProperties":false,"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}"##;
        assert!(closed(refs));
        let recursive = r##"{"type":"object","additionalProperties":false,"properties":{"a":{"$ref":"#"},"b":{"$ref":"#/$defs/A"}},
            "$defs":{"A":{"anyOf":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/A"}]}}}"##;
        assert!(!closed(recursive));
    }

    #[test]
    fn open_schemas_are_closed_where_that_is_the_same() {
        let open = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"},"b":{"type":"integer"}},"$defs":{"A":{"type":"object","properties":{"n":{"type":"string"}}}}}"##;
        let (text, lost) = close(open).unwrap();
        assert_eq!(
            (text.matches(r#""additionalProperties":false"#).count(), lost.len()),
            (2, 0)
        );
        let bounded = r#"{"type":"object","properties":{"a":{"type":"array","minItems":2,"items":{"type":"string","pattern":"x","format":"odd"}}}}"#;
        assert_eq!(close(bounded).unwrap().1, ["minItems", "pattern", "format"]);
        for never in [
            r#"{"type":"object","properties":{"a":{"type":"object"}}}"#,
            r#"{"type":"object","properties":{"a":{}},"additionalProperties":{"type":"string"}}"#,
            r#"{"type":"object","properties":{"a":{"not":{}}}}"#,
            "[]",
        ] {
            assert_eq!(close(never), None, "{never}");
        }
    }

    #[test]
    fn nova_gets_three_keys_and_no_references() {
        let schema = r##"{"$schema":"x","type":"object","additionalProperties":false,"properties":{"a":{"$ref":"#/$defs/A"},"b":{"type":"string"}},
            "required":["a"],"$defs":{"A":{"type":"object","properties":{"n":{"$ref":"#/$defs/N"}}},"N":{"enum":[1,"$ref"]}}}"##;
        let (narrowed, lost) = narrow(schema);
        assert_eq!(
            narrowed,
            r#"{"type":"object","properties":{"a":{"type":"object","properties":{"n":{"enum":[1,"$ref"]}}},"b":{"type":"string"}},"required":["a"]}"#
        );
        assert_eq!(lost, ["additionalProperties"]);
        let (bomb, lost) = narrow(
            r##"{"properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"anyOf":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/A"},{"$ref":"#/$defs/A"}]}}}"##,
        );
        assert_eq!(lost, ["$ref"]);
        assert!(bomb.len() < 200_000 && Node::parse(bomb.as_bytes(), 512).is_ok());
        assert_eq!(narrow("nonsense").0, NOTHING);
    }
}
