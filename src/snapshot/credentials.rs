//! From a provider's configured credential to the one its requests carry.
//!
//! Reads the secrets. Of an API key the dialect knows the header, and it never changes. Token sources
//! are shared by providers with the same settings and outlive a reload, so that reloading fetches no new token.

use super::State;
use super::build::{deadlines, upstream_url};
use super::vault::Vault;
use crate::balance::KeyHash;
use crate::config::{self, Config, SecretRef};
use crate::providers::Provider;
use crate::upstream::address::{AddressBook, AddressKey};
use crate::upstream::credential::{AwsKeys, Credential, Grant, TokenSource};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use std::sync::{Arc, Weak};

/// Token sources by what decides their tokens and how they are reached. A source lives as long as a snapshot uses it.
pub(super) type TokenKey = ([u8; 32], AddressKey);

/// The headers that a provider's requests carry: those of its key, and its own.
pub(super) fn headers(provider: &config::Provider, dialect: &dyn Provider, vault: &Vault) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Some(reference) = &provider.api_key {
        let secret = vault.read(reference)?;
        dialect
            .authorize(secret.expose(), &mut headers)
            .map_err(|_| "api_key: the credential has characters that no header can carry".to_owned())?;
    }
    for (name, value) in &provider.headers {
        let secret = vault
            .header(value)
            .map_err(|problem| format!("headers.{name}: {problem}"))?;
        let header =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("headers.{name}: not a header name"))?;
        let value =
            HeaderValue::from_str(secret.expose()).map_err(|_| format!("headers.{name}: not a header value"))?;
        headers.insert(header, value);
    }
    Ok(headers)
}

/// The credential of a provider, and the addresses that have to be kept resolved for it: those of its token endpoint.
pub(super) fn credential(
    provider: &config::Provider,
    config: &Config,
    state: &State,
    vault: &Vault,
) -> Result<(Credential, Option<Arc<AddressBook>>), String> {
    if let Some(aws) = &provider.aws {
        return Ok((Credential::Aws(Arc::new(aws_keys(aws, provider, vault)?)), None));
    }
    let (grant, url) = if let Some(reference) = &provider.service_account {
        let document = vault
            .read_document(reference)
            .map_err(|problem| format!("service_account: {problem}"))?;
        Grant::google(&document).map_err(|problem| format!("service_account: {reference}: {problem}"))?
    } else if let Some(entra) = &provider.entra {
        let url = config::token_url(entra).ok_or("entra: tenant_id is missing")?;
        let scope = entra.scope.as_deref().unwrap_or(config::DEFAULT_SCOPE);
        let secret = read(vault, &entra.client_secret, "entra.client_secret")?;
        (Grant::client_credentials(&url, &entra.client_id, secret, scope), url)
    } else {
        return Ok((Credential::Fixed, None));
    };
    let source = token_source(grant, &url, config, state).map_err(|problem| format!("token endpoint: {problem}"))?;
    let addresses = Arc::clone(source.addresses());
    Ok((Credential::Token(source), Some(addresses)))
}

fn aws_keys(aws: &config::AwsKeys, provider: &config::Provider, vault: &Vault) -> Result<AwsKeys, String> {
    let region = provider.region.as_deref().ok_or("region is missing")?;
    let id = read(vault, &aws.access_key_id, "aws.access_key_id")?;
    let key = read(vault, &aws.secret_access_key, "aws.secret_access_key")?;
    let token = aws
        .session_token
        .as_ref()
        .map(|token| read(vault, token, "aws.session_token"))
        .transpose()?;
    Ok(AwsKeys::new(&id, &key, token.as_ref(), region))
}

fn read(vault: &Vault, reference: &SecretRef, key: &str) -> Result<crate::secret::Secret, String> {
    vault.read(reference).map_err(|problem| format!("{key}: {problem}"))
}

