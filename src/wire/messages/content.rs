//! Messages and their content blocks, as a client writes them.
//!
//! ```json
//! {"role":"user|assistant|system","content":"text" | [blocks]}
//! text {text,citations} · image {source} · document {source,title,context,citations:{enabled}} · tool_use {id,name,input} ·
//! tool_result {tool_use_id,content:"text"|[blocks],is_error} · thinking {thinking,signature} · redacted_thinking {data}
//! source: {"type":"base64","media_type":…,"data":…} | {"type":"url","url":…} | {"type":"file","file_id":…} |
//!         {"type":"text","media_type":"text/plain","data":…} | {"type":"content","content":"text"|[blocks]}
//! ```
//! Blocks only this API has (`server_tool_use`, `*_tool_result`, `mcp_*`, `search_result`, `container_upload` …) are carried
//! as written. As the API itself does, a result without its call is refused: it must answer a `tool_use` of the assistant
//! turn right before it.

use super::blocks::{Carried, read_cache, read_citations, read_signature, settle};
use super::read::{system, text};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Media, MediaKind, Message, Part, Role, Source, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::json::{Invalid, Node};
use crate::wire::media::{check_base64, source};
use std::borrow::Cow;
use std::collections::HashSet;

/// Deepest nesting of blocks within blocks (a result that holds a document that holds text).
const BLOCK_DEPTH: usize = 4;

/// Who may say a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    User,
    Assistant,
    /// Inside a tool result or a document.
    Inner,
}

/// The conversation.
pub fn messages<'d>(list: &'d Node<'_>) -> Result<Vec<Message<'d>>, Invalid> {
    // Ids of the calls that the next user turn may answer.
    let mut calls: HashSet<&'d str> = HashSet::new();
    let mut turn_of_assistant = false;
    let messages = list.each(|node| {
        node.object()?;
        match node.req("role", Node::str)? {
            "user" => {
                turn_of_assistant = false;
                node.req("content", |content| answers(content, &calls))?;
                let parts = node.req("content", |content| blocks(content, Place::User, BLOCK_DEPTH))?;
                Ok(message(Role::User, parts))
            }
            "assistant" => {
                if !std::mem::replace(&mut turn_of_assistant, true) {
                    calls.clear();
                }
                let content = node.req("content", Ok)?;
                calls.extend(call_ids(content));
                let parts = node.req("content", |content| blocks(content, Place::Assistant, BLOCK_DEPTH))?;
                Ok(message(Role::Assistant, parts))
            }
            "system" => Ok(message(Role::System, node.req("content", system)?)),
            _ => Err(Invalid::value("must be \"user\", \"assistant\" or \"system\"").within("role")),
        }
    })?;
    if messages.is_empty() {
        return Err(Invalid::value("is empty; send at least one message"));
    }
    Ok(messages)
}

fn message(role: Role, parts: Vec<Part<'_>>) -> Message<'_> {
    Message {
        role,
        name: None,
        parts,
    }
}

fn call_ids<'d>(content: &'d Node<'_>) -> impl Iterator<Item = &'d str> {
    let blocks = content.as_array().unwrap_or_default().iter();
    blocks
        .filter(|block| block.get_str("type") == Some("tool_use"))
        .filter_map(|block| block.get_str("id"))
}

/// Check that every result of a user message answers a call.
fn answers(content: &Node<'_>, calls: &HashSet<&str>) -> Result<(), Invalid> {
    for (index, block) in content.as_array().unwrap_or_default().iter().enumerate() {
        if block.get_str("type") != Some("tool_result") {
            continue;
        }
        let id = block.get_str("tool_use_id");
        if id.is_some_and(|id| !calls.contains(id)) {
            let message = "answers no `tool_use` block of the assistant message before it; \
                           send that message with the call, or leave this result out";
            return Err(Invalid::value(message).within("tool_use_id").at(index));
        }
    }
    Ok(())
}

/// Content: one text, or blocks.
fn blocks<'d>(node: &'d Node<'_>, place: Place, depth: usize) -> Result<Vec<Part<'d>>, Invalid> {
    if let Some(text) = node.as_str() {
        return Ok(vec![Part::text(text)]);
    }
    if node.as_array().is_none() {
        return Err(Invalid::wrong_type("a string or an array of content blocks"));
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Invalid::value("nests content blocks too deeply"));
    };
    Ok(settle(node.each(|block| self::block(block, place, depth))?))
}

fn block<'d>(node: &'d Node<'_>, place: Place, depth: usize) -> Result<(Part<'d>, Option<Carried>), Invalid> {
    node.object()?;
    let kind = node.req("type", Node::str)?;
    let part = match kind {
        "text" => text_block(node)?,
        "image" => Part::Media(media(node, MediaKind::Image, depth)?),
        "document" => Part::Media(media(node, MediaKind::Document, depth)?),
        "tool_use" if place == Place::Assistant => Part::ToolCall(call(node)?),
        "tool_result" if place == Place::User => Part::ToolResult(result(node, depth)?),
        "thinking" if place == Place::Assistant => return thinking(node),
        "redacted_thinking" if place == Place::Assistant => {
            let echo = read_signature(node.req("data", Node::str)?);
            Part::Thinking(Thinking {
                text: Cow::Borrowed(""),
                signature: echo.signature,
                redacted: true,
                id: echo.id,
            })
        }
        "tool_use" | "thinking" | "redacted_thinking" => {
            return Err(Invalid::value(format!("{kind:?} belongs in an assistant message")).within("type"));
        }
        "tool_result" => {
            return Err(Invalid::value("\"tool_result\" belongs in a user message").within("type"));
        }
        kind if vendor_block(kind) => Part::Opaque {
            dialect: Dialect::Anthropic,
            kind: Cow::Borrowed(kind),
            raw: Cow::Borrowed(node.raw),
        },
        _ => {
            let known = "must be one of text, image, document, tool_use, tool_result, thinking, redacted_thinking, \
                         search_result, or a server tool's block";
            return Err(Invalid::value(known).within("type"));
        }
    };
    Ok((part, None))
}

