//! A client's request, read into the canonical form.
//!
//! ```json
//! {"model":"claude-sonnet-4-5", "max_tokens":1024, "system":"…" | [text blocks], "messages":[{"role":"user","content":…}],
//!  "tools":[…], "tool_choice":{…}, "stop_sequences":["…"], "temperature":1, "top_p":0.9, "top_k":40, "stream":true,
//!  "thinking":{"type":"enabled","budget_tokens":2048,"display":"summarized"},
//!  "output_config":{"effort":"high","format":{"type":"json_schema","schema":{…}}},
//!  "metadata":{"user_id":"…"}, "service_tier":"auto", "cache_control":{"type":"ephemeral"}}
//! ```
//! Members this gateway does not know, and those only this API has (`container`, `mcp_servers`, `context_management`, `speed`
//! …), are kept as [`Extra`].

use super::blocks::read_cache;
use super::{content, tools};
use crate::wire::Dialect;
use crate::wire::canonical::{Effort, Extra, Format, Message, Part, Reasoning, Request, Role, Text};
use crate::wire::json::{Invalid, Node};
use std::borrow::Cow;

/// Top-level members that are read below, or by the envelope (`model`, `stream`).
const KNOWN: [&str; 19] = [
    "cache_control",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    // Ways of saying things that requests to other targets of this API carry in the body.
    "anthropic_version",
    "anthropic_beta",
];

/// A string, borrowed.
pub fn text<'d>(node: &'d Node<'_>) -> Result<Text<'d>, Invalid> {
    node.str().map(Cow::Borrowed)
}

/// The whole request. `answer`: for an answer, which needs `max_tokens`; else for a count.
pub fn request<'d>(body: &'d Node<'_>, stream: bool, answer: bool) -> Result<Request<'d>, Invalid> {
    let members = body.object()?;
    let mut request = Request {
        stream,
        stream_usage: true,
        ..Request::default()
    };
    if let Some(parts) = body.opt("system", system)?
        && !parts.is_empty()
    {
        request.messages.push(Message {
            role: Role::System,
            name: None,
            parts,
        });
    }
    request.messages.extend(body.req("messages", content::messages)?);
    request.sampling.max_tokens = if answer {
        Some(body.req("max_tokens", Node::u64)?)
    } else {
        body.opt("max_tokens", Node::u64)?
    };
    request.sampling.temperature = body.opt("temperature", Node::f64)?;
    request.sampling.top_p = body.opt("top_p", Node::f64)?;
    request.sampling.top_k = body.opt("top_k", Node::u64)?;
    request.sampling.stop = body.opt("stop_sequences", |list| list.each(text))?.unwrap_or_default();
    request.tools = body.opt("tools", |list| list.each(tools::tool))?.unwrap_or_default();
    if let Some((choice, parallel)) = body.opt("tool_choice", tools::choice)? {
        request.tool_choice = Some(choice);
        request.parallel_tool_calls = parallel;
    }
    request.service_tier = body.opt("service_tier", text)?;
    request.cache = body.opt("cache_control", read_cache)?;
    request.user = body
        .opt("metadata", |metadata| {
            metadata.object()?;
            metadata.opt("user_id", text)
        })?
        .flatten();
    thinking(body, &mut request)?;
    output(body, &mut request)?;
    for (key, node) in members {
        if !KNOWN.contains(&key.as_ref()) && !node.is_null() {
            request.extras.push(Extra {
                dialect: Dialect::Anthropic,
                key: Cow::Borrowed(key),
                raw: Cow::Borrowed(node.raw),
            });
        }
    }
    Ok(request)
}

/// `system`: one text, or text blocks.
pub fn system<'d>(node: &'d Node<'_>) -> Result<Vec<Part<'d>>, Invalid> {
    if let Some(text) = node.as_str() {
        return Ok(if text.is_empty() {
            Vec::new()
        } else {
            vec![Part::text(text)]
        });
    }
    if node.as_array().is_none() {
        return Err(Invalid::wrong_type("a string or an array of text blocks"));
    }
    node.each(|block| {
        block.object()?;
        match block.req("type", Node::str)? {
            "text" => content::text_block(block),
            _ => Err(Invalid::value("must be \"text\": a system prompt takes no other blocks").within("type")),
        }
    })
}

/// `thinking`.
fn thinking<'d>(body: &'d Node<'_>, request: &mut Request<'d>) -> Result<(), Invalid> {
    let reasoning = body.opt("thinking", |node| {
        node.object()?;
        let mut reasoning = Reasoning {
            enabled: Some(true),
            ..Reasoning::default()
        };
        match node.req("type", Node::str)? {
            "enabled" => reasoning.budget = Some(node.req("budget_tokens", Node::u64)?),
            "adaptive" => reasoning.dynamic = true,
            // Notes between calls are the least some models can do; to all others it means off.
            "disabled" | "between_tools" => reasoning.enabled = Some(false),
            _ => {
                let known = "must be \"enabled\", \"adaptive\", \"between_tools\" or \"disabled\"";
                return Err(Invalid::value(known).within("type"));
            }
        }
        reasoning.show = match node.opt("display", Node::str)? {
            Some("summarized") => Some(true),
            Some("omitted") => Some(false),
            _ => None,
        };
        Ok(reasoning)
    })?;
    request.reasoning = reasoning;
    Ok(())
}

/// `output_config`, and `output_format` as it was called before.
fn output<'d>(body: &'d Node<'_>, request: &mut Request<'d>) -> Result<(), Invalid> {
    if let Some(format) = body.opt("output_format", format)? {
        request.format = format;
    }
    let Some(config) = body.get("output_config") else {
        return Ok(());
    };
    let members = config.object().map_err(|invalid| invalid.within("output_config"))?;
    let effort = |node: &Node<'_>| {
        Effort::from_name(node.str()?)
            .ok_or_else(|| Invalid::value("must be \"low\", \"medium\", \"high\", \"xhigh\" or \"max\""))
    };
    let within = |invalid: Invalid| invalid.within("output_config");
    if let Some(effort) = config.opt("effort", effort).map_err(within)? {
        request.reasoning.get_or_insert_default().effort = Some(effort);
    }
    if let Some(format) = config.opt("format", format).map_err(within)? {
        request.format = format;
    }
    for (key, node) in members {
        if !matches!(key.as_ref(), "effort" | "format") && !node.is_null() {
            request.extras.push(Extra {
                dialect: Dialect::Anthropic,
                key: format!("output_config.{key}").into(),
                raw: Cow::Borrowed(node.raw),
            });
        }
    }
    Ok(())
}

/// `{"type":"json_schema","schema":{…}}`
fn format<'d>(node: &'d Node<'_>) -> Result<Format<'d>, Invalid> {
    node.object()?;
    if node.req("type", Node::str)? != "json_schema" {
        return Err(Invalid::value("must be \"json_schema\"").within("type"));
    }
    let schema = node.req("schema", |schema| {
        schema.object()?;
        Ok(schema.raw)
    })?;
    Ok(Format::Schema {
        name: node.opt("name", text)?,
        description: None,
        schema: Cow::Borrowed(schema),
        strict: None,
    })
}
