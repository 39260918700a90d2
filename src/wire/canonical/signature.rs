//! Signatures on reasoning: whose they are, and how a foreign one travels through a client.
//!
//! A signature must come back to the vendor that made it, unchanged, and to no other: Anthropic refuses a Gemini one. A client
//! speaking its own vendor's dialect echoes a string it does not understand, so a foreign signature goes out as
//! `cirque:<origin>:<data>` and is told apart when it comes back. A native one goes out bare.

use super::Text;
use crate::wire::Dialect;

/// What a wrapped signature starts with. The gateway looks for it in same-dialect requests: a conversation that another
/// vendor answered before must be translated.
pub const WRAPPED: &str = "cirque:";

/// Proof of origin of a piece of reasoning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The API whose model made it. Claude is [`Dialect::Anthropic`] on Vertex and Bedrock too: its signatures hold across.
    pub origin: Dialect,
    /// The vendor's text.
    pub data: Text<'a>,
}

impl<'a> Signature<'a> {
    /// Made by this API.
    pub fn new(origin: Dialect, data: impl Into<Text<'a>>) -> Self {
        Self {
            origin,
            data: data.into(),
        }
    }

    /// From what a client of `client` echoed.
    pub fn from_client(client: Dialect, text: &'a str) -> Self {
        let wrapped = text.strip_prefix(WRAPPED).and_then(|rest| rest.split_once(':'));
        match wrapped.and_then(|(origin, data)| Some((Dialect::from_name(origin)?, data))) {
            Some((origin, data)) => Self::new(origin, data),
            None => Self::new(client, text),
        }
    }

    /// For a client of `client` to echo.
    pub fn for_client(&self, client: Dialect) -> Text<'_> {
        if self.origin == client {
            Text::Borrowed(&self.data)
        } else {
            format!("{WRAPPED}{}:{}", self.origin.as_str(), self.data).into()
        }
    }

    /// For a target of `target`: nothing when it is another vendor's.
    pub fn for_target(&self, target: Dialect) -> Option<&str> {
        (self.origin == target).then_some(self.data.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_signature_comes_back_to_its_own() {
        let gemini = Signature::new(Dialect::Gemini, "ab:c/+=");
        let echoed = gemini.for_client(Dialect::Anthropic).into_owned();
        assert_eq!(echoed, "cirque:gemini:ab:c/+=");
        let back = Signature::from_client(Dialect::Anthropic, &echoed);
        assert_eq!(back, gemini);
        assert_eq!(back.for_target(Dialect::Gemini), Some("ab:c/+="));
        assert_eq!(back.for_target(Dialect::Anthropic), None);
    }

    #[test]
    fn a_native_signature_travels_bare() {
        let own = Signature::from_client(Dialect::Anthropic, "EqQB");
        assert_eq!(own.for_client(Dialect::Anthropic), "EqQB");
        assert_eq!(
            Signature::from_client(Dialect::Anthropic, "cirque:nobody:x").origin,
            Dialect::Anthropic
        );
    }
}
