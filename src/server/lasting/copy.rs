//! A copy on disk of what the store holds, for a start while the store is gone.
//!
//! Digests of keys and documents, no keys; secrets of providers as the store has them: sealed. What keys are hashed with is in it,
//! so it is readable by this user alone. Written whole and renamed; believed for a day.

use super::{Held, Lasting};
use crate::secret::Secret;
use crate::snapshot::Stored;
use crate::storage::sealed::Sealed;
use crate::storage::{Document, KeyHashRow, Kind, Object};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Name of the file in the state directory.
const NAME: &str = "directory.copy";
/// How long it is believed.
const VALID: Duration = Duration::from_secs(24 * 3600);
/// Largest copy that is read.
const LARGEST: u64 = 256 << 20;

/// As it is read.
#[derive(Deserialize)]
struct Copy {
    key_secret: String,
    revision: i64,
    objects: Vec<Entry>,
    /// Name, id of the sealing key, base64.
    #[serde(default)]
    secrets: Vec<(String, String, String)>,
}

#[derive(Deserialize)]
struct Entry {
    kind: String,
    name: String,
    document: Document,
    hashes: Vec<(String, String, Option<i64>)>,
    revision: i64,
    created_at: i64,
    updated_at: i64,
}

/// As it is written: the same, borrowed.
#[derive(Serialize)]
struct Written<'a> {
    key_secret: &'a str,
    revision: i64,
    objects: Vec<Line<'a>>,
    secrets: Vec<(&'a str, &'a str, String)>,
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    name: &'a str,
    document: &'a Document,
    hashes: Vec<(&'a str, &'a str, Option<i64>)>,
    revision: i64,
    created_at: i64,
    updated_at: i64,
}

/// The copy, if there is one that is young enough.
pub(super) fn read(state_dir: &Path) -> Result<(Secret, Held), String> {
    let path = state_dir.join(NAME);
    let facts = std::fs::metadata(&path).map_err(|error| error.to_string())?;
    let age = facts
        .modified()
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    if age.is_some_and(|age| age > VALID) {
        return Err("it is older than a day".to_owned());
    }
    if facts.len() > LARGEST {
        return Err("it is larger than any".to_owned());
    }
    let text = std::fs::read(&path).map_err(|error| error.to_string())?;
    let copy: Copy = serde_json::from_slice(&text).map_err(|_| "it is damaged".to_owned())?;
    let objects = copy.objects.into_iter().filter_map(object).collect();
    let mut held = Held::default();
    held.take(objects);
    let mut secrets = Stored::new();
    for (name, key, bytes) in copy.secrets {
        let bytes = STANDARD.decode(bytes).map_err(|_| "it is damaged".to_owned())?;
        secrets.insert(name, Sealed::kept(key, bytes));
    }
    Ok((
        Secret::new(copy.key_secret),
        Held {
            revision: copy.revision,
            secrets,
            ..held
        },
    ))
}

fn object(entry: Entry) -> Option<Object> {
    Some(Object {
        kind: Kind::ALL.into_iter().find(|kind| kind.as_str() == entry.kind)?,
        name: entry.name,
        document: entry.document,
        hashes: entry
            .hashes
            .into_iter()
            .map(|(hash, shown, until)| KeyHashRow { hash, shown, until })
            .collect(),
        revision: entry.revision,
        created_at: entry.created_at,
        updated_at: entry.updated_at,
        deleted: false,
    })
}

fn line(object: &Object) -> Line<'_> {
    let hashes = object.hashes.iter();
    Line {
        kind: object.kind.as_str(),
        name: &object.name,
        document: &object.document,
        hashes: hashes
            .map(|row| (row.hash.as_str(), row.shown.as_str(), row.until))
            .collect(),
        revision: object.revision,
        created_at: object.created_at,
        updated_at: object.updated_at,
    }
}

fn write(state_dir: &Path, secret: &str, held: &Held) -> std::io::Result<()> {
    let sealed = held.secrets.iter();
    let copy = Written {
        key_secret: secret,
        revision: held.revision,
        objects: held.objects.iter().map(line).collect(),
        secrets: sealed
            .map(|(name, sealed)| (name.as_str(), sealed.key(), STANDARD.encode(sealed.bytes())))
            .collect(),
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    let next = state_dir.join(format!("{NAME}.new"));
    // Never into a file that is there already, whose mode or place may be somebody else's choice.
    match std::fs::remove_file(&next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&next)?;
    let mut out = std::io::BufWriter::new(&mut file);
    serde_json::to_writer(&mut out, &copy)?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    std::fs::rename(next, state_dir.join(NAME))
}

impl Lasting {
    /// Write the copy, where the store is another machine's. A failure costs a start without the store, and is said.
    pub(super) async fn keep_copy(&self) {
        if self.store.name() != "postgres" {
            return;
        }
        let (state_dir, held, secret) = (self.state_dir.clone(), self.held(), self.key_secret.clone());
        let written = tokio::task::spawn_blocking(move || write(&state_dir, secret.expose(), &held)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "no copy of what the store holds can be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_copy_is_ours_alone_whatever_lay_there() {
        let folder = std::env::temp_dir().join(format!("cirque-copy-{}", std::process::id()));
        let state = folder.join("state");
        write(&state, "secret-to-hash-with", &Held::default()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(NAME))), (0o700, 0o600));
        // Something put there before, readable for all and somewhere else.
        let elsewhere = folder.join("elsewhere");
        std::fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, state.join(format!("{NAME}.new"))).unwrap();
        write(&state, "secret-to-hash-with", &Held::default()).unwrap();
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "");
        assert_eq!(mode(&state.join(NAME)), 0o600);
        let (secret, held) = read(&state).unwrap();
        assert_eq!((secret.expose(), held.objects.len()), ("secret-to-hash-with", 0));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_copy_reads_as_it_was_written() {
        let state = std::env::temp_dir().join(format!("cirque-copy-whole-{}", std::process::id()));
        let row = KeyHashRow {
            hash: "ab".repeat(32),
            shown: "cq-3fA…".to_owned(),
            until: Some(7),
        };
        let object = |kind, name: &str, hashes| Object {
            kind,
            name: name.to_owned(),
            document: serde_json::json!({"b": [1.5, "é\n"], "a": null}).into(),
            hashes,
            revision: 9,
            created_at: 1,
            updated_at: 2,
            deleted: false,
        };
        let mut held = Held::default();
        held.take(vec![
            object(Kind::Key, "k", vec![row]),
            object(Kind::Team, "t", Vec::new()),
        ]);
        held.revision = 11;
        held.secrets
            .insert("s".to_owned(), Sealed::kept("id".to_owned(), vec![0, 255]));
        write(&state, "secret-to-hash-with", &held).unwrap();
        let (_, read) = read(&state).unwrap();
        assert_eq!(
            (read.revision, &read.objects, &read.secrets),
            (11, &held.objects, &held.secrets)
        );
        // A document of it that is not JSON.
        let path = state.join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("[1.5,", "[1e999,")).unwrap();
        assert_eq!(super::read(&state).unwrap_err(), "it is damaged");
        std::fs::remove_dir_all(&state).unwrap();
    }
}
