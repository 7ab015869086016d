//! Lays out and writes a file.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use indexmap::IndexMap;
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::{MAX_HEADER, to_crate};
use crate::formats::checkpoint::{EntryData, Format, StateDict};
use crate::formats::output::OutputFile;
use crate::formats::windows::{PAGE, WINDOW};
use crate::formats::write::{Body, Content, Output};
use crate::formats::{Extent, FormatError, Produce, Recording};
use crate::tensor::TensorSpec;

/// What one tensor of the output is made from.
#[derive(Clone)]
enum Source<'a> {
    Extent(Extent),
    Produce(&'a dyn Produce),
}

struct Planned<'a> {
    key: &'a str,
    spec: TensorSpec,
    nbytes: u64,
    /// Where its bytes begin behind the header.
    at: u64,
    source: Source<'a>,
}

/// Writes a safetensors file: the header in the order of the output's tensors, the data by falling
/// element size, so that every tensor is aligned to its elements (as the crate orders it).
///
/// # Errors
/// Where safetensors cannot hold a tensor or what the source holds besides tensors, and where
/// reading or writing fails.
pub(in crate::formats) fn write<'a>(
    output: &'a Output<'a>,
    out: &mut OutputFile<'a>,
) -> Result<Body, FormatError> {
    let path = out.path();
    if !output.weights_only && !output.source.others.is_empty() {
        let others = output.source.others.iter().map(|other| other.path.clone()).collect();
        return Err(FormatError::OthersLost {
            path: path.to_owned(),
            input: output.source.path.clone(),
            others,
        });
    }
    let mut planned = plan(output, path)?;
    let mut order: Vec<usize> = (0..planned.len()).collect();
    order.sort_by_key(|&tensor| std::cmp::Reverse(planned[tensor].spec.dtype.bits()));
    let mut end = 0u64;
    for &tensor in &order {
        let tensor = &mut planned[tensor];
        tensor.at = end;
        end = end.checked_add(tensor.nbytes).ok_or_else(|| too_large(path, tensor.key))?;
    }
    let order = order.iter().map(|&tensor| &planned[tensor]);
    let mut header = header(output, &planned, path)?;
    if end >= WINDOW {
        align(&mut header, order.clone().next().map(|tensor| &tensor.source));
    }
    if header.len() as u64 > MAX_HEADER {
        let (size, limit) = (header.len() as u64, MAX_HEADER);
        return Err(FormatError::TooLarge {
            raise: None,
            path: path.to_owned(),
            what: "the header".to_owned(),
            size,
            limit,
        });
    }
    out.text(&(header.len() as u64).to_le_bytes());
    out.own_text(header);
    for tensor in order {
        match &tensor.source {
            // As long as its spec says: this is how the extent of a tensor is cut.
            Source::Extent(extent) => out.extent(extent),
            Source::Produce(produce) => out.tensor(*produce, tensor.nbytes),
        }
    }
    let (moved, _) = out.fill()?;
    Ok(Body { bytes: out.position(), moved, verified: HashSet::new(), globals: BTreeSet::new() })
}

/// Pads the header so that the first tensor lies in its page as it does in the source: where all follow, file
/// systems that can share blocks need not copy them.
fn align(header: &mut Vec<u8>, first: Option<&Source<'_>>) {
    let extent = match first {
        Some(Source::Extent(extent)) => Some(extent.clone()),
        Some(Source::Produce(tensor)) => tensor.at_rest(),
        None => None,
    };
    let Some(extent) = extent else { return };
    let begin = header.len() as u64 + 8;
    let padding = (extent.offset % PAGE + PAGE - begin % PAGE) % PAGE;
    if padding.is_multiple_of(8) {
        header.resize(header.len() + usize::try_from(padding).unwrap_or(0), b' ');
    }
}

