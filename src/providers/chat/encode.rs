//! A request for a target: everything but messages and tools.

use super::families::{self, Family};
use super::quirks::{Ask, Quirks, Structured, nearest};
use super::{messages, names, tools};
use crate::providers::codec::{Aim, Encoding, Expect, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::{Dropped, Effort, Format, Reasoning, Request, ToolCallKind};
use crate::wire::json::{JsonWriter, Put};
use std::borrow::Cow;
use std::collections::HashSet;

/// Longest `user` that OpenAI takes.
const LONGEST_USER: usize = 64;

/// What is kept in mind while a request is made.
pub struct Making<'m> {
    /// What the vendor does differently.
    pub quirks: &'m Quirks,
    /// The target's name of the model.
    pub model: &'m str,
    /// What is known of that model.
    pub family: Family,
    /// What the target cannot take.
    pub dropped: Dropped,
    /// For reading the answer.
    pub expect: Expect,
    /// The changed names that it holds: a conversation may call very many tools.
    pub renamed: HashSet<Box<str>>,
    /// The last message is to be continued, and the body must say so.
    pub goes_on: bool,
}

impl Making<'_> {
    /// A tool's name at the target; remembered if it had to change. Where there are no free-text tools, they are functions.
    pub fn tool_name<'n>(&mut self, name: &'n str, kind: ToolCallKind) -> Cow<'n, str> {
        let made = match kind {
            ToolCallKind::Custom if !self.quirks.openai => names::free_text(name).into(),
            _ => names::tool(name),
        };
        if made != name && self.renamed.insert(made.as_ref().into()) {
            let renamed = (made.as_ref().into(), name.into());
            self.expect.renamed_tools.push(renamed);
        }
        made
    }

    fn field(&mut self, json: &mut JsonWriter, taken: bool, key: &str, value: Option<impl Put>) {
        match value {
            Some(value) if taken => json.field(key, value),
            Some(_) => self.dropped.push(key),
            None => {}
        }
    }
}

/// Make it.
pub fn request(request: &Request<'_>, aim: Aim<'_>, quirks: &Quirks) -> Result<Encoding, Unfit> {
    if request.previous_response_id.is_some() {
        let message = "this model keeps no answers to go on from; send the whole conversation instead";
        return Err(Unfit::request("previous_response_id", message));
    }
    if quirks.most_tools > 0 && request.tools.len() > quirks.most_tools {
        let message = format!("this model takes at most {} tools; send fewer", quirks.most_tools);
        return Err(Unfit::request("tools", message));
    }
    let mut making = Making {
        quirks,
        model: aim.model,
        family: if matches!(quirks.ask, Ask::OpenAi) {
            families::of(aim.model)
        } else {
            Family::Unknown
        },
        dropped: Dropped::default(),
        expect: Expect {
            model: aim.model.into(),
            ..Expect::default()
        },
        renamed: HashSet::new(),
        goes_on: false,
    };
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", aim.model);
        json.key("messages")
            .array(|json| messages::all(json, &request.messages, &mut making));
        if making.goes_on && !request.extras.iter().any(|extra| extra.key == "continue_final_message") {
            json.field("continue_final_message", true);
            json.field("add_generation_prompt", false);
        }
        if request.stream {
            json.field("stream", true);
            if aim.stream_usage && quirks.stream_options {
                json.key("stream_options")
                    .object(|json| json.field("include_usage", true));
            }
        }
        format(json, request, &mut making);
        tools::write(json, request, &mut making);
        sampling(json, request, &mut making);
        thinking(json, request, &mut making);
        rest(json, request, &mut making);
    });
    Ok(Encoding {
        body: json.finish(),
        headers: Vec::new(),
        dropped: making.dropped,
        expect: making.expect,
    })
}

