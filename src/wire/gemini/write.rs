//! The answer in this dialect: one `GenerateContentResponse`, or several.
//!
//! ```json
//! {"candidates":[{"content":{"parts":[{"text":"…"}],"role":"model"},"finishReason":"STOP","index":0}],
//!  "usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":12,"totalTokenCount":21},"modelVersion":"m","responseId":"…"}
//! ```
//! A stream is these as server-sent events (`data: {…}\r\n\r\n`) or as elements of one array (`[{…},\r\n{…}]`). Text and
//! thoughts leave as they come. A call leaves at its end, because the dialect has no form for half of one. The reason for the
//! ending and what belongs to it (usage, grounding, safety) leave together in each candidate's last chunk, at the stream's
//! end: SDKs take a chunk without content for a broken answer and drop the turn, so figures cannot have one of their own,
//! and that last chunk has an empty text, as Google's own have.

use super::carried::{self, Load};
use super::offsets::Offsets;
use super::parts::{self, Grounds};
use super::{signature, usage};
use crate::error::GatewayError;
use crate::units::Usage;
use crate::wire::Dialect;
use crate::wire::canonical::{
    Candidate, Citation, Delta, Event, Logprob, Part, PartStart, Response, Signature, Thinking, ToolCall,
};
use crate::wire::client::{Reply, ReplyWriter};
use crate::wire::errors::google_status;
use crate::wire::json::{JsonWriter, Node};

/// Most bytes of calls gathered at once. Beyond them a call's arguments are cut, and then travel as broken JSON.
const MOST_GATHERED: usize = 32 << 20;

/// Most citations kept for an answer.
const MOST_CITATIONS: usize = 1000;

/// Writes one answer.
pub struct Writer {
    reply: Reply,
    candidates: Vec<State>,
    usage: Option<Usage>,
    service_tier: Option<String>,
    gathered: usize,
    begun: bool,
    /// Its names are those of a stream that its provider wrote.
    adopted: bool,
}

