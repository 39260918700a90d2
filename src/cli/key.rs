//! `cirque key new` and `cirque key hash`: virtual keys made and hashed without a gateway, for configuration files.
//!
//! Offline: neither reads a configuration nor asks anybody. A key is printed once, to standard output, and kept nowhere.

use crate::auth::{KeyHasher, token};
use crate::config::SecretRef;
use crate::secret::Secret;
use anyhow::{Context, anyhow};
use clap::Subcommand;
use std::io::{BufRead, IsTerminal, Write};

/// Longest line read: longer than any key.
const LONGEST_LINE: u64 = 4096;

/// About virtual keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it; for `keys.NAME.secret` of a configuration file. It is kept nowhere.
    New {
        /// Print its hash too, for `keys.NAME.hash`: the secret of `auth.key_secret`, as env:NAME or file:PATH.
        #[arg(long, value_name = "SECRET", value_parser = SecretRef::parse)]
        hash_with: Option<SecretRef>,
    },
    /// Read a key from standard input and print its hash, for `keys.NAME.hash` of a configuration file.
    Hash {
        /// The secret of `auth.key_secret`, as env:NAME or file:PATH.
        #[arg(long, value_name = "SECRET", value_parser = SecretRef::parse)]
        hash_with: SecretRef,
    },
}

/// Run one of them.
pub fn run(command: &KeyCommand) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match command {
        KeyCommand::New { hash_with } => new(hash_with.as_ref(), &mut out),
        KeyCommand::Hash { hash_with } => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                eprintln!("type or paste the key, then Enter:");
            }
            hash(hash_with, stdin.lock(), &mut out)
        }
    }
}

fn new(hash_with: Option<&SecretRef>, out: &mut impl Write) -> anyhow::Result<()> {
    // Before anything is printed: a key without the hash that was asked for is of no use.
    let hasher = hash_with.map(hasher).transpose()?;
    let key = token::generate()?;
    writeln!(out, "{}", key.expose())?;
    if let Some(hasher) = hasher {
        writeln!(out, "{}", hasher.digest(key.expose()).to_hex())?;
    }
    Ok(())
}

fn hash(hash_with: &SecretRef, input: impl BufRead, out: &mut impl Write) -> anyhow::Result<()> {
    let hasher = hasher(hash_with)?;
    let mut line = String::new();
    let read = input.take(LONGEST_LINE).read_line(&mut line);
    read.context("standard input")?;
    let key = Secret::new(line);
    token::check(key.expose())?;
    writeln!(out, "{}", hasher.digest(key.expose()).to_hex())?;
    Ok(())
}

fn hasher(reference: &SecretRef) -> anyhow::Result<KeyHasher> {
    let secret = reference.read().map_err(|message| anyhow!(message))?;
    KeyHasher::new(&secret).map_err(|message| anyhow!("{reference}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, text: &str) -> SecretRef {
        let path = std::env::temp_dir().join(format!("cirque-key-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        SecretRef::File(path)
    }

    #[test]
    fn a_new_key_and_its_hash_are_what_hash_prints() {
        let with = secret("good", &"h".repeat(40));
        let mut out = Vec::new();
        new(Some(&with), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (key, printed) = text.trim_end().split_once('\n').unwrap();
        assert_eq!(token::check(key), Ok(()));
        let mut out = Vec::new();
        hash(&with, format!("  {key}\r\n").as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().trim_end(), printed);
        let mut alone = Vec::new();
        new(None, &mut alone).unwrap();
        assert_eq!(alone.len(), token::LENGTH + 1);
    }

    #[test]
    fn what_is_no_key_and_a_short_secret_are_refused_without_repeating_them() {
        let good = secret("other", &"h".repeat(40));
        let short = secret("short", "hunter2");
        let mut out = Vec::new();
        for (with, input) in [
            (&good, "sk-short"),
            (&good, ""),
            (&good, "cq-tampered-with"),
            (&short, "sk-0123456789abcdef0123"),
        ] {
            let error = format!("{:#}", hash(with, input.as_bytes(), &mut out).unwrap_err());
            assert!(
                !error.contains("hunter2") && (input.is_empty() || !error.contains(input)),
                "{error}"
            );
        }
        assert!(new(Some(&short), &mut out).is_err());
        assert!(out.is_empty());
    }
}
