//! Folders of migrations: which version a checkpoint is, and the rule files that lead from there to another.
//!
//! `folder.rs` reads rule files and key sets, and `order.rs` finds the chain that they make. `start.rs` tells
//! which version a checkpoint is; `way.rs` puts the rule files between two versions together, proved inverses
//! on the way back.

mod error;
mod folder;
mod order;
mod start;
mod way;

use std::ops::Range;

pub(super) use error::ChainError;
pub(super) use folder::{Broken, Folder, Link};
pub(super) use order::leads_back;
pub(super) use start::{Known, absent, start};
pub(super) use way::{between, merged, undoing, way};

/// The texts of a rule file, and the versions that it names.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The numbers of its texts: its own, which is the first, and those that it takes in.
    pub texts: Range<u32>,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Whether its inverse is run.
    pub reversed: bool,
}
