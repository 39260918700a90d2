//! Tools, tool choice and text settings as this API writes them: in requests to OpenAI, and again in every answer, which
//! repeats what was asked for.

use crate::wire::Dialect;
use crate::wire::canonical::{Format, Request, Tool, ToolChoice};
use crate::wire::json::JsonWriter;
use std::borrow::Cow;
use std::collections::HashSet;

/// The name a target knows a tool by.
pub(crate) type Naming = fn(&str) -> Cow<'_, str>;

/// As it is.
pub(crate) fn as_named(name: &str) -> Cow<'_, str> {
    name.into()
}

/// One tool; `false` (and nothing written) when it is another API's.
pub(crate) fn put_tool(json: &mut JsonWriter, tool: &Tool<'_>, naming: Naming) -> bool {
    match tool {
        Tool::Function(function) => json.object(|json| {
            json.field("type", "function");
            json.field("name", naming(&function.name));
            json.opt("description", function.description.as_deref());
            json.raw_field(
                "parameters",
                function
                    .parameters
                    .as_deref()
                    .unwrap_or(r#"{"type":"object","properties":{}}"#),
            );
            // Left out, this API would rewrite the schema to a strict one.
            json.field("strict", function.strict.unwrap_or(false));
        }),
        Tool::Custom {
            name,
            description,
            format,
        } => json.object(|json| {
            json.field("type", "custom");
            json.field("name", naming(name));
            json.opt("description", description.as_deref());
            if let Some(format) = format {
                json.raw_field("format", format);
            }
        }),
        Tool::Builtin { dialect, raw, .. } if *dialect == Dialect::Responses => json.raw(raw),
        Tool::Builtin { .. } => return false,
    }
    true
}

fn put_named(json: &mut JsonWriter, name: &str, customs: &HashSet<&str>, naming: Naming) {
    let kind = if customs.contains(name) { "custom" } else { "function" };
    json.object(|json| {
        json.field("type", kind);
        json.field("name", naming(name));
    });
}

/// The choice among tools; `false` (and nothing written) when it is another API's.
pub(crate) fn put_choice(json: &mut JsonWriter, choice: &ToolChoice<'_>, tools: &[Tool<'_>], naming: Naming) -> bool {
    let customs: HashSet<&str> = tools
        .iter()
        .filter_map(|tool| match tool {
            Tool::Custom { name, .. } => Some(name.as_ref()),
            _ => None,
        })
        .collect();
    match choice {
        ToolChoice::Auto => json.value("auto"),
        ToolChoice::None => json.value("none"),
        ToolChoice::Required => json.value("required"),
        ToolChoice::Function(name) => put_named(json, name, &customs, naming),
        ToolChoice::Allowed { names, required } => json.object(|json| {
            json.field("type", "allowed_tools");
            json.field("mode", if *required { "required" } else { "auto" });
            json.key("tools").array(|json| {
                for name in names {
                    put_named(json, name, &customs, naming);
                }
            });
        }),
        ToolChoice::Opaque { dialect, raw } if *dialect == Dialect::Responses => json.raw(raw),
        ToolChoice::Opaque { .. } => return false,
    }
    true
}

/// `text`: format and verbosity. A format of another API is written as plain text.
pub(crate) fn put_text(json: &mut JsonWriter, request: &Request<'_>) {
    json.object(|json| {
        match &request.format {
            Format::Json => json.key("format").object(|json| json.field("type", "json_object")),
            Format::Schema {
                name,
                description,
                schema,
                strict,
            } => json.key("format").object(|json| {
                json.field("type", "json_schema");
                json.field("name", schema_name(name.as_deref()));
                json.opt("description", description.as_deref());
                json.raw_field("schema", schema);
                json.opt("strict", *strict);
            }),
            Format::Opaque { dialect, raw } if *dialect == Dialect::Responses => json.raw_field("format", raw),
            Format::Text | Format::Opaque { .. } => json.key("format").object(|json| json.field("type", "text")),
        }
        json.opt("verbosity", request.verbosity.as_deref());
    });
}

/// The API insists on a name of letters, digits, `_` and `-`, at most 64.
fn schema_name(name: Option<&str>) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name: String = name
        .unwrap_or_default()
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(64)
        .collect();
    if name.is_empty() { "answer".to_owned() } else { name }
}
