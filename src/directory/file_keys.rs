//! Digests of the keys that the file declares.
//!
//! Reads the environment and files, which [`super::Directory::build`] does not: a change in the store rebuilds the directory
//! every few seconds at worst, and must not depend on files. Secrets are hashed and dropped here.

use crate::auth::{Digest, KeyHasher, token};
use crate::config::{Config, Problem, key_secrets};
use std::collections::{BTreeMap, HashMap};

/// Digests of the keys that a configuration declares, by name.
#[derive(Debug, Clone, Default)]
pub struct FileKeys(BTreeMap<String, FileKey>);

/// What is kept of one key's secret.
#[derive(Debug, Clone)]
pub(super) struct FileKey {
    pub(super) digest: Digest,
    pub(super) shown: Box<str>,
}

impl FileKeys {
    /// Read and hash the secrets of `keys`. With them come the problems of those that could not be read, are malformed, or
    /// open another key already; they open nothing.
    pub fn read(config: &Config, hasher: &KeyHasher) -> (Self, Vec<Problem>) {
        let (secrets, mut problems) = key_secrets(config);
        let mut keys = BTreeMap::new();
        for (name, secret) in &secrets {
            let digest = hasher.digest(secret.expose());
            let shown = token::shown(secret.expose()).into();
            keys.insert(name.clone(), FileKey { digest, shown });
        }
        for (name, key) in &config.keys {
            if let Some(digest) = key.hash.as_deref().and_then(Digest::from_hex) {
                keys.entry(name.clone()).or_insert(FileKey {
                    digest,
                    shown: "…".into(),
                });
            }
        }
        let mut owners: HashMap<Digest, String> = HashMap::new();
        keys.retain(|name, key| {
            let first = owners.entry(key.digest).or_insert_with(|| name.clone());
            if first != name {
                problems.push(Problem {
                    file: String::new(),
                    path: format!("keys.{name}"),
                    line: 0,
                    column: 0,
                    message: format!("the same secret as that of the key {first:?}"),
                    remedy: "give each key a secret of its own".to_owned(),
                });
            }
            first == name
        });
        (Self(keys), problems)
    }

    pub(super) fn get(&self, name: &str) -> Option<&FileKey> {
        self.0.get(name)
    }
}
