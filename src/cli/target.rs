//! Key sets from whatever a user may point at.

use foldhash::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::formats::{
    self, Checkpoint, Entry, EntryData, Foreign, Format, FormatError, Limit, Limits, SourceFile, StateDict,
    StoredTensor, keys_yaml,
};
use crate::keyset::{Key, KeyInfo, KeySet, Role};

use super::{Exit, Failure};

/// Reads the keys of a checkpoint, or a `.keys.yaml`; the extension or the content tells which.
///
/// `at` names the dict of tensors in a checkpoint and must be `None` for a key set.
///
/// # Errors
/// Where the file is neither, cannot be read, or has no tensors.
pub fn load_keyset(path: &Path, at: Option<&str>, limits: &Limits) -> Result<KeySet, Failure> {
    if is_key_set_file(path) {
        return read_key_set(path, at, limits);
    }
    match formats::open(path, at.as_slice(), limits) {
        Err(FormatError::NotACheckpoint { kind: Foreign::Text, .. }) if is_key_set(path) => {
            read_key_set(path, at, limits)
        }
        opened => keyset_of(&opened?),
    }
}

/// Whether the name of a file says that it is a key set.
pub(super) fn is_key_set_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The keys of an open checkpoint, with ties between those that view the same bytes.
///
/// # Errors
/// Where the file holds other things but no tensors.
pub fn keyset_of(checkpoint: &Checkpoint) -> Result<KeySet, Failure> {
    let dict = checkpoint.main_dict();
    if dict.entries.is_empty() && checkpoint.format == Format::TorchZip {
        return Err(Failure::new(Exit::Io, no_tensors(checkpoint)));
    }
    Ok(tied_keys(checkpoint, dict))
}

/// The keys of one dict of an open checkpoint, be there none.
pub(super) fn tied_keys(checkpoint: &Checkpoint, dict: &StateDict) -> KeySet {
    let mut keyset = KeySet::new(checkpoint.path.display().to_string());
    let mut tensors = HashMap::default();
    keyset.keys.reserve(dict.entries.len());
    for entry in &dict.entries {
        let key = entry.key.clone();
        let role = entry.parameter.then_some(Role::Parameter);
        let tied = view(entry).and_then(|view| match tensors.entry(view) {
            std::collections::hash_map::Entry::Occupied(first) => Some(Key::clone(first.get())),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(key.clone());
                None
            }
        });
        keyset.keys.insert(key, KeyInfo { role, tied, ..KeyInfo::from(entry.spec().clone()) });
    }
    keyset
}

/// What makes two entries one tensor: the same bytes seen in the same way.
///
/// Tensors without elements share nothing.
fn view(entry: &Entry) -> Option<(usize, u64, &[u64], &crate::tensor::TensorSpec)> {
    let EntryData::Stored(StoredTensor { spec, storage, offset, strides }) = &entry.data else { return None };
    let address = Arc::as_ptr(storage) as usize;
    (spec.numel() != Some(0)).then_some((address, *offset, strides.as_slice(), spec))
}

fn no_tensors(checkpoint: &Checkpoint) -> Diagnostic {
    let message = format!("`{}` holds no dict of tensors", checkpoint.path.display());
    let mut diagnostic = Diagnostic::error("no-tensors", message);
    let others: Vec<String> =
        checkpoint.others.iter().take(10).map(|other| format!("{}: {}", other.path, other.what)).collect();
    if !others.is_empty() {
        diagnostic = diagnostic.note(format!("it holds\n  {}", others.join("\n  ")));
    }
    diagnostic.help("save the state dict of the model: `torch.save(model.state_dict(), …)`")
}

/// Whether a text file begins as key sets do.
fn is_key_set(path: &Path) -> bool {
    let head = SourceFile::open(path).and_then(|file| {
        let mut head = vec![0; usize::try_from(file.len().min(4096)).unwrap_or(4096)];
        file.read_at(&mut head, 0)?;
        Ok(head)
    });
    let head = head.unwrap_or_default();
    let head = String::from_utf8_lossy(&head);
    head.lines().any(|line| line.starts_with("format:") || line.starts_with("tensors:"))
}

fn read_key_set(path: &Path, at: Option<&str>, limits: &Limits) -> Result<KeySet, Failure> {
    let name = path.display().to_string();
    if at.is_some() {
        let diagnostic = Diagnostic::error("at-key-set", format!("`{name}` is a key set and holds no dicts"));
        let diagnostic = diagnostic.help("leave the --at out that is meant for it");
        return Err(Failure::new(Exit::Usage, diagnostic));
    }
    let file = SourceFile::open(path)?;
    let limit = limits.get(Limit::KeySetBytes);
    if file.len() > limit {
        let (path, what, raise) = (path.to_owned(), "the key set".to_owned(), Some(Limit::KeySetBytes));
        return Err(FormatError::TooLarge { path, what, size: file.len(), limit, raise }.into());
    }
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap_or_default()];
    file.read_at(&mut bytes, 0)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let message = format!("`{name}` is not UTF-8 text: byte {}", error.utf8_error().valid_up_to());
        Failure::new(Exit::Io, Diagnostic::error("bad-key-set", message))
    })?;
    keys_yaml::parse(&name, &text).map_err(|error| Failure::in_key_set(&error, &text))
}
