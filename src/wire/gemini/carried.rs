//! Another vendor's reasoning, carried on the parts that applications send back.
//!
//! Applications built for Gemini show `thought` parts and leave them out of the history; what they send back, because
//! Google's models need it, is the `thoughtSignature` of calls and texts. So the first call after another vendor's
//! reasoning takes all of it along, its text too, because Anthropic's signatures hold for the text. Without a call the last
//! text takes along what is signed (in a stream the empty one that ends it). The thought parts are for display and bare.
//!
//! ```text
//! base64 of  cirque:thoughts:{"thoughts":[{"origin":"anthropic","data":"…","text":"…","redacted":true,"id":"…","back":12}],
//!                             "own":{"origin":"gemini","data":"…"}}
//! ```
//! `back`: bytes of text between this piece of reasoning and its carrier, so that it returns to its place even when the
//! application joined texts. `own`: the signature that belongs on the carrier itself. Read back, the reasoning replaces the
//! bare thoughts before the carrier: an application that echoes both says nothing twice.
//!
//! Not the wrapping of a single foreign signature: that is [`super::signature`].
//! Source: ai.google.dev/gemini-api/docs/thought-signatures, Gemini CLI 0.17, AI SDK google 3.0, read 2026-11.

use super::signature;
use crate::wire::Dialect;
use crate::wire::canonical::{Part, Signature, Text, Thinking};
use crate::wire::json::{JsonWriter, Node};
use crate::wire::media;

/// What the text inside the base64 begins with.
const THOUGHTS: &str = "cirque:thoughts:";

/// Most bytes of reasoning one part takes along. Beyond them nothing is: a thought cut short proves nothing.
const MOST_BYTES: usize = 4 << 20;

/// Most pieces of reasoning one part takes along.
const MOST_PIECES: usize = 512;

/// Whether a piece of reasoning is Google's own and needs no carrier.
pub fn is_own(thinking: &Thinking<'_>) -> bool {
    thinking
        .signature
        .as_ref()
        .is_some_and(|signature| signature.origin == Dialect::Gemini)
}

/// Reasoning of an answer that no part has taken along yet.
#[derive(Debug, Default)]
pub struct Load {
    /// With the bytes of text said before it.
    pieces: Vec<(usize, Thinking<'static>)>,
    said: usize,
    size: usize,
}

impl Load {
    /// More prose was written.
    pub fn said(&mut self, text: &str) {
        self.said += text.len();
    }

    /// A piece of reasoning is complete.
    pub fn thought(&mut self, thinking: Thinking<'static>) {
        let data = thinking.signature.as_ref().map_or(0, |signature| signature.data.len());
        if is_own(&thinking) || (data == 0 && thinking.text.is_empty()) {
            return;
        }
        self.size = self.size.saturating_add(thinking.text.len() + data);
        if self.size > MOST_BYTES || self.pieces.len() == MOST_PIECES {
            self.give_up();
        } else {
            self.pieces.push((self.said, thinking));
        }
    }

    /// The reasoning before the next carrier is more than it can carry.
    pub fn give_up(&mut self) {
        self.size = usize::MAX;
        self.pieces.clear();
    }

    /// A whole part was written: the signature that goes out on it.
    pub fn part(&mut self, part: &Part<'_>) -> Option<String> {
        match part {
            Part::Text { text, signature, .. } => {
                self.said(text);
                signature.as_ref().map(|own| signature::write(own).into_owned())
            }
            Part::Refusal(text) => {
                self.said(text);
                None
            }
            Part::Thinking(thinking) => {
                self.thought(Thinking {
                    text: Text::Owned(thinking.text.clone().into_owned()),
                    signature: thinking.signature.as_ref().map(Signature::to_static),
                    redacted: thinking.redacted,
                    id: thinking.id.as_ref().map(|id| Text::Owned(id.clone().into_owned())),
                });
                None
            }
            Part::ToolCall(call) => self.of_call(call.signature.as_ref()),
            Part::Media(_) | Part::ToolResult(_) | Part::Opaque { .. } => None,
        }
    }

    /// How much more reasoning is worth gathering.
    pub fn room(&self) -> usize {
        MOST_BYTES.saturating_sub(self.size)
    }

    /// The signature of a call, which takes it all along, unsigned reasoning too: DeepSeek and others refuse a call that comes
    /// back without. Not beside Google's own signature, which stands for the thoughts before it.
    pub fn of_call(&mut self, own: Option<&Signature<'_>>) -> Option<String> {
        self.signature(own, own.is_none())
    }

    /// The signature of the last text, which takes along what is signed.
    pub fn of_text(&mut self, own: Option<&Signature<'_>>) -> Option<String> {
        self.signature(own, false)
    }

