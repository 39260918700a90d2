//! The three kinds of short text in a configuration file: durations, sizes and where a secret is.
//!
//! Each is read by one `parse` function which serde, the JSON Schema's `format` check and the tests share, so that what an
//! editor accepts, what the loader accepts and what a message says cannot drift apart. Nothing here reads a secret until
//! [`SecretRef::read`] is called, and no message ever contains the text of something that could be one.

use crate::secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

/// Longest duration: beyond it a deadline is no deadline, and sums of several could overflow a clock.
const LONGEST_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Largest size: 1 TiB.
const LARGEST: u64 = 1 << 40;
/// Largest secret file. A key is a line; anything larger is the wrong file.
const LARGEST_SECRET: u64 = 64 * 1024;

pub(super) const INTERVAL_PATTERN: &str = "^[1-9][0-9]*(ms|s|m|h)$";
pub(super) const SIZE_PATTERN: &str = "^[1-9][0-9]*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?$";
pub(super) const SECRET_PATTERN: &str = "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|store:[A-Za-z0-9][A-Za-z0-9._-]{0,127})$";

/// A duration of at least 1 ms and at most 30 days: `250ms`, `30s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

impl Interval {
    /// The duration.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// For defaults in messages; not checked against the bounds of what is written.
    pub(super) const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Read `250ms`, `30s`, `5m` or `1h`. The error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_number(text);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" => return Err("a duration needs a unit".to_owned()),
            _ => return Err("not a duration".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| "not a duration".to_owned())?;
        match number.checked_mul(factor) {
            Some(0) => Err("a duration of 0 is not allowed".to_owned()),
            Some(ms) if ms <= LONGEST_MS => Ok(Self(Duration::from_millis(ms))),
            _ => Err("longer than 30 days (720h)".to_owned()),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if ms.is_multiple_of(size) {
                return write!(f, "{}{unit}", ms / size);
            }
        }
        write!(f, "{ms}ms")
    }
}

/// A number of bytes, at least 1 and at most 1 TiB: `64KiB`, `32MiB`, `1GiB`, `10MB`, or a plain integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// The number of bytes.
    pub const fn as_bytes(self) -> usize {
        // 1 TiB fits wherever this gateway is built: Pingora needs a 64-bit Unix.
        self.0 as usize
    }

    /// Read `64KiB`, `10MB`, `512`. The error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_number(text);
        let factor: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err("not a size".to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| "not a size".to_owned())?;
        Self::bytes(number.checked_mul(factor))
    }

    fn bytes(bytes: Option<u64>) -> Result<Self, String> {
        match bytes {
            Some(0) => Err("a size of 0 is not allowed".to_owned()),
            Some(bytes) if bytes <= LARGEST => Ok(Self(bytes)),
            _ => Err("larger than 1TiB".to_owned()),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Digits, then the rest.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// Where a secret is: `env:NAME`, `file:PATH` or `store:NAME`. Never the secret itself, so `Debug` may show it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// `env:NAME`
    Env(String),
    /// `file:PATH`; systemd credentials work through it.
    File(PathBuf),
    /// `store:NAME`: sealed in the store (`cirque secret set NAME`). Of providers only, because the rest is needed to open the store.
    Store(String),
}

impl SecretRef {
    /// Read `env:NAME`, `file:PATH` or `store:NAME`. The error never repeats the text: it may be the key itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            if !is_env_name(name) {
                return Err("what follows `env:` is not the name of an environment variable".to_owned());
            }
            return Ok(Self::Env(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("store:") {
            if !is_stored_name(name) {
                return Err("what follows `store:` is not the name of a stored secret".to_owned());
            }
            return Ok(Self::Store(name.to_owned()));
        }
        match text.strip_prefix("file:") {
            Some(path) if path.is_empty() || path.contains(char::is_control) => {
                Err("what follows `file:` is not a path".to_owned())
            }
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None => Err("a secret must not be written into this file (its text is not repeated here)".to_owned()),
        }
    }

    /// Fetch a secret that is one line. The error names the variable or the file, never the value.
    pub fn read(&self) -> Result<Secret, String> {
        let secret = self.read_document()?;
        if secret.expose().contains(char::is_control) {
            return Err(format!("{self} contains a line break or another control character"));
        }
        Ok(secret)
    }

    /// Fetch a secret that may have lines, such as a key in JSON.
    pub fn read_document(&self) -> Result<Secret, String> {
        let value = match self {
            Self::Env(name) => read_env(name)?,
            Self::File(path) => read_file(path)?,
            // Providers' are looked up by the snapshot, which has the store's.
            Self::Store(_) => return Err(format!("{self} is not to be had here: {NOT_STORED}")),
        };
        let secret = Secret::new(value);
        if secret.expose().is_empty() {
            return Err(format!("{self} is empty"));
        }
        Ok(secret)
    }

    /// The name of a secret that the store keeps.
    pub fn stored(&self) -> Option<&str> {
        match self {
            Self::Store(name) => Some(name),
            Self::Env(_) | Self::File(_) => None,
        }
    }
}

/// What is wrong with `store:NAME` where it is not a provider's.
pub(super) const NOT_STORED: &str = "only secrets of providers can be kept in the store";

/// Whether a secret in the store may be called so: 1 to 128 ASCII letters, digits, `.`, `_` and `-`, a letter or digit first.
pub fn is_stored_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_env_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_env(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| match error {
        std::env::VarError::NotPresent => format!("environment variable {name} is not set"),
        std::env::VarError::NotUnicode(_) => format!("environment variable {name} is not UTF-8"),
    })
}

