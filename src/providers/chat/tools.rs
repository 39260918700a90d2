//! Tools and the choice among them, for a target.

use super::encode::Making;
use super::quirks::Ask;
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Format, Function, Reasoning, Request, Tool, ToolCallKind, ToolChoice};
use crate::wire::chat::grammar;
use crate::wire::json::JsonWriter;
use std::collections::HashSet;

/// Tools, `tool_choice`, `parallel_tool_calls`.
pub fn write(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    if making.expect.structured_tool.is_some() {
        return structured(json, request, making);
    }
    if !making.quirks.tools {
        if request.tools.iter().any(|tool| !matches!(tool, Tool::Builtin { .. })) {
            making.dropped.push("tools");
        }
        builtins(json, request, making);
        return;
    }
    let only = only(request, making);
    let offered = |name: &str| only.as_ref().is_none_or(|only| only.contains(name));
    let mut tools = JsonWriter::new();
    let mut count = 0;
    tools.array(|json| {
        for (at, tool) in request.tools.iter().enumerate() {
            match tool {
                Tool::Function(given) if offered(&given.name) => function(json, given, at, making),
                Tool::Custom {
                    name,
                    description,
                    format,
                } if offered(name) => custom(json, (name, description.as_deref(), format.as_deref()), at, making),
                Tool::Builtin {
                    dialect: Dialect::OpenAi,
                    name,
                    raw,
                    ..
                } if name != "web_search_options" => json.raw(raw),
                _ => continue,
            }
            count += 1;
        }
    });
    builtins(json, request, making);
    if count == 0 {
        return;
    }
    json.raw_field("tools", &String::from_utf8_lossy(&tools.finish()));
    choice(json, request, making);
    match request.parallel_tool_calls {
        Some(parallel) if making.quirks.parallel => json.field("parallel_tool_calls", parallel),
        Some(false) => making.dropped.push("parallel_tool_calls"),
        _ => {}
    }
}

/// The tools that remain where a choice among some of them can only be made by offering no others.
fn only<'r>(request: &'r Request<'_>, making: &Making<'_>) -> Option<HashSet<&'r str>> {
    match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) if !making.quirks.openai => {
            Some(names.iter().map(AsRef::as_ref).collect())
        }
        Some(ToolChoice::Function(name)) if !making.quirks.named_choice => Some(HashSet::from([name.as_ref()])),
        _ => None,
    }
}

