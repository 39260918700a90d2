//! The items of `input`, as a conversation.
//!
//! ```json
//! {"type":"message","role":"user","content":"…" | [part]}      (type may be missing)
//! {"type":"reasoning","id":"rs_…","summary":[{"type":"summary_text","text":"…"}],"content":[{"type":"reasoning_text","text":"…"}],"encrypted_content":"…"}
//! {"type":"function_call","call_id":"…","name":"…","arguments":"{…}"}    {"type":"function_call_output","call_id":"…","output":"…" | [part]}
//! {"type":"custom_tool_call","call_id":"…","name":"…","input":"…"}       {"type":"custom_tool_call_output", …}
//! {"type":"item_reference","id":"…"}    {"type":"web_search_call", …} and the like: carried as written
//! ```
//! Consecutive items of the model are one assistant message; consecutive outputs of tools are one user message. Messages of
//! other roles stay apart.

use super::content::{self, clip};
use super::tools;
use crate::wire::Dialect;
use crate::wire::canonical::{Message, Part, Role, Signature, Text, Thinking, ToolCall, ToolCallKind, ToolResult};
use crate::wire::json::{Invalid, Node, scan_object};
use std::borrow::Cow;
use std::collections::HashSet;

/// What ends the wrapped signature of a call, or of a text: this API has no place for one there, so it travels as a reasoning
/// item of its own, in front of the call or behind the text. Base64 has no `#`.
pub(super) const OF_CALL: &str = "#call";
/// See [`OF_CALL`].
pub(super) const OF_TEXT: &str = "#text";

/// What ends the wrapped signature of a thought whose text its vendor withholds, which is not redacted reasoning: it must go
/// back in its own form.
pub(super) const OF_THOUGHT: &str = "#thought";

/// Deepest nesting of a part of another API.
const DEEPEST: usize = 128;

/// What ends a whole part of another API that travels as a reasoning item: `cirque:<origin>:<kind>:<JSON>#part`.
pub(super) const OF_PART: &str = "#part";
/// What wrapped signatures and parts start with, as in `canonical::signature`.
pub(super) const WRAPPED: &str = "cirque:";

/// What the application answers to calls, and other items that are its own.
const OF_APPLICATION: [&str; 7] = [
    "computer_call_output",
    "local_shell_call_output",
    "shell_call_output",
    "apply_patch_call_output",
    "mcp_approval_response",
    "tool_search_output",
    "compaction_trigger",
];

/// A conversation being gathered.
struct Gather<'d> {
    messages: Vec<Message<'d>>,
    /// Where the last message may take more parts of its role.
    growing: bool,
    /// Calls seen: a result must name one of them, unless the provider keeps what came before.
    calls: HashSet<&'d str>,
    /// Of them, those of tools that only this API has (`local_shell_call`): their results are its own too.
    own_calls: HashSet<&'d str>,
    stateful: bool,
    /// A call's signature that came in front of it.
    signature: Option<Signature<'d>>,
}

/// Read `input`. `stateful`: the request goes on from what the provider keeps.
pub(super) fn read<'d>(input: &'d Node<'_>, stateful: bool) -> Result<Vec<Message<'d>>, Invalid> {
    if let Some(text) = input.as_str() {
        return Ok(vec![message(Role::User, vec![Part::text(text)])]);
    }
    let items = input
        .as_array()
        .ok_or_else(|| Invalid::wrong_type("a string or an array of items"))?;
    let stateful = stateful || items.iter().any(is_reference);
    let mut gather = Gather {
        messages: Vec::with_capacity(items.len()),
        growing: false,
        calls: HashSet::new(),
        own_calls: HashSet::new(),
        stateful,
        signature: None,
    };
    for (index, item) in items.iter().enumerate() {
        gather.item(item).map_err(|invalid| invalid.at(index))?;
    }
    if let Some(signature) = gather.signature.take() {
        gather.lone_signature(signature);
    }
    Ok(gather.messages)
}

