//! The public keys of an issuer (JWKS, RFC 7517), and checking a signature with one.
//!
//! ```json
//! {"keys": [{"kty": "RSA", "kid": "a1", "use": "sig", "alg": "RS256", "n": "…", "e": "AQAB"},
//!           {"kty": "EC", "crv": "P-256", "kid": "b2", "x": "…", "y": "…"},
//!           {"kty": "OKP", "crv": "Ed25519", "kid": "c3", "x": "…"}]}
//! ```
//! The one idea: a key has a kind, an algorithm needs one kind, and the two meet in [`Key::fits`] only. There is no
//! symmetric algorithm in [`Algorithm`], so a public key can never be taken for a shared secret. Over ring alone: the
//! signature is all that a library for tokens would be needed for, and the rest (what to refuse) is ours to decide.

use super::json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

/// Largest document with keys.
pub const LARGEST_DOCUMENT: usize = 256 * 1024;
/// Most keys in one.
const MOST_KEYS: usize = 100;
/// Sizes of RSA keys that are taken, in bits. 8192 is where ring ends, and a check takes 0.3 ms.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Keys tried for one token, when it names none or its name is that of several.
const MOST_TRIED: usize = 4;

/// How a token is signed (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// With SHA-384.
    Rs384,
    /// With SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// With SHA-384.
    Ps384,
    /// With SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All that are taken where none is configured.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Of its name in `alg`, which is exact. `Ed25519` is its newer name (RFC 9864).
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// One public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    /// The only algorithm it is for, when its issuer says so.
    only: Option<Algorithm>,
    material: Material,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// Keys that may have signed a token.
#[derive(Debug)]
pub(super) enum Candidates<'a> {
    /// One of these.
    Some(Vec<&'a Key>),
    /// The token names a key that is not there.
    NoSuchKey,
    /// The key that it names is of another kind.
    OtherKind,
}

impl KeySet {
    /// Read a JWKS document. Keys of unknown kinds or for other uses are left out; none left is an error, as is a document
    /// that is too large. The error says what is wrong without repeating anything of it.
    pub fn parse(document: &[u8]) -> Result<Self, &'static str> {
        if document.len() > LARGEST_DOCUMENT {
            return Err("larger than 256 KiB");
        }
        let document = json::object(document).ok_or("not an unambiguous JSON object")?;
        let Some(Value::Array(listed)) = document.get("keys") else {
            return Err("there is no list `keys` in it");
        };
        if listed.len() > MOST_KEYS {
            return Err("more than 100 keys");
        }
        let keys: Vec<Key> = listed
            .iter()
            .filter_map(Value::as_object)
            .filter_map(Key::read)
            .collect();
        if keys.is_empty() {
            return Err("no key in it can be used (RSA from 2048 bits, P-256, P-384, Ed25519)");
        }
        Ok(Self(keys))
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The keys that a token with this algorithm and key name can be signed with.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> Candidates<'_> {
        let mut named = self
            .0
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .peekable();
        if named.peek().is_none() {
            return Candidates::NoSuchKey;
        }
        let fitting: Vec<&Key> = named.filter(|key| key.fits(algorithm)).take(MOST_TRIED).collect();
        if fitting.is_empty() {
            return Candidates::OtherKind;
        }
        Candidates::Some(fitting)
    }
}

impl Key {
    /// Nothing for what is no key to check a signature with, or a weak one.
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let bytes = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        if members.get("use").is_some_and(|it| it.as_str() != Some("sig")) {
            return None;
        }
        if let Some(operations) = members.get("key_ops") {
            let verifies = |list: &Vec<Value>| list.iter().any(|it| it.as_str() == Some("verify"));
            operations.as_array().filter(|list| verifies(list))?;
        }
        let only = match members.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::of_name(name.as_str()?)?),
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", None) => rsa(bytes("n")?, bytes("e")?)?,
            ("EC", Some("P-256")) => Material::P256(point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let key = Self {
            id: text("kid").map(str::to_owned),
            only,
            material,
        };
        let consistent = key.only.is_none_or(|only| key.fits(only));
        consistent.then_some(key)
    }

    /// Whether this algorithm is of the key's kind, and the one it is for.
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let kind = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Material::P256(_) => algorithm == Es256,
            Material::P384(_) => algorithm == Es384,
            Material::Ed25519(_) => algorithm == EdDsa,
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether the holder of this key signed the message so.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let simple = |by: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(by, key).verify(message, signature).is_ok()
        };
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let by = match algorithm {
                    Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return false,
                };
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(by, message, signature).is_ok()
            }
            Material::P256(point) => simple(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => simple(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(point) => simple(&ED25519, point),
        }
    }
}

/// Leading zeros are allowed in a document and not in ring.
fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Option<Material> {
    let plain = |number: Vec<u8>| -> Vec<u8> { number.into_iter().skip_while(|byte| *byte == 0).collect() };
    let (modulus, exponent) = (plain(modulus), plain(exponent));
    let bits = (modulus.len() * 8).checked_sub(modulus.first()?.leading_zeros() as usize)?;
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    // An exponent of 1 makes every text its own signature.
    let exponent_fits = exponent.len() <= 4 && odd(&exponent) && exponent != [1];
    (RSA_BITS.contains(&bits) && odd(&modulus) && exponent_fits).then_some(Material::Rsa { modulus, exponent })
}