fn token_source(grant: Grant, url: &str, config: &Config, state: &State) -> Result<Arc<TokenSource>, String> {
    let parsed = config::BaseUrl::parse(url).map_err(|(message, remedy)| format!("{message}; {remedy}"))?;
    // The address may come from a key file, which `config` has not seen.
    if !parsed.https && !parsed.is_loopback() {
        return Err("it is not asked over TLS, so the credential would travel unencrypted; write https://".to_owned());
    }
    if let (false, Some(forbidden)) = (config.insecure.allow_link_local_providers, parsed.forbidden()) {
        return Err(forbidden);
    }
    let url = upstream_url(parsed);
    let key = AddressKey {
        base: url.clone(),
        connect_timeout: deadlines(&[&config.timeouts]).connect,
        http2: false,
        authorities: Vec::new(),
        probe: None,
        allow_link_local: config.insecure.allow_link_local_providers,
    };
    Ok(state.token_source((grant.fingerprint(), key.clone()), || {
        TokenSource::new(grant, url, state.book(key))
    }))
}

impl State {
    /// The source in use for this key, or a new one.
    fn token_source(&self, key: TokenKey, make: impl FnOnce() -> TokenSource) -> Arc<TokenSource> {
        let mut slot = self.tokens.entry(key).or_default();
        if let Some(source) = slot.upgrade() {
            return source;
        }
        let source = Arc::new(make());
        *slot = Arc::downgrade(&source);
        source
    }

    /// Forget the sources that no snapshot uses any more.
    pub(super) fn retain_tokens(&self) {
        self.tokens
            .retain(|_, source: &mut Weak<TokenSource>| source.strong_count() > 0);
    }
}

