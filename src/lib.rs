//! Declarative migration rules for model checkpoints.

pub mod apply;
pub mod diagnostic;
pub mod formats;
pub mod keyset;
pub mod plan;
pub mod rules;
pub mod source;
pub mod syntax;
pub mod tensor;
