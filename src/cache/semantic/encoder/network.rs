//! The model: MiniLM, a BERT of 6 layers and 384 values a token, mean of all tokens, length 1.
//!
//! ```text
//! ids ─word + position─► norm ─6 × { attention (12 heads of 32), add, norm, 384→1536, gelu, 1536→384, add, norm }─► mean ─► 384
//! ```
//! Matrix products are rten-gemm's, which picks the processor's best instructions at run time (AVX-512 VNNI, AVX2, NEON, or none).
//! As served, weights are 8-bit by output and inputs are brought to 8 bits by token; the build runs the same in `f32`. The one idea:
//! work is by token and nothing is padded, so 12 tokens cost what 12 cost. Architecture: Devlin et al. 2019 (BERT), Wang et al.
//! 2020 (MiniLM); mean pooling: Reimers and Gurevych 2019.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{SimdOp, SimdUnaryOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{ExtendInit, Gelu, MinMax, Normalize, NormalizeOptions, Quantize, Softmax, Sum, SumSquareSub};
use std::cell::RefCell;

/// Values of a token.
pub(super) const WIDTH: usize = 384;
/// Values in the middle of a layer.
pub(super) const WIDE: usize = 1536;
/// Layers.
pub(super) const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD: usize = WIDTH / HEADS;
const EPSILON: f32 = 1e-12;

/// A failed product: shapes do not fit each other, or the processor changed under the packed weights. A defect, never an input.
#[derive(Debug, thiserror::Error)]
#[error("matrix product: {0}")]
pub struct Defect(String);

impl From<rten_gemm::GemmError> for Defect {
    fn from(error: rten_gemm::GemmError) -> Self {
        Self(error.to_string())
    }
}

/// Weights and shift of a norm.
pub(super) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// `inputs` values to `bias.len()` values.
pub(super) struct Dense {
    weights: Weights,
    bias: Vec<f32>,
    inputs: usize,
}

enum Weights {
    /// As trained; the build's.
    Exact(PackedBMatrix<f32>),
    /// Bytes and, by output, what one step of them is worth and their sum; by input, what it is multiplied
    /// with first, so that no input stands out of the others (Xiao et al. 2022, SmoothQuant).
    Small {
        bytes: PackedBMatrix<i8>,
        steps: Vec<f32>,
        sums: Vec<i32>,
        factors: Vec<f32>,
    },
}

/// One layer.
pub(super) struct Layer {
    pub query_key_value: Dense,
    pub attended: Dense,
    pub attended_norm: Norm,
    pub widen: Dense,
    pub narrow: Dense,
    pub norm: Norm,
}

/// The values that tokens begin with.
pub(super) enum Words {
    /// As trained: `PIECES` × `WIDTH`.
    Exact(Vec<f32>),
    /// Bytes, and by piece what one step is worth.
    Small { bytes: Vec<i8>, steps: Vec<f32> },
}

/// All of it.
pub(super) struct Network {
    pub words: Words,
    /// `MOST_TOKENS` × `WIDTH`; the type of the (only) segment is added already.
    pub positions: Vec<f32>,
    pub norm: Norm,
    pub layers: Vec<Layer>,
}

/// What a thread keeps from one text to the next: 2 MB after the first of full length.
#[derive(Default)]
struct Scratch {
    engines: Engines,
    now: Vec<f32>,
    wide: Vec<f32>,
    mixed: Vec<f32>,
    out: Vec<f32>,
    scores: Vec<f32>,
    head: Vec<f32>,
    small: Small,
}

#[derive(Default)]
struct Engines {
    exact: GemmExecutor<f32, f32, f32>,
    small: GemmExecutor<u8, i8, i32>,
}

