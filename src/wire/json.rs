//! A validating JSON scanner that finds where values are, without building anything.
//!
//! The gateway must know a few top-level members of a body (`model`, `stream`, `usage`) and must know that the body is
//! JSON at all, but forwards the bytes as they came: so it needs positions, not values. One pass, iterative (hostile
//! nesting costs no stack), bounded in depth, strict (RFC 8259, UTF-8 included). For reading values, serde_json is used on
//! the span.
//!
//! A scan can be fed while a body is still arriving ([`Scan::advance`]): then each piece is looked at while it is in the
//! processor's nearest cache, which for a large body is half of the work.
//!
//! Not for building documents, and not a general parser.

mod string;

use self::string::Skipped;

use std::ops::Range;

/// Where a value lies in the scanned bytes.
pub type Span = Range<usize>;

/// What sort of value a span holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `-1.5e3`
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// Why bytes are not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct JsonError {
    /// Byte offset of the first offending byte.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl JsonError {
    /// 1-based line and column (in bytes) of the error.
    pub fn line_column(&self, bytes: &[u8]) -> (usize, usize) {
        let before = bytes.get(..self.offset.min(bytes.len())).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
        (line, column)
    }
}

/// One member of the top-level object.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// The key between its quotes, still escaped.
    key: &'a [u8],
    /// Sort of the value.
    pub kind: Kind,
    /// Where the value is, quotes and braces included.
    pub value: Span,
}

impl Member<'_> {
    /// Whether the key is `name`, however it was escaped: `"mod\u0065l"` is `model`.
    pub fn is(&self, name: &str) -> bool {
        if memchr::memchr(b'\\', self.key).is_none() {
            return self.key == name.as_bytes();
        }
        let mut quoted = Vec::with_capacity(self.key.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.key);
        quoted.push(b'"');
        serde_json::from_slice::<String>(&quoted).is_ok_and(|key| key == name)
    }
}

/// Check that `bytes` are one JSON object nested at most `max_depth` deep, and show each top-level member to `visit`.
pub fn scan_object(bytes: &[u8], max_depth: usize, visit: impl FnMut(Member<'_>)) -> Result<(), JsonError> {
    Scan::object(max_depth).finish(bytes, visit)
}

/// Check that `bytes` are one JSON value of any sort.
pub fn scan_value(bytes: &[u8], max_depth: usize) -> Result<Kind, JsonError> {
    let mut scan = Scan::object(max_depth);
    scan.any = true;
    scan.finish(bytes, |_| ())?;
    Ok(scan.kind)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(text: &str) -> Result<Vec<(String, Kind, String)>, JsonError> {
        let mut found = Vec::new();
        scan_object(text.as_bytes(), 64, |m| {
            found.push((
                String::from_utf8_lossy(m.key).into_owned(),
                m.kind,
                text[m.value.clone()].to_owned(),
            ));
        })?;
        Ok(found)
    }

    #[test]
    fn top_level_members_are_found_with_their_exact_bytes() {
        let found = members(r#" { "a" : 1e3 , "b":{"a":[{}, [] ,"x\"}"]},"c":null } "#).unwrap();
        assert_eq!(
            found,
            [
                ("a".to_owned(), Kind::Number, "1e3".to_owned()),
                ("b".to_owned(), Kind::Object, r#"{"a":[{}, [] ,"x\"}"]}"#.to_owned()),
                ("c".to_owned(), Kind::Null, "null".to_owned()),
            ]
        );
    }

    #[test]
    fn an_escaped_key_is_the_key_it_means() {
        let mut hits = 0;
        scan_object(br#"{"mod\u0065l":"x","model2":1}"#, 8, |m| {
            hits += usize::from(m.is("model"))
        })
        .unwrap();
        assert_eq!(hits, 1);
    }

    #[test]
    fn errors_name_their_place() {
        for (text, offset) in [
            ("", 0),
            ("[]", 0),
            ("{", 1),
            (r#"{"a":1,}"#, 7),
            (r#"{"a" 1}"#, 5),
            (r#"{"a":01}"#, 6),
            (r#"{"a":tru}"#, 5),
            (r#"{"a":[1 2]}"#, 8),
            (r#"{"a":"\x"}"#, 7),
            (r#"{"a":1} x"#, 8),
            ("{\"a\":\"\n\"}", 6),
        ] {
            let error = members(text).unwrap_err();
            assert_eq!(error.offset, offset, "{text:?}: {error}");
        }
        let error = members("{\n \"a\": ?}").unwrap_err();
        assert_eq!(error.line_column(b"{\n \"a\": ?}"), (2, 7));
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(scan_object(nested(63).as_bytes(), 64, |_| ()).is_ok());
        assert_eq!(
            scan_object(nested(64).as_bytes(), 64, |_| ()).unwrap_err().what,
            "nested too deeply"
        );
        let bomb = format!("{{\"a\":{}", "[".repeat(5_000_000));
        assert_eq!(
            scan_object(bomb.as_bytes(), 1024, |_| ()).unwrap_err().what,
            "nested too deeply"
        );
    }

    fn arb_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>()
                .prop_filter("finite", |f| f.is_finite())
                .prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,80}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(".{0,12}", inner, 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn arriving_in_pieces_changes_nothing(
            value in arb_json(),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut bytes = serde_json::to_vec(&serde_json::json!({"k": value, "model": "m\\\u{e9}"})).unwrap();
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut whole = Vec::new();
            let expected = scan_object(&bytes, 64, |m| whole.push((m.key.to_vec(), m.kind, m.value)));
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            at.sort_unstable();
            let mut scan = Scan::object(64);
            let mut pieces = Vec::new();
            let mut note = |m: Member<'_>| pieces.push((m.key.to_vec(), m.kind, m.value));
            let advanced = at.iter().try_for_each(|&end| scan.advance(&bytes[..end], &mut note));
            let result = advanced.and_then(|()| scan.finish(&bytes, &mut note));
            prop_assert_eq!(result, expected);
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn agrees_with_serde_json_on_valid_documents(value in arb_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(scan_value(text.as_bytes(), 64).is_ok());
            if let serde_json::Value::Object(map) = &value {
                let mut seen = 0;
                scan_object(text.as_bytes(), 64, |m| {
                    let parsed: serde_json::Value = serde_json::from_str(&text[m.value.clone()]).unwrap();
                    let key: String = serde_json::from_str(&format!("\"{}\"", String::from_utf8_lossy(m.key))).unwrap();
                    assert_eq!(map.get(&key), Some(&parsed));
                    seen += 1;
                }).unwrap();
                prop_assert_eq!(seen, map.len());
            }
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_documents(value in arb_json(), at: prop::sample::Index, byte: u8) {
            let mut bytes = serde_json::to_vec(&value).unwrap();
            let index = at.index(bytes.len());
            bytes[index] = byte;
            let ours = scan_value(&bytes, 64).is_ok();
            // serde_json also refuses lone surrogates and out-of-range numbers, which are not ours to judge.
            if serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() {
                prop_assert!(ours);
            } else if ours {
                let text = String::from_utf8_lossy(&bytes);
                let grammar = serde_json::from_str::<&serde_json::value::RawValue>(&text);
                prop_assert!(grammar.is_ok() || text.contains("\\u") || text.contains('\u{fffd}'), "{}", text);
            }
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = scan_value(&bytes, 8);
            let _ = scan_object(&bytes, 8, |_| ());
        }
    }
}
