//! Google's schemas as JSON Schema: `parameters` and `responseSchema` are a subset of OpenAPI 3.0 with names of its own.
//!
//! ```text
//! {"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true}},"propertyOrdering":["a"],"maxItems":"3"}
//! {"type":"object","properties":{"a":{"type":["string","null"]}},"maxItems":3}
//! ```
//! Types become lower case, `nullable` a `null` type, `propertyOrdering` the order of the properties, `example` a list of
//! one, `format: "enum"` (a marker of theirs) goes; 64-bit figures, which protobuf writes as strings, become numbers. What is
//! JSON Schema already stays as it is: clients mix both. Source: ai.google.dev/api/caching#Schema, read 2026-11.

use super::fields::{Fields, same};
use crate::wire::json::{JsonWriter, Node, Value};

/// Most names of a `propertyOrdering` that are looked at: each is a search.
const MOST_ORDERED: usize = 256;

/// The schema as JSON Schema.
pub fn to_json_schema(schema: &Node<'_>) -> String {
    let mut json = JsonWriter::new();
    write(schema, &mut json);
    String::from_utf8(json.finish()).unwrap_or_default()
}

fn write(schema: &Node<'_>, json: &mut JsonWriter) {
    let Some(members) = schema.as_object() else {
        json.raw(schema.raw);
        return;
    };
    let nullable = schema
        .value_of("nullable")
        .is_some_and(|node| matches!(node.value, Value::Bool(true)));
    let typed = schema.value_of("type").is_some();
    json.object(|json| {
        for (key, node) in members {
            member(schema, key, node, nullable, typed, json);
        }
    });
}

fn member(schema: &Node<'_>, key: &str, node: &Node<'_>, nullable: bool, typed: bool, json: &mut JsonWriter) {
    const FIGURES: [&str; 6] = [
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "minProperties",
        "maxProperties",
    ];
    if let Some(name) = FIGURES.iter().find(|name| same(key, name)) {
        let figure = node.as_str().filter(|text| text.parse::<u64>().is_ok());
        json.raw_field(name, figure.unwrap_or(node.raw));
        return;
    }
    if same(key, "anyOf") {
        json.key("anyOf").array(|json| {
            each(node, json);
            if nullable && !typed {
                json.object(|json| json.field("type", "null"));
            }
        });
        return;
    }
    if same(key, "additionalProperties") {
        json.key("additionalProperties");
        write(node, json);
        return;
    }
    match key {
        "type" => kind(node, nullable, json),
        "nullable" | "propertyOrdering" | "property_ordering" => {}
        "format" if node.as_str() == Some("enum") => {}
        "enum" if nullable => json.key("enum").array(|json| {
            node.as_array()
                .unwrap_or_default()
                .iter()
                .for_each(|item| json.raw(item.raw));
            json.null();
        }),
        "example" => json.key("examples").array(|json| json.raw(node.raw)),
        "items" => {
            json.key(key);
            write(node, json);
        }
        "oneOf" | "allOf" | "prefixItems" => json.key(key).array(|json| each(node, json)),
        "properties" => properties(schema, key, node, json),
        "defs" | "$defs" | "definitions" => properties(node, if key == "defs" { "$defs" } else { key }, node, json),
        "ref" => json.raw_field("$ref", node.raw),
        _ => json.raw_field(key, node.raw),
    }
}

fn each(list: &Node<'_>, json: &mut JsonWriter) {
    list.as_array()
        .unwrap_or_default()
        .iter()
        .for_each(|item| write(item, json));
}

fn kind(node: &Node<'_>, nullable: bool, json: &mut JsonWriter) {
    match node.as_str() {
        Some("TYPE_UNSPECIFIED") => {}
        Some(name) if nullable => json.key("type").array(|json| {
            json.value(name.to_ascii_lowercase());
            json.value("null");
        }),
        Some(name) => json.field("type", name.to_ascii_lowercase()),
        None => json.raw_field("type", node.raw),
    }
}

/// A map of schemas, those that `propertyOrdering` names first.
fn properties(schema: &Node<'_>, key: &str, node: &Node<'_>, json: &mut JsonWriter) {
    let Some(members) = node.as_object() else {
        json.raw_field(key, node.raw);
        return;
    };
    let ordering = schema
        .value_of("propertyOrdering")
        .and_then(Node::as_array)
        .unwrap_or_default();
    let mut first: Vec<&str> = Vec::new();
    for name in ordering.iter().take(MOST_ORDERED).filter_map(Node::as_str) {
        if !first.contains(&name) {
            first.push(name);
        }
    }
    let named = first
        .iter()
        .filter_map(|name| members.iter().find(|(key, _)| key == name));
    let rest = members.iter().filter(|(key, _)| !first.contains(&key.as_ref()));
    json.key(key).object(|json| {
        for (name, schema) in named.chain(rest) {
            json.key(name);
            write(schema, json);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn converted(schema: &str) -> Json {
        serde_json::from_str(&to_json_schema(&Node::parse(schema.as_bytes(), 32).unwrap())).unwrap()
    }

    #[test]
    fn openapi_becomes_json_schema() {
        let schema = converted(
            r#"{"type":"OBJECT","description":"d","propertyOrdering":["b","a"],"required":["a"],"properties":{
                "a":{"type":"ARRAY","items":{"type":"INTEGER","format":"int32"},"max_items":"3","minItems":1},
                "b":{"type":"STRING","enum":["x"],"format":"enum","nullable":true,"example":"x"},
                "type":{"any_of":[{"type":"NUMBER"},{"type":"TYPE_UNSPECIFIED"}],"nullable":true},
                "nullable":{"type":"BOOLEAN"}}}"#,
        );
        assert_eq!(
            schema,
            json!({"type":"object","description":"d","required":["a"],"properties":{
                "a":{"type":"array","items":{"type":"integer","format":"int32"},"maxItems":3,"minItems":1},
                "b":{"type":["string","null"],"enum":["x",null],"examples":["x"]},
                "type":{"anyOf":[{"type":"number"},{},{"type":"null"}]},
                "nullable":{"type":"boolean"}}})
        );
        let text =
            to_json_schema(&Node::parse(br#"{"propertyOrdering":["b","c"],"properties":{"a":{},"b":{}}}"#, 8).unwrap());
        assert_eq!(text, r#"{"properties":{"b":{},"a":{}}}"#);
    }

    #[test]
    fn json_schema_stays_as_it_is() {
        for same in [
            json!({"type":["string","null"],"$ref":"#/$defs/x","$defs":{"x":{"const":1}},"additionalProperties":false}),
            json!({"oneOf":[{"type":"string","pattern":"^a$"}],"x-own":{"type":"STRING"},"additionalProperties":{"type":"object"}}),
            json!(true),
            json!({"properties":7,"anyOf":[],"type":3}),
        ] {
            assert_eq!(converted(&same.to_string()), same);
        }
    }
}
