//! Resampling as `torch.nn.functional.interpolate` does it, one dim after the other.
//!
//! Each element of the result is a weighted sum over a few elements of each dim (ATen's UpSampleKernel.cpp
//! and AdaptiveAveragePooling). Sums are in f64. Positions are worked out in the precision of torch's
//! own kernels, f32 for all dtypes but f64: at a distance of a few hundred elements, that shows. The modes
//! without weights use f32 for all, so that every dtype chooses the same elements.

use super::compute::Values;
use crate::rules::interpolation::{Interpolation, Mode};
use crate::tensor::Dtype;

/// An element of the source and its share of one of the result.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tap {
    at: usize,
    weight: f64,
}

/// One dim from one size to another.
#[derive(Clone, Copy, Debug)]
struct Resizing {
    from: usize,
    to: usize,
    mode: Mode,
    align_corners: bool,
    antialias: bool,
    /// Whether positions are worked out in f64.
    wide: bool,
}

/// The tensor with its dims resampled; `dtype` is that of the tensor at rest.
pub(super) fn weighted(interpolation: &Interpolation, mut values: Values, dtype: Dtype) -> Values {
    for (dim, resizing) in resizings(interpolation, &values.shape, dtype) {
        let taps: Vec<Vec<Tap>> = (0..resizing.to).map(|index| resizing.taps(index)).collect();
        let (outer, inner) = around(&values.shape, dim);
        let mut elements = vec![0.0; outer * resizing.to * inner];
        let blocks = values.elements.chunks_exact((resizing.from * inner).max(1));
        let rows = elements.chunks_exact_mut(inner.max(1));
        let wanted = blocks.flat_map(|block| taps.iter().map(move |taps| (block, taps)));
        for (row, (block, taps)) in rows.zip(wanted) {
            for tap in taps {
                let source = &block[tap.at * inner..][..inner];
                row.iter_mut().zip(source).for_each(|(out, value)| *out += tap.weight * value);
            }
        }
        values.elements = elements;
        values.shape[dim] = resizing.to as u64;
    }
    values
}

/// The bytes of a tensor whose elements are chosen among those of `bytes`, which are left as they are.
pub(super) fn gathered(
    interpolation: &Interpolation,
    mut bytes: Vec<u8>,
    shape: &[u64],
    dtype: Dtype,
    itemsize: usize,
) -> Vec<u8> {
    let mut shape = shape.to_vec();
    for (dim, resizing) in resizings(interpolation, &shape, dtype) {
        let (_, inner) = around(&shape, dim);
        let run = inner * itemsize;
        let blocks = bytes.chunks_exact((resizing.from * run).max(1));
        let mut chosen = Vec::with_capacity(blocks.len() * resizing.to * run);
        let wanted: Vec<usize> = (0..resizing.to).map(|index| resizing.nearest(index)).collect();
        for block in blocks {
            wanted.iter().for_each(|&at| chosen.extend_from_slice(&block[at * run..][..run]));
        }
        bytes = chosen;
        shape[dim] = resizing.to as u64;
    }
    bytes
}

/// The dims that change; those that shrink come first, so that less is left to do for the others.
#[allow(clippy::cast_possible_truncation)] // sizes of tensors that are in memory
fn resizings(interpolation: &Interpolation, shape: &[u64], dtype: Dtype) -> Vec<(usize, Resizing)> {
    let &Interpolation { mode, align_corners, antialias, .. } = interpolation;
    let wide = dtype == Dtype::F64 && !mode.is_gather();
    let resizing = |&(dim, to): &(usize, u64)| {
        let (from, to) = (shape[dim] as usize, to as usize);
        (dim, Resizing { from, to, mode, align_corners, antialias, wide })
    };
    let mut resizings: Vec<(usize, Resizing)> = interpolation.dims.iter().map(resizing).collect();
    resizings.retain(|(_, resizing)| resizing.from != resizing.to);
    resizings.sort_by(|(_, a), (_, b)| a.growth().total_cmp(&b.growth()));
    resizings
}

