//! Torch's distributed checkpoints: a folder of `*.distcp` files, and a `.metadata` that says what is in them.
//!
//! The tensors in it are in pieces, and which object was saved around them is known to the program alone that
//! saved it. So it is not read as a checkpoint: torch makes one file of it. What `.metadata` says
//! (`torch/distributed/checkpoint/metadata.py`) can be shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::{pickle_limit, read_pickle};
use super::graph::{Graph, NodeId};
use super::opcode::{BUILD, NEWOBJ};
use super::tensors;
use super::weights_only::{Persistent, Refused, mentions, refused};
use crate::formats::{Foreign, FormatError, Limits, SourceFile};
use crate::tensor::TensorSpec;

const METADATA: &str = ".metadata";
const EXTENSION: &str = "distcp";
/// What Lightning and Fabric put beside it (`lightning/fabric/utilities/load.py`).
const LIGHTNING: &str = "meta.pt";

/// A distributed checkpoint, as its `.metadata` tells.
#[derive(Debug)]
pub struct Distributed {
    /// The folder as the user named it.
    pub path: PathBuf,
    /// How many files of tensors it holds.
    pub files: usize,
    /// The size of the folder's files in bytes.
    pub bytes: u64,
    /// The version of the format that torch has noted, where it has.
    pub version: Option<String>,
    /// What was saved, in order.
    pub entries: Vec<Saved>,
    /// Which of the two kinds it is.
    pub kind: Foreign,
    /// Every `module.name` that `.metadata` mentions, sorted.
    pub globals: BTreeSet<String>,
    /// What torch's weights-only loader would refuse in it: torch itself reads it without one.
    pub refused: Refused,
}

/// One value in a distributed checkpoint.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Its name: the keys that led to it, joined with dots.
    pub key: String,
    /// Its dtype and shape, where it is a tensor of a dtype that is known.
    pub spec: Option<TensorSpec>,
    /// What it is otherwise.
    pub what: &'static str,
}

/// Whether a path is such a folder or a file of one, and of which kind.
pub(in crate::formats) fn kind(path: &Path) -> Option<Foreign> {
    if path.is_dir() {
        let there = |name: &str| path.join(name).is_file();
        return match (there(METADATA), there(LIGHTNING)) {
            (true, true) => Some(Foreign::DistributedLightning),
            (true, false) => Some(Foreign::Distributed),
            _ => None,
        };
    }
    let is_part = path.extension().is_some_and(|extension| extension == EXTENSION)
        || path.file_name().is_some_and(|name| name == METADATA);
    is_part.then_some(Foreign::DistributedPart)
}

/// Reads what a distributed checkpoint says of itself; nothing where `path` is none.
///
/// # Errors
/// Where its `.metadata` cannot be read, or is damaged.
pub fn open_distributed(path: &Path, limits: &Limits) -> Result<Option<Distributed>, FormatError> {
    let Some(kind @ (Foreign::Distributed | Foreign::DistributedLightning)) = kind(path) else {
        return Ok(None);
    };
    let place = path.join(METADATA);
    let file = SourceFile::open(&place)?;
    let (limit, raise) = pickle_limit(limits);
    if file.len() > limit {
        let (what, size) = (METADATA.to_owned(), file.len());
        return Err(FormatError::TooLarge { path: path.to_owned(), what, size, limit, raise });
    }
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0)?;
    let graph = read_pickle(bytes, file.len(), limits).map_err(|error| FormatError::Pickle {
        path: path.to_owned(),
        part: METADATA,
        opcode: error.opcode,
        offset: error.offset,
        what: error.what,
    })?;
    let fields = attributes(&graph, graph.root);
    let saved = fields.and_then(|fields| graph.item(fields, "state_dict_metadata"));
    let Some(saved) = saved.filter(|&saved| graph.is_dict(saved)) else {
        return Err(FormatError::Pickle {
            path: path.to_owned(),
            part: METADATA,
            opcode: "the end".to_owned(),
            offset: 0,
            what: "it does not say what was saved, as torch's does".to_owned(),
        });
    };
    let entries = graph.items(saved).into_iter().filter_map(|(key, value)| {
        let key = graph.text(key)?.into_owned();
        Some(entry(&graph, key, value))
    });
    let version = fields.and_then(|fields| graph.item(fields, "version"));
    let version = version.and_then(|version| Some(graph.text(version)?.into_owned()));
    let (files, bytes) = count(path)?;
    Ok(Some(Distributed {
        path: path.to_owned(),
        files,
        bytes,
        version,
        entries: entries.collect(),
        kind,
        globals: mentions(&graph),
        refused: refused(&graph, Persistent::None),
    }))
}

/// The number of `*.distcp` files, and the size of all files.
fn count(path: &Path) -> Result<(usize, u64), FormatError> {
    let io = |source| FormatError::io(path, "read", source);
    let (mut files, mut bytes) = (0, 0u64);
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let metadata = entry.metadata().map_err(io)?;
        if metadata.is_file() {
            bytes = bytes.saturating_add(metadata.len());
            files += usize::from(entry.path().extension().is_some_and(|extension| extension == EXTENSION));
        }
    }
    Ok((files, bytes))
}

/// What an object was given by `BUILD`.
fn state(graph: &Graph, object: NodeId) -> Option<NodeId> {
    let state = graph.steps(object).filter(|step| step.op == BUILD).last()?;
    graph.list(state.operands).first().copied()
}

/// The attributes of an object, as a dict.
fn attributes(graph: &Graph, object: NodeId) -> Option<NodeId> {
    state(graph, object).filter(|&state| graph.is_dict(state))
}

/// The name of the class of an object.
fn class(graph: &Graph, object: NodeId) -> Option<String> {
    if graph.node(object).op != NEWOBJ {
        return None;
    }
    let &class = graph.operands(object).first()?;
    graph.global(class).map(|(_, name)| name.into_owned())
}

fn entry(graph: &Graph, key: String, value: NodeId) -> Saved {
    let what = match class(graph, value).as_deref() {
        Some("TensorStorageMetadata") => match spec(graph, value) {
            Some(spec) => return Saved { key, spec: Some(spec), what: "tensor" },
            None => "a tensor of unknown dtype",
        },
        Some("BytesStorageMetadata") => "a value that is no tensor",
        _ => "unknown",
    };
    Saved { key, spec: None, what }
}

/// The dtype and the whole shape of a tensor, of which each file may hold a piece.
fn spec(graph: &Graph, value: NodeId) -> Option<TensorSpec> {
    let fields = attributes(graph, value)?;
    let properties = state(graph, graph.item(fields, "properties")?)?;
    let &dtype = graph.tuple(properties)?.first()?;
    let (module, dtype) = graph.global(dtype)?;
    let dtype = tensors::dtype_of(&dtype).filter(|_| module == "torch")?;
    let size = tensors::size(graph, graph.item(fields, "size")?)?;
    let dims = size.iter().map(|&dim| u64::try_from(graph.int(dim)?).ok());
    Some(TensorSpec::new(dtype, dims.collect::<Option<Vec<u64>>>()?))
}
