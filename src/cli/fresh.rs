//! New files that take nothing's place: all of them are written, or none.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::FormatError;
use crate::printable::printable;

use super::keys::write;
use super::{Exit, Failure};

/// A file that is to be made.
pub(super) struct Fresh {
    pub path: PathBuf,
    pub text: String,
    /// Whether it is a program.
    pub runs: bool,
}

impl Fresh {
    /// A file of text.
    pub fn text(path: PathBuf, text: impl Into<String>) -> Fresh {
        Fresh { path, text: text.into(), runs: false }
    }
}

/// Refuses to go on where any of these is there already.
///
/// # Errors
/// Names all that are there.
pub(super) fn refuse_existing<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    let there = paths.into_iter().filter(|path| path.symlink_metadata().is_ok());
    let there: Vec<String> =
        there.map(|path| format!("`{}`", printable(&path.display().to_string()))).collect();
    if there.is_empty() {
        return Ok(());
    }
    let (verb, them) = if there.len() == 1 { ("is", "it") } else { ("are", "them") };
    let message = format!("{} {verb} there already", there.join(", "));
    let help =
        format!("nothing was written, and nothing is ever replaced: move {them} away, or go on with {them}");
    Err(Failure::new(Exit::Usage, Diagnostic::error("output-exists", message).help(help)))
}

/// Writes the files, with the folders that they need.
///
/// # Errors
/// Where one is there already or cannot be written; those written before are taken away again.
pub(super) fn write_all(files: &[Fresh]) -> Result<(), Failure> {
    refuse_existing(files.iter().map(|file| &*file.path))?;
    for (index, file) in files.iter().enumerate() {
        if let Err(error) = write_one(file) {
            for written in files.iter().take(index) {
                // The first failure is the news, and it says where.
                let _ = fs::remove_file(&written.path);
            }
            return Err(error.into());
        }
    }
    Ok(())
}

fn write_one(file: &Fresh) -> Result<(), FormatError> {
    let io = |source| FormatError::Io { path: file.path.clone(), doing: "write", source };
    if let Some(folder) = file.path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    write(&file.path, &file.text, false)?;
    if file.runs {
        let mode = fs::metadata(&file.path).map_err(io)?.permissions().mode();
        // Who may read it may run it.
        fs::set_permissions(&file.path, Permissions::from_mode(mode | (mode & 0o444) >> 2)).map_err(io)?;
    }
    Ok(())
}
