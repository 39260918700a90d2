//! A request for a target, put together from its parts: conversation ([`super::turns`]), tools ([`super::tools`]), thinking
//! ([`super::thinking`]), and the plain members here.
//!
//! ```json
//! {"model":"claude-sonnet-4-5","max_tokens":1024,"system":[…],"messages":[…],"tools":[…],"tool_choice":{…},
//!  "thinking":{…},"output_config":{…},"temperature":0.5,"top_p":0.9,"top_k":40,"stop_sequences":["…"],
//!  "metadata":{"user_id":"…"},"service_tier":"auto","stream":true}
//! ```
//! Vertex and Bedrock name the model in the path and the version in the body.

use super::content::Blocks;
use super::model::Model;
use super::thinking::{self, Plan};
use super::turns::Turns;
use super::{Variant, tools};
use crate::providers::codec::{Aim, Encoding, Expect, Unfit};
use crate::wire::Dialect;
use crate::wire::canonical::{Reasoning, Request, Tool};
use crate::wire::json::JsonWriter;
use crate::wire::messages::blocks::write_cache;
use http::{HeaderName, HeaderValue};

/// Longest `metadata.user_id`.
const LONGEST_USER: usize = 256;

/// Make the body. `answer`: for an answer; else for a count of tokens.
pub fn encode(request: &Request<'_>, aim: Aim<'_>, variant: Variant, answer: bool) -> Result<Encoding, Unfit> {
    if request.previous_response_id.is_some() {
        let message = "this model's API keeps no answers; send the whole conversation instead";
        return Err(Unfit::request("previous_response_id", message));
    }
    let model = Model::named(aim.model);
    let mut blocks = Blocks {
        bytes_only: variant != Variant::Direct,
        ..Blocks::default()
    };
    let in_place = variant == Variant::Direct && model.hears_system_anywhere();
    let turns = Turns::of(request, in_place, &mut blocks);
    if turns.nothing_said() && turns.no_system() {
        let message = "hold nothing this model can read; send at least one message with text";
        return Err(Unfit::request("messages", format!("`messages` {message}")));
    }
    let tools = tools::plan(request, model, variant, &mut blocks);
    let plan = think(request, model, &turns, tools.forces(), &mut blocks);
    let mut json = JsonWriter::new();
    json.begin_object();
    head(request, aim, variant, answer, &mut json);
    if answer {
        json.field("max_tokens", plan.max_tokens);
    }
    turns.write_system(tools.note.as_deref(), &mut json);
    let mark = request.cache.filter(|_| variant != Variant::Direct);
    turns.write(mark, &mut blocks, &mut json);
    if variant == Variant::Direct {
        write_cache(request.cache, &mut json);
    }
    tools.write(model, &mut blocks, &mut json);
    plan.write(&mut json);
    output_config(request, &plan, tools.native.as_deref(), &mut json);
    if answer {
        sampling(request, model, &plan, &mut blocks, &mut json);
        about(request, variant, &mut blocks, &mut json);
    }
    extras(request, answer, &mut blocks, &mut json);
    refuse(request, &mut blocks);
    let headers = write_betas(&betas(request, blocks.files), variant, &mut json);
    json.end_object();
    Ok(Encoding {
        body: json.finish(),
        headers,
        dropped: blocks.dropped,
        expect: Expect {
            structured_tool: tools.answer.map(|(name, _)| name.into()),
            renamed_tools: blocks.names.renamed,
            model: aim.model.into(),
        },
    })
}

