//! What an output is made of, and how it is written: beside its place first, then into it.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use foldhash::HashMap;

use super::atomic::{AtomicFile, Placement, Replace};
use super::checkpoint::{Checkpoint, Format};
use super::mover::Moved;
use super::optimizer::OutputOptimizer;
use super::output::OutputFile;
use super::recording::Recording;
use super::sharded::StagedShards;
use super::workers::in_threads;
use super::{FormatError, Produce, Progress, Storage, pytorch, safetensors};
use crate::edit::Edit;
use crate::keyset::Key;

/// One tensor of an output.
pub struct OutputTensor<'a> {
    /// Its key.
    pub key: Key,
    /// Where its content comes from.
    pub content: Content<'a>,
}

/// Where the content of an output tensor comes from.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// A source entry as it is: the same object, storage and strides. A safetensors output takes
    /// contiguous tensors only.
    Kept {
        /// The index of the entry in the source's dict that this one is made from.
        entry: usize,
    },
    /// A new contiguous tensor.
    Produced {
        /// Who makes its bytes.
        tensor: &'a dyn Produce,
        /// The entry of that same source dict whose device (`cpu`, `cuda:0`) it takes over, and whether it is a
        /// parameter.
        like: Option<usize>,
    },
    /// Another name of an earlier output tensor: torch shares the storage, safetensors holds it twice.
    Tied {
        /// The index of that tensor in the same dict of the output.
        to: usize,
    },
}

/// One dict of tensors of an output.
#[derive(Default)]
pub struct OutputDict<'a> {
    /// The tensors, in order.
    pub tensors: Vec<OutputTensor<'a>>,
    /// New paths for the modules in `_metadata`: absent is unchanged, empty is dropped, with several
    /// each gets a copy.
    pub modules: HashMap<String, Vec<String>>,
}

/// An output file: what it takes over and what is new in it.
pub struct Output<'a> {
    /// The checkpoint whose other values and order of records are kept.
    pub source: &'a Checkpoint,
    /// The format to write.
    pub format: Format,
    /// What the dicts of tensors become: one for each of the source's, in the same order. A safetensors
    /// file holds one.
    pub dicts: Vec<OutputDict<'a>>,
    /// What becomes of the source's optimizers, one for each; empty where all stay as they are.
    pub optimizers: Vec<OutputOptimizer<'a>>,
    /// Changes to what the source holds besides tensors; with `weights_only` they are without effect.
    pub edits: &'a [Edit],
    /// What becomes of the record of migrations.
    pub record: Recording,
    /// Whether the state dict alone is written, which must be the only one.
    pub weights_only: bool,
    /// Told of every byte that is written.
    pub progress: &'a dyn Progress,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The files: one, or shards in their order and then their index.
    pub files: Vec<WrittenFile>,
    /// How the bytes of tensors came into them.
    pub moved: Moved,
    /// Every `module.name` that the pickles mention which were written now. Shards mention what rebuilds tensors and
    /// nothing else, so that those of a part stand for all.
    pub globals: BTreeSet<String>,
}

