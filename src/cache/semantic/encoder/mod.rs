//! The built-in sentence encoder: all-MiniLM-L6-v2 in 8 bits, its tokeniser, and the static table that was fitted to it.
//!
//! ```text
//! text ─tokens─► ids ─place─► 256 bytes, about a microsecond: proposes        (any thread)
//!                    └embed─► 384 bytes, 0.5 to 8 ms: verifies                 (the tier's own threads only)
//! ```
//! Not the index, not the verdict. The model knows English. Other languages in Latin script are cut into small pieces and compared by
//! their letters more than by their sense; other scripts are mostly unknown words, which are all the same to it (`Tokens::unknown`).
//! The files come from `make models` and are not part of the repository. The one idea: what the files say is checked once, when
//! they are opened, so nothing can fail after that but a defect.

pub mod build;
mod classes;
mod error;
mod files;
mod layout;
mod network;
mod place;
mod tokens;
mod vector;
mod vocabulary;

pub use error::ModelError;
pub use files::MANIFEST;
pub use place::{Place, SPACE};
pub use tokens::{MOST_TOKENS, Tokens};
pub use vector::Vector;

use files::{Folder, Reader};
use network::Network;
use std::path::Path;

/// What the model makes of a text: for the verifier.
pub type Embedding = Vector<{ network::WIDTH }>;

/// The encoder. Immutable; one is shared by all threads. 31 MB.
pub struct Encoder {
    vocabulary: vocabulary::Vocabulary,
    table: place::Table,
    network: Network,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// Read the model files of a folder, about 0.1 s: never on a worker.
    ///
    /// # Errors
    /// A file is missing, damaged, or of another version; the text names it and the command that mends it.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        one_thread();
        let folder = Folder::open(dir)?;
        let text = String::from_utf8(folder.file(files::VOCABULARY)?)
            .map_err(|_| ModelError::damaged(&folder.shown(files::VOCABULARY), "not UTF-8"))?;
        let vocabulary = vocabulary::Vocabulary::parse(&folder.shown(files::VOCABULARY), &text)?;
        let bytes = folder.file(files::STATIC)?;
        let table = place::Table::read(Reader::new(&bytes, folder.shown(files::STATIC)))?;
        let bytes = folder.file(files::ENCODER)?;
        let network = layout::read(Reader::new(&bytes, folder.shown(files::ENCODER)))?;
        Ok(Self {
            vocabulary,
            table,
            network,
        })
    }

    /// Cut a text into the model's tokens, at most 128.
    pub fn tokens(&self, text: &str) -> Tokens {
        tokens::tokens(&self.vocabulary, text)
    }

    /// Where a text lies, by its words alone. Empty (near nothing) where it has no known word.
    pub fn place(&self, tokens: &Tokens) -> Place {
        self.table.place(tokens.words())
    }

    /// What the model makes of a text. Blocks for milliseconds: call it on the tier's own threads, which each keep 2 MB of scratch.
    pub fn embed(&self, tokens: &Tokens) -> Embedding {
        match self.network.run(&[tokens.ids()]) {
            Ok(found) => found.first().map_or_else(nowhere, Embedding::from_direction),
            // Cannot be, as the files were checked; near nothing is the answer that serves nobody wrongly.
            Err(defect) => {
                tracing::error!(%defect, "the sentence encoder failed");
                nowhere()
            }
        }
    }
}

fn nowhere() -> Embedding {
    Embedding::from_values([0; network::WIDTH])
}

/// The library of the matrix products asks rayon's global pool how many threads it has, which would start one for each processor.
/// With a pool of one it works in the thread that calls it. Somebody else's pool stays as it is.
fn one_thread() {
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "unused".to_owned())
        .build_global();
}
