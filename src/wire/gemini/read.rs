//! A `generateContent` body as a canonical request.
//!
//! ```json
//! {"contents":[…], "systemInstruction":{"parts":[{"text":"…"}]}, "tools":[…], "toolConfig":{…},
//!  "generationConfig":{"temperature":0.5,"topP":0.9,"topK":40,"candidateCount":1,"maxOutputTokens":100,"stopSequences":["x"],
//!    "seed":1,"presencePenalty":0,"frequencyPenalty":0,"responseLogprobs":true,"logprobs":3,"responseMimeType":"application/json",
//!    "responseSchema":{…},"responseJsonSchema":{…},"responseModalities":["TEXT"],
//!    "thinkingConfig":{"thinkingBudget":-1,"thinkingLevel":"low","includeThoughts":true},"speechConfig":{…}},
//!  "safetySettings":[…], "cachedContent":"cachedContents/x", "labels":{}, "serviceTier":"standard"}
//! ```
//! Members that only Google knows become extras; `model` is the address's business. A response type that is neither JSON
//! nor text (`text/x.enum`) is a format only Google knows.
//! Source: ai.google.dev/api/generate-content, read 2026-11.

use super::fields::{Fields, each, same, text};
use super::{contents, schema, tools};
use crate::wire::Dialect;
use crate::wire::canonical::{Effort, Extra, Format, Reasoning, Request, Sampling};
use crate::wire::json::{Invalid, JsonWriter, Node};
use std::borrow::Cow;

/// The request of a body.
pub fn request<'d>(body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
    body.object()?;
    let mut request = Request {
        stream,
        stream_usage: true,
        ..Request::default()
    };
    if let Some(system) = body.opt_field("systemInstruction", contents::system)?.flatten() {
        request.messages.push(system);
    }
    let conversation = body.req_field("contents", contents::read)?;
    if conversation.is_empty() {
        return Err(Invalid::value("is empty; send at least one content with parts").within("contents"));
    }
    request.messages.extend(conversation);
    request.tools = body.opt_field("tools", tools::read)?.unwrap_or_default();
    request.tool_choice = body
        .opt_field("toolConfig", |config| tools::choice(config, &mut request.extras))?
        .flatten();
    body.opt_field("generationConfig", |config| generation(config, &mut request))?;
    request.service_tier = body.opt_field("serviceTier", |tier| tier.str().map(tier_in))?;
    others(body, &mut request)?;
    Ok(request)
}

/// Google's word for the usual tier is everybody else's `default`.
fn tier_in(word: &str) -> Cow<'_, str> {
    let lower = word.to_ascii_lowercase();
    match lower.strip_prefix("service_tier_").unwrap_or(&lower) {
        "standard" => Cow::Borrowed("default"),
        "unspecified" => Cow::Borrowed("auto"),
        other => Cow::Owned(other.to_owned()),
    }
}

fn others<'d>(body: &'d Node<'_>, request: &mut Request<'d>) -> Result<(), Invalid> {
    const READ: [&str; 7] = [
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "serviceTier",
        "model",
    ];
    for (key, node) in body.object()? {
        if !node.is_null() && !READ.iter().any(|read| same(key, read)) {
            request.extras.push(Extra {
                dialect: Dialect::Gemini,
                key: key.as_ref().into(),
                raw: node.raw.into(),
            });
        }
    }
    Ok(())
}

/// Members of `generationConfig` that have a canonical place.
const CONFIG: [&str; 17] = [
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
];

