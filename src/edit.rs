//! Changes to what a file holds besides tensors: hyper-parameters, callbacks, metadata.

use std::fmt;

/// A change to one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The keys and indices that lead to the value.
    pub path: Vec<String>,
    /// What happens to it.
    pub change: Change,
    /// Whether it is fine that there is no such value.
    pub optional: bool,
}

/// What happens to a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It becomes this, or is added.
    Set(Plain),
    /// It goes.
    Unset,
    /// It is held under another path.
    Move(Vec<String>),
}

/// A value without a class of its own.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Plain {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Plain>),
    Dict(Vec<(String, Plain)>),
}

/// A path as rules write it: segments with dots between them, quoted where they need it.
pub fn path_text(path: &[String]) -> String {
    let bare = |segment: &str| {
        !segment.is_empty() && !segment.contains(|c: char| c.is_whitespace() || ".*{}\"(),[]=".contains(c))
    };
    let segments: Vec<String> = path
        .iter()
        .map(|segment| match bare(segment) {
            true => segment.clone(),
            false => format!("\"{}\"", segment.replace('\\', "\\\\").replace('"', "\\\"")),
        })
        .collect();
    segments.join(".")
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plain::None => f.write_str("none"),
            Plain::Bool(value) => write!(f, "{value}"),
            Plain::Int(value) => write!(f, "{value}"),
            Plain::Float(value) => write!(f, "{value:?}"),
            Plain::Text(text) => write!(f, "\"{text}\""),
            Plain::List(values) => {
                let values: Vec<String> = values.iter().map(Plain::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Plain::Dict(items) => {
                let items: Vec<String> =
                    items.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                write!(f, "{{{}}}", items.join(", "))
            }
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = path_text(&self.path);
        match &self.change {
            Change::Set(value) => write!(f, "{path} = {value}"),
            Change::Unset => write!(f, "{path} goes"),
            Change::Move(to) => write!(f, "{path} -> {}", path_text(to)),
        }
    }
}
