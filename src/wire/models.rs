//! The bodies of the model list and of one model, in the client's dialect.
//!
//! ```text
//! OpenAI     {"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"cirque"}]}
//! Anthropic  {"data":[{"type":"model","id":"m","display_name":"m","created_at":"…"}],"has_more":false,"first_id":"m","last_id":"m"}
//! Gemini     {"models":[{"name":"models/m","displayName":"m","supportedGenerationMethods":["generateContent",…]}]}
//! ```
//! Sources: the vendors' API references of their list-models operations, read 2026-11. Everything is on one page.

use super::Dialect;
use super::json::JsonWriter;
use bytes::Bytes;
use std::time::{Duration, SystemTime};

/// One model.
pub fn entry(dialect: Dialect, name: &str, created: u64) -> Bytes {
    let mut json = JsonWriter::new();
    write(dialect, name, created, &mut json);
    json.finish().into()
}

fn write(dialect: Dialect, name: &str, created: u64, json: &mut JsonWriter) {
    json.object(|json| match dialect {
        Dialect::Anthropic => {
            json.field("type", "model");
            json.field("id", name);
            json.field("display_name", name);
            json.field("created_at", rfc3339(created));
        }
        Dialect::Gemini => {
            json.field("name", format!("models/{name}"));
            json.field("version", "001");
            json.field("displayName", name);
            json.key("supportedGenerationMethods").array(|json| {
                for method in [
                    "generateContent",
                    "streamGenerateContent",
                    "countTokens",
                    "embedContent",
                ] {
                    json.value(method);
                }
            });
        }
        _ => {
            json.field("id", name);
            json.field("object", "model");
            json.field("created", created);
            json.field("owned_by", "cirque");
        }
    });
}

/// The list.
pub fn list<'a>(dialect: Dialect, names: impl Iterator<Item = &'a str>, created: u64) -> Bytes {
    let names: Vec<&str> = names.collect();
    let mut json = JsonWriter::new();
    json.object(|json| {
        let key = match dialect {
            Dialect::Gemini => "models",
            Dialect::Anthropic => "data",
            _ => {
                json.field("object", "list");
                "data"
            }
        };
        json.key(key).array(|json| {
            for name in &names {
                write(dialect, name, created, json);
            }
        });
        if dialect == Dialect::Anthropic {
            json.field("has_more", false);
            json.or_null("first_id", names.first());
            json.or_null("last_id", names.last());
        }
    });
    json.finish().into()
}

fn rfc3339(unix: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix);
    time::OffsetDateTime::from(time)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_dialect_has_its_shape() {
        let read = |dialect| serde_json::from_slice::<Value>(&list(dialect, ["a", "b/c"].into_iter(), 5)).unwrap();
        assert_eq!(
            read(Dialect::OpenAi)["data"][1],
            serde_json::json!({"id": "b/c", "object": "model", "created": 5, "owned_by": "cirque"})
        );
        let anthropic = read(Dialect::Anthropic);
        assert_eq!(anthropic["data"][0]["created_at"], "1970-01-01T00:00:05Z");
        assert_eq!(
            (&anthropic["first_id"], &anthropic["last_id"]),
            (&"a".into(), &"b/c".into())
        );
        assert_eq!(read(Dialect::Gemini)["models"][1]["name"], "models/b/c");
    }
}
