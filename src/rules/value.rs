//! Values of `let`, options and conditions.

mod evaluate;

use std::fmt;

pub use self::evaluate::{evaluate, integer, real, real_number, truth};

use crate::source::Span;
use crate::syntax::ast::Glob;
use crate::tensor::Dtype;

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Dtype(Dtype),
    /// A word that is no name, for options that take words (`arange`, `bicubic`).
    Word(String),
    List(Vec<Value>),
    /// `2:`, `:5`, `0:3`.
    Slice(Option<i64>, Option<i64>),
    /// `h=2, two=2`.
    Bindings(Vec<(String, i64)>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Text(text) => write!(f, "\"{text}\""),
            Value::Dtype(dtype) => write!(f, "{dtype}"),
            Value::Word(word) => f.write_str(word),
            Value::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Value::Slice(start, end) => {
                let show = |bound: &Option<i64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
                write!(f, "{}:{}", show(start), show(end))
            }
            Value::Bindings(bindings) => {
                let shown: Vec<String> =
                    bindings.iter().map(|(name, value)| format!("{name}={value}")).collect();
                f.write_str(&shown.join(", "))
            }
        }
    }
}

/// How many values a list may have, with those of lists in it; and how deep these may lie.
const MAX_VALUES: usize = 1 << 20;
const MAX_NESTED: usize = 64;

impl Value {
    /// How many values it is, with those in it; nothing where lists lie too deep in each other.
    fn extent(&self, depth: usize) -> Option<usize> {
        let Value::List(values) = self else { return Some(1) };
        if depth >= MAX_NESTED {
            return None;
        }
        let mut inside = values.iter().map(|value| value.extent(depth + 1));
        inside.try_fold(1usize, |sum, values| sum.checked_add(values?))
    }

    /// What kind of value it is, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Bool(_) => "a truth value",
            Value::Text(_) => "a text",
            Value::Dtype(_) => "a dtype",
            Value::Word(_) => "a word",
            Value::List(_) => "a list",
            Value::Slice(..) => "a slice",
            Value::Bindings(_) => "sizes by name",
        }
    }
}

/// What the names of an expression stand for where it is evaluated.
pub trait Scope {
    /// The value of a name: a `let`, a capture, `shape`, `rank`, `dtype`.
    fn name(&self, name: &str) -> Option<Value>;

    /// `shape(PATTERN)` or `count(PATTERN)` over the keys as they are.
    ///
    /// # Errors
    /// Where the pattern matches nothing, or tensors of different shapes.
    fn keys(&self, function: &str, pattern: &Glob) -> Result<Value, ValueErrorKind>;
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ValueErrorKind {
    #[error("`{name}` is not a name here")]
    UnknownName { name: String },
    #[error("`{sign}` cannot join {left} and {right}")]
    Operands { sign: &'static str, left: &'static str, right: &'static str },
    #[error("{left} / {right} leaves a rest of {rest}")]
    Rest { left: i64, right: i64, rest: i64 },
    #[error("division by zero")]
    DivisionByZero,
    #[error("the value does not fit into 64 bits")]
    Overflow,
    #[error("index {index} is outside the {len} values of {of}")]
    OutOfRange { index: i64, len: usize, of: String },
    #[error("{what} is not {wanted}")]
    Kind { what: String, wanted: &'static str },
    #[error("sqrt({value}) is not a whole number")]
    Sqrt { value: i64 },
    #[error("`{function}` is not a function")]
    UnknownFunction { function: String },
    #[error("`{function}` is not a function of tensors")]
    UnknownTensorFunction { function: String },
    #[error("`{function}` takes {takes}")]
    Arguments { function: String, takes: &'static str },
    #[error("index {index} lies beyond the {total} that the groups hold")]
    BeyondGroups { index: i64, total: i64 },
    #[error("`{pattern}` matches no key here")]
    NoKeys { pattern: String },
    #[error("the tensors of `{pattern}` differ in shape: {first}, {second}")]
    ShapesDiffer { pattern: String, first: String, second: String },
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("the list has more than {MAX_VALUES} values, or lists inside of more than {MAX_NESTED} others")]
    LargeList,
}

impl ValueErrorKind {
    /// What to write instead.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            ValueErrorKind::Rest { .. } => "write `//` to round down".into(),
            ValueErrorKind::ShapesDiffer { .. } => "narrow the pattern to tensors of one shape".into(),
            ValueErrorKind::UnknownTensorFunction { .. } => {
                "functions of tensors are transpose, sum, mean and norm".into()
            }
            ValueErrorKind::UnknownFunction { .. } => {
                "functions are sum, len, min, max, sqrt, group, within, shape(PATTERN), count(PATTERN)".into()
            }
            _ => return None,
        })
    }
}

/// An expression that has no value, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueError {
    /// Why.
    pub kind: ValueErrorKind,
    /// The part of the expression.
    pub span: Span,
}
