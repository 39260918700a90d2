//! What is sent to a token endpoint to get an access token, for three OAuth 2.0 grants.
//!
//! JWT bearer (RFC 7523: a Google service account), refresh token (RFC 6749 §6: what `gcloud` keeps of a user) and client
//! credentials (RFC 6749 §4.4: an application of Microsoft Entra). Pure: the clock is an argument, the form is the result.
//! Sources: "Using OAuth 2.0 for server to server applications", developers.google.com/identity; "OAuth 2.0 client
//! credentials flow", learn.microsoft.com/entra; both read 2026-11.

use super::CredentialFault;
use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{Context, SHA256};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// What a Google token is for: everything the account may do in its project; what that is, IAM says.
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where Google issues tokens, for credentials that do not say it themselves.
const GOOGLE_TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// Longest life Google accepts for an assertion.
const ASSERTION_SECONDS: u64 = 3600;
/// What stays as it is in a form's values (RFC 3986 unreserved).
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A way to get access tokens, with everything secret that it needs.
pub struct Grant {
    kind: Kind,
    /// SHA-256 of all settings: two grants with the same one get the same tokens.
    fingerprint: [u8; 32],
}

enum Kind {
    Assertion {
        issuer: String,
        key_id: Option<String>,
        audience: String,
        key: Box<RsaKeyPair>,
    },
    Refresh {
        client_id: String,
        client_secret: Secret,
        refresh_token: Secret,
    },
    ClientCredentials {
        client_id: String,
        client_secret: Secret,
        scope: String,
    },
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Assertion { .. } => "Grant::Assertion",
            Kind::Refresh { .. } => "Grant::Refresh",
            Kind::ClientCredentials { .. } => "Grant::ClientCredentials",
        })
    }
}

/// A Google credentials file.
///
/// ```json
/// { "type": "service_account", "project_id": "…", "private_key_id": "…", "private_key": "-----BEGIN PRIVATE KEY-----…",
///   "client_email": "…@….iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token" }
/// { "type": "authorized_user", "client_id": "…", "client_secret": "…", "refresh_token": "…" }
/// ```
#[derive(Deserialize)]
struct GoogleFile {
    #[serde(rename = "type")]
    kind: String,
    private_key_id: Option<String>,
    private_key: Option<String>,
    client_email: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

impl Grant {
    /// From the JSON that Google hands out; with it the URL of the token endpoint. Errors name keys, never values.
    pub fn google(document: &Secret) -> Result<(Self, String), String> {
        // serde's own message could quote a value that stands where another type belongs.
        let file: GoogleFile = serde_json::from_str(document.expose()).map_err(|error| {
            format!(
                "not the JSON of Google credentials (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        let needed = |value: Option<String>, key: &str| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("the key `{key}` is missing in the JSON"))
        };
        let url = file.token_uri.unwrap_or_else(|| GOOGLE_TOKEN_URL.to_owned());
        let kind = match file.kind.as_str() {
            "service_account" => {
                let pem = Zeroizing::new(needed(file.private_key, "private_key")?);
                Kind::Assertion {
                    issuer: needed(file.client_email, "client_email")?,
                    key_id: file.private_key_id,
                    audience: url.clone(),
                    key: Box::new(rsa_key(&pem)?),
                }
            }
            "authorized_user" => Kind::Refresh {
                client_id: needed(file.client_id, "client_id")?,
                client_secret: Secret::new(needed(file.client_secret, "client_secret")?),
                refresh_token: Secret::new(needed(file.refresh_token, "refresh_token")?),
            },
            _ => {
                return Err(
                    "`type` is neither service_account nor authorized_user; other kinds are not supported".to_owned(),
                );
            }
        };
        let fingerprint = fingerprint(&[&url, document.expose()]);
        Ok((Self { kind, fingerprint }, url))
    }

    /// An application's own credentials.
    pub fn client_credentials(url: &str, client_id: &str, client_secret: Secret, scope: &str) -> Self {
        let fingerprint = fingerprint(&[url, client_id, client_secret.expose(), scope]);
        Self {
            kind: Kind::ClientCredentials {
                client_id: client_id.to_owned(),
                client_secret,
                scope: scope.to_owned(),
            },
            fingerprint,
        }
    }

    /// The same for the same settings.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The body of the request, `application/x-www-form-urlencoded`.
    pub(super) fn form(&self, now: SystemTime) -> Result<Zeroizing<String>, CredentialFault> {
        match &self.kind {
            Kind::Assertion {
                issuer,
                key_id,
                audience,
                key,
            } => {
                let assertion = assertion(issuer, key_id.as_deref(), audience, key, now)?;
                Ok(form(&[
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", &assertion),
                ]))
            }
            Kind::Refresh {
                client_id,
                client_secret,
                refresh_token,
            } => Ok(form(&[
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", client_secret.expose()),
                ("refresh_token", refresh_token.expose()),
            ])),
            Kind::ClientCredentials {
                client_id,
                client_secret,
                scope,
            } => Ok(form(&[
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_secret", client_secret.expose()),
                ("scope", scope),
            ])),
        }
    }
}

fn rsa_key(pem: &str) -> Result<RsaKeyPair, String> {
    let wrong = |what: &str| format!("`private_key` in the JSON {what}");
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(wrong("is not a private key in PEM")),
    }
    .map_err(|_| wrong("is not an RSA key of 2048 bits or more"))
}

/// A JWT, RS256: `base64url(header) . base64url(claims) . base64url(signature)`.
fn assertion(
    issuer: &str,
    key_id: Option<&str>,
    audience: &str,
    key: &RsaKeyPair,
    now: SystemTime,
) -> Result<String, CredentialFault> {
    let wrong = CredentialFault::Signing;
    let issued = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| wrong("the clock is before 1970"))?
        .as_secs();
    let mut header = serde_json::json!({"alg": "RS256", "typ": "JWT"});
    if let (Some(key_id), Some(header)) = (key_id, header.as_object_mut()) {
        header.insert("kid".to_owned(), key_id.into());
    }
    let claims = serde_json::json!({
        "iss": issuer, "scope": GOOGLE_SCOPE, "aud": audience, "iat": issued, "exp": issued + ASSERTION_SECONDS,
    });
    let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        token.as_bytes(),
        &mut signature,
    )
    .map_err(|_| wrong("the assertion's signature failed"))?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
    Ok(token)
}

fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let room = fields
        .iter()
        .map(|(name, value)| name.len() + 3 * value.len() + 2)
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(value, FORM));
    }
    text
}

fn fingerprint(parts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        // With its length, so that moving a character from one part to the next is a change.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    out
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests;
