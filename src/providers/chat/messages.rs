//! Messages for a target.
//!
//! Tool results become `tool` messages of their own, before anything else the user says in the same run of messages: this shape
//! wants them right behind the calls. What they hold besides text follows as a user message where a tool message cannot.

use super::encode::Making;
use super::names;
use super::pieces::{self, Piece};
use super::quirks::{Echo, Prefill};
use crate::providers::free_text;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Media, MediaKind, Message, Part, Role, Source, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::chat::reasoning;
use crate::wire::json::JsonWriter;

/// All of them.
pub fn all(json: &mut JsonWriter, messages: &[Message<'_>], making: &mut Making<'_>) {
    let mut at = 0;
    while let Some(message) = messages.get(at) {
        if message.role != Role::User {
            single(json, message, at, making, messages.len());
            at += 1;
            continue;
        }
        let run = messages
            .iter()
            .skip(at)
            .take_while(|message| message.role == Role::User)
            .count();
        let run = messages.get(at..at + run).unwrap_or_default();
        users(json, run, at, making);
        at += run.len();
    }
}

fn single(json: &mut JsonWriter, message: &Message<'_>, at: usize, making: &mut Making<'_>, count: usize) {
    let role = match message.role {
        Role::Assistant => return assistant(json, message, at, making, at + 1 == count),
        Role::Developer if making.quirks.developer => "developer",
        _ => "system",
    };
    let quirks = making.quirks;
    let mut given = pieces::collect(message.parts.iter().enumerate(), at, quirks, &mut making.dropped);
    given.retain(|piece| {
        let media = matches!(piece, Piece::Media(_));
        if media {
            making
                .dropped
                .push(format!("messages[{at}] (media in a system message)"));
        }
        !media
    });
    if !quirks.openai && !quirks.cache_control && given.iter().all(|piece| matches!(piece, Piece::Text(..))) {
        // Elsewhere instructions are a string.
        given = vec![Piece::Text(pieces::joined(&given, "\n\n").into(), None)];
    }
    json.object(|json| {
        json.field("role", role);
        pieces::content(json, &given, quirks);
        name(json, message, making);
    });
}

fn name(json: &mut JsonWriter, message: &Message<'_>, making: &mut Making<'_>) {
    if let Some(name) = &message.name {
        if making.quirks.names {
            json.field("name", name);
        } else {
            making.dropped.push("messages.name");
        }
    }
}

/// A run of user messages: results first.
fn users(json: &mut JsonWriter, run: &[Message<'_>], first: usize, making: &mut Making<'_>) {
    let mut moved: Vec<(&str, Vec<Piece<'_>>)> = Vec::new();
    for (at, message) in (first..).zip(run) {
        for part in &message.parts {
            if let Part::ToolResult(result) = part {
                let media = tool(json, result, at, making);
                if !media.is_empty() {
                    moved.push((&result.call_id, media));
                }
            }
        }
    }
    if !moved.is_empty() {
        let mut shown = Vec::new();
        for (id, media) in moved {
            let id = names::call_id(id, making.quirks.ids);
            shown.push(Piece::Text(
                format!("What the tool call {id} returned besides text:").into(),
                None,
            ));
            shown.extend(media);
        }
        json.object(|json| {
            json.field("role", "user");
            pieces::content(json, &shown, making.quirks);
        });
    }
    for (at, message) in (first..).zip(run) {
        let said = || {
            message
                .parts
                .iter()
                .enumerate()
                .filter(|(_, part)| !matches!(part, Part::ToolResult(_)))
        };
        if said().next().is_none() && !message.parts.is_empty() {
            continue;
        }
        let given = pieces::collect(said(), at, making.quirks, &mut making.dropped);
        json.object(|json| {
            json.field("role", "user");
            pieces::content(json, &given, making.quirks);
            name(json, message, making);
        });
    }
}

/// A result; gives back what it could not hold.
fn tool<'r>(json: &mut JsonWriter, result: &'r ToolResult<'r>, at: usize, making: &mut Making<'_>) -> Vec<Piece<'r>> {
    let quirks = making.quirks;
    let all = pieces::collect(result.parts.iter().enumerate(), at, quirks, &mut making.dropped);
    let (mut said, media): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|piece| quirks.tool_media || matches!(piece, Piece::Text(..)));
    if result.is_error {
        mark_error(&mut said);
    }
    if let Some(Piece::Text(_, cache)) = said.last_mut()
        && result.cache.is_some()
    {
        *cache = result.cache;
    }
    let marked = said.iter().any(|piece| matches!(piece, Piece::Text(_, Some(_)))) && quirks.cache_control;
    if !marked && said.iter().all(|piece| matches!(piece, Piece::Text(..))) {
        said = vec![Piece::Text(pieces::joined(&said, "\n").into(), None)];
    }
    json.object(|json| {
        json.field("role", "tool");
        json.field("tool_call_id", names::call_id(&result.call_id, quirks.ids));
        pieces::content(json, &said, quirks);
    });
    media
}

