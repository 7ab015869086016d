//! Writes torch files: the pickle, then every storage once, in torch's own order and layout.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::archive_writer::{ArchiveWriter, Crc};
use super::build::Builder;
use super::document::{ArchiveLayout, Document, RECORD, STORAGES};
use super::edit::{self, Bytes, Edited, NewStorage};
use super::emit::{self, Emission};
use super::graph::{Graph, NodeId};
use super::tensors;
use crate::formats::output::{OutputFile, Sum};
use crate::formats::write::{Body, Output};
use crate::formats::{FormatError, Recording, Storage};

/// Writes a torch file.
///
/// An output that changes nothing gives the bytes of the source.
///
/// # Errors
/// Where the output asks for what does not go together, the source is damaged, or the system refuses.
pub(in crate::formats) fn write<'a>(
    output: &'a Output<'a>,
    out: &mut OutputFile<'a>,
) -> Result<Body, FormatError> {
    let path = out.path();
    if let Some(document) = output.source.document.as_deref()
        && let Some(archive) = document.archive.as_ref().filter(|archive| archive.is_torchs)
        && edit::changes_nothing(output, document)
    {
        return write_again(document, archive, out);
    }
    let record = match &output.record {
        Recording::Write(_) if edit::has_room_for_record(output) => &Recording::Remove,
        record => record,
    };
    let mut edited = edit::edit(output, path)?;
    let (emission, storages) = number_storages(&mut edited, output.source.document.as_deref(), path)?;
    // As large as the source's; what follows takes room too.
    drop(edited);
    write_changed(output.source.document.as_deref(), record, (emission, storages), out)
}

fn emit(graph: &Graph, path: &Path) -> Result<Emission, FormatError> {
    let budget = graph.bytes().saturating_mul(8).saturating_add(graph.len().saturating_mul(64));
    emit::emit(graph, budget.saturating_add(1 << 20)).map_err(|emit::Entangled| FormatError::Output {
        path: path.to_owned(),
        what: "the pickle is entangled with itself and would grow without bound".to_owned(),
    })
}

/// The same records in the same order under the same names.
fn write_again(
    document: &Document,
    layout: &ArchiveLayout,
    out: &mut OutputFile<'_>,
) -> Result<Body, FormatError> {
    let mut emission = Some(emit(&document.graph, out.path())?);
    let mut archive = Copies::new(out, Some(document), (&layout.root_folder, layout.records.len()));
    for name in &layout.records {
        if name == "data.pkl" {
            emission.take().map_or(Ok(()), |emission| archive.pickle(emission))?;
        } else if let Some(record) = layout.side_records.get(name) {
            archive.copy(name, record)?;
        } else if let Some(storage) = name.strip_prefix(STORAGES).and_then(|key| document.storages.get(key)) {
            archive.copy(name, storage)?;
        }
    }
    archive.finish()
}

/// An archive that takes over records of a source, and compares their bytes with the recorded CRCs on the way.
struct Copies<'o, 'f, 'd> {
    writer: ArchiveWriter<'o, 'f>,
    source: Option<&'d Document>,
    /// The records that are taken over.
    copied: Vec<(&'d Storage, Sum)>,
    /// The names that its pickle mentions.
    globals: BTreeSet<String>,
}

impl<'o, 'f, 'd> Copies<'o, 'f, 'd> {
    fn new(
        out: &'o mut OutputFile<'f>,
        source: Option<&'d Document>,
        (root, records): (&str, usize),
    ) -> Self {
        let writer = ArchiveWriter::new(out, root, records);
        Copies { writer, source, copied: Vec::with_capacity(records), globals: BTreeSet::new() }
    }

    /// Lays out the pickle.
    fn pickle(&mut self, mut emission: Emission) -> Result<(), FormatError> {
        emission.bytes.shrink_to_fit();
        self.globals = emission.globals;
        self.writer.record("data.pkl", emission.bytes)
    }

    /// Lays out a record of the source under a name of the output.
    fn copy(&mut self, name: &str, record: &'d Storage) -> Result<(), FormatError> {
        let copied = &mut self.copied;
        self.writer.body(name, record.extent.len, |out| {
            let sum = out.summed_extent(&record.extent);
            copied.push((record, sum));
            record.crc.map_or(Crc::Computed(sum), Crc::Known)
        })
    }

    /// Moves all and completes the archive.
    ///
    /// # Errors
    /// [`FormatError::Crc`] naming a damaged record, and where reading or writing fails.
    fn finish(self) -> Result<Body, FormatError> {
        let (moved, sums, bytes) = self.writer.finish()?;
        let mut verified = HashSet::with_capacity(self.copied.len());
        for (record, sum) in self.copied {
            self.source.map_or(Ok(()), |document| document.compare(record, sum.of(&sums)))?;
            verified.insert(std::ptr::from_ref(record));
        }
        Ok(Body { bytes, moved, verified, globals: self.globals })
    }
}

