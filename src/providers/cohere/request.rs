//! The envelope of a chat request: everything but the messages.

use super::super::codec::{Aim, Encoding, Expect, Unfit};
use super::super::free_text;
use super::{message, schema};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Builtin, Dropped, Effort, Format, Function, Part, Request, Sampling, Tool, ToolCallKind, ToolChoice,
};
use crate::wire::json::JsonWriter;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Most `stop_sequences`.
const MOST_STOPS: usize = 5;
/// Largest `k`.
const MOST_K: u64 = 500;

/// The request as Cohere takes it.
///
/// ```json
/// {"model":"…","messages":[…],"tools":[{"type":"function","function":{"name","description","parameters"}}],"strict_tools":true,
///  "tool_choice":"REQUIRED|NONE","documents":[{"id","data":{…}}],"response_format":{"type":"json_object","json_schema":{…}},
///  "thinking":{"type":"enabled|disabled","token_budget":1},"max_tokens":1,"temperature":0,"p":0.9,"k":0,"seed":1,
///  "stop_sequences":["…"],"frequency_penalty":0,"presence_penalty":0,"logprobs":true,"stream":true}
/// ```
pub(super) fn encode(request: &Request<'_>, aim: Aim<'_>) -> Result<Encoding, Unfit> {
    if request.previous_response_id.is_some() {
        return Err(Unfit::request(
            "previous_response_id",
            "this model keeps no earlier answers; send the whole conversation instead",
        ));
    }
    let mut dropped = Dropped::default();
    let names = Names::of(request);
    let mut json = JsonWriter::new();
    json.begin_object();
    json.field("model", aim.model);
    message::write(request, &names, &mut json, &mut dropped);
    let offered = tools(request, &names, &mut json, &mut dropped)?;
    format(&request.format, offered, &mut json, &mut dropped);
    sampling(&request.sampling, &mut json, &mut dropped);
    reasoning(request, &mut json);
    json.field("stream", request.stream);
    for extra in &request.extras {
        if extra.dialect == Dialect::Cohere && !extra.key.contains('.') && !WRITTEN.contains(&extra.key.as_ref()) {
            json.raw_field(&extra.key, &extra.raw);
        } else {
            dropped.push(extra.key.as_ref());
        }
    }
    json.end_object();
    rest(request, &mut dropped);
    Ok(Encoding {
        body: json.finish(),
        headers: Vec::new(),
        dropped,
        expect: Expect {
            structured_tool: None,
            renamed_tools: names.renamed,
            model: aim.model.into(),
        },
    })
}

/// Members this codec writes itself; an extra of the same name would repeat them.
const WRITTEN: [&str; 18] = [
    "model",
    "messages",
    "documents",
    "tools",
    "strict_tools",
    "tool_choice",
    "response_format",
    "max_tokens",
    "temperature",
    "p",
    "k",
    "seed",
    "stop_sequences",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "thinking",
    "stream",
];

/// Tool names as Cohere takes them: letters, digits and `_`, no digit first.
pub(super) struct Names {
    /// At the target, at the client.
    renamed: Vec<(Box<str>, Box<str>)>,
    /// Where in it a tool of the client's is.
    places: HashMap<(Box<str>, bool), usize>,
}

impl Names {
    fn of(request: &Request<'_>) -> Self {
        let mut names = Self {
            renamed: Vec::new(),
            places: HashMap::new(),
        };
        let offered = request.tools.iter().filter_map(|tool| match tool {
            Tool::Function(function) => Some((function.name.as_ref(), ToolCallKind::Function)),
            Tool::Custom { name, .. } => Some((name.as_ref(), ToolCallKind::Custom)),
            Tool::Builtin { .. } => None,
        });
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        let called = parts.filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.name.as_ref(), call.kind)),
            _ => None,
        });
        let functions = offered.clone().chain(called.clone());
        let functions = functions.filter(|(_, kind)| *kind == ToolCallKind::Function);
        let mut taken: HashSet<Cow<'_, str>> = functions.map(|(name, _)| Cow::Borrowed(name)).collect();
        // How often a name was mended to the same one: very many may differ only in what cannot be kept.
        let mut alike: HashMap<String, u32> = HashMap::new();
        for (name, kind) in offered.chain(called) {
            let fits = kind == ToolCallKind::Function && is_valid(name);
            if fits || names.known(name, kind).is_some() {
                continue;
            }
            let theirs = mend(name, kind, &taken, &mut alike);
            names.places.insert(key(name, kind), names.renamed.len());
            names.renamed.push((theirs.as_str().into(), name.into()));
            taken.insert(Cow::Owned(theirs));
        }
        names
    }

    fn known(&self, name: &str, kind: ToolCallKind) -> Option<&str> {
        let place = *self.places.get(&key(name, kind))?;
        self.renamed.get(place).map(|(theirs, _)| theirs.as_ref())
    }

    /// The target's name of a tool.
    pub(super) fn theirs<'n>(&'n self, name: &'n str, kind: ToolCallKind) -> &'n str {
        self.known(name, kind).unwrap_or(name)
    }
}

