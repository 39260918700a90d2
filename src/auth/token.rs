//! Virtual keys: made, told apart from mistyped ones, and turned into what stores keep of them.
//!
//! ```text
//! cq-  43 characters of [0-9A-Za-z], 256 bits  6 characters: CRC-32 of the 43, base 62
//! ```
//! Not where a request carries one (`credential`) and not whom it belongs to (`directory`). The one idea: a key is kept only as
//! an HMAC under a secret of the installation, so that what is stolen from a store neither opens anything nor can be guessed
//! at without that secret; and a look-up by that digest takes the same time whatever it finds.

use crate::secret::Secret;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use zeroize::Zeroize;

/// What our keys begin with.
pub const PREFIX: &str = "cq-";
/// Characters of randomness: 62^43 > 2^256.
const RANDOM: usize = 43;
/// Characters of the checksum: 62^6 > 2^32.
const CHECKSUM: usize = 6;
/// Length of our keys, in characters.
pub const LENGTH: usize = PREFIX.len() + RANDOM + CHECKSUM;
/// Shortest secret of another making that may be a key.
pub const SHORTEST_FOREIGN: usize = 20;
/// Longest.
pub const LONGEST_FOREIGN: usize = 512;
/// Shortest secret to hash with.
pub const SHORTEST_HASH_SECRET: usize = 32;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a client sent cannot be anybody's key: known without a look-up. The text never contains any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It begins as our keys do, and is none.
    #[error("the key is mistyped or cut off: its checksum does not fit; copy it again in full")]
    Mistyped,
    /// Neither ours nor long enough, or with characters that no key has.
    #[error("this is not a key of this gateway: those begin with `cq-` or have 20 to 512 visible ASCII characters")]
    NoKey,
}

/// The operating system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct NoRandomness;

/// A new key. The only copy: what is kept is its digest.
pub fn generate() -> Result<Secret, NoRandomness> {
    generate_from(&SystemRandom::new())
}

fn generate_from(random: &dyn SecureRandom) -> Result<Secret, NoRandomness> {
    loop {
        let mut key = String::with_capacity(LENGTH);
        key.push_str(PREFIX);
        while key.len() < PREFIX.len() + RANDOM {
            let mut bytes = [0_u8; 64];
            random.fill(&mut bytes).map_err(|_| NoRandomness)?;
            // 248 is a multiple of 62: every character is equally likely.
            let characters = bytes
                .iter()
                .filter(|byte| **byte < 248)
                .map(|byte| digit(u32::from(*byte)));
            key.extend(characters.take(PREFIX.len() + RANDOM - key.len()));
            bytes.zeroize();
        }
        let sum = checksum(key.as_bytes().get(PREFIX.len()..).unwrap_or_default());
        key.extend(base62(sum));
        // A CRC finds every change within its own text; where text and checksum meet, chance decides, once in 2^32 keys.
        if !is_well_formed(&swapped(&key, PREFIX.len() + RANDOM - 1)) || has_twins(&key) {
            return Ok(Secret::new(key));
        }
        key.zeroize();
    }
}

/// Whether the characters on both sides of where text and checksum meet are the same: swapping them changes nothing.
fn has_twins(key: &str) -> bool {
    let at = |index: usize| key.as_bytes().get(index);
    at(PREFIX.len() + RANDOM - 1) == at(PREFIX.len() + RANDOM)
}

/// The text with the bytes at `index` and behind it exchanged.
fn swapped(text: &str, index: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if index + 1 < bytes.len() {
        bytes.swap(index, index + 1);
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn digit(number: u32) -> char {
    DIGITS.get((number % 62) as usize).map_or('0', |byte| char::from(*byte))
}

fn checksum(random: &[u8]) -> u32 {
    crc32fast::hash(random)
}

/// Six digits, the highest first.
fn base62(number: u32) -> impl Iterator<Item = char> {
    (0..CHECKSUM as u32).rev().map(move |place| {
        let unit = 62_u64.pow(place);
        digit((u64::from(number) / unit % 62) as u32)
    })
}

fn is_well_formed(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return false;
    };
    let alphabet = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (true, Some((random, sum))) = (
        alphabet && rest.len() == RANDOM + CHECKSUM,
        rest.split_at_checked(RANDOM),
    ) else {
        return false;
    };
    base62(checksum(random.as_bytes())).eq(sum.chars())
}

/// Whether a text can be a key: one of ours with its checksum, or any other secret of 20 to 512 visible ASCII characters.
pub fn check(text: &str) -> Result<(), Malformed> {
    if text.starts_with(PREFIX) {
        return if is_well_formed(text) {
            Ok(())
        } else {
            Err(Malformed::Mistyped)
        };
    }
    let length = (SHORTEST_FOREIGN..=LONGEST_FOREIGN).contains(&text.len());
    if length && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(Malformed::NoKey)
    }
}

/// Whether a text claims to be one of our keys.
pub fn is_ours(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// What lists show of a key: `cq-3fAx…`; of a secret of another making nothing but that it is one.
pub fn shown(key: &str) -> String {
    let head = if is_well_formed(key) {
        key.get(..PREFIX.len() + 4)
    } else {
        None
    };
    head.map_or_else(|| "…".to_owned(), |head| format!("{head}…"))
}

/// HMAC-SHA-256 of a key: what is kept of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hexadecimal digits, as stores keep it.
    pub fn to_hex(self) -> String {
        crate::hex::hex(&self.0)
    }

    /// Read 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let nibble = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            *byte = (nibble(0)? << 4 | nibble(1)?) as u8;
        }
        Some(Self(bytes))
    }
}

