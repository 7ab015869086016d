//! Tensors from nothing.

use super::cast;
use crate::rules::op::FillValue;
use crate::tensor::Dtype;

/// Fills `out` with the elements from `start` on of a filled tensor of this dtype and shape.
pub(super) fn run(value: FillValue, dtype: Dtype, shape: &[u64], start: u64, out: &mut [u8]) {
    let Some(size) = dtype.bytes().and_then(|size| usize::try_from(size).ok()) else { return };
    let columns = shape.last().copied().unwrap_or(1).max(1);
    for (index, element) in (start..).zip(out.chunks_exact_mut(size)) {
        match value {
            FillValue::Int(value) => cast::put_int(dtype, value.into(), element),
            FillValue::Float(value) => cast::put_float(dtype, value, element),
            FillValue::Arange => cast::put_int(dtype, index.into(), element),
            FillValue::Eye => cast::put_int(dtype, (index / columns == index % columns).into(), element),
        }
    }
}
