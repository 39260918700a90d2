//! The scan itself: a state machine over the tokens of one document, which can stop wherever the bytes do.

use super::string::{self, Skipped};
use super::{JsonError, Kind, Member, Span};

/// [`JsonError::what`] of a document with bytes that are not UTF-8.
pub const NOT_UTF8: &str = "not UTF-8";

/// Deepest nesting that can be configured; sizes the stack of open containers.
pub const DEPTH_CAP: usize = 1024;

/// Longest number accepted, in bytes. No number needs as many, and one that arrives in pieces is read anew with each.
const LONGEST_NUMBER: usize = 4096;

/// One bit per open container: set = object. A fixed array, so that scanning allocates nothing.
#[derive(Debug, Clone)]
struct OpenContainers {
    bits: [u64; DEPTH_CAP / 64],
    len: usize,
}

impl OpenContainers {
    fn push(&mut self, object: bool) {
        let mask = 1u64 << (self.len % 64);
        if let Some(word) = self.bits.get_mut(self.len / 64) {
            if object { *word |= mask } else { *word &= !mask }
        }
        self.len += 1;
    }

    fn top_is_object(&self) -> bool {
        let top = self.len.wrapping_sub(1);
        self.bits
            .get(top / 64)
            .is_some_and(|word| word & (1 << (top % 64)) != 0)
    }
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The document's value.
    Top,
    /// A key, or `}` right after `{`.
    FirstKey,
    /// A key, after a comma.
    Key,
    /// The rest of a key.
    InKey,
    /// `:`
    Colon,
    /// A value, or `]` right after `[`.
    FirstElement,
    /// A value.
    Value,
    /// The rest of a string value.
    InString,
    /// `,` or the end of the container.
    Next,
    /// White space only.
    End,
}

/// A scan under way: what has been seen of one document.
#[derive(Debug, Clone)]
pub struct Scan {
    max_depth: usize,
    /// The document may be any value, not only an object.
    any: bool,
    step: Step,
    at: usize,
    open: OpenContainers,
    /// The byte at `at` is escaped by the one before it (inside a string that is resumed).
    carry: bool,
    /// Only ASCII so far.
    ascii: bool,
    /// Key of the top-level member under way.
    key: Span,
    /// Start of the value under way in the top-level object.
    value_at: usize,
    /// Sort of the last value.
    kind: Kind,
}

impl Scan {
    /// Of a document that must be an object.
    pub fn object(max_depth: usize) -> Self {
        Self {
            max_depth: max_depth.min(DEPTH_CAP),
            any: false,
            step: Step::Top,
            at: 0,
            open: OpenContainers {
                bits: [0; DEPTH_CAP / 64],
                len: 0,
            },
            carry: false,
            ascii: true,
            key: 0..0,
            value_at: 0,
            kind: Kind::Null,
        }
    }

    /// Of a document that may be any value.
    pub fn any(max_depth: usize) -> Self {
        Self {
            any: true,
            ..Self::object(max_depth)
        }
    }

