//! Declarative migration rules for model checkpoints.

pub mod cli;
pub mod diagnostic;
pub mod formats;
pub mod keyset;
pub mod quantity;
pub mod source;
pub mod table;
pub mod tensor;
