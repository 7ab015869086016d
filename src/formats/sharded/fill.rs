//! Writes the shards of one part of an output into a folder that other parts fill at the same time.
//!
//! Nobody waits for anybody: each part makes the same partition of the same plan and writes what is its own. There
//! is no index until all are there, so that nobody who reads a checkpoint sees one of them (`finish.rs`).

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use super::Cut;
use super::names::ShardNames;
use super::part_problem::PartProblem;
use super::receipt::{Agreed, Receipt, Receipts, RunDigest};
use super::writer::{Layout, write_shard};
use crate::formats::mover::Moved;
use crate::formats::write::{Output, Staged, Written, WrittenFile, verify_storages};
use crate::formats::{AtomicFile, FormatError, Limits, Placement, Replace};

/// The part of an output's shards that a run writes, where others write the rest.
#[derive(Clone, Copy)]
pub struct ShardPart<'a> {
    /// Which of them.
    pub cut: Cut,
    /// What all parts must agree on.
    pub run: &'a RunDigest,
    /// What the shards and receipts that are there already may make the reader do.
    pub limits: &'a Limits,
}

/// Writes the shards of a part; those that are there already, whole and of the same run, stay.
///
/// Each appears whole under its name, after its receipt. So a shard without a receipt is of someone else, and a
/// receipt without its shard is of a run that was stopped.
///
/// # Errors
/// As [`stage_shards`](super::stage_shards), and where the folder holds anything of another checkpoint or run.
pub fn fill_shards(
    output: &Output<'_>,
    names: &ShardNames,
    max: u64,
    part: ShardPart<'_>,
    placement: &Placement,
) -> Result<Staged, FormatError> {
    let ShardPart { cut, run, limits } = part;
    let index = names.index();
    let layout = Layout::new(output, names, max)?;
    let count = layout.shards.len();
    let receipts = Receipts::of(names, limits);
    let agreed = Agreed {
        tool: format!("migrate {}", env!("CARGO_PKG_VERSION")),
        run: run.clone(),
        parts: cut.parts(),
        shards: count,
        metadata: layout.metadata(),
    };
    receipts.check(&agreed)?;
    refuse_foreign(names, &receipts, &layout)?;
    for folder in [names.folder(), receipts.folder()] {
        make_folder(folder)?;
    }
    receipts.claim(&agreed, placement)?;
    let (mut files, mut lacking) = (Vec::new(), Vec::new());
    for number in (0..count).filter(|&number| cut.owns(number, count)) {
        let Some(name) = layout.names.get(number) else { continue };
        let path = names.path(name);
        match receipts.get(name)? {
            Some(receipt) if receipts.flaw(&receipt, &agreed, &path)?.is_none() => {
                files.push(WrittenFile { path, bytes: receipt.bytes });
            }
            _ => lacking.push((number, name)),
        }
    }
    if lacking.is_empty() {
        return Ok(Staged::placed(Written { files, moved: Moved::default(), globals: BTreeSet::new() }));
    }
    // What the single run does once is shared out: each storage of the source is checked by the part that
    // has the shard of its number. The last shard waits for that, so that a part that is whole has done it.
    let checks = |storage: usize| storage.checked_rem(count).is_some_and(|shard| cut.owns(shard, count));
    let place = |(file, name, receipt): (AtomicFile, &str, Receipt)| {
        let placement = Placement { replace: Replace::Force, ..*placement };
        receipts.give(name, &receipt, &placement)?;
        file.commit(&placement)
    };
    let (mut moved, mut verified, mut globals) = (Moved::default(), HashSet::new(), BTreeSet::new());
    let mut waiting = None;
    for (number, name) in lacking {
        if let Some(whole) = waiting.take() {
            place(whole)?;
        }
        let path = names.path(name);
        let file = AtomicFile::create_in(receipts.folder(), &path)?;
        let body = write_shard(&layout.part(number), &path, file.file())?;
        let receipt = Receipt { plan: run.plan.clone(), bytes: body.bytes, keys: layout.keys(number) };
        files.push(WrittenFile { path, bytes: body.bytes });
        moved += body.moved;
        verified.extend(body.verified);
        globals.extend(body.globals);
        waiting = Some((file, name.as_str(), receipt));
    }
    verify_storages(output.source, &index, |number, storage| {
        checks(number) && !verified.contains(&std::ptr::from_ref(storage))
    })?;
    waiting.map_or(Ok(()), place)?;
    files.sort_by(|first, second| first.path.cmp(&second.path));
    Ok(Staged::placed(Written { files, moved, globals }))
}

/// Refuses a folder with files of a checkpoint that parts of such a run do not write.
fn refuse_foreign(names: &ShardNames, receipts: &Receipts, layout: &Layout<'_>) -> Result<(), FormatError> {
    // First the shards, then their receipts: other parts give receipts first.
    let foreign = |name: &String| !(layout.names.contains(name) && receipts.has(name));
    match names.occupants()?.into_iter().find(foreign) {
        None => Ok(()),
        Some(file) => {
            let problem = PartProblem::Occupied { file };
            Err(FormatError::Parts { path: names.folder().to_owned(), problem })
        }
    }
}

/// Makes a folder, which another part may do at the same time.
fn make_folder(folder: &Path) -> Result<(), FormatError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.map_err(|error| FormatError::io(folder, "make", error)),
    }
}
