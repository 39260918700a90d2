//! Forms and assertions. The RSA key under `tests/fixtures/oauth` was made for these tests and opens nothing.

use super::*;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = include_str!("../../../../tests/fixtures/oauth/rsa-for-tests.pem");
const KEY_PKCS1: &str = include_str!("../../../../tests/fixtures/oauth/rsa-for-tests-pkcs1.pem");
const PUBLIC: &[u8] = include_bytes!("../../../../tests/fixtures/oauth/rsa-for-tests.pub.der");

fn document(value: &Value) -> Secret {
    Secret::new(value.to_string())
}

fn account(key: &str) -> Value {
    json!({
        "type": "service_account", "project_id": "p", "private_key_id": "kid-1", "private_key": key,
        "client_email": "cirque@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    })
}

/// A form's fields, decoded.
fn fields(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    form.split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

#[test]
fn an_assertion_verifies_and_says_who_asks_for_what() {
    for key in [KEY, KEY_PKCS1] {
        let (grant, url) = Grant::google(&document(&account(key))).unwrap();
        assert_eq!(url, "https://oauth2.googleapis.com/token");
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let form = grant.form(now).unwrap();
        let fields = fields(&form);
        assert_eq!(fields[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let parts: Vec<&str> = fields[1].1.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            panic!("not a JWT: {parts:?}");
        };
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(json(header), json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
        assert_eq!(
            json(claims),
            json!({
                "iss": "cirque@p.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/cloud-platform",
                "aud": "https://oauth2.googleapis.com/token", "iat": 1_700_000_000, "exp": 1_700_003_600,
            })
        );
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC);
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();
        assert!(public.verify(format!("{signed}x").as_bytes(), &signature).is_err());
    }
}

#[test]
fn the_other_grants_send_their_fields_escaped() {
    let user =
        json!({"type": "authorized_user", "client_id": "id", "client_secret": "s&c=r t", "refresh_token": "1//0g+x"});
    let (grant, url) = Grant::google(&document(&user)).unwrap();
    assert_eq!(url, GOOGLE_TOKEN_URL);
    let form = grant.form(UNIX_EPOCH).unwrap();
    assert_eq!(
        *form,
        "grant_type=refresh_token&client_id=id&client_secret=s%26c%3Dr%20t&refresh_token=1%2F%2F0g%2Bx"
    );
    let secret = Secret::new("ü~s".to_owned());
    let grant = Grant::client_credentials("https://t/", "app", secret, "https://x/.default");
    assert_eq!(
        *grant.form(UNIX_EPOCH).unwrap(),
        "grant_type=client_credentials&client_id=app&client_secret=%C3%BC~s&scope=https%3A%2F%2Fx%2F.default"
    );
}

#[test]
fn broken_credentials_are_named_without_being_shown() {
    let mut half = account(KEY);
    half.as_object_mut().unwrap().remove("client_email");
    for (text, expected) in [
        ("THIS-IS-SECRET".to_owned(), "not the JSON"),
        ("{}".to_owned(), "not the JSON"),
        (json!({"type": "THIS-IS-SECRET"}).to_string(), "neither service_account"),
        (
            json!({"type": "external_account", "audience": "a"}).to_string(),
            "neither service_account",
        ),
        (
            json!({"type": "service_account", "private_key": 7}).to_string(),
            "not the JSON",
        ),
        (
            json!({"type": "authorized_user", "client_id": "x", "client_secret": ""}).to_string(),
            "`client_secret` is missing",
        ),
        (half.to_string(), "`client_email` is missing"),
        (account("THIS-IS-SECRET").to_string(), "not a private key in PEM"),
        (
            account("-----BEGIN PRIVATE KEY-----\nVEhJUw==\n-----END PRIVATE KEY-----\n").to_string(),
            "not an RSA key",
        ),
    ] {
        let problem = Grant::google(&Secret::new(text.clone())).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
        assert!(!problem.contains("THIS-IS-SECRET"), "{problem}");
    }
}

#[test]
fn a_fingerprint_tells_settings_apart_and_nothing_shows_a_secret() {
    let grant = |id: &str, secret: &str| {
        Grant::client_credentials("https://t/", id, Secret::new(secret.to_owned()), "scope").fingerprint()
    };
    assert_eq!(grant("a", "b"), grant("a", "b"));
    assert_ne!(grant("a", "b"), grant("a", "c"));
    assert_ne!(grant("ab", "c"), grant("a", "bc"));
    let shown = format!("{:?}", Grant::google(&document(&account(KEY))).unwrap().0);
    assert_eq!(shown, "Grant::Assertion");
}

#[test]
fn a_clock_before_1970_is_an_error() {
    let (grant, _) = Grant::google(&document(&account(KEY))).unwrap();
    assert!(grant.form(UNIX_EPOCH - Duration::from_secs(1)).is_err());
}
