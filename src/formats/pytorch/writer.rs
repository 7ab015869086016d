//! Writes torch files: the pickle, then every storage once, in torch's own order and layout.

use std::collections::HashSet;
use std::path::Path;

use indexmap::IndexMap;

use super::archive_writer::ArchiveWriter;
use super::build::Builder;
use super::document::{ArchiveLayout, Document, RECORD};
use super::edit::{self, Bytes, Edited, NewStorage};
use super::emit::{self, Emission};
use super::graph::{Graph, NodeId};
use super::tensors;
use crate::formats::output::OutputFile;
use crate::formats::write::Output;
use crate::formats::{Extent, FormatError, Recording, Sink, Storage};

/// Writes a torch file.
///
/// An output that changes nothing gives the bytes of the source.
///
/// # Errors
/// Where the output asks for what does not go together, the source is damaged, or the system refuses.
pub(in crate::formats) fn write(output: &Output<'_>, out: &mut OutputFile<'_>) -> Result<(), FormatError> {
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
    write_changed(output.source.document.as_deref(), record, (&emission, storages), out)
}

fn emit(graph: &Graph, path: &Path) -> Result<Emission, FormatError> {
    let budget = graph.bytes().len().saturating_mul(8).saturating_add(graph.len().saturating_mul(64));
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
) -> Result<(), FormatError> {
    let emission = emit(&document.graph, out.path())?;
    let mut archive = ArchiveWriter::new(out, &layout.root_folder);
    for name in &layout.records {
        if name == "data.pkl" {
            archive.record(name, &emission.bytes)?;
        } else if let Some(record) = layout.side_records.get(name) {
            write_record(&mut archive, document, name, record)?;
        } else if let Some(storage) = name.strip_prefix("data/").and_then(|key| document.storages.get(key)) {
            write_storage(&mut archive, name, storage)?;
        }
    }
    archive.finish()
}

/// A storage as it is; its recorded CRC is being verified in another thread.
fn write_storage(
    archive: &mut ArchiveWriter<'_, '_>,
    name: &str,
    storage: &Storage,
) -> Result<(), FormatError> {
    archive.stream(name, storage.extent.len, |out| match storage.crc {
        Some(crc) => {
            out.copy(&storage.extent)?;
            Ok(crc)
        }
        None => {
            let mut crc = crc32fast::Hasher::new();
            out.copy_hashing(&storage.extent, &mut crc)?;
            Ok(crc.finalize())
        }
    })
}

/// A record that is no storage the pickle names: its CRC is compared here.
fn write_record(
    archive: &mut ArchiveWriter<'_, '_>,
    document: &Document,
    name: &str,
    record: &Storage,
) -> Result<(), FormatError> {
    archive.stream(name, record.extent.len, |out| {
        let mut crc = crc32fast::Hasher::new();
        out.copy_hashing(&record.extent, &mut crc)?;
        let found = crc.finalize();
        match record.crc {
            Some(recorded) if recorded != found => {
                let root = document.archive.as_ref().map_or("", |archive| &archive.root_folder);
                let entry = format!("{root}/{name}");
                Err(FormatError::Crc { path: document.path.clone(), entry, recorded, found })
            }
            _ => Ok(found),
        }
    })
}

/// A storage of the output.
enum OutStorage<'a> {
    Kept(std::sync::Arc<Storage>),
    New(NewStorage<'a>),
}

/// Names the storages `0`, `1` … in the order in which the pickle first mentions them, as torch
/// does and as its fake tensors assert.
fn number_storages<'a>(
    edited: &mut Edited<'a>,
    document: Option<&Document>,
    path: &Path,
) -> Result<(Emission, Vec<OutStorage<'a>>), FormatError> {
    let wrong = |what: String| FormatError::Output { path: path.to_owned(), what };
    let order = emit(&edited.graph, path)?.persistent;
    // A source storage has one number however many persistent ids name it.
    let mut kept: IndexMap<String, usize> = IndexMap::new();
    let mut storages = Vec::new();
    let mut numbers: Vec<(NodeId, usize)> = Vec::with_capacity(order.len());
    for id in order {
        let next = storages.len();
        if let Some(new) = edited.new.remove(&id) {
            storages.push(OutStorage::New(new));
            numbers.push((id, next));
            continue;
        }
        let key = tensors::storage_id(&edited.graph, id).map_err(wrong)?.key;
        let storage = document.and_then(|document| document.storages.get(&key));
        let storage = storage.ok_or_else(|| wrong(format!("there is no storage `{key}`")))?;
        let number = *kept.entry(key).or_insert(next);
        if number == next {
            storages.push(OutStorage::Kept(storage.clone()));
        }
        numbers.push((id, number));
    }
    let full = |_| wrong("the pickle would exceed 4 GiB".to_owned());
    let mut builder = Builder::new(&mut edited.graph);
    let mut keys: Vec<NodeId> = Vec::with_capacity(storages.len());
    for number in 0..storages.len() {
        keys.push(builder.string(&number.to_string()).map_err(full)?);
    }
    for (id, number) in numbers {
        builder.set_storage_key(id, keys[number]).map_err(full)?;
    }
    Ok((emit(&edited.graph, path)?, storages))
}

