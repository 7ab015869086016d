//! Checkpoint files: key sets and bytes out of them, and into new ones.
//!
//! [`open`] reads a file's headers and gives a [`Checkpoint`]: its entries in order, each with spec
//! and place. [`write()`] takes output tensors and lays out a new file. Nothing here knows of rules
//! or plans, and nothing that a file says is ever executed.

mod atomic;
mod checkpoint;
mod error;
pub mod keys_yaml;
mod output;
mod pytorch;
mod safetensors;
mod sink;
mod stored;

pub use atomic::{AtomicFile, Placement, Replace};
pub use checkpoint::{
    Checkpoint, Content, DictPath, Entry, EntryData, Format, Limits, Other, Output, OutputTensor, Written,
    open, write,
};
pub use error::{Foreign, FormatError};
pub use sink::{Produce, Progress, Sink};
pub use stored::{Extent, SourceFile, Storage, StoredTensor};
