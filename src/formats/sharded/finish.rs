//! Makes one checkpoint of the shards that parts have written: proves that all are there, and writes the index.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use indexmap::IndexMap;

use super::Cut;
use super::index::Index;
use super::names::ShardNames;
use super::part_problem::{Flaw, Lacking, PartProblem};
use super::receipt::Receipts;
use crate::formats::mover::Moved;
use crate::formats::write::{Written, WrittenFile};
use crate::formats::{AtomicFile, Checkpoint, FormatError, Limits, Placement, Replace};

/// What `finish` found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The index was written.
    Now {
        /// The shards and, last, their index.
        written: Written,
        /// How many tensors it leads to.
        tensors: usize,
    },
    /// There was an index, and all that it leads to.
    Before {
        /// How many shards it leads to.
        shards: usize,
    },
}

/// Writes the index over the shards of all parts, where every one is there, whole, and of one run; the
/// receipts go then. `path` is the folder of the output, or the index that it is to have.
///
/// # Errors
/// Where shards are missing or not as they were written, and where the folder holds none or others.
pub fn finish(path: &Path, sync: bool, limits: &Limits) -> Result<Finished, FormatError> {
    let wrong = |problem| FormatError::Parts { path: path.to_owned(), problem };
    if !super::is_sharded(path) {
        return Err(wrong(PartProblem::NoParts));
    }
    let Some(names) = waiting(path)? else {
        return match super::open(path, &[], limits) {
            Ok(checkpoint) => Ok(Finished::Before { shards: shards_of(&checkpoint) }),
            Err(FormatError::Shards { problem: super::ShardProblem::NoIndex { .. }, .. }) => {
                Err(wrong(PartProblem::NoParts))
            }
            Err(error @ FormatError::Shards { .. }) => Err(error),
            Err(FormatError::Io { .. }) if !path.is_dir() => Err(wrong(PartProblem::NoParts)),
            Err(error) => Err(error),
        };
    };
    let (index_path, receipts) = (names.index(), Receipts::of(&names, limits));
    if index_path.symlink_metadata().is_ok() {
        // A run that was stopped between the index and the last receipt.
        let checkpoint = super::open(&index_path, &[], limits)?;
        receipts.remove()?;
        return Ok(Finished::Before { shards: shards_of(&checkpoint) });
    }
    let agreed = receipts.agreed()?;
    let (mut files, mut all, mut weight_map) = (Vec::new(), Vec::new(), IndexMap::new());
    for number in 0..agreed.shards {
        let shard = names.shard(number + 1, agreed.shards);
        let path = names.path(&shard);
        let receipt = receipts.get(&shard)?;
        let flaw = match &receipt {
            Some(receipt) => receipts.flaw(receipt, &agreed, &path)?,
            None => Some(Flaw::Missing),
        };
        match (receipt, flaw) {
            (Some(receipt), None) => {
                weight_map.extend(receipt.keys.into_iter().map(|key| (key, shard.clone())));
                files.push(WrittenFile { path, bytes: receipt.bytes });
            }
            (_, flaw) => {
                let part = Cut::first_of(agreed.parts).owner(number, agreed.shards);
                all.push(Lacking { shard, part, flaw: flaw.unwrap_or(Flaw::Missing) });
            }
        }
    }
    if !all.is_empty() {
        return Err(wrong(PartProblem::Incomplete { all }));
    }
    let own = |name: &String| files.iter().any(|file| file.path == names.path(name));
    if let Some(file) = names.occupants()?.into_iter().find(|name| !own(name)) {
        return Err(wrong(PartProblem::Occupied { file }));
    }
    let tensors = weight_map.len();
    let text = Index { metadata: agreed.metadata, weight_map }.text();
    let file = AtomicFile::create_in(receipts.folder(), &index_path)?;
    let io = |error| FormatError::io(&index_path, "write", error);
    file.file().write_all(text.as_bytes()).map_err(io)?;
    file.commit(&Placement { replace: Replace::Never, sync })?;
    receipts.remove()?;
    files.push(WrittenFile { path: index_path, bytes: text.len() as u64 });
    Ok(Finished::Now {
        written: Written { files, moved: Moved::default(), globals: BTreeSet::new() },
        tensors,
    })
}

fn shards_of(checkpoint: &Checkpoint) -> usize {
    checkpoint.sharded.as_ref().map_or(0, |sharded| sharded.shards.len())
}

/// The names of the output whose parts wait; `None` where none do.
fn waiting(path: &Path) -> Result<Option<ShardNames>, FormatError> {
    if !path.is_dir() {
        let names = ShardNames::of_index(path)?;
        return Ok(Some(names).filter(|names| names.parts().is_dir()));
    }
    let io = |source| FormatError::io(path, "read", source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let Ok(name) = entry.map_err(io)?.file_name().into_string() else { continue };
        found.extend(ShardNames::of_parts(path, &name));
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        many => {
            let mut indexes: Vec<String> =
                many.iter().map(|names| names.index().display().to_string()).collect();
            indexes.sort();
            let problem = PartProblem::ManyOutputs { indexes };
            Err(FormatError::Parts { path: path.to_owned(), problem })
        }
    }
}
