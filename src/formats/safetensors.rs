//! The safetensors format: a JSON header, then one buffer that the tensors fill without holes.
//!
//! Read with a pass of our own, since the crate keeps the last of two equal keys in silence and
//! forgets the order of the header; validated by the crate. Written here, since the crate's writer
//! needs all tensors in memory and writes metadata in random order.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::checkpoint::{Checkpoint, Content, Entry, EntryData, Format, Limits, Output};
use super::output::OutputFile;
use super::{Extent, FormatError, Sink, SourceFile, Storage, StoredTensor};
use crate::tensor::{Dtype, TensorSpec, contiguous_strides};

/// The largest header that the safetensors crate reads.
pub(super) const MAX_HEADER: u64 = 100_000_000;

/// Reads the header of a safetensors file, and no tensor bytes.
///
/// # Errors
/// Where the header is damaged, a key is there twice, or the tensors do not fill the file exactly.
pub(super) fn open(file: &Arc<SourceFile>, limits: &Limits) -> Result<Checkpoint, FormatError> {
    let path = file.path();
    let bad = |what: String| FormatError::Header { path: path.to_owned(), what };
    if file.len() < 8 {
        return Err(FormatError::CutOff { path: path.to_owned(), expected: 8, found: file.len() });
    }
    let mut length = [0; 8];
    file.read_at(&mut length, 0)?;
    let length = u64::from_le_bytes(length);
    if length > limits.header_bytes {
        let limit = limits.header_bytes;
        return Err(FormatError::TooLarge { path: path.to_owned(), what: "the header".to_owned(), size: length, limit });
    }
    if length > file.len() - 8 {
        let (expected, found) = (length.saturating_add(8), file.len());
        return Err(FormatError::CutOff { path: path.to_owned(), expected, found });
    }
    let mut json = vec![0; usize::try_from(length).map_err(|_| bad("it is too long".to_owned()))?];
    file.read_at(&mut json, 8)?;
    let header = parse(&json).map_err(|error| match error {
        ParseError::Json(what) => bad(what),
        ParseError::Duplicate(key) => FormatError::DuplicateKey { path: path.to_owned(), key },
    })?;
    drop(json);

    let begin = 8 + length;
    let end = validate(&header.tensors).map_err(bad)?;
    let expected = begin.checked_add(end).ok_or_else(|| bad("the sizes overflow".to_owned()))?;
    if expected > file.len() {
        return Err(FormatError::CutOff { path: path.to_owned(), expected, found: file.len() });
    }
    if expected < file.len() {
        return Err(bad(format!("{} bytes follow the last tensor", file.len() - expected)));
    }

    let mut entries = Vec::with_capacity(header.tensors.len());
    for (key, info) in header.tensors {
        let shape: Vec<u64> = info.shape.iter().map(|&dim| dim as u64).collect();
        let strides = contiguous_strides(&shape).ok_or_else(|| bad(format!("`{key}`: the shape overflows")))?;
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let extent = Extent { file: file.clone(), offset: begin + from, len: to - from };
        let spec = TensorSpec::new(from_crate(info.dtype).ok_or_else(|| bad(format!("`{key}`: unknown dtype")))?, shape);
        let storage = Arc::new(Storage { extent, crc: None });
        let data = EntryData::Stored(StoredTensor { spec: spec.clone(), storage, offset: 0, strides });
        entries.push(Entry { key, spec, data, parameter: false });
    }
    let mut checkpoint = Checkpoint::new(path, Format::Safetensors);
    checkpoint.entries = entries;
    checkpoint.has_metadata = header.metadata.is_some();
    checkpoint.metadata = header.metadata.unwrap_or_default();
    Ok(checkpoint)
}

/// Lets the crate check the offsets; returns where the last tensor ends.
fn validate(tensors: &IndexMap<String, TensorInfo>) -> Result<u64, String> {
    let mut by_offset: Vec<(String, TensorInfo)> = tensors
        .iter()
        .map(|(key, info)| {
            let info = TensorInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: info.data_offsets };
            (key.clone(), info)
        })
        .collect();
    by_offset.sort_by_key(|(_, info)| info.data_offsets);
    // The crate names neither the tensor nor the numbers in most of its errors.
    let mut end = 0;
    for (key, info) in &by_offset {
        let (from, to) = info.data_offsets;
        if from > end {
            return Err(format!("there is a hole of {} bytes before `{key}`", from - end));
        }
        if from < end {
            return Err(format!("`{key}` overlaps the tensor before it"));
        }
        let shape: Vec<u64> = info.shape.iter().map(|&dim| dim as u64).collect();
        let nbytes = from_crate(info.dtype).and_then(|dtype| TensorSpec::new(dtype, shape).nbytes());
        let nbytes = nbytes.ok_or_else(|| format!("the shape of `{key}` has no size in bytes"))?;
        if to.checked_sub(from).map(|len| len as u64) != Some(nbytes) {
            return Err(format!("`{key}` should have {nbytes} bytes, its offsets are {from} to {to}"));
        }
        end = to;
    }
    Metadata::new(None, by_offset).map_err(|error| error.to_string())?;
    Ok(end as u64)
}

