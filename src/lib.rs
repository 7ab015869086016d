//! Declarative migration rules for model checkpoints.

pub mod apply;
pub mod cli;
pub mod diagnostic;
pub mod edit;
pub mod formats;
pub mod invert;
pub mod keyset;
pub mod optimizer;
pub mod plan;
pub mod printable;
pub mod quantity;
pub mod rules;
pub mod source;
pub mod syntax;
pub mod table;
pub mod tensor;