/// Blocks that only this API understands.
fn vendor_block(kind: &str) -> bool {
    kind.ends_with("_tool_result")
        || kind.ends_with("_tool_use")
        || kind.starts_with("mcp_")
        || matches!(
            kind,
            "server_tool_use"
                | "container_upload"
                | "search_result"
                | "tool_reference"
                | "compaction"
                | "browser_state"
                | "fallback"
                | "mid_conv_system"
        )
}

/// A text block.
pub fn text_block<'d>(node: &'d Node<'_>) -> Result<Part<'d>, Invalid> {
    if let Some(citations) = node.get("citations") {
        citations.array().map_err(|invalid| invalid.within("citations"))?;
    }
    Ok(Part::Text {
        text: node.req("text", text)?,
        cache: node.opt("cache_control", read_cache)?,
        citations: read_citations(node),
        signature: None,
    })
}

fn thinking<'d>(node: &'d Node<'_>) -> Result<(Part<'d>, Option<Carried>), Invalid> {
    let text = node.req("thinking", text)?;
    let echo = read_signature(node.opt("signature", Node::str)?.unwrap_or_default());
    let carries = echo.carries.filter(|_| text.is_empty());
    let part = Part::Thinking(Thinking {
        text,
        signature: echo.signature,
        redacted: false,
        id: echo.id,
    });
    Ok((part, carries))
}

fn call<'d>(node: &'d Node<'_>) -> Result<ToolCall<'d>, Invalid> {
    let filled = |node: &'d Node<'_>| match node.str()? {
        "" => Err(Invalid::value("is empty")),
        text => Ok(Cow::Borrowed(text)),
    };
    let arguments = node.req("input", |input| {
        input.object()?;
        Ok(input.raw)
    })?;
    Ok(ToolCall {
        id: node.req("id", filled)?,
        name: node.req("name", filled)?,
        arguments: Cow::Borrowed(arguments),
        kind: ToolCallKind::Function,
        signature: None,
        cache: node.opt("cache_control", read_cache)?,
    })
}

fn result<'d>(node: &'d Node<'_>, depth: usize) -> Result<ToolResult<'d>, Invalid> {
    Ok(ToolResult {
        call_id: node.req("tool_use_id", text)?,
        name: None,
        parts: node
            .opt("content", |content| blocks(content, Place::Inner, depth))?
            .unwrap_or_default(),
        is_error: node.opt("is_error", Node::bool)?.unwrap_or(false),
        kind: ToolCallKind::Function,
        cache: node.opt("cache_control", read_cache)?,
    })
}

fn media<'d>(node: &'d Node<'_>, kind: MediaKind, depth: usize) -> Result<Media<'d>, Invalid> {
    let (from, media_type) = node.req("source", |source| media_source(source, kind, depth))?;
    let mut media = Media::new(kind, from, media_type.map(Cow::Borrowed));
    media.cache = node.opt("cache_control", read_cache)?;
    if kind == MediaKind::Document {
        media.title = node.opt("title", text)?;
        media.context = node.opt("context", text)?;
        media.citations = node
            .opt("citations", |citations| {
                citations.object()?;
                citations.opt("enabled", Node::bool)
            })?
            .flatten();
    }
    Ok(media)
}

fn media_source<'d>(
    node: &'d Node<'_>,
    kind: MediaKind,
    depth: usize,
) -> Result<(Source<'d>, Option<&'d str>), Invalid> {
    node.object()?;
    let document = kind == MediaKind::Document;
    match node.req("type", Node::str)? {
        "base64" => {
            let data = node.req("data", |data| {
                let data = data.str()?;
                check_base64(data).map(|()| data)
            })?;
            let media_type = node.req("media_type", Node::str)?;
            Ok((Source::Base64(Cow::Borrowed(data)), Some(media_type)))
        }
        "url" => node.req("url", |url| source(url.str()?)),
        "file" => {
            let id = node.req("file_id", text)?;
            let dialect = Dialect::Anthropic;
            Ok((Source::File { dialect, id }, None))
        }
        "text" if document => {
            let data = node.req("data", text)?;
            Ok((
                Source::Text(data),
                Some(node.get_str("media_type").unwrap_or("text/plain")),
            ))
        }
        "content" if document => {
            let parts = node.req("content", |content| blocks(content, Place::Inner, depth))?;
            Ok((Source::Parts(parts), None))
        }
        _ if document => {
            Err(Invalid::value("must be \"base64\", \"url\", \"file\", \"text\" or \"content\"").within("type"))
        }
        _ => Err(Invalid::value("must be \"base64\", \"url\" or \"file\"").within("type")),
    }
}
