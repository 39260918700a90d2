//! Who is calling: by virtual key, by a token of an identity provider, by client certificate; or anybody, where the operator says
//! so.
//!
//! What a caller may do without a look at the body is checked here too, so that nothing of a request is read for somebody who may
//! not make it. Costs one atomic load where there are no keys and access is open.

use super::super::App;
use super::super::accounts::Accounts;
use super::super::context::RequestContext;
use super::super::downstream::Downstream;
use crate::auth::certificate::{ClientCertificate, Presented};
use crate::auth::jwt::{Identity, JwtError};
use crate::auth::{Credential, Denied, Question, credential, network, token};
use crate::balance::KeyHash;
use crate::clock;
use crate::directory::{self, Named, ScopeBlock, UNKNOWN_KEY};
use crate::error::{ErrorKind, GatewayError};
use crate::limits::Bound;
use crate::snapshot::Snapshot;
use http::HeaderMap;
use http::header::HeaderName;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Largest `x-cirque-metadata`.
const LARGEST_METADATA: usize = 8 * 1024;
/// Most entries of it.
const MOST_METADATA: usize = 64;
const METADATA: HeaderName = HeaderName::from_static("x-cirque-metadata");

/// The caller.
#[derive(Clone, Default)]
pub struct Principal {
    /// What it was found in; none: there are no keys at all.
    pub accounts: Option<Arc<Accounts>>,
    /// Who it is; none: a client without a key, let in by `insecure.open_access`.
    pub known: Option<Arc<directory::Principal>>,
    /// What its token says, if it came with one.
    pub identity: Option<Arc<Identity>>,
}

impl Principal {
    /// What tells this caller from others, for sticking to targets and for sharing them fairly: its key or name, or its address
    /// where it needs none.
    pub fn caller(&self, down: &Downstream<'_>) -> u64 {
        let hash = KeyHash::default();
        if let Some(known) = &self.known {
            let part = |name: &Option<Arc<str>>| name.clone().unwrap_or_default();
            let (key, user) = (part(&known.tenant.key), part(&known.tenant.user));
            return hash.part(key.as_bytes()).part(user.as_bytes()).finish();
        }
        match down.client_ip() {
            Some(IpAddr::V4(ip)) => hash.part(&ip.octets()).finish(),
            Some(IpAddr::V6(ip)) => hash.part(&ip.octets()).finish(),
            None => hash.finish(),
        }
    }

    /// Limits and budgets of its tenants, outermost first.
    pub fn bounds(&self) -> impl Iterator<Item = &Arc<Bound>> + Clone {
        let all = self.accounts.as_ref().zip(self.known.as_ref());
        all.into_iter().flat_map(|(accounts, known)| {
            let of = |scope: &Arc<ScopeBlock>| accounts.bounds.get(scope.index as usize);
            known.scopes.iter().filter_map(of).flatten()
        })
    }
}

/// Decide who calls, and whether they may use this operation now and from where it is.
pub async fn run(
    app: &App,
    snapshot: &Snapshot,
    down: &mut Downstream<'_>,
    ctx: &mut RequestContext,
    operation: &str,
) -> Result<(), GatewayError> {
    if presented(down).is_some() && lacks_certificate(down, clock::now()) {
        return Err(unauthenticated(
            "this listener needs a client certificate that is valid now",
        ));
    }
    let Some(accounts) = app.accounts.load_full() else {
        if snapshot.open_access {
            ctx.identified = true;
            return Ok(());
        }
        return Err(unauthenticated(
            "this gateway is starting, or has no keys and does not allow open access",
        ));
    };
    if !accounts.trusted_proxies.is_empty()
        && let Some(peer) = down.client_ip()
    {
        let client = network::client_ip(peer, &down.request().headers, &accounts.trusted_proxies);
        down.is_for(client);
    }
    let now = SystemTime::now();
    let seconds = clock::seconds(now);
    let found = find(snapshot, &accounts, down, now, seconds).await;
    let (known, identity) = found.map_err(|(reason, error)| {
        app.meters.accounts.credential_refused(reason);
        error
    })?;
    // What is refused from here on is somebody's, and recorded as theirs.
    ctx.identified = true;
    ctx.principal = Principal {
        accounts: Some(accounts),
        known: known.clone(),
        identity,
    };
    if let Some(known) = &known {
        let question = Question {
            model: None,
            operation,
            ip: down.client_ip(),
            now: seconds,
        };
        known
            .access
            .check(&question)
            .map_err(|denied| forbidden(app, &denied))?;
    }
    if app.ledger.load().as_ref().is_some_and(|ledger| !ledger.accepting()) {
        return Err(GatewayError::new(
            ErrorKind::Overloaded,
            "usage cannot be recorded at the moment, and this gateway serves nothing that is not recorded; try again later",
        )
        .code("usage_not_recorded")
        .retry_after(Duration::from_secs(10)));
    }
    ctx.metadata = metadata(&down.request().headers)?;
    Ok(())
}