/// What the configured secrets of a provider hash to, to tell one credential from the next; nothing where it has none.
pub(super) fn fingerprint(provider: &config::Provider, vault: &Vault) -> Result<Option<u64>, String> {
    let aws = provider.aws.iter().flat_map(|keys| {
        [
            Some(&keys.access_key_id),
            Some(&keys.secret_access_key),
            keys.session_token.as_ref(),
        ]
    });
    let entra = provider.entra.iter().map(|entra| Some(&entra.client_secret));
    let secrets: Vec<&SecretRef> = aws.chain(entra).chain([provider.api_key.as_ref()]).flatten().collect();
    let mut hash = KeyHash::default();
    if let Some(account) = &provider.service_account {
        hash = hash.part(vault.read_document(account)?.expose().as_bytes());
    } else if secrets.is_empty() {
        return Ok(None);
    }
    for secret in secrets {
        hash = hash.part(vault.read(secret)?.expose().as_bytes());
    }
    Ok(Some(hash.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use crate::telemetry::Meters;

    fn state() -> State {
        State::new(Meters::new().unwrap())
    }

    /// A configuration with one provider, written as flow YAML.
    fn config(provider: &str) -> Config {
        let text = format!(
            "listen: 127.0.0.1:0\ninsecure: {{ open_access: true }}\nproviders: {{ p: {provider} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p }} ] }} }}\n"
        );
        config::parse(&text, "test").unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn of(config: &Config, state: &State) -> Result<(Credential, Option<Arc<AddressBook>>), String> {
        credential(&config.providers["p"], config, state, &Vault::new(config, state).0)
    }

    /// A file that is gone with the test.
    struct File(std::path::PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cirque-credentials-{name}-{}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        fn reference(&self) -> String {
            format!("\"file:{}\"", self.0.display())
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn azure(secret: &File, more: &str) -> Config {
        config(&format!(
            "{{ kind: azure, base_url: \"https://r.openai.azure.com\", entra: {{ client_id: app, client_secret: {}, {more} }} }}",
            secret.reference()
        ))
    }

    #[test]
    fn a_key_in_a_header_needs_nothing_else() {
        let (credential, book) = of(&config("{ kind: openai }"), &state()).unwrap();
        assert!(matches!(credential, Credential::Fixed) && book.is_none());
    }

    #[test]
    fn aws_keys_are_read_and_named_when_they_are_missing() {
        let key = File::new("aws", "secret\n");
        let text = |id: &str| {
            format!(
                "{{ kind: bedrock, region: us-east-1, aws: {{ access_key_id: {id}, secret_access_key: {} }} }}",
                key.reference()
            )
        };
        let (credential, book) = of(&config(&text(&key.reference())), &state()).unwrap();
        assert!(matches!(credential, Credential::Aws(_)) && book.is_none());
        let problem = of(&config(&text("env:CIRQUE_TEST_SURELY_UNSET")), &state()).unwrap_err();
        assert_eq!(
            problem,
            "aws.access_key_id: environment variable CIRQUE_TEST_SURELY_UNSET is not set"
        );
    }

    #[test]
    fn the_same_settings_share_a_token_source_over_a_reload_and_others_do_not() {
        let (state, secret) = (state(), File::new("entra", "s3cret"));
        let source = |config: &Config| match of(config, &state).unwrap() {
            (Credential::Token(source), Some(book)) => (source, book),
            other => panic!("{other:?}"),
        };
        let (first, book) = source(&azure(&secret, "tenant_id: t"));
        assert_eq!(book.key().base.host, "login.microsoftonline.com");
        assert_eq!(book.key().base.path, "/t/oauth2/v2.0/token");
        let (again, _) = source(&azure(&secret, "tenant_id: t"));
        assert!(Arc::ptr_eq(&first, &again));
        let (other, _) = source(&azure(&secret, "tenant_id: u"));
        assert!(!Arc::ptr_eq(&first, &other));
        assert_eq!(state.tokens.len(), 2);
        drop((other, again));
        state.retain_tokens();
        assert_eq!(state.tokens.len(), 1);
        std::fs::write(&secret.0, "rotated").unwrap();
        let (rotated, _) = source(&azure(&secret, "tenant_id: t"));
        assert!(!Arc::ptr_eq(&first, &rotated));
    }

    #[test]
    fn a_service_account_says_where_its_tokens_come_from_and_is_held_to_it() {
        let key = include_str!("../../tests/fixtures/oauth/rsa-for-tests.pem");
        let account = |url: &str| {
            let json = serde_json::json!({
                "type": "service_account", "client_email": "a@b", "private_key": key, "token_uri": url,
            });
            File::new(
                &format!("google{}", url.len()),
                &serde_json::to_string_pretty(&json).unwrap(),
            )
        };
        let vertex = |file: &File| {
            config(&format!(
                "{{ kind: vertex, project: p, service_account: {} }}",
                file.reference()
            ))
        };
        let good = account("https://oauth2.googleapis.com/token");
        let (credential, book) = of(&vertex(&good), &state()).unwrap();
        assert!(matches!(credential, Credential::Token(_)));
        assert_eq!(book.unwrap().key().base.host, "oauth2.googleapis.com");
        for (url, expected) in [
            ("http://169.254.169.254/token", "unencrypted"),
            ("https://169.254.169.254/token", "metadata"),
            ("file:///etc/passwd", "only http:// and https://"),
            ("http://oauth2.example/token", "unencrypted"),
        ] {
            let file = account(url);
            let problem = of(&vertex(&file), &state()).unwrap_err();
            assert!(problem.contains(expected), "{url}: {problem}");
        }
    }

    #[test]
    fn a_snapshot_keeps_the_token_endpoint_resolved_and_the_source_alive() {
        let secret = File::new("snapshot", "s3cret");
        let mut config = azure(&secret, "tenant_id: t");
        // Any dialect will do here.
        config.providers.get_mut("p").unwrap().kind = config::ProviderKind::Openai;
        let state = state();
        let snapshot = Snapshot::build(&config, &state).unwrap();
        assert!(
            snapshot
                .books
                .iter()
                .any(|book| book.key().base.host == "login.microsoftonline.com")
        );
        state.retain(&snapshot);
        assert_eq!(state.tokens.len(), 1);
    }
}
