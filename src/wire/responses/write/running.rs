//! One item of a stream while it grows: its deltas, and what is said again at its end.

use super::item::{Body, Content, Item, annotation, logprob, put_all, put_summary};
use crate::wire::canonical::{Delta, Signature};
use crate::wire::json::JsonWriter;

/// An item under way.
pub(super) struct Running {
    /// The canonical part it grows by.
    pub(super) part: u32,
    pub(super) index: u64,
    pub(super) item: Item<'static>,
    /// That part is complete; the item waits for what comes next.
    pub(super) ended: bool,
    /// No further text may join this message: its signature must come first.
    pub(super) sealed: Option<Signature<'static>>,
    /// Characters of its text so far.
    pub(super) length: u64,
}

/// One event.
pub(super) fn emit(sequence: &mut u64, out: &mut Vec<u8>, kind: &str, members: impl FnOnce(&mut JsonWriter)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut json = JsonWriter::over(std::mem::take(out));
    json.object(|json| {
        json.field("type", kind);
        json.field("sequence_number", *sequence);
        members(json);
    });
    *out = json.finish();
    out.extend_from_slice(b"\n\n");
    *sequence += 1;
}

pub(super) fn put_last_content(json: &mut JsonWriter, running: &Running) {
    if let Body::Message(contents) = &running.item.body
        && let Some(content) = contents.last()
    {
        content.put(json.key("part"));
    }
}

impl Running {
    /// `item_id`, `output_index` and, in a message, `content_index`.
    pub(super) fn place(&self, json: &mut JsonWriter) {
        json.field("item_id", &self.item.id);
        json.field("output_index", self.index);
        if let Body::Message(contents) = &self.item.body {
            json.field("content_index", contents.len().saturating_sub(1) as u64);
        }
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.item.body, Body::Message(_))
    }

    pub(super) fn delta(&mut self, delta: &Delta<'_>, sequence: &mut u64, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(more) => self.text(more, sequence, out),
            Delta::Thinking(more) => self.thinking(more, sequence, out),
            Delta::Arguments(more) => self.arguments(more, sequence, out),
            Delta::Signature(signature) => match &mut self.item.body {
                Body::Reasoning { text, encrypted } => {
                    *encrypted = Some(super::sealed(signature, text.is_empty()).into_owned().into());
                }
                _ => self.sealed = Some(signature.to_static()),
            },
            Delta::Citation(citation) => {
                let length = self.length;
                let Some(Content::Text { annotations, .. }) = self.content() else {
                    return;
                };
                let Some(made) = annotation(citation, length) else {
                    return;
                };
                annotations.push(made.clone());
                let index = annotations.len() as u64 - 1;
                emit(sequence, out, "response.output_text.annotation.added", |json| {
                    self.place(json);
                    json.field("annotation_index", index);
                    json.raw_field("annotation", &made);
                });
            }
            Delta::Logprobs(tokens) => {
                let Some(Content::Text { logprobs, .. }) = self.content() else {
                    return;
                };
                let made: Vec<String> = tokens.iter().map(logprob).collect();
                logprobs.extend_from_slice(&made);
                emit(sequence, out, "response.output_text.delta", |json| {
                    self.place(json);
                    json.field("delta", "");
                    json.key("logprobs").array(|json| put_all(json, &made));
                });
            }
        }
    }

    fn content(&mut self) -> Option<&mut Content<'static>> {
        match &mut self.item.body {
            Body::Message(contents) => contents.last_mut(),
            _ => None,
        }
    }

    fn text(&mut self, more: &str, sequence: &mut u64, out: &mut Vec<u8>) {
        self.length += more.chars().count() as u64;
        let kind = match self.content() {
            Some(Content::Text { text, .. }) => {
                text.to_mut().push_str(more);
                "response.output_text.delta"
            }
            Some(Content::Refusal(text)) => {
                text.to_mut().push_str(more);
                "response.refusal.delta"
            }
            None => return,
        };
        emit(sequence, out, kind, |json| {
            self.place(json);
            json.field("delta", more);
            if kind == "response.output_text.delta" {
                json.key("logprobs").array(|_| ());
            }
        });
    }

    fn thinking(&mut self, more: &str, sequence: &mut u64, out: &mut Vec<u8>) {
        let Body::Reasoning { text, .. } = &mut self.item.body else {
            return;
        };
        if more.is_empty() {
            return;
        }
        let first = text.is_empty();
        text.to_mut().push_str(more);
        if first {
            emit(sequence, out, "response.reasoning_summary_part.added", |json| {
                self.place(json);
                json.field("summary_index", 0u64);
                put_summary(json.key("part"), "");
            });
        }
        emit(sequence, out, "response.reasoning_summary_text.delta", |json| {
            self.place(json);
            json.field("summary_index", 0u64);
            json.field("delta", more);
        });
    }

    fn arguments(&mut self, more: &str, sequence: &mut u64, out: &mut Vec<u8>) {
        let Body::Call { arguments, custom, .. } = &mut self.item.body else {
            return;
        };
        arguments.to_mut().push_str(more);
        if more.is_empty() {
            return;
        }
        let kind = if *custom {
            "response.custom_tool_call_input.delta"
        } else {
            "response.function_call_arguments.delta"
        };
        emit(sequence, out, kind, |json| {
            self.place(json);
            json.field("delta", more);
        });
    }

    /// Says again what the part was.
    pub(super) fn part_end(&mut self, sequence: &mut u64, out: &mut Vec<u8>) {
        match &self.item.body {
            Body::Message(contents) => {
                let (kind, key, said) = match contents.last() {
                    Some(Content::Text { text, .. }) => ("response.output_text.done", "text", text),
                    Some(Content::Refusal(text)) => ("response.refusal.done", "refusal", text),
                    None => return,
                };
                emit(sequence, out, kind, |json| {
                    self.place(json);
                    json.field(key, said);
                    if let Some(Content::Text { logprobs, .. }) = contents.last() {
                        json.key("logprobs").array(|json| put_all(json, logprobs));
                    }
                });
                emit(sequence, out, "response.content_part.done", |json| {
                    self.place(json);
                    put_last_content(json, self);
                });
            }
            Body::Reasoning { text, .. } if !text.is_empty() => {
                emit(sequence, out, "response.reasoning_summary_text.done", |json| {
                    self.place(json);
                    json.field("summary_index", 0u64);
                    json.field("text", text);
                });
                emit(sequence, out, "response.reasoning_summary_part.done", |json| {
                    self.place(json);
                    json.field("summary_index", 0u64);
                    put_summary(json.key("part"), text);
                });
            }
            Body::Call { arguments, custom, .. } => {
                let (kind, key) = if *custom {
                    ("response.custom_tool_call_input.done", "input")
                } else {
                    ("response.function_call_arguments.done", "arguments")
                };
                emit(sequence, out, kind, |json| {
                    self.place(json);
                    json.field(key, arguments);
                });
            }
            _ => {}
        }
    }
}
