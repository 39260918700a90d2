//! The walk over one document, value by value. The bytes are known to be JSON; nothing is built but what is replaced.

use super::super::json::{Put, Span, scan_value};
use super::names::{Mode, Shape, names_a_tool, of_body, of_prose, of_schema};
use super::strings::{
    container_end, inside, is_base64, is_data_url, is_identifier, number_end, read, resolved, string_end,
};
use super::{Channel, Document};

/// How many objects of a conversation, one in another, are looked at before they are entered. Each look reads the object, so
/// hostile nesting must not multiply; below, what they say of themselves counts for nothing.
const SHAPED: usize = 12;

/// A number that is as long may be more than a count: of a card, a telephone, a person.
const TELLING: usize = 7;

/// A container that is open.
#[derive(Debug)]
struct Open {
    object: bool,
    /// Of what is in it.
    mode: Mode,
    shape: Shape,
    /// How many objects of the conversation it is in, itself included.
    within: usize,
    /// A string that is a member of it was replaced.
    changed: bool,
    /// Where the signature of what it says is.
    signature: Option<Span>,
}

/// The walk.
pub(super) struct Walk<'w> {
    document: Document,
    max_depth: usize,
    edit: &'w mut dyn FnMut(Channel, &str) -> Option<String>,
    /// What is written in the place of what.
    splices: Vec<(Span, Vec<u8>)>,
    /// Where tokens are.
    tokens: Vec<Span>,
}

