//! Declarative migration rules for model checkpoints.

pub mod formats;
pub mod tensor;
