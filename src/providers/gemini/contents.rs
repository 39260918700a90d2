//! The conversation as `contents`.
//!
//! Turns of one sort are one content. Results are a content of their own right behind the calls they answer (Google counts
//! them against each other), in front of anything else the user says. Ids go to AI Studio only: Vertex refuses a field it
//! does not know. A result is a JSON object: text that is one goes as it is, other text as `{"output": …}`, a failure as
//! `{"error": …}`. Media in results are parts of them from generation 3 on, and parts of the user's next content before.
//!
//! Signatures go back onto the parts they came on. From generation 3 on, the first call of each step must carry one; a call
//! that another vendor made, or whose signature a client lost, carries the word Google documents for that.
//! Source: ai.google.dev/gemini-api/docs/thought-signatures and /function-calling, read 2026-11.

use super::model::Model;
use super::tools::Names;
use crate::providers::codec::Unfit;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Dropped, Media, Message, Part, Request, Role, Signature, Source, Text, Thinking, ToolCall, ToolCallKind, ToolResult,
};
use crate::wire::gemini::{arguments, has_form, is_object, media};
use crate::wire::json::JsonWriter;
use std::collections::HashMap;

/// What stands in for a call's signature that does not exist (Google, "Thought signatures", FAQ).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The conversation and the system prompt.
pub struct Contents<'r> {
    /// JSON array.
    pub contents: String,
    /// Its texts.
    pub system: Vec<Text<'r>>,
}

/// Write a request's messages.
pub fn write<'r>(
    request: &'r Request<'_>,
    model: Model,
    vertex: bool,
    names: &mut Names,
    dropped: &mut Dropped,
) -> Result<Contents<'r>, Unfit> {
    let mut writer = Writer {
        json: JsonWriter::new(),
        turn: None,
        called: false,
        later: Vec::new(),
        calls: calls(request),
        third: model.third(),
        ids: !vertex,
        names,
        dropped,
    };
    writer.json.begin_array();
    let mut system = Vec::new();
    let mut leading = true;
    for (index, message) in request.messages.iter().enumerate() {
        if matches!(message.role, Role::System | Role::Developer) {
            if !leading {
                writer
                    .dropped
                    .push(format!("messages[{index}] (position of a system message)"));
            }
            writer.system(index, message, &mut system);
            continue;
        }
        leading = false;
        writer.message(index, message)?;
    }
    if !writer.any() {
        // Google wants something said: what there is, is the system prompt.
        let said = std::mem::take(&mut system);
        if said.is_empty() {
            return Err(Unfit::request(
                "messages",
                "nothing is left that this model could read; send some text",
            ));
        }
        writer.dropped.push("messages[0] (role of the only message)");
        for text in said {
            writer.open(Turn::User);
            writer.json.object(|json| json.field("text", &text));
        }
    }
    writer.close();
    writer.json.end_array();
    Ok(Contents {
        contents: String::from_utf8(writer.json.finish()).unwrap_or_default(),
        system,
    })
}

/// The function of every call.
fn calls<'r>(request: &'r Request<'_>) -> HashMap<&'r str, (&'r str, ToolCallKind)> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.id.as_ref(), (call.name.as_ref(), call.kind))),
            _ => None,
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Model,
    Results,
    User,
}

struct Writer<'r, 'w> {
    json: JsonWriter,
    /// The content under way.
    turn: Option<Turn>,
    /// It has a call already.
    called: bool,
    /// Media of results, to follow the results.
    later: Vec<&'r Media<'r>>,
    calls: HashMap<&'r str, (&'r str, ToolCallKind)>,
    third: bool,
    ids: bool,
    names: &'w mut Names,
    dropped: &'w mut Dropped,
}

