//! Torch's zip files: an archive of storages, and a pickle that says what they are.

mod archive;
mod archive_writer;
mod build;
mod choose;
mod dicts;
mod document;
mod edit;
mod emit;
mod graph;
mod machine;
mod opcode;
mod optimizers;
mod tensors;
#[cfg(test)]
mod tests;
mod values;
mod writer;

pub(super) use document::{Document, open};
pub(super) use values::check as check_edits;
pub(super) use writer::write;