/// There is no member that says it, so the text does.
fn mark_error(said: &mut Vec<Piece<'_>>) {
    match said.first_mut() {
        Some(Piece::Text(text, _)) => {
            let told = text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"));
            if !told {
                *text = format!("Error: {text}").into();
            }
        }
        _ => said.insert(0, Piece::Text("Error".into(), None)),
    }
}

fn assistant(json: &mut JsonWriter, message: &Message<'_>, at: usize, making: &mut Making<'_>, last: bool) {
    let quirks = making.quirks;
    let said = message.parts.iter().enumerate().filter(|(_, part)| {
        matches!(part, Part::Text { .. } | Part::Opaque { .. })
            || matches!(part, Part::Media(media) if own_audio(media).is_none() || !quirks.openai)
    });
    let mut given = pieces::collect(said, at, quirks, &mut making.dropped);
    given.retain(|piece| {
        let fits = matches!(piece, Piece::Text(..));
        if !fits {
            making.dropped.push(format!("messages[{at}] (media of the model)"));
        }
        fits
    });
    let marked = given.iter().any(|piece| matches!(piece, Piece::Text(_, Some(_)))) && quirks.cache_control;
    if given.len() > 1 && !marked {
        given = vec![Piece::Text(pieces::joined(&given, "").into(), None)];
    }
    let thoughts: Vec<&Thinking<'_>> = message.parts.iter().filter_map(as_thinking).collect();
    if quirks.echo == Echo::None && !thoughts.is_empty() {
        making.dropped.push(format!("messages[{at}] (thinking)"));
    }
    let calls: Vec<&ToolCall<'_>> = message.parts.iter().filter_map(as_call).collect();
    let refusal = message.parts.iter().find_map(|part| match part {
        Part::Refusal(text) => Some(text.as_ref()),
        _ => None,
    });
    let audio = message.parts.iter().find_map(|part| match part {
        Part::Media(media) => own_audio(media).filter(|_| quirks.openai),
        _ => None,
    });
    let chunks = quirks.echo == Echo::Chunks && thoughts.iter().any(|thinking| !thinking.text.is_empty());
    if given.is_empty() && calls.is_empty() && refusal.is_none() && audio.is_none() && !chunks {
        return;
    }
    json.object(|json| {
        json.field("role", "assistant");
        match (given.is_empty(), refusal) {
            _ if chunks => thinking_chunks(json, &thoughts, &given, making),
            (false, _) => pieces::content(json, &given, quirks),
            (true, Some(text)) if !quirks.openai => json.field("content", text),
            (true, _) => json.key("content").null(),
        }
        json.opt("refusal", refusal.filter(|_| quirks.openai));
        if let Some(id) = audio {
            json.key("audio").object(|json| json.field("id", id));
        }
        thinking(json, &thoughts, &calls, at, making);
        if !calls.is_empty() {
            json.key("tool_calls")
                .array(|json| calls.iter().for_each(|made| call(json, made, making)));
        }
        if last && calls.is_empty() {
            prefill(json, at, making);
        }
        name(json, message, making);
    });
}

/// The answer shall go on from this message: Anthropic's clients put words in the model's mouth so.
fn prefill(json: &mut JsonWriter, at: usize, making: &mut Making<'_>) {
    match making.quirks.prefill {
        Prefill::None => making
            .dropped
            .push(format!("messages[{at}] (going on from the last message)")),
        Prefill::Native => {}
        Prefill::Prefix => json.field("prefix", true),
        Prefill::Partial => json.field("partial", true),
        Prefill::Continue => making.goes_on = true,
    }
}

