//! Writing answers event by event.
//!
//! ```text
//! response.created response.in_progress
//!   (output_item.added
//!      ( content_part.added (output_text.delta | annotation.added)* output_text.done content_part.done
//!      | content_part.added refusal.delta* refusal.done content_part.done
//!      | reasoning_summary_part.added reasoning_summary_text.delta* …text.done …part.done
//!      | function_call_arguments.delta* .done | custom_tool_call_input.delta* .done )*
//!    output_item.done)*
//! response.completed | response.incomplete | response.failed
//! ```
//! An item is held open until the next thing begins, so that the last one can say that it was cut short. The API repeats
//! every text whole, twice: what was said is kept, up to [`MOST_KEPT`].

use super::ending::Ending;
use super::envelope::State;
use super::item::{Body, Content, Item};
use super::running::{Running, emit, put_last_content};
use super::{Writer, aside, lone, own_call, own_id, plain, transcript};
use crate::wire::canonical::{Delta, Event, Part, PartStart, Signature, ToolCallKind};
use crate::wire::json::JsonWriter;
use crate::wire::responses::items::{OF_CALL, OF_TEXT};
use crate::wire::responses::own::Own;

/// Most bytes of one answer that are kept to be repeated, finished items and open texts. No model says so much; beyond it
/// the answer fails.
const MOST_KEPT: usize = 32 << 20;

/// What an item costs besides its text, roughly.
const ITEM: usize = 256;

/// A call of one of this API's own tools under way.
struct Held {
    part: u32,
    own: &'static Own,
    call_id: String,
    arguments: String,
}

/// What has been written of a stream.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) sequence: u64,
    started: bool,
    over: bool,
    refused: bool,
    ending: Ending,
    pub(super) open: Vec<Running>,
    /// Calls of this API's own tools, whose items can only be made when they are complete.
    held: Vec<Held>,
    /// Finished items as JSON, in order; empty while they are open.
    pub(super) done: Vec<Vec<u8>>,
    pub(super) kept: usize,
    /// An item that its provider has announced already, and that has not begun here: where, and its id.
    pub(super) announced: Option<(u64, String)>,
}

