//! Secrets at rest: what the database holds of a provider's credential is its ciphertext.
//!
//! Not for virtual keys (kept as keyed hashes, never to be read back) and not a place: the store keeps what is sealed here and
//! takes nothing else (a [`Sealed`] that no [`Keyring`] made does not open). AES-256-GCM with a random nonce of 96 bits (a key may seal
//! 2^32 values); kind and name are authenticated with it, so that a ciphertext moved to another name does not open. The one
//! idea: several keys may open, the first one seals; rotating is putting a new one first and sealing everything again.

mod blob;

use crate::hex::hex;
use crate::secret::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

/// Why a secret cannot be sealed or opened. Tells nothing of keys or values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The credential that should be a key is none.
    #[error("a sealing key must be 32 bytes, written as 64 hexadecimal digits or as base64")]
    BadKey,
    /// There is no key at all.
    #[error("no sealing key is configured")]
    NoKey,
    /// Sealed with a key that is not on the ring.
    #[error("it was sealed with key {0}, which is not configured")]
    UnknownKey(String),
    /// Changed, moved to another name, or cut.
    #[error("what is stored does not open: it was changed or belongs to another name")]
    Damaged,
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// A sealed value: nonce ‖ ciphertext ‖ tag, and the id of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
}

impl Sealed {
    /// Id of the key it was sealed with: the first 8 bytes of a hash of it, hexadecimal.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Nonce, ciphertext and tag: what may be kept anywhere.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As it was kept. What was not made by a [`Keyring`] does not open.
    pub fn kept(key: String, bytes: Vec<u8>) -> Self {
        Self { key, bytes }
    }
}

/// Largest value: as of a secret in a file.
const LARGEST: usize = 64 * 1024;

/// What keeps a value from being sealed: a provider could not use it. Says nothing of it.
pub fn unfit(value: &Secret) -> Option<&'static str> {
    let text = value.expose();
    let document = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if text.is_empty() {
        return Some("the value is empty");
    }
    if text.len() > LARGEST {
        return Some("the value is larger than 64 KiB, which no credential is");
    }
    (text.contains(char::is_control) && !document())
        .then_some("the value has several lines or control characters and is no JSON document: send one line")
}

/// Keys that open; the first one seals.
pub struct Keyring {
    keys: Vec<(String, LessSafeKey)>,
    /// Of each key, what the keys of [`Keyring::seal_bytes`] are derived from.
    roots: Vec<ring::hkdf::Prk>,
    random: SystemRandom,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl Keyring {
    /// From credentials (`env:`, `file:`), each 32 bytes as hexadecimal or base64.
    pub fn new(secrets: &[Secret]) -> Result<Self, SealError> {
        let mut keys = Vec::with_capacity(secrets.len());
        let mut roots = Vec::with_capacity(secrets.len());
        for secret in secrets {
            let bytes = secret.bytes_32().ok_or(SealError::BadKey)?;
            let key = UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| SealError::BadKey)?;
            keys.push((key_id(&bytes), LessSafeKey::new(key)));
            roots.push(blob::root(&*bytes));
        }
        if keys.is_empty() {
            return Err(SealError::NoKey);
        }
        Ok(Self {
            keys,
            roots,
            random: SystemRandom::new(),
        })
    }

    /// Seal a value for a place.
    pub fn seal(&self, kind: &str, name: &str, value: &Secret) -> Result<Sealed, SealError> {
        let (id, key) = self.keys.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SealError::NoRandom)?;
        let mut bytes = value.expose().as_bytes().to_vec();
        let aad = Aad::from(place(kind, name));
        let sealed = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes);
        let Ok(tag) = sealed else {
            bytes.zeroize();
            return Err(SealError::Damaged);
        };
        let bytes = [&nonce, bytes.as_slice(), tag.as_ref()].concat();
        Ok(Sealed { key: id.clone(), bytes })
    }

    /// Open what was sealed for a place.
    pub fn open(&self, kind: &str, name: &str, sealed: &Sealed) -> Result<Secret, SealError> {
        let key = self.keys.iter().find(|(id, _)| *id == sealed.key);
        let (_, key) = key.ok_or_else(|| SealError::UnknownKey(sealed.key.clone()))?;
        let (nonce, rest) = sealed.bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let opened = key.open_in_place(nonce, Aad::from(place(kind, name)), &mut bytes);
        let opened = opened.map_err(|_| SealError::Damaged)?;
        let text = std::str::from_utf8(opened).map_err(|_| SealError::Damaged)?;
        Ok(Secret::new(text.to_owned()))
    }

    /// Id of the key that seals.
    pub fn sealing_key(&self) -> Option<&str> {
        self.keys.first().map(|(id, _)| id.as_str())
    }

    /// Whether a value should be sealed again, because another key seals now.
    pub fn outdated(&self, sealed: &Sealed) -> bool {
        self.keys.first().is_none_or(|(id, _)| *id != sealed.key)
    }
}

