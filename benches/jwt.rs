//! What a token costs: verified before (one hash), and verified now (by algorithm).
//!
//! `cargo bench --bench jwt`. Only pure code: the keys are in a document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "a benchmark may fail by panicking"
)]

#[path = "../tests/it/jwt/signing.rs"]
mod signing;

use cirque::auth::certificate::ClientCertificate;
use cirque::auth::jwt::{ClaimPath, Fetch, Issuers, KeySource, Reading, Terms};
use criterion::{Criterion, criterion_group, criterion_main};
use futures::FutureExt;
use serde_json::{Value, json};
use signing::SigningKey;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: u64 = 1_800_000_000;

struct Nobody;

#[async_trait::async_trait]
impl Fetch for Nobody {
    async fn get(&self, _: &str) -> Result<bytes::Bytes, String> {
        Err("nobody".to_owned())
    }
}

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

fn issuers(keys: &[Value]) -> Issuers {
    let terms = Terms {
        name: "login".into(),
        issuer: "https://login.example/tenant".to_owned(),
        keys: KeySource::Document(json!({ "keys": keys }).to_string().into_bytes()),
        fetch: Arc::new(Nobody),
        audiences: vec!["api://gateway".to_owned()],
        algorithms: Vec::new(),
        leeway: 60,
        keys_valid: 3600,
        reading: Reading {
            user: path("oid"),
            organisation: None,
            team: None,
            project: None,
            roles: Some(path("roles")),
            keep: vec![path("groups")],
            map: Vec::new(),
            require: Vec::new(),
            default_team: None,
            space: cirque::auth::jwt::Namespace::default(),
            require_tenant: false,
        },
    };
    Issuers::new(vec![terms], None).unwrap()
}

/// Of the size that Entra's are: 1.3 KB encoded.
fn claims(exp: u64) -> Value {
    let groups: Vec<String> = (0..12)
        .map(|n| format!("{n:08x}-0000-4000-8000-0123456789ab"))
        .collect();
    json!({
        "iss": "https://login.example/tenant", "aud": "api://gateway", "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "oid": "00000000-0000-0000-66f3-3332eca7ea81", "iat": NOW - 60, "nbf": NOW - 60, "exp": exp,
        "name": "Ada Lovelace", "roles": ["auditor"], "groups": groups,
    })
}

fn tokens(c: &mut Criterion) {
    let keys = [
        ("RS256", SigningKey::rsa()),
        ("PS256", SigningKey::rsa()),
        ("ES256", SigningKey::p256()),
        ("ES384", SigningKey::p384()),
        ("EdDSA", SigningKey::ed25519()),
    ];
    let published: Vec<Value> = keys.iter().map(|(name, key)| key.jwk(name)).collect();
    let issuers = issuers(&published);
    let now: SystemTime = UNIX_EPOCH + Duration::from_secs(NOW);
    let mut group = c.benchmark_group("jwt");
    for (name, key) in &keys {
        let header = json!({"alg": name, "typ": "JWT", "kid": name});
        // Past its end but within the leeway: good, and never remembered.
        let token = key.token(&header, &claims(NOW - 1));
        group.bench_function(format!("{name} ({} B)", token.len()), |b| {
            b.iter(|| issuers.verify(black_box(&token), now).now_or_never().unwrap().unwrap());
        });
    }
    let (name, key) = &keys[0];
    let token = key.token(&json!({"alg": name, "typ": "JWT", "kid": name}), &claims(NOW + 3600));
    issuers.verify(&token, now).now_or_never().unwrap().unwrap();
    group.bench_function(format!("verified before ({} B)", token.len()), |b| {
        b.iter(|| issuers.verify(black_box(&token), now).now_or_never().unwrap().unwrap());
    });
    let forged = format!("{}A", &token[..token.len() - 1]);
    group.bench_function("forged RS256", |b| {
        b.iter(|| {
            issuers
                .verify(black_box(&forged), now)
                .now_or_never()
                .unwrap()
                .unwrap_err()
        });
    });
    group.finish();
}

fn certificates(c: &mut Criterion) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["search.acme.example".to_owned()]).unwrap();
    let uri = rcgen::SanType::URI("spiffe://acme/search".try_into().unwrap());
    params.subject_alt_names.push(uri);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    c.bench_function("certificate/names", |b| {
        b.iter(|| ClientCertificate::read(black_box(&der)).unwrap())
    });
}

criterion_group!(benches, tokens, certificates);
criterion_main!(benches);