fn point(x: &[u8], y: &[u8], size: usize) -> Option<Vec<u8>> {
    if x.len() != size || y.len() != size {
        return None;
    }
    Some([&[4], x, y].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encoded(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn number(bits: usize) -> Vec<u8> {
        let mut bytes = vec![0xff; bits / 8];
        if !bits.is_multiple_of(8) {
            bytes.insert(0, (1 << (bits % 8)) - 1);
        }
        bytes
    }

    fn set(keys: Value) -> Result<usize, &'static str> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).map(|set| set.count())
    }

    fn rsa_key(bits: usize, exponent: &[u8]) -> Value {
        json!({"kty": "RSA", "kid": "k", "n": encoded(&number(bits)), "e": encoded(exponent)})
    }

    #[test]
    fn only_strong_and_known_keys_are_read() {
        let none = set(json!([])).unwrap_err();
        for bits in [2048, 3072, 4096, 8192] {
            assert_eq!(set(json!([rsa_key(bits, &[1, 0, 1])])), Ok(1), "{bits}");
        }
        for bits in [512, 1024, 2040, 2047, 8200] {
            assert_eq!(set(json!([rsa_key(bits, &[1, 0, 1])])), Err(none), "{bits}");
        }
        for exponent in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 1, 0, 1]] {
            assert_eq!(set(json!([rsa_key(2048, exponent)])), Err(none), "{exponent:?}");
        }
        let mut padded = rsa_key(2048, &[0, 1, 0, 1]);
        padded["n"] = encoded(&[&[0], &number(2048)[..]].concat()).into();
        assert_eq!(set(json!([padded])), Ok(1));
        let x = encoded(&[7; 32]);
        let long = encoded(&[7; 33]);
        for (key, taken) in [
            (json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}), true),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "alg": "ES256", "use": "sig"}),
                true,
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "key_ops": ["verify"]}),
                true,
            ),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA"}), true),
            (json!({"kty": "EC", "crv": "P-256", "x": x, "y": long}), false),
            (json!({"kty": "EC", "crv": "P-384", "x": x, "y": x}), false),
            (json!({"kty": "EC", "crv": "P-521", "x": x, "y": x}), false),
            (json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": x}), false),
            (json!({"kty": "EC", "crv": "P-256", "x": x}), false),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "use": "enc"}),
                false,
            ),
            (json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "use": 1}), false),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "key_ops": ["sign"]}),
                false,
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "alg": "RS256"}),
                false,
            ),
            (
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": x, "alg": "HS256"}),
                false,
            ),
            (json!({"kty": "oct", "k": x, "alg": "HS256"}), false),
            (json!({"kty": "oct", "k": x}), false),
            (json!({"kty": "OKP", "crv": "X25519", "x": x}), false),
            (json!({"kty": 1}), false),
            (json!("key"), false),
            (json!(null), false),
        ] {
            assert_eq!(set(json!([key])).is_ok(), taken, "{key}");
            // What cannot be used does not spoil the others.
            assert_eq!(
                set(json!([key, rsa_key(2048, &[3])])),
                Ok(1 + usize::from(taken)),
                "{key}"
            );
        }
    }

    #[test]
    fn garbage_is_no_key_set() {
        for document in ["", "[]", "{}", "<html>", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
        let key = rsa_key(2048, &[3]);
        assert_eq!(set(vec![key.clone(); 100].into()), Ok(100));
        assert_eq!(set(vec![key; 101].into()), Err("more than 100 keys"));
        assert_eq!(
            KeySet::parse(&vec![b' '; LARGEST_DOCUMENT + 1]),
            Err("larger than 256 KiB")
        );
    }

    #[test]
    fn keys_are_found_by_name_and_kind() {
        let x = encoded(&[7; 32]);
        let ec = |id: &str| json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": x});
        let keys = json!({"keys": [rsa_key(2048, &[3]), ec("e"), ec("d"), ec("d"), ec("d"), ec("d"), ec("d")]});
        let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        let found = |algorithm, id| match keys.candidates(algorithm, id) {
            Candidates::Some(found) => found.len(),
            Candidates::NoSuchKey => 100,
            Candidates::OtherKind => 200,
        };
        assert_eq!(found(Algorithm::Rs256, Some("k")), 1);
        assert_eq!(found(Algorithm::Es256, Some("k")), 200);
        assert_eq!(found(Algorithm::Es256, Some("x")), 100);
        assert_eq!(found(Algorithm::Es256, Some("d")), MOST_TRIED);
        assert_eq!(found(Algorithm::Rs256, None), 1);
        assert_eq!(found(Algorithm::EdDsa, None), 200);
    }

    proptest::proptest! {
        #[test]
        fn any_document_is_keys_or_an_error(document in "\\PC{0,200}", n in "[A-Za-z0-9_-]{0,400}", kty in "(RSA|EC|OKP)", crv in "(P-256|P-384|Ed25519)") {
            let _ = KeySet::parse(document.as_bytes());
            let key = json!({"keys": [{"kty": kty, "crv": crv, "n": n, "e": "AQAB", "x": n, "y": n}, {"kty": "RSA", "n": n, "e": n}]});
            if let Ok(set) = KeySet::parse(key.to_string().as_bytes()) {
                for key in &set.0 {
                    for algorithm in Algorithm::ALL {
                        proptest::prop_assert!(!key.verifies(algorithm, b"message", n.as_bytes()));
                    }
                }
            }
        }
    }
}