/// Beta features go into a header; on Bedrock, which knows none, into the body.
fn write_betas(betas: &[&'static str], variant: Variant, json: &mut JsonWriter) -> Vec<(HeaderName, HeaderValue)> {
    if betas.is_empty() {
        return Vec::new();
    }
    if variant == Variant::BedrockInvoke {
        json.key("anthropic_beta").array(|json| {
            for beta in betas {
                json.value(*beta);
            }
        });
        return Vec::new();
    }
    let value = HeaderValue::from_str(&betas.join(","));
    value
        .map(|value| (HeaderName::from_static("anthropic-beta"), value))
        .into_iter()
        .collect()
}

fn head(request: &Request<'_>, aim: Aim<'_>, variant: Variant, answer: bool, json: &mut JsonWriter) {
    // Vertex counts for any model at one address, so there the body names it.
    if variant == Variant::Direct || (variant == Variant::Vertex && !answer) {
        json.field("model", aim.model);
    }
    match variant {
        Variant::Direct => {}
        Variant::Vertex => json.field("anthropic_version", "vertex-2023-10-16"),
        Variant::BedrockInvoke => json.field("anthropic_version", "bedrock-2023-05-31"),
    }
    if answer && request.stream && variant != Variant::BedrockInvoke {
        json.field("stream", true);
    }
}

/// Whether and how to think. A turn that is continued without its thinking is refused by models told to think by budget; the
/// others mind only an answer that is begun already, which they refuse anyway.
fn think(request: &Request<'_>, model: Model, turns: &Turns<'_>, forced: bool, blocks: &mut Blocks) -> Plan {
    let most = request.sampling.max_tokens;
    let plan = thinking::plan(request.reasoning.as_ref(), model, most, forced, &mut blocks.dropped);
    if !plan.has_budget() || !turns.continues_without_thinking() {
        return plan;
    }
    blocks
        .dropped
        .push("reasoning (the turn it continues was made without it)");
    let off = Reasoning {
        enabled: Some(false),
        effort: request.reasoning.as_ref().and_then(|reasoning| reasoning.effort),
        ..Reasoning::default()
    };
    thinking::plan(Some(&off), model, most, forced, &mut blocks.dropped)
}

fn output_config(request: &Request<'_>, plan: &Plan, native: Option<&str>, json: &mut JsonWriter) {
    let more = |key: &str| key.starts_with("output_config.");
    let any = own(request).any(|(key, _)| more(key));
    if plan.effort.is_none() && native.is_none() && !any {
        return;
    }
    json.key("output_config").object(|json| {
        json.opt("effort", plan.effort);
        if let Some(schema) = native {
            json.key("format").object(|json| {
                json.field("type", "json_schema");
                json.raw_field("schema", schema);
            });
        }
        for (key, raw) in own(request) {
            if let Some(key) = key.strip_prefix("output_config.") {
                json.raw_field(key, raw);
            }
        }
    });
}

/// The extras of this API.
fn own<'r>(request: &'r Request<'_>) -> impl Iterator<Item = (&'r str, &'r str)> {
    let extras = request.extras.iter();
    extras
        .filter(|extra| extra.dialect == Dialect::Anthropic)
        .map(|extra| (extra.key.as_ref(), extra.raw.as_ref()))
}

/// Length is in the plan; this is chance, and the texts that end an answer.
fn sampling(request: &Request<'_>, model: Model, plan: &Plan, blocks: &mut Blocks, json: &mut JsonWriter) {
    let sampling = &request.sampling;
    let dropped = &mut blocks.dropped;
    if model.samples() {
        let hot = sampling.temperature.map(|temperature| temperature.clamp(0.0, 1.0));
        if hot != sampling.temperature {
            dropped.push("temperature (at most 1)");
        }
        // While it thinks, a model takes only the default, and a narrow range of `top_p`.
        let temperature = hot.filter(|hot| !plan.thinks() || *hot >= 1.0);
        if temperature.is_none() {
            dropped.given("temperature", &sampling.temperature);
        }
        let narrow = |top_p: &f64| !plan.thinks() || (0.95..=1.0).contains(top_p);
        let alone = temperature.is_none() || model.samples_twice();
        let top_p = sampling.top_p.filter(|top_p| narrow(top_p) && alone);
        if top_p.is_none() && sampling.top_p != Some(1.0) {
            dropped.given("top_p", &sampling.top_p);
        }
        let top_k = sampling.top_k.filter(|_| !plan.thinks());
        if top_k.is_none() {
            dropped.given("top_k", &sampling.top_k);
        }
        json.opt("temperature", temperature);
        json.opt("top_p", top_p);
        json.opt("top_k", top_k);
    } else {
        // The default said aloud is no loss.
        dropped.given("temperature", &sampling.temperature.filter(|hot| *hot != 1.0));
        dropped.given("top_p", &sampling.top_p.filter(|top_p| *top_p != 1.0));
        dropped.given("top_k", &sampling.top_k);
    }
    for (index, stop) in sampling.stop.iter().enumerate() {
        if stop.trim().is_empty() {
            dropped.push(format!("stop[{index}] (blank)"));
        }
    }
    if sampling.stop.iter().any(|stop| !stop.trim().is_empty()) {
        json.key("stop_sequences").array(|json| {
            for stop in sampling.stop.iter().filter(|stop| !stop.trim().is_empty()) {
                json.value(stop);
            }
        });
    }
}

