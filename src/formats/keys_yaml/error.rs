//! What can be wrong with a key set file.

use crate::keyset::nearest_word;
use crate::printable::printable;
use crate::tensor::Dtype;
use crate::tensor::MAX_DIMS;

/// A key set file that cannot be read: which, where in it, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", printable(name), line_text(*line))]
pub struct KeysYamlError {
    /// The file as the user named it.
    pub name: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong there.
    pub problem: KeysYamlProblem,
}

/// What is wrong in a key set file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysYamlProblem {
    /// The text is not YAML, or has something else where a key or a line of text belongs.
    #[error("{0}")]
    Yaml(String),
    /// The number behind `format:` is another one, or is missing.
    #[error("{}", format_text(found))]
    Format {
        /// What stands there.
        found: Option<String>,
    },
    /// There is no `tensors:`.
    #[error("there is no `tensors:`")]
    NoTensors,
    /// A word at the top that has no meaning.
    #[error("`{}` means nothing at the top of a key set", printable(.0))]
    UnknownField(String),
    /// A word at the top that stands there twice.
    #[error("`{0}:` is there twice")]
    DuplicateField(&'static str),
    /// A key that stands there twice.
    #[error("the key `{}` is there twice", printable(.0))]
    DuplicateKey(String),
    /// A tensor that cannot be read.
    #[error("`{}`: {what}", printable(key))]
    Spec {
        /// The key of the tensor.
        key: String,
        /// What is wrong with it.
        what: SpecProblem,
    },
    /// A tensor that is tied to one that it cannot be.
    #[error("`{}` is tied to `{}`, {why}", printable(key), printable(to))]
    Tied {
        /// The key of the tensor.
        key: String,
        /// The key that it is said to be another name of.
        to: String,
        /// Why it is not.
        why: &'static str,
    },
}

/// What is wrong with a line such as `f32 [64, 3]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblem {
    /// The first word is no dtype.
    #[error("`{}` is no dtype", printable(.0))]
    Dtype(String),
    /// There is no shape behind the dtype.
    #[error("there is no shape")]
    NoShape,
    /// The shape cannot be read.
    #[error("`{}` is no size of a dim", printable(.0))]
    Dim(String),
    /// The bracket is not closed.
    #[error("the shape has no `]`")]
    OpenShape,
    /// More elements than 64 bits can count.
    #[error("the shape has more elements than can be")]
    TooLarge,
    /// More dims than are read.
    #[error("the shape has more than {MAX_DIMS} dims")]
    ManyDims,
    /// Something stands behind the shape that has no meaning.
    #[error("`{}` means nothing here", printable(.0))]
    Rest(String),
}

impl KeysYamlError {
    /// A stable name for the error.
    pub fn code(&self) -> &'static str {
        match self.problem {
            KeysYamlProblem::DuplicateKey(_) | KeysYamlProblem::DuplicateField(_) => "duplicate-key",
            _ => "bad-key-set",
        }
    }

    /// What to write instead.
    pub fn help(&self) -> Option<String> {
        match &self.problem {
            KeysYamlProblem::Yaml(_) | KeysYamlProblem::NoTensors => Some(
                "a key set has the lines `format: 1` and `tensors:`, and below that one line for each \
                 tensor, indented: `  encoder.weight: f32 [64, 3]`"
                    .to_owned(),
            ),
            KeysYamlProblem::Format { .. } => Some("write `format: 1`".to_owned()),
            KeysYamlProblem::UnknownField(field) => {
                let known = nearest_word(field, ["format", "name", "tensors"]);
                Some(known.map_or_else(
                    || {
                        "known are `format`, `name`, `tensors`; keys stand below `tensors:`, indented"
                            .to_owned()
                    },
                    |known| format!("did you mean `{known}`?"),
                ))
            }
            KeysYamlProblem::DuplicateField(_) => None,
            KeysYamlProblem::DuplicateKey(_) => Some("remove one of the two lines".to_owned()),
            KeysYamlProblem::Spec { what, .. } => Some(what.help()),
            KeysYamlProblem::Tied { .. } => {
                Some("name the key whose tensor this is: `f32 [10, 4] tied embed.weight`".to_owned())
            }
        }
    }
}

impl SpecProblem {
    fn help(&self) -> String {
        match self {
            SpecProblem::Dtype(word) => {
                let long = [
                    ("float32", "f32"),
                    ("float", "f32"),
                    ("float64", "f64"),
                    ("double", "f64"),
                    ("float16", "f16"),
                    ("half", "f16"),
                    ("bfloat16", "bf16"),
                    ("int64", "i64"),
                    ("long", "i64"),
                    ("int32", "i32"),
                    ("int", "i32"),
                    ("int16", "i16"),
                    ("int8", "i8"),
                    ("uint8", "u8"),
                ];
                let plain = word.strip_prefix("torch.").unwrap_or(word).to_lowercase();
                let same = long.iter().find(|(long, _)| *long == plain).map(|(_, short)| *short);
                match same.or_else(|| nearest_word(&plain, Dtype::all().map(Dtype::name))) {
                    Some(dtype) => format!("write `{dtype}`, as in `{dtype} [64, 3]`"),
                    None => "write a dtype and a shape: `f32 [64, 3]`".to_owned(),
                }
            }
            SpecProblem::Rest(_) => {
                "behind the shape may stand `buffer` or `parameter`, and `tied` with a key: \
                 `f32 [64, 3] buffer`, `f32 [10, 4] tied embed.weight`"
                    .to_owned()
            }
            _ => "write a dtype and a shape: `f32 [64, 3]`; a scalar is `f32 []`".to_owned(),
        }
    }
}

fn line_text(line: Option<usize>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn format_text(found: &Option<String>) -> String {
    match found {
        Some(found) => format!("`format: {}` is not known here", printable(found)),
        None => "there is no `format:`".to_owned(),
    }
}
