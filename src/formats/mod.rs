//! Checkpoint files: key sets and bytes out of them, and into new ones.
//!
//! [`open`] reads a file's headers and gives a [`Checkpoint`]: the chosen dicts of tensors, each with
//! its entries in order, their specs and places. [`write()`] takes output tensors for each of them and
//! lays out a new file. Nothing here knows of rules
//! or plans, and nothing that a file says is ever executed.

mod access;
mod atomic;
mod checkpoint;
mod error;
mod foreign;
mod join;
pub mod keys_yaml;
mod limits;
pub mod load_error;
mod mover;
mod open;
mod optimizer;
mod origin;
mod output;
mod overlap;
mod produce;
mod pytorch;
mod recording;
mod safetensors;
mod sharded;
mod stored;
mod temporary;
#[cfg(test)]
mod tests;
mod texts;
mod windows;
mod workers;
mod write;

pub use atomic::{AtomicFile, Placement, Replace};
pub use checkpoint::{Checkpoint, DictPath, Entry, EntryData, Format, Other, StateDict};
pub use error::{EditError, FormatError};
pub use foreign::Foreign;
pub use join::{Further, Part, join};
pub use limits::{Budget, Limit, Limits};
pub use mover::Moved;
pub use open::open;
pub use optimizer::{Optimizer, OutputOptimizer, OutputParam, OutputState, ParamGroup, ParamId, StateValue};
pub use origin::{Origin, Settings};
pub use overlap::Overlap;
pub use produce::{Pieces, Produce, Progress, ReadElements};
pub use pytorch::{Distributed, Refused, Saved, open_distributed};
pub use recording::Recording;
pub use sharded::{
    Cut, Finished, Flaw, Lacking, PartProblem, RunDigest, ShardNames, ShardPart, ShardProblem, Sharded,
    fill_shards, finish, is_sharded, stage_shards,
};
pub use stored::{Extent, SourceFile, Storage, StoredTensor};
pub use write::{Content, Output, OutputDict, OutputTensor, Staged, Written, WrittenFile, stage, write};
