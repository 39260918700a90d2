//! What a JSON document says, apart from how it is spelled: for hashing. Blind to the order of members, to white space, to
//! escapes and to how a number is written, and to nothing else but what [`unrelated`] names and prompt-cache markers.

use super::digest::Digest;
use crate::wire::Dialect;
use crate::wire::json::{Node, Value};
use std::cmp::Ordering;

/// Members of a body that do not change the answer, by dialect. `model` is hashed as the gateway knows it; `stream` and what
/// belongs to it change the form only; the user's name, metadata and labels are for the vendor's books; `store` reaches here only
/// as `false` or unsaid; prompt caching and service tiers change price and speed.
pub(super) fn unrelated(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenAi | Dialect::Responses => &[
            "model",
            "stream",
            "stream_options",
            "user",
            "safety_identifier",
            "metadata",
            "store",
            "prompt_cache_key",
            "prompt_cache_retention",
            "service_tier",
            "cache_control",
        ],
        Dialect::Anthropic => &["model", "stream", "metadata", "service_tier", "cache_control"],
        Dialect::Gemini => &["labels"],
        Dialect::Cohere => &["model"],
        Dialect::Bedrock => &[],
    }
}

/// Where in a body a value stands, as far as prompt-cache markers are looked for. A schema may have a property of any name, so
/// `cache_control` is a marker only where vendors put it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The body.
    Body,
    /// `messages`, `system`, `tools`, or the `content` of a message or of a tool's result: a list whose objects may be marked.
    List,
    /// A message.
    Message,
    /// A block of content or of the system prompt.
    Block,
    /// A tool.
    Tool,
    /// Anywhere else.
    Deep,
}

impl Place {
    fn marked(self) -> bool {
        matches!(self, Self::Message | Self::Block | Self::Tool)
    }
}

/// The walk over one body.
pub(super) struct Walk<'w> {
    pub(super) dialect: Dialect,
    /// Values that are hashed elsewhere, by identity.
    pub(super) without: &'w [&'w Node<'w>],
}

impl Walk<'_> {
    /// The body.
    pub(super) fn body(&self, body: &Node<'_>, digest: &mut Digest) {
        self.node(body, Place::Body, Place::Deep, digest);
    }

    /// `place`: where this stands; `inside`: where its elements do, if it is a list.
    fn node(&self, node: &Node<'_>, place: Place, inside: Place, digest: &mut Digest) {
        if self.without.iter().any(|other| std::ptr::eq(*other, node)) {
            digest.tag(b'?');
            return;
        }
        match &node.value {
            Value::Null => digest.tag(b'0'),
            Value::Bool(false) => digest.tag(b'f'),
            Value::Bool(true) => digest.tag(b't'),
            Value::Number => number(node.raw, digest),
            Value::String(text) => {
                digest.tag(b's');
                digest.text(text);
            }
            Value::Array(items) => {
                digest.tag(b'[');
                digest.length(items.len());
                for item in items {
                    self.node(item, inside, Place::Deep, digest);
                }
            }
            Value::Object(members) => {
                let mut kept: Vec<_> = members.iter().filter(|(key, _)| !self.ignored(place, key)).collect();
                // Stable: of repeated keys, which one counts is the reader's, so their order matters.
                kept.sort_by(|(a, _), (b, _)| order(a, b));
                digest.tag(b'{');
                digest.length(kept.len());
                for (key, value) in kept {
                    digest.text(key);
                    let (place, inside) = self.below(place, key);
                    self.node(value, place, inside, digest);
                }
            }
        }
    }

    fn ignored(&self, place: Place, key: &str) -> bool {
        match place {
            Place::Body => unrelated(self.dialect).contains(&key),
            place => {
                key == "cache_control" && place.marked() && matches!(self.dialect, Dialect::OpenAi | Dialect::Anthropic)
            }
        }
    }

    /// Where the value of a member stands, and where its elements do.
    fn below(&self, place: Place, key: &str) -> (Place, Place) {
        match (place, key) {
            (Place::Body, "messages") => (Place::List, Place::Message),
            (Place::Body, "system") => (Place::List, Place::Block),
            (Place::Body, "tools") => (Place::List, Place::Tool),
            (Place::Message | Place::Block, "content") => (Place::List, Place::Block),
            _ => (Place::Deep, Place::Deep),
        }
    }
}

fn order(a: &str, b: &str) -> Ordering {
    a.as_bytes().cmp(b.as_bytes())
}

/// A number as sign, digits and power of ten, without zeros at either end: `1`, `1.0` and `10e-1` are one, and no two different
/// numbers are, however many digits they have.
fn number(raw: &str, digest: &mut Digest) {
    let (negative, rest) = match raw.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, raw),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = Vec::with_capacity(mantissa.len());
    digits.extend(whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0'));
    let mut power = -(fraction.len() as i64);
    while digits.last() == Some(&b'0') {
        digits.pop();
        power += 1;
    }
    if digits.is_empty() {
        digest.tag(b'z');
        return;
    }
    let Some(power) = exponent.parse::<i64>().ok().and_then(|shift| power.checked_add(shift)) else {
        // Nobody means such a number: it is what it is written as.
        digest.tag(b'N');
        digest.text(raw);
        return;
    };
    digest.tag(if negative { b'-' } else { b'+' });
    digest.number(power as u64);
    digest.length(digits.len());
    for digit in digits {
        digest.tag(digit);
    }
}
