//! Where a request carries its credential: each SDK has a place of its own.
//!
//! ```text
//! Authorization: Bearer …  (OpenAI, everybody)   x-api-key: …  (Anthropic)   api-key: …  (Azure)
//! x-goog-api-key: …, ?key=…  (Gemini)
//! ```
//! Not whether it is worth anything. The one idea: a request has one credential; what carries two different ones is refused
//! instead of guessed at, because whoever guesses otherwise further on would act for another caller. Allocates nothing.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

/// Headers that carry a credential. They never go upstream.
pub const HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
/// All but the first of these, read once: a name given as text is read anew for every request.
const OTHERS: [HeaderName; 3] = [
    HeaderName::from_static(HEADERS[1]),
    HeaderName::from_static(HEADERS[2]),
    HeaderName::from_static(HEADERS[3]),
];
/// The parameter of a query that does. It never goes upstream.
pub const QUERY: &str = "key";

/// Longest credential: a token with many claims fits.
pub const LONGEST: usize = 16 << 10;

/// What a request proves itself with, still unchecked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A virtual key, or something that is none.
    Key(&'a str),
    /// A JSON web token: three parts in base64url.
    Jwt(&'a str),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(…)",
            Self::Jwt(_) => "Jwt(…)",
        })
    }
}

/// Why no credential could be taken from a request. The texts are for the client and contain nothing of what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Two places hold different ones.
    #[error(
        "the request carries several different credentials; send one, in `Authorization: Bearer`, `x-api-key`, `api-key`, \
         `x-goog-api-key` or `?key=`"
    )]
    Several,
    /// `Authorization` is not `Bearer`.
    #[error("`Authorization` must be `Bearer` and a key")]
    Scheme,
    /// With bytes that are not visible ASCII, or percent-encoded, or too long.
    #[error("the credential is longer than 16 KiB, or has characters that none has (in a query: percent-encoded ones)")]
    Unreadable,
}

impl CredentialError {
    /// Whether the request itself is wrong (400), not who sends it (401).
    pub const fn is_bad_request(self) -> bool {
        matches!(self, Self::Several)
    }
}

/// The one credential of a request; none: it carries none.
pub fn find<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Option<Credential<'a>>, CredentialError> {
    let mut found = Found::default();
    for value in headers.get_all(AUTHORIZATION) {
        match bearer(value.as_bytes()) {
            Ok(token) => found.add(token)?,
            // A proxy's own `Basic` is none of ours where there is another credential.
            Err(CredentialError::Scheme) => found.other_scheme = true,
            Err(error) => return Err(error),
        }
    }
    for name in &OTHERS {
        for value in headers.get_all(name) {
            found.add(visible(value.as_bytes())?)?;
        }
    }
    for pair in query.unwrap_or_default().split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && is_in_query(name)
        {
            // Written in an odd way it might be read as another one further on.
            if name != QUERY || value.contains(['%', '+']) {
                return Err(CredentialError::Unreadable);
            }
            found.add(visible(value.as_bytes())?)?;
        }
    }
    match found.text {
        Some(text) => Ok(Some(told_apart(text))),
        None if found.other_scheme => Err(CredentialError::Scheme),
        None => Ok(None),
    }
}

/// Whether this is the name of [`QUERY`], percent-encoded or not.
pub fn is_in_query(name: &str) -> bool {
    name == QUERY || (name.contains('%') && percent_encoding::percent_decode_str(name).eq(QUERY.bytes()))
}

#[derive(Default)]
struct Found<'a> {
    text: Option<&'a str>,
    other_scheme: bool,
}

impl<'a> Found<'a> {
    /// SDKs send the same one in two places; an empty one is none.
    fn add(&mut self, text: &'a str) -> Result<(), CredentialError> {
        match self.text {
            _ if text.is_empty() => Ok(()),
            Some(first) if first != text => Err(CredentialError::Several),
            _ => {
                self.text = Some(text);
                Ok(())
            }
        }
    }
}

fn visible(bytes: &[u8]) -> Result<&str, CredentialError> {
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| CredentialError::Unreadable)?;
    if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CredentialError::Unreadable);
    }
    Ok(text)
}

