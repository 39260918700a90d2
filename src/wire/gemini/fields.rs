//! Members of Google's JSON by either of their spellings: `maxOutputTokens` and `max_output_tokens` are the same field.
//!
//! Google's servers read protobuf's JSON mapping, which accepts both (and a lone object where a list is meant: recorded
//! clients send `"parts": {"text": …}`); applications rely on it. Requests only: answers are always camelCase.
//! Source: protobuf.dev "ProtoJSON Format", read 2026-11.

use crate::wire::json::{Invalid, Node};

/// Whether `key` is this field, spelled `camelCase` or `snake_case`.
pub fn same(key: &str, camel: &str) -> bool {
    if key == camel {
        return true;
    }
    let mut key = key.bytes();
    for letter in camel.bytes() {
        let fits = if letter.is_ascii_uppercase() {
            key.next() == Some(b'_') && key.next() == Some(letter.to_ascii_lowercase())
        } else {
            key.next() == Some(letter)
        };
        if !fits {
            return false;
        }
    }
    key.next().is_none()
}

/// Lookups by either spelling. Errors name the field as the client wrote it.
pub trait Fields<'a> {
    /// The member and its key as written; `null` counts as absent, the last of repeated ones counts.
    fn field(&self, camel: &str) -> Option<(&str, &Node<'a>)>;

    /// Its value.
    fn value_of(&self, camel: &str) -> Option<&Node<'a>> {
        self.field(camel).map(|(_, node)| node)
    }

    /// Read a member that may be absent.
    fn opt_field<'n, T>(
        &'n self,
        camel: &str,
        read: impl FnOnce(&'n Node<'a>) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid>
    where
        'a: 'n,
    {
        match self.field(camel) {
            None => Ok(None),
            Some((key, node)) => read(node).map(Some).map_err(|invalid| invalid.within(key)),
        }
    }

    /// Read a member that must be given.
    fn req_field<'n, T>(
        &'n self,
        camel: &str,
        read: impl FnOnce(&'n Node<'a>) -> Result<T, Invalid>,
    ) -> Result<T, Invalid>
    where
        'a: 'n,
    {
        self.opt_field(camel, read)?
            .ok_or_else(|| Invalid::missing().within(camel))
    }
}

impl<'a> Fields<'a> for Node<'a> {
    fn field(&self, camel: &str) -> Option<(&str, &Node<'a>)> {
        let (key, node) = self.as_object()?.iter().rev().find(|(key, _)| same(key, camel))?;
        (!node.is_null()).then_some((key.as_ref(), node))
    }
}

/// Read every element; a lone value counts as a list of one.
pub fn each<'n, 'a, T>(
    node: &'n Node<'a>,
    mut read: impl FnMut(&'n Node<'a>) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    match node.as_array() {
        Some(_) => node.each(read),
        None => Ok(vec![read(node)?]),
    }
}

/// A string of the document.
pub fn text<'n>(node: &'n Node<'_>) -> Result<std::borrow::Cow<'n, str>, Invalid> {
    node.str().map(std::borrow::Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_field() {
        assert!(same("maxOutputTokens", "maxOutputTokens") && same("max_output_tokens", "maxOutputTokens"));
        assert!(!same("maxoutputtokens", "maxOutputTokens") && !same("max_output_tokens_", "maxOutputTokens"));
        assert!(!same("max", "maxOutputTokens") && !same("", "text") && !same("textx", "text"));
        let node = Node::parse(br#"{"file_uri": 1, "n": null}"#, 4).unwrap();
        let error = node.req_field("fileUri", text).unwrap_err();
        assert_eq!(error.path, "file_uri");
        assert_eq!(node.req_field("mimeType", text).unwrap_err().path, "mimeType");
        assert!(node.field("n").is_none());
    }
}
