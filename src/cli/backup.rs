//! The second name of a checkpoint that is replaced in place.
//!
//! The input keeps its bytes under the new name before its own goes to the output, so that it is whole under one
//! of the two at each instant.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::{AtomicFile, FormatError, Placement, Replace};

use super::{Exit, Failure};

/// The input's second name, while its first one is about to be given away.
pub(super) struct Backup {
    input: PathBuf,
    path: PathBuf,
    /// The input as it was opened; its lock keeps other runs from replacing the same file.
    held: File,
    /// Whether this run made the second name.
    made: bool,
}

/// Refuses a backup that is there already. One that is the input itself, under a second name, was made by a run
/// that was stopped before it replaced anything, and will do.
///
/// # Errors
/// Where it is another file.
pub(super) fn check(input: &Path, path: &Path) -> Result<(), Failure> {
    match (path.symlink_metadata(), input.symlink_metadata()) {
        (Ok(there), Ok(input)) if !is_same(&there, &input) => {}
        (Ok(_), Err(_)) => {}
        _ => return Ok(()),
    }
    let message = format!("the backup `{}` exists already", path.display());
    let help = "choose another suffix, or move the old backup away";
    Err(Failure::new(Exit::Usage, Diagnostic::error("output-exists", message).help(help)))
}

impl Backup {
    /// Gives the input a second name.
    ///
    /// # Errors
    /// Where the name is taken, another run is at work on the input, or the system refuses.
    pub fn make(input: &Path, path: &Path, placement: &Placement) -> Result<Backup, Failure> {
        let io = |path: &Path, doing| {
            let path = path.to_owned();
            move |source| FormatError::Io { path, doing, source }
        };
        let held = File::open(input).map_err(io(input, "open"))?;
        if let Err(fs::TryLockError::WouldBlock) = held.try_lock() {
            let message = format!("another run is replacing `{}`", input.display());
            let help = "wait for it to end; what it replaces is kept as its backup";
            return Err(Failure::new(Exit::Usage, Diagnostic::error("busy", message).help(help)));
        }
        AtomicFile::take_away_leftovers(path);
        let made = match fs::hard_link(input, path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                check(input, path)?;
                false
            }
            // Not every file system has hard links, and some let only owners make them.
            Err(_) => {
                copy(&held, input, path, placement)?;
                true
            }
        };
        let backup = Backup { input: input.to_owned(), path: path.to_owned(), held, made };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if placement.sync
            && let Err(error) = File::open(folder).and_then(|folder| folder.sync_all())
        {
            backup.undo();
            return Err(io(path, "write")(error).into());
        }
        Ok(backup)
    }

    /// Takes the second name away again after a run that failed, where the input still has its first one.
    pub fn undo(self) {
        let in_place = match (self.held.metadata(), self.input.symlink_metadata()) {
            (Ok(held), Ok(input)) => is_same(&held, &input),
            _ => false,
        };
        if self.made && in_place {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Copies the input, whole or not at all.
fn copy(mut held: &File, input: &Path, path: &Path, placement: &Placement) -> Result<(), FormatError> {
    let copy = AtomicFile::create(path)?;
    copy.take_access_of(input)?;
    io::copy(&mut held, &mut copy.file()).map_err(|source| FormatError::Io {
        path: path.to_owned(),
        doing: "write",
        source,
    })?;
    copy.commit(&Placement { replace: Replace::Never, ..*placement })
}

fn is_same(first: &Metadata, second: &Metadata) -> bool {
    (first.dev(), first.ino()) == (second.dev(), second.ino())
}
