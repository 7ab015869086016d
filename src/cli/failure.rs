//! A command that could not do its work.

use crate::diagnostic::Diagnostic;
use crate::formats::keys_yaml::KeysYamlError;
use crate::formats::{FormatError, PartProblem, ShardProblem};
use crate::source::{Sources, Span};

use super::Exit;

/// Why a command stopped: what to tell the user, and how to end.
#[derive(Debug)]
pub struct Failure {
    /// How to end.
    pub exit: Exit,
    /// What to tell.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that the diagnostics point into.
    pub sources: Sources,
}

impl Failure {
    /// A failure with one finding that points into no text.
    pub fn new(exit: Exit, diagnostic: Diagnostic) -> Self {
        Failure { exit, diagnostics: vec![diagnostic], sources: Sources::new() }
    }

    /// A failure of reading a key set file, shown in its text.
    pub fn in_key_set(error: &KeysYamlError, text: &str) -> Self {
        let mut sources = Sources::new();
        let file = sources.add(error.name.as_str(), text);
        let mut diagnostic = Diagnostic::error(error.code(), error.to_string());
        if let (Some(line), Some(source)) = (error.line, sources.get(file)) {
            let start = source.line_start(line - 1);
            let line = source.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            let indent = line.len() - line.trim_start().len();
            diagnostic.message = error.problem.to_string();
            diagnostic =
                diagnostic.primary(Span::new(file, start + indent, start + line.trim_end().len()), "");
        }
        diagnostic.helps.extend(error.help());
        Failure { exit: Exit::Io, diagnostics: vec![diagnostic], sources }
    }
}

impl Failure {
    /// How a format error ends the program: most are about a file, some about what was asked for.
    pub(super) fn exit_of(error: &FormatError) -> Exit {
        match error {
            FormatError::UnknownExtension { .. }
            | FormatError::Exists { .. }
            | FormatError::ManyDicts { .. }
            | FormatError::DictsOverlap { .. }
            | FormatError::SharedKey { .. }
            | FormatError::Shards { problem: ShardProblem::ManyIndexes { .. }, .. }
            | FormatError::OneDictOnly { .. }
            | FormatError::NoTensors { .. } => Exit::Usage,
            FormatError::Parts { problem, .. } => match problem {
                PartProblem::Incomplete { .. } => Exit::Different,
                PartProblem::Damaged { .. } => Exit::Io,
                _ => Exit::Usage,
            },
            FormatError::CannotHold { .. }
            | FormatError::OpaqueEntry { .. }
            | FormatError::OthersLost { .. }
            | FormatError::Edit { .. }
            | FormatError::Value { .. } => Exit::Different,
            _ => Exit::Io,
        }
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        let exit = Failure::exit_of(&error);
        let mut diagnostic = Diagnostic::error(error.code(), error.to_string());
        diagnostic.helps.extend(error.help());
        Failure::new(exit, diagnostic)
    }
}
