//! What can be wrong with a checkpoint file, or with writing one.

use std::io;
use std::path::{Path, PathBuf};

use super::{Foreign, Limit, Overlap, PartProblem, ShardProblem};
use crate::tensor::Dtype;

/// How many choices a help lists.
const SHOWN: usize = 20;

/// A value that is no tensor and cannot be changed as an edit asks for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{value}` {what}")]
pub struct EditError {
    /// The number of the edit.
    pub index: usize,
    /// The path of the value.
    pub value: String,
    /// What is wrong, as the rest of the sentence.
    pub what: String,
    /// The keys that there are instead.
    pub there: Vec<String>,
}

impl EditError {
    /// Which keys there are.
    pub fn help(&self) -> Option<String> {
        let shown: Vec<String> = self.there.iter().take(SHOWN).map(|key| format!("`{key}`")).collect();
        let more = self.there.len().saturating_sub(SHOWN);
        match (shown.is_empty(), more) {
            (true, _) => None,
            (_, 0) => Some(format!("it has {}", shown.join(", "))),
            (_, more) => Some(format!("it has {} and {more} more", shown.join(", "))),
        }
    }
}

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
    /// A file without a byte in it.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Content that is no checkpoint, or one of a kind that is not read.
    #[error("`{}` is {}", path.display(), kind.what())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        kind: Foreign,
    },
    /// An output name that does not say which format is meant.
    #[error("`{}` does not say which format to write", path.display())]
    UnknownExtension {
        /// The output path.
        path: PathBuf,
    },
    /// A value that a computed tensor cannot hold, or an element that is not where it should be.
    #[error("`{key}`: {what}")]
    Value {
        /// The tensor.
        key: String,
        /// What is wrong, in a sentence.
        what: String,
    },
    /// The output is there already.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// The output path.
        path: PathBuf,
    },
    /// A zip archive whose structure is damaged or cut off.
    #[error("`{}` is a damaged or cut off zip archive: {what}", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// What the zip reader found.
        what: String,
    },
    /// An entry of a torch archive that cannot be trusted or read.
    #[error("`{}`: entry `{entry}` {what}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The name of the entry.
        entry: String,
        /// What is wrong with it, as the rest of the sentence.
        what: String,
    },
    /// A torch archive without an entry that it must have.
    #[error("`{}` is a zip archive but no torch file: {what}", path.display())]
    NotTorch {
        /// The file.
        path: PathBuf,
        /// What is missing or too much.
        what: String,
    },
    /// A legacy torch file that is not as torch wrote them.
    #[error("`{}` is a legacy torch file that {what}", path.display())]
    Legacy {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the rest of the sentence.
        what: String,
    },
    /// Bytes that are not those that were written.
    #[error(
        "`{}`: the data of entry `{entry}` is damaged (its CRC is {found:08x}, {recorded:08x} was recorded)",
        path.display()
    )]
    Crc {
        /// The file.
        path: PathBuf,
        /// The name of the entry.
        entry: String,
        /// The CRC that the archive records.
        recorded: u32,
        /// The CRC of the bytes.
        found: u32,
    },
    /// A pickle that is damaged, hostile, or uses what cannot be kept.
    #[error("`{}`: {part} at byte {offset} ({opcode}): {what}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Which pickle of the file.
        part: &'static str,
        /// The opcode at which reading stopped.
        opcode: String,
        /// Its offset.
        offset: usize,
        /// What is wrong.
        what: String,
    },
    /// Something larger than the budget for it.
    #[error("`{}`: {what} takes {size} bytes, the limit is {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The budget in bytes.
        limit: u64,
        /// The limit that it is, where it can be raised.
        raise: Option<Limit>,
    },
    /// A tensor whose numbers contradict each other or the file.
    #[error("`{}`: tensor `{key}` {what}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its key.
        key: String,
        /// What is wrong, as the rest of the sentence.
        what: String,
    },
    /// A value that is no tensor cannot be changed.
    #[error("`{}`: {edit}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Which change, and why not.
        edit: EditError,
    },
    /// One key in two files that are read as one.
    #[error("`{key}` is in `{}` and in `{}`", first.display(), second.display())]
    SharedKey {
        /// The key.
        key: String,
        /// The file that came first.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// An index and shards that do not fit each other, or are not there.
    #[error("`{}` {problem}", path.display())]
    Shards {
        /// The index, or the folder where there is none.
        path: PathBuf,
        /// What is wrong.
        problem: ShardProblem,
    },
    /// Parts of an output that do not fit each other, or are not there.
    #[error("`{}` {problem}", path.display())]
    Parts {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        problem: PartProblem,
    },
    /// One key twice in a file.
    #[error("`{}` holds the key `{key}` twice", path.display())]
    DuplicateKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A safetensors header that is not one.
    #[error("`{}`: safetensors header: {what}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file that ends before its header says it does.
    #[error("`{}` is cut off: it should have {expected} bytes and has {found}", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// The length that the header demands.
        expected: u64,
        /// The length of the file.
        found: u64,
    },
    /// Several dicts of tensors, and nothing that says which one is meant.
    #[error("`{}` holds several dicts of tensors: {}", path.display(), list(candidates.iter().map(|c| c.0.as_str())))]
    ManyDicts {
        /// The file.
        path: PathBuf,
        /// The path of each dict, and how many tensors it holds.
        candidates: Vec<(String, usize)>,
    },
    /// No dict of tensors at the path that was asked for.
    #[error("`{}`: no tensors at `{at}`; {}", path.display(), holds(at, there))]
    NoTensors {
        /// The file.
        path: PathBuf,
        /// The path of dict keys.
        at: String,
        /// The paths of the dicts that the deepest dict on that path holds.
        there: Vec<String>,
    },
    /// Two chosen dicts of which one is, holds, or has parts in common with the other.
    #[error("`{}`: {}", path.display(), overlap.what(first, second))]
    DictsOverlap {
        /// The file.
        path: PathBuf,
        /// The path of the one that was named first; of a dict inside another, the outer one.
        first: String,
        /// The path of the other.
        second: String,
        /// How they overlap.
        overlap: Overlap,
    },
    /// Several chosen dicts, and an output that can hold one.
    #[error("`{}` can hold one dict of tensors, and several are chosen: {}", path.display(), list(dicts.iter().map(String::as_str)))]
    OneDictOnly {
        /// The output.
        path: PathBuf,
        /// The paths of the chosen dicts.
        dicts: Vec<String>,
        /// Whether only `--weights-only` is in the way.
        weights_only: bool,
    },
    /// A tensor that the output format has no dtype for.
    #[error("`{}` cannot hold `{key}`: safetensors has no dtype {dtype}", path.display())]
    CannotHold {
        /// The output.
        path: PathBuf,
        /// The key.
        key: String,
        /// The dtype.
        dtype: Dtype,
    },
    /// An entry that is no plain tensor, meant for a file that holds plain tensors only.
    #[error("`{}` cannot hold `{key}`: it is {what}", path.display())]
    OpaqueEntry {
        /// The output.
        path: PathBuf,
        /// The key.
        key: String,
        /// What the entry is.
        what: String,
    },
    /// Values beside the tensors that a safetensors file cannot hold.
    #[error("`{}` cannot hold what `{}` holds besides tensors: {}", path.display(), input.display(), list(others.iter().map(String::as_str)))]
    OthersLost {
        /// The output.
        path: PathBuf,
        /// The source.
        input: PathBuf,
        /// What would be lost.
        others: Vec<String>,
    },
    /// An output that asks for what does not go together: a caller's mistake or a clash of keys.
    #[error("cannot write `{}`: {what}", path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// What does not go together.
        what: String,
    },
}

