//! A streamed answer as `chat.completion.chunk` events.
//!
//! ```text
//! data: {"id":"chatcmpl-…","object":"chat.completion.chunk","created":1,"model":"…","choices":[{"index":0,"delta":{…},
//!        "logprobs":null,"finish_reason":null}],"system_fingerprint":…}
//! data: {…,"choices":[],"usage":{…}}          when stream_options.include_usage was asked for
//! data: [DONE]
//! ```
//! The first chunk of a choice gives its role. Calls are numbered by themselves, from 0 in each choice. Each event is written
//! at once; all that is remembered is which part is which call, and how much text there was (spans of citations count from
//! the start of the content).

use super::reasoning;
use super::write::{ChatWriter, annotation, audio, finish, image, logprobs, safety, thought_signature, tier, usage};
use crate::wire::canonical::{
    Delta, Event, Finish, Media, MediaKind, Part, PartStart, Signature, Text, Thinking, ToolCallKind,
};
use crate::wire::json::JsonWriter;
use crate::wire::json::escape_into;

/// What is remembered of one choice.
#[derive(Debug, Default)]
pub(super) struct Choice {
    index: u32,
    /// Letters of text before the part that is open, and in it.
    before: u64,
    within: u64,
    refused: bool,
    calls: u64,
    thoughts: u64,
    images: u64,
    sounds: u64,
    citations: u64,
    open: Vec<(u32, Open)>,
}

/// What an open part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Refusal,
    Thinking(u64),
    Call(u64, ToolCallKind),
    Whole,
}

