//! The static embedding: a direction for each piece of the vocabulary, and a text's is their sum.
//!
//! Not the model: order does not matter, nor context, so it only proposes. The table is fitted to the model at build time (`build`).
//! The one idea: integers all the way, eight bits a value and one multiplier a piece, so that a question costs a microsecond.

use super::error::ModelError;
use super::files::{Reader, Writer};
use super::vector::Vector;
use super::vocabulary::PIECES;

/// Values of a place.
pub const SPACE: usize = 256;
/// Where a text lies: for the index.
pub type Place = Vector<SPACE>;
/// Bits of a value in the file.
const BITS: usize = 4;
/// Largest multiplier: 128 tokens of 7 × this stay far within 32 bits.
const MOST: f32 = 16_383.0;

/// A direction for each piece.
pub(super) struct Table {
    values: Vec<i8>,
    /// What one step of a piece's values is worth; 0 for pieces that say nothing.
    steps: Vec<i16>,
}

impl Table {
    /// Read the file.
    pub(super) fn read(mut from: Reader<'_>) -> Result<Self, ModelError> {
        let steps = from
            .floats(PIECES)?
            .into_iter()
            .map(|step| step.clamp(0.0, MOST) as i16)
            .collect();
        let values = from.packed::<BITS>(PIECES * SPACE)?;
        from.end()?;
        Ok(Self { values, steps })
    }

    /// The file of a table of `PIECES` × `SPACE`.
    pub(super) fn write(table: &[f32]) -> Vec<u8> {
        let rows = || table.chunks_exact(SPACE);
        let step = |row: &[f32]| {
            let deviation = (row.iter().map(|value| value * value).sum::<f32>() / SPACE as f32).sqrt();
            // For values that spread like a bell, 15 steps lose least where one is a third of the deviation (Max 1960).
            deviation * 0.3352
        };
        let largest = rows().map(step).fold(f32::MIN_POSITIVE, f32::max);
        let steps: Vec<f32> = rows().map(|row| (step(row) / largest * MOST).round()).collect();
        let values: Vec<i8> = rows()
            .zip(&steps)
            .flat_map(|(row, worth)| {
                let worth = (worth * largest / MOST).max(f32::MIN_POSITIVE);
                row.iter()
                    .map(move |value| (value / worth).round().clamp(-7.0, 7.0) as i8)
            })
            .collect();
        let mut out = Writer::default();
        out.floats(&steps);
        out.packed::<BITS>(&values);
        out.0
    }

    /// Where a text of these pieces lies.
    pub(super) fn place(&self, pieces: &[u16]) -> Place {
        let mut sum = [0i32; SPACE];
        for piece in pieces {
            let at = usize::from(*piece);
            let (Some(&step), Some(row)) = (self.steps.get(at), self.values.get(at * SPACE..(at + 1) * SPACE)) else {
                continue;
            };
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += i32::from(*value) * i32::from(step);
            }
        }
        Place::from_direction(&sum.map(|value| value as f32))
    }
}