fn generation<'d>(config: &'d Node<'_>, request: &mut Request<'d>) -> Result<(), Invalid> {
    let members = config.object()?;
    request.sampling = Sampling {
        max_tokens: config.opt_field("maxOutputTokens", Node::u64)?,
        temperature: config.opt_field("temperature", Node::f64)?,
        top_p: config.opt_field("topP", Node::f64)?,
        top_k: config.opt_field("topK", Node::u64)?,
        frequency_penalty: config.opt_field("frequencyPenalty", Node::f64)?,
        presence_penalty: config.opt_field("presencePenalty", Node::f64)?,
        seed: config.opt_field("seed", Node::i64)?,
        stop: config
            .opt_field("stopSequences", |stop| each(stop, text))?
            .unwrap_or_default(),
        n: config.opt_field("candidateCount", Node::u64)?,
        logprobs: config.opt_field("responseLogprobs", Node::bool)?,
        top_logprobs: config.opt_field("logprobs", Node::u64)?,
        logit_bias: None,
    };
    request.format = format(config)?;
    request.reasoning = config.opt_field("thinkingConfig", thinking)?;
    let wanted = config.opt_field("responseModalities", |list| {
        each(list, |word| word.str().map(str::to_ascii_lowercase))
    })?;
    let besides = wanted.into_iter().flatten().filter(|word| word != "text");
    request.modalities = besides.map(Cow::Owned).collect();
    for (key, node) in members {
        if !node.is_null() && !CONFIG.iter().any(|known| same(key, known)) {
            request.extras.push(Extra {
                dialect: Dialect::Gemini,
                key: format!("generationConfig.{key}").into(),
                raw: node.raw.into(),
            });
        }
    }
    Ok(())
}

fn format<'d>(config: &'d Node<'_>) -> Result<Format<'d>, Invalid> {
    let object = |schema: &'d Node<'_>| schema.object().map(|_| schema);
    let kind = config.opt_field("responseMimeType", Node::str)?.unwrap_or_default();
    let own = config.opt_field("responseSchema", object)?;
    let standard = match config.opt_field("responseJsonSchema", object)? {
        Some(schema) => Some(schema),
        None => config.opt_field("_responseJsonSchema", object)?,
    };
    if !matches!(kind, "" | "text/plain" | "application/json") {
        let mut json = JsonWriter::new();
        json.object(|json| {
            json.field("responseMimeType", kind);
            if let Some(schema) = own {
                json.raw_field("responseSchema", schema.raw);
            }
        });
        return Ok(Format::Opaque {
            dialect: Dialect::Gemini,
            raw: String::from_utf8(json.finish()).unwrap_or_default().into(),
        });
    }
    let schema = match (standard, own) {
        (Some(standard), _) => Cow::Borrowed(standard.raw),
        (None, Some(own)) => Cow::Owned(schema::to_json_schema(own)),
        (None, None) if kind == "application/json" => return Ok(Format::Json),
        (None, None) => return Ok(Format::Text),
    };
    Ok(Format::Schema {
        name: None,
        description: None,
        schema,
        strict: None,
    })
}

fn thinking<'d>(config: &'d Node<'_>) -> Result<Reasoning<'d>, Invalid> {
    config.object()?;
    let mut reasoning = Reasoning {
        show: config.opt_field("includeThoughts", Node::bool)?,
        ..Reasoning::default()
    };
    match config.opt_field("thinkingBudget", Node::i64)? {
        None => {}
        Some(-1) => reasoning.dynamic = true,
        Some(budget) => {
            let tokens = u64::try_from(budget)
                .map_err(|_| Invalid::value("must be -1 (the model decides), 0 (off) or a number of tokens"));
            let tokens = tokens.map_err(|invalid| invalid.within("thinkingBudget"))?;
            reasoning.budget = Some(tokens);
            reasoning.enabled = (tokens == 0).then_some(false);
        }
    }
    reasoning.effort = config
        .opt_field("thinkingLevel", |level| {
            let word = level.str()?.to_ascii_lowercase();
            match word.as_str() {
                "thinking_level_unspecified" | "" => Ok(None),
                "minimal" | "low" | "medium" | "high" | "xhigh" => Ok(Effort::from_name(&word)),
                _ => Err(Invalid::value("must be one of minimal, low, medium, high")),
            }
        })?
        .flatten();
    Ok(reasoning)
}
