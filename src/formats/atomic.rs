//! Output files that appear whole or not at all.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::FormatError;

/// What to do where the output exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Leave it and fail.
    Never,
    /// Replace it, in one step.
    Force,
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
        let name = path.file_name().ok_or_else(|| io(io::Error::from(io::ErrorKind::InvalidInput)))?;
        // A name may fill the 255 bytes that file systems allow: the temporary one must not be longer.
        let mut prefix = std::ffi::OsString::from(".");
        if name.len() <= 200 {
            prefix.push(name);
        }
        prefix.push(".");
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".migrate-tmp")
            .permissions(Permissions::from_mode(0o666)) // less the umask, as for any new file
            .tempfile_in(staging)
            .map_err(io)
            .map_err(without_temporary_name)?;
        Ok(AtomicFile { path: path.to_owned(), folder: folder_of(path), file })
    }

    /// The place the file is meant for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        self.file.as_file()
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
        let persisted = match placement.replace {
            Replace::Force => file.persist(&path),
            Replace::Never => file.persist_noclobber(&path),
        };
        if let Err(error) = persisted {
            return Err(match error.error.kind() {
                io::ErrorKind::AlreadyExists => FormatError::Exists { path: path.clone() },
                _ => io(error.error),
            });
        }
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

/// `tempfile` puts its own path into the error; the user knows the output only.
pub(super) fn without_temporary_name(error: FormatError) -> FormatError {
    match error {
        FormatError::Io { path, doing, source } => {
            let source = match source.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::from(source.kind()),
            };
            FormatError::Io { path, doing, source }
        }
        other => other,
    }
}
