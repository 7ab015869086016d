//! What can be wrong with a checkpoint file, or with writing one.

use std::io;
use std::path::PathBuf;

/// A checkpoint that cannot be read, or an output that cannot be written.
///
/// Every message names the file and the place in it; `help` says what to do instead, where there is
/// something to say.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The operating system refused.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The verb of the sentence: `open`, `read`, `write` …
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a device, a socket.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
}
