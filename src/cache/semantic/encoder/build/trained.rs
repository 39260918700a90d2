//! The network as it was trained: from safetensors, to be run in `f32` by the build or written in 8 bits for the gateway.
//!
//! The one idea: one list of parts in the order of `layout`, from which both are made.

use super::super::error::ModelError;
use super::super::files::Writer;
use super::super::layout::WORD_BITS;
use super::super::network::{Dense, LAYERS, Layer, Network, Norm, WIDE, WIDTH, Words};
use super::super::tokens::MOST_TOKENS;
use super::super::vocabulary::PIECES;
use super::safetensors::Tensors;

/// Weights by output then input, as PyTorch has them.
struct Matrix {
    weights: Vec<f32>,
    bias: Vec<f32>,
    inputs: usize,
}

/// Weight and bias of a norm.
type Shift = (Vec<f32>, Vec<f32>);

/// In the order of `layout`: `dense` has query-key-value, attended, widen, narrow of each layer; `norms` the first, then two a layer.
pub(super) struct Trained {
    words: Vec<f32>,
    positions: Vec<f32>,
    dense: Vec<[Matrix; 4]>,
    norms: Vec<Shift>,
}

impl Trained {
    /// Take it from its tensors.
    pub(super) fn read(tensors: &Tensors<'_>) -> Result<Self, ModelError> {
        let words = tensors.get("embeddings.word_embeddings.weight", &[PIECES, WIDTH])?;
        let kinds = tensors.get("embeddings.token_type_embeddings.weight", &[2, WIDTH])?;
        let mut positions = tensors.get("embeddings.position_embeddings.weight", &[512, WIDTH])?;
        positions.truncate(MOST_TOKENS * WIDTH);
        for row in positions.chunks_exact_mut(WIDTH) {
            row.iter_mut().zip(&kinds).for_each(|(value, kind)| *value += kind);
        }
        let norm = |of: &str| -> Result<Shift, ModelError> {
            let part = |which: &str| tensors.get(&format!("{of}.LayerNorm.{which}"), &[WIDTH]);
            Ok((part("weight")?, part("bias")?))
        };
        let (mut dense, mut norms) = (Vec::new(), vec![norm("embeddings")?]);
        for layer in 0..LAYERS {
            let of = format!("encoder.layer.{layer}");
            let matrix = |part: &str, inputs: usize, outputs: usize| -> Result<Matrix, ModelError> {
                let weights = tensors.get(&format!("{of}.{part}.weight"), &[outputs, inputs])?;
                Ok(Matrix {
                    weights,
                    bias: tensors.get(&format!("{of}.{part}.bias"), &[outputs])?,
                    inputs,
                })
            };
            let mut asked = matrix("attention.self.query", WIDTH, WIDTH)?;
            for part in ["attention.self.key", "attention.self.value"] {
                let more = matrix(part, WIDTH, WIDTH)?;
                asked.weights.extend(more.weights);
                asked.bias.extend(more.bias);
            }
            dense.push([
                asked,
                matrix("attention.output.dense", WIDTH, WIDTH)?,
                matrix("intermediate.dense", WIDTH, WIDE)?,
                matrix("output.dense", WIDE, WIDTH)?,
            ]);
            norms.push(norm(&format!("{of}.attention.output"))?);
            norms.push(norm(&format!("{of}.output"))?);
        }
        Ok(Self {
            words,
            positions,
            dense,
            norms,
        })
    }

    /// To be run as trained.
    pub(super) fn network(&self) -> Network {
        let mut norms = self.norms.iter().map(|(weight, bias)| Norm {
            weight: weight.clone(),
            bias: bias.clone(),
        });
        let mut norm = || {
            norms.next().unwrap_or(Norm {
                weight: vec![1.0; WIDTH],
                bias: vec![0.0; WIDTH],
            })
        };
        let first = norm();
        let layers = self.dense.iter().map(|[asked, attended, widen, narrow]| Layer {
            query_key_value: asked.exact(),
            attended: attended.exact(),
            attended_norm: norm(),
            widen: widen.exact(),
            narrow: narrow.exact(),
            norm: norm(),
        });
        let layers = layers.collect();
        Network {
            words: Words::Exact(self.words.clone()),
            positions: self.positions.clone(),
            norm: first,
            layers,
        }
    }

    /// `encoder.bin`.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let most = ((1 << (WORD_BITS - 1)) - 1) as f32;
        let rows = || self.words.chunks_exact(WIDTH);
        let steps: Vec<f32> = rows().map(|row| largest(row) / most).collect();
        out.floats(&steps);
        let values = rows()
            .zip(&steps)
            .flat_map(|(row, step)| row.iter().map(move |value| (value / step).round() as i8));
        out.packed::<WORD_BITS>(&values.collect::<Vec<_>>());
        out.floats(&self.positions);
        let mut norms = self.norms.iter();
        let mut before = norms.next();
        let put_norm = |out: &mut Writer, norm: Option<&Shift>| {
            if let Some((weight, bias)) = norm {
                out.floats(weight);
                out.floats(bias);
            }
        };
        put_norm(&mut out, before);
        for [asked, attended, widen, narrow] in &self.dense {
            asked.write(&mut out, before);
            attended.write(&mut out, None);
            let middle = norms.next();
            put_norm(&mut out, middle);
            widen.write(&mut out, middle);
            narrow.write(&mut out, None);
            before = norms.next();
            put_norm(&mut out, before);
        }
        out.0
    }
}

impl Matrix {
    /// By input then output.
    fn turned(&self) -> impl Iterator<Item = f32> {
        (0..self.inputs).flat_map(|input| self.weights.iter().skip(input).step_by(self.inputs).copied())
    }

    fn exact(&self) -> Dense {
        Dense::exact(&self.turned().collect::<Vec<_>>(), self.bias.clone())
    }

    /// `norm`: what made the inputs, if a norm did. Its weights tell which of them are large: they get smaller and their weights
    /// larger, half way each.
    fn write(&self, out: &mut Writer, norm: Option<&Shift>) {
        let mut factors = vec![1.0; self.inputs];
        if let Some((weight, bias)) = norm {
            let mut columns = vec![f32::MIN_POSITIVE; self.inputs];
            for row in self.weights.chunks_exact(self.inputs) {
                columns
                    .iter_mut()
                    .zip(row)
                    .for_each(|(most, value)| *most = most.max(value.abs()));
            }
            let inputs = weight
                .iter()
                .zip(bias)
                .map(|(weight, bias)| (3.0 * weight.abs() + bias.abs()).max(1e-3));
            for ((factor, column), input) in factors.iter_mut().zip(&columns).zip(inputs) {
                *factor = (column.max(1e-3) / input).sqrt();
            }
        }
        let even: Vec<f32> = self
            .weights
            .chunks_exact(self.inputs)
            .flat_map(|row| row.iter().zip(&factors).map(|(weight, factor)| weight / factor))
            .collect();
        let steps: Vec<f32> = even.chunks_exact(self.inputs).map(|row| largest(row) / 127.0).collect();
        let even = Self {
            weights: even,
            bias: Vec::new(),
            inputs: self.inputs,
        };
        let bytes = even
            .turned()
            .zip(steps.iter().cycle())
            .map(|(weight, step)| (weight / step).round() as i8);
        let bytes: Vec<i8> = bytes.collect();
        out.floats(&steps);
        out.floats(&self.bias);
        out.floats(&factors);
        out.bytes(&bytes);
    }
}

fn largest(row: &[f32]) -> f32 {
    row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()))
}
