//! Which tensor goes into which shard.

use std::collections::HashMap;
use std::sync::Arc;

use crate::formats::write::{Content, Output, OutputDict};
use crate::formats::{EntryData, Format};

/// Tensors by shard, and what they take together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Partition {
    /// The numbers of the tensors of each shard, in order.
    pub(super) shards: Vec<Vec<usize>>,
    /// The bytes of all tensors; what several share is counted once.
    pub(super) total_size: u64,
}

/// Fills shards in the order of the tensors, each up to `max` bytes of them, and counts them as they are full, as
/// Hugging Face's `split_torch_state_dict_into_shards` does: a tensor that is larger gets a shard of its own, and
/// one that shares storage goes where its storage is, since files cannot share it.
pub(super) fn partition(output: &Output<'_>, dict: &OutputDict<'_>, max: u64) -> Partition {
    let mut shards: Vec<Vec<usize>> = Vec::new();
    let mut total_size = 0u64;
    // Where each tensor went, for those that are tied to it, and each storage.
    let mut homes: Vec<usize> = Vec::with_capacity(dict.tensors.len());
    let mut storages: HashMap<usize, usize> = HashMap::new();
    // The shard that is being filled, and how far; and those that are full.
    let mut open: Option<(usize, u64)> = None;
    let mut full: Vec<usize> = Vec::new();
    for (number, tensor) in dict.tensors.iter().enumerate() {
        let (home, storage, size) = match tensor.content {
            Content::Tied { to } if output.format == Format::TorchZip => (homes.get(to).copied(), None, 0),
            Content::Tied { to } => (None, None, own(output, dict, to).1),
            _ => {
                let (storage, size) = own(output, dict, number);
                (storage.and_then(|storage| storages.get(&storage)).copied(), storage, size)
            }
        };
        let home = home.unwrap_or_else(|| {
            total_size = total_size.saturating_add(size);
            if let Some((shard, filled)) = &mut open
                && filled.saturating_add(size) <= max
            {
                *filled += size;
                return *shard;
            }
            let new = shards.len();
            shards.push(Vec::new());
            match size > max {
                true => full.push(new),
                false => full.extend(open.replace((new, size)).map(|(shard, _)| shard)),
            }
            new
        });
        shards[home].push(number);
        homes.push(home);
        if let Some(storage) = storage {
            storages.entry(storage).or_insert(home);
        }
    }
    full.extend(open.map(|(shard, _)| shard));
    let shards = full.into_iter().map(|shard| std::mem::take(&mut shards[shard])).collect();
    Partition { shards, total_size }
}

/// What tells the storage of a tensor that a torch file may share, and the bytes that it takes.
fn own(output: &Output<'_>, dict: &OutputDict<'_>, number: usize) -> (Option<usize>, u64) {
    match dict.tensors.get(number).map(|tensor| tensor.content) {
        Some(Content::Produced { tensor, .. }) => (None, tensor.spec().nbytes().unwrap_or(0)),
        Some(Content::Tied { to }) if to < number => own(output, dict, to),
        Some(Content::Kept { entry }) => {
            let entry = output.source.main_dict().entries.get(entry);
            match entry.map(|entry| (&entry.data, entry.spec())) {
                Some((EntryData::Stored(tensor), _)) if output.format == Format::TorchZip => {
                    (Some(Arc::as_ptr(&tensor.storage) as usize), tensor.storage.extent.len)
                }
                Some((EntryData::Stored(_), spec)) => (None, spec.nbytes().unwrap_or(0)),
                _ => (None, 0),
            }
        }
        _ => (None, 0),
    }
}
