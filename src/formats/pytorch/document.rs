//! A torch file that has been read: its archive's records, its graph, its state dicts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::archive::{Archive, Spool};
use super::choose::{self, Chosen};
use super::dicts;
use super::graph::{Graph, NodeId};
use super::joined::TooLong;
use super::legacy;
use super::machine::{self, PickleError};
use super::opcode::*;
use super::optimizers::{self, ValueNodes};
use super::tensors::{self, Meaning, Plain};
use super::weights_only::{Persistent, Refused, mentions, refused};
use crate::formats::checkpoint::{Checkpoint, DictPath, Entry, EntryData, Format, StateDict};
use crate::formats::windows::WINDOW;
use crate::formats::workers::Buffer;
use crate::formats::{
    Extent, Foreign, FormatError, Limit, Limits, Optimizer, Origin, ParamGroup, SourceFile, StateValue,
    Storage, StoredTensor,
};
use crate::tensor::TensorSpec;

/// The key of the root dict, or the entry of the archive, that says what an earlier migration did.
pub(super) const RECORD: &str = "migrate";
/// The folder of an archive in which storages lie.
pub(super) const STORAGES: &str = "data/";
/// A record that is larger than this is none.
const MAX_RECORD: u64 = 16 << 20;

/// A torch file that has been read.
pub(in crate::formats) struct Document {
    pub(super) path: PathBuf,
    pub(super) graph: Graph,
    /// The storages that the pickle names, by key.
    pub(super) storages: IndexMap<String, Arc<Storage>>,
    /// How its zip archive is laid out; a legacy file has none.
    pub(super) archive: Option<ArchiveLayout>,
    /// The chosen dicts of tensors; none where the file has no dict of tensors.
    pub(super) dicts: Vec<Chosen>,
    pub(super) optimizers: Vec<optimizers::Nodes>,
}

/// What a container holds, before anything is made of it.
pub(super) struct Contents {
    pub(super) graph: Graph,
    pub(super) storages: IndexMap<String, Arc<Storage>>,
    pub(super) archive: Option<ArchiveLayout>,
    pub(super) origin: Origin,
    /// Every name that its pickles mention.
    pub(super) globals: BTreeSet<String>,
    /// What torch's weights-only loader refuses in them.
    pub(super) refused: Refused,
}

/// The records of an archive that are a word or a number about the file itself.
const NOTES: [&str; 4] = ["version", ".format_version", ".storage_alignment", "byteorder"];