    fn signature(&mut self, own: Option<&Signature<'_>>, unsigned: bool) -> Option<String> {
        let Self { pieces, said, .. } = std::mem::take(self);
        let carries = |(_, thinking): &(usize, Thinking<'_>)| unsigned || thinking.signature.is_some();
        if !pieces.iter().any(carries) {
            return own.map(|own| signature::write(own).into_owned());
        }
        let mut json = JsonWriter::over(THOUGHTS.as_bytes().to_vec());
        json.object(|json| {
            json.key("thoughts").array(|json| {
                for (before, thinking) in &pieces {
                    json.object(|json| piece(thinking, said - before, json));
                }
            });
            if let Some(own) = own {
                json.key("own").object(|json| signed(own, json));
            }
        });
        Some(media::encode_base64(&json.finish()))
    }
}

/// The signatures of a whole answer's parts, and one for an empty text behind them when no part can take the last reasoning.
pub fn signatures(parts: &[Part<'_>]) -> (Vec<Option<String>>, Option<String>) {
    let mut load = Load::default();
    let mut last = None;
    let mut all = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        all.push(load.part(part));
        match part {
            Part::Text { signature, .. } => last = Some((at, signature.as_ref())),
            Part::Refusal(_) => last = Some((at, None)),
            Part::ToolCall(_) => last = None,
            _ => {}
        }
    }
    match last.and_then(|(at, own)| Some((all.get_mut(at)?, own))) {
        Some((place, own)) => {
            *place = load.of_text(own);
            (all, None)
        }
        None => (all, load.of_text(None)),
    }
}

fn piece(thinking: &Thinking<'_>, back: usize, json: &mut JsonWriter) {
    if let Some(signature) = &thinking.signature {
        signed(signature, json);
    }
    json.field("text", &thinking.text);
    json.opt("redacted", thinking.redacted.then_some(true));
    json.opt("id", thinking.id.as_ref());
    json.field("back", back as u64);
}

fn signed(signature: &Signature<'_>, json: &mut JsonWriter) {
    json.field("origin", signature.origin.as_str());
    json.field("data", &signature.data);
}

/// What a part took along.
#[derive(Debug, PartialEq)]
pub struct Carried<'d> {
    /// The part's own signature.
    pub own: Option<Signature<'d>>,
    /// The reasoning, with the bytes of text between it and the part.
    pub thoughts: Vec<(usize, Thinking<'static>)>,
}

/// From the text inside the base64: nothing when this is not one of these, an empty load when it is broken, because it is
/// no vendor's signature in any case.
pub fn read(unpacked: &str) -> Option<Carried<'static>> {
    let json = unpacked.strip_prefix(THOUGHTS)?;
    let mut carried = Carried {
        thoughts: Vec::new(),
        own: None,
    };
    if let Ok(node) = Node::parse(json.as_bytes(), 8) {
        let pieces = node.get("thoughts").and_then(Node::as_array).unwrap_or_default();
        carried.thoughts = pieces.iter().take(MOST_PIECES).filter_map(thought).collect();
        carried.own = node.get("own").and_then(proof);
    }
    Some(carried)
}

fn thought(node: &Node<'_>) -> Option<(usize, Thinking<'static>)> {
    let signature = proof(node);
    let text = node.get_str("text").unwrap_or_default();
    if signature.is_none() && text.is_empty() {
        return None;
    }
    let thinking = Thinking {
        redacted: text.is_empty() && matches!(node.get("redacted").map(Node::bool), Some(Ok(true))),
        text: Text::Owned(text.to_owned()),
        signature,
        id: node.get_str("id").map(|id| Text::Owned(id.to_owned())),
    };
    let back = node.get_u64("back").and_then(|back| usize::try_from(back).ok());
    Some((back.unwrap_or_default(), thinking))
}

fn proof(node: &Node<'_>) -> Option<Signature<'static>> {
    let origin = Dialect::from_name(node.get_str("origin")?)?;
    Some(Signature::new(origin, node.get_str("data")?.to_owned()))
}

/// Put reasoning back into a turn: its carrier stands behind the last of `parts`, and reached back to `since`.
pub fn unload<'d>(parts: &mut Vec<Part<'d>>, since: usize, thoughts: Vec<(usize, Thinking<'static>)>) {
    let mut before = parts.split_off(since.min(parts.len()));
    before.retain(|part| !matches!(part, Part::Thinking(shown) if shown.signature.is_none()));
    // Last piece first, so that every part is moved once.
    let (mut behind, mut passed) = (Vec::new(), 0usize);
    for (back, thinking) in thoughts.into_iter().rev() {
        while passed < back
            && let Some(Part::Text { .. }) = before.last()
            && let Some(Part::Text {
                mut text,
                cache,
                citations,
                signature,
            }) = before.pop()
        {
            let mut cut = text.len().saturating_sub(back - passed);
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            passed += text.len() - cut;
            let rest = match cut {
                0 => std::mem::take(&mut text),
                cut => text.to_mut().split_off(cut).into(),
            };
            behind.push(Part::Text {
                text: rest,
                cache,
                citations,
                signature,
            });
            if cut > 0 {
                before.push(Part::text(text));
            }
        }
        behind.push(Part::Thinking(thinking));
    }
    parts.append(&mut before);
    parts.extend(behind.into_iter().rev());
}
