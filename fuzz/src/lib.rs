//! What the fuzz targets share: a checkpoint from bytes, and what must hold of one that is read.

mod archive;
mod files;

pub use archive::{Record, archive};
pub use files::{check, keys, open};