/// How much to think.
fn thinking(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    match &request.reasoning {
        Some(wanted) => reasoning(json, wanted, request, making),
        // Where thinking is the default, it does not go with a forced call.
        None if making.expect.structured_tool.is_some() => {
            let off = Reasoning {
                enabled: Some(false),
                ..Reasoning::default()
            };
            if matches!(making.quirks.ask, Ask::Type(_) | Ask::Enable) {
                reasoning(json, &off, request, making);
            }
        }
        None => {}
    }
}

fn sampling(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let (quirks, chance) = (making.quirks, &request.sampling);
    let free = !making.family.refuses_sampling();
    json.opt(quirks.max_tokens, chance.max_tokens);
    let cooled = chance.temperature.filter(|value| *value > quirks.hottest);
    if cooled.is_some() {
        making
            .dropped
            .push(format!("temperature (more than {})", quirks.hottest));
    }
    let temperature = cooled.map(|_| quirks.hottest).or(chance.temperature);
    // The default is taken by all.
    for (key, value) in [("temperature", temperature), ("top_p", chance.top_p)] {
        making.field(json, free || value == Some(1.0), key, value);
    }
    making.field(json, quirks.top_k, "top_k", chance.top_k);
    making.field(
        json,
        free && quirks.penalties,
        "frequency_penalty",
        chance.frequency_penalty,
    );
    making.field(
        json,
        free && quirks.penalties,
        "presence_penalty",
        chance.presence_penalty,
    );
    match quirks.seed {
        Some(_) if quirks.seed_from_zero && chance.seed.is_some_and(|seed| seed < 0) => {
            making.dropped.push("seed (negative)");
        }
        Some(key) => json.opt(key, chance.seed),
        None => making.dropped.given("seed", &chance.seed),
    }
    stop(json, request, making);
    making.field(json, quirks.n, "n", chance.n.filter(|&n| quirks.n || n != 1));
    let logprobs = free && quirks.logprobs;
    making.field(
        json,
        logprobs,
        "logprobs",
        chance.logprobs.filter(|&wanted| wanted || logprobs),
    );
    making.field(json, logprobs, "top_logprobs", chance.top_logprobs);
    match &chance.logit_bias {
        Some(bias) if free && quirks.logit_bias => json.raw_field("logit_bias", bias),
        bias => making.dropped.given("logit_bias", bias),
    }
}

fn stop(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let most = if making.family.refuses_stop() {
        0
    } else {
        making.quirks.stops
    };
    let texts = &request.sampling.stop;
    if texts.len() > most {
        making.dropped.push("stop");
    }
    if most > 0 && !texts.is_empty() {
        json.key("stop")
            .array(|json| texts.iter().take(most).for_each(|text| json.value(text)));
    }
}

fn format(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let can = making.quirks.structured;
    let json_object = |json: &mut JsonWriter| {
        json.key("response_format")
            .object(|json| json.field("type", "json_object"));
    };
    match &request.format {
        Format::Text => {}
        Format::Json if matches!(can, Structured::Schema | Structured::Object) => json_object(json),
        Format::Json => making.dropped.push("response_format"),
        Format::Schema {
            name,
            description,
            schema,
            strict,
        } if matches!(can, Structured::Schema | Structured::SchemaOnly) => {
            json.key("response_format").object(|json| {
                json.field("type", "json_schema");
                json.key("json_schema").object(|json| {
                    json.field("name", names::tool(name.as_deref().unwrap_or("answer")));
                    json.opt("description", description.as_ref());
                    json.raw_field("schema", schema);
                    json.opt("strict", *strict);
                });
            });
        }
        Format::Schema { .. } if tools::forces_structure(request, making) => {}
        Format::Schema { .. } if can == Structured::Object => {
            making.dropped.push("response_format (schema)");
            json_object(json);
        }
        Format::Schema { .. } => making.dropped.push("response_format"),
        Format::Opaque {
            dialect: Dialect::OpenAi,
            raw,
        } => json.raw_field("response_format", raw),
        Format::Opaque { .. } => making.dropped.push("response_format"),
    }
}

