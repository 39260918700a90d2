//! How callers prove who they are, as written: virtual keys, JSON web tokens of identity providers, client certificates.

use crate::config::scalars::{Interval, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who is calling.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// What keys are hashed with, as `env:NAME` or `file:PATH`, at least 32 characters; the same on all instances. Default:
    /// made once and kept in the store.
    #[serde(default)]
    pub key_secret: Option<SecretRef>,
    /// Networks of proxies in front of the gateway, whose `x-forwarded-for` is believed. Default: none.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// Identity providers whose tokens are taken, by a name of your choosing.
    #[serde(default)]
    pub jwt: BTreeMap<String, Jwt>,
    /// Client certificates as identities; the listener's `tls.client_ca` says which are taken.
    #[serde(default)]
    pub client_certificates: Option<ClientCertificates>,
}

/// One identity provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// `iss` of its tokens, exactly; where discovery is found: `ISSUER/.well-known/openid-configuration`.
    pub issuer: String,
    /// Where its keys are, if there is no discovery document.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// A file with its keys (JWKS), instead of either.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Values of `aud`, one of which a token must have.
    pub audiences: Vec<String>,
    /// Signatures that are taken. Default RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA, each only with a key
    /// of its kind.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// How far clocks may differ. Default 60s, at most 5m.
    #[serde(default)]
    pub leeway: Option<Interval>,
    /// How long keys are used without having been fetched again. Default 24h.
    #[serde(default)]
    pub keys_valid: Option<Interval>,
    /// Claims that a token must have, with this value (or this value among a list).
    #[serde(default)]
    pub require: BTreeMap<String, String>,
    /// Which claim gives what. A claim inside another is written `realm_access.roles`, one with dots in its name in quotes.
    #[serde(default)]
    pub claims: ClaimNames,
    /// What a claim's value means: the first that fits.
    #[serde(default)]
    pub map: Vec<ClaimRule>,
    /// Tenants of tokens whose claims name none.
    #[serde(default)]
    pub team: Option<String>,
    /// Put before the names of its users, so that nobody of another issuer has them: `okta:`. Default none; required where there
    /// are several issuers (`""` says that they share names on purpose).
    #[serde(default)]
    pub prefix: Option<String>,
    /// Put before the organisations, teams and projects that its claims name; not before those of `map` and `team`. Default: as
    /// `prefix`.
    #[serde(default)]
    pub tenant_prefix: Option<String>,
    /// Refuse tokens that name no tenant and whose user is none that is declared: no limit of a tenant would count for them.
    /// Default true.
    #[serde(default)]
    pub require_tenant: Option<bool>,
    /// Certificate authority of its address, PEM. Default: the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl Jwt {
    /// What its users' names begin with.
    pub fn user_prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    /// What the names of tenants begin with that its claims name.
    pub fn tenants_prefix(&self) -> &str {
        self.tenant_prefix.as_deref().unwrap_or_else(|| self.user_prefix())
    }
}

/// Which claim gives what. What is not named is not read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimNames {
    /// The user's name. Default `sub`.
    #[serde(default)]
    pub user: Option<String>,
    /// The organisation: one that is configured.
    #[serde(default)]
    pub organisation: Option<String>,
    /// The team: one that is configured.
    #[serde(default)]
    pub team: Option<String>,
    /// The project: one that is configured.
    #[serde(default)]
    pub project: Option<String>,
    /// Operator roles for the admin API.
    #[serde(default)]
    pub roles: Option<String>,
    /// Claims that routing rules may read as `claims.NAME`, and that usage keeps.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// What a claim's value means.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRule {
    /// The claim.
    pub claim: String,
    /// Its value, or one of its values; may be a pattern with `*`.
    pub value: String,
    /// The team this means.
    #[serde(default)]
    pub team: Option<String>,
    /// The organisation this means.
    #[serde(default)]
    pub organisation: Option<String>,
    /// The project this means.
    #[serde(default)]
    pub project: Option<String>,
    /// The operator role this means: owner, admin, team-admin, auditor, read-only.
    #[serde(default)]
    pub role: Option<String>,
}

/// Client certificates as identities.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Which name of the certificate is the identity. Default: the first that there is of these, in this order.
    #[serde(default)]
    pub name_from: Vec<CertificateName>,
    /// Whose requests they are: the identity (or a pattern with `*`) to a key declared in `keys`.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
}

/// A name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// A URI, such as SPIFFE's `spiffe://acme/search`.
    Uri,
    /// A DNS name.
    Dns,
    /// The subject's common name.
    CommonName,
}
