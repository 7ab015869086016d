//! Writes the shards of an output and their index, beside the place that they are meant for.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::index::Index;
use super::names::ShardNames;
use super::partition::{Partition, partition};
use super::placing::{INDEX, INTERIM_INDEX, StagedShards};
use crate::formats::mover::Moved;
use crate::formats::output::OutputFile;
use crate::formats::write::{
    Body, Content, Output, OutputDict, OutputTensor, Staged, Written, WrittenFile, check_dicts,
    verify_others, write_body,
};
use crate::formats::{Entry, EntryData, Format, FormatError, Placement, Replace};

/// Writes an output as shards that hold at most `max` bytes of tensors, so that they can take their place
/// together.
///
/// A shard holds tensors alone, in both formats: in each of several pickles, other values would be said
/// several times over.
///
/// # Errors
/// As [`stage`](super::super::stage), and where the output holds other things than tensors.
pub fn stage_shards(
    output: &Output<'_>,
    names: &ShardNames,
    max: u64,
    placement: &Placement,
) -> Result<Staged, FormatError> {
    let index_path = names.index();
    if placement.replace == Replace::Never
        && let Some(path) = names.occupied()?.into_iter().next()
    {
        return Err(FormatError::Exists { path });
    }
    check_dicts(output, &index_path, true)?;
    refuse_others(output, &index_path)?;
    let none = OutputDict::default();
    let dict = output.dicts.first().unwrap_or(&none);
    let Partition { shards, total_size } = partition(output, dict, max);
    let staged = StagedShards::new(names, (1..=shards.len()).map(|n| names.shard(n, shards.len())))?;
    let mut files = Vec::with_capacity(shards.len() + 1);
    let (mut moved, mut verified) = (Moved::default(), HashSet::new());
    for (tensors, name) in shards.iter().zip(staged.shards()) {
        let shard = part(output, dict, tensors);
        let body = write_shard(&shard, &names.path(name), &staged.staged(name), placement)?;
        files.push(WrittenFile { path: names.path(name), bytes: body.bytes });
        moved += body.moved;
        verified.extend(body.verified);
    }
    verify_others(output.source, &verified, &index_path)?;
    let mut weight_map = IndexMap::with_capacity(dict.tensors.len());
    for (tensors, name) in shards.iter().zip(staged.shards()) {
        let keys = tensors.iter().filter_map(|&number| dict.tensors.get(number));
        weight_map.extend(keys.map(|tensor| (tensor.key.clone(), name.clone())));
    }
    let index = Index { metadata: metadata(output, dict, total_size), weight_map };
    let write = |file: &str, index: &Index| {
        let written = File::create(staged.staged(file)).and_then(|mut file| {
            file.write_all(index.text().as_bytes())?;
            if placement.sync { file.sync_all() } else { Ok(()) }
        });
        written.map_err(|source| FormatError::io(&index_path, "write", source))
    };
    write(INDEX, &index)?;
    write(INTERIM_INDEX, &index.renamed(|shard| staged.interim(shard)))?;
    files.push(WrittenFile { path: index_path.clone(), bytes: index.text().len() as u64 });
    Ok(Staged::shards(staged, Written { files, moved }))
}

/// Refuses what shards do not hold.
fn refuse_others(output: &Output<'_>, path: &Path) -> Result<(), FormatError> {
    if output.weights_only {
        return Ok(());
    }
    let mut others: Vec<String> = output.source.others.iter().map(|other| other.path.clone()).collect();
    if others.is_empty() && output.format == Format::TorchZip {
        // In a file of its own the state dict itself would be given the value.
        others.extend(output.edits.iter().map(|edit| edit.path.join(".")));
    }
    if others.is_empty() {
        return Ok(());
    }
    let (path, input) = (path.to_owned(), output.source.path.clone());
    Err(FormatError::OthersLost { path, input, others })
}

/// The output that one shard is.
fn part<'a>(output: &'a Output<'a>, dict: &'a OutputDict<'a>, tensors: &[usize]) -> Output<'a> {
    let place = |content: Content<'a>| match content {
        // A tensor that is tied to another one of a torch file is in its shard.
        Content::Tied { to } if output.format == Format::TorchZip => {
            tensors.iter().position(|&number| number == to).map_or(content, |to| Content::Tied { to })
        }
        // A safetensors file holds it once more.
        Content::Tied { to } => dict.tensors.get(to).map_or(content, |tensor| tensor.content),
        content => content,
    };
    let tensors = tensors.iter().filter_map(|&number| dict.tensors.get(number));
    let tensors =
        tensors.map(|tensor| OutputTensor { key: tensor.key.clone(), content: place(tensor.content) });
    Output {
        source: output.source,
        format: output.format,
        dicts: vec![OutputDict { tensors: tensors.collect(), modules: dict.modules.clone() }],
        optimizers: Vec::new(),
        edits: output.edits,
        record: output.record.clone(),
        weights_only: output.weights_only || output.format == Format::TorchZip,
        progress: output.progress,
    }
}

/// Writes a shard to `staged`; errors name `path`. Returns its size.
fn write_shard(
    shard: &Output<'_>,
    path: &Path,
    staged: &Path,
    placement: &Placement,
) -> Result<Body, FormatError> {
    let io = |source| FormatError::io(path, "write", source);
    let file = File::create_new(staged).map_err(io)?;
    let mut out = OutputFile::new(path, &file, shard.progress);
    let body = write_body(shard, &mut out)?;
    if placement.sync {
        file.sync_all().map_err(io)?;
    }
    Ok(body)
}

/// The index's `metadata`: what the source's index had, and sizes as they are now.
fn metadata(output: &Output<'_>, dict: &OutputDict<'_>, total_size: u64) -> Map<String, Value> {
    let mut metadata =
        output.source.sharded.as_ref().map(|sharded| sharded.metadata.clone()).unwrap_or_default();
    metadata.insert("total_size".to_owned(), total_size.into());
    // A count of the model's parameters, which holds as long as the elements are as many.
    let entries = &output.source.main_dict().entries;
    let of_entry = |entry: &Entry| match entry.data {
        EntryData::Stored(_) => entry.spec.numel(),
        EntryData::Opaque { .. } => None,
    };
    let of_content = |tensor: &OutputTensor<'_>| match tensor.content {
        Content::Kept { entry } => entries.get(entry).and_then(of_entry),
        Content::Produced { tensor, .. } => tensor.spec().numel(),
        Content::Tied { .. } => None,
    };
    if sum(entries.iter().map(of_entry)) != sum(dict.tensors.iter().map(of_content)) {
        metadata.remove("total_parameters");
    }
    metadata
}

fn sum(numbers: impl Iterator<Item = Option<u64>>) -> u64 {
    numbers.flatten().fold(0, u64::saturating_add)
}