/// The layout of a zip archive.
pub(super) struct ArchiveLayout {
    /// The name of the root folder.
    pub(super) root_folder: String,
    /// The names of all records, in order.
    pub(super) records: Vec<String>,
    /// The records that are neither `data.pkl` nor a storage that the pickle names.
    pub(super) side_records: IndexMap<String, Storage>,
    /// What the one of them says that an earlier migration wrote.
    recorded: Option<String>,
    /// Whether the records lie as torch lays them.
    pub(super) is_torchs: bool,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads a torch file, without its tensor bytes.
///
/// # Errors
/// Where archive or pickle are damaged or hostile, or the dicts of tensors are in doubt.
pub(in crate::formats) fn open(
    file: &Arc<SourceFile>,
    at: &[&str],
    limits: &Limits,
) -> Result<Checkpoint, FormatError> {
    document(file, at, limits, archived(file, limits)?)
}

/// Reads a torch file of the legacy format, without its tensor bytes.
///
/// # Errors
/// As [`open`].
pub(in crate::formats) fn open_legacy(
    file: &Arc<SourceFile>,
    at: &[&str],
    limits: &Limits,
) -> Result<Checkpoint, FormatError> {
    document(file, at, limits, legacy::read(file, limits)?)
}

/// How large a pickle may be: beside what is allowed, its bytes are numbered with 32 bits.
pub(super) fn pickle_limit(limits: &Limits) -> (u64, Option<Limit>) {
    let allowed = limits.get(Limit::PickleBytes);
    let most = u64::from(u32::MAX) / 2;
    if allowed < most { (allowed, Some(Limit::PickleBytes)) } else { (most, None) }
}

/// Runs the machine over a pickle that takes so many bytes in the file.
pub(super) fn read_pickle(bytes: Vec<u8>, packed: u64, limits: &Limits) -> Result<Graph, PickleError> {
    let values = limits.of(Limit::PickleValues, packed);
    let mut graph = machine::read(bytes, usize::try_from(values).unwrap_or(usize::MAX))?;
    graph.key_bytes = limits.of(Limit::KeyBytes, packed);
    Ok(graph)
}

/// What a zip archive holds.
fn archived(file: &Arc<SourceFile>, limits: &Limits) -> Result<Contents, FormatError> {
    let path = file.path();
    let mut archive = Archive::open(file)?;
    let mut origin = Origin::default();
    for name in NOTES {
        if archive.record(name).is_some() {
            let note = archive.read(name, (64, None))?;
            origin.records.insert(name.to_owned(), String::from_utf8_lossy(&note).trim_end().to_owned());
        }
    }
    let note = |name: &str| origin.records.get(name).map(String::as_str);
    if note("byteorder").is_some_and(|order| order != "little") {
        return Err(FormatError::NotACheckpoint { path: path.to_owned(), kind: Foreign::BigEndian });
    }
    // torch can be told to align to more than 64 bytes; the archive writer is not.
    let aligned = note(".storage_alignment").is_none_or(|alignment| alignment == "64");
    let packed = archive.record("data.pkl").map_or(0, |record| record.packed);
    let mut limit = pickle_limit(limits);
    // One that is packed is inflated into memory.
    let inflated = limits.of(Limit::InflatedBytes, packed);
    if archive.record("data.pkl").is_some_and(|record| record.stored_at.is_none()) && inflated < limit.0 {
        limit = (inflated, Some(Limit::InflatedBytes));
    }
    let pickle = archive.read("data.pkl", limit)?;
    let graph = read_pickle(pickle, packed, limits).map_err(|error| FormatError::Pickle {
        path: path.to_owned(),
        part: "data.pkl",
        opcode: error.opcode,
        offset: error.offset,
        what: error.what,
    })?;
    let (globals, refused) = (mentions(&graph), refused(&graph, Persistent::Storages));
    let (side_records, storages) = locate(&mut archive, &graph, limits, path)?;
    let recorded = side_records.get(RECORD).map(|record| recorded(&record.extent)).transpose()?.flatten();
    let is_torchs = aligned && archive.has_torch_layout();
    let mut records: Vec<String> = archive.records.into_iter().map(|record| record.name).collect();
    // The list of names takes over the room of the records, of which it needs a third.
    records.shrink_to_fit();
    let layout = ArchiveLayout { recorded, is_torchs, root_folder: archive.root, records, side_records };
    Ok(Contents { graph, storages, archive: Some(layout), origin, globals, refused })
}

/// The text of a record of migrations. It is read with the file, as an error must not pass for a file without one:
/// its history would be lost.
fn recorded(extent: &Extent) -> Result<Option<String>, FormatError> {
    let mut bytes = vec![0; usize::try_from(extent.len.min(MAX_RECORD)).unwrap_or(0)];
    extent.file.read_at(&mut bytes, extent.offset)?;
    Ok(String::from_utf8(bytes).ok())
}

/// Makes a checkpoint of what a file holds.
fn document(
    file: &SourceFile,
    at: &[&str],
    limits: &Limits,
    contents: Contents,
) -> Result<Checkpoint, FormatError> {
    let path = file.path();
    let Contents { graph, storages, archive, origin, globals, refused } = contents;
    let dicts = choose::choose(&graph, at, path)?;
    let too_long = |error: TooLong| error.in_file(path);
    let optimizers = optimizers::find(&graph).map_err(|found| found.in_file(path))?;
    let document = Document { path: path.to_owned(), graph, storages, archive, dicts, optimizers };
    let mut state_dicts = document.list_entries(limits.of(Limit::InflatedBytes, file.len()))?;
    if state_dicts.is_empty() {
        state_dicts.push(StateDict::default());
    }
    let mut checkpoint = Checkpoint::new(path, Format::TorchZip, state_dicts);
    let graph = &document.graph;
    let places: Vec<_> = document.dicts.iter().map(|chosen| &chosen.place).collect();
    let mut others = dicts::others(graph, &places).map_err(too_long)?;
    for chosen in &document.dicts {
        others.extend(dicts::untouched(graph, &chosen.place, &chosen.tree).map_err(too_long)?);
    }
    checkpoint.others = others;
    checkpoint.further_dicts =
        choose::further(graph, &document.dicts, document.optimizers.iter().map(|own| own.own))
            .map_err(too_long)?;
    checkpoint.globals = globals;
    checkpoint.refused = refused;
    checkpoint.origin = origin;
    checkpoint.optimizers = document.list_optimizers()?;
    checkpoint.document = Some(Arc::new(document));
    Ok(checkpoint)
}

type Located = (IndexMap<String, Storage>, IndexMap<String, Arc<Storage>>);

/// Finds the bytes of all records, and checks those of the storages against what the pickle says.
fn locate(
    archive: &mut Archive,
    graph: &Graph,
    limits: &Limits,
    path: &Path,
) -> Result<Located, FormatError> {
    let mut storages: IndexMap<String, Arc<Storage>> = IndexMap::new();
    let mut spool = Spool::default();
    for id in graph.ids() {
        if graph.node(id).op == PERSID {
            let what = "a persistent id is text, torch writes tuples".to_owned();
            return Err(FormatError::NotTorch { path: path.to_owned(), what });
        }
        if graph.node(id).op != BINPERSID {
            continue;
        }
        let storage = tensors::storage_id(graph, id)
            .map_err(|what| FormatError::NotTorch { path: path.to_owned(), what })?;
        let name = format!("{STORAGES}{}", storage.key);
        let Some(record) = archive.record(&name) else {
            let what =
                format!("the pickle names the storage `{}`, but there is no entry `{name}`", storage.key);
            return Err(FormatError::NotTorch { path: path.to_owned(), what });
        };
        if let Some(nbytes) = storage.nbytes.filter(|&nbytes| nbytes != record.size) {
            let what = format!("has {} bytes, the pickle says {nbytes}", record.size);
            return Err(FormatError::Record { path: path.to_owned(), entry: name, what });
        }
        if !storages.contains_key(&storage.key) {
            let crc = record.crc;
            let extent = archive.extent(&name, &mut spool, limits)?;
            storages.insert(storage.key, Arc::new(Storage { extent, crc: Some(crc) }));
        }
    }
    let mut side_records = IndexMap::new();
    let is_storage = |name: &str| name.strip_prefix(STORAGES).is_some_and(|key| storages.contains_key(key));
    let side = archive.records.iter().filter(|record| record.name != "data.pkl" && !is_storage(&record.name));
    let side: Vec<_> = side.map(|record| (record.name.clone(), record.crc)).collect();
    for (name, crc) in side {
        let extent = archive.extent(&name, &mut spool, limits)?;
        side_records.insert(name, Storage { extent, crc: Some(crc) });
    }
    storages.shrink_to_fit();
    Ok((side_records, storages))
}

/// The `_metadata` of a state dict: module paths and their versions.
pub(super) fn module_versions(graph: &Graph, dict: NodeId) -> Option<NodeId> {
    let state = graph.steps(dict).filter(|step| step.op == BUILD).last()?;
    let &[state] = graph.list(state.operands) else { return None };
    let metadata = graph.is_dict(state).then(|| graph.item(state, "_metadata"))??;
    graph.is_dict(metadata).then_some(metadata)
}

impl Document {
    /// The chosen dicts as state dicts.
    ///
    /// # Errors
    /// Where tensors repeat what they view until they are more than `most` bytes longer: written out, each element
    /// stands for itself.
    fn list_entries(&self, most: u64) -> Result<Vec<StateDict>, FormatError> {
        let mut repeated: u64 = 0;
        let mut state_dicts = Vec::with_capacity(self.dicts.len());
        for chosen in &self.dicts {
            let mut entries = Vec::with_capacity(chosen.tree.leaves.len());
            for leaf in &chosen.tree.leaves {
                let (data, parameter) = self.content(&leaf.key, leaf.value)?;
                if let EntryData::Stored(tensor) = &data {
                    let bytes = tensor.spec.nbytes().unwrap_or(u64::MAX);
                    repeated = repeated.saturating_add(bytes.saturating_sub(tensor.storage.extent.len));
                }
                if repeated > most {
                    return Err(FormatError::TooLarge {
                        path: self.path.clone(),
                        what: format!("what tensors up to `{}` repeat of what they view", leaf.key),
                        size: repeated,
                        limit: most,
                        raise: Some(Limit::InflatedBytes),
                    });
                }
                entries.push(Entry { key: leaf.key.clone(), data, parameter });
            }
            let versions =
                module_versions(&self.graph, chosen.node).map(|versions| self.graph.items(versions));
            let modules = versions.iter().flatten().filter_map(|item| self.graph.text(item.0));
            let modules = modules.map(|text| text.into_owned()).collect();
            let at = DictPath(chosen.place.path.clone());
            state_dicts.push(StateDict { at, entries, modules, ..StateDict::default() });
        }
        Ok(state_dicts)
    }

