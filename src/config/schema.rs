//! The JSON Schema of the configuration, for editors and for the loader's own check of the structure.
//!
//! It is generated from the structs of [`super::model`]; nothing is written by hand twice.

use super::model::Config;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// JSON Schema (draft 2020-12) of a configuration file.
///
/// The `cirque-…` formats in it are Cirque's own; an editor that does not know them goes by the patterns beside them.
pub fn json_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Config>();
    schema.insert("$id".to_owned(), json!("urn:cirque:config"));
    schema.insert("title".to_owned(), json!("Cirque configuration"));
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_valid_and_closed() {
        let schema = json_schema();
        assert!(jsonschema::meta::is_valid(&schema));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["$defs"]["Provider"]["additionalProperties"], false);
    }

    #[test]
    fn every_key_is_described() {
        fn walk(at: &str, value: &Value) {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    let described = property.get("description").is_some() || property.get("const").is_some();
                    assert!(described, "{at}.{name} has no description");
                }
            }
            match value {
                Value::Object(map) => map.iter().for_each(|(key, value)| walk(&format!("{at}/{key}"), value)),
                Value::Array(items) => items.iter().for_each(|value| walk(at, value)),
                _ => {}
            }
        }
        walk("", &json_schema());
    }
}