/// A storage of the output.
enum OutStorage<'a> {
    Kept(&'a Storage),
    New(NewStorage<'a>),
}

/// Names the storages `0`, `1` … in the order in which the pickle first mentions them, as torch
/// does and as its fake tensors assert.
fn number_storages<'a>(
    edited: &mut Edited<'a>,
    document: Option<&'a Document>,
    path: &Path,
) -> Result<(Emission, Vec<OutStorage<'a>>), FormatError> {
    let wrong = |what: String| FormatError::Output { path: path.to_owned(), what };
    let emission = emit(&edited.graph, path)?;
    // A source storage has one number however many persistent ids name it.
    let mut kept: HashMap<&str, usize> = HashMap::new();
    let mut storages = Vec::new();
    // The persistent ids that name another number than the one that they are to have.
    let mut numbers: Vec<(NodeId, usize)> = Vec::new();
    for &id in &emission.persistent {
        let next = storages.len();
        if let Some(new) = edited.new.remove(&id) {
            storages.push(OutStorage::New(new));
            numbers.push((id, next));
            continue;
        }
        let key = tensors::storage_id(&edited.graph, id).map_err(wrong)?.key;
        let found = document.and_then(|document| document.storages.get_key_value(&key));
        let (key, storage) = found.ok_or_else(|| wrong(format!("there is no storage `{key}`")))?;
        let number = *kept.entry(key).or_insert(next);
        if number == next {
            storages.push(OutStorage::Kept(storage));
        }
        if *key != number.to_string() {
            numbers.push((id, number));
        }
    }
    if numbers.is_empty() {
        return Ok((emission, storages));
    }
    drop(emission);
    let full = |_| wrong("the pickle would exceed 4 GiB".to_owned());
    let mut builder = Builder::new(&mut edited.graph);
    // Those of one storage share the text of its key, as torch pickles it.
    let mut keys: HashMap<usize, NodeId> = HashMap::new();
    for (id, number) in numbers {
        let key = match keys.entry(number) {
            Entry::Occupied(key) => *key.get(),
            Entry::Vacant(key) => *key.insert(builder.string(&number.to_string()).map_err(full)?),
        };
        builder.set_storage_key(id, key).map_err(full)?;
    }
    Ok((emit(&edited.graph, path)?, storages))
}

fn write_changed<'a>(
    document: Option<&'a Document>,
    migration: &Recording,
    (emission, storages): (Emission, Vec<OutStorage<'a>>),
    out: &mut OutputFile<'a>,
) -> Result<Body, FormatError> {
    let path = out.path();
    // A legacy source has no archive: its output is one as torch would make it today.
    let layout = document.and_then(|document| document.archive.as_ref());
    let root = layout.map_or_else(|| root_folder(path), |layout| layout.root_folder.clone());
    let has = |name: &str| layout.is_none_or(|layout| layout.side_records.contains_key(name));
    let side = layout.map_or(0, |layout| layout.side_records.len());
    let mut archive = Copies::new(out, document, (&root, storages.len() + side + 8));
    archive.pickle(emission)?;
    // Both promise the layout that the archive writer has; a source without them is older than they are.
    let own: [(&str, &[u8]); 3] =
        [(".format_version", b"1"), (".storage_alignment", b"64"), ("byteorder", b"little")];
    for (name, value) in own {
        if has(name) {
            archive.writer.record(name, value.to_vec())?;
        }
    }
    for (number, storage) in storages.into_iter().enumerate() {
        let name = format!("{STORAGES}{number}");
        match storage {
            OutStorage::Kept(storage) => archive.copy(&name, storage)?,
            OutStorage::New(new) => archive.writer.body(&name, new.nbytes, |out| {
                Crc::Computed(match &new.bytes {
                    Bytes::Produce(tensor) => out.summed_tensor(*tensor, new.nbytes),
                    Bytes::Extent(extent) => out.summed_extent(extent),
                })
            })?,
        }
    }
    let mut written: HashSet<&str> =
        own.iter().map(|row| row.0).chain(["version", ".data/serialization_id"]).collect();
    if *migration != Recording::Keep {
        written.insert(RECORD);
    }
    if let Some(layout) = layout {
        let kept = layout.side_records.iter();
        let kept = kept.filter(|(name, _)| !written.contains(name.as_str()) && !name.starts_with(STORAGES));
        for (name, record) in kept {
            archive.copy(name, record)?;
        }
    }
    if let Some(migration) = migration.text() {
        archive.writer.record(RECORD, migration.into())?;
    }
    match layout.and_then(|layout| layout.side_records.get("version")) {
        Some(record) => archive.copy("version", record)?,
        None => archive.writer.record("version", b"3\n".to_vec())?,
    }
    archive.finish()
}

/// The root folder that torch takes for a file name: what stands before its last dot, `archive`
/// where the name is not ASCII (`torch::serialize`, `PyTorchStreamWriter`).
fn root_folder(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if stem.is_empty() || !path.to_str().is_some_and(str::is_ascii) {
        "archive".to_owned()
    } else {
        stem.to_owned()
    }
}