fn read_file(path: &std::path::Path) -> Result<String, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("file {shown} cannot be read: {error}");
    // A FIFO would block the reload, a device would never end: only a regular file is opened.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("file {shown} cannot be read: not a regular file"));
    }
    let mut value = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_SECRET + 1)
        .read_to_string(&mut value)
        .map_err(failed)?;
    if value.len() as u64 > LARGEST_SECRET {
        return Err(format!("file {shown} is larger than 64KiB, which no key is"));
    }
    Ok(value)
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Store(name) => write!(f, "the stored secret {name}"),
        }
    }
}

impl serde::Serialize for SecretRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Env(name) => serializer.collect_str(&format_args!("env:{name}")),
            Self::File(path) => serializer.collect_str(&format_args!("file:{}", path.display())),
            Self::Store(name) => serializer.collect_str(&format_args!("store:{name}")),
        }
    }
}

/// The secret that a text names: nothing where it is a value as written, as those of headers and URLs of Redis may be.
pub fn named_secret(text: &str) -> Result<Option<SecretRef>, String> {
    is_reference(text).then(|| SecretRef::parse(text)).transpose()
}

/// A value that is a secret's where it names one, else as written.
pub fn read_header_value(text: &str) -> Result<Secret, String> {
    match named_secret(text)? {
        Some(reference) => reference.read(),
        None => Ok(Secret::new(text.to_owned())),
    }
}

/// Whether a header value names a secret instead of being one.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:") || text.starts_with("store:")
}

/// Reads a string with `parse`, and an unsigned integer with `number`.
struct Text<T> {
    expects: &'static str,
    parse: fn(&str) -> Result<T, String>,
    number: Option<fn(u64) -> Result<T, String>>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expects)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(|error| E::custom(format!("{error}, expected {}", self.expects)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let Some(read) = self.number else {
            return Err(E::custom(format!("a number, expected {}", self.expects)));
        };
        read(number).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text {
            expects: "a duration such as 30s",
            parse: Self::parse,
            number: None,
        })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number: fn(u64) -> Result<Self, String> = |bytes| Self::bytes(Some(bytes));
        deserializer.deserialize_any(Text {
            expects: "a size such as 32MiB",
            parse: Self::parse,
            number: Some(number),
        })
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text {
            expects: "env:NAME, file:PATH or store:NAME",
            parse: Self::parse,
            number: None,
        })
    }
}

