//! The safetensors format: a JSON header, then one buffer that the tensors fill without holes.
//!
//! Read with a pass of our own, since the crate keeps the last of two equal keys in silence and
//! forgets the order of the header; validated by the crate. Written here, since the crate's writer
//! needs all tensors in memory and writes metadata in random order.

mod metadata;
mod reader;
mod writer;

pub(in crate::formats) use metadata::edited;
pub(in crate::formats) use reader::open;
pub(in crate::formats) use writer::write;

use crate::tensor::Dtype;

/// The largest header that the safetensors crate reads.
pub(in crate::formats) const MAX_HEADER: u64 = 100_000_000;

/// The dtypes of both vocabularies.
const DTYPES: &[(safetensors::Dtype, Dtype)] = &[
    (safetensors::Dtype::BOOL, Dtype::Bool),
    (safetensors::Dtype::F4, Dtype::F4),
    (safetensors::Dtype::F6_E2M3, Dtype::F6E2m3),
    (safetensors::Dtype::F6_E3M2, Dtype::F6E3m2),
    (safetensors::Dtype::U8, Dtype::U8),
    (safetensors::Dtype::I8, Dtype::I8),
    (safetensors::Dtype::F8_E5M2, Dtype::F8E5m2),
    (safetensors::Dtype::F8_E4M3, Dtype::F8E4m3),
    (safetensors::Dtype::F8_E8M0, Dtype::F8E8m0),
    (safetensors::Dtype::F8_E4M3FNUZ, Dtype::F8E4m3fnuz),
    (safetensors::Dtype::F8_E5M2FNUZ, Dtype::F8E5m2fnuz),
    (safetensors::Dtype::I16, Dtype::I16),
    (safetensors::Dtype::U16, Dtype::U16),
    (safetensors::Dtype::F16, Dtype::F16),
    (safetensors::Dtype::BF16, Dtype::Bf16),
    (safetensors::Dtype::I32, Dtype::I32),
    (safetensors::Dtype::U32, Dtype::U32),
    (safetensors::Dtype::F32, Dtype::F32),
    (safetensors::Dtype::C64, Dtype::C64),
    (safetensors::Dtype::F64, Dtype::F64),
    (safetensors::Dtype::I64, Dtype::I64),
    (safetensors::Dtype::U64, Dtype::U64),
];

fn from_crate(dtype: safetensors::Dtype) -> Option<Dtype> {
    DTYPES.iter().find(|row| row.0 == dtype).map(|row| row.1)
}

fn to_crate(dtype: Dtype) -> Option<safetensors::Dtype> {
    DTYPES.iter().find(|row| row.1 == dtype).map(|row| row.0)
}
