//! Asking another target for the rest of an answer that broke off.
//!
//! The client's own request, and behind it what has been said, as the beginning of the assistant's turn. Targets that go on
//! from there ([`crate::providers::Codec::continues`]) are told nothing else; others, where the pool says so, get an instruction behind
//! it. A legacy completion goes on by its prompt. Nothing said is nothing added: the same request again.
//!
//! The rest may be as long as was left of `max_tokens`; the model is not asked to think again about an answer it is in the
//! middle of.

use super::super::live::{How, Shadow, Trail, tokens};
use super::{
    Answer, MOST_VALUES, NoPlan, Plan, Terms, Translated, as_chat, asked, client_of, climbs, own_tools, reply,
    stateless, unfit, unreadable,
};
use crate::error::{ErrorKind, GatewayError};
use crate::providers::chat::TextDecoder;
use crate::providers::codec::{Aim, Expect, Framing, StreamDecoder, Unfit};
use crate::providers::native::Native;
use crate::providers::{Api, Body};
use crate::upstream::Site;
use crate::wire::canonical::{Dropped, Format, Message, Part, Reasoning, Request, Role, ToolChoice};
use crate::wire::client::Reply;
use crate::wire::json::{JsonWriter, Node};
use crate::wire::{Call, Operation, responses};
use bytes::Bytes;

/// What a target is told that does not go on by itself.
const GO_ON: &str = "Your last message was cut off by a broken connection before it was complete. Send the rest of it: begin with \
                     the very next character after its last one. Repeat nothing of it, and say nothing about this interruption.";

/// A request for the rest of an answer, and how to read it: for [`super::super::live::LiveStream::splice`].
pub struct Continued {
    /// What to send. Its answer is read by `decoder`, not as the plan says.
    pub plan: Plan,
    /// How the rest is framed.
    pub framing: Framing,
    /// Reads it.
    pub decoder: Box<dyn StreamDecoder>,
    /// How the target was told what has been said.
    pub how: How,
}

/// What must be kept of this call's stream so that it can be gone on with; nothing when that is never possible: the answer is
/// structured, spoken, several, with probabilities, to be a tool call, or relies on what its provider keeps. Costs a reading
/// of the body. `native`: its bytes pass as they are.
pub fn trail(call: &Call, site: &Site, terms: Terms<'_>, native: bool, most_seams: u32) -> Option<Trail> {
    if !call.streamed() || !matches!(call.operation, Operation::Chat | Operation::Completions) {
        return None;
    }
    let document = Node::parse_up_to(&call.body, terms.max_depth, MOST_VALUES).ok()?;
    let client = client_of(call);
    let request = client.read(&document, true).ok().filter(may_be_continued)?;
    let shadow = if native {
        let decoder: Box<dyn StreamDecoder> = match call.operation {
            Operation::Completions => Box::new(TextDecoder::default()),
            _ => site.provider.api(asked(call, terms))?.codec.decoder(Expect::default()),
        };
        let writer = client.writer(&request, reply(call));
        Some(Shadow { decoder, writer })
    } else {
        None
    };
    Some(Trail::new(shadow, most_seams))
}

fn may_be_continued(request: &Request<'_>) -> bool {
    let sampling = &request.sampling;
    matches!(request.format, Format::Text)
        && sampling.n.is_none_or(|n| n == 1)
        && sampling.logprobs != Some(true)
        && request.modalities.iter().all(|kind| kind == "text")
        && request.audio.is_none()
        && matches!(request.tool_choice, None | Some(ToolChoice::Auto | ToolChoice::None))
        && !responses::needs_state(request)
}