#[derive(Default)]
struct Small {
    even: Vec<f32>,
    bytes: Vec<u8>,
    zeros: Vec<i32>,
    steps: Vec<f32>,
    sums: Vec<i32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Network {
    /// The direction of each sequence of ids. One call for several shares the reading of the weights.
    pub(super) fn run(&self, sequences: &[&[u16]]) -> Result<Vec<[f32; WIDTH]>, Defect> {
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => self.forward(sequences, &mut scratch),
            Err(_) => self.forward(sequences, &mut Scratch::default()),
        })
    }

    fn forward(&self, sequences: &[&[u16]], scratch: &mut Scratch) -> Result<Vec<[f32; WIDTH]>, Defect> {
        let Scratch {
            engines,
            now,
            wide,
            mixed,
            out,
            scores,
            head,
            small,
        } = scratch;
        now.clear();
        for ids in sequences {
            self.begin(ids, now)?;
        }
        self.norm.apply(now);
        for layer in &self.layers {
            layer.query_key_value.apply(engines, small, now, wide)?;
            mixed.clear();
            mixed.resize(now.len(), 0.0);
            let mut token = 0;
            for ids in sequences {
                let rows = wide
                    .get(token * 3 * WIDTH..(token + ids.len()) * 3 * WIDTH)
                    .unwrap_or_default();
                let into = mixed
                    .get_mut(token * WIDTH..(token + ids.len()) * WIDTH)
                    .unwrap_or_default();
                attend(engines, rows, into, scores, head)?;
                token += ids.len();
            }
            layer.attended.apply(engines, small, mixed, out)?;
            add(now, out);
            layer.attended_norm.apply(now);
            layer.widen.apply(engines, small, now, wide)?;
            Gelu {}.map_mut(wide);
            layer.narrow.apply(engines, small, wide, out)?;
            add(now, out);
            layer.norm.apply(now);
        }
        let mut rows = now.chunks_exact(WIDTH);
        Ok(sequences
            .iter()
            .map(|ids| mean(rows.by_ref().take(ids.len())))
            .collect())
    }

    /// What the tokens of a sequence begin with.
    fn begin(&self, ids: &[u16], now: &mut Vec<f32>) -> Result<(), Defect> {
        let outside = || Defect("an id or a position that the model does not have".to_owned());
        for (at, id) in ids.iter().enumerate() {
            let id = usize::from(*id);
            let from = id * WIDTH;
            let position = self.positions.get(at * WIDTH..(at + 1) * WIDTH).ok_or_else(outside)?;
            match &self.words {
                Words::Exact(values) => {
                    let word = values.get(from..from + WIDTH).ok_or_else(outside)?;
                    now.extend(word.iter().zip(position).map(|(a, b)| a + b));
                }
                Words::Small { bytes, steps } => {
                    let word = bytes.get(from..from + WIDTH).ok_or_else(outside)?;
                    let step = steps.get(id).ok_or_else(outside)?;
                    now.extend(word.iter().zip(position).map(|(a, b)| f32::from(*a) * step + b));
                }
            }
        }
        Ok(())
    }
}

impl Norm {
    fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(WIDTH) {
            let mean = Sum::new(row).dispatch() / WIDTH as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / WIDTH as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + EPSILON).sqrt().recip(),
                element_scale: Some(&self.weight),
                bias: 0.0,
                element_bias: Some(&self.bias),
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}

impl Dense {
    /// `weights`: `inputs` rows of outputs.
    pub(super) fn exact(weights: &[f32], bias: Vec<f32>) -> Self {
        let inputs = weights.len() / bias.len();
        let view = NdTensorView::from_data([inputs, bias.len()], weights);
        Self {
            weights: Weights::Exact(GemmExecutor::<f32, f32, f32>::default().prepack_b(view)),
            bias,
            inputs,
        }
    }