fn message<'d>(role: Role, parts: Vec<Part<'d>>) -> Message<'d> {
    Message {
        role,
        name: None,
        parts,
    }
}

fn is_reference(item: &Node<'_>) -> bool {
    match item.get_str("type") {
        Some(kind) => kind == "item_reference",
        None => item.get("role").is_none() && item.get("id").is_some(),
    }
}

impl<'d> Gather<'d> {
    fn item(&mut self, item: &'d Node<'_>) -> Result<(), Invalid> {
        item.object()?;
        let kind = match item.opt("type", Node::str)? {
            Some(kind) => kind,
            None if is_reference(item) => "item_reference",
            None => "message",
        };
        match kind {
            "message" => self.message(item),
            "reasoning" => self.reasoning(item),
            "function_call" => self.call(item, "arguments", ToolCallKind::Function),
            "custom_tool_call" => self.call(item, "input", ToolCallKind::Custom),
            "function_call_output" => self.result(item, ToolCallKind::Function),
            "custom_tool_call_output" => self.result(item, ToolCallKind::Custom),
            kind => {
                let role = if OF_APPLICATION.contains(&kind) {
                    Role::User
                } else if kind == "item_reference" || kind.contains("_call") || is_known(kind) {
                    Role::Assistant
                } else {
                    return Err(Invalid::value(format!(
                        "is {:?}, which is no item of this API; known are message, reasoning, function_call, \
                         function_call_output, custom_tool_call, custom_tool_call_output, item_reference and the calls of \
                         built-in tools",
                        clip(kind)
                    ))
                    .within("type"));
                };
                if role == Role::Assistant {
                    self.own_calls.extend(item.get_str("call_id"));
                }
                self.own(role, kind, item);
                Ok(())
            }
        }
    }

    /// An item that only this API knows.
    fn own(&mut self, role: Role, kind: &'d str, item: &'d Node<'_>) {
        let part = Part::Opaque {
            dialect: Dialect::Responses,
            kind: kind.into(),
            raw: item.raw.into(),
        };
        self.push(role, part);
    }

    /// Add a part to the turn of this role, beginning one if another was under way.
    fn push(&mut self, role: Role, part: Part<'d>) {
        match self.messages.last_mut() {
            Some(last) if self.growing && last.role == role => last.parts.push(part),
            _ => self.messages.push(message(role, vec![part])),
        }
        self.growing = true;
    }

    fn message(&mut self, item: &'d Node<'_>) -> Result<(), Invalid> {
        let role = item.req("role", |role| {
            Ok(match role.str()? {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" => Role::System,
                "developer" => Role::Developer,
                other => {
                    return Err(Invalid::value(format!(
                        "is {:?}, which is none of user, assistant, system, developer",
                        clip(other)
                    )));
                }
            })
        })?;
        let parts = item.req("content", content::read)?;
        if role == Role::Assistant {
            for part in parts {
                self.push(role, part);
            }
        } else {
            self.messages.push(message(role, parts));
            self.growing = false;
        }
        Ok(())
    }

    fn reasoning(&mut self, item: &'d Node<'_>) -> Result<(), Invalid> {
        let texts = |key: &str| {
            item.opt(key, |list| list.each(|part| part.req("text", Node::str)))
                .map(Option::unwrap_or_default)
        };
        let (content, summary) = (texts("content")?, texts("summary")?);
        let encrypted = item.opt("encrypted_content", Node::str)?;
        if let Some(text) = encrypted.and_then(|text| text.strip_suffix(OF_CALL)) {
            self.signature = Some(Signature::from_client(Dialect::Responses, text));
            return Ok(());
        }
        if let Some(text) = encrypted.and_then(|text| text.strip_suffix(OF_TEXT)) {
            self.sign_text(Signature::from_client(Dialect::Responses, text));
            return Ok(());
        }
        if let Some(text) = encrypted.and_then(|text| text.strip_prefix(WRAPPED)?.strip_suffix(OF_PART)) {
            let part = carried(text).map_err(|invalid| invalid.within("encrypted_content"))?;
            self.push(Role::Assistant, part);
            return Ok(());
        }
        let text = joined(if content.is_empty() { &summary } else { &content });
        let bare = encrypted.and_then(|text| text.strip_suffix(OF_THOUGHT));
        let signature = bare
            .or(encrypted)
            .filter(|text| !text.is_empty())
            .map(|text| Signature::from_client(Dialect::Responses, text));
        let thinking = Thinking {
            redacted: text.is_empty() && signature.is_some() && bare.is_none(),
            text,
            signature,
            id: item.opt("id", Node::str)?.map(Into::into),
        };
        self.push(Role::Assistant, Part::Thinking(thinking));
        Ok(())
    }

