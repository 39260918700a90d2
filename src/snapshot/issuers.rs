//! From `auth.jwt` and `auth.client_certificates` as written to the issuers and identities as run.
//!
//! Reads the files they name. Not for fetching anything: keys of issuers come when [`Issuers::refresh`] is called, or when the
//! first token needs them.

use crate::auth::certificate::{CertificateKeys, NameKind};
use crate::auth::jwt::{
    ClaimPath, Issuers, KeySource, LARGEST_DOCUMENT, MOST_KEPT, Meaning, Namespace, ROLES, Reading, Terms,
};
use crate::auth::pattern::Pattern;
use crate::config::{self, CertificateName, ClaimRule, Config, Jwt};
use crate::upstream::{SideCalls, Transport};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Defaults of `leeway` and `keys_valid`.
const LEEWAY: Duration = Duration::from_secs(60);
const KEYS_VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// The issuers whose tokens are taken; nothing where none is configured. `before` gives its keys over. Every problem of every
/// issuer is named.
pub fn issuers(
    config: &Config,
    transport: &Arc<Transport>,
    before: Option<&Issuers>,
) -> Result<Option<Issuers>, Vec<String>> {
    let mut terms = Vec::new();
    let mut problems = Vec::new();
    for (name, jwt) in &config.auth.jwt {
        match read(name, jwt, config, transport) {
            Ok(read) => terms.push(read),
            Err(problem) => problems.push(format!("auth.jwt.{name}: {problem}")),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if terms.is_empty() {
        return Ok(None);
    }
    Issuers::new(terms, before).map(Some).map_err(|problem| vec![problem])
}

/// Whose requests the identities in client certificates are; nothing where that is not configured.
pub fn certificate_keys(config: &Config) -> Option<CertificateKeys> {
    let written = config.auth.client_certificates.as_ref()?;
    let kind = |name: &CertificateName| match name {
        CertificateName::Uri => NameKind::Uri,
        CertificateName::Dns => NameKind::Dns,
        CertificateName::CommonName => NameKind::CommonName,
    };
    let keys = written
        .keys
        .iter()
        .map(|(identity, key)| (identity.as_str(), key.as_str()));
    Some(CertificateKeys::new(written.name_from.iter().map(kind).collect(), keys))
}

fn read(name: &str, jwt: &Jwt, config: &Config, transport: &Arc<Transport>) -> Result<Terms, String> {
    let authorities = jwt.ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default();
    let calls = SideCalls::new(
        Arc::clone(transport),
        authorities,
        config.insecure.allow_link_local_providers,
    );
    let keys = match (&jwt.jwks_file, &jwt.jwks_url) {
        (Some(_), Some(_)) => return Err("both jwks_file and jwks_url; write one".to_owned()),
        (Some(path), None) => KeySource::Document(document(path)?),
        (None, Some(url)) => {
            calls.check(url).map_err(|wrong| format!("jwks_url: {wrong}"))?;
            KeySource::Url(url.clone())
        }
        (None, None) => {
            let wrong = |wrong| format!("issuer: {wrong}; or write jwks_url");
            calls.check(&jwt.issuer).map_err(wrong)?;
            KeySource::Discovery
        }
    };
    let seconds = |written: Option<config::Interval>, default: Duration| {
        let written = written.map_or(default, config::Interval::as_duration);
        u32::try_from(written.as_secs()).unwrap_or(u32::MAX)
    };
    Ok(Terms {
        name: name.into(),
        issuer: jwt.issuer.clone(),
        keys,
        fetch: Arc::new(calls),
        audiences: jwt.audiences.clone(),
        algorithms: jwt.algorithms.clone(),
        leeway: seconds(jwt.leeway, LEEWAY),
        keys_valid: seconds(jwt.keys_valid, KEYS_VALID),
        reading: reading(jwt, config)?,
    })
}

fn reading(jwt: &Jwt, config: &Config) -> Result<Reading, String> {
    let claims = &jwt.claims;
    let path = |written: &Option<String>| written.as_deref().map(ClaimPath::parse).transpose();
    if claims.keep.len() > MOST_KEPT {
        return Err(format!("claims.keep: more than {MOST_KEPT}"));
    }
    let keep: Result<_, String> = claims.keep.iter().map(|written| ClaimPath::parse(written)).collect();
    let required = |(written, value): (&String, &String)| Ok::<_, String>((ClaimPath::parse(written)?, value.clone()));
    let require: Result<_, String> = jwt.require.iter().map(required).collect();
    let map: Result<_, String> = jwt.map.iter().map(meaning).collect();
    Ok(Reading {
        user: ClaimPath::parse(claims.user.as_deref().unwrap_or("sub"))?,
        organisation: path(&claims.organisation)?,
        team: path(&claims.team)?,
        project: path(&claims.project)?,
        roles: path(&claims.roles)?,
        keep: keep?,
        map: map?,
        require: require?,
        default_team: jwt.team.clone(),
        space: space(jwt, config),
        require_tenant: jwt.require_tenant.unwrap_or(true),
    })
}

fn space(jwt: &Jwt, config: &Config) -> Namespace {
    let own = [jwt.user_prefix(), jwt.tenants_prefix()];
    let all = config.auth.jwt.values();
    let others = all.flat_map(|other| [other.user_prefix(), other.tenants_prefix()]);
    let others = others.filter(|other| !other.is_empty() && !own.contains(other));
    Namespace {
        users: jwt.user_prefix().to_owned(),
        tenants: jwt.tenants_prefix().to_owned(),
        others: others.map(str::to_owned).collect(),
    }
}

fn meaning(rule: &ClaimRule) -> Result<Meaning, String> {
    let role = |written: &String| {
        let known = ROLES.into_iter().find(|role| role == written);
        known.ok_or_else(|| format!("map: `{written}` is no role; there are {}", ROLES.join(", ")))
    };
    Ok(Meaning {
        claim: ClaimPath::parse(&rule.claim)?,
        value: Pattern::new(rule.value.as_str()),
        organisation: rule.organisation.clone(),
        team: rule.team.clone(),
        project: rule.project.clone(),
        role: rule.role.as_ref().map(role).transpose()?,
    })
}

fn document(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| format!("jwks_file {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(wrong)?;
    let mut document = Vec::new();
    // One byte more than is taken, so that a larger one is seen to be larger.
    let most = u64::try_from(LARGEST_DOCUMENT).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut document).map_err(wrong)?;
    Ok(document)
}

fn authorities(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("ca_file {}: {what}", path.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map(|read: Vec<CertificateDer<'static>>| read.iter().map(|der| der.to_vec()).collect());
    match certificates {
        Ok(read) if Vec::is_empty(&read) => Err(wrong(&"holds no certificate")),
        Ok(read) => Ok(read),
        Err(error) => Err(wrong(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(auth: &str) -> Result<Option<Issuers>, Vec<String>> {
        let text = format!(
            "listen: 127.0.0.1:1\ninsecure: {{ open_access: true }}\nproviders: {{ p: {{ kind: demo }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p, model: up }} ] }} }}\nauth:\n{auth}"
        );
        let config = config::parse(&text, "test").map_err(|problems| vec![problems.to_string()])?;
        issuers(&config, &Arc::new(Transport::new(1)), None)
    }

    #[test]
    fn what_is_written_becomes_issuers() {
        assert!(build("  jwt: {}").unwrap().is_none());
        let all = "  jwt:\n    entra:\n      prefix: \"entra:\"\n      issuer: https://login.microsoftonline.com/t/v2.0\n      audiences: [ api://g ]\n      \
                   algorithms: [ RS256 ]\n      leeway: 30s\n      keys_valid: 2h\n      require: { tid: t }\n      \
                   claims: { user: oid, roles: roles, keep: [ groups, realm_access.roles ] }\n      \
                   map: [ { claim: groups, value: \"b3*\", team: search }, { claim: roles, value: ops, role: team-admin } ]\n      \
                   team: others\n    local: { prefix: \"\", issuer: any, jwks_url: \"http://127.0.0.1:1/k\", audiences: [ a ] }";
        let issuers = build(all).unwrap().unwrap();
        assert_eq!(format!("{issuers:?}"), r#"["entra", "local"]"#);
    }

    #[test]
    fn every_problem_is_named() {
        let problems = build(
            "  jwt:\n    b: { prefix: \"\", issuer: \"https://login.example\", jwks_url: \"https://169.254.169.254/k\", audiences: [ x ] }\n    \
             c: { prefix: \"\", issuer: x, jwks_file: /nowhere/keys.json, audiences: [ x ] }\n    \
             f: { prefix: \"\", issuer: \"https://f.example\", audiences: [ x ], ca_file: /nowhere/ca.pem }",
        )
        .unwrap_err();
        for (problem, wanted) in problems.iter().zip([
            "b: jwks_url: the URL points",
            "c: jwks_file /nowhere",
            "f: ca_file /nowhere",
        ]) {
            assert!(problem.starts_with(&format!("auth.jwt.{wanted}")), "{problem}");
        }
        assert_eq!(problems.len(), 3);
    }
}
