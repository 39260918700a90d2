//! What an object says: JSON, kept as its text.
//!
//! Thousands of keys are held by every process and looked at once in a while; as a tree of values each takes ten times what its
//! text does. The one idea: the text was read as a whole once, so reading it again does not fail.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// A JSON document.
#[derive(Clone)]
pub struct Document(Box<str>);

impl Document {
    /// Of a text from outside, which must be JSON as a whole.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        // Not `IgnoredAny`, which passes over numbers and depths that a `Value` cannot have.
        serde_json::from_str::<Value>(text)?;
        Ok(Self(text.into()))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Read it.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<&Value> for Document {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

/// What it says counts, not how it is written.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.value() == other.value()
    }
}

impl PartialEq<Value> for Document {
    fn eq(&self, other: &Value) -> bool {
        self.value() == *other
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(text) => text.serialize(serializer),
            Err(_) => Value::Null.serialize(serializer),
        }
    }
}

/// Only of JSON.
impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(text.get()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_json_is_refused_and_what_is_comes_back() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for broken in ["", "{", "{} {}", "{\"a\":}", "1e999", "nul", &deep] {
            assert!(Document::read(broken).is_err(), "{broken}");
        }
        let document = Document::read(r#" {"b": 1.50, "a": ["é", null]}"#).unwrap();
        assert_eq!(document, json!({"a": ["é", null], "b": 1.5}));
        assert_eq!(document, Document::from(json!({"b": 1.5, "a": ["é", null]})));
        assert_ne!(document, Document::from(json!({"b": 1.5})));
        let copied = serde_json::to_string(&json!([1])).unwrap();
        assert_eq!(copied, "[1]");
        let written = serde_json::to_string(&vec![document.clone()]).unwrap();
        let read: Vec<Document> = serde_json::from_str(&written).unwrap();
        assert_eq!(read, [document]);
        assert!(serde_json::from_str::<Vec<Document>>("[1e999]").is_err());
    }
}
