//! Requests that the canonical model holds to the last member: conversations of text, with length and chance. Named by what
//! they mean, whichever dialect says it.
//!
//! Whether it holds one is read off the tree: every member there is must be one of the few listed here, once, in its one
//! spelling. A vendor's new member therefore never passes as nothing.

use super::digest::Digest;
use super::structure::unrelated;
use super::turn::Turn;
use crate::wire::canonical::{Format, Message, Part, Request, Role, Sampling};
use crate::wire::json::Node;
use crate::wire::{Call, Dialect, Operation};

/// Put a plain request in, but for the text of its last turn; `false`, and nothing is put in, when it is not plain.
pub(super) fn put(
    call: &Call,
    body: &Node<'_>,
    request: &Request<'_>,
    turn: Option<&Turn<'_>>,
    digest: &mut Digest,
) -> bool {
    let Some(turn) = turn.filter(|_| call.operation == Operation::Chat) else {
        return false;
    };
    let messages = match call.dialect {
        Dialect::OpenAi => chat(body),
        Dialect::Anthropic => anthropic(body),
        Dialect::Gemini => gemini(body),
        Dialect::Responses => responses(body),
        Dialect::Bedrock | Dialect::Cohere => None,
    };
    // As many as were written: a reader that joins or drops one hides where it ended.
    if messages != Some(request.messages.len()) || !bare(request) {
        return false;
    }
    let Some((last, earlier)) = request.messages.split_last() else {
        return false;
    };
    let texts = last.parts.iter().filter(|part| text(part).is_some()).count();
    if last.role != Role::User || texts != last.parts.len() || texts != turn.texts().len() {
        return false;
    }
    digest.tag(b'c');
    sampling(&request.sampling, digest);
    digest.length(earlier.len());
    earlier.iter().for_each(|earlier| message(earlier, digest));
    digest.length(texts);
    true
}

/// The text of a part that is text alone.
fn text<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match part {
        // A prompt-cache marker changes the price.
        Part::Text {
            text,
            cache: _,
            citations,
            signature: None,
        } if citations.is_empty() => Some(text),
        _ => None,
    }
}

/// Nothing is asked for but what [`put`] names.
fn bare(request: &Request<'_>) -> bool {
    let Request {
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        sampling,
        format,
        reasoning,
        verbosity,
        modalities,
        audio,
        previous_response_id,
        extras,
        // Not part of any name: see `structure::unrelated`.
        user: _,
        metadata: _,
        service_tier: _,
        prompt_cache_key: _,
        store: _,
        stream: _,
        stream_usage: _,
        cache: _,
    } = request;
    let only_text = |message: &Message<'_>| message.name.is_none() && message.parts.iter().all(|p| text(p).is_some());
    let unnamed = (sampling.logprobs, sampling.top_logprobs) == (None, None) && sampling.logit_bias.is_none();
    unnamed
        && tools.is_empty()
        && tool_choice.is_none()
        && parallel_tool_calls.is_none()
        && *format == Format::Text
        && reasoning.is_none()
        && verbosity.is_none()
        && modalities.is_empty()
        && audio.is_none()
        && previous_response_id.is_none()
        && extras.is_empty()
        && messages.iter().all(only_text)
}

fn message(message: &Message<'_>, digest: &mut Digest) {
    digest.tag(match message.role {
        Role::System => b's',
        Role::Developer => b'd',
        Role::User => b'u',
        Role::Assistant => b'a',
    });
    digest.length(message.parts.len());
    for text in message.parts.iter().filter_map(text) {
        digest.text(text);
    }
}

fn sampling(sampling: &Sampling<'_>, digest: &mut Digest) {
    let Sampling {
        max_tokens,
        temperature,
        top_p,
        top_k,
        frequency_penalty,
        presence_penalty,
        seed,
        stop,
        n,
        logprobs: _,
        top_logprobs: _,
        logit_bias: _,
    } = sampling;
    for whole in [max_tokens, top_k, n] {
        digest.maybe(*whole, Digest::number);
    }
    for real in [temperature, top_p, frequency_penalty, presence_penalty] {
        // Zero has two spellings.
        digest.maybe(*real, |digest, real| digest.number((real + 0.0).to_bits()));
    }
    digest.maybe(*seed, |digest, seed| digest.number(seed as u64));
    digest.length(stop.len());
    stop.iter().for_each(|stop| digest.text(stop));
}