fn own_audio<'m>(media: &'m Media<'_>) -> Option<&'m str> {
    match (&media.source, media.kind) {
        (
            Source::File {
                dialect: Dialect::OpenAi,
                id,
            },
            MediaKind::Audio,
        ) => Some(id),
        _ => None,
    }
}

fn as_thinking<'p, 'a>(part: &'p Part<'a>) -> Option<&'p Thinking<'a>> {
    match part {
        Part::Thinking(thinking) => Some(thinking),
        _ => None,
    }
}

fn as_call<'p, 'a>(part: &'p Part<'a>) -> Option<&'p ToolCall<'a>> {
    match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    }
}

/// Earlier reasoning, in the member the vendor wants it in.
fn thinking(
    json: &mut JsonWriter,
    thoughts: &[&Thinking<'_>],
    calls: &[&ToolCall<'_>],
    at: usize,
    making: &mut Making<'_>,
) {
    let text: String = thoughts.iter().map(|thinking| thinking.text.as_ref()).collect();
    match making.quirks.echo {
        Echo::None => return,
        // Chunks hold text only.
        Echo::Chunks => {
            if thoughts.iter().any(|thinking| thinking.redacted) {
                making.dropped.push(format!("messages[{at}] (redacted thinking)"));
            }
            return;
        }
        Echo::Content if !text.is_empty() => json.field("reasoning_content", &text),
        Echo::Plain | Echo::Details if !text.is_empty() => json.field("reasoning", &text),
        Echo::Content | Echo::Plain | Echo::Details => {}
    }
    if making.quirks.echo != Echo::Details {
        if thoughts.iter().any(|thinking| thinking.redacted) {
            making.dropped.push(format!("messages[{at}] (redacted thinking)"));
        }
        return;
    }
    let signed = || calls.iter().filter(|call| call.signature.is_some());
    if thoughts.is_empty() && signed().next().is_none() {
        return;
    }
    json.key("reasoning_details").array(|json| {
        let mut index = 0;
        for thinking in thoughts {
            reasoning::write(json, thinking, index, reasoning::bare);
            index += 1;
        }
        for call in signed() {
            if let Some(signature) = &call.signature {
                reasoning::write_call(json, &call.id, signature, index, reasoning::bare);
                index += 1;
            }
        }
    });
}

/// `[{"type":"thinking","thinking":[{"type":"text","text":"…"}],"closed":true},{"type":"text","text":"…"}]`
fn thinking_chunks(json: &mut JsonWriter, thoughts: &[&Thinking<'_>], said: &[Piece<'_>], making: &Making<'_>) {
    json.key("content").array(|json| {
        for thinking in thoughts.iter().filter(|thinking| !thinking.text.is_empty()) {
            json.object(|json| {
                json.field("type", "thinking");
                json.key("thinking").array(|json| {
                    json.object(|json| {
                        json.field("type", "text");
                        json.field("text", &thinking.text);
                    });
                });
                let signature = thinking.signature.as_ref().map(reasoning::format_of);
                json.opt(
                    "signature",
                    signature
                        .filter(|(format, _)| *format == "mistral")
                        .map(|(_, data)| data),
                );
                json.field("closed", true);
            });
        }
        for piece in said {
            pieces::write(json, piece, making.quirks);
        }
    });
}

fn call(json: &mut JsonWriter, call: &ToolCall<'_>, making: &mut Making<'_>) {
    let id = names::call_id(&call.id, making.quirks.ids);
    let name = making.tool_name(&call.name, call.kind);
    json.object(|json| {
        json.field("id", id);
        if let (Some(signature), true) = (&call.signature, making.quirks.google)
            && let Some(text) = signature.for_target(Dialect::Gemini)
        {
            json.key("extra_content").object(|json| {
                json.key("google").object(|json| json.field("thought_signature", text));
            });
        }
        if call.kind == ToolCallKind::Custom && making.quirks.openai {
            json.field("type", "custom");
            json.key("custom").object(|json| {
                json.field("name", name);
                json.field("input", &call.arguments);
            });
            return;
        }
        json.field("type", "function");
        json.key("function").object(|json| {
            json.field("name", name);
            match call.kind {
                ToolCallKind::Function => json.field("arguments", &call.arguments),
                ToolCallKind::Custom => json.field("arguments", free_text::arguments(&call.arguments)),
            }
        });
    });
}
