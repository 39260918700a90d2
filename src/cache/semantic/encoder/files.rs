//! The model files: a folder of a manifest and what it names, each with its length and hash.
//!
//! ```text
//! models/manifest.json   {"format":1,"model":"all-MiniLM-L6-v2","source":{"wheel":..,"sha256":..},"files":[{"name":..,"bytes":..,"sha256":..}]}
//!        encoder.bin     the network, 8 bits a weight   static.bin  a direction for each piece   vocabulary.txt  the pieces
//! ```
//! A file is read whole, measured, hashed and only then understood, so a damaged one is named and never believed. All shapes are the
//! model's and fixed: a file is as long as they say, and has no lengths within. The one idea: `Reader` and `Writer` walk the same
//! list of fields in the same order.

use super::error::ModelError;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";
/// Of the files as this version writes and reads them.
pub(super) const FORMAT: u64 = 1;
/// Name of the network's file.
pub(super) const ENCODER: &str = "encoder.bin";
/// Name of the static table's file.
pub(super) const STATIC: &str = "static.bin";
/// Name of the vocabulary's file.
pub(super) const VOCABULARY: &str = "vocabulary.txt";
/// A manifest or a file beyond this is not ours.
const LARGEST_MANIFEST: u64 = 64 << 10;
const LARGEST_FILE: u64 = 64 << 20;

/// What the folder holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub format: u64,
    pub model: String,
    pub source: Source,
    pub files: Vec<Named>,
}

/// What it was made from.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Source {
    pub wheel: String,
    pub sha256: String,
}

/// One file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Named {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The folder, its manifest read.
pub(super) struct Folder {
    path: PathBuf,
    manifest: Manifest,
}

impl Folder {
    /// Read the manifest.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = path.join(MANIFEST);
        let text = read(&file, LARGEST_MANIFEST)?;
        let shown = file.display().to_string();
        // The version first: another one may say everything else differently.
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| ModelError::damaged(&shown, error.to_string()))?;
        let found = value
            .get("format")
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| ModelError::damaged(&shown, "it says no format"))?;
        if found != FORMAT {
            return Err(ModelError::Version {
                path: file,
                found,
                wanted: FORMAT,
            });
        }
        let manifest = serde_json::from_value(value).map_err(|error| ModelError::damaged(&shown, error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            manifest,
        })
    }

    /// A file, checked against the manifest.
    pub(super) fn file(&self, name: &str) -> Result<Vec<u8>, ModelError> {
        let path = self.path.join(name);
        let Some(named) = self.manifest.files.iter().find(|named| named.name == name) else {
            let manifest = self.path.join(MANIFEST).display().to_string();
            return Err(ModelError::damaged(&manifest, format!("it does not name {name}")));
        };
        let bytes = read(&path, LARGEST_FILE)?;
        if bytes.len() as u64 != named.bytes {
            return Err(ModelError::Length {
                path,
                found: bytes.len() as u64,
                wanted: named.bytes,
            });
        }
        if hash(&bytes) != named.sha256 {
            return Err(ModelError::Hash(path));
        }
        Ok(bytes)
    }

    /// Path of a file, for messages.
    pub(super) fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// Write a folder: the files, and last the manifest that makes them count.
pub(super) fn write(path: &Path, source: Source, files: &[(&str, Vec<u8>)]) -> Result<(), ModelError> {
    std::fs::create_dir_all(path).map_err(|error| ModelError::io(path, error))?;
    let put = |name: &str, bytes: &[u8]| {
        let (part, whole) = (path.join(format!("{name}.part")), path.join(name));
        std::fs::write(&part, bytes)
            .and_then(|()| std::fs::rename(&part, &whole))
            .map_err(|error| ModelError::io(&whole, error))
    };
    let mut named = Vec::new();
    for (name, bytes) in files {
        put(name, bytes)?;
        named.push(Named {
            name: (*name).to_owned(),
            bytes: bytes.len() as u64,
            sha256: hash(bytes),
        });
    }
    let manifest = Manifest {
        format: FORMAT,
        model: "all-MiniLM-L6-v2".to_owned(),
        source,
        files: named,
    };
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|error| ModelError::damaged(MANIFEST, error.to_string()))?;
    put(MANIFEST, &text)
}

/// SHA-256 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
            hex
        })
}

/// A file whole, up to `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, ModelError> {
    let failed = |error| ModelError::io(path, error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len().min(most);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    // One more than is allowed, so that a longer file is seen to be longer.
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(ModelError::damaged(
            &path.display().to_string(),
            format!("more than {most} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads fields of known lengths from the front.
pub(super) struct Reader<'f> {
    rest: &'f [u8],
    file: String,
}

impl<'f> Reader<'f> {
    pub(super) fn new(bytes: &'f [u8], file: String) -> Self {
        Self { rest: bytes, file }
    }

    fn take(&mut self, length: usize) -> Result<&'f [u8], ModelError> {
        let (front, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| ModelError::damaged(&self.file, "it ends too early"))?;
        self.rest = rest;
        Ok(front)
    }

    /// Numbers; an infinite one or none at all would poison all that follows.
    pub(super) fn floats(&mut self, count: usize) -> Result<Vec<f32>, ModelError> {
        let (chunks, _) = self.take(count * 4)?.as_chunks::<4>();
        let floats: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        if floats.iter().all(|value| value.is_finite()) {
            Ok(floats)
        } else {
            Err(ModelError::damaged(&self.file, "a value is not a number"))
        }
    }

    /// Signed numbers of 8 bits.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<i8>, ModelError> {
        Ok(self.take(count)?.iter().map(|byte| byte.cast_signed()).collect())
    }

    /// Signed numbers of `BITS` bits, eight of them in `BITS` bytes.
    pub(super) fn packed<const BITS: usize>(&mut self, count: usize) -> Result<Vec<i8>, ModelError> {
        let (groups, _) = self.take(count / 8 * BITS)?.as_chunks::<BITS>();
        let (mask, sign) = ((1u64 << BITS) - 1, 1i8 << (BITS - 1));
        let mut values = Vec::with_capacity(count);
        for group in groups {
            let word = group.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            values.extend((0..8).map(|at| ((word >> (at * BITS)) & mask) as i8 - sign));
        }
        Ok(values)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), ModelError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(ModelError::damaged(&self.file, "it goes on after its end"))
        }
    }
}

/// Writes what `Reader` reads.
#[derive(Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    pub(super) fn floats(&mut self, values: &[f32]) {
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(super) fn bytes(&mut self, values: &[i8]) {
        self.0.extend(values.iter().map(|value| value.cast_unsigned()));
    }

    pub(super) fn packed<const BITS: usize>(&mut self, values: &[i8]) {
        let sign = 1i8 << (BITS - 1);
        for group in values.chunks_exact(8) {
            let word = group.iter().rev().fold(0u64, |word, value| {
                word << BITS | u64::from(value.wrapping_add(sign).cast_unsigned())
            });
            self.0.extend(word.to_le_bytes().iter().take(BITS));
        }
    }
}
