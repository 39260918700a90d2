//! The compact form of a signed token, taken apart and believed in nothing: `HEADER.CLAIMS.SIGNATURE`, each base64url.
//!
//! One reading only: base64url without padding and without stray bits, JSON without members that occur twice
//! ([`super::json`]), exactly two dots. What a header says about where keys are (`jwk`, `jku`, `x5u`, `x5c`) is never looked
//! at. Sources: RFC 7515, RFC 7519, RFC 8725 (best current practices); read 2026-11.

use super::JwtError;
use super::json;
use super::keys::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Largest token. Headers of a request have a bound of their own; Entra's largest are 6 KiB.
pub const LARGEST: usize = 16 * 1024;
/// Longest name of a key.
const LONGEST_KEY_ID: usize = 256;
/// Longest signature: of RSA with 8192 bits.
const LONGEST_SIGNATURE: usize = 1024;

/// A token taken apart; nothing of it is checked.
#[derive(Debug)]
pub struct Compact<'a> {
    /// What the signature is over.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
    /// Nothing: one that is not taken from anybody.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key_id: Option<String>,
    /// What `typ` says is a token for calling with.
    pub(super) is_for_calling: bool,
    pub(super) claims: Map<String, Value>,
}

/// Whether a credential looks like a JSON web token rather than a key: an encoded `{"`, and two dots.
pub fn looks_like(credential: &str) -> bool {
    credential.starts_with("eyJ") && credential.bytes().filter(|byte| *byte == b'.').take(3).count() == 2
}

impl<'a> Compact<'a> {
    /// Take a token apart.
    pub fn parse(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > LARGEST {
            return Err(JwtError::TooLarge);
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or(JwtError::Malformed("it is not made of three parts"))?;
        let (header, claims) = signed
            .split_once('.')
            .ok_or(JwtError::Malformed("it is not made of three parts"))?;
        if claims.contains('.') {
            return Err(JwtError::Malformed(
                "it has more than three parts (encrypted ones are not taken)",
            ));
        }
        let header = part(header, "its header is not JSON in base64url")?;
        let claims = part(claims, "its claims are not JSON in base64url")?;
        let signature = decoded(signature)
            .filter(|signature| signature.len() <= LONGEST_SIGNATURE)
            .ok_or(JwtError::Malformed("its signature is not base64url"))?;
        // Something that must be understood, and is not: nothing is.
        if header.contains_key("crit") {
            return Err(JwtError::Malformed("it has critical extensions (`crit`)"));
        }
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .ok_or(JwtError::Malformed("its header has no `alg`"))?;
        Ok(Self {
            signed,
            signature,
            algorithm: Algorithm::of_name(algorithm),
            key_id: key_id(&header)?,
            is_for_calling: is_for_calling(&header, &claims),
            claims,
        })
    }

    /// Who it says it is from. For finding the keys to check that with, and for nothing else.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn part(text: &str, wrong: &'static str) -> Result<Map<String, Value>, JwtError> {
    decoded(text)
        .and_then(|bytes| json::object(&bytes))
        .ok_or(JwtError::Malformed(wrong))
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, JwtError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if id.len() <= LONGEST_KEY_ID => Ok(Some(id.clone())),
        Some(_) => Err(JwtError::Malformed("its `kid` is not a short text")),
    }
}

/// Issuers sign other things with the same keys: log-outs, security events, proofs of possession. Those say so in `typ`, or,
/// where they are older than that custom, by their `events` (RFC 8417).
fn is_for_calling(header: &Map<String, Value>, claims: &Map<String, Value>) -> bool {
    let kind = match header.get("typ") {
        None => true,
        Some(Value::String(kind)) => {
            let kind = kind.to_ascii_lowercase();
            matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
        }
        Some(_) => false,
    };
    kind && !claims.contains_key("events")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(header: &str, claims: &str) -> String {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encoded(header), encoded(claims), encoded("sig"))
    }

    fn malformed(token: &str) -> bool {
        matches!(Compact::parse(token), Err(JwtError::Malformed(_)))
    }

    const HEADER: &str = r#"{"alg":"RS256","kid":"k"}"#;

    #[test]
    fn a_token_is_taken_apart() {
        let text = token(HEADER, r#"{"iss":"i"}"#);
        assert!(looks_like(&text));
        let parsed = Compact::parse(&text).unwrap();
        assert_eq!(parsed.algorithm, Some(Algorithm::Rs256));
        assert_eq!((parsed.key_id.as_deref(), parsed.issuer()), (Some("k"), Some("i")));
        assert!(parsed.is_for_calling);
        assert_eq!(parsed.signature, b"sig");
    }

    #[test]
    fn only_one_spelling_is_a_token() {
        let good = token(HEADER, "{}");
        assert!(Compact::parse(&good).is_ok());
        let (head, tail) = good.split_once('.').unwrap();
        for text in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "a.b".to_owned(),
            format!("{good}."),
            format!(".{good}"),
            format!("{good}.x"),
            format!("{good}="),
            format!("{head}=.{tail}"),
            format!("{head}..{tail}"),
            format!(" {good}"),
            format!("{good}\n"),
            good.replace('.', "+."),
            // `sig` is `c2ln`: with three characters the last has bits that mean nothing.
            format!("{}c2l", good.strip_suffix("c2ln").unwrap()),
            token("[]", "{}"),
            token("{}", "{}"),
            token(r#"{"alg":1}"#, "{}"),
            token(r#"{"alg":"RS256","alg":"RS256"}"#, "{}"),
            token(r#"{"alg":"RS256","kid":1}"#, "{}"),
            token(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}"),
            token(r#"{"alg":"RS256","crit":[]}"#, "{}"),
            token(HEADER, r#"{"aud":"a","aud":"b"}"#),
            token(HEADER, r#""text""#),
            token(HEADER, &format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100))),
        ] {
            assert!(malformed(&text), "{text}");
        }
        assert_eq!(
            Compact::parse(&"a".repeat(LARGEST + 1)).unwrap_err(),
            JwtError::TooLarge
        );
    }

    #[test]
    fn what_is_not_for_calling_is_known() {
        for (kind, is) in [
            ("JWT", true),
            ("jwt", true),
            ("at+jwt", true),
            ("application/at+JWT", true),
            ("logout+jwt", false),
            ("secevent+jwt", false),
            ("dpop+jwt", false),
            ("JOSE", false),
        ] {
            let text = token(&format!(r#"{{"alg":"RS256","typ":"{kind}"}}"#), "{}");
            assert_eq!(Compact::parse(&text).unwrap().is_for_calling, is, "{kind}");
        }
        let text = token(HEADER, r#"{"events":{}}"#);
        assert!(!Compact::parse(&text).unwrap().is_for_calling);
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_a_fault(text in "\\PC{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,60}", 0..5)) {
            let _ = Compact::parse(&text);
            let _ = Compact::parse(&parts.join("."));
        }

        #[test]
        fn any_json_is_a_token_or_a_fault(header in "\\PC{0,80}", alg in "(none|RS256|HS256|ES384|[a-zA-Z]{0,8})", value in "\\PC{0,40}") {
            let _ = Compact::parse(&token(&header, &value));
            let header = serde_json::json!({"alg": alg, "kid": value, "typ": header}).to_string();
            let text = token(&header, "{}");
            let parsed = Compact::parse(&text).unwrap();
            prop_assert_eq!(parsed.key_id.as_deref(), Some(value.as_str()));
        }
    }
}
