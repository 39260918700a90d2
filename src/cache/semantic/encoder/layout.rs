//! The network's file: which fields follow each other in `encoder.bin`.
//!
//! ```text
//! words (steps, 6 bits a value) · positions · norm · 6 × { dense ×2, norm, dense ×2, norm }
//! dense: steps by output · bias · input factors · 8 bits a weight, by input then output
//! ```

use super::error::ModelError;
use super::files::Reader;
use super::network::{Dense, LAYERS, Layer, Network, Norm, WIDE, WIDTH, Words};
use super::tokens::MOST_TOKENS;
use super::vocabulary::PIECES;

/// Bits of a value of a word.
pub(super) const WORD_BITS: usize = 6;

/// Read it.
pub(super) fn read(mut from: Reader<'_>) -> Result<Network, ModelError> {
    let from_file = &mut from;
    let steps = from_file.floats(PIECES)?;
    let words = Words::Small {
        bytes: from_file.packed::<WORD_BITS>(PIECES * WIDTH)?,
        steps,
    };
    let positions = from_file.floats(MOST_TOKENS * WIDTH)?;
    let norm = read_norm(from_file)?;
    let layers = (0..LAYERS).map(|_| read_layer(from_file)).collect::<Result<_, _>>()?;
    from.end()?;
    Ok(Network {
        words,
        positions,
        norm,
        layers,
    })
}

fn read_layer(from: &mut Reader<'_>) -> Result<Layer, ModelError> {
    Ok(Layer {
        query_key_value: read_dense(from, WIDTH, 3 * WIDTH)?,
        attended: read_dense(from, WIDTH, WIDTH)?,
        attended_norm: read_norm(from)?,
        widen: read_dense(from, WIDTH, WIDE)?,
        narrow: read_dense(from, WIDE, WIDTH)?,
        norm: read_norm(from)?,
    })
}

fn read_norm(from: &mut Reader<'_>) -> Result<Norm, ModelError> {
    Ok(Norm {
        weight: from.floats(WIDTH)?,
        bias: from.floats(WIDTH)?,
    })
}

fn read_dense(from: &mut Reader<'_>, inputs: usize, outputs: usize) -> Result<Dense, ModelError> {
    let (steps, bias, factors) = (from.floats(outputs)?, from.floats(outputs)?, from.floats(inputs)?);
    Ok(Dense::small(&from.bytes(inputs * outputs)?, steps, bias, factors))
}