/// Whether an object has no members but these, each once and none `null`ed away twice.
fn only(node: &Node<'_>, known: &[&str], besides: &[&str]) -> bool {
    let Some(members) = node.as_object() else { return false };
    members.iter().enumerate().all(|(at, (key, _))| {
        let key = key.as_ref();
        besides.contains(&key) || (known.contains(&key) && !members.iter().take(at).any(|(earlier, _)| earlier == key))
    })
}

/// Whether a content is a text, or text blocks of that type and nothing else.
fn texts(content: &Node<'_>, kind: &str, marker: &[&str]) -> bool {
    match content.as_array() {
        None => content.as_str().is_some(),
        Some(blocks) => blocks.iter().all(|block| {
            only(block, &["type", "text"], marker)
                && block.get_str("type") == Some(kind)
                && block.get_str("text").is_some()
        }),
    }
}

const MARKER: &[&str] = &["cache_control"];

/// How many messages, if they are plain.
fn chat(body: &Node<'_>) -> Option<usize> {
    let known = [
        "messages",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "stop",
        "n",
    ];
    let twice = body.get("max_tokens").is_some() && body.get("max_completion_tokens").is_some();
    let messages = body.get("messages")?.as_array()?;
    let plain = |message: &Node<'_>| {
        only(message, &["role", "content"], &[])
            && matches!(
                message.get_str("role"),
                Some("system" | "developer" | "user" | "assistant")
            )
            && message
                .get("content")
                .is_some_and(|content| texts(content, "text", MARKER))
    };
    let all = !twice && only(body, &known, unrelated(Dialect::OpenAi)) && messages.iter().all(plain);
    all.then_some(messages.len())
}

fn anthropic(body: &Node<'_>) -> Option<usize> {
    let known = [
        "messages",
        "system",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "stop_sequences",
    ];
    let messages = body.get("messages")?.as_array()?;
    let plain = |message: &Node<'_>| {
        only(message, &["role", "content"], &[])
            && matches!(message.get_str("role"), Some("user" | "assistant"))
            && message
                .get("content")
                .is_some_and(|content| texts(content, "text", MARKER))
    };
    let system = body.get("system");
    let all = only(body, &known, unrelated(Dialect::Anthropic))
        && system.is_none_or(|system| texts(system, "text", MARKER))
        && messages.iter().all(plain);
    all.then_some(messages.len() + usize::from(system.is_some()))
}

fn responses(body: &Node<'_>) -> Option<usize> {
    let known = ["input", "instructions", "temperature", "top_p", "max_output_tokens"];
    let input = body.get("input")?;
    let items = input.as_array().unwrap_or_default();
    let plain = |item: &Node<'_>| {
        only(item, &["type", "role", "content"], &[])
            && item.get("type").is_none_or(|kind| kind.as_str() == Some("message"))
            && matches!(item.get_str("role"), Some("system" | "developer" | "user"))
            && item
                .get("content")
                .is_some_and(|content| texts(content, "input_text", &[]))
    };
    let asked = input.as_str().is_some() || (!items.is_empty() && items.iter().all(plain));
    let said = usize::from(body.get("instructions").is_some());
    (asked && only(body, &known, unrelated(Dialect::Responses))).then_some(items.len().max(1) + said)
}

fn gemini(body: &Node<'_>) -> Option<usize> {
    let config = [
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "stopSequences",
        "seed",
        "candidateCount",
        "presencePenalty",
        "frequencyPenalty",
    ];
    let contents = body.get("contents")?.as_array()?;
    let parts = |content: &Node<'_>| {
        let parts = content.get("parts").and_then(Node::as_array);
        parts.is_some_and(|parts| {
            parts
                .iter()
                .all(|part| only(part, &["text"], &[]) && part.get_str("text").is_some())
        })
    };
    let plain = |content: &Node<'_>| {
        only(content, &["role", "parts"], &[])
            && content
                .get("role")
                .is_none_or(|role| matches!(role.as_str(), Some("user" | "model")))
            && parts(content)
    };
    let system = body.get("systemInstruction");
    let all = only(
        body,
        &["contents", "systemInstruction", "generationConfig"],
        unrelated(Dialect::Gemini),
    ) && system.is_none_or(|system| only(system, &["parts"], &[]) && parts(system))
        && body
            .get("generationConfig")
            .is_none_or(|generation| only(generation, &config, &[]))
        && contents.iter().all(plain);
    all.then_some(contents.len() + usize::from(system.is_some()))
}
