//! Tokens of identity providers (OpenID Connect: Okta, Entra ID, Google, Keycloak, …), verified.
//!
//! ```text
//! token ─► verified lately? ── yes ─► Identity                              one hash
//!            │ no
//!            ▼
//!          take apart ─► which issuer (`iss`, believed in nothing else) ─► its key ─► signature ─► claims ─► Identity
//!                                                                  │ not there
//!                                                                  └► fetch, at most every 30 s, and once more
//! ```
//! Not for what the caller may do: the names in an [`Identity`] are looked up by whoever knows the tenants. No connection
//! is made here ([`Fetch`]), and the clock is an argument.
//!
//! There is no library for tokens under this. What such a library does beyond the signature (ring) is what to refuse, and that
//! is exactly what must be ours: members that occur twice, `crit`, kinds of keys, sizes. jsonwebtoken 11 without its own
//! cryptography wants a provider registered for the whole process, and reads claims with serde, where the last of two `aud`
//! wins silently.
//!
//! Sources: RFC 7515, 7517, 7518, 7519, 8725, 9068; OpenID Connect Discovery 1.0; read 2026-11.

mod cache;
mod claims;
mod compact;
mod error;
mod issuer;
mod json;
mod keys;
mod source;

pub use claims::{ClaimPath, Identity, MOST_KEPT, Meaning, Namespace, ROLES, Reading};
pub use compact::{Compact, LARGEST, looks_like};
pub use error::JwtError;
pub use issuer::Terms;
pub use keys::{Algorithm, Key, KeySet, LARGEST_DOCUMENT};
pub use source::{Fetch, KeyReport, KeySource};

use crate::clock;
use cache::Verified;
use issuer::{Checked, Issuer};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// The issuers whose tokens are taken, and the tokens that were verified.
pub struct Issuers {
    issuers: Vec<Issuer>,
    /// Places in `issuers` by `iss`.
    by_issuer: HashMap<String, usize>,
    verified: Verified,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.issuers.iter().map(|issuer| &*issuer.name);
        f.debug_list().entries(names).finish()
    }
}

impl Issuers {
    /// Of what is configured. Keys that `before` has are taken over where issuer and source are the same, so that a reload
    /// while an issuer is down loses nothing. An error names the issuer and says what is wrong.
    pub fn new(terms: Vec<Terms>, before: Option<&Self>) -> Result<Self, String> {
        let mut issuers = Vec::with_capacity(terms.len());
        let mut by_issuer: HashMap<String, usize> = HashMap::new();
        for terms in terms {
            let earlier = before.and_then(|before| before.issuers.get(*before.by_issuer.get(&terms.issuer)?));
            let (name, issuer) = (Arc::clone(&terms.name), terms.issuer.clone());
            if by_issuer.insert(issuer, issuers.len()).is_some() {
                return Err(format!("auth.jwt.{name}: another one has the same `issuer`"));
            }
            issuers.push(Issuer::new(terms, earlier)?);
        }
        Ok(Self {
            issuers,
            by_issuer,
            verified: Verified::default(),
        })
    }

    /// Who this token says is calling, checked. Waits only if the issuer's keys have to be fetched, and then not long.
    ///
    /// Dropping the future is safe; a fetch under way goes on for the others.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Identity>, JwtError> {
        if token.len() > LARGEST {
            return Err(JwtError::TooLarge);
        }
        let now = clock::seconds(now);
        let fingerprint = cache::fingerprint(token);
        let is_current = |issuer: usize, generation: u64| {
            let issuer = self.issuers.get(issuer);
            issuer.is_some_and(|issuer| issuer.source.held().generation == generation)
        };
        if let Some(identity) = self.verified.find(&fingerprint, now, is_current) {
            return Ok(identity);
        }
        let compact = Compact::parse(token)?;
        let place = compact.issuer().and_then(|issuer| self.by_issuer.get(issuer));
        let (place, issuer) = place
            .and_then(|place| Some((*place, self.issuers.get(*place)?)))
            .ok_or(JwtError::UnknownIssuer)?;
        let checked = match issuer.check(&compact, now)? {
            Checked::NeedsKeys(_) => {
                // Also if it came to nothing: another's fetch may have ended since.
                issuer.source.fetch_now(now).await;
                issuer.check(&compact, now)?
            }
            good => good,
        };
        match checked {
            Checked::NeedsKeys(otherwise) => Err(otherwise),
            Checked::Good {
                identity,
                until,
                generation,
            } => {
                self.verified
                    .keep(fingerprint, (place, generation), &identity, now, until);
                Ok(identity)
            }
        }
    }

    /// Fetch the keys that it is time for, all at once. For housekeeping: cheap when nothing is due, so every second or so.
    pub async fn refresh(&self, now: SystemTime) {
        let now = clock::seconds(now);
        futures::future::join_all(self.issuers.iter().map(|issuer| issuer.source.refresh(now))).await;
    }

    /// How the issuers' keys are.
    pub fn report(&self, now: SystemTime) -> Vec<KeyReport> {
        let now = clock::seconds(now);
        self.issuers.iter().map(|issuer| issuer.source.report(now)).collect()
    }
}
