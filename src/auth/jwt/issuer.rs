//! One issuer: whether a token is its, still good and meant for us.
//!
//! The order is fixed: what costs nothing, then the signature, then what the claims say. Nothing of a claim is looked at
//! before the signature holds, but `iss`, which says whose keys to try.

use super::JwtError;
use super::claims::{Identity, Reading};
use super::compact::Compact;
use super::keys::{Algorithm, Candidates};
use super::source::{Fetch, KeySource, Source};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Most that clocks may differ, in seconds.
const MOST_LEEWAY: u32 = 300;

/// One issuer as configured.
#[derive(Clone)]
pub struct Terms {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// `iss` of its tokens, to the letter.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// How its documents are fetched.
    pub fetch: Arc<dyn Fetch>,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// Names of the algorithms that are taken; none: all there are.
    pub algorithms: Vec<String>,
    /// How far clocks may differ, in seconds, at most 300.
    pub leeway: u32,
    /// How long keys are used without having been fetched again, in seconds.
    pub keys_valid: u32,
    /// How claims are read.
    pub reading: Reading,
}

/// One issuer as run.
pub(super) struct Issuer {
    pub name: Arc<str>,
    pub source: Arc<Source>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    leeway: i64,
    keys_valid: i64,
    reading: Reading,
}

/// What came of a check.
pub(super) enum Checked {
    /// It is good, until then, by keys of this generation.
    Good {
        identity: Arc<Identity>,
        until: i64,
        generation: u64,
    },
    /// It cannot be told without fetching the issuer's keys; this is what to say if that does not help.
    NeedsKeys(JwtError),
}

impl Issuer {
    pub fn new(terms: Terms, before: Option<&Self>) -> Result<Self, String> {
        let name = terms.name;
        let wrong = |what: String| format!("auth.jwt.{name}: {what}");
        if terms.audiences.is_empty() {
            return Err(wrong("no audience; tokens for anybody would be taken".to_owned()));
        }
        let algorithms = if terms.algorithms.is_empty() {
            Algorithm::ALL.to_vec()
        } else {
            let known = |name: &String| {
                Algorithm::of_name(name).ok_or_else(|| wrong(format!("algorithm `{name}` is not taken from anybody")))
            };
            terms.algorithms.iter().map(known).collect::<Result<_, _>>()?
        };
        let source = Source::new(
            &name,
            &terms.issuer,
            terms.keys,
            terms.fetch,
            before.map(|it| &*it.source),
        );
        Ok(Self {
            source: source.map_err(wrong)?,
            name: Arc::clone(&name),
            audiences: terms.audiences,
            algorithms,
            leeway: terms.leeway.min(MOST_LEEWAY).into(),
            keys_valid: terms.keys_valid.into(),
            reading: terms.reading,
        })
    }

    /// Check a token of this issuer with the keys at hand.
    pub fn check(&self, token: &Compact<'_>, now: i64) -> Result<Checked, JwtError> {
        let algorithm = token
            .algorithm
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(JwtError::Algorithm)?;
        if !token.is_for_calling {
            return Err(JwtError::Kind);
        }
        let held = self.source.held();
        let keys_until = held.fetched().saturating_add(self.keys_valid);
        if now >= keys_until {
            return Ok(Checked::NeedsKeys(JwtError::KeysUnavailable));
        }
        let keys = match held.keys.candidates(algorithm, token.key_id.as_deref()) {
            Candidates::Some(keys) => keys,
            Candidates::NoSuchKey => return Ok(Checked::NeedsKeys(JwtError::UnknownKey)),
            Candidates::OtherKind => return Err(JwtError::Algorithm),
        };
        let signed = token.signed.as_bytes();
        if !keys.iter().any(|key| key.verifies(algorithm, signed, &token.signature)) {
            return Err(JwtError::Signature);
        }
        let expires = self.check_claims(&token.claims, now)?;
        let identity = self.reading.identity(&self.name, &token.claims, expires)?;
        Ok(Checked::Good {
            identity: Arc::new(identity),
            until: expires.min(keys_until),
            generation: held.generation,
        })
    }

    /// When it ends, if it is good now and for us.
    fn check_claims(&self, claims: &Map<String, Value>, now: i64) -> Result<i64, JwtError> {
        let expires = moment(claims, "exp")?.ok_or_else(|| JwtError::MissingClaim("exp".into()))?;
        if now >= expires.saturating_add(self.leeway) {
            let ago = now.saturating_sub(expires);
            return Err(JwtError::Expired { ago });
        }
        let latest = now.saturating_add(self.leeway);
        if let Some(from) = moment(claims, "nbf")?.filter(|from| *from > latest) {
            let ahead = from.saturating_sub(now);
            return Err(JwtError::NotYetValid { ahead });
        }
        if let Some(issued) = moment(claims, "iat")?.filter(|issued| *issued > latest) {
            let ahead = issued.saturating_sub(now);
            return Err(JwtError::IssuedInFuture { ahead });
        }
        let ours = |audience: &Value| {
            audience
                .as_str()
                .is_some_and(|it| self.audiences.iter().any(|ours| ours == it))
        };
        let is_ours = match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(ours),
            Some(single) => ours(single),
            None => false,
        };
        if !is_ours {
            return Err(JwtError::Audience);
        }
        self.reading.check(claims)?;
        Ok(expires)
    }
}

/// A claim in seconds since 1970, which need not be whole (RFC 7519 §2, NumericDate).
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, JwtError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| {
        // A conversion from a float saturates; there is no NaN in JSON.
        value.as_f64().map(|seconds| seconds.floor() as i64)
    });
    seconds.map(Some).ok_or_else(|| JwtError::ClaimValue(name.into()))
}
