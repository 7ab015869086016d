//! Element by element: casts and value arithmetic.

use super::cast::{Cast, OutOfRange};
use crate::tensor::Dtype;

/// What is done to each element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Map {
    /// Another dtype.
    Cast(Cast),
    /// Arithmetic in f64, rounded once to the dtype.
    Arithmetic { widen: Cast, narrow: Cast, op: Arithmetic },
}

/// Arithmetic with a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arithmetic {
    Scale(f64),
    Offset(f64),
}

impl Map {
    /// Arithmetic on elements of this dtype, where it has values.
    pub fn arithmetic(dtype: Dtype, op: Arithmetic) -> Option<Map> {
        let (widen, narrow) = (Cast::new(dtype, Dtype::F64)?, Cast::new(Dtype::F64, dtype)?);
        Some(Map::Arithmetic { widen, narrow, op })
    }

    /// Maps a run of elements; `out` holds as many as `input`.
    pub fn run(self, input: &[u8], out: &mut [u8], count: usize) -> Result<(), OutOfRange> {
        match self {
            Map::Cast(cast) => cast.run(input, out),
            Map::Arithmetic { widen, narrow, op } => {
                let mut wide = vec![0; count * size_of::<f64>()];
                widen.run(input, &mut wide)?;
                for element in wide.as_chunks_mut::<8>().0 {
                    let value = f64::from_le_bytes(*element);
                    let value = match op {
                        Arithmetic::Scale(by) => value * by,
                        Arithmetic::Offset(by) => value + by,
                    };
                    *element = value.to_le_bytes();
                }
                narrow.run(&wide, out)
            }
        }
    }
}
