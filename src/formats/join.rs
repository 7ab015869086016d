//! Several files as one checkpoint: shards, and inputs under names of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::HashMap;

use super::pytorch::Document;
use super::{Checkpoint, FormatError, Other};
use crate::keyset::Key;

/// One of several files that are read as one.
pub struct Part {
    /// What its keys are put under: `r0` makes `r0.w` of `w`.
    pub name: Option<String>,
    /// The file.
    pub checkpoint: Checkpoint,
}

/// What is known of a file that was joined to another one.
#[derive(Debug)]
pub struct Further {
    /// The file as the user named it.
    pub path: PathBuf,
    /// What it holds beside tensors, which no output takes over.
    pub others: Vec<Other>,
    pub(super) document: Option<Arc<Document>>,
}

/// Reads several files as one checkpoint, dict by dict; everything beside tensors is that of the first.
///
/// # Errors
/// [`FormatError::SharedKey`] where two files have one key.
pub fn join(parts: Vec<Part>) -> Result<Option<Checkpoint>, FormatError> {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Ok(None) };
    let mut joined = first.checkpoint;
    let alone = parts.len() == 0;
    // Which file a key is of, by dict.
    let mut holders: Vec<HashMap<Key, Arc<Path>>> = vec![HashMap::default(); joined.dicts.len()];
    let prefix = prefix(first.name);
    let path: Arc<Path> = joined.path.as_path().into();
    for (dict, holders) in joined.dicts.iter_mut().zip(&mut holders) {
        // A sharded checkpoint has been joined before.
        dict.own = Some(dict.own.unwrap_or(dict.entries.len()));
        dict.prefix.clone_from(&prefix);
        for entry in &mut dict.entries {
            put_before(&mut entry.key, &prefix);
            if !alone {
                holders.insert(entry.key.clone(), path.clone());
            }
        }
    }
    for Part { name, checkpoint } in parts {
        let prefix = self::prefix(name);
        let named: Arc<Path> = checkpoint.path.as_path().into();
        let path = checkpoint.files().next().unwrap_or(&checkpoint.path).to_owned();
        for ((dict, holders), more) in joined.dicts.iter_mut().zip(&mut holders).zip(checkpoint.dicts) {
            for mut entry in more.entries {
                put_before(&mut entry.key, &prefix);
                if let Some(first) = holders.insert(entry.key.clone(), named.clone()) {
                    let (key, first) = (entry.key.to_string(), first.to_path_buf());
                    return Err(FormatError::SharedKey { key, first, second: checkpoint.path });
                }
                dict.entries.push(entry);
            }
        }
        joined.has_metadata |= checkpoint.has_metadata;
        for (key, value) in checkpoint.metadata {
            joined.metadata.entry(key).or_insert(value);
        }
        joined.globals.extend(checkpoint.globals);
        joined.refused.extend(checkpoint.refused);
        let (others, document) = (checkpoint.others, checkpoint.document);
        joined.further.push(Further { path, others, document });
        joined.further.extend(checkpoint.further);
    }
    Ok(Some(joined))
}

fn prefix(name: Option<String>) -> String {
    name.map(|name| name + ".").unwrap_or_default()
}

fn put_before(key: &mut Key, prefix: &str) {
    if !prefix.is_empty() {
        *key = format!("{prefix}{key}").into();
    }
}
