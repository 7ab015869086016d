//! The options of verbs: which there are, what they take, and their values for one key.

use super::interpolation::Mode;
use super::op::{FillValue, OpError};
use super::value::Value;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind};
use crate::tensor::Dtype;

/// An option that a verb takes.
#[derive(Debug)]
pub struct OptionRow {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionKind,
    /// Whether the verb needs it.
    pub required: bool,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptionKind {
    /// A whole number.
    Int,
    /// A list of whole numbers.
    Ints,
    /// A number.
    Number,
    /// A dtype.
    Dtype,
    /// A number, `arange` or `eye`.
    Fill,
    /// The name of an index.
    Index,
    /// A number that arithmetic may make of others (`1/8` is 0.125).
    Real,
    /// A list of indices and slices.
    Slices,
    /// A quoted text.
    Text,
    /// `true` or `false`.
    Bool,
    /// The name of a mode of `interpolate`, plain or quoted.
    Mode,
    /// `h=2, two=2`.
    Bindings,
}

impl OptionKind {
    /// The kind in words, for "takes …".
    pub fn takes(self) -> &'static str {
        match self {
            OptionKind::Int => "a whole number, such as `0`",
            OptionKind::Ints => "a list of whole numbers, such as `[1, 2]`",
            OptionKind::Number => "a number",
            OptionKind::Dtype => "a dtype, such as `bf16`",
            OptionKind::Fill => "a number, `arange` or `eye`",
            OptionKind::Index => "the name of an index, such as `i`",
            OptionKind::Real => "a number, such as `0.5`",
            OptionKind::Slices => "a list of slices, such as `[2:, :5]`",
            OptionKind::Text => "a quoted text",
            OptionKind::Bool => "`true` or `false`",
            OptionKind::Mode => "a mode of torch's `interpolate`, such as `bicubic`",
            OptionKind::Bindings => "sizes by name, such as `h=2, two=2`",
        }
    }

    /// Words that are values and not names.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            OptionKind::Fill => &["arange", "eye", "inf", "nan"],
            OptionKind::Number | OptionKind::Real => &["inf", "nan"],
            OptionKind::Bool => &["true", "false"],
            OptionKind::Mode => &Mode::NAMES,
            _ => &[],
        }
    }

    /// A word with a hyphen, which the grammar reads as a difference: `nearest-exact`.
    pub fn hyphenated(self, value: &Expr) -> Option<Expr> {
        let ExprKind::Binary(left, op, right) = &value.kind else { return None };
        match (self, &left.kind, op.node, &right.kind) {
            (OptionKind::Mode, ExprKind::Name(left), BinaryOp::Subtract, ExprKind::Name(right)) => {
                Some(Expr { kind: ExprKind::Name(format!("{left}-{right}")), span: value.span })
            }
            _ => None,
        }
    }

    /// Whether a value is of this kind.
    pub fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (OptionKind::Int, Value::Int(_))
            | (OptionKind::Dtype, Value::Dtype(_))
            | (OptionKind::Text, Value::Text(_))
            | (OptionKind::Bool, Value::Bool(_))
            | (OptionKind::Number | OptionKind::Fill | OptionKind::Real, Value::Int(_) | Value::Float(_)) => {
                true
            }
            (OptionKind::Ints, Value::List(values)) => {
                values.iter().all(|value| matches!(value, Value::Int(_)))
            }
            (OptionKind::Slices, Value::List(values)) => {
                values.iter().all(|value| matches!(value, Value::Int(_) | Value::Slice(..)))
            }
            (OptionKind::Mode, Value::Text(word)) | (_, Value::Word(word)) => {
                self.words().contains(&word.as_str())
            }
            _ => false,
        }
    }
}

/// The values of a clause's options for one key, each of the kind that its row says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(pub Vec<(&'static str, Value)>);

