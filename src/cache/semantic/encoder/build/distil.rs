//! Fitting the static table to the model: each piece alone through the encoder, the directions in which pieces differ most kept, the
//! frequent ones made light.
//!
//! ```text
//! 30 522 × encode([CLS] piece [SEP]) ─less their mean─► 384 ─256 principal directions─► × weight ─turned at random─► table
//! ```
//! After Model2Vec (Minish 2024: mean off, principal components, weights by rank of frequency); no text of others is needed. The turn
//! spreads what the first components hold over all 256, so that the signs alone are a good sketch and eight bits lose little.

use super::super::network::{Defect, Network, WIDTH};
use super::super::place::SPACE;
use super::super::vocabulary::{FIRST, LAST, PIECES};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pieces in one run of the model.
const BATCH: usize = 32;
/// The first whole word (`the`): from here on ids are in the order of frequency.
const FIRST_WORD: usize = 1_996;
/// The rank whose word weighs half of what a rare one weighs; between 1 000 and 5 000 it hardly matters.
const HALF: f32 = 2_000.0;
/// The first character on its own (`!`).
const FIRST_CHARACTER: usize = 999;

/// The table, `PIECES` × `SPACE`. `pieces` are the vocabulary's, by id.
pub(super) fn table(network: &Network, pieces: &[&str], threads: usize) -> Result<Vec<f32>, Defect> {
    let mut alone = each_alone(network, threads)?;
    let mut mean = vec![0f64; WIDTH];
    for row in alone.iter().skip(FIRST_WORD) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += f64::from(*value));
    }
    for row in &mut alone {
        row.iter_mut()
            .zip(&mean)
            .for_each(|(value, sum)| *value -= (sum / (PIECES - FIRST_WORD) as f64) as f32);
    }
    let directions = turned(principal(alone.get(FIRST_WORD..).unwrap_or_default(), threads));
    let rows: Vec<(usize, &[f32; WIDTH])> = alone.iter().enumerate().collect();
    let table = shared_out(&rows, threads, |(id, row)| -> Vec<f32> {
        let weight = weight(*id, pieces.get(*id).copied().unwrap_or_default());
        let along = directions
            .iter()
            .map(|direction| weight * direction.iter().zip(*row).map(|(a, b)| a * b).sum::<f32>());
        along.collect()
    });
    Ok(table.concat())
}

/// Something made of each item, in their order, each thread taking as many as another. What comes of it is the same for any number
/// of threads.
fn shared_out<I: Sync, T: Send>(items: &[I], threads: usize, work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let (work, each) = (&work, items.len().div_ceil(threads.max(1)).max(1));
    std::thread::scope(|scope| {
        let parts = items.chunks(each);
        let running: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<T>>()))
            .collect();
        let done = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.flatten().collect()
    })
}

/// How much a piece says: the rarer the more, as 1 / (1 + a × frequency) (Arora et al. 2017). Vocabulary ids stand in for ranks, and
/// ranks for frequencies (Zipf), as no counts are to be had.
fn weight(id: usize, piece: &str) -> f32 {
    let mut characters = piece.chars();
    match (characters.next(), characters.next()) {
        // Marks, places that are free, and what is unknown say nothing.
        _ if id < FIRST_CHARACTER => 0.0,
        (Some(only), None) if only.is_ascii_punctuation() => 0.02,
        _ if id < FIRST_WORD => 0.2,
        _ => {
            let rank = (id - FIRST_WORD + 1) as f32;
            rank / (rank + HALF)
        }
    }
}

/// What the model makes of the texts of one run.
type Rows = Vec<[f32; WIDTH]>;

fn each_alone(network: &Network, threads: usize) -> Result<Vec<[f32; WIDTH]>, Defect> {
    let ids: Vec<[u16; 3]> = (0..u16::MAX).take(PIECES).map(|id| [FIRST, id, LAST]).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Rows)>, Defect> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = ids
                .get(at * BATCH..ids.len().min((at + 1) * BATCH))
                .filter(|batch| !batch.is_empty())
            else {
                return Ok(done);
            };
            let sequences: Vec<&[u16]> = batch.iter().map(<[u16; 3]>::as_slice).collect();
            done.push((at, network.run(&sequences)?));
        }
    };
    let mut batches = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in running {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok::<_, Defect>(all)
    })?;
    batches.sort_by_key(|(at, _)| *at);
    Ok(batches.into_iter().flat_map(|(_, rows)| rows).collect())
}

