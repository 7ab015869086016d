//! Torch's files: storages, and a pickle that says what they are; in a zip archive, or in the legacy format.

mod allowed;
mod archive;
mod archive_writer;
mod build;
mod choose;
mod dicts;
mod distributed;
mod document;
mod edit;
mod emit;
mod graph;
mod joined;
mod legacy;
pub(super) mod look;
mod machine;
mod objects;
mod opcode;
mod optimizers;
mod tensors;
#[cfg(test)]
mod tests;
mod values;
mod weights_only;
mod writer;

pub(super) use distributed::kind as distributed_kind;
pub use distributed::{Distributed, Saved, open_distributed};
pub(super) use document::{Document, open, open_legacy};
pub(super) use legacy::is_legacy;
pub(super) use values::check as check_edits;
pub use weights_only::Refused;
pub(super) use writer::write;