/// What is known of one candidate of a stream.
#[derive(Default)]
struct State {
    index: u32,
    /// Calls under way, by their part's number.
    calls: Vec<(u32, ToolCall<'static>)>,
    /// The thought under way, and its part's number.
    thought: Option<(u32, Thinking<'static>)>,
    /// Reasoning that a call, or the last chunk, has to take along.
    load: Load,
    /// The last text part, which citations belong to: its number, and positions in it.
    text: u32,
    offsets: Offsets,
    citations: Vec<Cited>,
    safety: Option<String>,
    finish: Option<String>,
}

/// What a text part relies on.
struct Cited {
    part: u64,
    segment: Option<(u64, u64)>,
    citation: Citation<'static>,
}

impl Writer {
    /// For this answer.
    pub fn new(reply: Reply) -> Self {
        Self {
            reply,
            candidates: Vec::new(),
            usage: None,
            service_tier: None,
            gathered: 0,
            begun: false,
            adopted: false,
        }
    }

    fn state(&mut self, index: u32) -> &mut State {
        let at = match self.candidates.iter().position(|state| state.index == index) {
            Some(at) => at,
            None => {
                self.candidates.push(State {
                    index,
                    ..State::default()
                });
                self.candidates.len() - 1
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut self.candidates[at]
    }

    /// One element of the stream, framed.
    fn element(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut JsonWriter)) {
        let before: &[u8] = match (self.reply.json_array, self.begun) {
            (true, false) => b"[",
            (true, true) => b",\r\n",
            (false, _) => b"data: ",
        };
        self.begun = true;
        out.extend_from_slice(before);
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(write);
        *out = json.finish();
        if !self.reply.json_array {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    /// A chunk with content.
    fn chunk(
        &mut self,
        out: &mut Vec<u8>,
        index: u32,
        part: impl FnOnce(&mut JsonWriter),
        rest: impl FnOnce(&mut JsonWriter),
    ) {
        let (model, id) = (
            std::mem::take(&mut self.reply.model),
            std::mem::take(&mut self.reply.id),
        );
        self.element(out, |json| {
            json.key("candidates").array(|json| {
                json.object(|json| {
                    json.key("content").object(|json| {
                        json.key("parts").array(part);
                        json.field("role", "model");
                    });
                    json.field("index", u64::from(index));
                    rest(json);
                });
            });
            json.field("modelVersion", &model);
            json.field("responseId", &id);
        });
        (self.reply.model, self.reply.id) = (model, id);
    }

    fn plain(&mut self, out: &mut Vec<u8>, index: u32, part: impl FnOnce(&mut JsonWriter)) {
        self.chunk(out, index, part, |_| ());
    }

    fn begin(&mut self, index: u32, number: u32, start: &PartStart<'_>, out: &mut Vec<u8>) {
        let state = self.state(index);
        match start {
            PartStart::Text | PartStart::Refusal => {
                state.text = number;
                state.offsets.clear();
            }
            PartStart::Thinking { id } => {
                let id = id.as_ref().map(|id| id.clone().into_owned().into());
                let thinking = Thinking {
                    id,
                    ..Thinking::default()
                };
                state.thought = Some((number, thinking));
            }
            PartStart::ToolCall {
                id,
                name,
                kind,
                signature,
            } => {
                let call = ToolCall {
                    id: id.clone().into_owned().into(),
                    name: name.clone().into_owned().into(),
                    arguments: "".into(),
                    kind: *kind,
                    signature: signature.as_ref().map(Signature::to_static),
                    cache: None,
                };
                state.calls.push((number, call));
            }
            PartStart::Whole(part) => self.whole_part(index, part, out),
        }
    }

    fn whole_part(&mut self, index: u32, part: &Part<'_>, out: &mut Vec<u8>) {
        let mut probe = JsonWriter::new();
        let signature = self.state(index).load.part(part);
        parts::answer(part, signature.as_deref(), &mut probe);
        let written = String::from_utf8(probe.finish()).unwrap_or_default();
        if !written.is_empty() {
            self.plain(out, index, |json| json.raw(&written));
        }
    }

    fn delta(&mut self, index: u32, number: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => {
                if text.is_empty() {
                    return;
                }
                let state = self.state(index);
                state.offsets.push(text);
                state.load.said(text);
                self.plain(out, index, |json| parts::prose(text, false, None, json));
            }
            Delta::Thinking(text) if text.is_empty() => {}
            Delta::Thinking(text) => {
                self.state(index).think(text);
                self.plain(out, index, |json| parts::prose(text, true, None, json));
            }
            Delta::Signature(given) => {
                let thought = self.state(index).thought.as_mut();
                let is_thought = thought.is_some();
                if let Some((_, thinking)) = thought {
                    thinking.signature = Some(given.to_static());
                }
                if !is_thought || given.origin == Dialect::Gemini {
                    let given = signature::write(given);
                    self.plain(out, index, |json| parts::prose("", is_thought, Some(&given), json));
                }
            }
            Delta::Arguments(more) => {
                let room = MOST_GATHERED.saturating_sub(self.gathered);
                let more = more.get(..room.min(more.len())).unwrap_or_default();
                self.gathered += more.len();
                let calls = &mut self.state(index).calls;
                if let Some((_, call)) = calls.iter_mut().find(|(of, _)| *of == number) {
                    call.arguments.to_mut().push_str(more);
                }
            }
            Delta::Citation(citation) => self.state(index).cite(citation),
            Delta::Logprobs(all) => self.chunk(
                out,
                index,
                |json| parts::prose("", false, None, json),
                |json| parts::logprobs(all, json),
            ),
        }
    }

    fn end_part(&mut self, index: u32, number: u32, out: &mut Vec<u8>) {
        let state = self.state(index);
        if let Some((_, thinking)) = state.thought.take_if(|(of, _)| *of == number) {
            state.load.thought(thinking);
        }
        if let Some(at) = state.calls.iter().position(|(of, _)| *of == number) {
            let (_, call) = state.calls.remove(at);
            let signature = state.load.of_call(call.signature.as_ref());
            self.gathered = self.gathered.saturating_sub(call.arguments.len());
            self.plain(out, index, |json| parts::call(&call, signature.as_deref(), json));
        }
    }

    /// The last chunk of every candidate, and the end of the array.
    fn end(&mut self, out: &mut Vec<u8>) {
        let mut states = std::mem::take(&mut self.candidates);
        if states.is_empty() {
            states.push(State::default());
        }
        let last = states.len() - 1;
        for (at, state) in states.iter_mut().enumerate() {
            let usage = (at == last).then(|| (self.usage.take(), self.service_tier.take()));
            let (model, id) = (self.reply.model.clone(), self.reply.id.clone());
            self.element(out, |json| {
                json.key("candidates")
                    .array(|json| json.object(|json| state.last(json)));
                if let Some((Some(usage), tier)) = usage {
                    usage::write(&usage, tier.as_deref().map(tier_out), json.key("usageMetadata"));
                }
                json.field("modelVersion", &model);
                json.field("responseId", &id);
            });
        }
        if self.reply.json_array {
            out.push(b']');
        }
    }
}

/// Google's word for everybody else's `default`.
fn tier_out(tier: &str) -> &str {
    if tier == "default" { "standard" } else { tier }
}

impl State {
    fn cite(&mut self, citation: &Citation<'_>) {
        if self.citations.len() < MOST_CITATIONS {
            let segment = citation
                .span
                .and_then(|(start, end)| Some((self.offsets.bytes(start)?, self.offsets.bytes(end)?)));
            self.citations.push(Cited {
                part: u64::from(self.text),
                segment,
                citation: citation.to_static(),
            });
        }
    }

    /// More of a thought; one that is too long to be carried is only shown.
    fn think(&mut self, text: &str) {
        if let Some((_, thinking)) = &mut self.thought {
            if thinking.text.len() + text.len() <= self.load.room() {
                thinking.text.to_mut().push_str(text);
            } else {
                self.load.give_up();
            }
        }
    }

    fn last(&mut self, json: &mut JsonWriter) {
        let signature = self.load.of_text(None);
        json.key("content").object(|json| {
            json.key("parts")
                .array(|json| parts::prose("", false, signature.as_deref(), json));
            json.field("role", "model");
        });
        json.field("finishReason", self.finish.as_deref().unwrap_or("OTHER"));
        json.field("index", u64::from(self.index));
        let grounds: Vec<Grounds<'_>> = self
            .citations
            .iter()
            .map(|cited| Grounds {
                part: cited.part,
                segment: cited.segment,
                citation: &cited.citation,
            })
            .collect();
        parts::grounding(&grounds, json);
        if let Some(raw) = &self.safety {
            json.raw_field("safetyRatings", raw);
        }
    }
}

impl ReplyWriter for Writer {
    fn whole(&mut self, response: &Response<'_>, out: &mut Vec<u8>) {
        let mut json = JsonWriter::over(std::mem::take(out));
        json.object(|json| {
            json.key("candidates")
                .array(|json| response.candidates.iter().for_each(|one| candidate(one, json)));
            if let Some(usage) = &response.usage {
                let tier = response.service_tier.as_deref().map(tier_out);
                usage::write(usage, tier, json.key("usageMetadata"));
            }
            json.field("modelVersion", &self.reply.model);
            json.field("responseId", &self.reply.id);
        });
        *out = json.finish();
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start {
                usage, service_tier, ..
            } => {
                self.usage = *usage;
                self.service_tier = service_tier.as_deref().map(str::to_owned);
            }
            Event::PartStart { candidate, part, start } => self.begin(*candidate, *part, start, out),
            Event::Delta { candidate, part, delta } => self.delta(*candidate, *part, delta, out),
            Event::PartEnd { candidate, part } => self.end_part(*candidate, *part, out),
            Event::Finish { candidate, finish, .. } => {
                self.state(*candidate).finish = Some(parts::finish_out(finish).to_owned());
            }
            Event::Safety {
                candidate,
                dialect: Dialect::Gemini,
                raw,
            } => self.state(*candidate).safety = Some(raw.clone().into_owned()),
            Event::Usage(usage) => self.usage.get_or_insert_default().merge(usage),
            Event::End => self.end(out),
            Event::Safety { .. } | Event::Ping | Event::Error { .. } => {}
        }
    }

    fn fail(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        self.element(out, |json| {
            json.key("error").object(|json| {
                json.field("code", u64::from(error.kind.status().as_u16()));
                json.field("message", &error.message);
                json.field("status", google_status(error.kind));
            });
        });
        if self.reply.json_array {
            out.push(b']');
        }
    }

    fn passed(&mut self, data: &[u8], max_depth: usize) {
        self.begun = true;
        if self.adopted {
            return;
        }
        let Ok(event) = Node::parse(data, max_depth) else {
            return;
        };
        if let Some(model) = event.get_str("modelVersion") {
            model.clone_into(&mut self.reply.model);
        }
        if let Some(id) = event.get_str("responseId") {
            id.clone_into(&mut self.reply.id);
            self.adopted = true;
        }
    }

    /// Google's SDK takes every line that is no `data:` for the text of an error, and an array has no comments.
    fn seam(&mut self, _number: u32, _out: &mut Vec<u8>) {}
}

fn candidate(candidate: &Candidate<'_>, json: &mut JsonWriter) {
    json.object(|json| {
        json.key("content").object(|json| {
            if !candidate.parts.is_empty() {
                let (signatures, rest) = carried::signatures(&candidate.parts);
                json.key("parts").array(|json| {
                    for (part, signature) in candidate.parts.iter().zip(&signatures) {
                        parts::answer(part, signature.as_deref(), json);
                    }
                    if let Some(rest) = rest {
                        parts::prose("", false, Some(&rest), json);
                    }
                });
            }
            json.field("role", "model");
        });
        if let Some(finish) = &candidate.finish {
            json.field("finishReason", parts::finish_out(finish));
        }
        json.field("index", u64::from(candidate.index));
        parts::grounding(&grounds(candidate), json);
        if let Some((Dialect::Gemini, raw)) = &candidate.safety {
            json.raw_field("safetyRatings", raw);
        }
        json.opt("avgLogprobs", average(&candidate.logprobs));
        parts::logprobs(&candidate.logprobs, json);
    });
}

fn grounds<'a>(candidate: &'a Candidate<'a>) -> Vec<Grounds<'a>> {
    let mut all = Vec::new();
    for (at, part) in candidate.parts.iter().enumerate() {
        let Part::Text { text, citations, .. } = part else {
            continue;
        };
        if citations.is_empty() {
            continue;
        }
        let mut offsets = Offsets::default();
        offsets.push(text);
        all.extend(citations.iter().take(MOST_CITATIONS).map(|citation| {
            Grounds {
                part: at as u64,
                segment: citation
                    .span
                    .and_then(|(start, end)| Some((offsets.bytes(start)?, offsets.bytes(end)?))),
                citation,
            }
        }));
    }
    all
}

fn average(logprobs: &[Logprob<'_>]) -> Option<f64> {
    let sum: f64 = logprobs.iter().map(|token| token.logprob).sum();
    (!logprobs.is_empty()).then(|| sum / logprobs.len() as f64)
}
