//! Runs the program in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::safetensors;
use crate::tensors::{self, Tensor};

/// A folder for one test, gone when the test ends.
pub struct Folder(tempfile::TempDir);

/// How the program ended and what it said.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    /// An empty folder.
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    /// Writes a safetensors file of lines of tensors.
    pub fn tensors(&self, name: &str, lines: &str) -> &Folder {
        self.write(name, safetensors::to_bytes(&tensors::parse(lines)))
    }

    /// Writes a safetensors file of lines of tensors and lines of metadata.
    pub fn tensors_and_metadata<'a>(
        &self,
        name: &str,
        lines: &str,
        metadata: impl Iterator<Item = &'a str>,
    ) -> &Folder {
        let metadata = safetensors::metadata(metadata);
        self.write(name, safetensors::with_metadata(&tensors::parse(lines), Some(metadata)))
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The tensors of a safetensors file.
    pub fn tensors_of(&self, name: &str) -> Vec<Tensor> {
        safetensors::from_bytes(&self.read(name))
    }

    /// Whether a file is there.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// Runs the program in the folder.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_migrate"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("NO_COLOR", "1")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("COLUMNS")
            .output()
            .unwrap();
        Ran {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The names of all files in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