/// Format names by which the loader's schema check finds `parse` again; editors ignore formats they do not know.
pub(super) const INTERVAL_FORMAT: &str = "cirque-duration";
pub(super) const SIZE_FORMAT: &str = "cirque-size";
pub(super) const SECRET_FORMAT: &str = "cirque-secret";

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration of at most 30 days: 250ms, 30s, 5m, 1h.",
            "pattern": INTERVAL_PATTERN,
            "format": INTERVAL_FORMAT,
            "examples": ["250ms", "30s", "5m", "1h"],
        })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "description": "A number of bytes, at most 1TiB: 64KiB, 32MiB, 1GiB, 10MB, or a plain integer.",
            "minimum": 1,
            "maximum": LARGEST,
            "pattern": SIZE_PATTERN,
            "format": SIZE_FORMAT,
            "examples": ["64KiB", "32MiB", "1GiB"],
        })
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Where a secret is, never the secret itself: env:NAME, file:PATH, or of providers store:NAME.",
            "pattern": SECRET_PATTERN,
            "format": SECRET_FORMAT,
            "examples": ["env:OPENAI_API_KEY", "file:/run/credentials/cirque.service/openai", "store:openai"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("720h", LONGEST_MS),
        ] {
            assert_eq!(
                Interval::parse(text).unwrap().as_duration(),
                Duration::from_millis(ms),
                "{text}"
            );
        }
        for text in [
            "",
            "0s",
            "30",
            "30 s",
            "-1s",
            "1.5s",
            "1d",
            "s",
            "721h",
            "99999999999999999999h",
            "١s",
        ] {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
        assert_eq!(Interval::parse("90s").unwrap().to_string(), "90s");
        assert_eq!(Interval::parse("7200s").unwrap().to_string(), "2h");
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("512", 512),
            ("64KiB", 65_536),
            ("32MiB", 33_554_432),
            ("10MB", 10_000_000),
            ("1B", 1),
        ] {
            assert_eq!(ByteSize::parse(text).unwrap().as_bytes(), bytes, "{text}");
        }
        for text in [
            "",
            "0",
            "0KiB",
            "1 MiB",
            "1mib",
            "1.5MiB",
            "2TiB",
            "99999999999999999999",
        ] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
        assert_eq!(ByteSize::parse("2048").unwrap().to_string(), "2KiB");
    }

    #[test]
    fn a_literal_key_is_refused_without_being_repeated() {
        let error = SecretRef::parse("sk-live-0123456789").unwrap_err();
        assert!(!error.contains("0123"), "{error}");
        let error = serde_json::from_str::<SecretRef>("\"sk-live-0123456789\"")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("0123"), "{error}");
        let error = SecretRef::parse("env:sk-live-0123456789").unwrap_err();
        assert!(!error.contains("0123"), "{error}");
    }

    #[test]
    fn secrets_are_read_and_errors_name_their_place_only() {
        let missing = SecretRef::parse("env:CIRQUE_TEST_SURELY_UNSET").unwrap();
        assert_eq!(
            missing.read().unwrap_err(),
            "environment variable CIRQUE_TEST_SURELY_UNSET is not set"
        );
        let path = std::env::temp_dir().join(format!("cirque-secret-{}", std::process::id()));
        std::fs::write(&path, "sk-in-a-file\n").unwrap();
        let file = SecretRef::parse(&format!("file:{}", path.display())).unwrap();
        assert_eq!(file.read().unwrap().expose(), "sk-in-a-file");
        std::fs::write(&path, "two\nlines").unwrap();
        let error = file.read().unwrap_err();
        assert!(error.contains("control character") && !error.contains("two"), "{error}");
        std::fs::write(&path, " \n").unwrap();
        assert!(file.read().unwrap_err().ends_with("is empty"));
        std::fs::remove_file(&path).unwrap();
        assert!(file.read().unwrap_err().contains("cannot be read"));
        assert!(
            SecretRef::parse("file:/dev/zero")
                .unwrap()
                .read()
                .unwrap_err()
                .contains("not a regular file")
        );
    }
}