    /// The signature goes to the text right before it.
    fn sign_text(&mut self, given: Signature<'d>) {
        let last = self.messages.last_mut().and_then(|last| last.parts.last_mut());
        match last {
            Some(Part::Text { signature, .. }) => *signature = Some(given),
            _ => self.lone_signature(given),
        }
    }

    fn lone_signature(&mut self, signature: Signature<'d>) {
        let thinking = Thinking {
            redacted: true,
            signature: Some(signature),
            ..Thinking::default()
        };
        self.push(Role::Assistant, Part::Thinking(thinking));
    }

    fn call(&mut self, item: &'d Node<'_>, arguments: &str, kind: ToolCallKind) -> Result<(), Invalid> {
        let id = item.req("call_id", not_empty)?;
        let call = ToolCall {
            id: id.into(),
            name: tools::in_namespace(item.opt("namespace", Node::str)?, item.req("name", not_empty)?),
            arguments: item.req(arguments, Node::str)?.into(),
            kind,
            signature: self.signature.take(),
            cache: None,
        };
        self.calls.insert(id);
        self.push(Role::Assistant, Part::ToolCall(call));
        Ok(())
    }

    fn result(&mut self, item: &'d Node<'_>, kind: ToolCallKind) -> Result<(), Invalid> {
        let id = item.req("call_id", not_empty)?;
        if self.own_calls.contains(id) {
            self.own(Role::User, item.get_str("type").unwrap_or_default(), item);
            return Ok(());
        }
        if !self.stateful && !self.calls.contains(id) {
            return Err(
                Invalid::value("names a call that is not among the items before it; send the call's item too")
                    .within("call_id"),
            );
        }
        let result = ToolResult {
            call_id: id.into(),
            name: None,
            parts: item.req("output", content::read)?,
            is_error: false,
            kind,
            cache: None,
        };
        self.push(Role::User, Part::ToolResult(result));
        Ok(())
    }
}

/// `<origin>:<kind>:<JSON>`. It will stand in a provider's body, so it must be JSON.
fn carried(text: &str) -> Result<Part<'_>, Invalid> {
    let parts = text
        .split_once(':')
        .and_then(|(origin, rest)| Some((Dialect::from_name(origin)?, rest.split_once(':')?)));
    match parts {
        Some((dialect, (kind, raw))) if scan_object(raw.as_bytes(), DEEPEST, |_| ()).is_ok() => Ok(Part::Opaque {
            dialect,
            kind: kind.into(),
            raw: raw.into(),
        }),
        _ => Err(Invalid::value(
            "was changed on its way; send back the item as it came, or leave it out",
        )),
    }
}

/// Items of the model that do not end in `_call`.
fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "mcp_list_tools"
            | "mcp_approval_request"
            | "compaction"
            | "compaction_summary"
            | "context_compaction"
            | "program"
            | "program_output"
            | "additional_tools"
            | "configuration_update"
    )
}

fn not_empty<'n>(node: &'n Node<'_>) -> Result<&'n str, Invalid> {
    match node.str()? {
        "" => Err(Invalid::value("is empty")),
        text => Ok(text),
    }
}

/// The parts of a summary as one text.
pub(crate) fn joined<'d>(texts: &[&'d str]) -> Text<'d> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.join("\n\n")),
    }
}
