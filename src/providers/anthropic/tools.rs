//! Tools, the choice among them, and structured answers for a target.
//!
//! A structured answer is native where the model has `output_config.format`; else it is a tool that the model must call, whose
//! input is the answer. Beside the client's own tools the model must then call *some* tool. JSON without a schema is asked for
//! in words, which is what the API offers.

use super::content::Blocks;
use super::model::Model;
use super::{Variant, schema};
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Format, Function, Request, Tool, ToolChoice};
use crate::wire::json::{JsonWriter, Node};
use crate::wire::messages::blocks::write_cache;
use std::borrow::Cow;
use std::collections::HashSet;

/// The tool whose input is the answer.
const ANSWER_TOOL: &str = "structured_answer";

/// What the request says about tools and the answer's shape.
#[derive(Debug, Default)]
pub struct Plan<'r> {
    tools: Vec<(usize, &'r Tool<'r>)>,
    choice: Option<Choice<'r>>,
    single: bool,
    /// Schema for `output_config.format`.
    pub native: Option<String>,
    /// The tool whose input is the answer, with its schema.
    pub answer: Option<(String, String)>,
    /// Words for the system prompt.
    pub note: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Choice<'r> {
    Auto,
    Any,
    None,
    Named(Cow<'r, str>),
    Raw(&'r str),
}

/// Work it out.
pub fn plan<'r>(request: &'r Request<'r>, model: Model, variant: Variant, blocks: &mut Blocks) -> Plan<'r> {
    let mut plan = Plan::default();
    let allowed: Option<HashSet<&str>> = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names.iter().map(AsRef::as_ref).collect()),
        _ => None,
    };
    for (index, tool) in request.tools.iter().enumerate() {
        if allowed.as_ref().is_some_and(|names| !is_named(tool, names)) {
            continue;
        }
        if takes(tool, variant) {
            plan.tools.push((index, tool));
        } else {
            let name = match tool {
                Tool::Builtin { name, .. } => name.as_ref(),
                _ => "",
            };
            blocks.dropped.push(format!("tools[{index}] ({name})"));
        }
    }
    plan.single = request.parallel_tool_calls == Some(false);
    plan.choice = choice(request, blocks);
    format(request, model, &mut plan, blocks);
    if plan.tools.is_empty() && plan.answer.is_none() {
        // A choice among nothing is refused; only a demand is lost with it.
        if matches!(plan.choice, Some(Choice::Any | Choice::Named(_))) {
            blocks.dropped.push("tool_choice");
        }
        plan.choice = None;
        plan.single = false;
    }
    if plan.forces() && !model.can_be_forced() {
        blocks.dropped.push("tool_choice (this model cannot be forced)");
        plan.choice = Some(Choice::Auto);
    }
    plan
}

fn is_named(tool: &Tool<'_>, names: &HashSet<&str>) -> bool {
    let (Tool::Function(Function { name, .. }) | Tool::Custom { name, .. } | Tool::Builtin { name, .. }) = tool;
    names.contains(name.as_ref())
}

fn takes(tool: &Tool<'_>, variant: Variant) -> bool {
    match tool {
        Tool::Function(_) | Tool::Custom { .. } => true,
        Tool::Builtin { dialect, kind, .. } => match dialect {
            Dialect::Anthropic => true,
            _ => matches!(kind, Builtin::WebSearch | Builtin::WebFetch) && variant != Variant::BedrockInvoke,
        },
    }
}

fn choice<'r>(request: &'r Request<'r>, blocks: &mut Blocks) -> Option<Choice<'r>> {
    Some(match request.tool_choice.as_ref()? {
        ToolChoice::Auto => Choice::Auto,
        ToolChoice::None => Choice::None,
        ToolChoice::Required => Choice::Any,
        ToolChoice::Function(name) => {
            let custom = |tool: &Tool<'_>| matches!(tool, Tool::Custom { name: of, .. } if of == name);
            Choice::Named(if request.tools.iter().any(custom) {
                blocks.names.free_text(name)
            } else {
                blocks.names.function(name)
            })
        }
        ToolChoice::Allowed { required: true, .. } => Choice::Any,
        ToolChoice::Allowed { .. } => Choice::Auto,
        ToolChoice::Opaque {
            dialect: Dialect::Anthropic,
            raw,
        } => Choice::Raw(raw),
        ToolChoice::Opaque { .. } => {
            blocks.dropped.push("tool_choice");
            return None;
        }
    })
}

/// Decide how the answer gets its shape.
fn format(request: &Request<'_>, model: Model, plan: &mut Plan<'_>, blocks: &mut Blocks) {
    let schema = match &request.format {
        Format::Text => return,
        Format::Opaque { .. } => return blocks.dropped.push("response_format"),
        Format::Json => {
            blocks.dropped.push("response_format (asked for in words only)");
            plan.note = Some("Answer with one JSON object and nothing else: no prose, no code fence.".to_owned());
            return;
        }
        Format::Schema { schema, .. } => schema,
    };
    if model.structures()
        && let Some(fitted) = schema::strict(schema)
    {
        for keyword in &fitted.lost {
            blocks.dropped.push(format!("response_format.schema ({keyword})"));
        }
        plan.native = Some(fitted.schema);
        return;
    }
    let object = Node::parse(schema.as_bytes(), 64).is_ok_and(|node| node.get_str("type") == Some("object"));
    if !object || !model.can_be_forced() {
        blocks.dropped.push("response_format (asked for in words only)");
        plan.note = Some(format!(
            "Answer with JSON that follows this JSON Schema and nothing else: no prose, no code fence.\n{schema}"
        ));
        return;
    }
    let mut name = ANSWER_TOOL.to_owned();
    while request.functions().any(|function| function.name == name) {
        name.push('_');
    }
    plan.choice = Some(if plan.tools.is_empty() || plan.choice == Some(Choice::None) {
        Choice::Named(Cow::Owned(name.clone()))
    } else {
        Choice::Any
    });
    plan.single = true;
    plan.answer = Some((name, schema.to_string()));
}

