//! A Chat Completions request, read into the canonical one. Messages are read by `message`.

use super::{grammar, message};
use crate::wire::Dialect;
use crate::wire::canonical::{
    Builtin, Effort, Extra, Format, Function, Reasoning, Request, Sampling, Text, Tool, ToolChoice,
};
use crate::wire::json::{Invalid, Node};

/// Members that are read here or by the gateway; every other is kept as an [`Extra`].
pub const KNOWN: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "include_reasoning",
    "thinking",
    "enable_thinking",
    "thinking_budget",
    "verbosity",
    "modalities",
    "audio",
    "user",
    "safety_identifier",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "store",
    "cache_control",
    "web_search_options",
];

/// The whole body.
pub fn request<'d>(body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
    body.object()?;
    let text = |key: &str| -> Result<Option<Text<'d>>, Invalid> { Ok(body.opt(key, Node::str)?.map(Into::into)) };
    let user = text("safety_identifier")?.or(text("user")?);
    let stream_usage = body.opt("stream_options", |options| {
        options.object()?;
        options.opt("include_usage", Node::bool)
    })?;
    Ok(Request {
        messages: body.req("messages", message::all)?,
        tools: tools(body)?,
        tool_choice: match body.opt("tool_choice", tool_choice)? {
            Some(choice) => Some(choice),
            None => body.opt("function_call", function_choice)?,
        },
        parallel_tool_calls: body.opt("parallel_tool_calls", Node::bool)?,
        sampling: sampling(body)?,
        format: body.opt("response_format", format)?.unwrap_or_default(),
        reasoning: reasoning(body)?,
        verbosity: text("verbosity")?,
        modalities: modalities(body)?,
        audio: body.opt("audio", |audio| audio.object().map(|_| audio.raw.into()))?,
        user,
        metadata: body.opt("metadata", metadata)?.unwrap_or_default(),
        service_tier: text("service_tier")?,
        prompt_cache_key: text("prompt_cache_key")?,
        store: body.opt("store", Node::bool)?,
        previous_response_id: None,
        stream,
        stream_usage: stream_usage.flatten().unwrap_or(false),
        cache: body.opt("cache_control", message::cache)?,
        extras: extras(body, KNOWN),
    })
}

/// Members this gateway does not know, in their order.
pub fn extras<'d>(body: &'d Node<'_>, known: &[&str]) -> Vec<Extra<'d>> {
    let members = body.as_object().unwrap_or_default().iter();
    let unknown = members.filter(|(key, value)| !known.contains(&key.as_ref()) && !value.is_null());
    unknown
        .map(|(key, value)| Extra {
            dialect: Dialect::OpenAi,
            key: Text::Borrowed(key.as_ref()),
            raw: value.raw.into(),
        })
        .collect()
}

/// Length and chance; also of legacy completions, but for `logprobs`, which is a number there.
pub fn sampling<'d>(body: &'d Node<'_>) -> Result<Sampling<'d>, Invalid> {
    let newer = body.opt("max_completion_tokens", Node::u64)?;
    Ok(Sampling {
        max_tokens: newer.or(body.opt("max_tokens", Node::u64)?),
        logprobs: body.opt("logprobs", Node::bool)?,
        top_logprobs: body.opt("top_logprobs", Node::u64)?,
        ..chance(body)?
    })
}

/// What chat and legacy completions have alike.
pub fn chance<'d>(body: &'d Node<'_>) -> Result<Sampling<'d>, Invalid> {
    Ok(Sampling {
        temperature: body.opt("temperature", Node::f64)?,
        top_p: body.opt("top_p", Node::f64)?,
        top_k: body.opt("top_k", Node::u64)?,
        frequency_penalty: body.opt("frequency_penalty", Node::f64)?,
        presence_penalty: body.opt("presence_penalty", Node::f64)?,
        seed: body.opt("seed", Node::i64)?,
        stop: body.opt("stop", stop)?.unwrap_or_default(),
        n: body.opt("n", Node::u64)?,
        logit_bias: body.opt("logit_bias", |bias| bias.object().map(|_| bias.raw.into()))?,
        ..Sampling::default()
    })
}

fn stop<'d>(node: &'d Node<'_>) -> Result<Vec<Text<'d>>, Invalid> {
    match node.as_str() {
        Some(text) => Ok(vec![text.into()]),
        None if node.as_array().is_some() => node.each(|text| text.str().map(Into::into)),
        None => Err(Invalid::wrong_type("a string or an array of strings")),
    }
}