/// Who asks, and on which tier.
fn about(request: &Request<'_>, variant: Variant, blocks: &mut Blocks, json: &mut JsonWriter) {
    match &request.user {
        Some(user) if user.len() <= LONGEST_USER => json.key("metadata").object(|json| json.field("user_id", user)),
        Some(_) => blocks.dropped.push("user (longer than 256)"),
        None => {}
    }
    let tier = match request.service_tier.as_deref() {
        Some("auto" | "priority") => Some("auto"),
        Some("default" | "standard" | "standard_only") => Some("standard_only"),
        Some(_) => {
            blocks.dropped.push("service_tier");
            None
        }
        None => None,
    };
    if variant == Variant::Direct {
        json.opt("service_tier", tier);
    } else if tier == Some("standard_only") || request.service_tier.as_deref() == Some("priority") {
        blocks.dropped.push("service_tier");
    }
}

/// Members only this API knows go back as they came; other APIs' are named.
fn extras(request: &Request<'_>, answer: bool, blocks: &mut Blocks, json: &mut JsonWriter) {
    for extra in &request.extras {
        if extra.dialect != Dialect::Anthropic {
            blocks.dropped.push(extra.key.clone());
        } else if !extra.key.contains('.') && (answer || counted(&extra.key)) {
            json.raw_field(&extra.key, &extra.raw);
        }
    }
}

/// Members that a count of tokens takes too.
fn counted(key: &str) -> bool {
    matches!(key, "mcp_servers" | "context_management")
}

/// Name what this API has nothing like.
fn refuse(request: &Request<'_>, blocks: &mut Blocks) {
    let (sampling, dropped) = (&request.sampling, &mut blocks.dropped);
    dropped.given("n", &sampling.n.filter(|n| *n > 1));
    dropped.given("seed", &sampling.seed);
    dropped.given("frequency_penalty", &sampling.frequency_penalty.filter(|p| *p != 0.0));
    dropped.given("presence_penalty", &sampling.presence_penalty.filter(|p| *p != 0.0));
    dropped.given("logprobs", &sampling.logprobs.filter(|wanted| *wanted));
    dropped.given("top_logprobs", &sampling.top_logprobs);
    dropped.given("logit_bias", &sampling.logit_bias);
    dropped.given("verbosity", &request.verbosity);
    dropped.given("audio", &request.audio);
    dropped.given("prompt_cache_key", &request.prompt_cache_key);
    dropped.given("store", &request.store.filter(|wanted| *wanted));
    if request.modalities.iter().any(|modality| modality != "text") {
        dropped.push("modalities");
    }
    if !request.metadata.is_empty() {
        dropped.push("metadata");
    }
}

/// Beta features this request uses, by what it holds.
fn betas(request: &Request<'_>, files: bool) -> Vec<&'static str> {
    let mut betas: Vec<&'static str> = Vec::new();
    if files {
        betas.push("files-api-2025-04-14");
    }
    for tool in &request.tools {
        if let Tool::Builtin {
            dialect: Dialect::Anthropic,
            name,
            ..
        } = tool
        {
            betas.extend(match name.as_ref() {
                "computer_20241022" => Some("computer-use-2024-10-22"),
                "computer_20250124" => Some("computer-use-2025-01-24"),
                "computer_20251124" => Some("computer-use-2025-11-24"),
                "code_execution_20250522" => Some("code-execution-2025-05-22"),
                "mcp_toolset" => Some("mcp-client-2025-11-20"),
                _ => None,
            });
        }
    }
    for (key, _) in own(request) {
        betas.extend(match key {
            "mcp_servers" if !betas.contains(&"mcp-client-2025-11-20") => Some("mcp-client-2025-04-04"),
            "context_management" => Some("context-management-2025-06-27"),
            "speed" => Some("fast-mode-2026-02-01"),
            _ => None,
        });
    }
    betas.dedup();
    betas
}
