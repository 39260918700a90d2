//! A validating JSON scanner that finds where values are, without building anything.
//!
//! The gateway must know a few top-level members of a body (`model`, `stream`, `usage`) and must know that the body is
//! JSON at all, but forwards the bytes as they came: so it needs positions, not values. One pass, iterative (hostile
//! nesting costs no stack), bounded in depth, strict (RFC 8259, UTF-8 included). For reading values, serde_json is used on
//! the span.
//!
//! Not for building documents, and not a general parser.

mod string;

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
pub fn scan_object<'a>(bytes: &'a [u8], max_depth: usize, mut visit: impl FnMut(Member<'a>)) -> Result<(), JsonError> {
    let mut scanner = Scanner {
        bytes,
        at: 0,
        max_depth,
        ascii: true,
    };
    scanner.white_space();
    if scanner.peek() != Some(b'{') {
        return Err(scanner.error(if bytes.is_empty() {
            "empty body where a JSON object must be"
        } else {
            "not a JSON object"
        }));
    }
    scanner.at += 1;
    scanner.white_space();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
    } else {
        loop {
            let key = scanner.key()?;
            let start = scanner.at;
            let kind = scanner.value(1)?;
            let key = bytes.get(key).unwrap_or_default();
            visit(Member {
                key,
                kind,
                value: start..scanner.at,
            });
            scanner.white_space();
            match scanner.next() {
                Some(b',') => scanner.white_space(),
                Some(b'}') => break,
                Some(_) => return Err(scanner.error_before("expected `,` or `}`")),
                None => return Err(scanner.error("the JSON ends inside an object")),
            }
        }
    }
    scanner.end("data after the end of the JSON object")
}

/// Check that `bytes` are one JSON value of any sort.
pub fn scan_value(bytes: &[u8], max_depth: usize) -> Result<Kind, JsonError> {
    let mut scanner = Scanner {
        bytes,
        at: 0,
        max_depth,
        ascii: true,
    };
    scanner.white_space();
    let kind = scanner.value(0)?;
    scanner.end("data after the end of the JSON value")?;
    Ok(kind)
}

/// [`JsonError::what`] of a document with bytes that are not UTF-8.
pub const NOT_UTF8: &str = "not UTF-8";

/// Deepest nesting that can be configured; sizes the stack of open containers.
pub const DEPTH_CAP: usize = 1024;

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    /// Only ASCII so far.
    ascii: bool,
}

/// One bit per open container: set = object. A fixed array, so that scanning allocates nothing.
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

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { offset: self.at, what }
    }

    fn error_before(&self, what: &'static str) -> JsonError {
        JsonError {
            offset: self.at.saturating_sub(1),
            what,
        }
    }

    /// Nothing but white space is left, and all of it was UTF-8.
    fn end(&mut self, otherwise: &'static str) -> Result<(), JsonError> {
        self.white_space();
        if self.at < self.bytes.len() {
            return Err(self.error(otherwise));
        }
        // Outside strings the grammar lets only ASCII pass, so most documents need no second look.
        if self.ascii || simdutf8::basic::from_utf8(self.bytes).is_ok() {
            return Ok(());
        }
        let offset = simdutf8::compat::from_utf8(self.bytes)
            .err()
            .map_or(0, |e| e.valid_up_to());
        Err(JsonError { offset, what: NOT_UTF8 })
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// `"key" :` and the white space around; the span is the key between its quotes.
    fn key(&mut self) -> Result<Span, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a string key"));
        }
        let start = self.at + 1;
        self.string()?;
        let end = self.at - 1;
        self.white_space();
        if self.next() != Some(b':') {
            return Err(self.error_before("expected `:`"));
        }
        self.white_space();
        Ok(start..end)
    }

    fn value(&mut self, depth: usize) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'{') => self.container(depth).map(|()| Kind::Object),
            Some(b'[') => self.container(depth).map(|()| Kind::Array),
            Some(byte) => self.scalar(byte),
            None => Err(self.error("the JSON ends where a value must be")),
        }
    }

    #[inline]
    fn scalar(&mut self, first: u8) -> Result<Kind, JsonError> {
        match first {
            b'"' => self.string().map(|()| Kind::String),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            b't' => self.literal(b"true").map(|()| Kind::Bool),
            b'f' => self.literal(b"false").map(|()| Kind::Bool),
            b'n' => self.literal(b"null").map(|()| Kind::Null),
            _ => Err(self.error("expected a JSON value")),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), JsonError> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.error("expected a JSON value"))
        }
    }

    /// Past one whole object or array, nested ones included. `depth` is how many are open around it.
    fn container(&mut self, depth: usize) -> Result<(), JsonError> {
        let mut open = OpenContainers {
            bits: [0; DEPTH_CAP / 64],
            len: 0,
        };
        let max = self.max_depth.min(DEPTH_CAP).saturating_sub(depth);
        loop {
            // At `{` or `[`.
            let object = self.next() == Some(b'{');
            if open.len >= max {
                return Err(self.error_before("nested too deeply"));
            }
            open.push(object);
            self.white_space();
            let mut closed = if self.peek() == Some(if object { b'}' } else { b']' }) {
                self.at += 1;
                open.len -= 1;
                true
            } else {
                false
            };
            // Members of the innermost open container, until one of them opens another.
            loop {
                if closed {
                    if open.len == 0 {
                        return Ok(());
                    }
                    self.white_space();
                    match (self.next(), open.top_is_object()) {
                        (Some(b','), _) => self.white_space(),
                        (Some(b'}'), true) | (Some(b']'), false) => {
                            open.len -= 1;
                            continue;
                        }
                        (Some(_), true) => return Err(self.error_before("expected `,` or `}`")),
                        (Some(_), false) => return Err(self.error_before("expected `,` or `]`")),
                        (None, _) => return Err(self.error("the JSON ends inside an object or array")),
                    }
                }
                if open.top_is_object() {
                    self.key()?;
                }
                match self.peek() {
                    Some(b'{' | b'[') => break,
                    Some(byte) => {
                        self.scalar(byte)?;
                        closed = true;
                    }
                    None => return Err(self.error("the JSON ends where a value must be")),
                }
            }
        }
    }

    /// Past a string; at its opening quote.
    fn string(&mut self) -> Result<(), JsonError> {
        let passed = string::skip(self.bytes, self.at + 1)?;
        self.at = passed.end;
        self.ascii &= passed.ascii;
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.next() {
            Some(b'0') => {}
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.error_before("bad number")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.digits();
        if self.at == start {
            Err(self.error("bad number"))
        } else {
            Ok(())
        }
    }
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
