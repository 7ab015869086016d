//! Where outputs go, and that the input survives them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::{FormatError, Placement, Replace};

use super::named::Named;
use super::{Exit, Failure};

/// Where the outputs go.
pub(super) struct Place {
    outputs: Vec<Named>,
    backup: Option<PathBuf>,
}

/// A second name for the input, made before the first name is given to the output.
pub(super) struct Backup(Option<PathBuf>);

fn usage(message: String, help: &str) -> Failure {
    Failure::new(Exit::Usage, Diagnostic::error("output", message).help(help))
}

/// The place that the command line names; `backup` is the suffix of an in-place run.
///
/// # Errors
/// Where an output would be an input or another output, and where several have no names.
pub(super) fn of(inputs: &[Named], outputs: &[Named], backup: Option<&str>) -> Result<Place, Failure> {
    if outputs.is_empty() {
        return in_place(inputs, backup.unwrap_or(".bak"));
    }
    for (index, output) in outputs.iter().enumerate() {
        let path = output.path.display();
        if inputs.iter().any(|input| same_file(&input.path, &output.path)) {
            let help = "choose another name, or write `--in-place --backup .bak`";
            return Err(usage(format!("the output `{path}` is the input"), help));
        }
        if outputs.len() > 1 && output.name.is_none() {
            let help = "write `-o r0=a.pt -o r1=b.pt`: each takes the keys under its name";
            return Err(usage(format!("the output `{path}` is one of several and has no name"), help));
        }
        let before = &outputs[..index];
        if before.iter().any(|other| other.name == output.name || same_file(&other.path, &output.path)) {
            let help = "each output has a name and a file of its own";
            return Err(usage(format!("the output `{path}` is named twice"), help));
        }
    }
    Ok(Place { outputs: outputs.to_vec(), backup: None })
}

fn in_place(inputs: &[Named], suffix: &str) -> Result<Place, Failure> {
    let [Named { name: None, path: input }] = inputs else {
        let help = "write `-o FILE`";
        return Err(usage("only a single input without a name can be replaced in place".to_owned(), help));
    };
    if suffix.is_empty() || suffix.contains('/') {
        let help = "write, for example, `--backup .bak`";
        return Err(usage(format!("`{suffix}` is no suffix for a file name"), help));
    }
    let mut backup = input.as_os_str().to_owned();
    backup.push(suffix);
    let outputs = vec![Named { name: None, path: input.clone() }];
    Ok(Place { outputs, backup: Some(PathBuf::from(backup)) })
}

impl Place {
    /// The outputs with the paths that they will have.
    pub fn outputs(&self) -> &[Named] {
        &self.outputs
    }

    /// Refuses early what could only be refused after all the work.
    ///
    /// # Errors
    /// Where an output or the backup exists and must not be replaced.
    pub fn check(&self, placement: &Placement) -> Result<(), Failure> {
        let taken = |path: &Path| path.symlink_metadata().is_ok();
        match &self.backup {
            Some(backup) if taken(backup) => {
                let message = format!("the backup `{}` exists already", backup.display());
                let diagnostic = Diagnostic::error("output-exists", message);
                let help = "choose another suffix, or move the old backup away";
                Err(Failure::new(Exit::Usage, diagnostic.help(help)))
            }
            None if placement.replace == Replace::Never => {
                match self.outputs.iter().find(|output| taken(&output.path)) {
                    Some(output) => Err(FormatError::Exists { path: output.path.clone() }.into()),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Gives the input its second name, so that it is whole under one of its names at each instant.
    ///
    /// # Errors
    /// Where the file system refuses both a hard link and a copy.
    pub fn back_up(&self) -> Result<Backup, Failure> {
        let (Some(backup), [output]) = (&self.backup, self.outputs.as_slice()) else {
            return Ok(Backup(None));
        };
        // Not every file system has hard links; a copy serves there.
        if fs::hard_link(&output.path, backup).is_err() {
            fs::copy(&output.path, backup).map_err(|source| FormatError::Io {
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