fn bearer(value: &[u8]) -> Result<&str, CredentialError> {
    let value = value.trim_ascii();
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).ok_or(CredentialError::Scheme)?;
    if value.is_empty() || scheme.eq_ignore_ascii_case(b"bearer") {
        return visible(rest);
    }
    Err(CredentialError::Scheme)
}

fn told_apart(text: &str) -> Credential<'_> {
    let base64url = |part: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !part.is_empty() && part.bytes().all(byte)
    };
    // `eyJ` is `{"` in base64: a header. No key of ours has a dot.
    if text.starts_with("eyJ") {
        let mut parts = text.split('.');
        let three = [parts.next(), parts.next(), parts.next()];
        if parts.next().is_none() && three.iter().all(|part| part.is_some_and(base64url)) {
            return Credential::Jwt(text);
        }
    }
    Credential::Key(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn every_sdk_is_understood() {
        for (pairs, query) in [
            (&[("authorization", "Bearer k")][..], None),
            (&[("authorization", "bearer   k ")], None),
            (&[("x-api-key", "k")], None),
            (&[("api-key", "k")], None),
            (&[("x-goog-api-key", "k")], None),
            (&[], Some("alt=sse&key=k")),
            (&[("x-api-key", "k"), ("authorization", "Bearer k")], Some("key=k")),
            (&[("authorization", "Basic Zm9v"), ("x-api-key", "k")], None),
            (&[("authorization", "Bearer "), ("x-api-key", "k")], None),
        ] {
            assert_eq!(
                find(&headers(pairs), query),
                Ok(Some(Credential::Key("k"))),
                "{pairs:?} {query:?}"
            );
        }
        assert_eq!(find(&headers(&[("accept", "*/*")]), Some("keys=k&monkey=x")), Ok(None));
        assert_eq!(find(&headers(&[("authorization", "")]), Some("key=")), Ok(None));
    }

    #[test]
    fn what_cannot_be_one_credential_is_said() {
        let several = [("x-api-key", "a"), ("authorization", "Bearer b")];
        assert_eq!(find(&headers(&several), None), Err(CredentialError::Several));
        let twice = [("x-api-key", "a"), ("x-api-key", "b")];
        assert_eq!(find(&headers(&twice), None), Err(CredentialError::Several));
        assert_eq!(
            find(&headers(&several[..1]), Some("key=b")),
            Err(CredentialError::Several)
        );
        assert_eq!(
            find(&headers(&[("authorization", "Basic Zm9v")]), None),
            Err(CredentialError::Scheme)
        );
        assert_eq!(
            find(&headers(&[("authorization", "cq-abc")]), None),
            Err(CredentialError::Scheme)
        );
        for bad in ["two words", "ümlaut", &"x".repeat(LONGEST + 1)] {
            assert_eq!(
                find(&headers(&[("api-key", bad)]), None),
                Err(CredentialError::Unreadable),
                "{bad}"
            );
        }
        for odd in ["key=a%62", "k%65y=a", "alt=sse&%6B%65%79=a"] {
            assert_eq!(
                find(&HeaderMap::new(), Some(odd)),
                Err(CredentialError::Unreadable),
                "{odd}"
            );
        }
    }

    #[test]
    fn tokens_are_told_apart_from_keys() {
        let kind = |text: &str| match told_apart(text) {
            Credential::Jwt(_) => "jwt",
            Credential::Key(_) => "key",
        };
        assert_eq!(kind("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-_"), "jwt");
        for key in [
            "cq-abc",
            "eyJ",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
            "eyJa.b.c.d",
            "eyJa.b+.c",
            "sk-eyJa.b.c",
        ] {
            assert_eq!(kind(key), "key", "{key}");
        }
        assert_eq!(format!("{:?}", Credential::Key("cq-secret")), "Key(…)");
    }

    proptest! {
        #[test]
        fn no_header_panics(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5), query in "\\PC{0,60}") {
            let mut headers = HeaderMap::new();
            for (value, name) in values.iter().zip(HEADERS.iter().cycle()) {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(*name, value);
                }
            }
            let _ = find(&headers, Some(&query));
        }
    }
}
