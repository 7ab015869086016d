//! A checkpoint as it is read, and as it is to be written.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::atomic::{AtomicFile, Placement, Replace};
use super::join::Further;
use super::optimizer::{Optimizer, OutputOptimizer};
use super::output::OutputFile;
use super::pytorch::{self, Document};
use super::recording::Recording;
use super::{
    EditError, Foreign, FormatError, Overlap, Produce, Progress, SourceFile, StoredTensor, safetensors,
};
use crate::edit::Edit;
use crate::tensor::TensorSpec;

/// The file formats that are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON header and one buffer of tensors.
    Safetensors,
    /// The zip archive that `torch.save` writes since torch 1.6.
    TorchZip,
}

impl Format {
    /// The format that the name of an output asks for.
    ///
    /// # Errors
    /// [`FormatError::UnknownExtension`] for anything but `.safetensors`, `.pt`, `.pth`, `.ckpt`
    /// and `.bin`.
    pub fn from_extension(path: &Path) -> Result<Self, FormatError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => Ok(Format::Safetensors),
            Some("pt" | "pth" | "ckpt" | "bin") => Ok(Format::TorchZip),
            _ => Err(FormatError::UnknownExtension { path: path.to_owned() }),
        }
    }
}

/// Budgets for what a file may make the reader do; a file beyond them is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The size of a safetensors header.
    pub header_bytes: u64,
    /// The size of a torch file's pickle.
    pub pickle_bytes: u64,
    /// The number of values in a pickle.
    pub pickle_nodes: usize,
    /// What the compressed entries of a torch file inflate to, together.
    pub inflated_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            header_bytes: safetensors::MAX_HEADER,
            pickle_bytes: 1 << 30,
            pickle_nodes: 50_000_000,
            inflated_bytes: 64 << 30,
        }
    }
}

/// The keys that lead from the root of a file to a dict; empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DictPath(pub Vec<String>);

impl DictPath {
    /// As it can be written for [`open`]: `.` for the root.
    pub fn name(&self) -> String {
        if self.0.is_empty() { ".".to_owned() } else { self.to_string() }
    }
}

impl fmt::Display for DictPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// Something that a file holds besides the chosen dicts of tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The keys that lead to it, joined with dots.
    pub path: String,
    /// What it is, in a few words.
    pub what: String,
}

/// What a file holds, known from its headers alone.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file as the user named it.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The chosen dicts of tensors, in the order in which they were named; never empty. In a file
    /// without any dict of tensors it is one without entries, at the root.
    pub dicts: Vec<StateDict>,
    /// The `__metadata__` of a safetensors file, in order.
    pub metadata: IndexMap<String, String>,
    /// What else the file holds beside the chosen dicts.
    pub others: Vec<Other>,
    /// The optimizers whose state the file holds.
    pub optimizers: Vec<Optimizer>,
    /// The further files where several were joined; their tensors are among those of `dicts`.
    pub further: Vec<Further>,
    /// Every `module.name` that a torch file's pickle names, sorted.
    pub globals: Vec<String>,
    /// Whether a safetensors header has `__metadata__`, be it empty.
    pub(super) has_metadata: bool,
    pub(super) document: Option<Arc<Document>>,
}

/// One dict of tensors with those nested in it, joined with dots.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    /// Where it lies.
    pub at: DictPath,
    /// Its entries and those of the dicts nested in it, in file order.
    pub entries: Vec<Entry>,
    /// The module paths in its `_metadata`, in order.
    pub modules: Vec<String>,
    /// What [`join()`](super::join) has put before the keys of the checkpoint's own file: `r0.`, or nothing.
    pub prefix: String,
    /// How many entries, from the front, lie in the checkpoint's own file; all, where absent.
    pub own: Option<usize>,
}

impl StateDict {
    /// Whether an entry lies in the checkpoint's own file, and not in one that was joined to it.
    pub fn is_own(&self, entry: usize) -> bool {
        self.own.is_none_or(|own| entry < own)
    }
}

/// What [`Checkpoint::main_dict`] gives where there is none.
static NO_DICT: StateDict = StateDict {
    at: DictPath(Vec::new()),
    entries: Vec::new(),
    modules: Vec::new(),
    prefix: String::new(),
    own: None,
};

impl Checkpoint {
    pub(super) fn new(path: &Path, format: Format, dicts: Vec<StateDict>) -> Self {
        Checkpoint {
            path: path.to_owned(),
            format,
            dicts,
            metadata: IndexMap::new(),
            others: Vec::new(),
            optimizers: Vec::new(),
            further: Vec::new(),
            globals: Vec::new(),
            has_metadata: false,
            document: None,
        }
    }

    /// A checkpoint that holds nothing: what is known of it is a key set.
    pub fn of_keys(path: &Path) -> Self {
        Checkpoint::new(path, Format::Safetensors, vec![StateDict::default()])
    }

    /// The dict that is meant where one is: the first that was named, or the one that was found.
    pub fn main_dict(&self) -> &StateDict {
        self.dicts.first().unwrap_or(&NO_DICT)
    }

