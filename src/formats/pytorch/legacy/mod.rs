//! Torch's legacy format: what `torch.save` wrote before 1.6, and writes with
//! `_use_new_zipfile_serialization=False`.
//!
//! Five pickles stand in a row (`_legacy_save` of `torch/serialization.py`): a magic number, the version of
//! the format, what machine wrote it, the object, and the list of the storages' keys. For each of those keys
//! follow the number of elements, in eight bytes, and the elements. The graph that comes out names its
//! storages as a zip file does, so that nothing beyond this folder knows which of the two it was.

mod scan;
mod translate;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::document::{Contents, pickle_limit, read_pickle};
use super::graph::{Graph, NodeId};
use super::machine;
use super::opcode::{BINPERSID, LONG, LONG1};
use super::tensors::{self, StorageId};
use super::weights_only::{self, Persistent, mentions};
use crate::formats::{Extent, Foreign, FormatError, Limits, Origin, SourceFile, Storage};

/// The magic number 0x1950a86a20f9469cfc6c, as the pickle of protocol 2 and later has it.
const MAGIC: &[u8] = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19";
/// The same in protocols 0 and 1.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n";
/// `PROTOCOL_VERSION` of `torch/serialization.py`: there has been one.
const VERSION: i64 = 1001;

/// Whether the first bytes of a file are those of this format.
pub(in crate::formats) fn is_legacy(head: &[u8]) -> bool {
    // Protocols 4 and 5 put a frame of 9 bytes around it.
    let after = |skip| head.get(skip..).is_some_and(|rest| rest.starts_with(MAGIC));
    head.starts_with(MAGIC_TEXT) || head.first() == Some(&0x80) && (after(2) || after(11))
}

/// Reads everything but the bytes of the storages.
///
/// # Errors
/// Where a pickle is damaged or hostile, says what torch does not write, or the file is cut off or goes on
/// after its end.
pub(super) fn read(file: &Arc<SourceFile>, limits: &Limits) -> Result<Contents, FormatError> {
    let mut reader = Reader { file, limits, position: 0 };
    let magic = reader.pickle("the magic number")?;
    let literal = magic.literal(magic.root);
    let is_magic = match magic.node(magic.root).op {
        LONG1 => literal == MAGIC,
        LONG => literal == MAGIC_TEXT,
        _ => false,
    };
    if !is_magic {
        return Err(reader.wrong("does not begin with torch's magic number"));
    }
    let version = reader.pickle("the version")?;
    if version.int(version.root) != Some(VERSION) {
        return Err(
            reader.wrong(&format!("is not of version {VERSION}, the only one that torch has written"))
        );
    }
    let machine = reader.pickle("the system's description")?;
    let little_endian = machine.item(machine.root, "little_endian");
    match little_endian.and_then(|value| machine.boolean(value)) {
        Some(true) => {}
        Some(false) => {
            let path = file.path().to_owned();
            return Err(FormatError::NotACheckpoint { path, kind: Foreign::BigEndian });
        }
        None => return Err(reader.wrong("does not say in which order the bytes of its numbers stand")),
    }
    let mut graph = reader.pickle("the object")?;
    let mut globals = mentions(&graph);
    let mut refused = weights_only::refused(&graph, Persistent::Storages);
    translate::translate(&mut graph).map_err(|what| reader.wrong(&what))?;
    let keys = reader.pickle("the list of storages")?;
    // What only these say is in no output: it has to be told.
    for pickle in [&magic, &version, &machine, &keys] {
        globals.extend(mentions(pickle));
        refused.extend(weights_only::refused(pickle, Persistent::None));
    }
    let keys = storage_keys(&keys).ok_or_else(|| reader.wrong("has no list of the keys of its storages"))?;
    let ids = storage_ids(&graph).map_err(|what| reader.wrong(&what))?;
    let storages = reader.storages(&keys, &ids)?;
    let origin = Origin { legacy: true, ..Origin::default() };
    Ok(Contents { graph, storages, archive: None, origin, globals, refused })
}

/// The keys in the last pickle, which is a list of texts.
fn storage_keys(keys: &Graph) -> Option<Vec<String>> {
    let elements = super::optimizers::elements(keys, keys.root)?;
    elements.into_iter().map(|key| Some(keys.text(key)?.into_owned())).collect()
}