impl<'w> Walk<'w> {
    /// Not begun.
    pub(super) fn new(
        document: Document,
        max_depth: usize,
        edit: &'w mut dyn FnMut(Channel, &str) -> Option<String>,
    ) -> Self {
        Self {
            document,
            max_depth,
            edit,
            splices: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Over a value that is `root`.
    pub(super) fn run(&mut self, bytes: &[u8], root: Mode) {
        let mut open: Vec<Open> = Vec::new();
        // Of the value that comes next; in an object none does before its key.
        let mut next = Some(root);
        let mut tool = false;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = string_end(bytes, at);
                    match (next, open.last_mut()) {
                        (Some(mode), outside) => self.value(bytes, at..end, mode, outside),
                        (None, Some(object)) => {
                            let key = bytes.get(at..end).unwrap_or_default();
                            next = Some(self.member(key, object, &mut tool));
                        }
                        (None, None) => {}
                    }
                    at = end;
                }
                b'{' | b'[' => match self.enter(bytes, at, next.unwrap_or(root), tool, open.last()) {
                    Some(entered) => {
                        next = (!entered.object).then_some(entered.mode);
                        open.push(entered);
                        tool = false;
                        at += 1;
                    }
                    None => at = container_end(bytes, at),
                },
                b'}' | b']' => {
                    self.leave(open.pop());
                    at += 1;
                }
                b',' => {
                    next = open.last().filter(|open| !open.object).map(|array| array.mode);
                    at += 1;
                }
                b'-' | b'0'..=b'9' => {
                    let end = number_end(bytes, at);
                    if let Some(Mode::Free(channel)) = next {
                        self.number(bytes, at..end, channel);
                    }
                    at = end;
                }
                _ => at += 1,
            }
        }
    }

    /// What the value under a key is.
    fn member(&self, key: &[u8], object: &Open, tool: &mut bool) -> Mode {
        // Only names that somebody gave a meaning are read.
        if let Mode::Free(_) = object.mode {
            return object.mode;
        }
        let key = read(key);
        *tool = names_a_tool(&key);
        match object.mode {
            Mode::Body => of_body(&key, self.document),
            Mode::Prose(channel) => of_prose(&key, object.shape, channel),
            Mode::Named(channel) => Mode::Prose(channel),
            Mode::Schema => of_schema(&key),
            other => other,
        }
    }

    /// A string that is a value.
    fn value(&mut self, bytes: &[u8], at: Span, mode: Mode, outside: Option<&mut Open>) {
        let before = self.splices.len();
        self.string(bytes, at.clone(), mode);
        let replaced = self.splices.len() > before;
        if let Some(outside) = outside {
            outside.changed |= replaced;
            if let (Mode::Signature(_), false) = (mode, replaced) {
                outside.signature = Some(at);
            }
        }
    }

    /// A signature no longer proves what was replaced beside it.
    fn leave(&mut self, left: Option<Open>) {
        if let (
            Some(Open {
                changed: true,
                signature: Some(at),
                ..
            }),
            Document::Answer(..),
        ) = (left, self.document)
        {
            self.splice(at, "");
        }
    }

    /// Go into the container at `at`, which is `mode`; `None`: past it.
    fn enter(&mut self, bytes: &[u8], at: usize, mode: Mode, tool: bool, outside: Option<&Open>) -> Option<Open> {
        if mode == Mode::Tokens {
            self.tokens.push(at..container_end(bytes, at));
        }
        let object = bytes.get(at) == Some(&b'{');
        let mut entered = Open {
            object,
            mode: mode.inside(object)?,
            shape: Shape::UNKNOWN,
            within: outside.map_or(0, |outside| outside.within),
            changed: false,
            signature: None,
        };
        if let (Mode::Prose(channel), true) = (entered.mode, object) {
            entered.within += 1;
            if entered.within <= SHAPED {
                entered.shape = Shape::of(bytes, at);
                entered.shape.calls |= tool;
            }
            entered.mode = Mode::Prose(entered.shape.channel(channel, self.document));
        }
        Some(entered)
    }

    fn string(&mut self, bytes: &[u8], at: Span, mode: Mode) {
        let quoted = bytes.get(at.clone()).unwrap_or_default();
        let written = inside(quoted);
        let channel = match mode {
            Mode::Encoded(channel) => {
                if let Some(with) = self.arguments(&read(quoted), channel) {
                    self.splice(at, &with);
                }
                return;
            }
            Mode::Identifier(_) if is_identifier(written) => return,
            Mode::Base64(_) | Mode::Signature(_) if is_base64(written) => return,
            Mode::Address(_) if is_data_url(written) => return,
            Mode::Schema | Mode::Tokens | Mode::Nothing => return,
            Mode::Body | Mode::Described => Channel::Text,
            Mode::Prose(channel)
            | Mode::Named(channel)
            | Mode::Free(channel)
            | Mode::Identifier(channel)
            | Mode::Base64(channel)
            | Mode::Signature(channel)
            | Mode::Address(channel) => channel,
        };
        if !written.is_empty() {
            self.text(at, channel, &read(quoted));
        }
    }

    fn number(&mut self, bytes: &[u8], at: Span, channel: Channel) {
        let written = bytes.get(at.clone()).unwrap_or_default();
        if written.len() >= TELLING {
            self.text(at, channel, &String::from_utf8_lossy(written));
        }
    }

    fn text(&mut self, at: Span, channel: Channel, text: &str) {
        let edited = (self.edit)(channel, text);
        if let Some(with) = edited.filter(|with| channel != Channel::Signed && with != text) {
            self.splice(at, &with);
        }
    }

    fn splice(&mut self, at: Span, with: &str) {
        let mut quoted = Vec::with_capacity(with.len() + 2);
        with.put(&mut quoted);
        self.splices.push((at, quoted));
    }

    /// What a tool is called with, a string: what is to stand in its place, if it must change.
    pub(super) fn arguments(&mut self, text: &str, channel: Channel) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        if scan_value(text.as_bytes(), self.max_depth).is_err() {
            let read = resolved(text, false);
            return (self.edit)(channel, &read).filter(|with| *with != read);
        }
        let mut inner = Walk::new(self.document, self.max_depth, &mut *self.edit);
        inner.run(text.as_bytes(), Mode::Free(channel));
        String::from_utf8(inner.spliced(text.as_bytes())?).ok()
    }

    /// The document as it was edited, if it was.
    pub(super) fn spliced(mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.splices.is_empty() {
            return None;
        }
        for at in std::mem::take(&mut self.tokens) {
            let empty: &[u8] = if bytes.get(at.start) == Some(&b'[') {
                b"[]"
            } else {
                b"null"
            };
            self.splices.push((at, empty.to_vec()));
        }
        self.splices.sort_by_key(|(at, _)| at.start);
        let added: usize = self.splices.iter().map(|(_, with)| with.len()).sum();
        let mut out = Vec::with_capacity(bytes.len() + added);
        let mut from = 0;
        for (at, with) in self.splices {
            out.extend_from_slice(bytes.get(from..at.start).unwrap_or_default());
            out.extend_from_slice(&with);
            from = at.end;
        }
        out.extend_from_slice(bytes.get(from..).unwrap_or_default());
        Some(out)
    }
}