fn modalities<'d>(body: &'d Node<'_>) -> Result<Vec<Text<'d>>, Invalid> {
    let wanted = body.opt("modalities", |list| list.each(|m| m.str().map(str::to_ascii_lowercase)))?;
    let wanted = wanted.unwrap_or_default().into_iter();
    Ok(wanted.filter(|kind| kind != "text").map(Into::into).collect())
}

fn metadata<'d>(node: &'d Node<'_>) -> Result<Vec<(Text<'d>, Text<'d>)>, Invalid> {
    let members = node.object()?.iter();
    Ok(members
        .map(|(key, value)| (Text::Borrowed(key.as_ref()), value.as_str().unwrap_or(value.raw).into()))
        .collect())
}

fn tools<'d>(body: &'d Node<'_>) -> Result<Vec<Tool<'d>>, Invalid> {
    let mut tools = body.opt("tools", |list| list.each(tool))?.unwrap_or_default();
    let legacy = body.opt("functions", |list| list.each(function))?.unwrap_or_default();
    tools.extend(legacy.into_iter().map(Tool::Function));
    if let Some(options) = body.opt("web_search_options", |options| options.object().map(|_| options.raw))? {
        tools.push(Tool::Builtin {
            kind: Builtin::WebSearch,
            dialect: Dialect::OpenAi,
            name: "web_search_options".into(),
            raw: options.into(),
        });
    }
    Ok(tools)
}

fn tool<'d>(node: &'d Node<'_>) -> Result<Tool<'d>, Invalid> {
    node.object()?;
    match node.req("type", Node::str)? {
        "function" => {
            let mut function = node.req("function", function)?;
            if let Some(cache) = node.opt("cache_control", message::cache)? {
                function.cache = Some(cache);
            }
            Ok(Tool::Function(function))
        }
        "custom" => node.req("custom", |custom| {
            Ok(Tool::Custom {
                name: custom.req("name", Node::str)?.into(),
                description: custom.opt("description", Node::str)?.map(Into::into),
                format: custom.opt("format", |format| format.object().map(|_| grammar::flat(format.raw)))?,
            })
        }),
        // Vendors of this shape have tools of their own (`web_search` of Z.ai, `openrouter:datetime`).
        other => Ok(Tool::Builtin {
            kind: match other {
                _ if other.contains("web_search") || other == "browser_search" => Builtin::WebSearch,
                "code_interpreter" | "code_execution" => Builtin::CodeExecution,
                _ => Builtin::Other,
            },
            dialect: Dialect::OpenAi,
            name: other.into(),
            raw: node.raw.into(),
        }),
    }
}

fn function<'d>(node: &'d Node<'_>) -> Result<Function<'d>, Invalid> {
    node.object()?;
    let name = node.req("name", Node::str)?;
    if name.is_empty() {
        return Err(Invalid::value("is empty").within("name"));
    }
    Ok(Function {
        name: name.into(),
        description: node.opt("description", Node::str)?.map(Into::into),
        parameters: node.opt("parameters", |schema| schema.object().map(|_| schema.raw.into()))?,
        strict: node.opt("strict", Node::bool)?,
        cache: node.opt("cache_control", message::cache)?,
    })
}

fn tool_choice<'d>(node: &'d Node<'_>) -> Result<ToolChoice<'d>, Invalid> {
    const KNOWN: &str = "must be none, auto, required, or {\"type\":\"function\",\"function\":{\"name\":…}}";
    let word = |word: &str| match word {
        "none" => Some(ToolChoice::None),
        "auto" => Some(ToolChoice::Auto),
        "required" | "any" => Some(ToolChoice::Required),
        _ => None,
    };
    if let Some(text) = node.as_str() {
        return word(text).ok_or_else(|| Invalid::value(KNOWN));
    }
    if node.as_object().is_none() {
        return Err(Invalid::wrong_type("a string or an object"));
    }
    let name = |node: &'d Node<'_>| {
        node.req("name", Node::str)
            .map(|name| ToolChoice::Function(name.into()))
    };
    match node.req("type", Node::str)? {
        "function" => node.req("function", name),
        "custom" => node.req("custom", name),
        // The choice as Anthropic's clients write it.
        "tool" => name(node),
        "allowed_tools" => node.req("allowed_tools", allowed),
        other => word(other).ok_or_else(|| Invalid::value(KNOWN).within("type")),
    }
}

