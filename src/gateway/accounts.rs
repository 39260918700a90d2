//! Who may call and what they may use, as requests read it: tenants and keys, their limits, issuers of tokens.
//!
//! Apart from the snapshot, because it changes at run time too (a key made by the admin API is known within the second), and
//! because an installation without keys has none of it. A request reads it once, when it finds out who is calling.

use crate::auth::certificate::CertificateKeys;
use crate::auth::jwt::Issuers;
use crate::auth::{KeyHasher, Networks};
use crate::directory::Directory;
use crate::limits::Bound;
use std::sync::Arc;

/// Everything about callers.
pub struct Accounts {
    /// Tenants and keys.
    pub directory: Directory,
    /// The limits and budgets of each of the directory's scopes, by its index.
    pub bounds: Vec<Box<[Arc<Bound>]>>,
    /// Hashes the keys that clients present.
    pub hasher: Arc<KeyHasher>,
    /// Whose `x-forwarded-for` is believed.
    pub trusted_proxies: Networks,
    /// Identity providers; none: no tokens are taken.
    pub issuers: Option<Arc<Issuers>>,
    /// Client certificates as identities; none: they say nothing.
    pub certificates: Option<CertificateKeys>,
}
