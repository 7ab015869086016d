//! Opens a checkpoint of whatever format its content tells.

use std::path::Path;

use super::checkpoint::{Checkpoint, DictPath};
use super::{Foreign, FormatError, Limits, Overlap, SourceFile, pytorch, safetensors, sharded};

/// Opens a checkpoint of a format that its content tells, with the dicts of tensors at `at`; a folder or a
/// `.json` is one in shards.
///
/// Each dict is named by its keys, joined with dots (`.` is the root). With `at` empty it is found by
/// itself; a torch file without any dict of tensors (a pickled module, say) then gives a checkpoint
/// with one state dict without entries.
///
/// # Errors
/// Where the file is no checkpoint, is damaged, holds several dicts of tensors and `at` is empty, or
/// has no tensors at one of `at`; and where one of those is named twice, lies inside another, or shares
/// a dict with it.
pub fn open(path: &Path, at: &[&str], limits: &Limits) -> Result<Checkpoint, FormatError> {
    if let Some(kind) = pytorch::distributed_kind(path) {
        return Err(FormatError::NotACheckpoint { path: path.to_owned(), kind });
    }
    if sharded::is_sharded(path) {
        return sharded::open(path, at, limits);
    }
    open_file(path, at, limits)
}

/// Opens a checkpoint that is one file.
pub(super) fn open_file(path: &Path, at: &[&str], limits: &Limits) -> Result<Checkpoint, FormatError> {
    let file = SourceFile::open(path)?;
    let checkpoint = match detect(&file)? {
        Container::Safetensors => safetensors::open(&file, limits)?,
        Container::TorchZip => return pytorch::open(&file, at, limits),
        Container::TorchLegacy => return pytorch::open_legacy(&file, at, limits),
    };
    if let Some(&at) = at.iter().find(|&&at| !at.is_empty() && at != ".") {
        return Err(FormatError::NoTensors { path: path.to_owned(), at: at.to_owned(), there: Vec::new() });
    }
    if at.len() > 1 {
        let (first, second) = (DictPath::default().name(), DictPath::default().name());
        return Err(FormatError::DictsOverlap {
            path: path.to_owned(),
            first,
            second,
            overlap: Overlap::Twice,
        });
    }
    Ok(checkpoint)
}

/// What is read, told from the first bytes of a file.
enum Container {
    Safetensors,
    TorchZip,
    TorchLegacy,
}

/// The container that the first bytes of a file show.
fn detect(file: &SourceFile) -> Result<Container, FormatError> {
    let path = file.path();
    let mut head = [0; 512];
    let length = usize::try_from(file.len().min(512)).unwrap_or(512);
    let head = &mut head[..length];
    file.read_at(head, 0)?;
    let foreign = |kind| Err(FormatError::NotACheckpoint { path: path.to_owned(), kind });
    if head.is_empty() {
        return Err(FormatError::Empty { path: path.to_owned() });
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Container::TorchZip);
    }
    if pytorch::is_legacy(head) {
        return Ok(Container::TorchLegacy);
    }
    if head.get(257..262) == Some(b"ustar") {
        // The four files of `torch.save` in torch 0.1.
        let first = head.split(|&byte| byte == 0).next().unwrap_or_default();
        let torchs: [&[u8]; 4] = [b"sys_info", b"pickle", b"tensors", b"storages"];
        return foreign(if torchs.contains(&first) { Foreign::LegacyTar } else { Foreign::Tar });
    }
    if head.get(8) == Some(&b'{') || path.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(Container::Safetensors);
    }
    if head[0] == 0x80 && head.get(1).is_some_and(|protocol| (2..=5).contains(protocol)) {
        return foreign(Foreign::Pickle);
    }
    if head.starts_with(b"version https://git-lfs") {
        return foreign(Foreign::GitLfsPointer);
    }
    let text = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(), // cut inside a character
    };
    if text && !head.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
        return foreign(Foreign::Text);
    }
    foreign(Foreign::Unknown)
}
