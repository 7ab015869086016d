//! Where an output goes, and that the input survives it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::{FormatError, Placement, Replace};

use super::{Exit, Failure};

/// Where an output goes.
pub(super) struct Place {
    output: PathBuf,
    backup: Option<PathBuf>,
}

/// A second name for the input, made before the first name is given to the output.
pub(super) struct Backup(Option<PathBuf>);

/// The place that the command line names; `backup` is the suffix of an in-place run.
///
/// # Errors
/// Where the output would be the input.
pub(super) fn of(
    input: Option<&Path>,
    output: Option<&Path>,
    backup: Option<&str>,
) -> Result<Place, Failure> {
    let usage = |message: String, help: &str| {
        Failure::new(Exit::Usage, Diagnostic::error("output", message).help(help))
    };
    let input = input.unwrap_or(Path::new(""));
    match (output, backup) {
        (Some(output), _) if same_file(input, output) => Err(usage(
            format!("the output `{}` is the input", output.display()),
            "choose another name, or write `--in-place --backup .bak`",
        )),
        (Some(output), _) => Ok(Place { output: output.to_owned(), backup: None }),
        (None, Some(suffix)) if suffix.is_empty() || suffix.contains('/') => Err(usage(
            format!("`{suffix}` is no suffix for a file name"),
            "write, for example, `--backup .bak`",
        )),
        (None, suffix) => {
            let mut name = input.as_os_str().to_owned();
            name.push(suffix.unwrap_or(".bak"));
            Ok(Place { output: input.to_owned(), backup: Some(PathBuf::from(name)) })
        }
    }
}

impl Place {
    /// The path that the output will have.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// Refuses early what could only be refused after all the work.
    ///
    /// # Errors
    /// Where the output or the backup exists and must not be replaced.
    pub fn check(&self, placement: &Placement) -> Result<(), Failure> {
        let taken = match &self.backup {
            Some(backup) => backup.symlink_metadata().is_ok().then_some(backup),
            None => (placement.replace == Replace::Never && self.output.symlink_metadata().is_ok())
                .then_some(&self.output),
        };
        match taken {
            Some(path) if self.backup.is_some() => {
                let diagnostic = Diagnostic::error(
                    "output-exists",
                    format!("the backup `{}` exists already", path.display()),
                );
                Err(Failure::new(
                    Exit::Usage,
                    diagnostic.help("choose another suffix, or move the old backup away"),
                ))
            }
            Some(path) => Err(FormatError::Exists { path: path.clone() }.into()),
            None => Ok(()),
        }
    }

    /// Gives the input its second name, so that it is whole under one of its names at each instant.
    ///
    /// # Errors
    /// Where the file system refuses both a hard link and a copy.
    pub fn back_up(&self) -> Result<Backup, Failure> {
        let Some(backup) = &self.backup else { return Ok(Backup(None)) };
        // Not every file system has hard links; a copy serves there.
        if fs::hard_link(&self.output, backup).is_err() {
            fs::copy(&self.output, backup).map_err(|source| FormatError::Io {
                path: backup.clone(),
                doing: "write",
                source,
            })?;
        }
        Ok(Backup(Some(backup.clone())))
    }
}

impl Backup {
    /// Takes the second name away again, after a run that left the input in its place.
    pub fn undo(self) {
        if let Some(path) = self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn same_file(first: &Path, second: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    first == second || id(first).is_some_and(|first| Some(first) == id(second))
}
