//! Sharded checkpoints: an index (`model.safetensors.index.json`) that says which file holds which key.
//!
//! The layout is that of Hugging Face's libraries. Shards are opened and written by the formats that they
//! are of; here is what makes one checkpoint of them.

mod cut;
mod fill;
mod finish;
mod index;
mod names;
mod part_problem;
mod partition;
mod placing;
mod problem;
mod reader;
mod receipt;
#[cfg(test)]
mod tests;
mod writer;

pub use cut::Cut;
pub use fill::{ShardPart, fill_shards};
pub use finish::{Finished, finish};
pub use index::Sharded;
pub use names::{ShardNames, is_sharded};
pub use part_problem::{Flaw, Lacking, PartProblem};
pub use problem::ShardProblem;
pub use receipt::RunDigest;
pub use writer::stage_shards;

pub(super) use placing::StagedShards;
pub(super) use reader::open;
