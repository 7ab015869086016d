//! The text of a loading error as the command line gives it: a file, or a paste to standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::formats::FormatError;
use crate::formats::load_error::{self, LoadError};

use super::{Exit, Failure};

/// A text that is longer holds more than an error.
const MAX_TEXT: u64 = 256 << 20;

/// Reads a text that must be a loading error; `-` is standard input.
///
/// # Errors
/// Where it cannot be read, and where it is no such text.
pub(super) fn read(path: &Path) -> Result<LoadError, Failure> {
    find(path)?.ok_or_else(|| {
        let message = format!("`{}` is no loading error of PyTorch", name(path));
        let diagnostic = Diagnostic::error("no-load-error", message)
            .note("it has no `Missing key(s) in state_dict`, `Unexpected key(s) in state_dict` or `size mismatch for`")
            .help("paste the whole text of the error, from `Error(s) in loading state_dict` on");
        Failure::new(Exit::Usage, diagnostic)
    })
}

/// Reads a text that may be a loading error.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn find(path: &Path) -> Result<Option<LoadError>, Failure> {
    let io = |source| FormatError::Io { path: path.to_owned(), doing: "read", source };
    let mut bytes = Vec::new();
    match path.as_os_str() == "-" {
        true => io::stdin().take(MAX_TEXT).read_to_end(&mut bytes).map_err(io)?,
        false => File::open(path).map_err(io)?.take(MAX_TEXT).read_to_end(&mut bytes).map_err(io)?,
    };
    Ok(load_error::parse(&String::from_utf8_lossy(&bytes)))
}

/// What a text is called.
pub(super) fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "the pasted error".to_owned() } else { path.display().to_string() }
}