/// How many blocks lie around a dim, and how many elements lie inside each of its steps.
#[allow(clippy::cast_possible_truncation)] // sizes of tensors that are in memory
fn around(shape: &[u64], dim: usize) -> (usize, usize) {
    let count = |sizes: &[u64]| sizes.iter().product::<u64>() as usize;
    (count(&shape[..dim]), count(&shape[dim + 1..]))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
// Sizes and positions are far below 2^53, and positions are clamped into the dim before they become indices.
impl Resizing {
    /// A number as torch's kernels hold it.
    fn round(&self, value: f64) -> f64 {
        if self.wide { value } else { f64::from(value as f32) }
    }

    /// How much larger the dim becomes.
    fn growth(&self) -> f64 {
        self.to as f64 / self.from as f64
    }

    /// How many source elements there are to one of the result.
    fn scale(&self) -> f64 {
        match (self.align_corners, self.to) {
            (false, to) => self.round(self.from as f64 / to as f64),
            (true, 1) => 0.0,
            (true, to) => self.round((self.from - 1) as f64 / (to - 1) as f64),
        }
    }

    /// Where in the source an element of the result lies, in elements.
    fn position(&self, index: usize) -> f64 {
        if self.align_corners {
            return self.round(self.scale() * index as f64);
        }
        self.round(self.round(self.scale() * (index as f64 + 0.5)) - 0.5)
    }

    /// The source element that the modes without weights choose.
    fn nearest(&self, index: usize) -> usize {
        let position = match self.mode {
            Mode::NearestExact => self.position(index).max(0.0) + 0.5,
            // torch's `nearest` measures from the edge of an element and not from its middle.
            _ => self.scale() * index as f64,
        };
        (self.round(position).floor() as usize).min(self.from - 1)
    }

    /// The source elements that make one of the result.
    fn taps(&self, index: usize) -> Vec<Tap> {
        match self.mode {
            Mode::Nearest | Mode::NearestExact => vec![Tap { at: self.nearest(index), weight: 1.0 }],
            Mode::Area => self.area(index),
            Mode::Bicubic if self.antialias => self.filtered(index, 2.0, |x| cubic(x, -0.5)),
            _ if self.antialias => self.filtered(index, 1.0, |x| (1.0 - x.abs()).max(0.0)),
            Mode::Bicubic => self.cubic(index),
            Mode::Linear | Mode::Bilinear | Mode::Trilinear => self.linear(index),
        }
    }

    /// The two neighbours.
    fn linear(&self, index: usize) -> Vec<Tap> {
        let position = self.position(index).max(0.0);
        let at = (position.floor() as usize).min(self.from - 1);
        let rest = (position - at as f64).clamp(0.0, 1.0);
        let next = (at + 1).min(self.from - 1);
        vec![Tap { at, weight: 1.0 - rest }, Tap { at: next, weight: rest }]
    }

    /// Two neighbours on either side; those beyond an edge are the element at the edge.
    fn cubic(&self, index: usize) -> Vec<Tap> {
        let position = self.position(index);
        let first = position.floor().min((self.from - 1) as f64);
        let rest = (position - first).clamp(0.0, 1.0);
        let tap = |step: i32| {
            let at = (first + f64::from(step)).clamp(0.0, (self.from - 1) as f64) as usize;
            Tap { at, weight: cubic(rest - f64::from(step), -0.75) }
        };
        (-1..=2).map(tap).collect()
    }

    /// The mean of all that fall together, those at the borders in full.
    fn area(&self, index: usize) -> Vec<Tap> {
        let (index, from, to) = (index as u128, self.from as u128, self.to as u128);
        let (first, end) = ((index * from / to) as usize, ((index + 1) * from).div_ceil(to) as usize);
        (first..end).map(|at| Tap { at, weight: 1.0 / (end - first) as f64 }).collect()
    }

    /// All within reach of a filter that is as wide as the step, its weights made to add up to 1.
    fn filtered(&self, index: usize, reach: f64, filter: fn(f64) -> f64) -> Vec<Tap> {
        let step = self.scale().max(1.0);
        let (centre, support) = (self.round(self.scale() * (index as f64 + 0.5)), self.round(reach * step));
        let bound = |position: f64| (self.round(position).max(0.0) as usize).min(self.from);
        let (first, end) = (bound(centre - support + 0.5), bound(centre + support + 0.5));
        let weight = |at: usize| filter(self.round((at as f64 - centre + 0.5) * self.round(1.0 / step)));
        let total: f64 = (first..end).map(weight).sum();
        let total = if total == 0.0 { 1.0 } else { total };
        (first..end).map(|at| Tap { at, weight: weight(at) / total }).collect()
    }
}

/// The cubic convolution kernel of Keys with the parameter `a`.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((x - 5.0) * x + 8.0) * x * a - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 8] = [1, 2, 3, 5, 14, 16, 99, 224];

    #[test]
    fn weights_add_up_to_one_and_lie_inside() {
        for (from, to) in SIZES.iter().flat_map(|&from| SIZES.map(|to| (from, to))) {
            for (mode, align_corners, antialias) in Mode::ALL.into_iter().flat_map(|mode| {
                [(false, false), (true, false), (false, true), (true, true)]
                    .into_iter()
                    .filter(move |(corners, smooth)| mode.aligns() || !*corners && !*smooth)
                    .filter(move |(_, smooth)| mode.antialiases() || !*smooth)
                    .map(move |(corners, smooth)| (mode, corners, smooth))
            }) {
                let resizing = Resizing { from, to, mode, align_corners, antialias, wide: false };
                for index in 0..to {
                    let taps = resizing.taps(index);
                    let total: f64 = taps.iter().map(|tap| tap.weight).sum();
                    assert!((total - 1.0).abs() < 1e-12, "{resizing:?} at {index}: {taps:?}");
                    assert!(taps.iter().all(|tap| tap.at < from), "{resizing:?} at {index}: {taps:?}");
                }
            }
        }
    }

    #[test]
    fn aligned_corners_stay() {
        for mode in [Mode::Linear, Mode::Bicubic] {
            let resizing =
                Resizing { from: 5, to: 9, mode, align_corners: true, antialias: false, wide: true };
            for (index, at) in [(0, 0), (4, 2), (8, 4)] {
                let whole: Vec<Tap> =
                    resizing.taps(index).into_iter().filter(|tap| tap.weight != 0.0).collect();
                assert_eq!(whole, [Tap { at, weight: 1.0 }]);
            }
        }
    }
}
