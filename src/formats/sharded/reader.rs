//! Reads an index and its shards as one checkpoint.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::index::{Index, Sharded};
use super::{ShardProblem, names};
use crate::formats::open::open_file;
use crate::formats::{Checkpoint, Format, FormatError, Limits, Part, join};

/// Opens an index, or the folder that holds exactly one; the shards' headers are read, and no tensor bytes.
///
/// # Errors
/// Where index and shards do not hold exactly the same keys, and as opening each shard.
pub(in crate::formats) fn open(path: &Path, at: &[&str], limits: &Limits) -> Result<Checkpoint, FormatError> {
    let path = if path.is_dir() { index_of_folder(path)? } else { path.to_owned() };
    let index = Index::read(&path, limits)?;
    if let Some(&at) = at.iter().find(|&&at| !at.is_empty() && at != ".") {
        return Err(FormatError::NoTensors { path, at: at.to_owned(), there: Vec::new() });
    }
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, file) in &index.weight_map {
        keys.entry(file).or_default().push(key);
    }
    let mut parts = Vec::with_capacity(keys.len());
    let mut shards = Vec::with_capacity(keys.len());
    for (file, keys) in keys {
        let wrong = |problem| FormatError::Shards { path: path.clone(), problem };
        let shard = path.with_file_name(file);
        let checkpoint = match open_file(&shard, &[], limits) {
            Err(FormatError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(wrong(ShardProblem::MissingShard { file: file.to_owned() }));
            }
            opened => opened?,
        };
        compare(&index, file, &keys, &checkpoint).map_err(wrong)?;
        parts.push(Part { name: None, checkpoint });
        shards.push(shard);
    }
    let empty = || FormatError::Shards {
        path: path.clone(),
        problem: ShardProblem::NotAnIndex { what: "it lists no shard".to_owned() },
    };
    let mut checkpoint = join(parts)?.ok_or_else(empty)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    checkpoint.sharded = Some(Sharded { name, metadata: index.metadata, shards });
    checkpoint.path = path;
    Ok(checkpoint)
}

/// Checks that a shard holds the keys that the index puts into it, and no others.
fn compare(index: &Index, file: &str, keys: &[&str], shard: &Checkpoint) -> Result<(), ShardProblem> {
    let held: HashSet<&str> = shard.main_dict().entries.iter().map(|entry| &*entry.key).collect();
    let lacking: Vec<&&str> = keys.iter().filter(|key| !held.contains(**key)).collect();
    if let [key, more @ ..] = lacking.as_slice() {
        let (key, file, more) = ((**key).to_owned(), file.to_owned(), more.len());
        return Err(ShardProblem::KeyNotInShard { key, file, more });
    }
    let listed = |key: &str| index.weight_map.get(key).filter(|listed| *listed != file);
    let foreign = shard.main_dict().entries.iter().map(|entry| &*entry.key);
    let mut foreign = foreign.filter(|key| index.weight_map.get(*key).is_none_or(|listed| listed != file));
    if let Some(key) = foreign.next() {
        let listed = listed(key).cloned();
        let (key, file, more) = (key.to_owned(), file.to_owned(), foreign.count());
        return Err(ShardProblem::KeyNotListed { key, file, listed, more });
    }
    Ok(())
}

/// The one index of a folder.
fn index_of_folder(folder: &Path) -> Result<PathBuf, FormatError> {
    let wrong = |problem| FormatError::Shards { path: folder.to_owned(), problem };
    let io = |source| FormatError::io(folder, "read", source);
    let (mut indexes, mut checkpoints) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let Ok(name) = entry.map_err(io)?.file_name().into_string() else { continue };
        if names::is_index(&name) {
            indexes.push(name);
        } else if Format::from_extension(Path::new(&name)).is_ok() && !name.starts_with('.') {
            checkpoints.push(name);
        }
    }
    indexes.sort();
    checkpoints.sort();
    match indexes.as_slice() {
        [index] => Ok(folder.join(index)),
        [] => Err(wrong(ShardProblem::NoIndex { holds: checkpoints })),
        _ => Err(wrong(ShardProblem::ManyIndexes { names: indexes })),
    }
}