fn reasoning(json: &mut JsonWriter, wanted: &Reasoning<'_>, request: &Request<'_>, making: &mut Making<'_>) {
    let on = wanted.wanted();
    let effort = if on == Some(false) {
        Some(Effort::None)
    } else {
        wanted.effort_for()
    };
    match making.quirks.ask {
        Ask::OpenAi => openai_effort(json, on, effort, making),
        Ask::Effort(known) => {
            if families::takes_effort(making.quirks.name, making.model) {
                word(json, known, effort, making);
            } else if on == Some(true) {
                making.dropped.push("reasoning");
            }
        }
        Ask::Object => object(json, wanted, on),
        Ask::Enable => {
            json.opt("enable_thinking", on);
            json.opt("thinking_budget", wanted.budget_for().filter(|_| on == Some(true)));
        }
        Ask::Type(known) => {
            if let Some(on) = on {
                let kind = if on { "enabled" } else { "disabled" };
                json.key("thinking").object(|json| json.field("type", kind));
            }
            let effort = effort.filter(|&effort| effort != Effort::None);
            json.opt(
                "reasoning_effort",
                effort.and_then(|e| nearest(known, e)).map(Effort::as_str),
            );
        }
        Ask::Template => {
            let given = request.extras.iter().any(|extra| extra.key == "chat_template_kwargs");
            if let (Some(on), false) = (on, given) {
                json.key("chat_template_kwargs").object(|json| {
                    json.field("enable_thinking", on);
                    json.field("thinking", on);
                });
            }
            let effort = effort.filter(|&effort| effort != Effort::None);
            let known = [Effort::Low, Effort::Medium, Effort::High];
            json.opt(
                "reasoning_effort",
                effort.and_then(|e| nearest(&known, e)).map(Effort::as_str),
            );
        }
        Ask::Mistral => mistral(json, on, effort, making),
        Ask::None => {
            if on.is_some() {
                making.dropped.push("reasoning");
            }
        }
    }
}

fn word(json: &mut JsonWriter, known: &[Effort], effort: Option<Effort>, making: &mut Making<'_>) {
    match effort.map(|effort| nearest(known, effort)) {
        Some(Some(effort)) => json.field("reasoning_effort", effort.as_str()),
        // Not to reason cannot be said.
        Some(None) => making.dropped.push("reasoning_effort (none)"),
        None => {}
    }
}

fn openai_effort(json: &mut JsonWriter, on: Option<bool>, effort: Option<Effort>, making: &mut Making<'_>) {
    let known = making.family.efforts();
    match (effort, known.first()) {
        (Some(Effort::None), None) => {}
        (_, None) => {
            if on == Some(true) {
                making.dropped.push("reasoning");
            }
        }
        (Some(effort), Some(weakest)) => {
            // A model that always reasons does so as little as it can.
            let nearest = nearest(known, effort).unwrap_or(*weakest);
            json.field("reasoning_effort", nearest.as_str());
        }
        // Those that reason only when asked.
        (None, Some(Effort::None)) if on == Some(true) && making.family == Family::FiveOne => {
            json.field("reasoning_effort", "medium");
        }
        (None, Some(_)) => {}
    }
}

/// OpenRouter's member; effort or budget, not both.
fn object(json: &mut JsonWriter, wanted: &Reasoning<'_>, on: Option<bool>) {
    if on.is_none() && wanted.show != Some(false) && wanted.summary.is_none() {
        return;
    }
    json.key("reasoning").object(|json| {
        match (wanted.effort, wanted.budget) {
            (Some(effort), _) => json.field("effort", effort.as_str()),
            (None, Some(budget)) if budget > 0 => json.field("max_tokens", budget),
            _ => json.opt("enabled", on),
        }
        if let (Some(false), Some(_), None) = (on, wanted.effort, wanted.budget) {
            json.opt("enabled", (wanted.effort != Some(Effort::None)).then_some(false));
        }
        json.opt("exclude", wanted.show.filter(|show| !show).map(|show| !show));
        json.opt("summary", wanted.summary.as_ref());
    });
}

