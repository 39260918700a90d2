//! What a rule may ask about: the facts of one request, borrowed from wherever they are.
//!
//! Not how they are found: the gateway fills them in, and only those that [`super::Uses`] names need be right. The idea:
//! building [`Facts`] copies references and numbers, so a decision allocates nothing.

pub use crate::wire::needs::Needs;

use std::fmt;

/// A value looked up at run time, whose type only the request knows.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// A string.
    Str(&'a str),
    /// A list of strings, as the groups of a claim.
    List(&'a dyn Strings),
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Str(value) => write!(f, "{value:?}"),
            Self::List(list) => {
                let items = (0..list.count()).filter_map(|at| list.item(at));
                f.debug_list().entries(items).finish()
            }
        }
    }
}

/// A flat map with string keys: headers (names in lower case), metadata, claims.
pub trait Lookup {
    /// The value of a name. A JSON number that is whole and fits is [`Value::Int`].
    fn value(&self, name: &str) -> Option<Value<'_>>;
}

/// A list of strings.
pub trait Strings {
    /// How many.
    fn count(&self) -> usize;
    /// The one at a place.
    fn item(&self, at: usize) -> Option<&str>;
}

impl<T: AsRef<str>> Strings for &[T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn item(&self, at: usize) -> Option<&str> {
        self.get(at).map(AsRef::as_ref)
    }
}

impl<T: AsRef<str>> Strings for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn item(&self, at: usize) -> Option<&str> {
        self.get(at).map(AsRef::as_ref)
    }
}

/// Nothing: no names, no items.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Lookup for Nothing {
    fn value(&self, _: &str) -> Option<Value<'_>> {
        None
    }
}

impl Strings for Nothing {
    fn count(&self) -> usize {
        0
    }

    fn item(&self, _: usize) -> Option<&str> {
        None
    }
}

/// Everything the rules can know of one request.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The public model the client asked for.
    pub model: &'a str,
    /// The operation, as in metrics: `chat`, `embeddings`, …
    pub operation: &'a str,
    /// The dialect the client speaks.
    pub dialect: &'a str,
    /// A stream is wanted.
    pub stream: bool,
    /// Request headers; names in lower case, values [`Value::Str`].
    pub headers: &'a dyn Lookup,
    /// Metadata of the request.
    pub metadata: &'a dyn Lookup,
    /// Name of the key, never its secret; empty when there is none.
    pub key: &'a str,
    /// Team of the key; empty when there is none.
    pub team: &'a str,
    /// Tags of the key.
    pub tags: &'a dyn Strings,
    /// Claims of a token.
    pub claims: &'a dyn Lookup,
    /// Estimated input tokens.
    pub tokens: u64,
    /// The client's limit on output tokens.
    pub max_tokens: Option<u64>,
    /// What the request needs of a model.
    pub needs: Needs,
    /// Seconds since the epoch.
    pub now: i64,
    /// Address of the client.
    pub ip: &'a str,
}

impl Default for Facts<'_> {
    fn default() -> Self {
        Self {
            model: "",
            operation: "",
            dialect: "",
            stream: false,
            headers: &Nothing,
            metadata: &Nothing,
            key: "",
            team: "",
            tags: &Nothing,
            claims: &Nothing,
            tokens: 0,
            max_tokens: None,
            needs: Needs::default(),
            now: 0,
            ip: "",
        }
    }
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers, metadata and claims are not ours to print.
        f.debug_struct("Facts")
            .field("model", &self.model)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// One of [`Needs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Tools,
    Vision,
    Audio,
    Files,
    JsonSchema,
    Reasoning,
}

impl Need {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("tools", Self::Tools),
        ("vision", Self::Vision),
        ("audio", Self::Audio),
        ("files", Self::Files),
        ("json_schema", Self::JsonSchema),
        ("reasoning", Self::Reasoning),
    ];

    pub(super) fn of(self, needs: Needs) -> bool {
        match self {
            Self::Tools => needs.tools,
            Self::Vision => needs.vision,
            Self::Audio => needs.audio,
            Self::Files => needs.files,
            Self::JsonSchema => needs.json_schema,
            Self::Reasoning => needs.reasoning,
        }
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(_, need)| *need == self)
            .map_or("", |(name, _)| name)
    }
}

/// A fact that is always there and a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Model,
    Operation,
    Dialect,
    Key,
    Team,
    Ip,
}

impl Word {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("model", Self::Model),
        ("operation", Self::Operation),
        ("dialect", Self::Dialect),
        ("key", Self::Key),
        ("team", Self::Team),
        ("ip", Self::Ip),
    ];

    #[inline]
    pub(super) fn of<'a>(self, facts: &Facts<'a>) -> &'a str {
        match self {
            Self::Model => facts.model,
            Self::Operation => facts.operation,
            Self::Dialect => facts.dialect,
            Self::Key => facts.key,
            Self::Team => facts.team,
            Self::Ip => facts.ip,
        }
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(_, word)| *word == self)
            .map_or("", |(name, _)| name)
    }
}

/// A fact that is a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    Headers,
    Metadata,
    Claims,
}

impl Map {
    pub(super) const ALL: [(&'static str, Self); 3] = [
        ("headers", Self::Headers),
        ("metadata", Self::Metadata),
        ("claims", Self::Claims),
    ];

    #[inline]
    pub(super) fn of<'a>(self, facts: &Facts<'a>) -> &'a dyn Lookup {
        match self {
            Self::Headers => facts.headers,
            Self::Metadata => facts.metadata,
            Self::Claims => facts.claims,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Metadata => "metadata",
            Self::Claims => "claims",
        }
    }
}
