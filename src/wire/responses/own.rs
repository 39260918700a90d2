//! Tools that only this API has and the application runs: `local_shell`, `shell`, `apply_patch`. To other targets they are
//! functions.
//!
//! ```json
//! {"type":"local_shell_call","call_id":"…","action":{"type":"exec","command":["ls"],"env":{}}}   {"type":"local_shell_call_output","id":"…","output":"…"}
//! {"type":"shell_call","call_id":"…","action":{"commands":["ls"],"timeout_ms":1,"max_output_length":1}}
//! {"type":"shell_call_output","call_id":"…","output":[{"stdout":"…","stderr":"…","outcome":{"type":"exit","exit_code":0}}]}
//! {"type":"apply_patch_call","call_id":"…","operation":{"type":"update_file","path":"…","diff":"…"}}
//! {"type":"apply_patch_call_output","call_id":"…","status":"failed","output":"…"}
//! ```
//! A request is read with these as they are written, since this API as a target takes them so; [`as_functions`] makes
//! ordinary calls, results and functions of them for everybody else, and the writer makes items of the answer's calls again.
//! What does not pair (a call without an output, an output without a call) stays, for the codec to name. A signature of another
//! vendor on such a call has no place in the item and is lost.
//!
//! Source: the Python SDK's types (3.54) and `codex-rs` (which answers `local_shell_call` by `function_call_output`), read 2026-11.

use super::content;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Function, Part, Request, Tool, ToolCall, ToolCallKind, ToolChoice, ToolResult};
use crate::wire::json::{JsonWriter, Node};
use std::collections::{HashMap, HashSet};

/// Deepest item looked into.
const DEPTH: usize = 128;

/// Such a tool.
#[derive(Debug, PartialEq)]
pub(super) struct Own {
    /// Its `type`, and the function's name.
    pub(super) tool: &'static str,
    /// The type of its calls.
    pub(super) call: &'static str,
    /// The type of its outputs.
    output: &'static str,
    /// The member of a call that says what to do: the function's arguments.
    pub(super) member: &'static str,
    /// What ids of its calls start with.
    pub(super) prefix: &'static str,
    description: &'static str,
    parameters: &'static str,
}

static ALL: [Own; 3] = [
    Own {
        tool: "local_shell",
        call: "local_shell_call",
        output: "local_shell_call_output",
        member: "action",
        prefix: "lsh_",
        description: "Run a program on the user's computer.",
        parameters: r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments; for a shell's line: bash, -lc, the line."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"}},"required":["command"]}"#,
    },
    Own {
        tool: "shell",
        call: "shell_call",
        output: "shell_call_output",
        member: "action",
        prefix: "sh_",
        description: "Run commands in a shell on the user's computer.",
        parameters: r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":"Lines for the shell, run one after another."},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer","description":"Most characters of output to give back for each command."}},"required":["commands"]}"#,
    },
    Own {
        tool: "apply_patch",
        call: "apply_patch_call",
        output: "apply_patch_call_output",
        member: "operation",
        prefix: "apc_",
        description: "Create, change or delete one file. To change a file, `diff` holds one or more hunks: a line `@@`, or `@@ ` and the \
                      line that begins the function or class around the change; then a few unchanged lines, each behind a \
                      space, removed lines behind `-`, added lines behind `+`. No line numbers and no file names in it. To \
                      create a file, every line of it stands behind `+`. To delete one, leave `diff` out.",
        parameters: r#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string"}},"required":["type","path"]}"#,
    },
];

impl Own {
    /// What to do, as an item says it; nothing when the arguments do not say it.
    pub(super) fn doing(&self, arguments: &str) -> Option<String> {
        let node = Node::parse(arguments.as_bytes(), DEPTH).ok()?;
        let text = |key: &str| node.get_str(key).filter(|text| !text.is_empty());
        let lines = |key: &str| {
            let list = node.get(key)?;
            let all = list.as_array().filter(|all| !all.is_empty())?;
            all.iter().all(|one| one.as_str().is_some()).then_some(list.raw)
        };
        let mut json = JsonWriter::new();
        match self.tool {
            "local_shell" => {
                let command = lines("command")?;
                let env = node.get("env").filter(|env| env.as_object().is_some());
                json.object(|json| {
                    json.field("type", "exec");
                    json.raw_field("command", command);
                    json.raw_field("env", env.map_or("{}", |env| env.raw));
                    json.opt("working_directory", text("working_directory"));
                    json.opt("timeout_ms", node.get_u64("timeout_ms"));
                    json.opt("user", text("user"));
                });
            }
            "shell" => {
                let commands = lines("commands")?;
                json.object(|json| {
                    json.raw_field("commands", commands);
                    json.opt("timeout_ms", node.get_u64("timeout_ms"));
                    json.opt("max_output_length", node.get_u64("max_output_length"));
                });
            }
            _ => {
                let (kind, path) = (text("type")?, text("path")?);
                let diff = match kind {
                    "create_file" | "update_file" => Some(node.get_str("diff")?),
                    "delete_file" => None,
                    _ => return None,
                };
                json.object(|json| {
                    json.field("type", kind);
                    json.field("path", path);
                    json.opt("diff", diff);
                });
            }
        }
        String::from_utf8(json.finish()).ok()
    }

    fn function(&self) -> Function<'static> {
        Function {
            name: self.tool.into(),
            description: Some(self.description.into()),
            parameters: Some(self.parameters.into()),
            ..Function::default()
        }
    }
}