impl<'r> Writer<'r, '_> {
    fn any(&self) -> bool {
        self.turn.is_some() || !self.later.is_empty()
    }

    /// Go on with a content of this sort.
    fn open(&mut self, turn: Turn) {
        if self.turn == Some(turn) {
            return;
        }
        if turn != Turn::Results && !self.later.is_empty() {
            self.flush();
            return self.open(turn);
        }
        self.end();
        self.turn = Some(turn);
        self.called = false;
        self.json.begin_object();
        self.json
            .field("role", if turn == Turn::Model { "model" } else { "user" });
        self.json.key("parts").begin_array();
    }

    fn end(&mut self) {
        if self.turn.take().is_some() {
            self.json.end_array();
            self.json.end_object();
        }
    }

    fn flush(&mut self) {
        let later = std::mem::take(&mut self.later);
        for one in later {
            self.open(Turn::User);
            self.json.object(|json| media(one, json));
        }
    }

    fn close(&mut self) {
        self.flush();
        self.end();
    }

    fn system(&mut self, index: usize, message: &'r Message<'_>, system: &mut Vec<Text<'r>>) {
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::Text { text, .. } if text.is_empty() => {}
                Part::Text { text, .. } => system.push(Text::Borrowed(text)),
                _ => self.drop_part(index, at, "not text in a system message"),
            }
        }
    }

    fn drop_part(&mut self, index: usize, at: usize, what: &str) {
        self.dropped.push(format!("messages[{index}].content[{at}] ({what})"));
    }

    fn message(&mut self, index: usize, message: &'r Message<'_>) -> Result<(), Unfit> {
        let turn = if message.role == Role::Assistant {
            Turn::Model
        } else {
            Turn::User
        };
        if message.name.is_some() {
            self.dropped.push(format!("messages[{index}].name"));
        }
        for (at, part) in message.parts.iter().enumerate() {
            if let Part::ToolResult(result) = part {
                self.result(index, at, result)?;
            }
        }
        for (at, part) in message.parts.iter().enumerate() {
            self.part(turn, index, at, part);
        }
        Ok(())
    }

    fn part(&mut self, turn: Turn, index: usize, at: usize, part: &'r Part<'_>) {
        match part {
            Part::ToolResult(_) => {}
            Part::Text { text, signature, .. } => self.text(turn, text, signature.as_ref()),
            Part::Refusal(text) => self.text(turn, text, None),
            Part::Media(media) => self.media(turn, index, at, media),
            Part::Thinking(thinking) => self.thinking(turn, index, thinking),
            Part::ToolCall(call) => self.call(call),
            Part::Opaque {
                dialect: Dialect::Gemini,
                raw,
                ..
            } => {
                self.open(turn);
                self.json.raw(raw);
            }
            Part::Opaque { kind, .. } => self.drop_part(index, at, kind),
        }
    }

    fn text(&mut self, turn: Turn, text: &str, signature: Option<&Signature<'_>>) {
        let signature = signature.and_then(|signature| signature.for_target(Dialect::Gemini));
        if text.is_empty() && signature.is_none() {
            return;
        }
        self.open(turn);
        self.json.object(|json| {
            json.field("text", text);
            json.opt("thoughtSignature", signature);
        });
    }

    fn media(&mut self, turn: Turn, index: usize, at: usize, one: &'r Media<'_>) {
        if one.citations == Some(true) {
            self.drop_part(index, at, "citations");
        }
        if matches!(one.detail.as_deref(), Some("low" | "high")) {
            self.drop_part(index, at, "detail");
        }
        match &one.source {
            _ if has_form(one) => {
                self.open(turn);
                let signature = one.signature.as_ref();
                self.json.object(|json| {
                    media(one, json);
                    json.opt(
                        "thoughtSignature",
                        signature.and_then(|it| it.for_target(Dialect::Gemini)),
                    );
                });
            }
            Source::Text(text) => {
                let head = [&one.title, &one.context].into_iter().flatten();
                let whole: Vec<&str> = head.chain([text]).map(AsRef::as_ref).collect();
                self.text(turn, &whole.join("\n"), None);
            }
            Source::Parts(parts) => parts.iter().for_each(|part| self.part(turn, index, at, part)),
            Source::File { .. } => match &one.transcript {
                Some(said) => self.text(turn, said, None),
                None => self.drop_part(index, at, "file of another vendor"),
            },
            Source::Base64(_) | Source::Url(_) => {}
        }
    }

    fn thinking(&mut self, turn: Turn, index: usize, thinking: &Thinking<'_>) {
        let signature = thinking.signature.as_ref();
        let own = signature.and_then(|signature| signature.for_target(Dialect::Gemini));
        if signature.is_some() && own.is_none() {
            self.dropped
                .push(format!("messages[{index}] (thinking of another vendor)"));
        } else if !thinking.text.is_empty() || own.is_some() {
            self.open(turn);
            self.json.object(|json| {
                json.field("text", &thinking.text);
                json.field("thought", true);
                json.opt("thoughtSignature", own);
            });
        }
    }

    fn call(&mut self, call: &ToolCall<'_>) {
        self.open(Turn::Model);
        let own = call
            .signature
            .as_ref()
            .and_then(|signature| signature.for_target(Dialect::Gemini));
        let first = !std::mem::replace(&mut self.called, true);
        let name = self.names.out(&call.name, call.kind);
        let ids = self.ids;
        self.json.object(|json| {
            json.key("functionCall").object(|json| {
                json.opt("id", ids.then_some(&call.id));
                json.field("name", name);
                arguments(&call.arguments, call.kind, json.key("args"));
            });
            json.opt(
                "thoughtSignature",
                own.or((first && self.third).then_some(NO_SIGNATURE)),
            );
        });
    }

    fn result(&mut self, index: usize, at: usize, result: &'r ToolResult<'_>) -> Result<(), Unfit> {
        let called = self.calls.get(result.call_id.as_ref()).copied();
        let known = called.or(result.name.as_deref().map(|name| (name, result.kind)));
        let Some((name, kind)) = known else {
            let path = format!("messages[{index}].content[{at}]");
            let message = format!("`{path}` answers no call in this conversation; send the call back with its result");
            return Err(Unfit::request(path, message));
        };
        let name = self.names.out(name, kind).into_owned();
        let (mut said, mut shown) = (Vec::new(), Vec::new());
        for part in &result.parts {
            match part {
                Part::Text { text, .. } => said.push(text.as_ref()),
                Part::Media(media) => match &media.source {
                    Source::Text(text) => said.push(text.as_ref()),
                    Source::Base64(_) if self.third => shown.push(media),
                    _ if has_form(media) => self.later.push(media),
                    _ => self.drop_part(index, at, "file in a tool result"),
                },
                Part::Opaque { kind, .. } => self.drop_part(index, at, kind),
                _ => {}
            }
        }
        self.open(Turn::Results);
        let ids = self.ids;
        self.json.object(|json| {
            json.key("functionResponse").object(|json| {
                json.opt("id", ids.then_some(&result.call_id));
                json.field("name", name);
                response(&said, result.is_error, json.key("response"));
                if !shown.is_empty() {
                    json.key("parts")
                        .array(|json| shown.iter().for_each(|one| json.object(|json| media(one, json))));
                }
            });
        });
        Ok(())
    }
}

/// What a function said, as an object.
fn response(said: &[&str], is_error: bool, json: &mut JsonWriter) {
    let joined;
    let text = match said {
        [one] => *one,
        many => {
            joined = many.join("\n");
            joined.as_str()
        }
    };
    match (is_error, is_object(text)) {
        (false, true) => json.raw(text),
        (true, true) => json.object(|json| json.raw_field("error", text)),
        (failed, _) => json.object(|json| json.field(if failed { "error" } else { "output" }, text)),
    }
}