fn function(json: &mut JsonWriter, given: &Function<'_>, at: usize, making: &mut Making<'_>) {
    let name = making.tool_name(&given.name, ToolCallKind::Function);
    if given.strict == Some(true) && !making.quirks.strict {
        making.dropped.push(format!("tools[{at}].strict"));
    }
    json.object(|json| {
        json.field("type", "function");
        json.key("function").object(|json| {
            json.field("name", name);
            json.opt("description", given.description.as_ref());
            match &given.parameters {
                Some(schema) => super::schema::parameters(json, schema, at, making),
                None => json.raw_field("parameters", r#"{"type":"object","properties":{}}"#),
            }
            json.opt("strict", given.strict.filter(|_| making.quirks.strict));
        });
        // On tools only OpenRouter documents it.
        let cache = given.cache.filter(|_| making.quirks.ask == Ask::Object);
        super::pieces::cache_control(json, cache, making.quirks);
    });
}

/// A free-text tool: name, description, format.
fn custom(
    json: &mut JsonWriter,
    (name, description, format): (&str, Option<&str>, Option<&str>),
    at: usize,
    making: &mut Making<'_>,
) {
    let name = making.tool_name(name, ToolCallKind::Custom);
    if making.quirks.openai {
        return json.object(|json| {
            json.field("type", "custom");
            json.key("custom").object(|json| {
                json.field("name", name);
                json.opt("description", description);
                if let Some(format) = format {
                    json.raw_field("format", &grammar::nested(format));
                }
            });
        });
    }
    let about = free_text::about(description, format, at, &mut making.dropped);
    json.object(|json| {
        json.field("type", "function");
        json.key("function").object(|json| {
            json.field("name", name);
            json.opt("description", about);
            json.raw_field("parameters", free_text::SCHEMA);
        });
    });
}

/// What the vendor runs itself: a web search goes across vendors, others only where they are at home.
fn builtins(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let searches = making.quirks.web_search && (!making.quirks.openai || making.model.contains("search"));
    let mut written = false;
    for (at, tool) in request.tools.iter().enumerate() {
        let Tool::Builtin {
            kind,
            dialect,
            name,
            raw,
        } = tool
        else {
            continue;
        };
        let own = *dialect == Dialect::OpenAi;
        match kind {
            Builtin::WebSearch if own && name == "web_search_options" && making.quirks.web_search && !written => {
                json.raw_field("web_search_options", raw);
                written = true;
            }
            // Written with the other tools.
            _ if own && name != "web_search_options" && making.quirks.tools => {}
            Builtin::WebSearch if searches => {
                if !written {
                    json.key("web_search_options").object(|_| ());
                    written = true;
                }
            }
            _ => making.dropped.push(format!("tools[{at}] ({name})")),
        }
    }
}

fn choice(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let quirks = making.quirks;
    let word = |json: &mut JsonWriter, making: &mut Making<'_>| {
        if quirks.required == "auto" {
            making.dropped.push("tool_choice");
        } else {
            json.field("tool_choice", quirks.required);
        }
    };
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => json.field("tool_choice", "auto"),
        Some(ToolChoice::None) => json.field("tool_choice", "none"),
        Some(ToolChoice::Required) => word(json, making),
        Some(ToolChoice::Function(name)) if quirks.named_choice => {
            json.key("tool_choice")
                .object(|json| named(json, name, request, making));
        }
        Some(ToolChoice::Function(_)) => word(json, making),
        Some(ToolChoice::Allowed { names, required }) if quirks.openai => {
            json.key("tool_choice").object(|json| {
                json.field("type", "allowed_tools");
                json.key("allowed_tools").object(|json| {
                    json.field("mode", if *required { "required" } else { "auto" });
                    json.key("tools").array(|json| {
                        for name in names {
                            json.object(|json| named(json, name, request, making));
                        }
                    });
                });
            });
        }
        Some(ToolChoice::Allowed { required: true, .. }) => word(json, making),
        Some(ToolChoice::Allowed { .. }) => json.field("tool_choice", "auto"),
        Some(ToolChoice::Opaque {
            dialect: Dialect::OpenAi,
            raw,
        }) => json.raw_field("tool_choice", raw),
        Some(ToolChoice::Opaque { .. }) => making.dropped.push("tool_choice"),
    }
}

fn named(json: &mut JsonWriter, name: &str, request: &Request<'_>, making: &mut Making<'_>) {
    let custom = request
        .tools
        .iter()
        .any(|tool| matches!(tool, Tool::Custom { name: own, .. } if own == name));
    let (kind, word) = match custom {
        true if making.quirks.openai => (ToolCallKind::Custom, "custom"),
        true => (ToolCallKind::Custom, "function"),
        false => (ToolCallKind::Function, "function"),
    };
    json.field("type", word);
    json.key(word)
        .object(|json| json.field("name", making.tool_name(name, kind)));
}

/// Whether the shape of the answer is to be had by a forced call: only where no other tool is offered, for the model could not
/// call one, and no thinking is asked for, with which vendors of such models refuse forced calls. Remembers the tool.
pub fn forces_structure(request: &Request<'_>, making: &mut Making<'_>) -> bool {
    let Format::Schema { name, .. } = &request.format else {
        return false;
    };
    let thinks = request.reasoning.as_ref().and_then(Reasoning::wanted) == Some(true);
    let can = making.quirks.tools && making.quirks.named_choice && request.tools.is_empty() && !thinks;
    if can {
        let name = super::names::tool(name.as_deref().unwrap_or("answer"));
        making.expect.structured_tool = Some(name.into_owned().into());
    }
    can
}

fn structured(json: &mut JsonWriter, request: &Request<'_>, making: &Making<'_>) {
    let (
        Some(tool),
        Format::Schema {
            description, schema, ..
        },
    ) = (&making.expect.structured_tool, &request.format)
    else {
        return;
    };
    let tool: &str = tool;
    json.key("tools").array(|json| {
        json.object(|json| {
            json.field("type", "function");
            json.key("function").object(|json| {
                json.field("name", tool);
                json.field("description", description.as_deref().unwrap_or("Give the answer."));
                json.raw_field("parameters", schema);
            });
        });
    });
    json.key("tool_choice").object(|json| {
        json.field("type", "function");
        json.key("function").object(|json| json.field("name", tool));
    });
}
