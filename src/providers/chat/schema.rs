//! Schemas of functions: what servers of this shape want of the outermost object.
//!
//! They answer 400 to one without `type` or `properties`, which other APIs let be; adding them changes nothing, for arguments
//! are always an object. OpenAI further refuses `anyOf`, `oneOf`, `allOf`, `enum` and `not` there ("schema must have type
//! 'object' and not have 'oneOf'/'anyOf'/…": its own words), so these go and are named. Inside, any JSON Schema is taken.

use super::encode::Making;
use crate::wire::json::{JsonWriter, Kind, Node, scan_object};

const REFUSED: [&str; 5] = ["anyOf", "oneOf", "allOf", "enum", "not"];

/// Deepest schema that is looked into.
const DEEPEST: usize = 128;

/// The `parameters` of tool number `at`.
pub fn parameters(json: &mut JsonWriter, schema: &str, at: usize, making: &mut Making<'_>) {
    let openai = making.quirks.openai;
    let (mut typed, mut properties, mut refers, mut refused) = (false, false, false, false);
    let scanned = scan_object(schema.as_bytes(), DEEPEST, |member| {
        typed |= member.is("type");
        properties |= member.kind == Kind::Object && member.is("properties");
        refers |= member.is("$ref");
        refused |= openai && REFUSED.iter().any(|name| member.is(name));
    });
    let fine = scanned.is_err() || ((typed && properties || refers) && !refused);
    let node = if fine {
        None
    } else {
        Node::parse(schema.as_bytes(), DEEPEST).ok()
    };
    let Some(members) = node.as_ref().and_then(Node::as_object) else {
        return json.raw_field("parameters", schema);
    };
    json.key("parameters").object(|json| {
        if !typed {
            json.field("type", "object");
        }
        for (key, value) in members {
            if key == "properties" && !properties {
                continue;
            }
            if openai && REFUSED.contains(&key.as_ref()) {
                making.dropped.push(format!("tools[{at}].parameters ({key})"));
            } else {
                json.raw_field(key, value.raw);
            }
        }
        if !properties {
            json.key("properties").object(|_| ());
        }
    });
}