impl Options {
    /// The value of an option, where it is given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        if let Some(Value::Int(value)) = self.get(name) { Some(*value) } else { None }
    }

    /// A list of whole numbers.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        let Some(Value::List(values)) = self.get(name) else { return None };
        values.iter().map(|value| if let Value::Int(value) = value { Some(*value) } else { None }).collect()
    }

    /// A list of indices and slices.
    pub fn list(&self, name: &str) -> &[Value] {
        if let Some(Value::List(values)) = self.get(name) { values } else { &[] }
    }

    /// A number.
    pub fn real(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(super::value::real)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        if let Some(Value::Text(text)) = self.get(name) { Some(text) } else { None }
    }

    /// A word, plain or quoted.
    pub fn word(&self, name: &str) -> Option<&str> {
        if let Some(Value::Word(word) | Value::Text(word)) = self.get(name) { Some(word) } else { None }
    }

    /// `true` or `false`.
    pub fn truth(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Bool(value) => Some(*value),
            Value::Word(word) => Some(word == "true"),
            _ => None,
        }
    }

    /// Sizes by name.
    pub fn bindings(&self, name: &str) -> Vec<(String, i64)> {
        if let Some(Value::Bindings(bindings)) = self.get(name) { bindings.clone() } else { Vec::new() }
    }

    /// A dtype.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        if let Some(Value::Dtype(dtype)) = self.get(name) { Some(*dtype) } else { None }
    }

    /// What to fill a tensor with.
    pub fn fill(&self, name: &str) -> Option<FillValue> {
        Some(match self.get(name)? {
            Value::Int(value) => FillValue::Int(*value),
            Value::Word(word) if word == "arange" => FillValue::Arange,
            Value::Word(word) if word == "eye" => FillValue::Eye,
            value => FillValue::Float(super::value::real(value)?),
        })
    }
}

/// The dim that an option names, counted from the end where it is negative.
///
/// # Errors
/// Where the tensor has no such dim.
pub fn dim(dim: i64, shape: &[u64]) -> Result<usize, OpError> {
    if shape.is_empty() {
        return Err(OpError::Scalar);
    }
    let rank = shape.len();
    let at = if dim < 0 { dim.checked_add_unsigned(rank as u64) } else { Some(dim) };
    let at = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < rank);
    at.ok_or_else(|| OpError::Dim { dim, shape: shape.to_vec() })
}

/// Sizes as written, of which one may be -1: `rest` says what is left for it beside the others.
///
/// # Errors
/// Negative sizes other than -1, two of -1, and what `rest` reports.
pub fn sizes(
    written: &[i64],
    rest: impl FnOnce(&[u64]) -> Result<u64, OpError>,
) -> Result<Vec<u64>, OpError> {
    let mut open = None;
    let mut sizes = Vec::with_capacity(written.len());
    for (index, &size) in written.iter().enumerate() {
        match u64::try_from(size) {
            Ok(size) => sizes.push(size),
            Err(_) if size != -1 => return Err(OpError::Negative { what: "a size", value: size }),
            Err(_) if open.is_some() => return Err(OpError::TwoRests),
            Err(_) => open = Some(index),
        }
    }
    if let Some(open) = open {
        let rest = rest(&sizes)?;
        sizes.insert(open, rest);
    }
    Ok(sizes)
}

/// The first step and the number of steps that an index or a slice names in a dim; negative bounds count
/// from the end.
///
/// # Errors
/// Bounds outside the dim: a part that is not there is a slip, not an empty tensor.
pub fn range(slice: &Value, dim: usize, shape: &[u64]) -> Result<(u64, u64), OpError> {
    let size = shape.get(dim).copied().unwrap_or_default();
    let outside = || OpError::Range { slice: slice.to_string(), dim, shape: shape.to_vec() };
    let bound = |bound: i64| {
        let at = if bound < 0 { size.checked_add_signed(bound) } else { u64::try_from(bound).ok() };
        at.filter(|at| *at <= size).ok_or_else(outside)
    };
    let (start, end) = match slice {
        Value::Int(index) => {
            let start = bound(*index)?;
            (start, start + 1)
        }
        Value::Slice(start, end) => (start.map_or(Ok(0), bound)?, end.map_or(Ok(size), bound)?),
        _ => return Err(outside()),
    };
    if start > end {
        return Err(OpError::Reversed { slice: slice.to_string(), dim, shape: shape.to_vec() });
    }
    if end > size {
        return Err(outside());
    }
    Ok((start, end - start))
}