type Found = (Option<Arc<directory::Principal>>, Option<Arc<Identity>>);
/// A word for the metric, and what the client is told.
type Refused = (&'static str, GatewayError);

async fn find(
    snapshot: &Snapshot,
    accounts: &Accounts,
    down: &mut Downstream<'_>,
    now: SystemTime,
    seconds: i64,
) -> Result<Found, Refused> {
    let request = down.request();
    let credential = match credential::find(&request.headers, request.uri.query()) {
        Ok(credential) => credential,
        // What clients without a key send besides is not looked at where nobody needs one.
        Err(_) if snapshot.open_access => None,
        Err(error) if error.is_bad_request() => {
            return Err((
                "ambiguous",
                GatewayError::invalid("ambiguous_credentials", error.to_string()),
            ));
        }
        Err(error) => return Err(("malformed", unauthenticated(error.to_string()))),
    };
    match credential {
        Some(Credential::Key(key)) => match token::check(key) {
            Ok(()) => match accounts.directory.principal(&accounts.hasher.digest(key), seconds) {
                Some(known) => Ok((Some(Arc::clone(known)), None)),
                None if snapshot.open_access && !token::is_ours(key) => Ok((None, None)),
                None => Err(("unknown", unauthenticated(UNKNOWN_KEY))),
            },
            Err(_) if snapshot.open_access && !token::is_ours(key) => Ok((None, None)),
            Err(malformed) => Err(("malformed", unauthenticated(malformed.to_string()))),
        },
        Some(Credential::Jwt(text)) => {
            let Some(issuers) = accounts.issuers.clone() else {
                if snapshot.open_access {
                    return Ok((None, None));
                }
                return Err(("token", unauthenticated("tokens are not accepted here, only keys")));
            };
            let text = text.to_owned();
            let began = Instant::now();
            let verified = {
                let verify = pin!(issuers.verify(&text, now));
                down.or_left(verify).await
            };
            down.waited += began.elapsed();
            let identity = verified
                .map_err(|_| ("left", GatewayError::client_left()))?
                .map_err(|error| ("token", token_error(&error)))?;
            let known = person(accounts, &identity).map_err(|error| ("token", error))?;
            Ok((Some(known), Some(identity)))
        }
        None => match by_certificate(accounts, down) {
            Some(known) => Ok((Some(known), None)),
            None if snapshot.open_access => Ok((None, None)),
            None => Err((
                "missing",
                unauthenticated(
                    "you must give a key: `Authorization: Bearer cq-…` (or `x-api-key`, `api-key`, `x-goog-api-key`)",
                ),
            )),
        },
    }
}

/// What the client's certificate was found to say.
fn presented<'d>(down: &'d mut Downstream<'_>) -> Option<&'d Presented> {
    let digest = down.session().digest()?.ssl_digest.as_ref()?;
    digest.extension.get::<Presented>()
}

/// Whether the connection lacks the certificate that its listener asks for; such clients are refused in the handshake, except
/// those that resume a session of before.
fn lacks_certificate(down: &mut Downstream<'_>, now: i64) -> bool {
    presented(down).is_some_and(|presented| {
        let expired = |certificate: &Arc<ClientCertificate>| certificate.expires <= now;
        presented.lacking || presented.certificate.as_ref().is_some_and(expired)
    })
}

/// The key that stands for the client's certificate.
fn by_certificate(accounts: &Accounts, down: &mut Downstream<'_>) -> Option<Arc<directory::Principal>> {
    let keys = accounts.certificates.as_ref()?;
    let presented = presented(down)?;
    let key = keys.key(keys.identity(presented.certificate.as_ref()?)?)?;
    accounts.directory.key(key)
}

/// `x-cirque-metadata`, checked: it goes into usage records.
fn metadata(headers: &HeaderMap) -> Result<Option<Box<str>>, GatewayError> {
    let Some(value) = headers.get(METADATA) else {
        return Ok(None);
    };
    let wrong = |what: &str| {
        let text = format!(
            "x-cirque-metadata must be a JSON object of at most {MOST_METADATA} texts, numbers and truth values: {what}"
        );
        GatewayError::invalid("invalid_header", text).param("x-cirque-metadata")
    };
    if value.len() > LARGEST_METADATA {
        return Err(wrong("it is larger than 8 KiB"));
    }
    let read: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(value.as_bytes()).map_err(|_| wrong("it is not one"))?;
    if read.len() > MOST_METADATA {
        return Err(wrong("it has more"));
    }
    let bad = |text: &str| text.chars().any(char::is_control);
    for (name, value) in &read {
        let nested = value.is_object() || value.is_array();
        if nested || bad(name) || value.as_str().is_some_and(bad) {
            return Err(wrong("one is nested, or holds control characters"));
        }
    }
    let text = serde_json::to_string(&read).map_err(|_| wrong("it is not one"))?;
    Ok(Some(text.into()))
}

/// The principal of a verified token.
fn person(accounts: &Accounts, identity: &Identity) -> Result<Arc<directory::Principal>, GatewayError> {
    let named = Named {
        organisation: identity.organisation.as_deref(),
        team: identity.team.as_deref(),
        project: identity.project.as_deref(),
        user: Some(&identity.user),
    };
    let known = accounts.directory.person(&named).map_err(|unknown| {
        GatewayError::new(
            ErrorKind::Forbidden,
            "the token names a tenant that does not exist here; its operator has to add it",
        )
        .code("unknown_tenant")
        .because(unknown.to_string())
    })?;
    let tenant = &known.tenant;
    let of_none = tenant.organisation.is_none() && tenant.team.is_none() && tenant.project.is_none();
    if identity.needs_tenant && of_none && !accounts.directory.is_user(&identity.user) {
        return Err(GatewayError::new(
            ErrorKind::Forbidden,
            "the token names no team, and its user is not known here; its operator has to say whose it is",
        )
        .code("no_tenant"));
    }
    Ok(known)
}

fn unauthenticated(message: impl Into<std::borrow::Cow<'static, str>>) -> GatewayError {
    GatewayError::new(ErrorKind::Unauthenticated, message)
}

fn token_error(error: &JwtError) -> GatewayError {
    if error.is_ours() {
        return GatewayError::new(ErrorKind::Overloaded, error.to_string())
            .code("identity_provider_unavailable")
            .retry_after(Duration::from_secs(5));
    }
    unauthenticated(error.to_string()).code("invalid_token")
}

pub(super) fn forbidden(app: &App, denied: &Denied) -> GatewayError {
    app.meters.accounts.denied(denied.kind);
    if denied.is_unauthenticated() {
        return unauthenticated(denied.to_string()).code(denied.code());
    }
    GatewayError::new(ErrorKind::Forbidden, denied.to_string()).code(denied.code())
}
