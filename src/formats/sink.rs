//! How tensor bytes flow from whoever makes them into a file that is being written.

use super::{Extent, FormatError};
use crate::tensor::TensorSpec;

/// Takes the bytes of one tensor, in row-major order.
pub trait Sink {
    /// Takes bytes that lie in an input file; the sink moves them as the format and the kernel allow.
    ///
    /// # Errors
    /// Where reading or writing fails.
    fn extent(&mut self, extent: &Extent) -> Result<(), FormatError>;

    /// Takes bytes that were computed.
    ///
    /// # Errors
    /// Where writing fails.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormatError>;
}

/// A tensor whose bytes are made while the output is written.
pub trait Produce {
    /// The dtype and shape of the tensor.
    fn spec(&self) -> &TensorSpec;

    /// Hands all bytes of the tensor to `sink`, in row-major order.
    ///
    /// # Errors
    /// Where reading the sources or writing to the sink fails, or where the data is not as the plan
    /// needs it to be.
    fn produce(&self, sink: &mut dyn Sink) -> Result<(), FormatError>;
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