fn key(name: &str, kind: ToolCallKind) -> (Box<str>, bool) {
    (name.into(), kind == ToolCallKind::Custom)
}

fn is_valid(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The nearest valid name that is not `taken`; free-text tools have their ending, functions never.
fn mend(name: &str, kind: ToolCallKind, taken: &HashSet<Cow<'_, str>>, alike: &mut HashMap<String, u32>) -> String {
    let mut made: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if made.is_empty() || made.starts_with(|c: char| c.is_ascii_digit()) {
        made.insert(0, '_');
    }
    let ending = match kind {
        ToolCallKind::Custom => free_text::ENDING,
        ToolCallKind::Function if made.ends_with(free_text::ENDING) => "_",
        ToolCallKind::Function => "",
    };
    let base = made.clone();
    made.push_str(ending);
    if taken.contains(made.as_str()) {
        let count = alike.entry(made.clone()).or_insert(1);
        while taken.contains(made.as_str()) {
            *count += 1;
            made = format!("{base}_{count}{ending}");
        }
    }
    made
}

/// The functions among the tools, by their places; a free-text tool is one too.
fn functions<'r>(request: &'r Request<'_>, dropped: &mut Dropped) -> Vec<(usize, ToolCallKind, Cow<'r, Function<'r>>)> {
    let mut functions = Vec::new();
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => functions.push((index, ToolCallKind::Function, Cow::Borrowed(function))),
            Tool::Custom {
                name,
                description,
                format,
            } => {
                let function = Function {
                    name: name.as_ref().into(),
                    description: free_text::about(description.as_deref(), format.as_deref(), index, dropped),
                    parameters: Some(free_text::SCHEMA.into()),
                    ..Function::default()
                };
                functions.push((index, ToolCallKind::Custom, Cow::Owned(function)));
            }
            Tool::Builtin { kind, name, .. } => {
                let name: &str = match kind {
                    Builtin::WebSearch => "web_search",
                    Builtin::WebFetch => "web_fetch",
                    Builtin::CodeExecution => "code_execution",
                    Builtin::Other => name,
                };
                dropped.push(format!("tools[{index}] ({name})"));
            }
        }
    }
    functions
}

/// Write the tools; whether any is offered.
fn tools(request: &Request<'_>, names: &Names, json: &mut JsonWriter, dropped: &mut Dropped) -> Result<bool, Unfit> {
    let mut offered = functions(request, dropped);
    // There is no choice of one tool; offering only that one and requiring a call is the same.
    let chosen: Option<HashSet<&str>> = match &request.tool_choice {
        Some(ToolChoice::Function(name)) => Some(HashSet::from([name.as_ref()])),
        Some(ToolChoice::Allowed { names, .. }) => Some(names.iter().map(AsRef::as_ref).collect()),
        _ => None,
    };
    if let Some(names) = &chosen {
        offered.retain(|(_, _, function)| names.contains(function.name.as_ref()));
    }
    if offered.is_empty() {
        if chosen.is_some() {
            return Err(Unfit::request(
                "tool_choice",
                "`tool_choice` names no function that is among `tools`",
            ));
        }
        if matches!(request.tool_choice, Some(ToolChoice::Required)) {
            dropped.push("tool_choice");
        }
        return Ok(false);
    }
    // What stands for a free-text tool is as good strict.
    let is_strict = |function: &Function<'_>| function.strict == Some(true);
    let wanted = offered.iter().any(|(_, _, function)| is_strict(function));
    let strict = wanted
        && offered
            .iter()
            .all(|(_, kind, function)| is_strict(function) || *kind == ToolCallKind::Custom);
    if wanted && !strict {
        dropped.push("tools[].strict (Cohere takes it for all tools or none)");
    }
    json.key("tools").array(|json| {
        for (at, kind, function) in &offered {
            let name = names.theirs(&function.name, *kind);
            write_function((name, function), *at, strict, json, dropped);
        }
    });
    if strict {
        json.field("strict_tools", true);
    }
    if request.parallel_tool_calls == Some(false) {
        dropped.push("parallel_tool_calls");
    }
    match &request.tool_choice {
        Some(ToolChoice::None) => json.field("tool_choice", "NONE"),
        Some(ToolChoice::Required | ToolChoice::Function(_) | ToolChoice::Allowed { required: true, .. }) => {
            json.field("tool_choice", "REQUIRED");
        }
        Some(ToolChoice::Opaque { .. }) => dropped.push("tool_choice"),
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { .. }) => {}
    }
    Ok(true)
}