impl FormatError {
    /// What to do instead, where there is something to say.
    pub fn help(&self) -> Option<String> {
        match self {
            FormatError::NotACheckpoint { kind, path } => kind.help(path),
            FormatError::UnknownExtension { .. } => {
                Some(
                    "end the name in .safetensors, .pt, .pth, .ckpt or .bin; for shards, name a folder (`out/`) or an \
                     index (`out/model.safetensors.index.json`)"
                        .to_owned(),
                )
            }
            FormatError::Exists { .. } => {
                Some("choose another name, or write --force to replace it".to_owned())
            }
            FormatError::Zip { .. } | FormatError::CutOff { .. } => {
                Some("fetch or copy the file again, and compare its size".to_owned())
            }
            FormatError::Crc { .. } => Some(
                "torch does not check this and would load wrong numbers; fetch the file again".to_owned(),
            ),
            FormatError::ManyDicts { candidates, .. } => {
                let shown = candidates.iter().take(SHOWN).map(|c| format!("--at {}", c.0));
                let options: Vec<String> = shown.collect();
                Some(format!("write {}", options.join(", or ")))
            }
            FormatError::NoTensors { there, .. } => {
                there.first().map(|first| format!("write, for example, --at {first}"))
            }
            FormatError::TooLarge { raise: Some(limit), .. } => {
                Some(format!("{limit} allows more, where it is known who made the file"))
            }
            FormatError::Edit { edit, .. } => edit.help(),
            FormatError::Shards { problem, .. } => problem.help(),
            FormatError::Parts { problem, .. } => Some(problem.help()),
            FormatError::SharedKey { .. } => Some(
                "shards share no key; to join what several files hold under one key, give each a name, as in \
                 `r0=a.pt r1=b.pt`: it stands before that file's keys in the rules; to migrate each file \
                 by itself, write `--out-dir DIR`"
                    .to_owned(),
            ),
            FormatError::DictsOverlap { first, overlap, .. } => Some(overlap.help(first)),
            FormatError::OneDictOnly { dicts, weights_only, .. } => {
                let options: Vec<String> = dicts.iter().map(|dict| format!("--at {dict}")).collect();
                let instead = if *weights_only { "leave --weights-only out" } else { "write a torch file" };
                Some(format!("choose one with {}, or {instead}", options.join(" or ")))
            }
            FormatError::CannotHold { .. } => {
                Some("cast it to another dtype, drop it, or write a torch file".to_owned())
            }
            FormatError::OpaqueEntry { .. } => Some("drop it, or write a torch file".to_owned()),
            FormatError::OthersLost { .. } => {
                Some("write --weights-only to leave them out, or write a single torch file".to_owned())
            }
            _ => None,
        }
    }

