//! Tokens of identity providers: verified, refused, and the keys behind them while issuers fail.
//!
//! The library, with a clock and an issuer made here ([`Issuer`]); over real connections in `connections.rs`.

mod attacks;
mod claims;
mod connections;
mod keys;
pub(crate) mod signing;

use async_trait::async_trait;
use bytes::Bytes;
use cirque::auth::jwt::{ClaimPath, Fetch, Identity, Issuers, JwtError, KeySource, Namespace, Reading, Terms};
use serde_json::{Value, json};
use signing::SigningKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://login.example/tenant";
const DISCOVERY: &str = "https://login.example/tenant/.well-known/openid-configuration";
const KEYS: &str = "https://keys.example/keys";
/// When the tests begin.
const START: i64 = 1_800_000_000;

/// So many seconds after the start.
fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs((START + seconds) as u64)
}

/// An identity provider: its documents, and what it was asked for.
#[derive(Default)]
struct Issuer {
    documents: Mutex<HashMap<String, Result<String, String>>>,
    asked: Mutex<Vec<String>>,
    /// Held by a test while fetches are to wait.
    gate: tokio::sync::Mutex<()>,
}

#[async_trait]
impl Fetch for Issuer {
    async fn get(&self, url: &str) -> Result<Bytes, String> {
        self.asked.lock().unwrap().push(url.to_owned());
        let _open = self.gate.lock().await;
        let documents = self.documents.lock().unwrap();
        let document = documents.get(url).cloned();
        document
            .unwrap_or_else(|| Err("status 404".to_owned()))
            .map(Bytes::from)
    }
}

impl Issuer {
    /// With a discovery document and these keys.
    fn with(keys: &[Value]) -> Arc<Self> {
        let issuer = Arc::new(Self::default());
        issuer.serve(DISCOVERY, json!({"issuer": ISSUER, "jwks_uri": KEYS}).to_string());
        issuer.publish(keys);
        issuer
    }

    fn serve(&self, url: &str, document: impl Into<String>) {
        self.documents
            .lock()
            .unwrap()
            .insert(url.to_owned(), Ok(document.into()));
    }

    fn publish(&self, keys: &[Value]) {
        self.serve(KEYS, json!({ "keys": keys }).to_string());
    }

    fn fail(&self, url: &str) {
        let failure = Err("could not connect".to_owned());
        self.documents.lock().unwrap().insert(url.to_owned(), failure);
    }

    fn asked(&self, url: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == url).count()
    }
}

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

fn terms(fetch: &Arc<Issuer>) -> Terms {
    Terms {
        name: "login".into(),
        issuer: ISSUER.to_owned(),
        keys: KeySource::Discovery,
        fetch: Arc::clone(fetch) as _,
        audiences: vec!["gateway".to_owned(), "api://gateway".to_owned()],
        algorithms: Vec::new(),
        leeway: 60,
        keys_valid: 24 * 3600,
        reading: Reading {
            user: path("sub"),
            organisation: None,
            team: None,
            project: None,
            roles: None,
            keep: Vec::new(),
            map: Vec::new(),
            require: Vec::new(),
            default_team: None,
            space: Namespace::default(),
            require_tenant: false,
        },
    }
}

fn issuers(fetch: &Arc<Issuer>) -> Issuers {
    Issuers::new(vec![terms(fetch)], None).unwrap()
}

/// Good for an hour from the start.
fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "gateway", "sub": "ada", "iat": START, "nbf": START, "exp": START + 3600})
}

fn header(algorithm: &str, id: &str) -> Value {
    json!({"alg": algorithm, "typ": "JWT", "kid": id})
}

/// One key and its issuer.
struct Bench {
    key: SigningKey,
    issuer: Arc<Issuer>,
    issuers: Issuers,
}

impl Bench {
    fn new() -> Self {
        let key = SigningKey::p256();
        let issuer = Issuer::with(&[key.jwk("k1")]);
        let issuers = issuers(&issuer);
        Self { key, issuer, issuers }
    }

    /// A good token, but for these claims; `null` takes one away.
    fn token(&self, changes: Value) -> String {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
                value => claims[name] = value.clone(),
            }
        }
        self.key.token(&header("ES256", "k1"), &claims)
    }

    async fn verify(&self, token: &str, seconds: i64) -> Result<Arc<Identity>, JwtError> {
        self.issuers.verify(token, at(seconds)).await
    }

    async fn refused(&self, changes: Value, seconds: i64) -> JwtError {
        self.verify(&self.token(changes), seconds).await.unwrap_err()
    }
}