fn write_function(
    (name, function): (&str, &Function<'_>),
    index: usize,
    strict: bool,
    json: &mut JsonWriter,
    dropped: &mut Dropped,
) {
    json.object(|json| {
        json.field("type", "function");
        json.key("function").object(|json| {
            json.field("name", name);
            json.opt("description", function.description.as_deref());
            match function.parameters.as_deref() {
                None => json.raw_field("parameters", r#"{"type":"object","properties":{}}"#),
                // Only a schema that is enforced is limited.
                Some(parameters) if !strict => json.raw_field("parameters", parameters),
                Some(parameters) => {
                    let (reduced, removed) = schema::reduce(parameters);
                    json.raw_field("parameters", &reduced);
                    for keyword in removed {
                        dropped.push(format!("tools[{index}].parameters ({keyword})"));
                    }
                }
            }
        });
    });
}

fn format(format: &Format<'_>, with_tools: bool, json: &mut JsonWriter, dropped: &mut Dropped) {
    let shape = match format {
        Format::Text => return,
        Format::Opaque { .. } => None,
        Format::Json => Some(None),
        Format::Schema { schema, .. } => Some(Some(schema)),
    };
    // Documented: `json_object` does not go together with tools.
    let Some(shape) = shape.filter(|_| !with_tools) else {
        dropped.push("response_format");
        return;
    };
    json.key("response_format").object(|json| {
        json.field("type", "json_object");
        if let Some(given) = shape {
            let (reduced, removed) = schema::reduce(given);
            json.raw_field("json_schema", &reduced);
            for keyword in removed {
                dropped.push(format!("response_format ({keyword})"));
            }
        }
    });
}

fn sampling(sampling: &Sampling<'_>, json: &mut JsonWriter, dropped: &mut Dropped) {
    json.opt("max_tokens", sampling.max_tokens);
    json.opt("temperature", sampling.temperature);
    // 0.01 to 0.99; 1 means "all" elsewhere, and leaving it out would mean 0.75 here.
    json.opt("p", sampling.top_p.map(|p| p.clamp(0.01, 0.99)));
    if let Some(k) = sampling.top_k {
        json.field("k", k.min(MOST_K));
        if k > MOST_K {
            dropped.push("top_k (above 500)");
        }
    }
    match sampling.seed.map(u64::try_from) {
        Some(Ok(seed)) => json.field("seed", seed),
        Some(Err(_)) => dropped.push("seed (below 0)"),
        None => {}
    }
    if !sampling.stop.is_empty() {
        json.key("stop_sequences").array(|json| {
            for stop in sampling.stop.iter().take(MOST_STOPS) {
                json.value(stop);
            }
        });
        if sampling.stop.len() > MOST_STOPS {
            dropped.push("stop (more than 5)");
        }
    }
    for (name, given) in [
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ] {
        let Some(given) = given else { continue };
        json.field(name, given.clamp(0.0, 1.0));
        if !(0.0..=1.0).contains(&given) {
            dropped.push(format!("{name} (outside 0 to 1)"));
        }
    }
    json.opt("logprobs", sampling.logprobs);
    if sampling.top_logprobs.is_some_and(|count| count > 0) {
        dropped.push("top_logprobs");
    }
    if sampling.n.is_some_and(|n| n > 1) {
        dropped.push("n");
    }
    dropped.given("logit_bias", &sampling.logit_bias);
}

fn reasoning(request: &Request<'_>, json: &mut JsonWriter) {
    let Some(reasoning) = &request.reasoning else { return };
    match reasoning.wanted() {
        None => {}
        Some(false) => json.key("thinking").object(|json| json.field("type", "disabled")),
        Some(true) => json.key("thinking").object(|json| {
            json.field("type", "enabled");
            // `max` is all there is: no bound.
            let unbound = reasoning.dynamic || (reasoning.budget.is_none() && reasoning.effort == Some(Effort::Max));
            let budget = reasoning.budget_for().filter(|budget| *budget > 0 && !unbound);
            json.opt("token_budget", budget);
        }),
    }
}

/// What there is no place for.
fn rest(request: &Request<'_>, dropped: &mut Dropped) {
    dropped.given("verbosity", &request.verbosity);
    dropped.given("audio", &request.audio);
    dropped.given("user", &request.user);
    dropped.given("service_tier", &request.service_tier);
    if !request.modalities.is_empty() {
        dropped.push("modalities");
    }
    if !request.metadata.is_empty() {
        dropped.push("metadata");
    }
    if request.store == Some(true) {
        dropped.push("store");
    }
}