impl ChatWriter {
    /// The chunks of one event.
    pub(super) fn stream_event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start {
                usage,
                service_tier,
                fingerprint,
                ..
            } => {
                self.usage = *usage;
                self.frame(service_tier.as_deref().and_then(tier), fingerprint.as_ref());
                self.choice(0, out);
            }
            Event::PartStart { candidate, part, start } => self.begin(*candidate, *part, start, out),
            Event::Delta { candidate, part, delta } => self.more(*candidate, *part, delta, out),
            Event::PartEnd { candidate, part } => {
                let at = self.choice(*candidate, out);
                if let Some(choice) = self.choices.get_mut(at) {
                    choice.open.retain(|(open, _)| open != part);
                    choice.before += std::mem::take(&mut choice.within);
                }
            }
            Event::Finish {
                candidate,
                finish,
                stop_sequence,
            } => self.end(*candidate, finish, stop_sequence.as_ref(), out),
            Event::Safety {
                candidate,
                dialect,
                raw,
            } => {
                self.chunk(*candidate, out, |_| (), |json| safety(json, *dialect, raw));
            }
            Event::Usage(figures) => self.usage.get_or_insert_default().merge(figures),
            Event::End => self.done(out),
            // Clients of this API skip comments.
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Error { .. } => {}
        }
    }

    /// What is the same in every chunk.
    fn frame(&mut self, tier: Option<&str>, fingerprint: Option<&Text<'_>>) {
        self.head_of_chunks();
        let tail = &mut self.tail;
        tail.clear();
        if let Some(tier) = tier {
            tail.extend_from_slice(b",\"service_tier\":\"");
            escape_into(tier, tail);
            tail.push(b'"');
        }
        if let Some(fingerprint) = fingerprint {
            tail.extend_from_slice(b",\"system_fingerprint\":\"");
            escape_into(fingerprint, tail);
            tail.push(b'"');
        }
    }

    pub(super) fn head_of_chunks(&mut self) {
        let head = &mut self.head;
        head.clear();
        head.extend_from_slice(b"data: {\"id\":\"");
        escape_into(&self.id, head);
        head.extend_from_slice(b"\",\"object\":\"chat.completion.chunk\",\"created\":");
        head.extend_from_slice(itoa::Buffer::new().format(self.reply.created).as_bytes());
        head.extend_from_slice(b",\"model\":\"");
        escape_into(&self.reply.model, head);
        head.extend_from_slice(b"\",\"choices\":[");
    }

    /// Where this choice is remembered; its first chunk is written when it is new.
    fn choice(&mut self, index: u32, out: &mut Vec<u8>) -> usize {
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        if self.head.is_empty() {
            self.frame(None, None);
        }
        self.choices.push(Choice {
            index,
            ..Choice::default()
        });
        self.chunk(
            index,
            out,
            |json| {
                json.field("role", "assistant");
                json.field("content", "");
                json.key("refusal").null();
            },
            |_| (),
        );
        self.choices.len() - 1
    }

    /// One chunk of one choice; `rest` writes what stands beside the delta.
    fn chunk(
        &mut self,
        index: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut JsonWriter),
        rest: impl FnOnce(&mut JsonWriter),
    ) {
        self.reasoned_chunk(index, out, delta, |json| {
            json.key("logprobs").null();
            rest(json);
            json.key("finish_reason").null();
        });
    }

    /// As [`Self::chunk`], with all that stands beside the delta.
    fn reasoned_chunk(
        &mut self,
        index: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut JsonWriter),
        rest: impl FnOnce(&mut JsonWriter),
    ) {
        out.extend_from_slice(&self.head);
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(|json| {
            json.field("index", u64::from(index));
            json.key("delta").object(delta);
            rest(json);
        });
        *out = json.finish();
        out.push(b']');
        out.extend_from_slice(&self.tail);
        if self.stream_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn begin(&mut self, index: u32, part: u32, start: &PartStart<'_>, out: &mut Vec<u8>) {
        let at = self.choice(index, out);
        let Some(choice) = self.choices.get_mut(at) else { return };
        let open = match start {
            PartStart::Text => Open::Text,
            PartStart::Refusal => {
                choice.refused = true;
                Open::Refusal
            }
            PartStart::Thinking { .. } => {
                choice.thoughts += 1;
                Open::Thinking(choice.thoughts - 1)
            }
            PartStart::ToolCall { kind, .. } => {
                choice.calls += 1;
                Open::Call(choice.calls - 1, *kind)
            }
            PartStart::Whole(_) => Open::Whole,
        };
        choice.open.push((part, open));
        match (start, open) {
            (
                PartStart::ToolCall {
                    id,
                    name,
                    kind,
                    signature,
                },
                Open::Call(number, _),
            ) => self.call(index, number, (id, name, *kind), signature.as_ref(), out),
            (PartStart::Thinking { id: Some(id) }, Open::Thinking(number)) => {
                let thinking = Thinking {
                    id: Some(id.as_ref().into()),
                    ..Thinking::default()
                };
                self.thought(index, None, &thinking, number, out);
            }
            (PartStart::Whole(part), _) => self.whole_part(index, part, out),
            _ => {}
        }
    }

    fn call(
        &mut self,
        index: u32,
        number: u64,
        (id, name, kind): (&str, &str, ToolCallKind),
        signature: Option<&Signature<'_>>,
        out: &mut Vec<u8>,
    ) {
        let (kind, text) = match kind {
            ToolCallKind::Function => ("function", "arguments"),
            ToolCallKind::Custom => ("custom", "input"),
        };
        let thought = self.choices.iter().find(|choice| choice.index == index);
        let thought = thought.map_or(0, |choice| choice.thoughts);
        self.chunk(
            index,
            out,
            |json| {
                json.key("tool_calls").array(|json| {
                    json.object(|json| {
                        json.field("index", number);
                        json.field("id", id);
                        json.field("type", kind);
                        json.key(kind).object(|json| {
                            json.field("name", name);
                            json.field(text, "");
                        });
                        if let Some(signature) = signature {
                            thought_signature(json, signature);
                        }
                    });
                });
                if let Some(signature) = signature {
                    json.key("reasoning_details").array(|json| {
                        reasoning::write_call(json, id, signature, thought, reasoning::for_client);
                    });
                }
            },
            |_| (),
        );
        if let (Some(_), Some(choice)) = (signature, self.choices.iter_mut().find(|choice| choice.index == index)) {
            choice.thoughts += 1;
        }
    }

    fn thought(
        &mut self,
        index: u32,
        text: Option<&Text<'_>>,
        thinking: &Thinking<'_>,
        number: u64,
        out: &mut Vec<u8>,
    ) {
        self.chunk(
            index,
            out,
            |json| {
                json.opt("reasoning_content", text);
                json.key("reasoning_details").array(|json| {
                    reasoning::write(json, thinking, number, reasoning::for_client);
                });
            },
            |_| (),
        );
    }

    fn whole_part(&mut self, index: u32, part: &Part<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Thinking(thinking) => {
                let number = self.count(index, |choice| &mut choice.thoughts);
                let text = Some(&thinking.text).filter(|text| !text.is_empty());
                self.thought(index, text, thinking, number, out);
            }
            Part::Media(media) => self.media(index, media, out),
            Part::Text { text, .. } => self.text(index, "content", text, out),
            Part::Refusal(text) => self.text(index, "refusal", text, out),
            Part::ToolCall(made) => {
                let number = self.count(index, |choice| &mut choice.calls);
                let named = (made.id.as_ref(), made.name.as_ref(), made.kind);
                self.call(index, number, named, made.signature.as_ref(), out);
                self.arguments(index, number, made.kind, &made.arguments, out);
            }
            Part::ToolResult(_) | Part::Opaque { .. } => {}
        }
    }

    fn count(&mut self, index: u32, counter: impl FnOnce(&mut Choice) -> &mut u64) -> u64 {
        let choice = self.choices.iter_mut().find(|choice| choice.index == index);
        choice.map(counter).map_or(0, |number| {
            *number += 1;
            *number - 1
        })
    }

    fn media(&mut self, index: u32, media: &Media<'_>, out: &mut Vec<u8>) {
        match media.kind {
            MediaKind::Image if media.url().is_some() => {
                let number = self.count(index, |choice| &mut choice.images);
                let images = |json: &mut JsonWriter| {
                    json.key("images").array(|json| image(json, media, number));
                };
                self.chunk(index, out, images, |_| ());
            }
            MediaKind::Audio => {
                let first = self.count(index, |choice| &mut choice.sounds) == 0;
                let reply = first.then(|| self.reply.clone());
                let sound = |json: &mut JsonWriter| {
                    json.key("audio");
                    audio(json, media, reply.as_ref());
                };
                self.chunk(index, out, sound, |_| ());
            }
            _ => {}
        }
    }

    fn text(&mut self, index: u32, key: &str, text: &str, out: &mut Vec<u8>) {
        if let Some(choice) = self.choices.iter_mut().find(|choice| choice.index == index)
            && key == "content"
        {
            choice.within += text.chars().count() as u64;
        }
        self.chunk(index, out, |json| json.field(key, text), |_| ());
    }

    fn arguments(&mut self, index: u32, number: u64, kind: ToolCallKind, text: &str, out: &mut Vec<u8>) {
        let (kind, key) = match kind {
            ToolCallKind::Function => ("function", "arguments"),
            ToolCallKind::Custom => ("custom", "input"),
        };
        let delta = |json: &mut JsonWriter| {
            json.key("tool_calls").array(|json| {
                json.object(|json| {
                    json.field("index", number);
                    json.key(kind).object(|json| json.field(key, text));
                });
            });
        };
        self.chunk(index, out, delta, |_| ());
    }

    fn more(&mut self, index: u32, part: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let at = self.choice(index, out);
        let Some(choice) = self.choices.get(at) else { return };
        let before = choice.before;
        let Some(&(_, open)) = choice.open.iter().find(|(open, _)| *open == part) else {
            return;
        };
        match (delta, open) {
            (Delta::Text(text), Open::Text) => self.text(index, "content", text, out),
            (Delta::Text(text), Open::Refusal) => self.text(index, "refusal", text, out),
            (Delta::Thinking(text), Open::Thinking(number)) => {
                let thinking = Thinking {
                    text: text.as_ref().into(),
                    ..Thinking::default()
                };
                self.thought(index, Some(text), &thinking, number, out);
            }
            (Delta::Signature(signature), Open::Thinking(number)) => {
                let thinking = Thinking {
                    signature: Some(Signature::new(signature.origin, signature.data.as_ref())),
                    ..Thinking::default()
                };
                self.thought(index, None, &thinking, number, out);
            }
            (Delta::Arguments(text), Open::Call(number, kind)) => self.arguments(index, number, kind, text, out),
            (Delta::Citation(citation), Open::Text) => {
                let number = self.count(index, |choice| &mut choice.citations);
                let delta = |json: &mut JsonWriter| {
                    json.key("annotations")
                        .array(|json| annotation(json, citation, before, Some(number)));
                };
                self.chunk(index, out, delta, |_| ());
            }
            (Delta::Logprobs(given), _) => {
                let rest = |json: &mut JsonWriter| {
                    json.key("logprobs");
                    logprobs(json, given);
                    json.key("finish_reason").null();
                };
                self.reasoned_chunk(index, out, |_| (), rest);
            }
            _ => {}
        }
    }

    fn end(&mut self, index: u32, reason: &Finish<'_>, stop: Option<&Text<'_>>, out: &mut Vec<u8>) {
        let at = self.choice(index, out);
        let refused = self.choices.get(at).is_some_and(|choice| choice.refused);
        let rest = |json: &mut JsonWriter| {
            json.key("logprobs").null();
            finish(json, reason, refused);
            json.opt("stop_reason", stop);
        };
        self.reasoned_chunk(index, out, |_| (), rest);
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        if let (true, Some(figures)) = (self.stream_usage, &self.usage) {
            out.extend_from_slice(&self.head);
            out.push(b']');
            out.extend_from_slice(&self.tail);
            out.extend_from_slice(b",\"usage\":");
            let mut json = JsonWriter::over(std::mem::take(out));
            usage(&mut json, figures);
            *out = json.finish();
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
