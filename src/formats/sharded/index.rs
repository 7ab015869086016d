//! The index: which shard holds which key.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ShardProblem;
use crate::formats::texts::Texts;
use crate::formats::{FormatError, Limit, Limits, SourceFile};

/// What a sharded checkpoint's index says besides the place of each key.
#[derive(Clone, Debug)]
pub struct Sharded {
    /// The name of the index, without its folder.
    pub name: String,
    /// Its `metadata`, with sizes as they were written.
    pub metadata: Map<String, Value>,
    /// The shards, in the order in which they were read.
    pub shards: Vec<PathBuf>,
}

/// An index as it stands in its file.
#[derive(Debug, Serialize)]
pub(super) struct Index {
    /// `total_size`, and what else a writer put there.
    pub(super) metadata: Map<String, Value>,
    /// The base name of the shard that holds each key.
    pub(super) weight_map: IndexMap<String, String>,
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// Where the file is no index, has a key twice, or names a shard by anything but a base name.
    pub(super) fn read(path: &Path, limits: &Limits) -> Result<Index, FormatError> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: Option<Map<String, Value>>,
            weight_map: Texts,
        }
        let file = SourceFile::open(path)?;
        // It has a line for each key, as the header of a safetensors file has.
        let limit = limits.get(Limit::HeaderBytes);
        if file.len() > limit {
            return Err(FormatError::TooLarge {
                path: path.to_owned(),
                what: "the index".to_owned(),
                size: file.len(),
                limit,
                raise: Some(Limit::HeaderBytes),
            });
        }
        if file.is_empty() {
            return Err(FormatError::Empty { path: path.to_owned() });
        }
        let wrong = |problem| FormatError::Shards { path: path.to_owned(), problem };
        let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or_default()];
        file.read_at(&mut bytes, 0)?;
        let raw: Raw = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(ShardProblem::NotAnIndex { what: error.to_string() }))?;
        let Texts { map: weight_map, duplicate } = raw.weight_map;
        if let Some(key) = duplicate {
            return Err(FormatError::DuplicateKey { path: path.to_owned(), key });
        }
        if weight_map.is_empty() {
            return Err(wrong(ShardProblem::NotAnIndex { what: "its `weight_map` is empty".to_owned() }));
        }
        if let Some((key, file)) = weight_map.iter().find(|(_, file)| !is_base_name(file)) {
            let (key, file) = (key.clone(), file.clone());
            return Err(wrong(ShardProblem::NotABaseName { key, file }));
        }
        Ok(Index { metadata: raw.metadata.unwrap_or_default(), weight_map })
    }

    /// The text, in the form that Hugging Face's libraries write.
    pub(super) fn text(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }

    /// The same index over shards of other names.
    pub(super) fn renamed(&self, new: impl Fn(&str) -> String) -> Index {
        let renamed = self.weight_map.iter().map(|(key, file)| (key.clone(), new(file)));
        Index { metadata: self.metadata.clone(), weight_map: renamed.collect() }
    }
}

/// Whether a name can only mean a file beside the index, on any system.
fn is_base_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}
