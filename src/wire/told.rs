//! What a body that passes and is never held tells of itself: the tokens that were used, and the model that used them.
//!
//! ```text
//! {"model":"m", … ,"usage":{…},"service_tier":"flex"}             a whole answer: chat, completions, images, transcriptions, …
//! data: {"type":"response.completed","response":{"model":"m","usage":{…}}}     an event of a stream: Responses
//! data: {"type":"message_start","message":{"model":"m","usage":{…}}}           Messages; cumulative figures follow
//! ```
//! Not a check: whoever reads the body does that. The one idea: a byte is looked at once and forgotten; what is remembered is the
//! depth, the key that is being read, and the few small values asked for, so that an answer of any length costs the same memory.
//! Where a value stands is known exactly: nothing inside a text, a tool's arguments or an echoed schema is taken for the answer's own.
//!
//! Sources: OpenAI API reference (chat, responses, audio/createTranscription, images/create; read 2026-11), Anthropic Messages.

mod scan;

#[cfg(test)]
mod tests;

use self::scan::{Scan, Values};
use super::json::Node;
use super::messages::figures::Figures;
use super::{responses, usage};
use crate::units::Usage;

/// Deepest nesting of a usage object.
const DEPTH: usize = 16;
/// Longest name of a model that is taken, in bytes.
const LONGEST_MODEL: usize = 256;

/// What was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Tokens.
    pub usage: Option<Usage>,
    /// The provider's name of the model that answered.
    pub model: Option<Box<str>>,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON document.
    Json,
    /// Server-sent events with a JSON document each.
    Events,
}

impl Form {
    /// From a `content-type`; none: neither.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        match kind.trim_ascii() {
            kind if kind.eq_ignore_ascii_case(b"application/json") => Some(Self::Json),
            kind if kind.eq_ignore_ascii_case(b"text/event-stream") => Some(Self::Events),
            _ => None,
        }
    }
}

/// Reads a body piece by piece.
#[derive(Debug)]
pub struct Listener {
    form: Form,
    line: Line,
    scan: Scan,
    /// Of Anthropic's API, whose figures come in parts.
    figures: Option<Figures>,
    told: Told,
}

/// Where in a stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` were there.
    Begins(usize),
    /// In data.
    Data,
    /// In what is none.
    Other,
}

const DATA: &[u8] = b"data:";

impl Listener {
    /// At the beginning of a body.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            line: Line::Begins(0),
            scan: Scan::default(),
            figures: None,
            told: Told::default(),
        }
    }

    /// The next piece.
    pub fn push(&mut self, piece: &[u8]) {
        match self.form {
            Form::Json => self.scan.push(piece),
            Form::Events => self.events(piece),
        }
    }

    /// What was told until here. Of a whole body: to be asked at its end.
    pub fn told(mut self) -> Told {
        self.take();
        self.told
    }

    /// Each line of data is taken for a document, as every provider writes them; one over several lines tells nothing.
    fn events(&mut self, mut piece: &[u8]) {
        while let Some(&byte) = piece.first() {
            let ends = byte == b'\n' || byte == b'\r';
            let taken = match self.line {
                Line::Begins(at) if DATA.get(at) == Some(&byte) => {
                    self.line = if at + 1 == DATA.len() {
                        Line::Data
                    } else {
                        Line::Begins(at + 1)
                    };
                    1
                }
                Line::Begins(_) => {
                    self.line = if ends { Line::Begins(0) } else { Line::Other };
                    1
                }
                Line::Data | Line::Other => {
                    let rest = memchr::memchr2(b'\n', b'\r', piece);
                    let line = piece.get(..rest.unwrap_or(piece.len())).unwrap_or_default();
                    if self.line == Line::Data {
                        self.scan.push(line);
                        if rest.is_some() {
                            self.take();
                        }
                    }
                    if rest.is_some() {
                        self.line = Line::Begins(0);
                    }
                    line.len() + usize::from(rest.is_some())
                }
            };
            piece = piece.get(taken..).unwrap_or_default();
        }
    }

    /// A document has ended.
    fn take(&mut self) {
        let Values {
            usage,
            model,
            tier,
            message,
        } = self.scan.end();
        if let Some(name) = model.and_then(|text| serde_json::from_slice::<String>(&text).ok())
            && !name.is_empty()
            && name.len() <= LONGEST_MODEL
        {
            self.told.model = Some(name.into());
        }
        let Some(object) = usage else { return };
        let Ok(node) = Node::parse(&object, DEPTH) else { return };
        if let Some(mut figures) = self.read(&node, &object, message) {
            if let Some(tier) = tier {
                figures.tier = usage::read_tier(&tier);
            }
            // The last is of the whole: streams repeat it, parts of them (steps of a run) come before.
            self.told.usage = Some(figures);
        }
    }

    /// By the words that the object is written in.
    fn read(&mut self, node: &Node<'_>, object: &[u8], message: bool) -> Option<Usage> {
        let has = |key: &str| node.get(key).is_some();
        if self.figures.is_some() || message || has("cache_read_input_tokens") || has("cache_creation_input_tokens") {
            let figures = self.figures.get_or_insert_default();
            figures.take(node);
            return figures.usage();
        }
        if has("input_tokens") || has("output_tokens") {
            return responses::facts::figures(object);
        }
        usage::from_node(node)
    }
}