impl Plan<'_> {
    /// The model must call something.
    pub fn forces(&self) -> bool {
        matches!(self.choice, Some(Choice::Any | Choice::Named(_)))
    }

    /// `"tools":[…]` and `"tool_choice":{…}`, if there are any.
    pub fn write(&self, model: Model, blocks: &mut Blocks, json: &mut JsonWriter) {
        if !self.tools.is_empty() || self.answer.is_some() {
            json.key("tools").begin_array();
            for (index, tool) in &self.tools {
                write_tool(*index, tool, model, blocks, json);
            }
            if let Some((name, schema)) = &self.answer {
                json.object(|json| {
                    json.field("name", name);
                    json.field(
                        "description",
                        "Give the final answer. The input of this tool is the answer.",
                    );
                    json.raw_field("input_schema", schema);
                });
            }
            json.end_array();
        }
        let choice = match &self.choice {
            None if self.single => &Choice::Auto,
            None => return,
            Some(choice) => choice,
        };
        let (kind, name) = match choice {
            Choice::Raw(raw) => return json.raw_field("tool_choice", raw),
            Choice::Auto => ("auto", None),
            Choice::Any => ("any", None),
            Choice::None => ("none", None),
            Choice::Named(name) => ("tool", Some(name)),
        };
        json.key("tool_choice").object(|json| {
            json.field("type", kind);
            json.opt("name", name);
            if self.single && kind != "none" {
                json.field("disable_parallel_tool_use", true);
            }
        });
    }
}

fn write_tool(index: usize, tool: &Tool<'_>, model: Model, blocks: &mut Blocks, json: &mut JsonWriter) {
    match tool {
        Tool::Function(function) => write_function(index, function, model, blocks, json),
        Tool::Custom {
            name,
            description,
            format,
        } => {
            let about = free_text::about(description.as_deref(), format.as_deref(), index, &mut blocks.dropped);
            let name = blocks.names.free_text(name);
            json.object(|json| {
                json.field("name", name);
                json.opt("description", about);
                json.raw_field("input_schema", free_text::SCHEMA);
            });
        }
        Tool::Builtin {
            dialect: Dialect::Anthropic,
            raw,
            ..
        } => json.raw(raw),
        Tool::Builtin { kind, raw, .. } => match kind {
            Builtin::WebFetch => json.raw(r#"{"type":"web_fetch_20250910","name":"web_fetch"}"#),
            _ => web_search(raw, json),
        },
    }
}

fn write_function(index: usize, function: &Function<'_>, model: Model, blocks: &mut Blocks, json: &mut JsonWriter) {
    let wants_strict = function.strict == Some(true);
    let strict = wants_strict && model.structures();
    if wants_strict && !strict {
        blocks.dropped.push(format!("tools[{index}].strict"));
    }
    let mut fitted = schema::input(function.parameters.as_deref());
    if strict && let Some(closed) = schema::strict(&fitted.schema) {
        fitted.schema = closed.schema;
        fitted.lost.extend(closed.lost);
    }
    for keyword in &fitted.lost {
        blocks.dropped.push(format!("tools[{index}].parameters ({keyword})"));
    }
    let name = blocks.names.function(&function.name);
    json.object(|json| {
        json.field("name", name);
        json.opt("description", function.description.as_deref());
        json.raw_field("input_schema", &fitted.schema);
        if strict {
            json.field("strict", true);
        }
        write_cache(function.cache, json);
    });
}

/// Another vendor's web search: OpenAI's place and domains have their like here.
fn web_search(raw: &str, json: &mut JsonWriter) {
    let node = Node::parse(raw.as_bytes(), 16).ok();
    let node = node.as_ref();
    let place = node.and_then(|node| node.get("user_location"));
    // Chat Completions nests it once more than Responses.
    let place = place.map(|place| place.get("approximate").unwrap_or(place));
    let domains = node.and_then(|node| node.get("filters")?.get("allowed_domains"));
    json.object(|json| {
        json.field("type", "web_search_20250305");
        json.field("name", "web_search");
        if let Some(domains) = domains.and_then(Node::as_array).filter(|domains| !domains.is_empty()) {
            json.key("allowed_domains").array(|json| {
                for domain in domains.iter().filter_map(Node::as_str) {
                    json.value(domain);
                }
            });
        }
        if let Some(place) = place {
            json.key("user_location").object(|json| {
                json.field("type", "approximate");
                for key in ["city", "region", "country", "timezone"] {
                    json.opt(key, place.get_str(key));
                }
            });
        }
    });
}
