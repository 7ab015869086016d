//! The text of a loading error as the command line gives it: a file, or a paste to standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::formats::FormatError;
use crate::formats::load_error::{self, LoadError};
use crate::keyset::KeySet;

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
fn name(path: &Path) -> String {
    if path.as_os_str() == "-" { "the pasted error".to_owned() } else { path.display().to_string() }
}

/// The keys of the model by a text that is about this checkpoint.
///
/// # Errors
/// Where it calls keys unexpected that the checkpoint does not have, or missing that it has.
pub(super) fn model_keys(error: &LoadError, checkpoint: &KeySet, path: &Path) -> Result<KeySet, Failure> {
    check(error, checkpoint)?;
    Ok(error.model_keys(checkpoint, &name(path)))
}

/// Checks that the text is about this checkpoint.
///
/// # Errors
/// Where it calls keys unexpected that the checkpoint does not have, or missing that it has.
fn check(error: &LoadError, checkpoint: &KeySet) -> Result<(), Failure> {
    let absent = error.unexpected.iter().find(|key| checkpoint.get(key).is_none());
    let present = error.missing.iter().find(|key| checkpoint.get(key).is_some());
    let message = match (absent, present) {
        (Some(key), _) => {
            format!("the error calls `{key}` unexpected, and `{}` does not have it", checkpoint.origin)
        }
        (_, Some(key)) => format!("the error calls `{key}` missing, and `{}` has it", checkpoint.origin),
        _ => return Ok(()),
    };
    let diagnostic = Diagnostic::error("other-load-error", message)
        .note("the script that loads may change keys before it does, or the error is of another file")
        .help("save what is given to `load_state_dict`, and compare that");
    Err(Failure::new(Exit::Different, diagnostic))
}