    /// Sort of the last value: of the document, once it is finished.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Scan what there is: `bytes` is the document so far, and more of it will come.
    pub fn advance(&mut self, bytes: &[u8], mut visit: impl FnMut(Member<'_>)) -> Result<(), JsonError> {
        self.run(bytes, false, &mut visit)
    }

    /// Scan the rest: `bytes` is the whole document.
    pub fn finish(&mut self, bytes: &[u8], mut visit: impl FnMut(Member<'_>)) -> Result<(), JsonError> {
        self.run(bytes, true, &mut visit)?;
        // Outside strings the grammar lets only ASCII pass, so most documents need no second look.
        if self.ascii || simdutf8::basic::from_utf8(bytes).is_ok() {
            return Ok(());
        }
        let offset = simdutf8::compat::from_utf8(bytes).err().map_or(0, |e| e.valid_up_to());
        Err(JsonError { offset, what: NOT_UTF8 })
    }

    fn run(&mut self, bytes: &[u8], last: bool, visit: &mut impl FnMut(Member<'_>)) -> Result<(), JsonError> {
        loop {
            let more = match self.step {
                Step::InKey | Step::InString => self.string(bytes, last)?,
                _ => {
                    while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
                        self.at += 1;
                    }
                    match bytes.get(self.at) {
                        Some(&byte) => self.token(byte, bytes, last)?,
                        None if self.step == Step::End || !last => return Ok(()),
                        None => return Err(self.ended(bytes)),
                    }
                }
            };
            match more {
                Token::Value => self.value_ended(bytes, visit),
                Token::Other => {}
                Token::Incomplete => return Ok(()),
            }
        }
    }

    /// One token, at `self.at`.
    #[inline]
    fn token(&mut self, byte: u8, bytes: &[u8], last: bool) -> Result<Token, JsonError> {
        match self.step {
            Step::Top if byte != b'{' && !self.any => Err(self.error("not a JSON object")),
            Step::FirstKey if byte == b'}' => Ok(self.close()),
            Step::FirstElement if byte == b']' => Ok(self.close()),
            Step::Top | Step::Value | Step::FirstElement => self.value(byte, bytes, last),
            Step::FirstKey | Step::Key if byte == b'"' => {
                self.at += 1;
                self.step = Step::InKey;
                if self.open.len == 1 {
                    self.key.start = self.at;
                }
                Ok(Token::Other)
            }
            Step::FirstKey | Step::Key => Err(self.error("expected a string key")),
            Step::Colon if byte == b':' => {
                self.at += 1;
                self.step = Step::Value;
                Ok(Token::Other)
            }
            Step::Colon => Err(self.error("expected `:`")),
            Step::Next => self.next(byte),
            Step::End => Err(self.error("data after the end of the JSON")),
            // Strings are resumed before a token is looked for.
            Step::InKey | Step::InString => Ok(Token::Other),
        }
    }

    fn next(&mut self, byte: u8) -> Result<Token, JsonError> {
        match (byte, self.open.top_is_object()) {
            (b',', object) => {
                self.at += 1;
                self.step = if object { Step::Key } else { Step::Value };
                Ok(Token::Other)
            }
            (b'}', true) | (b']', false) => Ok(self.close()),
            (_, true) => Err(self.error("expected `,` or `}`")),
            (_, false) => Err(self.error("expected `,` or `]`")),
        }
    }

    #[inline]
    fn value(&mut self, byte: u8, bytes: &[u8], last: bool) -> Result<Token, JsonError> {
        if self.open.len <= 1 {
            self.value_at = self.at;
        }
        match byte {
            b'"' => {
                self.at += 1;
                self.step = Step::InString;
                Ok(Token::Other)
            }
            b'{' | b'[' => self.open(byte == b'{'),
            b'-' | b'0'..=b'9' => self.number(bytes, last),
            b't' => self.literal(bytes, b"true", Kind::Bool, last),
            b'f' => self.literal(bytes, b"false", Kind::Bool, last),
            b'n' => self.literal(bytes, b"null", Kind::Null, last),
            _ => Err(self.error("expected a JSON value")),
        }
    }

    fn open(&mut self, object: bool) -> Result<Token, JsonError> {
        if self.open.len >= self.max_depth {
            return Err(self.error("nested too deeply"));
        }
        self.open.push(object);
        self.at += 1;
        self.step = if object { Step::FirstKey } else { Step::FirstElement };
        Ok(Token::Other)
    }

    fn close(&mut self) -> Token {
        self.kind = if self.open.top_is_object() {
            Kind::Object
        } else {
            Kind::Array
        };
        self.open.len -= 1;
        self.at += 1;
        Token::Value
    }

    /// A value has ended just before `self.at`.
    fn value_ended(&mut self, bytes: &[u8], visit: &mut impl FnMut(Member<'_>)) {
        self.step = if self.open.len == 0 { Step::End } else { Step::Next };
        if self.open.len == 1 && self.open.top_is_object() {
            visit(Member {
                key: bytes.get(self.key.clone()).unwrap_or_default(),
                kind: self.kind,
                value: self.value_at..self.at,
            });
        }
    }

    /// The rest of a string.
    fn string(&mut self, bytes: &[u8], last: bool) -> Result<Token, JsonError> {
        match string::skip(bytes, self.at, self.carry, last)? {
            Skipped::All { end, ascii } => {
                self.ascii &= ascii;
                self.carry = false;
                self.at = end;
                if self.step == Step::InString {
                    self.kind = Kind::String;
                    return Ok(Token::Value);
                }
                if self.open.len == 1 {
                    self.key.end = end - 1;
                }
                self.step = Step::Colon;
                Ok(Token::Other)
            }
            Skipped::Some { at, carry, ascii } => {
                self.ascii &= ascii;
                self.carry = carry;
                self.at = at;
                Ok(Token::Incomplete)
            }
        }
    }

    fn literal(&mut self, bytes: &[u8], word: &'static [u8], kind: Kind, last: bool) -> Result<Token, JsonError> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            self.kind = kind;
            return Ok(Token::Value);
        }
        if !last && word.starts_with(rest) {
            return Ok(Token::Incomplete);
        }
        Err(self.error("expected a JSON value"))
    }

    fn number(&mut self, bytes: &[u8], last: bool) -> Result<Token, JsonError> {
        let rest = bytes.get(self.at..).unwrap_or_default();
        let rest = rest.get(..=LONGEST_NUMBER).unwrap_or(rest);
        match number(rest) {
            Ok(length) | Err(length) if length > LONGEST_NUMBER => Err(self.error("number too long")),
            // It may go on in the next piece; it is short, so it is read again then.
            Ok(length) | Err(length) if length == rest.len() && !last => Ok(Token::Incomplete),
            Ok(length) => {
                self.at += length;
                self.kind = Kind::Number;
                Ok(Token::Value)
            }
            Err(length) => Err(JsonError {
                offset: self.at + length,
                what: "bad number",
            }),
        }
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { offset: self.at, what }
    }

    fn ended(&self, bytes: &[u8]) -> JsonError {
        self.error(match self.step {
            Step::Top if bytes.is_empty() => "empty body where a JSON object must be",
            Step::Top | Step::Value => "the JSON ends where a value must be",
            _ => "the JSON ends inside an object or array",
        })
    }
}

/// What a step of the scan came to.
enum Token {
    /// A value ended.
    Value,
    /// Something else was read.
    Other,
    /// The bytes end inside a token.
    Incomplete,
}

/// Length of the number that `bytes` start with; on error, where it goes wrong.
fn number(bytes: &[u8]) -> Result<usize, usize> {
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    match bytes.get(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at = digits(bytes, at),
        _ => return Err(at),
    }
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = some_digits(bytes, at)?;
    }
    Ok(at)
}

fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(bytes: &[u8], at: usize) -> Result<usize, usize> {
    let end = digits(bytes, at);
    if end == at { Err(at) } else { Ok(end) }
}
