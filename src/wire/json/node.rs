//! A JSON document as a tree that borrows from the bytes it was read from.
//!
//! Translation between dialects needs values, and must carry parts it does not understand (schemas, tool arguments,
//! metadata) across unchanged, so every node also knows its exact text. Strings without escapes are slices of the
//! document, numbers stay text until they are asked for. Readers return [`Invalid`], which collects the path of the field
//! at fault on its way up, so that the happy path builds no path at all.
//!
//! Not for the same-dialect path: that needs positions only ([`super::scan_object`]).

use super::parse::Parser;
use super::scan::NOT_UTF8;
use super::{JsonError, Kind};
use std::borrow::Cow;

/// Deepest nesting that is read whatever the configuration says: each level is a call.
const DEPTH_CAP: usize = 512;

/// Most values of one document. Each takes 40 bytes or more where its text may take two, so that a document could take many
/// times its own size; no list of vectors or tokens that fits into an answer has as many.
const MOST_VALUES: usize = 4 << 20;

/// One value and its exact text.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// The value as written.
    pub raw: &'a str,
    /// What it is.
    pub value: Value<'a>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number; its text is the node's.
    Number,
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object, members in order, repeats kept.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// A field that is not what it must be. `path` grows from the inside out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// `messages[2].content[0].type`; empty for the document itself.
    pub path: String,
    /// What is wrong and how to mend it, written to follow the path: "must be a string".
    pub message: Cow<'static, str>,
    /// OpenAI's `error.code`.
    pub code: &'static str,
}

impl Invalid {
    /// A value that makes no sense here.
    pub fn value(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
            code: "invalid_value",
        }
    }

    /// A value of the wrong type.
    pub fn wrong_type(wanted: &str) -> Self {
        Self {
            path: String::new(),
            message: format!("must be {wanted}").into(),
            code: "invalid_type",
        }
    }

    /// A field that must be given.
    pub fn missing() -> Self {
        Self {
            path: String::new(),
            message: "is required".into(),
            code: "missing_required_parameter",
        }
    }

    /// A field or value this gateway knows and cannot serve here.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
            code: "unsupported_value",
        }
    }

    /// Inside this member.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        // What the client wrote goes back to it, clipped.
        let key: String = key.chars().filter(|c| !c.is_control()).take(80).collect();
        self.path = match self.path.as_str() {
            "" => key,
            rest if rest.starts_with('[') => format!("{key}{rest}"),
            rest => format!("{key}.{rest}"),
        };
        self
    }

    /// Inside this element.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.path = match self.path.as_str() {
            "" => format!("[{index}]"),
            rest if rest.starts_with('[') => format!("[{index}]{rest}"),
            rest => format!("[{index}].{rest}"),
        };
        self
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "the body {}", self.message),
            path => write!(f, "`{path}` {}", self.message),
        }
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for crate::error::GatewayError {
    fn from(invalid: Invalid) -> Self {
        let error = Self::invalid(invalid.code, invalid.to_string());
        if invalid.path.is_empty() {
            error
        } else {
            error.param(invalid.path)
        }
    }
}

impl<'a> Node<'a> {
    /// Read a document of any kind, nested at most `max_depth` deep.
    pub fn parse(bytes: &'a [u8], max_depth: usize) -> Result<Self, JsonError> {
        Self::parse_up_to(bytes, max_depth, MOST_VALUES)
    }

    /// The same of a document with at most so many values.
    pub fn parse_up_to(bytes: &'a [u8], max_depth: usize, most_values: usize) -> Result<Self, JsonError> {
        let text = simdutf8::compat::from_utf8(bytes).map_err(|error| JsonError {
            offset: error.valid_up_to(),
            what: NOT_UTF8,
        })?;
        Parser::new(text, max_depth.min(DEPTH_CAP), most_values).document()
    }

