//! Secrets of providers as a snapshot is built: out of the environment, files, or what the store keeps sealed.
//!
//! A stored one is opened where it is used and kept nowhere but there. Every problem names the secret and what to do.

use super::State;
use crate::config::{Config, SecretRef, named_secret};
use crate::secret::Secret;
use crate::storage::PROVIDER_SECRET;
use crate::storage::sealed::{Keyring, SealError, Sealed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the store keeps, by name.
pub type Stored = BTreeMap<String, Sealed>;

/// The keys that a configuration names; nothing when it names none.
pub fn keyring(config: &Config) -> Result<Option<Keyring>, String> {
    let mut keys = Vec::new();
    for (index, reference) in config.secrets.keys.iter().enumerate() {
        let at = |problem: String| format!("secrets.keys[{index}]: {problem}");
        let key = reference.read().map_err(at)?;
        if key.bytes_32().is_none() {
            return Err(at(format!("{reference}: {}", SealError::BadKey)));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Ok(None);
    }
    Keyring::new(&keys)
        .map(Some)
        .map_err(|error| format!("secrets.keys: {error}"))
}

/// Where a snapshot has its secrets from.
pub(super) struct Vault {
    ring: Option<Keyring>,
    stored: Arc<Stored>,
}

impl Vault {
    /// With the keys of this configuration; without any, and why, when they cannot be read.
    pub fn new(config: &Config, state: &State) -> (Self, Option<String>) {
        let (ring, problem) = keyring(config).map_or_else(|problem| (None, Some(problem)), |ring| (ring, None));
        let stored = state.stored_secrets.load_full();
        (Self { ring, stored }, problem)
    }

    /// A secret that is one line.
    pub fn read(&self, reference: &SecretRef) -> Result<Secret, String> {
        let Some(name) = reference.stored() else {
            return reference.read();
        };
        let secret = self.open(name)?;
        if secret.expose().contains(char::is_control) {
            return Err(format!(
                "{reference} contains a line break or another control character"
            ));
        }
        Ok(secret)
    }

    /// A secret that may have lines.
    pub fn read_document(&self, reference: &SecretRef) -> Result<Secret, String> {
        match reference.stored() {
            Some(name) => self.open(name),
            None => reference.read_document(),
        }
    }

    /// The value of a header: a secret, or as written.
    pub fn header(&self, text: &str) -> Result<Secret, String> {
        match named_secret(text)? {
            Some(reference) => self.read(&reference),
            None => Ok(Secret::new(text.to_owned())),
        }
    }

    fn open(&self, name: &str) -> Result<Secret, String> {
        let ring = self
            .ring
            .as_ref()
            .ok_or("no key opens stored secrets: add `secrets: { keys: [env:CIRQUE_SECRETS_KEY] }`")?;
        let Some(sealed) = self.stored.get(name) else {
            return Err(format!(
                "the store has no secret {name}: set it with `cirque secret set {name}` (before the first start with `--config FILE`)"
            ));
        };
        ring.open(PROVIDER_SECRET, name, sealed).map_err(|error| {
            let remedy = match error {
                SealError::UnknownKey(_) => "add that key to `secrets.keys`, or set the secret again",
                _ => "set it again",
            };
            format!("the stored secret {name} cannot be opened: {error}; {remedy}: `cirque secret set {name}`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Meters;

    fn key(byte: u8) -> Keyring {
        Keyring::new(&[Secret::new(format!("{byte:02x}").repeat(32))]).unwrap()
    }

    fn vault(ring: Option<Keyring>, stored: Stored) -> Vault {
        Vault {
            ring,
            stored: Arc::new(stored),
        }
    }

    fn stored(name: &str, value: &str) -> Stored {
        let sealed = key(1).seal(PROVIDER_SECRET, name, &Secret::new(value.to_owned()));
        BTreeMap::from([(name.to_owned(), sealed.unwrap())])
    }

    #[test]
    fn a_stored_secret_is_read_and_what_is_wrong_says_what_to_do() {
        let reference = SecretRef::parse("store:openai").unwrap();
        let good = vault(Some(key(1)), stored("openai", "sk-canary"));
        assert_eq!(good.read(&reference).unwrap().expose(), "sk-canary");
        assert_eq!(good.header("store:openai").unwrap().expose(), "sk-canary");
        assert_eq!(good.header("plain").unwrap().expose(), "plain");
        let mut moved = stored("other", "sk-canary");
        let sealed = moved.remove("other").unwrap();
        moved.insert("openai".to_owned(), sealed);
        for (vault, part) in [
            (vault(None, stored("openai", "sk-canary")), "secrets: { keys"),
            (vault(Some(key(1)), Stored::new()), "cirque secret set openai"),
            (vault(Some(key(2)), stored("openai", "sk-canary")), "add that key"),
            (vault(Some(key(1)), moved), "belongs to another name"),
            (vault(Some(key(1)), stored("openai", "sk-\ncanary")), "line break"),
        ] {
            let problem = vault.read(&reference).unwrap_err();
            assert!(problem.contains(part) && !problem.contains("canary"), "{problem}");
        }
        let lines = vault(Some(key(1)), stored("openai", "{\n}"));
        assert_eq!(lines.read_document(&reference).unwrap().expose(), "{\n}");
    }

    #[test]
    fn keys_are_read_and_named_when_they_are_none() {
        let text = "listen: 127.0.0.1:0\ninsecure: { open_access: true }\nproviders: { d: { kind: demo } }\n\
                    models: { m: { targets: [ { provider: d } ] } }\nsecrets: { keys: [env:CIRQUE_TEST_SURELY_UNSET] }\n";
        let config = crate::config::parse(text, "test").unwrap();
        assert!(config.keeps());
        let problem = keyring(&config).unwrap_err();
        assert!(
            problem.starts_with("secrets.keys[0]: environment variable CIRQUE"),
            "{problem}"
        );
        let state = State::new(Meters::new().unwrap());
        let (_, told) = Vault::new(&config, &state);
        assert_eq!(told.unwrap(), problem);
    }
}
