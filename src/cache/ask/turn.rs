//! The last user turn of a body, if it is text and nothing else: the one thing in which requests of one partition differ.
//!
//! Found in the tree, not in the canonical request, so that a hash over the tree can leave it out.

use crate::wire::json::Node;
use crate::wire::{Call, Dialect, Operation};

/// The texts of a turn, in order: at least one.
pub(super) struct Turn<'d> {
    texts: Vec<&'d Node<'d>>,
}

impl<'d> Turn<'d> {
    /// They.
    pub(super) fn texts(&self) -> &[&'d Node<'d>] {
        &self.texts
    }

    /// As one text, if it says something and is no longer than that.
    pub(super) fn question(&self, longest: usize) -> Option<Box<str>> {
        let length: usize = self.texts.iter().map(|text| text.raw.len()).sum();
        if length > longest {
            return None;
        }
        let mut all = String::with_capacity(length);
        for text in self.texts.iter().filter_map(|text| text.as_str()) {
            if !all.is_empty() {
                all.push('\n');
            }
            all.push_str(text);
        }
        (!all.trim().is_empty()).then(|| all.into())
    }
}

/// The last turn of this call.
pub(super) fn last<'d>(call: &Call, body: &'d Node<'d>) -> Option<Turn<'d>> {
    let texts = match (call.dialect, call.operation) {
        (_, Operation::Completions) => one(body.get("prompt")?)?,
        (Dialect::OpenAi | Dialect::Anthropic, _) => of_message(body.get("messages")?.as_array()?.last()?, "text")?,
        (Dialect::Responses, _) => {
            let input = body.get("input")?;
            match input.as_array() {
                None => one(input)?,
                Some(items) => of_item(items.last()?)?,
            }
        }
        (Dialect::Gemini, _) => of_content(body.get("contents")?.as_array()?.last()?)?,
        _ => return None,
    };
    (!texts.is_empty()).then_some(Turn { texts })
}

fn one<'d>(text: &'d Node<'d>) -> Option<Vec<&'d Node<'d>>> {
    text.as_str().map(|_| vec![text])
}

fn of_message<'d>(message: &'d Node<'d>, kind: &str) -> Option<Vec<&'d Node<'d>>> {
    if message.get_str("role") != Some("user") {
        return None;
    }
    let content = message.get("content")?;
    match content.as_array() {
        None => one(content),
        Some(parts) => parts
            .iter()
            .map(|part| {
                let text = part.get_str("type") == Some(kind);
                part.get("text").filter(|node| text && node.as_str().is_some())
            })
            .collect(),
    }
}

fn of_item<'d>(item: &'d Node<'d>) -> Option<Vec<&'d Node<'d>>> {
    let message = item.get("type").is_none_or(|kind| kind.as_str() == Some("message"));
    of_message(item, "input_text").filter(|_| message)
}

fn of_content<'d>(content: &'d Node<'d>) -> Option<Vec<&'d Node<'d>>> {
    if content.get("role").is_some_and(|role| role.as_str() != Some("user")) {
        return None;
    }
    let text = |part: &'d Node<'d>| {
        let alone = part.as_object().is_some_and(|members| members.len() == 1);
        part.get("text").filter(|node| alone && node.as_str().is_some())
    };
    content.get("parts")?.as_array()?.iter().map(text).collect()
}