    /// The optimizers, with the tensors of their state.
    fn list_optimizers(&self) -> Result<Vec<Optimizer>, FormatError> {
        let optimizers = self.optimizers.iter().map(|nodes| {
            let path = nodes.path.join(".");
            let groups = nodes
                .groups
                .iter()
                .map(|group| ParamGroup { params: group.ids.clone(), names: group.param_names.clone() });
            let states = nodes.states.iter().map(|(id, state)| {
                let values = state.values.iter().map(|ValueNodes { name, value, .. }| {
                    let (data, _) = self.content(&format!("{path}.state.{id}.{name}"), *value)?;
                    Ok(StateValue { name: name.clone(), data })
                });
                Ok((id.clone(), values.collect::<Result<Vec<_>, FormatError>>()?))
            });
            let states = states.collect::<Result<_, FormatError>>()?;
            Ok(Optimizer { path: path.clone(), groups: groups.collect(), states })
        });
        optimizers.collect()
    }

    /// What a leaf is, and whether it is a parameter.
    fn content(&self, key: &str, value: NodeId) -> Result<(EntryData, bool), FormatError> {
        let meaning = tensors::meaning(&self.graph, value);
        let meaning = meaning.map_err(|what| FormatError::Tensor {
            path: self.path.clone(),
            key: key.to_owned(),
            what,
        })?;
        let what = match meaning {
            Meaning::Opaque(what) => what,
            Meaning::Other => dicts::describe(&self.graph, value),
            Meaning::Plain(tensor) => match self.stored(&tensor) {
                Some(stored) => {
                    return Ok((EntryData::Stored(stored), tensor.parameter));
                }
                None => "a tensor without data".to_owned(),
            },
        };
        Ok((EntryData::Opaque { what }, false))
    }