impl Written {
    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The number of shards, where there are any.
    pub fn shards(&self) -> Option<usize> {
        self.files.len().checked_sub(1).filter(|&shards| shards > 0)
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its place.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// An output that is complete and not yet in its place; dropped, it is gone.
#[derive(Debug)]
pub struct Staged {
    files: StagedFiles,
    written: Written,
}

#[derive(Debug)]
enum StagedFiles {
    One(AtomicFile),
    Shards(StagedShards),
    /// Shards of a part take their places one by one.
    Placed,
}

impl Staged {
    pub(super) fn placed(written: Written) -> Staged {
        Staged { files: StagedFiles::Placed, written }
    }

    pub(super) fn shards(shards: StagedShards, written: Written) -> Staged {
        Staged { files: StagedFiles::Shards(shards), written }
    }

    /// Puts the output in its place.
    ///
    /// # Errors
    /// Where something is there that must not be replaced, and where the system refuses.
    pub fn commit(self, placement: &Placement) -> Result<Written, FormatError> {
        match self.files {
            StagedFiles::One(file) => file.commit(placement)?,
            StagedFiles::Shards(shards) => shards.commit(placement)?,
            StagedFiles::Placed => {}
        }
        Ok(self.written)
    }
}

/// Writes an output; it appears whole or not at all.
///
/// # Errors
/// As [`stage`], and as [`Staged::commit`].
pub fn write(output: &Output<'_>, path: &Path, placement: &Placement) -> Result<Written, FormatError> {
    stage(output, path, placement)?.commit(placement)
}

/// Writes an output beside its place, so that several can appear together.
///
/// The source's storages are checked against their recorded CRCs, on the way into the output where they go
/// there whole: a damaged source gives no output.
///
/// # Errors
/// Where the format cannot hold the output, the source is damaged, the path is taken, or the system
/// refuses.
pub fn stage(output: &Output<'_>, path: &Path, placement: &Placement) -> Result<Staged, FormatError> {
    if placement.replace == Replace::Never && path.symlink_metadata().is_ok() {
        return Err(FormatError::Exists { path: path.to_owned() });
    }
    check_dicts(output, path, output.format == Format::Safetensors)?;
    let file = AtomicFile::create(path)?;
    if placement.replace == Replace::InPlace {
        file.take_access_of(path)?;
    }
    let mut out = OutputFile::new(path, file.file(), output.progress);
    let body = write_body(output, &mut out)?;
    verify_storages(output.source, path, |_, storage| !body.verified(storage))?;
    let files = vec![WrittenFile { path: path.to_owned(), bytes: body.bytes }];
    let written = Written { files, moved: body.moved, globals: body.globals };
    Ok(Staged { files: StagedFiles::One(file), written })
}

/// What the body of a file came to.
pub(super) struct Body {
    /// The length of the file.
    pub(super) bytes: u64,
    /// How its bytes came into it.
    pub(super) moved: Moved,
    /// The source's storages whose CRCs were compared on the way.
    pub(super) verified: HashSet<*const Storage>,
    /// Every `module.name` that its pickle mentions.
    pub(super) globals: BTreeSet<String>,
}

/// Lays out and writes a whole file.
pub(super) fn write_body<'a>(output: &'a Output<'a>, out: &mut OutputFile<'a>) -> Result<Body, FormatError> {
    match output.format {
        Format::Safetensors => safetensors::write(output, out),
        Format::TorchZip => pytorch::write(output, out),
    }
}

/// Compares those of the source's storages that are `wanted` with their recorded CRCs; they are told by number,
/// counted over all files of the source. `path` is what errors of the threads themselves name.
pub(super) fn verify_storages(
    source: &Checkpoint,
    path: &Path,
    wanted: impl Fn(usize, &Storage) -> bool,
) -> Result<(), FormatError> {
    let storages = source.documents().flat_map(|document| document.recorded_storages()).enumerate();
    let wanted: Vec<_> = storages
        .filter(|(number, recorded)| wanted(*number, recorded.storage))
        .map(|found| found.1)
        .collect();
    in_threads(wanted.len(), path, |index, buffer| {
        wanted.get(index).map_or(Ok(()), |recorded| recorded.verify(buffer))
    })
}

impl Body {
    /// Whether a storage was compared on the way.
    pub(super) fn verified(&self, storage: &Storage) -> bool {
        self.verified.contains(&std::ptr::from_ref(storage))
    }
}

/// Checks that the output has a dict for each of the source's, and can hold as many; `single` says that it
/// holds one whatever is chosen.
pub(super) fn check_dicts(output: &Output<'_>, path: &Path, single: bool) -> Result<(), FormatError> {
    let (dicts, wanted) = (&output.source.dicts, output.dicts.len());
    if dicts.len() > 1 && (single || output.weights_only) {
        return Err(FormatError::OneDictOnly {
            path: path.to_owned(),
            dicts: dicts.iter().map(|dict| dict.at.name()).collect(),
            weights_only: !single,
        });
    }
    if dicts.len() != wanted {
        let what = format!("{wanted} dicts of tensors are given for the {} of the source", dicts.len());
        return Err(FormatError::Output { path: path.to_owned(), what });
    }
    Ok(())
}