/// The output of a keyed hash needs no other hash: its first bytes spread well, and nobody without the secret can choose them.
impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let first = self.0.first_chunk::<8>().copied().unwrap_or_default();
        state.write_u64(u64::from_ne_bytes(first));
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// Hashes keys under the secret of the installation.
#[derive(Clone)]
pub struct KeyHasher(hmac::Key);

impl KeyHasher {
    /// With a secret of at least [`SHORTEST_HASH_SECRET`] bytes; the key schedule is computed once, here.
    pub fn new(secret: &Secret) -> Result<Self, &'static str> {
        if secret.expose().len() < SHORTEST_HASH_SECRET {
            return Err("the secret that keys are hashed with has fewer than 32 characters");
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())))
    }

    /// The digest of a key. Takes no longer for one key than for another of its length.
    pub fn digest(&self, key: &str) -> Digest {
        let tag = hmac::sign(&self.0, key.as_bytes());
        let mut bytes = [0; 32];
        for (byte, from) in bytes.iter_mut().zip(tag.as_ref()) {
            *byte = *from;
        }
        Digest(bytes)
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(…)")
    }
}

/// A secret to hash keys with, for an installation that has none: 64 hexadecimal digits.
pub fn generate_hash_secret() -> Result<Secret, NoRandomness> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    let secret = Secret::new(Digest(bytes).to_hex());
    bytes.zeroize();
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_well_formed_and_never_the_same() {
        let keys: Vec<Secret> = (0..200).map(|_| generate().unwrap()).collect();
        let mut texts: Vec<&str> = keys.iter().map(Secret::expose).collect();
        for text in &texts {
            assert_eq!((text.len(), check(text)), (LENGTH, Ok(())));
            let shown = shown(text);
            assert_eq!(shown, format!("{}…", &text[..7]));
        }
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 200);
    }

    #[test]
    fn secrets_of_another_making_are_keys_when_long_enough() {
        assert_eq!(check("sk-0123456789abcdef0"), Ok(()));
        for bad in [
            "",
            "sk-short",
            "has a space in it but is long",
            "sk-ümlaut-0123456789abcdef",
        ] {
            assert_eq!(check(bad), Err(Malformed::NoKey), "{bad}");
        }
        assert_eq!(check(&"x".repeat(513)), Err(Malformed::NoKey));
        assert_eq!(check("cq-0123456789abcdef0123456789"), Err(Malformed::Mistyped));
        assert_eq!(shown("sk-0123456789abcdef0"), "…");
    }

    #[test]
    fn digests_depend_on_key_and_secret_and_are_hex_in_stores() {
        let hasher = |text: &str| KeyHasher::new(&Secret::new(text.repeat(32))).unwrap();
        let (one, other) = (hasher("a"), hasher("b"));
        assert_eq!(one.digest("k"), one.digest("k"));
        assert_ne!(one.digest("k"), other.digest("k"));
        assert_ne!(one.digest("k"), one.digest("l"));
        let hex = one.digest("k").to_hex();
        assert_eq!(Digest::from_hex(&hex), Some(one.digest("k")));
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(one.digest("k")));
        for bad in [
            "",
            "00",
            &hex[1..],
            &hex.replace(hex.chars().next().unwrap(), "+"),
            &"é".repeat(32),
        ] {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
        assert!(KeyHasher::new(&Secret::new("too-short".to_owned())).is_err());
        assert_eq!(generate_hash_secret().unwrap().expose().len(), 64);
    }

    #[test]
    fn the_digest_is_hmac_sha_256() {
        // From Python's hmac module.
        let hasher = KeyHasher::new(&Secret::new("k".repeat(40))).unwrap();
        let expected = "6cad67a5da82d64d76825e407a85064c54e4be384878d0321e0bc7397865774e";
        assert_eq!(hasher.digest("cq-test").to_hex(), expected);
    }

    #[test]
    fn nothing_shows_a_key() {
        let key = generate().unwrap();
        let hasher = KeyHasher::new(&generate_hash_secret().unwrap()).unwrap();
        let shown = format!(
            "{key:?} {hasher:?} {:?} {}",
            hasher.digest(key.expose()),
            Malformed::Mistyped
        );
        assert!(!shown.contains(&key.expose()[3..9]), "{shown}");
    }

    proptest! {
        #[test]
        fn every_changed_character_is_found(at in 0..LENGTH, to in proptest::char::range('!', '~')) {
            let key = generate().unwrap();
            let mut bytes = key.expose().as_bytes().to_vec();
            let before = std::mem::replace(&mut bytes[at], to as u8);
            let changed = String::from_utf8(bytes).unwrap();
            // Without its prefix it is a secret of another making, and unknown.
            let ours = changed.starts_with(PREFIX);
            prop_assert_eq!(check(&changed).is_ok(), !ours || before == to as u8);
        }

        #[test]
        fn every_transposition_is_found(at in PREFIX.len()..LENGTH - 1) {
            let key = generate().unwrap();
            let changed = swapped(key.expose(), at);
            prop_assert_eq!(check(&changed).is_ok(), changed == key.expose());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = (check(&text), check(&format!("{PREFIX}{text}")), shown(&text), Digest::from_hex(&text));
        }
    }
}