/// Whether this is such a tool, and run by the application: a shell can be the provider's.
fn own(tool: &Tool<'_>) -> Option<&'static Own> {
    let Tool::Builtin {
        kind: Builtin::Other,
        dialect: Dialect::Responses,
        name,
        raw,
    } = tool
    else {
        return None;
    };
    let own = ALL.iter().find(|own| own.tool == *name)?;
    let node = Node::parse(raw.as_bytes(), DEPTH).ok()?;
    let place = node.get("environment").and_then(|place| place.get_str("type"));
    place.is_none_or(|place| place == "local").then_some(own)
}

/// Those on offer whose name no other tool has.
pub(super) fn offered(tools: &[Tool<'_>]) -> Vec<&'static Own> {
    let taken = |own: &Own| {
        tools.iter().any(|tool| match tool {
            Tool::Function(Function { name, .. }) | Tool::Custom { name, .. } => name == own.tool,
            Tool::Builtin { .. } => false,
        })
    };
    tools.iter().filter_map(own).filter(|own| !taken(own)).collect()
}

/// Make functions of these tools, and ordinary calls and results of what the conversation holds of them.
pub fn as_functions(request: &mut Request<'_>) {
    let offered = offered(&request.tools);
    for tool in &mut request.tools {
        if let Some(own) = own(tool).filter(|own| offered.contains(own)) {
            *tool = Tool::Function(own.function());
        }
    }
    let chosen = match &request.tool_choice {
        Some(ToolChoice::Opaque {
            dialect: Dialect::Responses,
            raw,
        }) => Node::parse(raw.as_bytes(), DEPTH).ok().and_then(|node| {
            offered
                .iter()
                .find(|own| node.get_str("type") == Some(own.tool))
                .copied()
        }),
        _ => None,
    };
    if let Some(own) = chosen {
        request.tool_choice = Some(ToolChoice::Function(own.tool.into()));
    }
    history(request);
}

/// The items of one conversation.
#[derive(Default)]
struct Items {
    /// Calls by each of their ids, with the one that counts.
    calls: HashMap<String, String>,
    answered: HashSet<String>,
    /// Calls whose result was made.
    given: HashSet<String>,
}

impl Items {
    /// The call that an item belongs to.
    fn of(&self, item: &Node<'_>) -> Option<&String> {
        ids(item).find_map(|id| self.calls.get(id))
    }
}

fn ids<'n>(item: &'n Node<'_>) -> impl Iterator<Item = &'n str> {
    let ids = ["call_id", "id"].into_iter().filter_map(|key| item.get_str(key));
    ids.filter(|id| !id.is_empty())
}

/// A part that may be of these tools: the item's type, and the item.
fn item<'p>(part: &'p Part<'_>) -> Option<(&'p str, &'p str)> {
    match part {
        Part::Opaque {
            dialect: Dialect::Responses,
            kind,
            raw,
        } if kind.ends_with("_call") || kind.ends_with("_call_output") => Some((kind, raw)),
        _ => None,
    }
}

fn called(kind: &str) -> Option<&'static Own> {
    ALL.iter().find(|own| own.call == kind)
}

fn is_output(kind: &str) -> bool {
    matches!(kind, "function_call_output" | "custom_tool_call_output") || ALL.iter().any(|own| own.output == kind)
}

fn history(request: &mut Request<'_>) {
    let mut items = Items::default();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        let Some((kind, raw)) = item(part) else { continue };
        if called(kind).is_none() && !is_output(kind) {
            continue;
        }
        let Ok(node) = Node::parse(raw.as_bytes(), DEPTH) else {
            continue;
        };
        if called(kind).is_some() {
            let Some(counts) = ids(&node).next() else { continue };
            for id in ids(&node) {
                items.calls.insert(id.to_owned(), counts.to_owned());
            }
        } else if let Some(call) = items.of(&node) {
            let call = call.clone();
            items.answered.insert(call);
        }
    }
    if items.answered.is_empty() {
        return;
    }
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let Some(made) = item(part).and_then(|(kind, raw)| made(kind, raw, &mut items)) {
            *part = made;
        }
    }
}

/// The ordinary part for an item that has its counterpart.
fn made(kind: &str, raw: &str, items: &mut Items) -> Option<Part<'static>> {
    let node = Node::parse(raw.as_bytes(), DEPTH).ok()?;
    if let Some(own) = called(kind) {
        let id = items.of(&node).filter(|id| items.answered.contains(*id))?;
        return Some(Part::ToolCall(ToolCall {
            id: id.clone().into(),
            name: own.tool.into(),
            arguments: node.get(own.member).map_or("{}", |doing| doing.raw).to_owned().into(),
            kind: ToolCallKind::Function,
            signature: None,
            cache: None,
        }));
    }
    if !is_output(kind) {
        return None;
    }
    // A call has one result.
    let id = items.of(&node)?.clone();
    if !items.given.insert(id.clone()) {
        return None;
    }
    Some(Part::ToolResult(ToolResult {
        call_id: id.into(),
        name: None,
        parts: node.get("output").map(said).unwrap_or_default(),
        is_error: node.get_str("status") == Some("failed"),
        kind: ToolCallKind::Function,
        cache: None,
    }))
}

/// An output: text, content parts, or a shell's list, which goes as it is.
fn said(output: &Node<'_>) -> Vec<Part<'static>> {
    match content::read(output) {
        Ok(parts) => parts.iter().map(Part::to_static).collect(),
        Err(_) if output.is_null() => Vec::new(),
        Err(_) => vec![Part::text(output.raw.to_owned())],
    }
}
