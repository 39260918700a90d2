//! Schemas as this API takes them: of structured answers and strict tools (a part of JSON Schema), and of tools' input (any
//! object schema).
//!
//! For the former, objects must be closed, and what cannot be compiled to a grammar is taken out, each keyword named once.
//! Source: platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations", read 2026-11.

use crate::wire::json::{JsonWriter, Node, Value};

/// Deepest schema that is read.
const DEPTH: usize = 64;

/// Keywords that carry no meaning for the answer: taken out without a word.
const NOTES: [&str; 6] = ["$schema", "$id", "$comment", "examples", "readOnly", "writeOnly"];

/// Keywords the API refuses.
const REFUSED: [&str; 22] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
];

/// String formats the API knows; on Bedrock too.
pub const FORMATS: [&str; 10] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// A schema made fit, and the keywords it lost.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fitted {
    /// JSON.
    pub schema: String,
    /// By name, each once.
    pub lost: Vec<String>,
}

fn text(json: JsonWriter) -> String {
    String::from_utf8(json.finish()).unwrap_or_default()
}

/// For structured answers and strict tools. Nothing when it is no schema that can be read.
pub fn strict(raw: &str) -> Option<Fitted> {
    let node = Node::parse(raw.as_bytes(), DEPTH).ok()?;
    node.as_object()?;
    let mut lost = Vec::new();
    let mut json = JsonWriter::new();
    fit(&node, &mut json, &mut lost);
    Some(Fitted {
        schema: text(json),
        lost,
    })
}

/// For a tool's input: an object schema without alternatives at its top.
pub fn input(raw: Option<&str>) -> Fitted {
    let mut fitted = Fitted::default();
    let node = raw.and_then(|raw| Node::parse(raw.as_bytes(), DEPTH).ok());
    let Some(members) = node.as_ref().and_then(Node::as_object) else {
        fitted.schema = r#"{"type":"object","properties":{}}"#.to_owned();
        return fitted;
    };
    let refused = |key: &str| matches!(key, "anyOf" | "oneOf" | "allOf");
    let is_object = node.as_ref().and_then(|node| node.get_str("type")) == Some("object");
    if let (true, false, Some(raw)) = (is_object, members.iter().any(|(key, _)| refused(key)), raw) {
        fitted.schema = raw.to_owned();
        return fitted;
    }
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("type", "object");
        for (key, member) in members {
            if refused(key) {
                lose(key, &mut fitted.lost);
            } else if key != "type" {
                json.raw_field(key, member.raw);
            }
        }
        if !members.iter().any(|(key, _)| key == "properties") {
            json.raw_field("properties", "{}");
        }
    });
    fitted.schema = text(json);
    fitted
}

fn lose(key: &str, lost: &mut Vec<String>) {
    if !lost.iter().any(|known| known == key) {
        lost.push(key.to_owned());
    }
}

/// One schema and those inside it. As deep as it was parsed, which is bounded.
fn fit(node: &Node<'_>, json: &mut JsonWriter, lost: &mut Vec<String>) {
    let Some(members) = node.as_object() else {
        return json.raw(node.raw);
    };
    let object = node.get("properties").is_some()
        || node.get("type").is_some_and(|kind| match &kind.value {
            Value::String(kind) => kind == "object",
            Value::Array(kinds) => kinds.iter().any(|kind| kind.as_str() == Some("object")),
            _ => false,
        });
    json.begin_object();
    for (key, member) in members {
        match key.as_ref() {
            "properties" | "$defs" | "definitions" => {
                json.key(key);
                each(member, json, lost);
            }
            "items" => {
                json.key(key);
                fit(member, json, lost);
            }
            // The API knows only the weaker `anyOf`, which says the same of alternatives that exclude each other.
            "anyOf" | "oneOf" | "allOf" => {
                json.key(if key == "oneOf" { "anyOf" } else { key });
                json.array(|json| {
                    for variant in member.as_array().unwrap_or_default() {
                        fit(variant, json, lost);
                    }
                });
            }
            "additionalProperties" => {
                if !matches!(member.value, Value::Bool(false)) {
                    lose(key, lost);
                }
                if !object {
                    json.field("additionalProperties", false);
                }
            }
            "format" if !member.as_str().is_some_and(|format| FORMATS.contains(&format)) => lose(key, lost),
            "minItems" if !matches!(member.as_u64(), Some(0 | 1)) => lose(key, lost),
            key if REFUSED.contains(&key) => lose(key, lost),
            key if NOTES.contains(&key) => {}
            key => json.raw_field(key, member.raw),
        }
    }
    if object {
        json.field("additionalProperties", false);
    }
    json.end_object();
}

/// An object of schemas by name.
fn each(node: &Node<'_>, json: &mut JsonWriter, lost: &mut Vec<String>) {
    json.object(|json| {
        for (name, schema) in node.as_object().unwrap_or_default() {
            json.key(name);
            fit(schema, json, lost);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn objects_are_closed_and_what_is_refused_goes() {
        let schema = json!({
            "$schema": "s", "type": "object", "required": ["a"],
            "properties": {
                "a": {"type": "string", "minLength": 2, "format": "regex", "pattern": "^a"},
                "minimum": {"type": ["object", "null"], "properties": {}, "additionalProperties": true},
                "b": {"oneOf": [{"type": "integer", "minimum": 1}, {"$ref": "#/$defs/d"}]},
                "c": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "number"}}
            },
            "$defs": {"d": {"type": "object", "properties": {"x": {"enum": [1, 2]}}}}
        });
        let fitted = strict(&schema.to_string()).unwrap();
        assert_eq!(
            value(&fitted.schema),
            json!({
                "type": "object", "required": ["a"], "additionalProperties": false,
                "properties": {
                    "a": {"type": "string", "pattern": "^a"},
                    "minimum": {"type": ["object", "null"], "properties": {}, "additionalProperties": false},
                    "b": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/d"}]},
                    "c": {"type": "array", "minItems": 1, "items": {"type": "number"}}
                },
                "$defs": {"d": {"type": "object", "properties": {"x": {"enum": [1, 2]}}, "additionalProperties": false}}
            })
        );
        let mut lost = fitted.lost;
        lost.sort();
        assert_eq!(
            lost,
            ["additionalProperties", "format", "maxItems", "minLength", "minimum"]
        );
        assert_eq!(strict("[1]"), None);
        assert_eq!(strict(&"[".repeat(500)), None);
    }

    #[test]
    fn tools_take_objects_only() {
        let same = r#"{"type": "object", "properties": {"a": {"minimum": 1}}}"#;
        assert_eq!(input(Some(same)).schema, same);
        for none in [None, Some("null"), Some("{\"a")] {
            assert_eq!(value(&input(none).schema), json!({"type": "object", "properties": {}}));
        }
        let fitted = input(Some(r#"{"anyOf":[{}],"description":"d"}"#));
        assert_eq!(
            value(&fitted.schema),
            json!({"type": "object", "description": "d", "properties": {}})
        );
        assert_eq!(fitted.lost, ["anyOf"]);
    }
}
