//! Checkpoint files: key sets and bytes out of them, and into new ones.
//!
//! A reader opens a file and gives a `Checkpoint`: its entries in order, each with spec and place,
//! found from headers alone. A writer takes output tensors and lays out a new file. Nothing here
//! knows of rules or plans.

mod error;
pub mod keys_yaml;
mod sink;
mod stored;

pub use error::FormatError;
pub use sink::{Produce, Progress, Sink};
pub use stored::{Extent, SourceFile, Storage, StoredTensor};