    fn stored(&self, plain: &Plain) -> Option<StoredTensor> {
        let id = tensors::storage_id(&self.graph, plain.storage).ok()?;
        let storage = self.storages.get(&id.key)?.clone();
        let offset = plain.offset.checked_mul(plain.dtype.bytes()?)?;
        let spec = TensorSpec::new(plain.dtype, plain.shape.clone());
        Some(StoredTensor { spec, storage, offset, strides: plain.strides.clone() })
    }

    /// What an earlier migration recorded: under a key of the root dict, or, where that is the state dict
    /// itself, in an entry of the archive.
    pub(in crate::formats) fn record(&self) -> Option<String> {
        let root = self.graph.root;
        let item = self.graph.is_dict(root).then(|| self.graph.item(root, RECORD)).flatten();
        if let Some(text) = item.and_then(|item| self.graph.text(item)) {
            return Some(text.into_owned());
        }
        self.archive.as_ref()?.recorded.clone()
    }

    /// The storages that it names.
    pub(in crate::formats) fn recorded_storages(&self) -> impl Iterator<Item = RecordedStorage<'_>> {
        self.storages.values().map(|storage| RecordedStorage { document: self, storage })
    }

    /// Compares the CRC of a record's bytes with the recorded one, where there is one.
    ///
    /// # Errors
    /// [`FormatError::Crc`] where they differ.
    pub(super) fn compare(&self, record: &Storage, found: u32) -> Result<(), FormatError> {
        match record.crc {
            Some(recorded) if recorded != found => {
                let entry = self.entry_of(record).unwrap_or_default();
                Err(FormatError::Crc { path: self.path.clone(), entry, recorded, found })
            }
            _ => Ok(()),
        }
    }

    /// The name of the entry that holds a record.
    fn entry_of(&self, record: &Storage) -> Option<String> {
        let archive = self.archive.as_ref()?;
        let root = &archive.root_folder;
        let mut storages = self.storages.iter();
        if let Some((key, _)) = storages.find(|(_, storage)| std::ptr::eq(&***storage, record)) {
            return Some(format!("{root}/{STORAGES}{key}"));
        }
        let mut side = archive.side_records.iter();
        side.find(|(_, other)| std::ptr::eq(*other, record)).map(|(name, _)| format!("{root}/{name}"))
    }
}

/// A storage and the file that it is of.
pub(in crate::formats) struct RecordedStorage<'a> {
    document: &'a Document,
    pub(in crate::formats) storage: &'a Storage,
}

impl RecordedStorage<'_> {
    /// Compares the storage's bytes with the CRC that the archive records; `buffer` is room for them.
    ///
    /// # Errors
    /// [`FormatError::Crc`] where they differ, and where reading fails.
    pub(in crate::formats) fn verify(&self, buffer: &mut Buffer) -> Result<(), FormatError> {
        if self.storage.crc.is_none() {
            return Ok(());
        }
        let extent = &self.storage.extent;
        let mut hasher = crc32fast::Hasher::new();
        let mut done = 0;
        while done < extent.len {
            let len = (extent.len - done).min(WINDOW);
            let bytes = buffer.of(usize::try_from(len).unwrap_or_default());
            extent.file.read_at(bytes, extent.offset + done)?;
            hasher.update(bytes);
            done += len;
        }
        self.document.compare(self.storage, hasher.finalize())
    }
}
