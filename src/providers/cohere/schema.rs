//! JSON Schemas that Cohere enforces (`response_format.json_schema`, parameters under `strict_tools`) may use a part of the
//! language only: docs.cohere.com/docs/structured-outputs, "Schema constraints", read 2026-11. The rest is taken out by name.

use crate::wire::json::{JsonWriter, Node, Value};
use std::borrow::Cow;

/// Refused: ranges, lengths, compositions but `anyOf`.
const REFUSED: [&str; 16] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "allOf",
    "not",
    "if",
];

/// Formats that are known.
const FORMATS: [&str; 4] = ["date-time", "uuid", "date", "time"];

/// Deeper than any schema a person writes; what is below is passed as it is.
const DEPTH: usize = 64;

/// The schema without what is refused, and the keywords taken out, each once. A schema that needs no change is passed as
/// written.
pub(super) fn reduce(schema: &str) -> (Cow<'_, str>, Vec<&'static str>) {
    let Ok(node) = Node::parse(schema.as_bytes(), DEPTH) else {
        return (schema.into(), Vec::new());
    };
    let mut reducer = Reducer::default();
    let mut json = JsonWriter::new();
    reducer.schema(&node, &mut json);
    if !reducer.changed {
        return (schema.into(), Vec::new());
    }
    let text = String::from_utf8(json.finish()).unwrap_or_default();
    (text.into(), reducer.removed)
}

#[derive(Default)]
struct Reducer {
    changed: bool,
    removed: Vec<&'static str>,
}

impl Reducer {
    fn schema(&mut self, node: &Node<'_>, json: &mut JsonWriter) {
        let Value::Object(members) = &node.value else {
            json.raw(node.raw);
            return;
        };
        json.begin_object();
        for (key, value) in members {
            match key.as_ref() {
                // Objects have the described members and no others anyway.
                "additionalProperties" if matches!(value.value, Value::Bool(false)) => self.changed = true,
                "oneOf" => {
                    self.changed = true;
                    json.key("anyOf");
                    self.list(value, json);
                }
                "anyOf" => {
                    json.key(key);
                    self.list(value, json);
                }
                "properties" | "$defs" | "definitions" => {
                    json.key(key);
                    self.map(value, json);
                }
                "items" => {
                    json.key(key);
                    self.schema(value, json);
                }
                "format" if !value.as_str().is_some_and(|format| FORMATS.contains(&format)) => self.remove("format"),
                name => match REFUSED.iter().find(|refused| **refused == name) {
                    Some(refused) => self.remove(refused),
                    None => json.raw_field(key, value.raw),
                },
            }
        }
        json.end_object();
    }

    fn remove(&mut self, keyword: &'static str) {
        self.changed = true;
        if !self.removed.contains(&keyword) {
            self.removed.push(keyword);
        }
    }

    fn list(&mut self, node: &Node<'_>, json: &mut JsonWriter) {
        match node.as_array() {
            Some(items) => json.array(|json| items.iter().for_each(|item| self.schema(item, json))),
            None => json.raw(node.raw),
        }
    }

    fn map(&mut self, node: &Node<'_>, json: &mut JsonWriter) {
        let Value::Object(members) = &node.value else {
            json.raw(node.raw);
            return;
        };
        json.begin_object();
        for (key, value) in members {
            json.key(key);
            self.schema(value, json);
        }
        json.end_object();
    }
}
