//! Tools, the choice among them, the shape of the text and the reasoning a request asks for.
//!
//! ```json
//! "tools":[{"type":"function","name":"…","description":"…","parameters":{…},"strict":true},
//!          {"type":"custom","name":"…","description":"…","format":{…}}, {"type":"web_search", …}]
//! "tool_choice":"auto" | "none" | "required" | {"type":"function","name":"…"} | {"type":"custom","name":"…"}
//!             | {"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"…"}]} | {"type":"web_search_preview"}
//! "text":{"format":{"type":"json_schema","name":"…","schema":{…},"strict":true},"verbosity":"low"}
//! "reasoning":{"effort":"low","summary":"auto"}
//! ```

use super::content::clip;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Effort, Extra, Format, Function, Reasoning, Text, Tool, ToolChoice};
use crate::wire::json::{Invalid, Node};

/// Between a namespace and a name in it. No name of this API holds it, so targets change it to what they take, and the
/// answer's name can be taken apart again.
pub(super) const IN: &str = "::";

/// The one name other APIs have for a tool in a namespace.
pub(super) fn in_namespace<'d>(namespace: Option<&'d str>, name: &'d str) -> Text<'d> {
    match namespace {
        Some(namespace) if !namespace.is_empty() => std::format!("{namespace}{IN}{name}").into(),
        _ => name.into(),
    }
}

/// Every tool; those of a namespace one by one, since only this API has namespaces.
pub(super) fn all<'d>(node: &'d Node<'_>) -> Result<Vec<Tool<'d>>, Invalid> {
    let mut all = Vec::new();
    for (index, node) in node.array()?.iter().enumerate() {
        let read = if node.get_str("type") == Some("namespace") {
            namespace(node, &mut all)
        } else {
            tool(node).map(|tool| all.push(tool))
        };
        read.map_err(|invalid| invalid.at(index))?;
    }
    Ok(all)
}

/// `{"type":"namespace","name":"…","description":"…","tools":[{"type":"function", …}]}`
fn namespace<'d>(node: &'d Node<'_>, all: &mut Vec<Tool<'d>>) -> Result<(), Invalid> {
    let space = node.req("name", name)?;
    let about = node.opt("description", Node::str)?;
    for mut tool in node.req("tools", |tools| tools.each(tool))? {
        if let Tool::Function(Function { name, description, .. }) | Tool::Custom { name, description, .. } = &mut tool {
            *name = std::format!("{space}{IN}{name}").into();
            if description.is_none() {
                *description = about.map(Into::into);
            }
        }
        all.push(tool);
    }
    Ok(())
}

fn tool<'d>(node: &'d Node<'_>) -> Result<Tool<'d>, Invalid> {
    node.object()?;
    match node.req("type", Node::str)? {
        "function" => Ok(Tool::Function(Function {
            name: node.req("name", name)?.into(),
            description: node.opt("description", Node::str)?.map(Into::into),
            parameters: node.opt("parameters", object)?.map(Into::into),
            strict: node.opt("strict", Node::bool)?,
            cache: None,
        })),
        "custom" => Ok(Tool::Custom {
            name: node.req("name", name)?.into(),
            description: node.opt("description", Node::str)?.map(Into::into),
            format: node.opt("format", object)?.map(Into::into),
        }),
        "" => Err(Invalid::value("is empty").within("type")),
        other => Ok(Tool::Builtin {
            kind: match other {
                _ if other.starts_with("web_search") => Builtin::WebSearch,
                "code_interpreter" => Builtin::CodeExecution,
                _ => Builtin::Other,
            },
            dialect: Dialect::Responses,
            name: other.into(),
            raw: node.raw.into(),
        }),
    }
}

fn name<'n>(node: &'n Node<'_>) -> Result<&'n str, Invalid> {
    match node.str()? {
        "" => Err(Invalid::value("is empty")),
        text => Ok(text),
    }
}

fn object<'n>(node: &'n Node<'_>) -> Result<&'n str, Invalid> {
    node.object()?;
    Ok(node.raw)
}

pub(super) fn choice<'d>(node: &'d Node<'_>) -> Result<ToolChoice<'d>, Invalid> {
    if let Some(word) = node.as_str() {
        return Ok(match word {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            other => {
                return Err(Invalid::value(format!(
                    "is {:?}, which is none of auto, none, required; to name a tool write {{\"type\":\"function\",\"name\":…}}",
                    clip(other)
                )));
            }
        });
    }
    if node.as_object().is_none() {
        return Err(Invalid::wrong_type("a string or an object"));
    }
    let opaque = || ToolChoice::Opaque {
        dialect: Dialect::Responses,
        raw: node.raw.into(),
    };
    match node.req("type", Node::str)? {
        "function" | "custom" => Ok(ToolChoice::Function(node.req("name", name)?.into())),
        "allowed_tools" => {
            let required = node.req("mode", |mode| match mode.str()? {
                "auto" => Ok(false),
                "required" => Ok(true),
                _ => Err(Invalid::value("must be auto or required")),
            })?;
            // Only functions have names everywhere; a list with anything else is this API's own.
            let names = node.req("tools", |tools| {
                tools.each(|tool| {
                    let named = matches!(tool.get_str("type"), Some("function" | "custom"));
                    Ok(tool.get_str("name").filter(|_| named))
                })
            })?;
            let all: Option<Vec<_>> = names.into_iter().map(|name| name.map(Into::into)).collect();
            Ok(all.map_or_else(opaque, |names| ToolChoice::Allowed { names, required }))
        }
        _ => Ok(opaque()),
    }
}

pub(super) fn format<'d>(node: &'d Node<'_>) -> Result<Format<'d>, Invalid> {
    node.object()?;
    match node.req("type", Node::str)? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => Ok(Format::Schema {
            name: node.opt("name", Node::str)?.map(Into::into),
            description: node.opt("description", Node::str)?.map(Into::into),
            schema: node.req("schema", object)?.into(),
            strict: node.opt("strict", Node::bool)?,
        }),
        other => Err(Invalid::value(format!(
            "is {:?}, which is none of text, json_object, json_schema",
            clip(other)
        ))
        .within("type")),
    }
}

/// `reasoning`; members that other APIs do not have go to `extras`.
pub(super) fn reasoning<'d>(node: &'d Node<'_>, extras: &mut Vec<Extra<'d>>) -> Result<Reasoning<'d>, Invalid> {
    let mut reasoning = Reasoning::default();
    for (key, value) in node.object()? {
        if value.is_null() {
            continue;
        }
        let read = match key.as_ref() {
            "effort" => effort(value).map(|effort| reasoning.effort = Some(effort)),
            "summary" | "generate_summary" => value.str().map(|summary| reasoning.summary = Some(summary.into())),
            _ => {
                extras.push(Extra {
                    dialect: Dialect::Responses,
                    key: std::format!("reasoning.{key}").into(),
                    raw: value.raw.into(),
                });
                Ok(())
            }
        };
        read.map_err(|invalid| invalid.within(key))?;
    }
    reasoning.show = reasoning.summary.is_some().then_some(true);
    Ok(reasoning)
}

fn effort(node: &Node<'_>) -> Result<Effort, Invalid> {
    let word = node.str()?;
    Effort::from_name(word).ok_or_else(|| {
        Invalid::value(std::format!(
            "is {:?}, which is none of none, minimal, low, medium, high, xhigh, max",
            clip(word)
        ))
    })
}
