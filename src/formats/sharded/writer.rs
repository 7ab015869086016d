//! Writes the shards of an output and their index, beside the place that they are meant for.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::index::Index;
use super::names::{MOST_SHARDS, ShardNames};
use super::partition::{Partition, partition};
use super::placing::{INDEX, INTERIM_INDEX, StagedShards};
use crate::formats::mover::Moved;
use crate::formats::output::OutputFile;
use crate::formats::write::{
    Body, Content, Output, OutputDict, OutputTensor, Staged, Written, WrittenFile, check_dicts,
    verify_storages, write_body,
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
    let layout = Layout::new(output, names, max)?;
    let staged = StagedShards::new(names, layout.names.iter().cloned())?;
    let mut files = Vec::with_capacity(staged.shards().len() + 1);
    let (mut moved, mut verified, mut globals) = (Moved::default(), HashSet::new(), BTreeSet::new());
    for (number, name) in staged.shards().iter().enumerate() {
        let path = names.path(name);
        let io = |source| FormatError::io(&path, "write", source);
        let file = File::create_new(staged.staged(name)).map_err(io)?;
        let body = write_shard(&layout.part(number), &path, &file)?;
        if placement.sync {
            file.sync_all().map_err(io)?;
        }
        moved += body.moved;
        verified.extend(body.verified);
        globals.extend(body.globals);
        files.push(WrittenFile { path, bytes: body.bytes });
    }
    verify_storages(output.source, &index_path, |_, storage| {
        !verified.contains(&std::ptr::from_ref(storage))
    })?;
    let mut weight_map = IndexMap::with_capacity(layout.dict.tensors.len());
    for (number, name) in staged.shards().iter().enumerate() {
        weight_map.extend(layout.keys(number).into_iter().map(|key| (key, name.clone())));
    }
    let index = Index { metadata: layout.metadata(), weight_map };
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
    Ok(Staged::shards(staged, Written { files, moved, globals }))
}

/// Which tensors of an output go into which shard; equal outputs are laid out equally, wherever that is done.
pub(super) struct Layout<'a> {
    output: &'a Output<'a>,
    dict: &'a OutputDict<'a>,
    /// The numbers of the tensors of each shard.
    pub(super) shards: Vec<Vec<usize>>,
    /// The names of the shards.
    pub(super) names: Vec<String>,
    total_size: u64,
}

impl<'a> Layout<'a> {
    /// Lays out an output in shards of at most `max` bytes of tensors.
    ///
    /// # Errors
    /// Where the output holds other things than one dict of tensors, or would be too many shards.
    pub(super) fn new(output: &'a Output<'a>, names: &ShardNames, max: u64) -> Result<Self, FormatError> {
        let path = names.index();
        check_dicts(output, &path, true)?;
        refuse_others(output, &path)?;
        let wrong = |what: String| FormatError::Output { path: path.clone(), what };
        let dict = output.dicts.first().ok_or_else(|| wrong("it has no tensors".to_owned()))?;
        let Partition { shards, total_size } = partition(output, dict, max);
        if shards.len() > MOST_SHARDS {
            let count = shards.len();
            let help = "let each be larger (`--max-shard-size`)";
            return Err(wrong(format!("it would be {count} shards, and {MOST_SHARDS} are the most: {help}")));
        }
        let names = (1..=shards.len()).map(|number| names.shard(number, shards.len())).collect();
        Ok(Layout { output, dict, shards, names, total_size })
    }

    /// The numbers of the tensors of a shard, counted from 0.
    fn tensors(&self, shard: usize) -> &[usize] {
        self.shards.get(shard).map_or(&[], Vec::as_slice)
    }

    /// The output that a shard is.
    pub(super) fn part(&self, shard: usize) -> Output<'a> {
        part(self.output, self.dict, self.tensors(shard))
    }

    /// The keys of a shard, in order.
    pub(super) fn keys(&self, shard: usize) -> Vec<String> {
        let tensors = self.tensors(shard).iter().filter_map(|&number| self.dict.tensors.get(number));
        tensors.map(|tensor| tensor.key.to_string()).collect()
    }

    /// The `metadata` of the index.
    pub(super) fn metadata(&self) -> Map<String, Value> {
        metadata(self.output, self.dict, self.total_size)
    }
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

/// Writes a shard into a file; errors name `path`.
pub(super) fn write_shard(shard: &Output<'_>, path: &Path, file: &File) -> Result<Body, FormatError> {
    let mut out = OutputFile::new(path, file, shard.progress);
    write_body(shard, &mut out)
}

/// The index's `metadata`: what the source's index had, and sizes as they are now.
fn metadata(output: &Output<'_>, dict: &OutputDict<'_>, total_size: u64) -> Map<String, Value> {
    let mut metadata =
        output.source.sharded.as_ref().map(|sharded| sharded.metadata.clone()).unwrap_or_default();
    metadata.insert("total_size".to_owned(), total_size.into());
    // A count of the model's parameters, which holds as long as the elements are as many.
    let entries = &output.source.main_dict().entries;
    let of_entry = |entry: &Entry| match entry.data {
        EntryData::Stored(_) => entry.spec().numel(),
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
