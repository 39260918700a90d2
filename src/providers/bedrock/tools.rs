//! Tools, the choice among them, and structured output.
//!
//! ```json
//! {"toolConfig":{"tools":[{"toolSpec":{"name":"…","description":"…","inputSchema":{"json":{}},"strict":true}},{"cachePoint":{"type":"default"}}],
//!  "toolChoice":{"auto":{}} | {"any":{}} | {"tool":{"name":"…"}}},
//!  "outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"name":"…","schema":"<JSON text>"}}}}}
//! ```
//! Three things shape this. There is no `none`: the tools are left out, but Bedrock refuses a conversation that holds tool
//! blocks without `toolConfig`, so then they stay, and `tool_choice` is named as dropped. A conversation with tool blocks and no
//! tools gets its own calls declared. And structured output that the model cannot be constrained to becomes a forced tool.

use super::content::cache_point;
use super::model::{CachePoints, Choice};
use super::naming;
use super::request::Encoder;
use super::schema;
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{Builtin, Cache, Format, Function, Part, Tool, ToolCallKind, ToolChoice};
use crate::wire::json::JsonWriter;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Constrained decoding takes so many strict tools ("Structured outputs", limits of Anthropic's models).
const MOST_STRICT: usize = 20;

/// The tool whose arguments are the answer: name, description, schema.
type Answer<'q> = (String, Option<&'q str>, Cow<'q, str>);

/// One entry of `tools`.
#[derive(Debug)]
enum Offer<'q> {
    Function(usize, &'q Function<'q>),
    /// A tool with free-text input: its name and description.
    FreeText(&'q str, Option<Cow<'q, str>>),
    /// As Bedrock writes it.
    Raw(&'q str),
    /// Run by the service.
    System(&'static str),
    /// Called in the conversation, not offered any more.
    Known(&'q str, ToolCallKind),
    /// Ours.
    Answer(Answer<'q>),
}

/// What the client wants of the choice.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish<'q> {
    Unsaid,
    Auto,
    Never,
    Some,
    This(&'q str),
    Raw(&'q str),
}

/// What `toolChoice` says.
#[derive(Debug, PartialEq)]
enum Say<'q> {
    Nothing,
    Auto,
    Any,
    This(String),
    Raw(&'q str),
}

/// Tools, choice and format of one request.
#[derive(Debug)]
pub(super) struct Plan<'q> {
    offers: Vec<Offer<'q>>,
    say: Say<'q>,
    /// The schema for `outputConfig.textFormat`.
    pub native_format: Option<Cow<'q, str>>,
}

impl Plan<'_> {
    /// The model must call something.
    pub fn forces(&self) -> bool {
        matches!(self.say, Say::Any | Say::This(_))
    }
}

impl<'q> Encoder<'q, '_> {
    /// Decide on them.
    pub(super) fn plan(&mut self) -> Plan<'q> {
        let can = self.model.takes.choice;
        let (wish, only) = self.wish();
        let mut offers = self.offers(only.as_ref());
        let mut known = Vec::new();
        if wish == Wish::Never || offers.is_empty() {
            known = self.called();
        }
        if wish == Wish::Never {
            if known.is_empty() {
                offers.clear();
            } else if !offers.is_empty() {
                self.dropped.push("tool_choice");
            }
        }
        let mut say = match wish {
            Wish::This(name) if can >= Choice::Tool => {
                let free = self
                    .request
                    .tools
                    .iter()
                    .any(|tool| matches!(tool, Tool::Custom { name: of, .. } if of == name));
                let kind = if free {
                    ToolCallKind::Custom
                } else {
                    ToolCallKind::Function
                };
                Say::This(self.tool_name(name, kind).into_owned())
            }
            Wish::Some if can >= Choice::Any && !offers.is_empty() => Say::Any,
            Wish::This(_) | Wish::Some => {
                self.dropped.push("tool_choice");
                Say::Nothing
            }
            Wish::Auto if can >= Choice::Auto && !offers.is_empty() => Say::Auto,
            Wish::Raw(raw) => Say::Raw(raw),
            Wish::Auto | Wish::Unsaid | Wish::Never => Say::Nothing,
        };
        let (native_format, answer) = self.format(wish, !offers.is_empty());
        if let Some(answer) = answer {
            let name = &answer.0;
            let alone = offers.is_empty() || wish == Wish::Never;
            say = if alone && can >= Choice::Tool {
                Say::This(name.clone())
            } else {
                Say::Any
            };
            self.expect.structured_tool = Some(name.as_str().into());
            offers.push(Offer::Answer(answer));
        }
        if offers.is_empty() {
            offers.extend(known.into_iter().map(|(name, kind)| Offer::Known(name, kind)));
        }
        Plan {
            offers,
            say,
            native_format,
        }
    }

    /// Names of the tools called in the conversation; of results without a call, a name that stands for it.
    fn called(&self) -> Vec<(&'q str, ToolCallKind)> {
        let mut seen = HashSet::new();
        let mut by_id = HashMap::new();
        let mut names = Vec::new();
        for part in self.request.messages.iter().flat_map(|message| &message.parts) {
            let (name, kind) = match part {
                Part::ToolCall(call) => {
                    by_id.insert(call.id.as_ref(), call.name.as_ref());
                    (call.name.as_ref(), call.kind)
                }
                Part::ToolResult(result) => match by_id.get(result.call_id.as_ref()) {
                    Some(name) => (*name, result.kind),
                    None => ("tool", ToolCallKind::Function),
                },
                _ => continue,
            };
            if seen.insert(name) {
                names.push((name, kind));
            }
        }
        names
    }

    fn wish(&mut self) -> (Wish<'q>, Option<HashSet<&'q str>>) {
        let only_any = self.model.takes.choice == Choice::Any;
        match &self.request.tool_choice {
            None => (Wish::Unsaid, None),
            Some(ToolChoice::Auto) => (Wish::Auto, None),
            Some(ToolChoice::None) => (Wish::Never, None),
            Some(ToolChoice::Required) => (Wish::Some, None),
            // Any of one is that one.
            Some(ToolChoice::Function(name)) if only_any => (Wish::Some, Some(HashSet::from([name.as_ref()]))),
            Some(ToolChoice::Function(name)) => (Wish::This(name), None),
            Some(ToolChoice::Allowed { names, required }) => {
                let names = names.iter().map(AsRef::as_ref).collect();
                (if *required { Wish::Some } else { Wish::Auto }, Some(names))
            }
            Some(ToolChoice::Opaque { dialect, raw }) if *dialect == Dialect::Bedrock => (Wish::Raw(raw), None),
            Some(ToolChoice::Opaque { .. }) => {
                self.dropped.push("tool_choice");
                (Wish::Unsaid, None)
            }
        }
    }

    fn offers(&mut self, only: Option<&HashSet<&str>>) -> Vec<Offer<'q>> {
        let nova2 = self.model.base.starts_with("amazon.nova-2");
        let mut offers = Vec::with_capacity(self.request.tools.len());
        for (index, tool) in self.request.tools.iter().enumerate() {
            let wanted = |name: &str| only.is_none_or(|names| names.contains(name));
            match tool {
                Tool::Function(function) if wanted(&function.name) => offers.push(Offer::Function(index, function)),
                Tool::Custom {
                    name,
                    description,
                    format,
                } if wanted(name) => {
                    let about = free_text::about(description.as_deref(), format.as_deref(), index, &mut self.dropped);
                    offers.push(Offer::FreeText(name, about));
                }
                Tool::Function(_) | Tool::Custom { .. } => {}
                Tool::Builtin { dialect, raw, .. } if *dialect == Dialect::Bedrock => offers.push(Offer::Raw(raw)),
                // Nova 2's own (Nova 2 user guide, "Web grounding", "Code interpreter").
                Tool::Builtin {
                    kind: Builtin::WebSearch,
                    ..
                } if nova2 => offers.push(Offer::System("nova_grounding")),
                Tool::Builtin {
                    kind: Builtin::CodeExecution,
                    ..
                } if nova2 => {
                    offers.push(Offer::System("nova_code_interpreter"));
                }
                Tool::Builtin { name, .. } => self.dropped.push(format!("tools[{index}] ({name})")),
            }
        }
        offers
    }

    /// The schema that says the format natively, or else the tool that does.
    fn format(&mut self, wish: Wish<'q>, tools: bool) -> (Option<Cow<'q, str>>, Option<Answer<'q>>) {
        let (name, about, wanted) = match &self.request.format {
            Format::Text => return (None, None),
            Format::Json => (None, None, schema::ANY_OBJECT),
            Format::Schema {
                name,
                description,
                schema,
                ..
            } => (name.as_deref(), description.as_deref(), schema.as_ref()),
            Format::Opaque { .. } => {
                self.dropped.push("response_format");
                return (None, None);
            }
        };
        let takes = self.model.takes;
        if takes.schema && schema::closed(wanted) {
            return (Some(wanted.into()), None);
        }
        // A schema that loses something is better given to a forced tool, whole, where there is one.
        let can_force = takes.choice >= Choice::Any;
        if takes.schema
            && let Some((text, lost)) = schema::close(wanted)
            && (lost.is_empty() || !can_force)
        {
            for keyword in lost {
                self.dropped.push(format!("response_format.schema ({keyword})"));
            }
            return (Some(text.into()), None);
        }
        let called_for = matches!(wish, Wish::This(_) | Wish::Raw(_)) || (wish == Wish::Some && tools);
        let root = schema::object_root(wanted);
        let (Some(root), true) = (root, can_force && !called_for) else {
            self.dropped.push("response_format");
            return (None, None);
        };
        let mut name = name.map_or("answer".into(), |name| {
            naming::changed(name).map_or(Cow::Borrowed(name), Cow::Owned)
        });
        while self.request.functions().any(|function| function.name == name) {
            // Ends: there are finitely many, and the name grows until its hash is all of it.
            name = Cow::Owned(naming::changed(&format!("{name}.")).unwrap_or_default());
        }
        (None, Some((name.into_owned(), about, root)))
    }

    /// `toolConfig`, if there are tools.
    pub(super) fn tool_config(&mut self, plan: &Plan<'q>, json: &mut JsonWriter) {
        if plan.offers.is_empty() {
            return;
        }
        json.key("toolConfig").begin_object();
        json.key("tools").begin_array();
        let mut strict = 0;
        for offer in &plan.offers {
            match offer {
                Offer::Function(index, function) => {
                    self.function(*index, function, &mut strict, json);
                    self.tool_cache(function.cache, json);
                }
                Offer::Raw(raw) => json.raw(raw),
                Offer::System(name) => {
                    json.object(|json| json.key("systemTool").object(|json| json.field("name", name)))
                }
                Offer::FreeText(name, about) => {
                    let name = self.tool_name(name, ToolCallKind::Custom);
                    spec(json, &name, about.as_deref(), free_text::SCHEMA, false);
                }
                Offer::Known(name, kind) => {
                    let name = self.tool_name(name, *kind);
                    spec(json, &name, None, schema::NOTHING, false);
                }
                Offer::Answer((name, about, wanted)) => {
                    let about = about.unwrap_or("Give your whole answer by calling this tool, once.");
                    let wanted = self.fitted(None, wanted);
                    spec(json, name, Some(about), &wanted, false);
                }
            }
        }
        json.end_array();
        match &plan.say {
            Say::Nothing => {}
            Say::Auto => json.key("toolChoice").object(|json| json.key("auto").object(|_| ())),
            Say::Any => json.key("toolChoice").object(|json| json.key("any").object(|_| ())),
            Say::This(name) => json.key("toolChoice").object(|json| {
                json.key("tool").object(|json| json.field("name", name));
            }),
            Say::Raw(raw) => json.raw_field("toolChoice", raw),
        }
        json.end_object();
    }

    fn function(&mut self, index: usize, function: &Function<'_>, strict: &mut usize, json: &mut JsonWriter) {
        let given = function.parameters.as_deref().unwrap_or(schema::NOTHING);
        let root = schema::object_root(given).unwrap_or_else(|| {
            self.dropped.push(format!("tools[{index}].parameters (not an object)"));
            schema::NOTHING.into()
        });
        let wanted = self.fitted(Some(index), &root);
        let exact = function.strict == Some(true);
        let constrained = exact && *strict < MOST_STRICT && self.model.takes.schema && schema::closed(&wanted);
        *strict += usize::from(constrained);
        if exact && !constrained {
            self.dropped.push(format!("tools[{index}].strict"));
        }
        let name = self.tool_name(&function.name, ToolCallKind::Function);
        spec(json, &name, function.description.as_deref(), &wanted, constrained);
    }

    /// The schema as the model takes it.
    fn fitted<'s>(&mut self, index: Option<usize>, wanted: &'s str) -> Cow<'s, str> {
        if !self.model.takes.narrow_schema {
            return wanted.into();
        }
        let (narrowed, lost) = schema::narrow(wanted);
        for keyword in lost {
            self.dropped.push(match index {
                Some(index) => format!("tools[{index}].parameters ({keyword})"),
                None => format!("response_format.schema ({keyword})"),
            });
        }
        narrowed.into()
    }

    fn tool_cache(&mut self, cache: Option<Cache>, json: &mut JsonWriter) {
        let Some(cache) = cache else {
            return;
        };
        match self.model.takes.cache {
            CachePoints::Never => {}
            CachePoints::BehindText => self.dropped.push("cache_control (not behind text)"),
            CachePoints::Everywhere => {
                if let Some(ttl) = self.cache_point(cache) {
                    json.object(|json| cache_point(json, ttl));
                }
            }
        }
    }

    /// The name of a tool as Bedrock takes it; remembers what was changed.
    pub(super) fn tool_name<'n>(&mut self, name: &'n str, kind: ToolCallKind) -> Cow<'n, str> {
        let changed = match kind {
            ToolCallKind::Function => naming::changed(name),
            ToolCallKind::Custom => Some(naming::free_text(name)),
        };
        let Some(changed) = changed else {
            return name.into();
        };
        if self.renamed.insert(changed.clone()) {
            self.expect.renamed_tools.push((changed.as_str().into(), name.into()));
        }
        changed.into()
    }

    /// The format, as `outputConfig` says it.
    pub(super) fn text_format(&self, schema: &str, json: &mut JsonWriter) {
        let Format::Schema { name, description, .. } = &self.request.format else {
            return;
        };
        json.key("outputConfig").object(|json| {
            json.key("textFormat").object(|json| {
                json.field("type", "json_schema");
                json.key("structure").object(|json| {
                    json.key("jsonSchema").object(|json| {
                        let name = name.as_deref();
                        json.opt(
                            "name",
                            name.map(|name| naming::changed(name).unwrap_or_else(|| name.to_owned())),
                        );
                        json.opt("description", description.as_deref());
                        json.field("schema", schema);
                    });
                });
            });
        });
    }
}

fn spec(json: &mut JsonWriter, name: &str, description: Option<&str>, schema: &str, strict: bool) {
    json.object(|json| {
        json.key("toolSpec").object(|json| {
            json.field("name", name);
            json.opt("description", description.filter(|text| !text.trim().is_empty()));
            json.key("inputSchema").object(|json| json.raw_field("json", schema));
            if strict {
                json.field("strict", true);
            }
        });
    });
}