    /// `weights`: `inputs` rows of outputs, each worth its output's `step`.
    pub(super) fn small(weights: &[i8], steps: Vec<f32>, bias: Vec<f32>, factors: Vec<f32>) -> Self {
        let inputs = weights.len() / bias.len();
        let view = NdTensorView::from_data([inputs, bias.len()], weights);
        let bytes = GemmExecutor::<u8, i8, i32>::default().prepack_b(view);
        let mut sums = vec![0; bias.len()];
        for row in weights.chunks_exact(bias.len()) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += i32::from(*weight);
            }
        }
        Self {
            weights: Weights::Small {
                bytes,
                steps,
                sums,
                factors,
            },
            bias,
            inputs,
        }
    }

    fn apply(&self, engines: &Engines, small: &mut Small, input: &[f32], out: &mut Vec<f32>) -> Result<(), Defect> {
        let (rows, outputs) = (input.len() / self.inputs, self.bias.len());
        out.resize(rows * outputs, 0.0);
        match &self.weights {
            Weights::Exact(packed) => {
                let input = GemmInputA::Unpacked(NdTensorView::from_data([rows, self.inputs], input));
                let options = GemmOptions {
                    bias: Some(BiasVector::Row(&self.bias)),
                    ..Default::default()
                };
                engines.exact.gemm(out, input, GemmInputB::Packed(packed), options)?;
            }
            Weights::Small {
                bytes,
                steps,
                sums,
                factors,
            } => {
                // Where two products are added in 16 bits (AVX2 without VNNI) inputs have 7 bits, so that they cannot overflow.
                small.fill(input, factors, if engines.small.may_saturate() { 127 } else { 255 });
                small.sums.resize(rows * outputs, 0);
                let input = GemmInputA::Unpacked(NdTensorView::from_data([rows, self.inputs], small.bytes.as_slice()));
                engines.small.gemm(
                    &mut small.sums,
                    input,
                    GemmInputB::Packed(bytes),
                    GemmOptions::default(),
                )?;
                let rows = out.chunks_exact_mut(outputs).zip(small.sums.chunks_exact(outputs));
                for ((row, found), (step, zero)) in rows.zip(small.steps.iter().zip(&small.zeros)) {
                    // The zero of a row is taken off here: rten-gemm 0.24 takes a wrong one from the second tile of rows on.
                    let columns = found.iter().zip(sums).zip(steps.iter().zip(&self.bias));
                    for (value, ((found, sum), (weight, bias))) in row.iter_mut().zip(columns) {
                        *value = (found - zero * sum) as f32 * (step * weight) + bias;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Small {
    /// Bring each row to bytes from 0 to `most`, with a zero of its own.
    fn fill(&mut self, input: &[f32], factors: &[f32], most: u8) {
        let width = factors.len();
        self.bytes.clear();
        self.bytes.reserve(input.len());
        self.zeros.clear();
        self.steps.clear();
        for row in input.chunks_exact(width) {
            self.even.clear();
            self.even
                .extend(row.iter().zip(factors).map(|(value, factor)| value * factor));
            let row = self.even.as_slice();
            let (low, high) = MinMax::new(row).dispatch();
            let (low, high) = (low.min(0.0), high.max(0.0));
            let step = ((high - low) / f32::from(most)).max(f32::MIN_POSITIVE);
            let zero = (-low / step).round_ties_even().clamp(0.0, f32::from(most)) as u8;
            self.bytes.extend_init(|free| {
                let free = free.get_mut(..width).unwrap_or_default();
                Quantize::new(row, free, step.recip(), zero).dispatch()
            });
            self.zeros.push(i32::from(zero));
            self.steps.push(step);
        }
    }
}

/// Attention of one sequence: `rows` hold query, key and value of each token.
fn attend(
    engines: &Engines,
    rows: &[f32],
    into: &mut [f32],
    scores: &mut Vec<f32>,
    head: &mut Vec<f32>,
) -> Result<(), Defect> {
    let tokens = into.len() / WIDTH;
    scores.resize(tokens * tokens, 0.0);
    head.resize(tokens * HEAD, 0.0);
    for which in 0..HEADS {
        let part = |of: usize| {
            let from = rows.get(of * WIDTH + which * HEAD..).unwrap_or_default();
            NdTensorView::from_data_with_strides([tokens, HEAD], from, [3 * WIDTH, 1])
                .map_err(|error| Defect(error.to_string()))
        };
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        let options = GemmOptions {
            alpha: (HEAD as f32).sqrt().recip(),
            ..Default::default()
        };
        engines.exact.gemm(
            scores,
            GemmInputA::Unpacked(query),
            GemmInputB::Unpacked(key.transposed()),
            options,
        )?;
        for row in scores.chunks_exact_mut(tokens) {
            Softmax::new_mut(row).dispatch();
        }
        let weights = NdTensorView::from_data([tokens, tokens], scores.as_slice());
        let options = GemmOptions::default();
        engines.exact.gemm(
            head,
            GemmInputA::Unpacked(weights),
            GemmInputB::Unpacked(value),
            options,
        )?;
        for (row, values) in into.chunks_exact_mut(WIDTH).zip(head.chunks_exact(HEAD)) {
            if let Some(slot) = row.get_mut(which * HEAD..(which + 1) * HEAD) {
                slot.copy_from_slice(values);
            }
        }
    }
    Ok(())
}

fn add(to: &mut [f32], what: &[f32]) {
    for (a, b) in to.iter_mut().zip(what) {
        *a += b;
    }
}

/// Mean of the rows, brought to length 1.
fn mean<'r>(rows: impl Iterator<Item = &'r [f32]>) -> [f32; WIDTH] {
    let mut sum = [0f32; WIDTH];
    for row in rows {
        add(&mut sum, row);
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        sum.iter_mut().for_each(|value| *value /= length);
    }
    sum
}