    /// What sort of value it is.
    pub fn kind(&self) -> Kind {
        match &self.value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Number => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        }
    }

    /// `null`.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The member of this name; `null` counts as absent, and of repeated ones the last counts, as in most readers.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        let Value::Object(members) = &self.value else {
            return None;
        };
        let (_, node) = members.iter().rev().find(|(name, _)| name == key)?;
        (!node.is_null()).then_some(node)
    }

    /// The text of a string member; nothing when it is absent or something else.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The figure of a whole-number member; nothing when it is absent or something else.
    pub fn get_u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The figure, if it is a whole number that fits. `3.0` counts as 3: some vendors write figures so.
    pub fn as_u64(&self) -> Option<u64> {
        if !matches!(self.value, Value::Number) {
            return None;
        }
        self.raw.parse().ok().or_else(|| {
            let number = self.raw.parse::<f64>().ok()?;
            ((0.0..9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
        })
    }

    /// The number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self.value {
            Value::Number => self.raw.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Node<'a>)]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// A string, or what is wrong.
    pub fn str(&self) -> Result<&str, Invalid> {
        self.as_str().ok_or_else(|| Invalid::wrong_type("a string"))
    }

    /// `true` or `false`, or what is wrong.
    pub fn bool(&self) -> Result<bool, Invalid> {
        match self.value {
            Value::Bool(yes) => Ok(yes),
            _ => Err(Invalid::wrong_type("true or false")),
        }
    }

    /// A whole number from 0, or what is wrong.
    pub fn u64(&self) -> Result<u64, Invalid> {
        self.as_u64()
            .ok_or_else(|| Invalid::wrong_type("a whole number, 0 or greater"))
    }

    /// A whole number, or what is wrong.
    pub fn i64(&self) -> Result<i64, Invalid> {
        let number = match self.value {
            Value::Number => self.raw.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| Invalid::wrong_type("a whole number"))
    }

    /// A number, or what is wrong.
    pub fn f64(&self) -> Result<f64, Invalid> {
        self.as_f64().ok_or_else(|| Invalid::wrong_type("a number"))
    }

    /// An array, or what is wrong.
    pub fn array(&self) -> Result<&[Node<'a>], Invalid> {
        self.as_array().ok_or_else(|| Invalid::wrong_type("an array"))
    }

    /// An object, or what is wrong.
    pub fn object(&self) -> Result<&[(Cow<'a, str>, Node<'a>)], Invalid> {
        self.as_object().ok_or_else(|| Invalid::wrong_type("an object"))
    }

    /// Read a member that may be absent (or `null`); an error names it.
    pub fn opt<'n, T>(
        &'n self,
        key: &str,
        read: impl FnOnce(&'n Node<'a>) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        match self.get(key) {
            None => Ok(None),
            Some(node) => read(node).map(Some).map_err(|invalid| invalid.within(key)),
        }
    }

    /// Read a member that must be given; an error names it.
    pub fn req<'n, T>(
        &'n self,
        key: &str,
        read: impl FnOnce(&'n Node<'a>) -> Result<T, Invalid>,
    ) -> Result<T, Invalid> {
        match self.get(key) {
            None => Err(Invalid::missing().within(key)),
            Some(node) => read(node).map_err(|invalid| invalid.within(key)),
        }
    }

    /// Read every element; an error names its index.
    pub fn each<'n, T>(&'n self, mut read: impl FnMut(&'n Node<'a>) -> Result<T, Invalid>) -> Result<Vec<T>, Invalid> {
        let items = self.array()?;
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            all.push(read(item).map_err(|invalid| invalid.at(index))?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_serde(node: &Node<'_>) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => (*yes).into(),
            Value::Number => serde_json::from_str(node.raw).unwrap(),
            Value::String(text) => text.as_ref().into(),
            Value::Array(items) => items.iter().map(to_serde).collect(),
            Value::Object(members) => {
                serde_json::Value::Object(members.iter().map(|(k, v)| (k.to_string(), to_serde(v))).collect())
            }
        }
    }

    #[test]
    fn nodes_know_their_text_and_strings_are_unescaped() {
        let text = r#" {"a":[1.50e1, "x\n\u00e9\ud83d\ude00\ud83d\"\/"], "s":{ "k" : null }} "#;
        let node = Node::parse(text.as_bytes(), 8).unwrap();
        let items = node.get("a").unwrap().as_array().unwrap();
        assert_eq!(items[0].raw, "1.50e1");
        assert_eq!(items[0].as_u64(), Some(15));
        assert_eq!(items[1].as_str(), Some("x\né😀\u{fffd}\"/"));
        assert_eq!(node.get("s").unwrap().raw, r#"{ "k" : null }"#);
        assert!(node.get("s").unwrap().get("k").is_none());
    }

    #[test]
    fn errors_carry_their_path() {
        let node = Node::parse(br#"{"messages":[{},{"content":[{"type":7}]}]}"#, 8).unwrap();
        let read = |part: &Node<'_>| part.req("type", |t| t.str().map(str::len));
        let error = node
            .req("messages", |m| m.each(|m| m.opt("content", |c| c.each(read))))
            .unwrap_err();
        assert_eq!(error.path, "messages[1].content[0].type");
        assert_eq!(error.to_string(), "`messages[1].content[0].type` must be a string");
        let missing = node.req("model", |n| n.str().map(str::len)).unwrap_err();
        assert_eq!(
            (missing.path.as_str(), missing.code),
            ("model", "missing_required_parameter")
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let bomb = "[".repeat(100_000);
        assert_eq!(
            Node::parse(bomb.as_bytes(), 100_000).unwrap_err().what,
            "nested too deeply"
        );
        assert!(Node::parse(b"[[[]]]", 3).is_ok());
        assert!(Node::parse(b"[[[]]]", 2).is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Node::parse(&bytes, 8);
        }

        #[test]
        fn damaged_documents_are_judged_as_the_scanner_judges_them(
            text in ".{0,30}", number in any::<f64>().prop_filter("finite", |f| f.is_finite()),
            at in any::<prop::sample::Index>(), byte in any::<u8>(), damage: bool,
        ) {
            let value = serde_json::json!({"k": [text, number, null, {"é\n": true}], "": {}});
            let mut bytes = serde_json::to_vec(&value).unwrap();
            if damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let read = Node::parse(&bytes, 16);
            prop_assert_eq!(read.is_ok(), super::super::scan_value(&bytes, 16).is_ok(), "{}", String::from_utf8_lossy(&bytes));
            if let (false, Ok(node)) = (damage, read) {
                prop_assert_eq!(to_serde(&node), value);
            }
        }
    }
}
