//! How much text may be made of a pickle by joining keys.
//!
//! A key is in the pickle once however often it is used: dicts in dicts under long keys, each of which is named by
//! all that lead to it, would make gigabytes of kilobytes.

use std::path::Path;

use super::graph::Graph;
use crate::formats::{FormatError, Limit};

/// The bytes of joined keys that a walk through a graph may still make.
pub(super) struct JoinedKeys {
    left: u64,
    limit: u64,
}

/// They are used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooLong {
    limit: u64,
}

impl JoinedKeys {
    /// What one walk through a graph may make.
    pub(super) fn of(graph: &Graph) -> Self {
        JoinedKeys { left: graph.key_bytes, limit: graph.key_bytes }
    }

    /// Counts keys of so many bytes in all, and what it takes to keep them.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), TooLong> {
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or(TooLong { limit: self.limit })?;
        Ok(())
    }
}

impl TooLong {
    /// The error of the file.
    pub(super) fn in_file(self, file: &Path) -> FormatError {
        FormatError::TooLarge {
            path: file.to_owned(),
            what: "what its keys are when they are joined".to_owned(),
            size: self.limit.saturating_add(1),
            limit: self.limit,
            raise: Some(Limit::KeyBytes),
        }
    }
}
