//! Sharded checkpoints: an index (`model.safetensors.index.json`) that says which file holds which key.
//!
//! The layout is that of Hugging Face's libraries. Shards are opened and written by the formats that they
//! are of; here is what makes one checkpoint of them.

mod index;
mod names;
mod partition;
mod placing;
mod problem;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use index::Sharded;
pub use names::{ShardNames, is_sharded};
pub use problem::ShardProblem;
pub use writer::stage_shards;

pub(super) use placing::StagedShards;
pub(super) use reader::open;
