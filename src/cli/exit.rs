//! What the program tells its caller.

use std::process::ExitCode;

/// How a command ended, as the shell is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Differences, failed checks, failed tests.
    Different = 1,
    /// Wrong usage, and rule files that do not parse or resolve.
    Usage = 2,
    /// Unreadable or damaged input, and failed input or output.
    Io = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
