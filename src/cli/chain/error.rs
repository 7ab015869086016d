//! What is wrong with a folder of migrations, and with a way through it.

use thiserror::Error;

use crate::cli::Exit;
use crate::diagnostic::Diagnostic;

/// What is wrong with a folder of migrations, or stands in the way of one.
#[derive(Clone, Debug, Error)]
pub(in crate::cli) enum ChainError {
    #[error("`{folder}` holds no migrations: neither `v1_to_v2.rules` nor `v1.keys.yaml`")]
    Empty { folder: String },
    #[error("`{file}` is named for {named}, and its text says {said}")]
    Name { file: String, named: String, said: String },
    #[error("there is no key set of `{version}`, which {rules} names")]
    NoKeys { version: String, rules: String, written: String },
    #[error("the chain forks: {files} {way} `{version}`")]
    Fork { version: String, files: String, way: &'static str },
    #[error("the chain leads in a circle: {versions}")]
    Cycle { versions: String },
    #[error("the chain has a gap: nothing joins {parts}")]
    Gap { parts: String, lacking: String },
    #[error("`{file}` leads from `{from}` back to `{to}`, and these are no neighbours in the chain")]
    LongWayBack { file: String, from: String, to: String },
    #[error("there is no version `{version}` in `{folder}`")]
    UnknownVersion { version: String, folder: String, versions: Vec<String> },
    #[error("`{checkpoint}` is no version of `{folder}`: no key set fits")]
    NoVersion { checkpoint: String, folder: String, table: String, diff: String },
    #[error("`{checkpoint}` could be several versions: {versions}")]
    SeveralVersions { checkpoint: String, versions: String, table: String, first: String },
    #[error("`{checkpoint}` was recorded as `{version}`, and it has not the keys of that version")]
    NotTheRecorded { checkpoint: String, version: String, table: String },
    #[error("`{file}` was edited after it had been applied to `{checkpoint}`")]
    Edited { file: String, rules: String, checkpoint: String, version: String },
    #[error("the step from `{from}` back to `{to}` has no way back: {what}")]
    NoWayBack { from: String, to: String, rules: String, written: String, what: String, keys: String },
    #[error("rule files of one chain name different dicts of tensors: {first}, and {second}")]
    Dicts { first: String, second: String },
}

impl ChainError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ChainError::Empty { .. } => "no-migrations",
            ChainError::Name { .. } => "chain-name",
            ChainError::NoKeys { .. } => "chain-keys",
            ChainError::Fork { .. } | ChainError::LongWayBack { .. } => "chain-fork",
            ChainError::Cycle { .. } => "chain-cycle",
            ChainError::Gap { .. } => "chain-gap",
            ChainError::UnknownVersion { .. } => "unknown-version",
            ChainError::NoVersion { .. } => "no-version",
            ChainError::SeveralVersions { .. } => "several-versions",
            ChainError::NotTheRecorded { .. } => "wrong-version",
            ChainError::Edited { .. } => "edited-rules",
            ChainError::NoWayBack { .. } => "no-way-back",
            ChainError::Dicts { .. } => "chain-dicts",
        }
    }

    /// What it says of a checkpoint's version, in a few words.
    pub fn short(&self) -> String {
        match self {
            ChainError::NoVersion { .. } => "no key set fits".to_owned(),
            ChainError::SeveralVersions { versions, .. } => format!("could be {versions}"),
            ChainError::NotTheRecorded { version, .. } => format!("recorded as {version}, with other keys"),
            ChainError::Edited { version, rules, .. } => format!("{version}, and `{rules}` was edited since"),
            other => other.to_string(),
        }
    }

    /// How a command ends that meets it.
    pub fn exit(&self) -> Exit {
        match self {
            ChainError::NoVersion { .. }
            | ChainError::SeveralVersions { .. }
            | ChainError::NotTheRecorded { .. }
            | ChainError::Edited { .. }
            | ChainError::NoWayBack { .. } => Exit::Different,
            _ => Exit::Usage,
        }
    }

    fn notes(&self) -> Option<String> {
        match self {
            ChainError::NoVersion { table, .. }
            | ChainError::SeveralVersions { table, .. }
            | ChainError::NotTheRecorded { table, .. } => {
                Some(format!("how far each version is off:\n{table}"))
            }
            ChainError::NoWayBack { keys, .. } if !keys.is_empty() => {
                Some(format!("these would not come back:\n{keys}"))
            }
            ChainError::UnknownVersion { versions, .. } => {
                Some(format!("the versions are {}", versions.join(", ")))
            }
            _ => None,
        }
    }

    fn help(&self) -> String {
        match self {
            ChainError::Empty { .. } => {
                "a folder of migrations holds `v1.keys.yaml`, `v1_to_v2.rules`, `v2.keys.yaml` and so on".into()
            }
            ChainError::Name { .. } => "make the two say the same".into(),
            ChainError::NoKeys { written, .. } => {
                format!("`migrate keys CKPT -o {written}` writes it from a checkpoint of that version")
            }
            ChainError::Fork { .. } => {
                "each version has one next version: move what belongs to another model into a folder of its own"
                    .into()
            }
            ChainError::LongWayBack { .. } => "write the way back one version at a time".into(),
            ChainError::Cycle { .. } => {
                "a way back is told apart by numbers in the names of versions: `v2_to_v1.rules`".into()
            }
            ChainError::Gap { lacking, .. } => format!("write `{lacking}`, or move what is not of this model away"),
            ChainError::UnknownVersion { .. } => "name one of them".into(),
            ChainError::NoVersion { diff, .. } => {
                format!("`{diff}` shows where the nearest differs; `--from VERSION` says which it is meant to be")
            }
            ChainError::SeveralVersions { first, .. } => format!("say which: `--from {first}`"),
            ChainError::NotTheRecorded { .. } => {
                "if it was changed since, say which version it is now: `--from VERSION`".into()
            }
            ChainError::Edited { version, rules, .. } => format!(
                "what the file holds is not what `{rules}` now makes: restore it as it was, and put the change into \
                 a new version; `--from {version}` goes on if the edit does not matter"
            ),
            ChainError::NoWayBack { rules, written, .. } => format!(
                "`migrate invert {rules} -o {written}` writes what can be had back; read, and kept there, it is the \
                 way back"
            ),
            ChainError::Dicts { .. } => "let all of them name the same, with `in`".into(),
        }
    }

    /// The error for people.
    pub fn diagnostic(&self) -> Diagnostic {
        let diagnostic = Diagnostic::error(self.code(), self.to_string()).help(self.help());
        match self.notes() {
            Some(note) => diagnostic.note(note),
            None => diagnostic,
        }
    }
}