/// What is authenticated with a value; the length keeps `a` + `bc` apart from `ab` + `c`.
fn place(kind: &str, name: &str) -> Vec<u8> {
    let length = u64::try_from(kind.len()).unwrap_or(u64::MAX).to_be_bytes();
    [&length, kind.as_bytes(), name.as_bytes()].concat()
}

fn key_id(key: &[u8; 32]) -> String {
    let mut text = Zeroizing::new(b"cirque sealing key id\0".to_vec());
    text.extend_from_slice(key);
    let hash = ring::digest::digest(&ring::digest::SHA256, &text);
    hex(hash.as_ref().get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::new(format!("{byte:02x}").repeat(32))
    }

    fn secret() -> Secret {
        Secret::new("sk-very-secret".to_owned())
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_only() {
        let ring = Keyring::new(&[key(1)]).unwrap();
        let sealed = ring.seal("provider", "openai", &secret()).unwrap();
        assert_eq!(ring.open("provider", "openai", &sealed).unwrap(), secret());
        assert_eq!(ring.open("provider", "other", &sealed), Err(SealError::Damaged));
        assert_eq!(ring.open("providero", "penai", &sealed), Err(SealError::Damaged));
        assert_ne!(
            ring.seal("provider", "openai", &secret()).unwrap(),
            sealed,
            "another nonce each time"
        );
        assert!(!sealed.bytes.windows(4).any(|part| part == b"very"));
    }

    #[test]
    fn keys_rotate() {
        let old = Keyring::new(&[key(1)]).unwrap();
        let both = Keyring::new(&[key(2), key(1)]).unwrap();
        let new = Keyring::new(&[key(2)]).unwrap();
        let sealed = old.seal("provider", "p", &secret()).unwrap();
        assert!(both.outdated(&sealed) && both.open("provider", "p", &sealed).is_ok());
        let Err(SealError::UnknownKey(id)) = new.open("provider", "p", &sealed) else {
            panic!("opened with a key that is not its own");
        };
        assert_eq!(id, sealed.key());
        let again = both.seal("provider", "p", &secret()).unwrap();
        assert!(!both.outdated(&again) && new.open("provider", "p", &again).is_ok());
    }

    #[test]
    fn keys_are_32_bytes_of_hex_or_base64() {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let written = Secret::new(STANDARD.encode([7; 32]));
        let sealed = Keyring::new(&[written]).unwrap().seal("k", "n", &secret()).unwrap();
        assert!(Keyring::new(&[key(7)]).unwrap().open("k", "n", &sealed).is_ok());
        for bad in [
            "",
            "short",
            &"zz".repeat(32),
            &"+f".repeat(32),
            &STANDARD.encode([7; 31]),
        ] {
            assert_eq!(
                Keyring::new(&[Secret::new((*bad).to_owned())]).unwrap_err(),
                SealError::BadKey,
                "{bad}"
            );
        }
        assert_eq!(Keyring::new(&[]).unwrap_err(), SealError::NoKey);
    }

    proptest::proptest! {
        #[test]
        fn no_damage_opens(at in 0..64usize, bit in 0..8u8, cut in 0..64usize) {
            let ring = Keyring::new(&[key(3)]).unwrap();
            let sealed = ring.seal("k", "n", &secret()).unwrap();
            let mut damaged = sealed.clone();
            let at = at % damaged.bytes.len();
            damaged.bytes[at] ^= 1 << bit;
            proptest::prop_assert_eq!(ring.open("k", "n", &damaged), Err(SealError::Damaged));
            let mut short = sealed.clone();
            short.bytes.truncate(cut % sealed.bytes.len());
            proptest::prop_assert_eq!(ring.open("k", "n", &short), Err(SealError::Damaged));
        }
    }
}