/// The storages that the object names, by key, each as it is named first.
fn storage_ids(graph: &Graph) -> Result<IndexMap<String, StorageId>, String> {
    let mut ids: IndexMap<String, StorageId> = IndexMap::new();
    for node in graph.ids().filter(|&node| is_storage(graph, node)) {
        let id = tensors::storage_id(graph, node)?;
        match ids.get(&id.key) {
            Some(first) if first.nbytes != id.nbytes => {
                return Err(format!("names storage `{}` with two sizes", id.key));
            }
            Some(_) => {}
            None => drop(ids.insert(id.key.clone(), id)),
        }
    }
    Ok(ids)
}

fn is_storage(graph: &Graph, node: NodeId) -> bool {
    let tuple = graph.operands(node).first().and_then(|&tuple| graph.tuple(tuple));
    // The persistent ids of classes are out of use once the graph is translated.
    graph.node(node).op == BINPERSID && tuple.is_none_or(|tuple| tuple.len() == 5)
}

/// Reads one part of the file after the other.
struct Reader<'a> {
    file: &'a Arc<SourceFile>,
    limits: &'a Limits,
    position: u64,
}

impl Reader<'_> {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn wrong(&self, what: &str) -> FormatError {
        FormatError::Legacy { path: self.path().to_owned(), what: what.to_owned() }
    }

    /// The next pickle, which is `part` of the file.
    fn pickle(&mut self, part: &'static str) -> Result<Graph, FormatError> {
        let start = self.position;
        let error = |error: machine::PickleError| FormatError::Pickle {
            path: self.file.path().to_owned(),
            part,
            opcode: error.opcode,
            offset: error.offset,
            what: error.what,
        };
        let (limit, raise) = pickle_limit(self.limits);
        let len = scan::pickle_len(self.file, start, limit)?;
        let len = match len {
            scan::Scanned::Whole(len) => len,
            scan::Scanned::Stopped { opcode, offset, what } => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                return Err(error(machine::PickleError { opcode, offset, what }));
            }
            scan::Scanned::TooLong => {
                let path = self.path().to_owned();
                let size = self.file.len() - start;
                return Err(FormatError::TooLarge { path, what: part.to_owned(), size, limit, raise });
            }
        };
        // At most the limit, and no more than the file has.
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.file.read_at(&mut bytes, start)?;
        let graph = read_pickle(bytes, len, self.limits).map_err(error)?;
        self.position = start.saturating_add(len);
        Ok(graph)
    }

    /// Finds the bytes of the storages, which fill the rest of the file.
    fn storages(
        &mut self,
        keys: &[String],
        ids: &IndexMap<String, StorageId>,
    ) -> Result<IndexMap<String, Arc<Storage>>, FormatError> {
        let mut sizes: HashMap<&str, (u64, u64)> = HashMap::new();
        let mut end = self.position;
        for key in keys {
            let Some(id) = ids.get(key) else {
                return Err(self.wrong(&format!("lists a storage `{key}` that its object does not name")));
            };
            let (Some(nbytes), Some(itemsize)) = (id.nbytes, id.itemsize()) else {
                return Err(self.wrong(&format!("has a storage `{key}` whose elements have no known size")));
            };
            if sizes.insert(key, (nbytes, itemsize)).is_some() {
                return Err(self.wrong(&format!("lists the storage `{key}` twice")));
            }
            end = nbytes.checked_add(8).and_then(|size| end.checked_add(size)).unwrap_or(u64::MAX);
        }
        if let Some(key) = ids.keys().find(|&key| !sizes.contains_key(key.as_str())) {
            return Err(self.wrong(&format!("holds no bytes of storage `{key}`, which its object names")));
        }
        let (path, found) = (self.path().to_owned(), self.file.len());
        if found < end {
            return Err(FormatError::CutOff { path, expected: end, found });
        }
        let mut storages = IndexMap::with_capacity(keys.len());
        for key in keys {
            let (nbytes, itemsize) = sizes.get(key.as_str()).copied().unwrap_or_default();
            let mut count = [0; 8];
            self.file.read_at(&mut count, self.position)?;
            let count = u64::from_le_bytes(count);
            if count.checked_mul(itemsize) != Some(nbytes) {
                let what = format!(
                    "gives storage `{key}` {count} elements, its object says {}",
                    nbytes.checked_div(itemsize).unwrap_or(0)
                );
                return Err(self.wrong(&what));
            }
            let offset = self.position + 8;
            let extent = Extent { file: self.file.clone(), offset, len: nbytes };
            storages.insert(key.clone(), Arc::new(Storage { extent, crc: None }));
            self.position = offset + nbytes; // not beyond `end`, which is in the file
        }
        if found > end {
            let more = found - end;
            return Err(self.wrong(&format!(
                "goes on for {more} bytes after its last storage; where several objects were saved into one \
                 file, each needs a file of its own"
            )));
        }
        Ok(storages)
    }
}