    /// What an earlier migration recorded, as JSON text.
    pub fn record(&self) -> Option<String> {
        match &self.document {
            Some(document) => document.record(),
            None => self.metadata.get("migrate").cloned(),
        }
    }

    /// Reads every storage that has a recorded CRC and compares, also those of further files.
    ///
    /// torch does not check this: a damaged file loads silently. [`write()`] checks its source by
    /// itself.
    ///
    /// # Errors
    /// [`FormatError::Crc`] naming the first damaged entry, and where reading fails.
    pub fn verify(&self) -> Result<(), FormatError> {
        self.documents().try_for_each(|document| document.verify(&Default::default()))
    }

    /// Checks that edits can be made in this order; says what each value was, where there was one.
    ///
    /// # Errors
    /// The first edit that names no value, or no place for one.
    pub fn check_edits(&self, edits: &[Edit]) -> Result<Vec<Option<String>>, EditError> {
        match &self.document {
            Some(document) if !edits.is_empty() => pytorch::check_edits(document, edits),
            Some(_) => Ok(Vec::new()),
            None => safetensors::edited(&self.metadata, edits).map(|(_, old)| old),
        }
    }

    /// The torch files that it was read from.
    fn documents(&self) -> impl Iterator<Item = &Document> {
        let further = self.further.iter().filter_map(|further| further.document.as_deref());
        self.document.as_deref().into_iter().chain(further)
    }
}

/// One entry of a state dict.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key, joined with dots where it lies in a nested dict.
    pub key: String,
    /// Its dtype and shape.
    pub spec: TensorSpec,
    /// Its content.
    pub data: EntryData,
    /// Whether it was pickled as a `torch.nn.Parameter`.
    pub parameter: bool,
}

/// What an entry holds.
#[derive(Clone, Debug)]
pub enum EntryData {
    /// A plain tensor.
    Stored(StoredTensor),
    /// Something that can be renamed, dropped and passed through, but not looked into.
    Opaque {
        /// What it is, in a few words.
        what: String,
    },
}

/// Opens a checkpoint of a format that its content tells, with the dicts of tensors at `at`.
///
/// Each dict is named by its keys, joined with dots (`.` is the root). With `at` empty it is found by
/// itself; a torch file without any dict of tensors (a pickled module, say) then gives a checkpoint
/// with one state dict without entries.
///
/// # Errors
/// Where the file is no checkpoint, is damaged, holds several dicts of tensors and `at` is empty, or
/// has no tensors at one of `at`; and where one of those is named twice, lies inside another, or shares
/// a dict with it.
pub fn open(path: &Path, at: &[&str], limits: &Limits) -> Result<Checkpoint, FormatError> {
    let file = SourceFile::open(path)?;
    let checkpoint = match detect(&file)? {
        Format::Safetensors => safetensors::open(&file, limits)?,
        Format::TorchZip => return pytorch::open(&file, at, limits),
    };
    if let Some(&at) = at.iter().find(|&&at| !at.is_empty() && at != ".") {
        return Err(FormatError::NoTensors { path: path.to_owned(), at: at.to_owned(), there: Vec::new() });
    }
    if at.len() > 1 {
        let (first, second) = (DictPath::default().name(), DictPath::default().name());
        return Err(FormatError::DictsOverlap {
            path: path.to_owned(),
            first,
            second,
            overlap: Overlap::Twice,
        });
    }
    Ok(checkpoint)
}

/// The format that the first bytes of a file show.
fn detect(file: &SourceFile) -> Result<Format, FormatError> {
    let path = file.path();
    let mut head = [0; 512];
    let length = usize::try_from(file.len().min(512)).unwrap_or(512);
    let head = &mut head[..length];
    file.read_at(head, 0)?;
    let foreign = |kind| Err(FormatError::NotACheckpoint { path: path.to_owned(), kind });
    if head.is_empty() {
        return Err(FormatError::Empty { path: path.to_owned() });
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Format::TorchZip);
    }
    // The magic number 0x1950a86a20f9469cfc6c as torch pickles it, in protocol 2 and later.
    if head.len() > 14 && head[0] == 0x80 && head[2..].starts_with(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19") {
        return foreign(Foreign::LegacyTorch);
    }
    if head.get(257..262) == Some(b"ustar") {
        return foreign(Foreign::LegacyTar);
    }
    if head.get(8) == Some(&b'{') || path.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(Format::Safetensors);
    }
    if head[0] == 0x80 && head.get(1).is_some_and(|protocol| (2..=5).contains(protocol)) {
        return foreign(Foreign::Pickle);
    }
    if head.starts_with(b"version https://git-lfs") {
        return foreign(Foreign::GitLfsPointer);
    }
    let text = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(), // cut inside a character
    };
    if text && !head.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
        return foreign(Foreign::Text);
    }
    foreign(Foreign::Unknown)
}

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
    /// What becomes of the record of migrations.
    pub record: Recording,
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
