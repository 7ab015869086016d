//! The options of verbs: which there are, what they take, and their values for one key.

use super::op::{FillValue, OpError};
use super::value::Value;
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
        }
    }

    /// Words that are values and not names.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            OptionKind::Fill => &["arange", "eye", "inf", "nan"],
            OptionKind::Number => &["inf", "nan"],
            _ => &[],
        }
    }

    /// Whether a value is of this kind.
    pub fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (OptionKind::Int, Value::Int(_))
            | (OptionKind::Dtype, Value::Dtype(_))
            | (OptionKind::Number | OptionKind::Fill, Value::Int(_) | Value::Float(_)) => true,
            (OptionKind::Ints, Value::List(values)) => {
                values.iter().all(|value| matches!(value, Value::Int(_)))
            }
            (_, Value::Word(word)) => self.words().contains(&word.as_str()),
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
