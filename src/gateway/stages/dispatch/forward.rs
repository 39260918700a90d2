//! What of a client's headers may reach a provider: read once for a request, since attempts may run beside each other and
//! after the client's session is busy with waiting.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// To every provider: they mean something there and carry no credential.
const ALL: [HeaderName; 3] = [
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// Of OpenAI's clients to OpenAI's API.
const OPENAI: [HeaderName; 1] = [HeaderName::from_static("openai-beta")];
/// Of Anthropic's clients to Anthropic's API.
const ANTHROPIC: [HeaderName; 2] = [
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("anthropic-version"),
];
/// Of those the ones that still hold when the conversation had to be translated into the same dialect.
const ANTHROPIC_TRANSLATED: [HeaderName; 1] = [HeaderName::from_static("anthropic-beta")];

/// To whom a header may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anybody.
    All,
    /// OpenAI's API, natively.
    OpenAi,
    /// Anthropic's API, natively.
    Anthropic,
    /// Anthropic's API, translated.
    AnthropicTranslated,
}

/// Longest of them. Providers refuse larger header blocks, some by closing the connection, which would count against them.
const LONGEST: usize = 4096;

/// The headers a client gave that may go on.
#[derive(Debug, Clone, Default)]
pub struct Forwarded(Vec<(HeaderName, HeaderValue)>);

impl Forwarded {
    /// Of a request.
    pub fn of(client: &HeaderMap) -> Self {
        let lists = [&ALL[..], &OPENAI[..], &ANTHROPIC[..]];
        let known = lists.into_iter().flatten();
        Self(
            known
                .filter_map(|name| Some((name.clone(), client.get(name)?.clone())))
                .filter(|(_, value)| value.len() <= LONGEST)
                .collect(),
        )
    }

    /// For a request beside this one: the key by which a provider knows a request that it had before is not its own.
    pub fn for_a_copy(&self) -> Self {
        let own = |(name, _): &&(HeaderName, HeaderValue)| *name != ALL[0];
        Self(self.0.iter().filter(own).cloned().collect())
    }

    /// Those that may go to this API, besides those that may go to any.
    pub fn to(&self, reach: Reach) -> Vec<(HeaderName, HeaderValue)> {
        let own: &[HeaderName] = match reach {
            Reach::All => &[],
            Reach::OpenAi => &OPENAI,
            Reach::Anthropic => &ANTHROPIC,
            Reach::AnthropicTranslated => &ANTHROPIC_TRANSLATED,
        };
        let may = |name: &HeaderName| ALL.contains(name) || own.contains(name);
        self.0.iter().filter(|(name, _)| may(name)).cloned().collect()
    }
}

/// Add a header of the gateway's; a list that the client gave too (`anthropic-beta`) becomes one list.
pub fn merge(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &HeaderName, value: &HeaderValue) {
    let given = headers.iter_mut().find(|(known, _)| known == name);
    match given {
        None => headers.push((name.clone(), value.clone())),
        Some((_, first)) => {
            let joined = [first.as_bytes(), b",", value.as_bytes()].concat();
            if let Ok(joined) = HeaderValue::from_bytes(&joined) {
                *first = joined;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_no_idempotency_key_and_long_values_stay_here() {
        let mut client = HeaderMap::new();
        client.insert("idempotency-key", HeaderValue::from_static("k"));
        client.insert("traceparent", HeaderValue::from_static("t"));
        client.insert("tracestate", HeaderValue::from_str(&"x".repeat(LONGEST + 1)).unwrap());
        let forwarded = Forwarded::of(&client);
        let names = |headers: &Forwarded| -> Vec<String> {
            let all = headers.to(Reach::All);
            all.iter().map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(names(&forwarded), ["idempotency-key", "traceparent"]);
        assert_eq!(names(&forwarded.for_a_copy()), ["traceparent"]);
    }

    #[test]
    fn headers_reach_only_the_api_they_are_for() {
        let mut client = HeaderMap::new();
        for name in [
            "authorization",
            "anthropic-beta",
            "openai-beta",
            "traceparent",
            "cookie",
        ] {
            client.insert(name, HeaderValue::from_static("x"));
        }
        let forwarded = Forwarded::of(&client);
        let names = |reach| -> Vec<String> {
            let headers = forwarded.to(reach);
            headers.iter().map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(names(Reach::All), ["traceparent"]);
        assert_eq!(names(Reach::OpenAi), ["traceparent", "openai-beta"]);
        assert_eq!(names(Reach::AnthropicTranslated), ["traceparent", "anthropic-beta"]);
        let mut list = forwarded.to(Reach::Anthropic);
        merge(&mut list, &ANTHROPIC[0], &HeaderValue::from_static("y"));
        assert!(list.iter().any(|(_, value)| value == "x,y"), "{list:?}");
    }
}