/// The `SPACE` orthonormal directions in which the rows differ most: orthogonal iteration on their covariance.
fn principal(rows: &[[f32; WIDTH]], threads: usize) -> Vec<[f64; WIDTH]> {
    let covariance = covariance(rows, threads);
    let mut random = fastrand::Rng::with_seed(6);
    let mut basis: Vec<[f64; WIDTH]> = (0..SPACE)
        .map(|_| std::array::from_fn(|_| random.f64() - 0.5))
        .collect();
    orthonormal(&mut basis);
    // The space of the 256 is wanted, not each axis, and the spectrum is flat where it is cut: more rounds change nothing.
    for _ in 0..40 {
        basis = shared_out(&basis, threads, |direction| {
            std::array::from_fn(|at| covariance.get(at).map_or(0.0, |line| dot(line, direction)))
        });
        orthonormal(&mut basis);
    }
    basis
}

/// Of the rows, whose mean is 0. It is symmetric, so each thread sums up every other line, or third, from the diagonal on.
fn covariance(rows: &[[f32; WIDTH]], threads: usize) -> Vec<[f64; WIDTH]> {
    let threads = threads.clamp(1, WIDTH);
    let firsts: Vec<usize> = (0..threads).collect();
    let parts = shared_out(&firsts, threads, |first| {
        let mut lines: Vec<_> = (*first..WIDTH).step_by(threads).map(|at| (at, [0f64; WIDTH])).collect();
        for row in rows {
            let row = row.map(f64::from);
            for (at, line) in &mut lines {
                if let (Some(sums), Some(from_here)) = (line.get_mut(*at..), row.get(*at..)) {
                    let here = from_here.first().copied().unwrap_or_default();
                    sums.iter_mut()
                        .zip(from_here)
                        .for_each(|(sum, other)| *sum += here * other);
                }
            }
        }
        lines
    });
    let mut lines: Vec<_> = parts.into_iter().flatten().collect();
    lines.sort_by_key(|(at, _)| *at);
    let upper: Vec<[f64; WIDTH]> = lines.into_iter().map(|(_, line)| line).collect();
    let value = |at: usize, of: usize| {
        let line = upper.get(at.min(of));
        line.and_then(|line| line.get(at.max(of))).copied().unwrap_or_default()
    };
    (0..WIDTH).map(|at| std::array::from_fn(|of| value(at, of))).collect()
}

/// The same space in other axes, drawn at random and always the same.
fn turned(basis: Vec<[f64; WIDTH]>) -> Vec<[f32; WIDTH]> {
    let mut random = fastrand::Rng::with_seed(256);
    // A sum of twelve is near enough to a normal draw, which makes all turns equally likely.
    let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let mut axes: Vec<[f64; WIDTH]> = Vec::with_capacity(SPACE);
    for _ in 0..SPACE {
        let mut axis = [0f64; WIDTH];
        for direction in &basis {
            let part = normal();
            axis.iter_mut()
                .zip(direction)
                .for_each(|(sum, value)| *sum += part * value);
        }
        axes.push(axis);
    }
    orthonormal(&mut axes);
    axes.into_iter().map(|axis| axis.map(|value| value as f32)).collect()
}

/// Gram and Schmidt, twice over for rounding.
fn orthonormal(basis: &mut [[f64; WIDTH]]) {
    for at in 0..basis.len() {
        let (done, rest) = basis.split_at_mut(at);
        let Some(now) = rest.first_mut() else { return };
        for _ in 0..2 {
            for before in done.iter() {
                let part = dot(before, now);
                now.iter_mut()
                    .zip(before)
                    .for_each(|(value, other)| *value -= part * other);
            }
        }
        let length = dot(now, now).sqrt().max(f64::MIN_POSITIVE);
        now.iter_mut().for_each(|value| *value /= length);
    }
}

fn dot(a: &[f64; WIDTH], b: &[f64; WIDTH]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
