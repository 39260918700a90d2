//! Which facts rules read: for the gateway, so that it computes no others, and for explaining.

use super::eval::Scope;
use super::facts::{Facts, Map, Need, Value, Word};
use super::tree::{Any, Failure, Str};

/// A fact an expression reads.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Read {
    Word(Word),
    Stream,
    Tokens,
    MaxTokens,
    Need(Need),
    Now,
    Tags,
    /// An entry of a map; `None` when its key is computed.
    Entry(Map, Option<Box<str>>),
}

/// The facts that cost something to find, and whether any rule reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// The estimate of input tokens.
    pub tokens: bool,
    /// The client's limit on output tokens.
    pub max_tokens: bool,
    /// What the request needs of a model.
    pub needs: bool,
    /// Headers.
    pub headers: bool,
    /// Metadata of the request.
    pub metadata: bool,
    /// Claims of a token.
    pub claims: bool,
    /// Tags of the key.
    pub tags: bool,
    /// The clock.
    pub now: bool,
    /// Address of the client.
    pub ip: bool,
}

impl Uses {
    pub(super) fn add(&mut self, read: &Read) {
        match read {
            Read::Tokens => self.tokens = true,
            Read::MaxTokens => self.max_tokens = true,
            Read::Need(_) => self.needs = true,
            Read::Now => self.now = true,
            Read::Tags => self.tags = true,
            Read::Entry(Map::Headers, _) => self.headers = true,
            Read::Entry(Map::Metadata, _) => self.metadata = true,
            Read::Entry(Map::Claims, _) => self.claims = true,
            Read::Word(Word::Ip) => self.ip = true,
            Read::Word(_) | Read::Stream => {}
        }
    }
}

/// Longest value that is shown, in characters.
const SHOWN: usize = 200;

/// What stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";

impl Read {
    /// Whether the value must not be shown.
    pub(super) fn secret(&self) -> bool {
        match self {
            // A computed key may be any.
            Self::Entry(Map::Headers, name) => name.as_deref().is_none_or(credential),
            _ => false,
        }
    }

    /// The fact as written and its value; `None` for a computed key.
    pub(super) fn shown(&self, facts: &Facts<'_>) -> Option<(String, String)> {
        Some(match self {
            Self::Word(word) => (word.name().to_owned(), show(Value::Str(word.of(facts)))),
            Self::Stream => ("stream".to_owned(), facts.stream.to_string()),
            Self::Tokens => ("tokens".to_owned(), facts.tokens.to_string()),
            Self::MaxTokens => {
                let value = facts
                    .max_tokens
                    .map_or_else(|| "absent".to_owned(), |value| value.to_string());
                ("max_tokens".to_owned(), value)
            }
            Self::Need(need) => (format!("needs.{}", need.name()), need.of(facts.needs).to_string()),
            Self::Now => {
                let at = jiff::Timestamp::from_second(facts.now);
                (
                    "now".to_owned(),
                    at.map_or_else(|_| facts.now.to_string(), |at| at.to_string()),
                )
            }
            Self::Tags => ("tags".to_owned(), show(Value::List(facts.tags))),
            Self::Entry(map, name) => {
                let name = name.as_deref()?;
                let found = Any::Get(*map, Str::Lit(name.into()));
                let value = match found.eval(&Scope::new(facts)) {
                    Ok(_) if self.secret() => HIDDEN.to_owned(),
                    Ok(value) => show(value),
                    Err(Failure::NoKey) => "absent".to_owned(),
                    Err(failure) => failure.to_string(),
                };
                (format!("{}[{name:?}]", map.name()), value)
            }
        })
    }
}

/// A value as shown to the operator, not too long.
pub(super) fn show(value: Value<'_>) -> String {
    let mut text = format!("{value:?}");
    if let Some((at, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// Whether a header of this name may carry a credential.
fn credential(name: &str) -> bool {
    [
        "auth",
        "key",
        "token",
        "secret",
        "cookie",
        "passw",
        "credential",
        "signature",
        "session",
        "assertion",
    ]
    .iter()
    .any(|part| name.contains(part))
}