/// docs.mistral.ai/capabilities/reasoning, read 2026-11: the adjustable models take `reasoning_effort`, the small and medium
/// one only `none` and `high`; Magistral always reasons, `prompt_mode` chooses its system prompt; others do not reason.
fn mistral(json: &mut JsonWriter, on: Option<bool>, effort: Option<Effort>, making: &mut Making<'_>) {
    let model = making.model;
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
    if is(&["magistral"]) {
        if on == Some(true) {
            json.field("prompt_mode", "reasoning");
        } else if on == Some(false) {
            making.dropped.push("reasoning_effort (none)");
        }
        return;
    }
    let known: &[Effort] = if is(&["mistral-large-4"]) {
        &[Effort::None, Effort::Low, Effort::Medium, Effort::High]
    } else if is(&[
        "mistral-small-latest",
        "mistral-small-26",
        "mistral-small-4",
        "mistral-medium-3-5",
    ]) {
        &[Effort::None, Effort::High]
    } else {
        &[]
    };
    match (on, known) {
        (Some(true), []) => making.dropped.push("reasoning"),
        (Some(on), [_, ..]) => {
            let wanted = effort.unwrap_or(if on { Effort::High } else { Effort::None });
            json.opt("reasoning_effort", nearest(known, wanted).map(Effort::as_str));
        }
        _ => {}
    }
}

fn rest(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let quirks = making.quirks;
    making.field(json, quirks.modalities, "verbosity", request.verbosity.as_ref());
    if !request.modalities.is_empty() {
        if quirks.modalities {
            json.key("modalities").array(|json| {
                json.value("text");
                request.modalities.iter().for_each(|kind| json.value(kind));
            });
        } else {
            making.dropped.push("modalities");
        }
    }
    match &request.audio {
        Some(audio) if quirks.openai => json.raw_field("audio", audio),
        audio => making.dropped.given("audio", audio),
    }
    user(json, request, making);
    if !request.metadata.is_empty() {
        // OpenAI takes them for what it keeps only; Mistral always.
        if (quirks.openai && request.store == Some(true)) || matches!(quirks.ask, Ask::Mistral) {
            json.key("metadata")
                .object(|json| request.metadata.iter().for_each(|(key, value)| json.field(key, value)));
        } else {
            making.dropped.push("metadata");
        }
    }
    // Anthropic's word for it.
    let tier = request
        .service_tier
        .as_deref()
        .map(|tier| if tier == "standard_only" { "default" } else { tier });
    let said = tier.filter(|tier| quirks.service_tier || !matches!(*tier, "auto" | "default"));
    making.field(json, quirks.service_tier, "service_tier", said);
    if quirks.prompt_cache_key {
        json.opt("prompt_cache_key", request.prompt_cache_key.as_ref());
    }
    making.field(
        json,
        quirks.openai,
        "store",
        request.store.filter(|&store| store || quirks.openai),
    );
    // For the whole request only OpenRouter documents it.
    super::pieces::cache_control(json, request.cache.filter(|_| quirks.ask == Ask::Object), quirks);
    for extra in &request.extras {
        if extra.dialect == Dialect::OpenAi {
            json.raw_field(&extra.key, &extra.raw);
        } else {
            making.dropped.push(extra.key.as_ref());
        }
    }
}

fn user(json: &mut JsonWriter, request: &Request<'_>, making: &mut Making<'_>) {
    let quirks = making.quirks;
    match request.user.as_deref() {
        // The same user stays the same.
        Some(user) if quirks.openai && user.len() > LONGEST_USER => json.field("user", names::digest(user)),
        user => making.field(json, quirks.user, "user", user),
    }
}
