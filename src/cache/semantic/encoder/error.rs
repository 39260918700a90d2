//! What can be wrong with the model files.

use std::path::{Path, PathBuf};

/// Why the encoder cannot be had. Every text names the file and the command that mends it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is not there.
    #[error("{}: model file not found; run `make models`", .0.display())]
    Missing(PathBuf),
    /// A file is there and cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The files are of another version of this program.
    #[error("{}: format {found}, this version of cirque reads format {wanted}; run `make models`", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: u64,
        /// What is read.
        wanted: u64,
    },
    /// A file is shorter or longer than the manifest says.
    #[error("{}: {found} bytes where the manifest says {wanted}; run `make models`", path.display())]
    Length {
        /// Which.
        path: PathBuf,
        /// Its bytes.
        found: u64,
        /// What the manifest says.
        wanted: u64,
    },
    /// A file is not the one that the manifest names.
    #[error("{}: SHA-256 differs from the manifest's; run `make models`", .0.display())]
    Hash(PathBuf),
    /// A file is whole and its content is not what it has to be.
    #[error("{file}: {what}; run `make models`")]
    Damaged {
        /// Which.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ModelError {
    pub(super) fn damaged(file: &str, what: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::Missing(path.to_owned())
        } else {
            Self::Io {
                path: path.to_owned(),
                source,
            }
        }
    }
}
