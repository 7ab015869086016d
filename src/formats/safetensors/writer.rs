//! Lays out and writes a file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::{MAX_HEADER, to_crate};
use crate::formats::checkpoint::{EntryData, Format, StateDict};
use crate::formats::mover::{PAGE, WINDOW};
use crate::formats::output::OutputFile;
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
    let planned = plan(output, path)?;
    let mut order: Vec<&Planned<'_>> = planned.iter().collect();
    order.sort_by_key(|tensor| std::cmp::Reverse(tensor.spec.dtype.bits()));

    let mut offsets = HashMap::with_capacity(order.len());
    let mut end = 0u64;
    for tensor in &order {
        let from = end;
        end = end.checked_add(tensor.nbytes).ok_or_else(|| too_large(path, tensor.key))?;
        offsets.insert(tensor.key, (from, end));
    }
    let mut header = header(output, &planned, &offsets)?;
    if end >= WINDOW {
        align(&mut header, order.first().map(|tensor| &tensor.source));
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
    out.text(&header);
    for tensor in order {
        let begin = out.position();
        match &tensor.source {
            Source::Extent(extent) => out.extent(extent),
            Source::Produce(produce) => out.tensor(*produce, tensor.nbytes),
        }
        if out.position() - begin != tensor.nbytes {
            let what = format!("`{}` came with another number of bytes than its spec says", tensor.key);
            return Err(FormatError::Output { path: path.to_owned(), what });
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
        planned.push(Planned { key, spec, nbytes, source });
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
            Ok((entry.spec.clone(), Source::Extent(extent)))
        }
        EntryData::Opaque { what } => Err(FormatError::OpaqueEntry {
            path: path.to_owned(),
            key: entry.key.clone(),
            what: what.clone(),
        }),
    }
}

fn too_large(path: &Path, key: &str) -> FormatError {
    let what = format!("`{key}` has no size in whole bytes, or the sizes overflow");
    FormatError::Output { path: path.to_owned(), what }
}

/// The JSON text as the crate writes it, padded with spaces to a multiple of 8.
fn header(
    output: &Output<'_>,
    planned: &[Planned<'_>],
    offsets: &HashMap<&str, (u64, u64)>,
) -> Result<Vec<u8>, FormatError> {
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
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut parts = Vec::with_capacity(planned.len() + 1);
    if output.source.has_metadata || !metadata.is_empty() {
        let pairs: Vec<String> =
            metadata.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value))).collect();
        parts.push(format!("\"__metadata__\":{{{}}}", pairs.join(",")));
    }
    for tensor in planned {
        let dims: Vec<String> = tensor.spec.shape.iter().map(u64::to_string).collect();
        let dtype = to_crate(tensor.spec.dtype).map(|dtype| dtype.to_string()).unwrap_or_default();
        let (from, to) = offsets.get(tensor.key).copied().unwrap_or_default();
        parts.push(format!(
            "{}:{{\"dtype\":\"{dtype}\",\"shape\":[{}],\"data_offsets\":[{from},{to}]}}",
            quote(tensor.key),
            dims.join(",")
        ));
    }
    let mut header = format!("{{{}}}", parts.join(",")).into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}
