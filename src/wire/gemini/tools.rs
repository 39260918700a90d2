//! `tools` and `toolConfig` as canonical tools and choice.
//!
//! ```json
//! "tools": [{"functionDeclarations":[{"name":"f","description":"…","parameters":{"type":"OBJECT"},
//!            "parametersJsonSchema":{}}]}, {"googleSearch":{}}],
//! "toolConfig": {"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}, "retrievalConfig":{}}
//! ```
//! One tool object may hold several members; every member but the declarations is a tool that Google runs. What a
//! declaration says of its response (`response`, `behavior`) has no counterpart elsewhere and is not read. `VALIDATED`
//! (calls follow their schema) is `AUTO` to everyone else.
//! Source: ai.google.dev/api/caching#Tool and #ToolConfig, read 2026-11.

use super::fields::{Fields, each, same, text};
use super::schema;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Extra, Function, Tool, ToolChoice};
use crate::wire::json::{Invalid, JsonWriter, Node};
use std::borrow::Cow;

/// The tools.
pub fn read<'d>(tools: &'d Node<'_>) -> Result<Vec<Tool<'d>>, Invalid> {
    let mut all = Vec::new();
    each(tools, |tool| one(tool, &mut all))?;
    Ok(all)
}

fn one<'d>(tool: &'d Node<'_>, all: &mut Vec<Tool<'d>>) -> Result<(), Invalid> {
    let members = tool.object()?;
    for (key, node) in members.iter().filter(|(_, node)| !node.is_null()) {
        if same(key, "functionDeclarations") {
            let functions = each(node, function).map_err(|invalid| invalid.within(key))?;
            all.extend(functions.into_iter().map(Tool::Function));
            continue;
        }
        let raw = match members {
            [_] => Cow::Borrowed(tool.raw),
            _ => Cow::Owned(alone(key, node)),
        };
        all.push(Tool::Builtin {
            kind: kind(key),
            dialect: Dialect::Gemini,
            name: key.as_ref().into(),
            raw,
        });
    }
    Ok(())
}

/// A member as a tool of its own.
fn alone(key: &str, node: &Node<'_>) -> String {
    let mut json = JsonWriter::new();
    json.object(|json| json.raw_field(key, node.raw));
    String::from_utf8(json.finish()).unwrap_or_default()
}

fn kind(key: &str) -> Builtin {
    let is = |camel: &str| same(key, camel);
    if is("googleSearch") || is("googleSearchRetrieval") || is("enterpriseWebSearch") {
        Builtin::WebSearch
    } else if is("urlContext") {
        Builtin::WebFetch
    } else if is("codeExecution") {
        Builtin::CodeExecution
    } else {
        Builtin::Other
    }
}

fn function<'d>(declaration: &'d Node<'_>) -> Result<Function<'d>, Invalid> {
    let name = declaration.req_field("name", |name| match text(name)? {
        name if name.is_empty() => Err(Invalid::value("is empty")),
        name => Ok(name),
    })?;
    let own = declaration.opt_field("parameters", |schema| {
        schema.object()?;
        Ok(Cow::Owned(schema::to_json_schema(schema)))
    })?;
    let standard = declaration.opt_field("parametersJsonSchema", |schema| {
        schema.object()?;
        Ok(Cow::Borrowed(schema.raw))
    })?;
    Ok(Function {
        name,
        description: declaration.opt_field("description", text)?,
        parameters: standard.or(own),
        strict: None,
        cache: None,
    })
}

/// The choice; what else the configuration says goes to `extras`.
pub fn choice<'d>(config: &'d Node<'_>, extras: &mut Vec<Extra<'d>>) -> Result<Option<ToolChoice<'d>>, Invalid> {
    for (key, node) in config.object()? {
        if !same(key, "functionCallingConfig") && !node.is_null() {
            extras.push(Extra {
                dialect: Dialect::Gemini,
                key: format!("toolConfig.{key}").into(),
                raw: node.raw.into(),
            });
        }
    }
    let choice = config.opt_field("functionCallingConfig", calling)?;
    Ok(choice.flatten())
}

fn calling<'d>(config: &'d Node<'_>) -> Result<Option<ToolChoice<'d>>, Invalid> {
    config.object()?;
    let mode = config
        .opt_field("mode", Node::str)?
        .unwrap_or("AUTO")
        .to_ascii_uppercase();
    let mut names = config
        .opt_field("allowedFunctionNames", |names| each(names, text))?
        .unwrap_or_default();
    Ok(match mode.as_str() {
        "NONE" => Some(ToolChoice::None),
        "ANY" if names.len() == 1 => names.pop().map(ToolChoice::Function),
        "ANY" if names.is_empty() => Some(ToolChoice::Required),
        "ANY" => Some(ToolChoice::Allowed { names, required: true }),
        "AUTO" | "VALIDATED" if names.is_empty() => Some(ToolChoice::Auto),
        "AUTO" | "VALIDATED" => Some(ToolChoice::Allowed { names, required: false }),
        "MODE_UNSPECIFIED" | "" => None,
        _ => return Err(Invalid::value("must be one of AUTO, ANY, NONE, VALIDATED").within("mode")),
    })
}