struct Header {
    metadata: Option<IndexMap<String, String>>,
    tensors: IndexMap<String, TensorInfo>,
}

enum ParseError {
    Json(String),
    Duplicate(String),
}

/// Carries a duplicate key through serde's error.
const DUPLICATE: &str = "duplicate key: ";

fn parse(json: &[u8]) -> Result<Header, ParseError> {
    let text = std::str::from_utf8(json).map_err(|error| ParseError::Json(format!("it is not UTF-8: {error}")))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut duplicate = None;
    let header = deserializer.deserialize_map(HeaderVisitor { duplicate: &mut duplicate });
    match header.and_then(|header| deserializer.end().map(|()| header)) {
        Ok(header) => Ok(header),
        Err(error) => Err(duplicate.map_or_else(|| ParseError::Json(error.to_string()), ParseError::Duplicate)),
    }
}

struct HeaderVisitor<'a> {
    duplicate: &'a mut Option<String>,
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { metadata: None, tensors: IndexMap::new() };
        while let Some(key) = map.next_key::<String>()? {
            if key == "__metadata__" {
                let metadata = map.next_value::<Unique>()?;
                if let Some(key) = metadata.duplicate {
                    *self.duplicate = Some(format!("__metadata__.{key}"));
                    return Err(A::Error::custom(DUPLICATE));
                }
                if header.metadata.replace(metadata.map).is_some() {
                    *self.duplicate = Some(key);
                    return Err(A::Error::custom(DUPLICATE));
                }
                continue;
            }
            let info = map.next_value::<TensorInfo>().map_err(|error| A::Error::custom(format!("`{key}`: {error}")))?;
            match header.tensors.entry(key) {
                Slot::Vacant(slot) => {
                    slot.insert(info);
                }
                Slot::Occupied(slot) => {
                    *self.duplicate = Some(slot.key().clone());
                    return Err(A::Error::custom(DUPLICATE));
                }
            }
        }
        Ok(header)
    }
}

/// A map of strings that remembers a key that came twice.
struct Unique {
    map: IndexMap<String, String>,
    duplicate: Option<String>,
}

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueVisitor;
        impl<'de> Visitor<'de> for UniqueVisitor {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings (__metadata__)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut unique = Unique { map: IndexMap::new(), duplicate: None };
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if unique.map.insert(key.clone(), value).is_some() {
                        unique.duplicate = Some(key);
                    }
                }
                Ok(unique)
            }
        }
        deserializer.deserialize_map(UniqueVisitor)
    }
}

/// The dtypes of both vocabularies.
const DTYPES: &[(safetensors::Dtype, Dtype)] = &[
    (safetensors::Dtype::BOOL, Dtype::Bool),
    (safetensors::Dtype::F4, Dtype::F4),
    (safetensors::Dtype::F6_E2M3, Dtype::F6E2m3),
    (safetensors::Dtype::F6_E3M2, Dtype::F6E3m2),
    (safetensors::Dtype::U8, Dtype::U8),
    (safetensors::Dtype::I8, Dtype::I8),
    (safetensors::Dtype::F8_E5M2, Dtype::F8E5m2),
    (safetensors::Dtype::F8_E4M3, Dtype::F8E4m3),
    (safetensors::Dtype::F8_E8M0, Dtype::F8E8m0),
    (safetensors::Dtype::F8_E4M3FNUZ, Dtype::F8E4m3fnuz),
    (safetensors::Dtype::F8_E5M2FNUZ, Dtype::F8E5m2fnuz),
    (safetensors::Dtype::I16, Dtype::I16),
    (safetensors::Dtype::U16, Dtype::U16),
    (safetensors::Dtype::F16, Dtype::F16),
    (safetensors::Dtype::BF16, Dtype::Bf16),
    (safetensors::Dtype::I32, Dtype::I32),
    (safetensors::Dtype::U32, Dtype::U32),
    (safetensors::Dtype::F32, Dtype::F32),
    (safetensors::Dtype::C64, Dtype::C64),
    (safetensors::Dtype::F64, Dtype::F64),
    (safetensors::Dtype::I64, Dtype::I64),
    (safetensors::Dtype::U64, Dtype::U64),
];

fn from_crate(dtype: safetensors::Dtype) -> Option<Dtype> {
    DTYPES.iter().find(|row| row.0 == dtype).map(|row| row.1)
}

