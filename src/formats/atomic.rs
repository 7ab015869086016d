//! Output files that appear whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{FormatError, access, temporary};

/// What to do where the output exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Leave it and fail.
    Never,
    /// Replace it, in one step.
    Force,
    /// Replace it as [`Force`](Replace::Force) does, with a file of the same owner, group and mode.
    InPlace,
}

/// How an output takes its place.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// What to do where it exists already.
    pub replace: Replace,
    /// Whether to wait until the bytes and the name are on the disk.
    pub sync: bool,
}

/// A file under construction beside the place it is meant for; dropped, it is gone.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    folder: PathBuf,
    file: NamedTempFile,
}

impl AtomicFile {
    /// Makes an unseen file in the folder of `path`.
    ///
    /// # Errors
    /// Where the path has no file name or its folder cannot be written; errors name `path`.
    pub fn create(path: &Path) -> Result<Self, FormatError> {
        AtomicFile::create_in(&folder_of(path), path)
    }

    /// Makes an unseen file in a folder of the same file system as `path`.
    ///
    /// # Errors
    /// As [`AtomicFile::create`].
    pub fn create_in(staging: &Path, path: &Path) -> Result<Self, FormatError> {
        let io = |source| FormatError::io(path, "write", source);
        let prefix = prefix(path).ok_or_else(|| io(io::Error::from(io::ErrorKind::InvalidInput)))?;
        let file = temporary::file(staging, &prefix).map_err(io)?;
        Ok(AtomicFile { path: path.to_owned(), folder: folder_of(path), file })
    }

    /// Takes away what runs that were killed left of a file meant for `path`; [`create`](AtomicFile::create)
    /// does so too.
    pub fn take_away_leftovers(path: &Path) {
        if let Some(prefix) = prefix(path) {
            temporary::sweep(&folder_of(path), &prefix);
        }
    }

    /// The place the file is meant for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Lets those read and write it who may do so with the file at `other`. This is for a file that is still
    /// empty: once there is something to read, nobody may who could not before.
    ///
    /// # Errors
    /// Where the other file cannot be looked at, and where it would be open to more people.
    pub fn take_access_of(&self, other: &Path) -> Result<(), FormatError> {
        access::take_over(self.file.as_file(), other)
            .map_err(|source| FormatError::io(&self.path, "write", source))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`FormatError::Exists`] where something is there that must not be replaced, and where the
    /// system refuses.
    pub fn commit(self, placement: &Placement) -> Result<(), FormatError> {
        let AtomicFile { path, folder, file } = self;
        let io = |source| FormatError::io(&path, "write", source);
        if placement.sync {
            file.as_file().sync_all().map_err(io)?;
        }
        let (file, temporary) = file.into_parts();
        match placement.replace {
            Replace::Force | Replace::InPlace => fs::rename(&temporary, &path),
            Replace::Never => temporary::place(&temporary, &path),
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FormatError::Exists { path: path.clone() },
            _ => io(error),
        })?;
        // The name is gone already. The lock was held until here, so that nobody takes the file away.
        let _ = temporary.keep();
        drop(file);
        if placement.sync {
            File::open(&folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        Ok(())
    }
}

/// The folder that a path lies in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What the names of temporary files for a path begin with.
fn prefix(path: &Path) -> Option<OsString> {
    let name = path.file_name()?;
    let mut prefix = OsString::from(".");
    // A name may fill the 255 bytes that file systems allow: the temporary one must not be longer.
    if name.len() <= 200 {
        prefix.push(name);
    }
    prefix.push(".");
    Some(prefix)
}
