//! AWS Signature Version 4 over one request: method, path, query, some headers, the SHA-256 of the body.
//!
//! `aws-sigv4` does the canonical form; here it is fed. The path is signed as it is sent and percent-encoded once more, as
//! AWS wants it of every service but S3 (a `%3A` on the wire is `%253A` under the signature).
//! Source: "Create a signed AWS API request", AWS IAM User Guide, read 2026-11; compared with botocore 1.44.

use super::{CredentialFault, insert};
use crate::providers::Body;
use crate::secret::Secret;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use ring::digest::{Context, SHA256};
use std::time::SystemTime;

/// Service name under which Bedrock's runtime is signed.
const SERVICE: &str = "bedrock";
/// Bodies beyond this are hashed on the blocking pool: they would hold up others on this thread.
const HASHED_HERE: usize = 64 * 1024;

/// Keys of an AWS principal, and the region they are used in.
pub struct AwsKeys {
    credentials: Credentials,
    region: String,
}

impl std::fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsKeys")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl AwsKeys {
    /// Permanent keys, or temporary ones with their session token.
    pub fn new(
        access_key_id: &Secret,
        secret_access_key: &Secret,
        session_token: Option<&Secret>,
        region: &str,
    ) -> Self {
        let token = session_token.map(|token| token.expose().to_owned());
        Self {
            credentials: Credentials::new(
                access_key_id.expose(),
                secret_access_key.expose(),
                token,
                None,
                "cirque",
            ),
            region: region.to_owned(),
        }
    }

    /// Sign a finished request.
    pub(super) async fn sign(
        &self,
        head: &mut RequestHeader,
        body: &Body,
        host: &str,
        now: SystemTime,
    ) -> Result<(), CredentialFault> {
        let hash = if body.len() > HASHED_HERE {
            let body = body.clone();
            let hashing = tokio::task::spawn_blocking(move || hash(&body));
            hashing
                .await
                .map_err(|_| CredentialFault::Signing("hashing the body was interrupted"))?
        } else {
            hash(body)
        };
        self.sign_hashed(head, hash, host, now)
    }

    fn sign_hashed(
        &self,
        head: &mut RequestHeader,
        hash: String,
        host: &str,
        now: SystemTime,
    ) -> Result<(), CredentialFault> {
        let wrong = CredentialFault::Signing;
        // What the signature adds must not be there twice.
        for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
            head.remove_header(name);
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("https://{host}{path}");
        let headers = head.headers.iter().filter(|(name, _)| is_signed(name));
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers = headers.chain([(HOST.as_str(), host)]);
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| wrong("its parameters are incomplete"))?
            .into();
        let request = SignableRequest::new(head.method.as_str(), url, headers, SignableBody::Precomputed(hash))
            .map_err(|_| wrong("its path is not a valid URL"))?;
        let signed = sign(request, &params).map_err(|_| wrong("it has no canonical form"))?;
        let (added, _) = signed.into_parts().0.into_parts();
        for header in added {
            let value =
                HeaderValue::from_str(header.value()).map_err(|_| wrong("a key has a character no header has"))?;
            insert(head, HeaderName::from_static(header.name()), value)?;
        }
        Ok(())
    }
}

/// Host and `x-amz-*` must be signed; the others are left out because something on the way may change them.
fn is_signed(name: &HeaderName) -> bool {
    name == CONTENT_TYPE || name.as_str().starts_with("x-amz-") || name.as_str().starts_with("x-amzn-bedrock-")
}

/// Lower-case hexadecimal SHA-256 of a body in pieces.
fn hash(body: &Body) -> String {
    let mut context = Context::new(&SHA256);
    for piece in body.pieces() {
        context.update(piece);
    }
    super::grant::hex(context.finish().as_ref())
}

#[cfg(test)]
mod tests;
