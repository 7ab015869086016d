//! Operations that need the whole of their operands, held in memory while their result is written.

use super::cast::Cast;
use super::compute::{self, Values};
use super::interpolate;
use super::stream::Stream;
use crate::formats::{FormatError, Produce};
use crate::rules::formula::Formula;
use crate::rules::interpolation::Interpolation;
use crate::tensor::{Dtype, numel};

/// An operation on whole tensors.
#[derive(Clone)]
pub(super) enum Whole {
    /// An expression.
    Compute(Formula),
    /// Dims resampled.
    Interpolate(Interpolation),
}

impl Whole {
    /// The bytes of the result, of the shape that the plan says and the dtype of `out`.
    ///
    /// # Errors
    /// Where an operand cannot be read, the result does not fit into memory or has another shape.
    pub fn run(&self, operands: &[Stream], shape: &[u64], out: &Stream) -> Result<Vec<u8>, FormatError> {
        // A size that was mistyped is an error, and no crash.
        let count = numel(shape).unwrap_or(u64::MAX);
        let needed = count.saturating_mul(size_of::<f64>() as u64);
        if Vec::<u8>::new().try_reserve_exact(usize::try_from(needed).unwrap_or(usize::MAX)).is_err() {
            let needed = crate::quantity::size(needed);
            return Err(out.wrong(&format!("it needs {needed} of memory, which is more than there is")));
        }
        let result = match self {
            Whole::Compute(formula) => {
                let values = operands.iter().map(values).collect::<Result<Vec<Values>, FormatError>>()?;
                compute::evaluate(formula, &values).map_err(|error| out.wrong(&error.to_string()))?
            }
            Whole::Interpolate(interpolation) => {
                let Some(operand) = operands.first() else { return Err(out.wrong("it has no operand")) };
                let dtype = operand.spec().dtype;
                if interpolation.mode.is_gather() {
                    let (bytes, from) = (own(operand)?, &operand.spec().shape);
                    return Ok(interpolate::gathered(interpolation, bytes, from, dtype, operand.bytes(1)));
                }
                interpolate::weighted(interpolation, values(operand)?, dtype)
            }
        };
        if result.shape != shape {
            return Err(out.wrong("the result has another shape"));
        }
        let wide: Vec<u8> = result.elements.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut narrow = vec![0; out.bytes(count)];
        if let Some(cast) = Cast::new(Dtype::F64, out.dtype()) {
            cast.run(&wide, &mut narrow).map_err(|_| out.wrong("the result does not fit its dtype"))?;
        }
        Ok(narrow)
    }
}

/// All elements as they are.
fn own(stream: &Stream) -> Result<Vec<u8>, FormatError> {
    let mut own = vec![0; stream.bytes(stream.count())];
    stream.read(0, &mut own)?;
    Ok(own)
}

/// All elements in f64.
fn values(stream: &Stream) -> Result<Values, FormatError> {
    let own = own(stream)?;
    let mut wide = vec![0; own.len() / stream.bytes(1).max(1) * size_of::<f64>()];
    if let Some(cast) = Cast::new(stream.dtype(), Dtype::F64) {
        cast.run(&own, &mut wide).map_err(|_| stream.wrong("an element has no value"))?;
    }
    let elements = wide.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Ok(Values { shape: stream.spec().shape.clone(), elements })
}
