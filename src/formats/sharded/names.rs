//! What the files of a sharded checkpoint are called, as Hugging Face's libraries call them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::formats::{Format, FormatError};

/// What the name of an index ends in.
const INDEX: &str = ".index.json";

/// What stands behind the stem of shards while they take the place of others of the same names.
const INTERIM: &str = ".migrate";

/// What the name of the folder ends in that parts of an output share.
const PARTS: &str = ".migrate-parts";

/// How many shards an output has at most, which is more than any has that is not a mistake.
pub(super) const MOST_SHARDS: usize = 1_000_000;

/// Whether a path is read as a sharded checkpoint: an index, or the folder of one.
pub fn is_sharded(path: &Path) -> bool {
    path.is_dir() || path.extension().is_some_and(|extension| extension == "json")
}

/// Whether a file name is that of an index; diffusers put a variant in: `….index.fp16.json`.
pub(super) fn is_index(name: &str) -> bool {
    name.ends_with(".json") && name.contains(".index.")
}

/// The names of a sharded checkpoint's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNames {
    folder: PathBuf,
    /// `model` of `model-00001-of-00003.safetensors`.
    stem: String,
    /// `safetensors` of the same.
    extension: String,
    format: Format,
}

impl ShardNames {
    /// The names that go with an index: `out/model.safetensors.index.json`.
    ///
    /// # Errors
    /// [`FormatError::UnknownExtension`] where the name does not say the format.
    pub fn of_index(path: &Path) -> Result<Self, FormatError> {
        let name = path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(INDEX));
        let unknown = || FormatError::UnknownExtension { path: path.to_owned() };
        ShardNames::of_file(&path.with_file_name(name.ok_or_else(unknown)?))
            .map_err(|_| FormatError::UnknownExtension { path: path.to_owned() })
    }

    /// The names that go with that of the checkpoint in one file: `out/model.safetensors`.
    ///
    /// # Errors
    /// [`FormatError::UnknownExtension`] where the name does not say the format.
    pub fn of_file(path: &Path) -> Result<Self, FormatError> {
        let format = Format::from_extension(path)?;
        let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).map(str::to_owned);
        let (Some(stem), Some(extension)) = (text(path.file_stem()), text(path.extension())) else {
            return Err(FormatError::UnknownExtension { path: path.to_owned() });
        };
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(ShardNames { folder, stem, extension, format })
    }

    /// The names in a folder: those of the source's own index where it has one of this format, else those
    /// that `save_pretrained` takes.
    pub fn in_folder(folder: &Path, format: Format, own: Option<&str>) -> Self {
        let own = own.and_then(|name| ShardNames::of_index(&folder.join(name)).ok());
        own.filter(|own| own.format == format).unwrap_or_else(|| {
            let (stem, extension) = match format {
                Format::Safetensors => ("model", "safetensors"),
                Format::TorchZip => ("pytorch_model", "bin"),
            };
            let (stem, extension) = (stem.to_owned(), extension.to_owned());
            ShardNames { folder: folder.to_owned(), stem, extension, format }
        })
    }

    /// The folder that the files lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The format of the shards.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The path of a file of the folder; nothing stands before it where that is the current one.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        if self.folder == Path::new(".") { PathBuf::from(name) } else { self.folder.join(name) }
    }

    /// The path of the index.
    pub fn index(&self) -> PathBuf {
        self.path(&self.index_name())
    }

    pub(super) fn index_name(&self) -> String {
        format!("{}.{}{INDEX}", self.stem, self.extension)
    }

    /// The path of the checkpoint in one file, which loaders take before they look for an index.
    pub fn single(&self) -> PathBuf {
        self.path(&self.single_name())
    }

    pub(super) fn single_name(&self) -> String {
        format!("{}.{}", self.stem, self.extension)
    }

    /// The path of the hidden folder that parts of the output share until it is finished.
    pub(super) fn parts(&self) -> PathBuf {
        self.path(&format!(".{}{PARTS}", self.single_name()))
    }

    /// The names whose parts' folder has this name, where it is one.
    pub(super) fn of_parts(folder: &Path, name: &str) -> Option<Self> {
        let name = name.strip_prefix('.')?.strip_suffix(PARTS)?;
        ShardNames::of_file(&folder.join(name)).ok()
    }

    /// The name of a shard, counted from 1.
    pub(super) fn shard(&self, number: usize, count: usize) -> String {
        format!("{}-{number:05}-of-{count:05}.{}", self.stem, self.extension)
    }

    /// The name that a shard has while others of the same names are there.
    pub(super) fn interim(&self, shard: &str, tag: u32) -> String {
        let rest = shard.strip_prefix(&self.stem).unwrap_or(shard);
        format!("{}{INTERIM}{tag}{rest}", self.stem)
    }

    /// Whether a file name is that of a shard of any number, an interim one or not.
    fn is_shard(&self, name: &str) -> bool {
        let digits =
            |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
        let middle = || {
            let rest = name.strip_prefix(&self.stem)?;
            let rest = rest.strip_suffix(&self.extension)?.strip_suffix('.')?;
            let (tag, numbers) = rest.split_once('-')?;
            let (number, count) = numbers.split_once("-of-")?;
            let is_tag = tag.is_empty() || tag.strip_prefix(INTERIM).is_some_and(|tag| digits(tag, 1));
            Some(is_tag && digits(number, 5) && digits(count, 5))
        };
        middle().unwrap_or(false)
    }

    /// The names in the folder that belong to a checkpoint of this name: index, shards, and the one file.
    ///
    /// # Errors
    /// Where the folder cannot be read; one that is not there holds nothing.
    pub(super) fn occupants(&self) -> Result<Vec<String>, FormatError> {
        let io = |source| FormatError::io(&self.folder, "read", source);
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let Ok(name) = entry.map_err(io)?.file_name().into_string() else { continue };
            if name == self.index_name() || name == self.single_name() || self.is_shard(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The paths that a new checkpoint of this name would replace.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn occupied(&self) -> Result<Vec<PathBuf>, FormatError> {
        Ok(self.occupants()?.iter().map(|name| self.path(name)).collect())
    }
}