    /// A stable name of this kind of error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            FormatError::Io { .. } => "io",
            FormatError::NotAFile { .. } => "not-a-file",
            FormatError::Empty { .. } => "empty-file",
            FormatError::NotACheckpoint { kind, .. } => kind.code(),
            FormatError::UnknownExtension { .. } => "unknown-extension",
            FormatError::Value { .. } => "value",
            FormatError::Exists { .. } => "output-exists",
            FormatError::Zip { .. } => "damaged-zip",
            FormatError::Record { .. } => "bad-record",
            FormatError::NotTorch { .. } => "not-torch",
            FormatError::Legacy { .. } => "bad-legacy",
            FormatError::Crc { .. } => "crc-mismatch",
            FormatError::Pickle { .. } => "bad-pickle",
            FormatError::TooLarge { .. } => "too-large",
            FormatError::Tensor { .. } => "bad-tensor",
            FormatError::DuplicateKey { .. } => "duplicate-key",
            FormatError::Header { .. } => "bad-header",
            FormatError::CutOff { .. } => "cut-off",
            FormatError::ManyDicts { .. } => "many-dicts",
            FormatError::NoTensors { .. } => "no-tensors",
            FormatError::DictsOverlap { .. } => "dicts-overlap",
            FormatError::Edit { .. } => "value-path",
            FormatError::SharedKey { .. } => "shared-key",
            FormatError::Shards { problem, .. } => problem.code(),
            FormatError::Parts { problem, .. } => problem.code(),
            FormatError::OneDictOnly { .. } => "one-dict-only",
            FormatError::CannotHold { .. } => "cannot-hold",
            FormatError::OpaqueEntry { .. } => "opaque-entry",
            FormatError::OthersLost { .. } => "others-lost",
            FormatError::Output { .. } => "bad-output",
        }
    }

    /// An error of the system while `doing` something with `path`.
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        FormatError::Io { path: path.to_owned(), doing, source }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The dicts that are there, named from `at` on where they lie below it.
fn holds(at: &str, there: &[String]) -> String {
    let below =
        |path: &String| path.strip_prefix(at).and_then(|rest| rest.strip_prefix('.')).map(str::to_owned);
    let inside: Option<Vec<String>> = there.iter().map(below).collect();
    let (subject, names) = match &inside {
        Some(inside) => ("it", inside.as_slice()),
        None => ("the file", there),
    };
    match names {
        [] => "there is no dict of tensors there".to_owned(),
        [one] => format!("{subject} holds the dict `{one}`"),
        many => format!("{subject} holds the dicts {}", list(many.iter().map(String::as_str))),
    }
}
