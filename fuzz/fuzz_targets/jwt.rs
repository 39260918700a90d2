//! Any text is a token or a fault; any document keys or a fault; and nothing that was not signed is ever taken.
#![no_main]

use cirque::auth::jwt::{ClaimPath, Compact, Fetch, Issuers, KeySet, KeySource, Reading, Terms, looks_like};
use cirque::auth::pattern::Pattern;
use futures::FutureExt;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

struct Nobody;

#[async_trait::async_trait]
impl Fetch for Nobody {
    async fn get(&self, _: &str) -> Result<bytes::Bytes, String> {
        Err("nobody".to_owned())
    }
}

/// The examples of RFC 8037 A.1 and RFC 7515 A.3; no input has been signed with them for this issuer.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
 {"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fuzz_target!(|input: (&str, &[u8], &str)| {
    let (token, document, path) = input;
    let parsed = Compact::parse(token);
    if parsed.is_ok() && token.starts_with("eyJ") {
        assert!(looks_like(token));
    }
    let _ = KeySet::parse(document);
    let _ = ClaimPath::parse(path);
    assert!(Pattern::new("*").fits(path));
    let _ = Pattern::new(path).fits(token);
    let _ = cirque::auth::certificate::ClientCertificate::read(document);
    let Ok(user) = ClaimPath::parse("sub") else { return };
    let terms = Terms {
        name: "i".into(),
        issuer: "i".to_owned(),
        keys: KeySource::Document(KEYS.as_bytes().to_vec()),
        fetch: Arc::new(Nobody),
        audiences: vec!["a".to_owned()],
        algorithms: Vec::new(),
        leeway: 60,
        keys_valid: 60,
        reading: Reading {
            user,
            organisation: None,
            team: None,
            project: None,
            roles: None,
            keep: Vec::new(),
            map: Vec::new(),
            require: Vec::new(),
            default_team: None,
            space: cirque::auth::jwt::Namespace::default(),
            require_tenant: false,
        },
    };
    let issuers = Issuers::new(vec![terms], None).expect("the keys above are good");
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let verified = issuers.verify(token, now).now_or_never().expect("nothing is fetched");
    assert!(verified.is_err(), "nobody signed this");
});
