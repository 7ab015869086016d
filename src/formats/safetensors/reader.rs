//! Reads the header.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry as Slot;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::from_crate;
use crate::formats::checkpoint::{Checkpoint, Entry, EntryData, Format, StateDict};
use crate::formats::texts::Texts;
use crate::formats::{Extent, FormatError, Limit, Limits, SourceFile, Storage, StoredTensor};
use crate::tensor::{MAX_DIMS, TensorSpec, contiguous_strides};

/// Reads the header of a safetensors file, and no tensor bytes.
///
/// # Errors
/// Where the header is damaged, a key is there twice, or the tensors do not fill the file exactly.
pub(in crate::formats) fn open(file: &Arc<SourceFile>, limits: &Limits) -> Result<Checkpoint, FormatError> {
    let path = file.path();
    let bad = |what: String| FormatError::Header { path: path.to_owned(), what };
    if file.len() < 8 {
        return Err(FormatError::CutOff { path: path.to_owned(), expected: 8, found: file.len() });
    }
    let mut length = [0; 8];
    file.read_at(&mut length, 0)?;
    let length = u64::from_le_bytes(length);
    let limit = limits.get(Limit::HeaderBytes);
    if length > limit {
        return Err(FormatError::TooLarge {
            path: path.to_owned(),
            what: "the header".to_owned(),
            size: length,
            limit,
            raise: Some(Limit::HeaderBytes),
        });
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
        let strides =
            contiguous_strides(&shape).ok_or_else(|| bad(format!("`{key}`: the shape overflows")))?;
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let extent = Extent { file: file.clone(), offset: begin + from, len: to - from };
        let spec = TensorSpec::new(
            from_crate(info.dtype).ok_or_else(|| bad(format!("`{key}`: unknown dtype")))?,
            shape,
        );
        let storage = Arc::new(Storage { extent, crc: None });
        let data = EntryData::Stored(StoredTensor { spec, storage, offset: 0, strides });
        entries.push(Entry { key: key.into(), data, parameter: false });
    }
    let dict = StateDict { entries, ..StateDict::default() };
    let mut checkpoint = Checkpoint::new(path, Format::Safetensors, vec![dict]);
    checkpoint.has_metadata = header.metadata.is_some();
    checkpoint.metadata = header.metadata.unwrap_or_default();
    Ok(checkpoint)
}

/// Lets the crate check the offsets; returns where the last tensor ends.
fn validate(tensors: &IndexMap<String, TensorInfo>) -> Result<u64, String> {
    let mut by_offset: Vec<(String, TensorInfo)> = tensors
        .iter()
        .map(|(key, info)| {
            let info =
                TensorInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: info.data_offsets };
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
        if info.shape.len() > MAX_DIMS {
            return Err(format!("`{key}` has {} dims, more than {MAX_DIMS}", info.shape.len()));
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
    let text =
        std::str::from_utf8(json).map_err(|error| ParseError::Json(format!("it is not UTF-8: {error}")))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut duplicate = None;
    let header = deserializer.deserialize_map(HeaderVisitor { duplicate: &mut duplicate });
    match header.and_then(|header| deserializer.end().map(|()| header)) {
        Ok(header) => Ok(header),
        Err(error) => {
            Err(duplicate.map_or_else(|| ParseError::Json(error.to_string()), ParseError::Duplicate))
        }
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
                let metadata = map.next_value::<Texts>()?;
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
            let info = map
                .next_value::<TensorInfo>()
                .map_err(|error| A::Error::custom(format!("`{key}`: {error}")))?;
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
