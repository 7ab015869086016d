//! The repository around a folder of migrations: CI services and hooks run at its root.

use std::path::{Component, Path, PathBuf};

use crate::cli::{Exit, Failure};
use crate::diagnostic::Diagnostic;
use crate::formats::FormatError;
use crate::printable::printable;

/// Where a folder of migrations lies.
pub(super) struct Repository {
    /// Its root, as the caller would write it.
    root: PathBuf,
    /// The folder as seen from there.
    folder: String,
}

impl Repository {
    /// The repository that holds a folder, be the folder not there yet; without one, the working folder is
    /// taken for its root, or the folder's parent where it lies elsewhere.
    ///
    /// # Errors
    /// Where there is no telling, or the folder's name is none that a script can hold.
    pub fn around(dir: &Path) -> Result<Repository, Failure> {
        let io = |source| FormatError::Io { path: dir.to_owned(), doing: "find", source };
        let here = std::env::current_dir().and_then(std::fs::canonicalize).map_err(io)?;
        let whole = real(&std::path::absolute(dir).map_err(io)?).map_err(io)?;
        let root = whole.ancestors().find(|parent| parent.join(".git").symlink_metadata().is_ok());
        let root = match (root, whole.parent()) {
            (Some(root), _) => root,
            (None, _) if whole.starts_with(&here) => &here,
            (None, Some(parent)) => parent,
            (None, None) => &whole,
        };
        let folder = whole.strip_prefix(root).ok().and_then(Path::to_str).unwrap_or_default();
        if folder.is_empty() || folder.chars().any(char::is_control) {
            let message =
                format!("`{}` cannot be a folder of migrations", printable(&dir.display().to_string()));
            let help = "name a folder below the root of the repository, whose name is text";
            return Err(Failure::new(Exit::Usage, Diagnostic::error("usage", message).help(help)));
        }
        let shown = if root == here { PathBuf::new() } else { root.to_owned() };
        Ok(Repository { root: shown, folder: folder.to_owned() })
    }

    /// The file of the workflow: that of another folder has another name.
    pub fn workflow(&self) -> PathBuf {
        self.root.join(".github/workflows").join(format!("{}.yml", self.folder.replace('/', "-")))
    }

    /// The folder, with what follows, as a shell reads it at the root.
    pub fn shell(&self, rest: &str) -> String {
        let text = format!("{}{rest}", self.folder);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._/-".contains(letter);
        if text.chars().all(plain) && !text.starts_with('-') {
            return text;
        }
        format!("'./{}'", text.replace('\'', r"'\''"))
    }
}

/// A path without links and `..`, as far as it is there.
fn real(path: &Path) -> std::io::Result<PathBuf> {
    let there = path.ancestors().find(|parent| parent.exists()).unwrap_or(Path::new("/"));
    let mut real = there.canonicalize()?;
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    Ok(real)
}
