//! Tensors that are made while the file that holds them is written.

use super::{Extent, FormatError};
use crate::tensor::TensorSpec;

/// A tensor whose bytes are made while the output is written, by several threads at once.
pub trait Produce: Sync {
    /// The dtype and shape of the tensor.
    fn spec(&self) -> &TensorSpec;

    /// Its bytes, where they lie side by side in an input file and need only be moved.
    fn at_rest(&self) -> Option<Extent> {
        None
    }

    /// In which pieces its bytes are best made.
    fn pieces(&self) -> Pieces {
        Pieces::Any
    }

    /// What makes its bytes; what it holds for that is gone when it is dropped.
    fn reader(&self) -> Box<dyn ReadElements + '_>;
}

/// Makes the elements of a tensor.
pub trait ReadElements {
    /// Fills `out` with the elements from `start` on, counted in row-major order.
    ///
    /// # Errors
    /// Where reading the sources fails, or the data is not as the plan needs it to be.
    fn read(&self, start: u64, out: &mut [u8]) -> Result<(), FormatError>;
}

/// In which pieces the bytes of a tensor are best made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pieces {
    /// In any.
    Any,
    /// In large ones, since each looks at much of the source: a permutation.
    Large,
    /// One behind the other by one reader, which holds the whole: an expression.
    InOrder,
}

/// Told how many bytes have been written, for a progress bar.
pub trait Progress: Sync {
    /// `bytes` more of the output have been written.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
impl Progress for () {
    fn advance(&self, _: u64) {}
}