fn write_changed(
    document: Option<&Document>,
    migration: &Recording,
    (emission, storages): (&Emission, Vec<OutStorage<'_>>),
    out: &mut OutputFile<'_>,
) -> Result<(), FormatError> {
    let path = out.path();
    // A legacy source has no archive: its output is one as torch would make it today.
    let source = document.and_then(|document| Some((document, document.archive.as_ref()?)));
    let root = source.map_or_else(|| root_folder(path), |(_, layout)| layout.root_folder.clone());
    let has = |name: &str| source.is_none_or(|(_, layout)| layout.side_records.contains_key(name));
    let mut archive = ArchiveWriter::new(out, &root);
    archive.record("data.pkl", &emission.bytes)?;
    // Both promise the layout that the archive writer has; a source without them is older than they are.
    let own: [(&str, &[u8]); 3] =
        [(".format_version", b"1"), (".storage_alignment", b"64"), ("byteorder", b"little")];
    for (name, value) in own {
        if has(name) {
            archive.record(name, value)?;
        }
    }
    for (number, storage) in storages.into_iter().enumerate() {
        let name = format!("data/{number}");
        match storage {
            OutStorage::Kept(storage) => write_storage(&mut archive, &name, &storage)?,
            OutStorage::New(new) => write_new(&mut archive, &name, &new)?,
        }
    }
    let mut written: HashSet<&str> =
        own.iter().map(|row| row.0).chain(["version", ".data/serialization_id"]).collect();
    if *migration != Recording::Keep {
        written.insert(RECORD);
    }
    if let Some((document, layout)) = source {
        let kept = layout.side_records.iter();
        let kept = kept.filter(|(name, _)| !written.contains(name.as_str()) && !name.starts_with("data/"));
        for (name, record) in kept {
            write_record(&mut archive, document, name, record)?;
        }
    }
    if let Some(migration) = migration.text() {
        archive.record(RECORD, migration.as_bytes())?;
    }
    match source.and_then(|(document, layout)| Some((document, layout.side_records.get("version")?))) {
        Some((document, record)) => write_record(&mut archive, document, "version", record)?,
        None => archive.record("version", b"3\n")?,
    }
    archive.finish()
}

fn write_new(
    archive: &mut ArchiveWriter<'_, '_>,
    name: &str,
    new: &NewStorage<'_>,
) -> Result<(), FormatError> {
    archive.stream(name, new.nbytes, |out| {
        let begin = out.position();
        let path = out.path();
        let mut body = Body { out, crc: crc32fast::Hasher::new() };
        match &new.bytes {
            Bytes::Produce(tensor) => tensor.produce(&mut body)?,
            Bytes::Extent(extent) => body.extent(extent)?,
        }
        if body.out.position() - begin != new.nbytes {
            let what = format!("`{}` came with another number of bytes than its spec says", new.key);
            return Err(FormatError::Output { path: path.to_owned(), what });
        }
        Ok(body.crc.finalize())
    })
}

/// Takes the bytes of a new storage and computes their CRC on the way.
struct Body<'o, 'f> {
    out: &'o mut OutputFile<'f>,
    crc: crc32fast::Hasher,
}

impl Sink for Body<'_, '_> {
    fn extent(&mut self, extent: &Extent) -> Result<(), FormatError> {
        self.out.copy_hashing(extent, &mut self.crc)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.crc.update(bytes);
        self.out.write(bytes)
    }
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
