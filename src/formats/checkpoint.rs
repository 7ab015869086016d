//! A checkpoint as it is read.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::join::Further;
use super::optimizer::Optimizer;
use super::pytorch::{self, Document};
use super::{EditError, FormatError, Origin, Refused, Sharded, StoredTensor, safetensors};
use crate::edit::Edit;
use crate::keyset::Key;
use crate::tensor::{Dtype, TensorSpec};

/// The file formats that are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON header and one buffer of tensors.
    Safetensors,
    /// The zip archive that `torch.save` writes since torch 1.6. What was read from its legacy format counts
    /// as this one, which is what it is written as.
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
    /// The file as the user named it; of a sharded checkpoint the index.
    pub path: PathBuf,
    /// The format of the file, or of the shards.
    pub format: Format,
    /// The chosen dicts of tensors, in the order in which they were named; never empty. In a file
    /// without any dict of tensors it is one without entries, at the root.
    pub dicts: Vec<StateDict>,
    /// The `__metadata__` of a safetensors file, in order.
    pub metadata: IndexMap<String, String>,
    /// What else the file holds beside the chosen dicts.
    pub others: Vec<Other>,
    /// Where the file holds further dicts of tensors, which may mirror a chosen one.
    pub further_dicts: Vec<DictPath>,
    /// The optimizers whose state the file holds.
    pub optimizers: Vec<Optimizer>,
    /// The further files where several were joined; their tensors are among those of `dicts`.
    pub further: Vec<Further>,
    /// Its index, where it is sharded.
    pub sharded: Option<Sharded>,
    /// What the container tells of who wrote it.
    pub origin: Origin,
    /// Every `module.name` that the pickles of a torch file mention, those of further files among them.
    pub globals: BTreeSet<String>,
    /// What torch's weights-only loader refuses in these pickles.
    pub refused: Refused,
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
            further_dicts: Vec::new(),
            optimizers: Vec::new(),
            further: Vec::new(),
            sharded: None,
            origin: Origin::default(),
            globals: BTreeSet::new(),
            refused: Refused::default(),
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

    /// The files that hold its tensors, those that were joined to it among them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = match self.sharded.as_ref().map(|sharded| sharded.shards.as_slice()) {
            Some([first, ..]) => first,
            _ => &self.path,
        };
        std::iter::once(own.as_path()).chain(self.further.iter().map(|further| further.path.as_path()))
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
        super::write::verify_storages(self, &self.path, |_, _| true)
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
    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        let further = self.further.iter().filter_map(|further| further.document.as_deref());
        self.document.as_deref().into_iter().chain(further)
    }
}

/// One entry of a state dict.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key, joined with dots where it lies in a nested dict.
    pub key: Key,
    /// Its content.
    pub data: EntryData,
    /// Whether it was pickled as a `torch.nn.Parameter`.
    pub parameter: bool,
}

/// The spec of what is no plain tensor.
static OBJECT: TensorSpec = TensorSpec { dtype: Dtype::Object, shape: Vec::new() };

impl Entry {
    /// Its dtype and shape; what is no plain tensor is an object.
    pub fn spec(&self) -> &TensorSpec {
        match &self.data {
            EntryData::Stored(tensor) => &tensor.spec,
            EntryData::Opaque { .. } => &OBJECT,
        }
    }
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
