//! Bytes sealed for a place outside: answers and questions in Redis and in a vector store.
//!
//! Not for credentials (they have their own form, and a column for their key). The one idea: there are too many of them for one
//! key with random nonces (2^32), so each is sealed with a key of its own, derived (HKDF-SHA-256) from a key of the ring and 16
//! random bytes.
//!
//! ```text
//! id of the key, 16 hexadecimal digits │ 16 random bytes │ nonce, 12 │ ciphertext │ tag, 16
//! ```

use super::{Keyring, SealError, place};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::SecureRandom;

const ID: usize = 16;
const GRAIN: usize = 16;

/// What the keys of single values are derived from.
pub(super) fn root(key: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, b"cirque sealed bytes").extract(key)
}

fn derived(root: &Prk, grain: &[u8]) -> Result<LessSafeKey, SealError> {
    let info = [grain];
    let key = root.expand(&info, &AES_256_GCM).map_err(|_| SealError::BadKey)?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

impl Keyring {
    /// Seal bytes for a place.
    pub fn seal_bytes(&self, kind: &str, name: &str, bytes: &[u8]) -> Result<Vec<u8>, SealError> {
        let ((id, _), root) = self.keys.first().zip(self.roots.first()).ok_or(SealError::NoKey)?;
        let mut random = [0; GRAIN + NONCE_LEN];
        self.random.fill(&mut random).map_err(|_| SealError::NoRandom)?;
        let (grain, nonce) = random.split_at(GRAIN);
        let key = derived(root, grain)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::NoRandom)?;
        let mut sealed = bytes.to_vec();
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(place(kind, name)), &mut sealed)
            .map_err(|_| SealError::Damaged)?;
        Ok([id.as_bytes(), &random, &sealed, tag.as_ref()].concat())
    }

    /// Open what was sealed for a place.
    pub fn open_bytes(&self, kind: &str, name: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, rest) = sealed.split_at_checked(ID).ok_or(SealError::Damaged)?;
        let (grain, rest) = rest.split_at_checked(GRAIN).ok_or(SealError::Damaged)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let mut with = self.keys.iter().zip(&self.roots);
        let Some((_, root)) = with.find(|((have, _), _)| have.as_bytes() == id) else {
            // Not quoted: it is not known to be an id.
            return Err(SealError::UnknownKey("another".to_owned()));
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut bytes = rest.to_vec();
        let length = derived(root, grain)?
            .open_in_place(nonce, Aad::from(place(kind, name)), &mut bytes)
            .map_err(|_| SealError::Damaged)?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn ring(keys: &[u8]) -> Keyring {
        let keys: Vec<_> = keys
            .iter()
            .map(|k| Secret::new(format!("{k:02x}").repeat(32)))
            .collect();
        Keyring::new(&keys).unwrap()
    }

    #[test]
    fn bytes_open_at_their_place_with_any_key_of_the_ring() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let sealed = old.seal_bytes("cache", "k", b"\xff what was asked").unwrap();
        assert_eq!(both.open_bytes("cache", "k", &sealed).unwrap(), b"\xff what was asked");
        assert_eq!(both.open_bytes("cache", "l", &sealed), Err(SealError::Damaged));
        assert_eq!(both.open_bytes("cach", "ek", &sealed), Err(SealError::Damaged));
        assert!(matches!(
            new.open_bytes("cache", "k", &sealed),
            Err(SealError::UnknownKey(_))
        ));
        assert!(!sealed.windows(4).any(|part| part == b"what"));
        assert_ne!(sealed, old.seal_bytes("cache", "k", b"\xff what was asked").unwrap());
        let again = both.seal_bytes("cache", "k", b"").unwrap();
        assert_eq!(new.open_bytes("cache", "k", &again).unwrap(), b"");
    }

    proptest::proptest! {
        #[test]
        fn no_damage_opens(at in 0..80_usize, bit in 0..8_u8, cut in 0..80_usize) {
            let ring = ring(&[3]);
            let sealed = ring.seal_bytes("k", "n", b"some twenty bytes...").unwrap();
            let mut damaged = sealed.clone();
            damaged[at % sealed.len()] ^= 1 << bit;
            proptest::prop_assert!(ring.open_bytes("k", "n", &damaged).is_err());
            proptest::prop_assert!(ring.open_bytes("k", "n", &sealed[..cut % sealed.len()]).is_err());
        }
    }
}