fn to_crate(dtype: Dtype) -> Option<safetensors::Dtype> {
    DTYPES.iter().find(|row| row.1 == dtype).map(|row| row.0)
}

/// What one tensor of the output is made from.
enum Source<'a> {
    Extent(Extent),
    Produce(&'a dyn super::Produce),
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
pub(super) fn write(output: &Output<'_>, out: &mut OutputFile<'_>) -> Result<(), FormatError> {
    let path = out.path();
    if !output.weights_only && !output.source.others.is_empty() {
        let others = output.source.others.iter().map(|other| other.path.clone()).collect();
        return Err(FormatError::OthersLost { path: path.to_owned(), input: output.source.path.clone(), others });
    }
    let planned = plan(output, path)?;
    let mut order: Vec<&Planned<'_>> = planned.iter().collect();
    order.sort_by_key(|tensor| std::cmp::Reverse(tensor.spec.dtype.bits()));

    let mut offsets = std::collections::HashMap::with_capacity(order.len());
    let mut end = 0u64;
    for tensor in &order {
        let from = end;
        end = end.checked_add(tensor.nbytes).ok_or_else(|| too_large(path, tensor.key))?;
        offsets.insert(tensor.key, (from, end));
    }
    let header = header(output, &planned, &offsets);
    if header.len() as u64 > MAX_HEADER {
        let (size, limit) = (header.len() as u64, MAX_HEADER);
        return Err(FormatError::TooLarge { path: path.to_owned(), what: "the header".to_owned(), size, limit });
    }
    out.write(&(header.len() as u64).to_le_bytes())?;
    out.write(&header)?;
    for tensor in order {
        let begin = out.position();
        match &tensor.source {
            Source::Extent(extent) => out.copy(extent)?,
            Source::Produce(produce) => produce.produce(&mut Body { out })?,
        }
        if out.position() - begin != tensor.nbytes {
            let what = format!("`{}` came with another number of bytes than its spec says", tensor.key);
            return Err(FormatError::Output { path: path.to_owned(), what });
        }
    }
    Ok(())
}

fn plan<'a>(output: &'a Output<'a>, path: &Path) -> Result<Vec<Planned<'a>>, FormatError> {
    let mut planned = Vec::with_capacity(output.tensors.len());
    let mut keys = std::collections::HashSet::with_capacity(output.tensors.len());
    for tensor in &output.tensors {
        let key = tensor.key.as_str();
        if !keys.insert(key) || key == "__metadata__" {
            let what = format!("the key `{key}` is written twice or is reserved");
            return Err(FormatError::Output { path: path.to_owned(), what });
        }
        let (spec, source) = match &tensor.content {
            Content::Kept { entry } => kept(output.source, *entry, path)?,
            Content::Produced { tensor, .. } => (tensor.spec().clone(), Source::Produce(*tensor)),
        };
        if to_crate(spec.dtype).is_none() {
            return Err(FormatError::CannotHold { path: path.to_owned(), key: key.to_owned(), dtype: spec.dtype });
        }
        let nbytes = spec.nbytes().ok_or_else(|| too_large(path, key))?;
        planned.push(Planned { key, spec, nbytes, source });
    }
    Ok(planned)
}

fn kept<'a>(source: &Checkpoint, entry: usize, path: &Path) -> Result<(TensorSpec, Source<'a>), FormatError> {
    let wrong = |what: String| FormatError::Output { path: path.to_owned(), what };
    let entry = source.entries.get(entry).ok_or_else(|| wrong(format!("there is no source entry {entry}")))?;
    match &entry.data {
        EntryData::Stored(tensor) => {
            let extent = tensor.extent().ok_or_else(|| wrong(format!("`{}` is not contiguous", entry.key)))?;
            Ok((entry.spec.clone(), Source::Extent(extent)))
        }
        EntryData::Opaque { what } => {
            Err(FormatError::OpaqueEntry { path: path.to_owned(), key: entry.key.clone(), what: what.clone() })
        }
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
    offsets: &std::collections::HashMap<&str, (u64, u64)>,
) -> Vec<u8> {
    let mut metadata = output.source.metadata.clone();
    if let Some(record) = &output.record {
        metadata.insert("migrate".to_owned(), record.clone());
    }
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut parts = Vec::with_capacity(planned.len() + 1);
    if output.source.has_metadata || !metadata.is_empty() {
        let pairs: Vec<String> = metadata.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value))).collect();
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
    header
}

/// Takes the bytes of one tensor.
struct Body<'o, 'f> {
    out: &'o mut OutputFile<'f>,
}

impl Sink for Body<'_, '_> {
    fn extent(&mut self, extent: &Extent) -> Result<(), FormatError> {
        self.out.copy(extent)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.out.write(bytes)
    }
}