fn plan<'a>(output: &'a Output<'a>, path: &Path) -> Result<Vec<Planned<'a>>, FormatError> {
    let [dict] = output.dicts.as_slice() else {
        let what = format!("it can hold one dict of tensors, not {}", output.dicts.len());
        return Err(FormatError::Output { path: path.to_owned(), what });
    };
    let mut planned: Vec<Planned<'_>> = Vec::with_capacity(dict.tensors.len());
    let mut keys = HashSet::with_capacity(dict.tensors.len());
    for tensor in &dict.tensors {
        let key = &*tensor.key;
        if !keys.insert(key) || key == "__metadata__" {
            let what = format!("the key `{key}` is written twice or is reserved");
            return Err(FormatError::Output { path: path.to_owned(), what });
        }
        let (spec, source) = match &tensor.content {
            Content::Kept { entry } => kept(output.source.main_dict(), *entry, path)?,
            Content::Produced { tensor, .. } => (tensor.spec().clone(), Source::Produce(*tensor)),
            Content::Tied { to } => {
                let tied = planned.get(*to);
                let wrong = || FormatError::Output {
                    path: path.to_owned(),
                    what: format!("`{key}` is tied to a tensor that does not come before it"),
                };
                tied.map(|tied| (tied.spec.clone(), tied.source.clone())).ok_or_else(wrong)?
            }
        };
        if to_crate(spec.dtype).is_none() {
            return Err(FormatError::CannotHold {
                path: path.to_owned(),
                key: key.to_owned(),
                dtype: spec.dtype,
            });
        }
        let nbytes = spec.nbytes().ok_or_else(|| too_large(path, key))?;
        planned.push(Planned { key, spec, nbytes, at: 0, source });
    }
    Ok(planned)
}

fn kept<'a>(source: &StateDict, entry: usize, path: &Path) -> Result<(TensorSpec, Source<'a>), FormatError> {
    let wrong = |what: String| FormatError::Output { path: path.to_owned(), what };
    let entry =
        source.entries.get(entry).ok_or_else(|| wrong(format!("there is no source entry {entry}")))?;
    match &entry.data {
        EntryData::Stored(tensor) => {
            let extent =
                tensor.extent().ok_or_else(|| wrong(format!("`{}` is not contiguous", entry.key)))?;
            Ok((entry.spec().clone(), Source::Extent(extent)))
        }
        EntryData::Opaque { what } => Err(FormatError::OpaqueEntry {
            path: path.to_owned(),
            key: entry.key.to_string(),
            what: what.clone(),
        }),
    }
}

fn too_large(path: &Path, key: &str) -> FormatError {
    let what = format!("`{key}` has no size in whole bytes, or the sizes overflow");
    FormatError::Output { path: path.to_owned(), what }
}

/// The JSON text as the crate writes it, padded with spaces to a multiple of 8.
fn header(output: &Output<'_>, planned: &[Planned<'_>], path: &Path) -> Result<Vec<u8>, FormatError> {
    let source = output.source;
    // The edits of a torch file are about values that a safetensors file does not hold.
    let edits = if source.format == Format::Safetensors { output.edits } else { &[] };
    let (mut metadata, _) = super::edited(&source.metadata, edits)
        .map_err(|edit| FormatError::Edit { path: source.path.clone(), edit })?;
    if source.format == Format::TorchZip {
        // transformers refuses files that do not say which framework their tensors come from.
        metadata.insert("format".to_owned(), "pt".to_owned());
    }
    match &output.record {
        Recording::Keep => {}
        Recording::Write(record) => {
            // It stands last, so that equal migrations give equal bytes whatever was recorded between.
            metadata.shift_remove("migrate");
            metadata.insert("migrate".to_owned(), record.clone());
        }
        Recording::Remove => {
            metadata.shift_remove("migrate");
        }
    }
    let has_metadata = output.source.has_metadata || !metadata.is_empty();
    let header = Header { metadata: has_metadata.then_some(&metadata), tensors: planned };
    let mut header = serde_json::to_vec(&header)
        .map_err(|error| FormatError::Output { path: path.to_owned(), what: error.to_string() })?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// The header, which serde writes from start to end.
struct Header<'h, 'a> {
    metadata: Option<&'h IndexMap<String, String>>,
    tensors: &'h [Planned<'a>],
}

impl Serialize for Header<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut header = serializer.serialize_map(None)?;
        if let Some(metadata) = self.metadata {
            header.serialize_entry("__metadata__", metadata)?;
        }
        for tensor in self.tensors {
            header.serialize_entry(tensor.key, tensor)?;
        }
        header.end()
    }
}

impl Serialize for Planned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let dtype = to_crate(self.spec.dtype).map(|dtype| dtype.to_string()).unwrap_or_default();
        let mut info = serializer.serialize_struct("TensorInfo", 3)?;
        info.serialize_field("dtype", &dtype)?;
        info.serialize_field("shape", &*self.spec.shape)?;
        info.serialize_field("data_offsets", &[self.at, self.at + self.nbytes])?;
        info.end()
    }
}
