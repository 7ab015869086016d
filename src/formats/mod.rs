//! Checkpoint files: key sets and bytes out of them, and into new ones.
//!
//! [`open`] reads a file's headers and gives a [`Checkpoint`]: the chosen dicts of tensors, each with
//! its entries in order, their specs and places. [`write()`] takes output tensors for each of them and
//! lays out a new file. Nothing here knows of rules
//! or plans, and nothing that a file says is ever executed.

mod atomic;
mod checkpoint;
mod error;
mod foreign;
mod join;
pub mod keys_yaml;
mod optimizer;
mod output;
mod pytorch;
mod recording;
mod safetensors;
mod sink;
mod stored;
#[cfg(test)]
mod tests;

pub use atomic::{AtomicFile, Placement, Replace};
pub use checkpoint::{
    Checkpoint, Content, DictPath, Entry, EntryData, Format, Limits, Other, Output, OutputDict, OutputTensor,
    Staged, StateDict, Written, open, stage, write,
};
pub use error::{EditError, FormatError, Overlap};
pub use foreign::Foreign;
pub use join::{Further, Part, join};
pub use optimizer::{Optimizer, OutputOptimizer, OutputParam, OutputState, ParamGroup, ParamId, StateValue};
pub use recording::Recording;
pub use sink::{Produce, Progress, Sink};
pub use stored::{Extent, SourceFile, Storage, StoredTensor};
