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
//! Beside the scanner: [`Node`], a borrowing tree for translating between dialects, and [`JsonWriter`].

mod node;
mod parse;
mod scan;
mod string;
mod write;

pub use self::node::{Invalid, Node, Value};
pub use self::scan::{DEPTH_CAP, NOT_UTF8, Scan};
pub use self::write::{JsonWriter, Put, escape_into};

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
        if self.key == name.as_bytes() {
            return true;
        }
        // An escape is longer than what it stands for.
        if self.key.len() <= name.len() || memchr::memchr(b'\\', self.key).is_none() {
            return false;
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
    let mut scan = Scan::any(max_depth);
    scan.finish(bytes, |_| ())?;
    Ok(scan.kind())
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