fn allowed<'d>(node: &'d Node<'_>) -> Result<ToolChoice<'d>, Invalid> {
    let required = match node.opt("mode", Node::str)? {
        None | Some("auto") => false,
        Some("required") => true,
        Some(_) => return Err(Invalid::value("must be auto or required").within("mode")),
    };
    let names = node.req("tools", |tools| {
        tools.each(|tool| {
            let inner = ["function", "custom"]
                .into_iter()
                .find_map(|key| tool.get(key))
                .unwrap_or(tool);
            inner.req("name", Node::str).map(Into::into)
        })
    })?;
    Ok(ToolChoice::Allowed { names, required })
}

fn function_choice<'d>(node: &'d Node<'_>) -> Result<ToolChoice<'d>, Invalid> {
    match node.as_str() {
        Some("none") => Ok(ToolChoice::None),
        Some("auto") => Ok(ToolChoice::Auto),
        Some(_) => Err(Invalid::value("must be none, auto or {\"name\":…}")),
        None => Ok(ToolChoice::Function(node.req("name", Node::str)?.into())),
    }
}

fn format<'d>(node: &'d Node<'_>) -> Result<Format<'d>, Invalid> {
    node.object()?;
    Ok(match node.req("type", Node::str)? {
        "text" => Format::Text,
        "json_object" => Format::Json,
        "json_schema" => node.req("json_schema", |schema| {
            schema.object()?;
            Ok(Format::Schema {
                name: schema.opt("name", Node::str)?.map(Into::into),
                description: schema.opt("description", Node::str)?.map(Into::into),
                schema: schema.req("schema", |schema| schema.object().map(|_| schema.raw.into()))?,
                strict: schema.opt("strict", Node::bool)?,
            })
        })?,
        _ => Format::Opaque {
            dialect: Dialect::OpenAi,
            raw: node.raw.into(),
        },
    })
}

fn effort(node: &Node<'_>) -> Result<Effort, Invalid> {
    let known = "must be none, minimal, low, medium, high, xhigh or max";
    Effort::from_name(node.str()?).ok_or_else(|| Invalid::value(known))
}

/// All the ways in which clients of this shape ask for reasoning, the most telling first.
fn reasoning<'d>(body: &'d Node<'_>) -> Result<Option<Reasoning<'d>>, Invalid> {
    let mut wanted = Reasoning::default();
    if let Some(node) = body.get("reasoning") {
        openrouter(node, &mut wanted).map_err(|invalid| invalid.within("reasoning"))?;
    }
    if let Some(node) = body.get("thinking") {
        thinking(node, &mut wanted).map_err(|invalid| invalid.within("thinking"))?;
    }
    if let Some(enabled) = body.opt("enable_thinking", Node::bool)? {
        wanted.enabled = Some(enabled);
    }
    if let Some(budget) = body.opt("thinking_budget", Node::u64)? {
        wanted.budget = Some(budget);
    }
    if let Some(show) = body.opt("include_reasoning", Node::bool)? {
        wanted.show = Some(show);
    }
    if let Some(effort) = body.opt("reasoning_effort", effort)? {
        wanted.effort = Some(effort);
    }
    Ok((wanted != Reasoning::default()).then_some(wanted))
}

fn openrouter<'d>(node: &'d Node<'_>, wanted: &mut Reasoning<'d>) -> Result<(), Invalid> {
    node.object()?;
    wanted.effort = node.opt("effort", effort)?;
    wanted.budget = node.opt("max_tokens", Node::u64)?;
    wanted.enabled = node.opt("enabled", Node::bool)?;
    wanted.summary = node.opt("summary", Node::str)?.map(Into::into);
    wanted.show = node.opt("exclude", Node::bool)?.map(|exclude| !exclude);
    Ok(())
}

fn thinking<'d>(node: &'d Node<'_>, wanted: &mut Reasoning<'d>) -> Result<(), Invalid> {
    node.object()?;
    match node.req("type", Node::str)? {
        "enabled" => wanted.enabled = Some(true),
        "disabled" => wanted.enabled = Some(false),
        "adaptive" | "auto" => wanted.dynamic = true,
        _ => return Err(Invalid::value("must be enabled, disabled or adaptive").within("type")),
    }
    if let Some(budget) = node.opt("budget_tokens", Node::u64)? {
        wanted.budget = Some(budget);
    }
    Ok(())
}
