//! Strided views over a linear run of elements.

use crate::tensor::{Shape, contiguous_strides};

/// Which elements of a linear base a tensor views, in row-major order of its own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub shape: Shape,
    /// The step of each dim in base elements; negative where a dim runs backwards.
    pub strides: Vec<i64>,
    /// The base element of the view's element 0.
    pub offset: u64,
}

/// Runs of elements that lie side by side in the base.
pub(super) struct Runs {
    /// The dims over which runs are repeated, outermost first: extent and stride.
    outer: Vec<(u64, i64)>,
    /// How many elements one run holds.
    pub len: u64,
    offset: u64,
}

impl Layout {
    /// The whole base, row by row. Shapes were checked when the plan was made.
    pub fn contiguous(shape: &[u64]) -> Layout {
        let strides = contiguous_strides(shape).unwrap_or_else(|| vec![0; shape.len()]);
        Layout { shape: shape.to_vec(), strides: signed(&strides), offset: 0 }
    }

    pub fn is_contiguous(&self) -> bool {
        self.runs().outer.is_empty()
    }

    pub fn permute(&mut self, dims: &[usize]) {
        self.shape = dims.iter().map(|&dim| self.shape[dim]).collect();
        self.strides = dims.iter().map(|&dim| self.strides[dim]).collect();
    }

    pub fn narrow(&mut self, dim: usize, start: u64, len: u64) {
        self.offset = step(self.offset, start, self.strides[dim]);
        self.shape[dim] = len;
    }

    pub fn flip(&mut self, dim: usize) {
        self.offset = step(self.offset, self.shape[dim].saturating_sub(1), self.strides[dim]);
        self.strides[dim] = -self.strides[dim];
    }

    /// The dims, extent and stride, joined as far as they step as one; those of one element are left out.
    pub fn joined(&self) -> Vec<(u64, i64)> {
        let mut dims: Vec<(u64, i64)> = Vec::new();
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            if size == 1 {
                continue;
            }
            match dims.last_mut() {
                // The outer dim steps exactly over the inner one: both are one dim.
                Some((outer, outer_stride)) if *outer_stride == stride.saturating_mul(size.cast_signed()) => {
                    *outer *= size;
                    *outer_stride = stride;
                }
                _ => dims.push((size, stride)),
            }
        }
        dims
    }

    /// The view as runs, the trailing dims joined as far as they lie side by side.
    pub fn runs(&self) -> Runs {
        let mut dims = self.joined();
        let len = match dims.last() {
            Some(&(size, 1)) => {
                dims.pop();
                size
            }
            _ => 1,
        };
        Runs { outer: dims, len, offset: self.offset }
    }
}

/// Strides as signed steps; those of tensors at rest were checked to stay inside a file.
pub(super) fn signed(strides: &[u64]) -> Vec<i64> {
    strides.iter().map(|&stride| stride.cast_signed()).collect()
}

/// The base element `count` strides from `start`.
fn step(start: u64, count: u64, stride: i64) -> u64 {
    start.wrapping_add_signed(stride.wrapping_mul(count.cast_signed()))
}

impl Runs {
    /// The base element at which the n-th run begins.
    pub fn start(&self, mut nth: u64) -> u64 {
        let mut start = self.offset;
        for &(size, stride) in self.outer.iter().rev() {
            start = step(start, nth % size, stride);
            nth /= size;
        }
        start
    }

    /// Calls `take` with (base element, count) for each piece of a run in `start..start + len`.
    pub fn pieces<E>(
        &self,
        start: u64,
        len: u64,
        mut take: impl FnMut(u64, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut at, end) = (start, start + len);
        while at < end {
            let (nth, within) = (at / self.len, at % self.len);
            let count = (self.len - within).min(end - at);
            take(self.start(nth) + within, count)?;
            at += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(layout: &Layout) -> Vec<u64> {
        let runs = layout.runs();
        let count = layout.shape.iter().product();
        let mut found = Vec::new();
        let done: Result<(), ()> = runs.pieces(0, count, |start, len| {
            found.extend(start..start + len);
            Ok(())
        });
        assert_eq!(done, Ok(()));
        found
    }

    #[test]
    fn runs_join_what_lies_side_by_side() {
        let mut layout = Layout::contiguous(&[4, 2, 3]);
        assert!(layout.is_contiguous());
        layout.narrow(0, 1, 2);
        assert!(layout.is_contiguous());
        assert_eq!(elements(&layout), (6..18).collect::<Vec<_>>());
        layout.narrow(2, 1, 2);
        assert_eq!(layout.runs().len, 2);
        assert_eq!(elements(&layout), [7, 8, 10, 11, 13, 14, 16, 17]);
    }

    #[test]
    fn a_transpose_steps_through_the_base() {
        let mut layout = Layout::contiguous(&[2, 3]);
        layout.permute(&[1, 0]);
        assert_eq!(elements(&layout), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn a_flip_runs_backwards() {
        let mut layout = Layout::contiguous(&[2, 3]);
        layout.flip(1);
        assert_eq!(elements(&layout), [2, 1, 0, 5, 4, 3]);
        layout.flip(1);
        assert!(layout.is_contiguous());
        layout.flip(0);
        assert_eq!(elements(&layout), [3, 4, 5, 0, 1, 2]);
    }

    #[test]
    fn empty_and_scalar() {
        assert_eq!(elements(&Layout::contiguous(&[])), [0]);
        assert!(elements(&Layout::contiguous(&[0, 3])).is_empty());
        let expanded = Layout { shape: vec![3], strides: vec![0], offset: 5 };
        assert_eq!(elements(&expanded), [5, 5, 5]);
    }
}