/// A request for the rest. `instruct`: a target that does not go on by itself may be told to.
pub fn continued(call: &Call, site: &Site, terms: Terms<'_>, said: &str, instruct: bool) -> Result<Continued, NoPlan> {
    if climbs(terms.model) {
        return Err(unable("the model's name is no segment of a path"));
    }
    let document = Node::parse_up_to(&call.body, terms.max_depth, MOST_VALUES).map_err(unreadable)?;
    let said = said.trim_end();
    let asked = asked(call, terms);
    if call.operation == Operation::Completions
        && let Some(api) = site.provider.api(asked)
        && api.native == Some(Native::OpenAi)
    {
        return completion(&document, site, api, terms, said);
    }
    let api = match call.operation {
        Operation::Completions => as_chat(site, asked),
        _ => site.provider.api(asked),
    };
    let api = api.ok_or_else(|| unfit(Unfit::Operation))?;
    let client = client_of(call);
    let invalid = |error: crate::wire::json::Invalid| NoPlan::because(error.into(), false);
    let mut request = client.read(&document, true).map_err(invalid)?;
    stateless(call, &*api.codec, &request)?;
    own_tools(&*api.codec, &mut request);
    let how = tell(&mut request, said, api.codec.continues(terms.model), instruct)?;
    let aim = Aim {
        model: terms.model,
        stream_usage: site.stream_usage,
    };
    let encoding = api.codec.encode(&request, aim).map_err(unfit)?;
    if terms.strict
        && encoding
            .dropped
            .names()
            .iter()
            .any(|name| !name.starts_with("reasoning"))
    {
        return Err(unable("the target does not take all of the request"));
    }
    let expect = encoding.expect.in_order();
    Ok(Continued {
        framing: api.codec.framing(),
        decoder: api.codec.decoder(expect.clone()),
        how,
        plan: Plan {
            path: api.path,
            body: Body::whole(encoding.body.into()),
            headers: encoding.headers,
            dropped: encoding.dropped,
            answer: Answer::Translated(Translated {
                codec: api.codec,
                client,
                expect,
                writer: None,
                reply: Reply::default(),
                schema: None,
            }),
        },
    })
}

/// Another target may do what this one cannot.
fn unable(why: &'static str) -> NoPlan {
    let text = "this model's target cannot go on with an answer";
    NoPlan::because(GatewayError::new(ErrorKind::NoHealthyTarget, text).because(why), true)
}

/// Put what has been said behind the request.
fn tell(request: &mut Request<'_>, said: &str, continues: bool, instruct: bool) -> Result<How, NoPlan> {
    if said.is_empty() {
        return Ok(How::Anew);
    }
    let how = match (continues, instruct) {
        (true, _) => How::Prefilled,
        (false, true) => How::Instructed,
        (false, false) => return Err(unable("its API does not go on with the assistant's message")),
    };
    if let Some(most) = &mut request.sampling.max_tokens {
        *most = most.saturating_sub(tokens(said)).max(1);
    }
    // The client may have begun the answer itself.
    match request.messages.last_mut() {
        Some(Message {
            role: Role::Assistant,
            parts,
            ..
        }) => match parts.last_mut() {
            Some(Part::Text { text, .. }) => text.to_mut().push_str(said),
            _ => parts.push(Part::text(said.to_owned())),
        },
        _ => request.messages.push(Message {
            role: Role::Assistant,
            name: None,
            parts: vec![Part::text(said.to_owned())],
        }),
    }
    if how == How::Instructed {
        request.messages.push(Message {
            role: Role::User,
            name: None,
            parts: vec![Part::text(GO_ON)],
        });
    } else {
        request.reasoning = Some(Reasoning {
            enabled: Some(false),
            ..Reasoning::default()
        });
    }
    Ok(how)
}

/// A legacy completion: its prompt grows by what has been said.
fn completion(document: &Node<'_>, site: &Site, api: Api, terms: Terms<'_>, said: &str) -> Result<Continued, NoPlan> {
    let prompt = document.get("prompt").and_then(|prompt| match prompt.as_array() {
        Some([one]) => one.as_str(),
        _ => prompt.as_str(),
    });
    let prompt = prompt.ok_or_else(|| unable("its prompt is no text"))?;
    let mut json = JsonWriter::new();
    json.object(|json| {
        json.field("model", terms.model);
        json.field("prompt", format!("{prompt}{said}"));
        for (key, value) in document.as_object().unwrap_or_default() {
            match (key.as_ref(), value.as_u64()) {
                ("model" | "prompt" | "stream_options", _) => {}
                ("max_tokens", Some(most)) => json.field(key, most.saturating_sub(tokens(said)).max(1)),
                _ => json.raw_field(key, value.raw),
            }
        }
        if site.stream_usage {
            json.raw_field("stream_options", r#"{"include_usage":true}"#);
        }
    });
    Ok(Continued {
        framing: Framing::Sse,
        decoder: Box::new(TextDecoder::default()),
        how: if said.is_empty() { How::Anew } else { How::Prefilled },
        plan: Plan {
            path: api.path,
            body: Body::whole(Bytes::from(json.finish())),
            headers: Vec::new(),
            dropped: Dropped::default(),
            answer: Answer::Native { withhold_usage: true },
        },
    })
}

#[cfg(test)]
#[path = "continued_tests.rs"]
mod tests;
