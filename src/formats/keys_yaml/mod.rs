//! `.keys.yaml`: the reviewable description of a version, one line a tensor.
//!
//! ```text
//! format: 1
//! name: v2
//! tensors:
//!   model.encoder.conv1.weight: f32 [64, 3, 7, 7]
//!   model.encoder.bn1.running_mean: f32 [64] buffer
//!   lm_head.weight: f32 [50257, 768] tied embed.weight
//! ```
//!
//! Where a file marks a `buffer`, its other tensors are parameters. Where it marks none, only those
//! marked `parameter` are known to be some: a checkpoint alone does not tell the two apart.

mod emit;
mod error;
mod plain;
mod read;
mod spec;

pub use emit::emit;
pub use error::{KeysYamlError, KeysYamlProblem};
pub use read::parse;

/// The number of the format that is read and written here.
const FORMAT: &str = "1";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
