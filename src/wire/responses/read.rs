//! The request body.
//!
//! ```json
//! {"model":"…","input":"…" | [item],"instructions":"…","tools":[…],"tool_choice":…,"text":{…},"reasoning":{…},"include":[…],
//!  "max_output_tokens":1,"temperature":1,"top_p":1,"top_logprobs":0,"parallel_tool_calls":true,"previous_response_id":"…",
//!  "store":false,"metadata":{…},"service_tier":"…","user":"…","safety_identifier":"…","prompt_cache_key":"…","stream":true}
//! ```
//! Everything else (`conversation`, `prompt`, `truncation`, `max_tool_calls`, `background` …) is this API's own and travels
//! as [`Extra`]; defaults that say nothing (`"truncation":"disabled"`, `"background":false`) do not. A request in the
//! background is answered at once where the target cannot do that, with a status that says it is complete.

use super::{content, items, tools};
use crate::wire::Dialect;
use crate::wire::canonical::{Extra, Message, Part, Reasoning, Request, Role, Text};
use crate::wire::json::{Invalid, Node};

/// `include` entries that the canonical model has a word for.
pub(crate) const ENCRYPTED: &str = "reasoning.encrypted_content";
/// See [`ENCRYPTED`].
pub(crate) const LOGPROBS: &str = "message.output_text.logprobs";

pub(super) fn request<'d>(body: &'d Node<'_>, stream: bool) -> Result<Request<'d>, Invalid> {
    let mut request = Request {
        stream,
        stream_usage: true,
        ..Request::default()
    };
    for (key, value) in body.object()? {
        if !value.is_null() {
            member(&mut request, key, value).map_err(|invalid| invalid.within(key))?;
        }
    }
    let stateful =
        request.previous_response_id.is_some() || ["conversation", "prompt"].iter().any(|key| body.get(key).is_some());
    if let Some(instructions) = body.opt("instructions", Node::str)? {
        request.messages.push(Message {
            role: Role::System,
            name: None,
            parts: vec![Part::text(instructions)],
        });
    }
    match body.opt("input", |input| items::read(input, stateful))? {
        Some(messages) => request.messages.extend(messages),
        None if stateful => {}
        None => return Err(Invalid::missing().within("input")),
    }
    if request.messages.is_empty() && !stateful {
        return Err(Invalid::value("is empty; send at least one item").within("input"));
    }
    Ok(request)
}

fn extra<'d>(request: &mut Request<'d>, key: &'d str, raw: impl Into<Text<'d>>) {
    request.extras.push(Extra {
        dialect: Dialect::Responses,
        key: key.into(),
        raw: raw.into(),
    });
}

fn member<'d>(request: &mut Request<'d>, key: &'d str, value: &'d Node<'_>) -> Result<(), Invalid> {
    match key {
        // Read beside this loop, or by the envelope.
        "model" | "stream" | "input" | "instructions" => {}
        "tools" => request.tools = tools::all(value)?,
        "tool_choice" => request.tool_choice = Some(tools::choice(value)?),
        "parallel_tool_calls" => request.parallel_tool_calls = Some(value.bool()?),
        "text" => text(request, value)?,
        "reasoning" => {
            let encrypted = request.reasoning.as_ref().is_some_and(|reasoning| reasoning.encrypted);
            let mut reasoning = tools::reasoning(value, &mut request.extras)?;
            reasoning.encrypted = encrypted;
            if reasoning != Reasoning::default() {
                request.reasoning = Some(reasoning);
            }
        }
        "include" => include(request, value)?,
        "max_output_tokens" => request.sampling.max_tokens = Some(value.u64()?),
        "temperature" => request.sampling.temperature = Some(value.f64()?),
        "top_p" => request.sampling.top_p = Some(value.f64()?),
        "top_logprobs" => {
            let top = value.u64()?;
            if top > 0 {
                request.sampling.top_logprobs = Some(top);
                request.sampling.logprobs = Some(true);
            }
        }
        "previous_response_id" => request.previous_response_id = Some(value.str()?.into()),
        "store" => request.store = Some(value.bool()?),
        "service_tier" => request.service_tier = Some(value.str()?.into()),
        "prompt_cache_key" => request.prompt_cache_key = Some(value.str()?.into()),
        // The newer name wins: they mean the same, and a request has one end user.
        "safety_identifier" => request.user = Some(value.str()?.into()),
        "user" => {
            let user = value.str()?;
            request.user.get_or_insert_with(|| user.into());
        }
        "metadata" => {
            for (key, value) in value.object()? {
                let text = value.str().map_err(|invalid| invalid.within(key))?;
                request.metadata.push((key.as_ref().into(), text.into()));
            }
        }
        "truncation" if value.str()? == "disabled" => {}
        "background" if !value.bool()? => {}
        // Padding against guessing from sizes; what is written here never has any, so only asking for it says something.
        "stream_options" if !matches!(value.get("include_obfuscation").map(Node::bool), Some(Ok(true))) => {}
        "max_tool_calls" => {
            value.u64()?;
            extra(request, key, value.raw);
        }
        _ => extra(request, key, value.raw),
    }
    Ok(())
}

fn text<'d>(request: &mut Request<'d>, value: &'d Node<'_>) -> Result<(), Invalid> {
    value.object()?;
    if let Some(format) = value.opt("format", tools::format)? {
        request.format = format;
    }
    request.verbosity = value
        .opt("verbosity", |word| match word.str()? {
            known @ ("low" | "medium" | "high") => Ok(Some(known)),
            other => Err(Invalid::value(format!(
                "is {:?}, which is none of low, medium, high",
                content::clip(other)
            ))),
        })?
        .flatten()
        .map(Into::into);
    Ok(())
}

fn include<'d>(request: &mut Request<'d>, value: &'d Node<'_>) -> Result<(), Invalid> {
    let mut rest: Vec<&'d str> = Vec::new();
    for (index, entry) in value.array()?.iter().enumerate() {
        match entry.str().map_err(|invalid| invalid.at(index))? {
            ENCRYPTED => request.reasoning.get_or_insert_default().encrypted = true,
            LOGPROBS => request.sampling.logprobs = Some(true),
            _ => rest.push(entry.raw),
        }
    }
    if !rest.is_empty() {
        extra(request, "include", format!("[{}]", rest.join(",")));
    }
    Ok(())
}
