//! The parser behind [`Node`]: strict (RFC 8259), recursive to a bounded depth, no copies but of strings with escapes.

use super::JsonError;
use super::node::{Node, Value};
use std::borrow::Cow;

/// Where we are in a document.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth_left: usize,
    values_left: usize,
}

impl<'a> Parser<'a> {
    /// At its start.
    pub(super) fn new(text: &'a str, depth_left: usize, values_left: usize) -> Self {
        Self {
            text,
            at: 0,
            depth_left,
            values_left,
        }
    }

    /// The one value it holds.
    pub(super) fn document(mut self) -> Result<Node<'a>, JsonError> {
        self.space();
        let node = self.value()?;
        self.space();
        if self.at == self.text.len() {
            Ok(node)
        } else {
            Err(self.error("something follows the JSON value"))
        }
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { offset: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self) -> Result<Node<'a>, JsonError> {
        let start = self.at;
        self.values_left = match self.values_left.checked_sub(1) {
            Some(left) => left,
            None => return Err(self.error("too many values")),
        };
        let value = match self.peek() {
            Some(b'"') => Value::String(self.string()?),
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => return Err(self.error("not a JSON value")),
            None => return Err(self.error("the JSON ends too early")),
        };
        Ok(Node {
            raw: self.since(start),
            value,
        })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value<'a>, JsonError>) -> Result<Value<'a>, JsonError> {
        if self.depth_left == 0 {
            return Err(self.error("nested too deeply"));
        }
        self.depth_left -= 1;
        self.at += 1;
        self.space();
        let value = read(self)?;
        self.depth_left += 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value<'a>, JsonError> {
        let mut members = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a key must be a string"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.error("`:` is missing"));
            }
            self.at += 1;
            self.space();
            members.push((key, self.value()?));
            if self.closes(b'}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn array(&mut self) -> Result<Value<'a>, JsonError> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.closes(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// Past a comma (false) or the closing bracket (true).
    fn closes(&mut self, bracket: u8) -> Result<bool, JsonError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(false)
            }
            Some(byte) if byte == bracket => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Err(self.error("`,` or a closing bracket is missing")),
            None => Err(self.error("the JSON ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.error("not a JSON value"))
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits();
        if digits == 0 || (leading_zero && digits > 1) {
            return Err(self.error("not a number"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.error("not a number"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.error("not a number"));
            }
        }
        Ok(Value::Number)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        if !self.plain()? {
            let text = self.since(start);
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut owned = self.since(start).to_owned();
        loop {
            self.escape(&mut owned)?;
            let start = self.at;
            let more = self.plain()?;
            owned.push_str(self.since(start));
            if !more {
                self.at += 1;
                return Ok(Cow::Owned(owned));
            }
        }
    }

    /// Past characters that stand for themselves; whether an escape (true) or the closing quote (false) follows.
    fn plain(&mut self) -> Result<bool, JsonError> {
        let bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let found = bytes
            .iter()
            .position(|&byte| byte < b' ' || byte == b'"' || byte == b'\\');
        self.at += found.unwrap_or(bytes.len());
        match found.and_then(|at| bytes.get(at)) {
            Some(b'"') => Ok(false),
            Some(b'\\') => Ok(true),
            Some(_) => Err(self.error("control character in a string")),
            None => Err(self.error("the JSON ends inside a string")),
        }
    }

    fn escape(&mut self, into: &mut String) -> Result<(), JsonError> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match letter {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(into),
            _ => return Err(self.error("bad escape in a string")),
        };
        into.push(plain);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, two of them for a surrogate pair. A lone surrogate becomes U+FFFD: providers that cut text between tokens
    /// do send them, and an answer is not worth refusing for it.
    fn unicode(&mut self, into: &mut String) -> Result<(), JsonError> {
        let first = self.hex(self.at + 2)?;
        self.at += 6;
        let pair =
            (0xd800..0xdc00).contains(&first) && self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u"));
        if pair {
            let second = self.hex(self.at + 2)?;
            if (0xdc00..0xe000).contains(&second) {
                self.at += 6;
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                into.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                return Ok(());
            }
        }
        into.push(char::from_u32(first).unwrap_or('\u{fffd}'));
        Ok(())
    }

    fn hex(&self, at: usize) -> Result<u32, JsonError> {
        let digits = self
            .text
            .get(at..at + 4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.error("bad \\u escape in a string"))
    }
}