impl Writer {
    pub(super) fn on_event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.stream.over {
            return;
        }
        match event {
            Event::Start {
                id,
                usage,
                service_tier,
                ..
            } => {
                self.adopt(id, service_tier.as_deref());
                self.usage = *usage;
                self.start(out);
            }
            Event::PartStart {
                candidate: 0,
                part,
                start,
            } => self.begin(*part, start, out),
            Event::Delta {
                candidate: 0,
                part,
                delta,
            } => self.delta(*part, delta, out),
            Event::PartEnd { candidate: 0, part } => self.part_end(*part, out),
            Event::Finish {
                candidate: 0, finish, ..
            } => {
                self.stream.ending = Ending::of(Some(finish), self.stream.refused);
                self.close_all(out);
            }
            Event::Usage(usage) => self.usage.get_or_insert_default().merge(usage),
            Event::End => self.end(out),
            _ => {}
        }
        if self.stream.kept > MOST_KEPT {
            self.on_failure("server_error", "the answer is too large for this gateway", out);
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.stream.started, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let state = State {
                id: &self.id,
                status: "in_progress",
                error: None,
                incomplete: None,
                tier: self.tier.as_deref(),
                usage: None,
            };
            let envelope = &self.envelope;
            emit(&mut self.stream.sequence, out, kind, |json| {
                envelope.put(json.key("response"), &state, |_| ());
            });
        }
    }

    /// The last event, with the whole answer.
    fn last(&mut self, kind: &str, state: &State<'_>, out: &mut Vec<u8>) {
        let (envelope, done) = (&self.envelope, &self.stream.done);
        emit(&mut self.stream.sequence, out, kind, |json| {
            envelope.put(json.key("response"), state, |json| {
                for item in done.iter().filter_map(|item| std::str::from_utf8(item).ok()) {
                    if !item.is_empty() {
                        json.raw(item);
                    }
                }
            });
        });
        self.stream.over = true;
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close_all(out);
        let ending = self.stream.ending;
        let (id, tier) = (std::mem::take(&mut self.id), self.tier.take());
        let state = State {
            id: &id,
            status: ending.status(),
            error: ending.error(),
            incomplete: ending.incomplete(),
            tier: tier.as_deref(),
            usage: self.usage,
        };
        let kind = match ending {
            Ending::Completed => "response.completed",
            Ending::Incomplete(_) => "response.incomplete",
            Ending::Failed(_) => "response.failed",
        };
        self.last(kind, &state, out);
    }

    pub(super) fn on_failure(&mut self, code: &str, message: &str, out: &mut Vec<u8>) {
        if self.stream.over {
            return;
        }
        // The SDKs insist on seeing a response created before it fails.
        self.start(out);
        let (id, tier) = (std::mem::take(&mut self.id), self.tier.take());
        let state = State {
            id: &id,
            status: "failed",
            error: Some((code, message)),
            incomplete: None,
            tier: tier.as_deref(),
            usage: self.usage,
        };
        self.last("response.failed", &state, out);
    }

    /// Begin an item.
    fn add(&mut self, part: u32, id: Option<&str>, body: Body<'static>, out: &mut Vec<u8>) {
        let announced = self.stream.announced.take();
        let known = announced.is_some();
        let (index, id) = announced.unwrap_or_else(|| {
            let index = self.stream.done.len();
            let id = own_id(id).unwrap_or_else(|| self.item_id(&body, index));
            self.stream.done.push(Vec::new());
            (index as u64, id)
        });
        let running = Running {
            part,
            index,
            item: Item { id, body },
            ended: false,
            sealed: None,
            length: 0,
        };
        if known {
            self.stream.open.push(running);
            return;
        }
        emit(&mut self.stream.sequence, out, "response.output_item.added", |json| {
            json.field("output_index", running.index);
            running.item.put(json.key("item"), "in_progress");
        });
        self.stream.kept += ITEM;
        self.stream.open.push(running);
    }

    fn begin(&mut self, part: u32, start: &PartStart<'_>, out: &mut Vec<u8>) {
        self.start(out);
        match start {
            PartStart::Text => self.say(part, plain(""), out),
            PartStart::Refusal => {
                self.stream.refused = true;
                self.say(part, Content::Refusal("".into()), out);
            }
            PartStart::Thinking { id } => {
                self.close_ended(out);
                let body = Body::Reasoning {
                    text: "".into(),
                    encrypted: None,
                };
                self.add(part, id.as_deref(), body, out);
            }
            PartStart::ToolCall {
                id,
                name,
                kind,
                signature,
            } => {
                self.stream.kept += id.len() + name.len();
                if let Some(own) = self.own(name, *kind) {
                    self.stream.kept += ITEM;
                    self.stream.held.push(Held {
                        part,
                        own,
                        call_id: id.to_string(),
                        arguments: String::new(),
                    });
                    return;
                }
                self.close_ended(out);
                if let Some(signature) = signature {
                    self.aside(signature, OF_CALL, out);
                }
                let body = Body::Call {
                    call_id: id.to_string().into(),
                    name: name.to_string().into(),
                    arguments: "".into(),
                    custom: *kind == ToolCallKind::Custom,
                };
                self.add(part, None, body, out);
            }
            PartStart::Whole(whole) => {
                if let Some(said) = transcript(whole) {
                    self.say(part, plain(""), out);
                    return self.delta(part, &Delta::Text(said.into()), out);
                }
                self.close_ended(out);
                let id = match whole.as_ref() {
                    Part::Thinking(thinking) => thinking.id.as_deref(),
                    _ => None,
                };
                if let Some(body) = lone(whole) {
                    self.add(part, id, body.into_static(), out);
                }
            }
        }
    }

    /// Begin a text: in the message under way, if there is one.
    fn say(&mut self, part: u32, content: Content<'static>, out: &mut Vec<u8>) {
        let joins = |running: &Running| running.ended && running.sealed.is_none() && running.is_message();
        if !self.stream.open.last().is_some_and(joins) {
            self.close_ended(out);
            self.add(part, None, Body::Message(Vec::new()), out);
        }
        let Some(running) = self.stream.open.last_mut() else {
            return;
        };
        self.stream.kept += ITEM;
        running.part = part;
        running.ended = false;
        running.length = 0;
        if let Body::Message(contents) = &mut running.item.body {
            contents.push(content);
        }
        emit(&mut self.stream.sequence, out, "response.content_part.added", |json| {
            running.place(json);
            put_last_content(json, running);
        });
    }

    /// A reasoning item that carries nothing but another item's signature.
    fn aside(&mut self, signature: &Signature<'_>, mark: &str, out: &mut Vec<u8>) {
        self.add(u32::MAX, None, aside(signature, mark), out);
        if let Some(running) = self.stream.open.pop() {
            self.item_done(running, "completed", out);
        }
    }

    fn delta(&mut self, part: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let stream = &mut self.stream;
        if let (Some(held), Delta::Arguments(more)) = (stream.held.iter_mut().find(|held| held.part == part), delta) {
            stream.kept += more.len();
            held.arguments.push_str(more);
            return;
        }
        let found = stream.open.iter_mut().find(|open| open.part == part && !open.ended);
        let Some(running) = found else { return };
        stream.kept += size(delta);
        running.delta(delta, &mut stream.sequence, out);
    }

    fn part_end(&mut self, part: u32, out: &mut Vec<u8>) {
        if let Some(at) = self.stream.held.iter().position(|held| held.part == part) {
            let held = self.stream.held.remove(at);
            self.own_call(held, out);
        }
        let stream = &mut self.stream;
        let found = stream.open.iter_mut().find(|open| open.part == part && !open.ended);
        let Some(running) = found else { return };
        running.ended = true;
        running.part_end(&mut stream.sequence, out);
    }

    /// The item of a call that is complete. One that does not say what to do is a function's.
    fn own_call(&mut self, held: Held, out: &mut Vec<u8>) {
        self.close_ended(out);
        let mut body = own_call(held.own, &held.call_id, &held.arguments).into_static();
        if let Body::Call { arguments, .. } = &mut body {
            *arguments = "".into();
        }
        let is_own = matches!(body, Body::Own { .. });
        self.add(held.part, None, body, out);
        if !is_own {
            self.delta(held.part, &Delta::Arguments(held.arguments.into()), out);
        }
    }

    fn item_done(&mut self, running: Running, status: &str, out: &mut Vec<u8>) {
        let mut json = JsonWriter::over(Vec::new());
        running.item.put(&mut json, status);
        let item = json.finish();
        emit(&mut self.stream.sequence, out, "response.output_item.done", |json| {
            json.field("output_index", running.index);
            json.raw_field("item", std::str::from_utf8(&item).unwrap_or("null"));
        });
        self.stream.kept += item.len();
        if let Some(place) = self.stream.done.get_mut(running.index as usize) {
            *place = item;
        }
        if let Some(signature) = &running.sealed {
            self.aside(signature, OF_TEXT, out);
        }
    }

    /// Close the items whose parts are complete; calls may be open beside them.
    fn close_ended(&mut self, out: &mut Vec<u8>) {
        while let Some(at) = self.stream.open.iter().position(|running| running.ended) {
            let running = self.stream.open.remove(at);
            self.item_done(running, "completed", out);
        }
    }

    /// Close everything; the last item is as complete as the answer.
    fn close_all(&mut self, out: &mut Vec<u8>) {
        let held = self.stream.held.iter().map(|held| held.part);
        let open = self.stream.open.iter().map(|running| running.part);
        let parts: Vec<u32> = open.chain(held).collect();
        for part in parts {
            self.part_end(part, out);
        }
        let last = self.stream.done.len().saturating_sub(1) as u64;
        while !self.stream.open.is_empty() {
            let running = self.stream.open.remove(0);
            let cut = running.index == last;
            let status = if cut {
                self.stream.ending.last_item()
            } else {
                "completed"
            };
            self.item_done(running, status, out);
        }
    }
}

/// What a delta leaves behind until the end, roughly.
fn size(delta: &Delta<'_>) -> usize {
    match delta {
        Delta::Text(more) | Delta::Thinking(more) | Delta::Arguments(more) => more.len(),
        Delta::Signature(signature) => signature.data.len(),
        Delta::Citation(citation) => {
            let texts = [&citation.url, &citation.title, &citation.cited_text];
            let texts = texts
                .into_iter()
                .flatten()
                .chain(citation.raw.iter().map(|(_, raw)| raw));
            64 + texts.map(|text| text.len()).sum::<usize>()
        }
        Delta::Logprobs(tokens) => {
            let tops = tokens.iter().flat_map(|token| &token.top).map(|(text, _)| text);
            let all = tokens.iter().map(|token| &token.token).chain(tops);
            all.map(|text| 64 + 4 * text.len()).sum()
        }
    }
}
