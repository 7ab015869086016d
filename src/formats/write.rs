//! What an output is made of, and how it is written: beside its place first, then into it.

use std::collections::HashMap;
use std::path::Path;

use super::atomic::{AtomicFile, Placement, Replace};
use super::checkpoint::{Checkpoint, Format};
use super::optimizer::OutputOptimizer;
use super::output::OutputFile;
use super::{FormatError, Produce, Progress, pytorch, safetensors};
use crate::edit::Edit;

/// One tensor of an output.
pub struct OutputTensor<'a> {
    /// Its key.
    pub key: String,
    /// Where its content comes from.
    pub content: Content<'a>,
}

/// Where the content of an output tensor comes from.
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
    /// What was done, as JSON text: the safetensors metadata key `migrate`, or the key `migrate` of
    /// a torch file's root dict where that is not itself the state dict.
    pub record: Option<String>,
    /// Whether the state dict alone is written, which must be the only one.
    pub weights_only: bool,
    /// Told of every byte that is written.
    pub progress: &'a dyn Progress,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The size of the file.
    pub bytes: u64,
}

/// An output that is complete and not yet in its place; dropped, it is gone.
#[derive(Debug)]
pub struct Staged {
    file: AtomicFile,
    written: Written,
}

impl Staged {
    /// Puts the output in its place.
    ///
    /// # Errors
    /// Where something is there that must not be replaced, and where the system refuses.
    pub fn commit(self, placement: &Placement) -> Result<Written, FormatError> {
        self.file.commit(placement)?;
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
/// The source's storages are checked against their recorded CRCs at the same time, in a second
/// thread: a damaged source gives no output.
///
/// # Errors
/// Where the format cannot hold the output, the source is damaged, the path is taken, or the system
/// refuses.
pub fn stage(output: &Output<'_>, path: &Path, placement: &Placement) -> Result<Staged, FormatError> {
    if placement.replace == Replace::Never && path.symlink_metadata().is_ok() {
        return Err(FormatError::Exists { path: path.to_owned() });
    }
    check_dicts(output, path)?;
    let file = AtomicFile::create(path)?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let bytes = std::thread::scope(|scope| {
        let check = || output.source.documents().try_for_each(|document| document.verify(&stop));
        let verifier = output.source.documents().next().map(|_| scope.spawn(check));
        let mut out = OutputFile::new(path, file.file(), output.progress);
        let written = match output.format {
            Format::Safetensors => safetensors::write(output, &mut out),
            Format::TorchZip => pytorch::write(output, &mut out),
        };
        let written = written.and_then(|()| out.flush());
        if written.is_err() {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        let verified = verifier.map(std::thread::ScopedJoinHandle::join);
        written?;
        match verified {
            None => {}
            Some(Ok(result)) => result?,
            Some(Err(_)) => {
                let what = "checking the source failed".to_owned();
                return Err(FormatError::Output { path: path.to_owned(), what });
            }
        }
        Ok(out.position())
    })?;
    Ok(Staged { file, written: Written { bytes } })
}

/// Checks that the output has a dict for each of the source's, and can hold as many.
fn check_dicts(output: &Output<'_>, path: &Path) -> Result<(), FormatError> {
    let (dicts, wanted) = (&output.source.dicts, output.dicts.len());
    if dicts.len() > 1 && (output.format == Format::Safetensors || output.weights_only) {
        return Err(FormatError::OneDictOnly {
            path: path.to_owned(),
            dicts: dicts.iter().map(|dict| dict.at.name()).collect(),
            weights_only: output.format != Format::Safetensors,
        });
    }
    if dicts.len() != wanted {
        let what = format!("{wanted} dicts of tensors are given for the {} of the source", dicts.len());
        return Err(FormatError::Output { path: path.to_owned(), what });
    }
    Ok(())
}
