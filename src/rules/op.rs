//! What verbs are made of: a few operations on whole tensors, and what they do to specs.

use super::formula::Formula;
use super::interpolation::{Interpolation, Mode};
use crate::quantity::counted;
use crate::tensor::{Dtype, Shape, ShapeText, TensorSpec, numel};

/// One operation on tensors. Layout operations move elements; the others make or change values.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorOp {
    /// The same elements in row-major order under another shape.
    Reshape(Shape),
    /// Dim `k` of the result is dim `dims[k]` of the operand.
    Permute(Vec<usize>),
    /// `len` steps along `dim` from `start` on.
    Narrow {
        /// The dim.
        dim: usize,
        /// The first step.
        start: u64,
        /// How many.
        len: u64,
    },
    /// The operands one behind the other along `dim`.
    Concat {
        /// The dim.
        dim: usize,
    },
    /// The same values in another dtype, rounded to nearest even.
    Cast(Dtype),
    /// A tensor from nothing.
    Fill {
        /// What it holds.
        value: FillValue,
        /// Its dtype and shape.
        spec: TensorSpec,
    },
    /// The same elements in storage of their own.
    Copy,
    /// The same elements with one dim from its end to its start.
    Flip {
        /// The dim.
        dim: usize,
    },
    /// Each element times a number, in f64 with one rounding.
    Scale(f64),
    /// Each element plus a number, in f64 with one rounding.
    Offset(f64),
    /// An expression over the operands.
    Compute {
        /// The expression.
        formula: Formula,
        /// The dtype and shape of its result.
        spec: TensorSpec,
    },
    /// Dims resampled to other sizes.
    Interpolate(Interpolation),
}

/// What a filled tensor holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FillValue {
    /// One whole number everywhere.
    Int(i64),
    /// One number everywhere.
    Float(f64),
    /// 0, 1, 2, … in row-major order.
    Arange,
    /// Ones on the diagonal of a matrix, zeros elsewhere.
    Eye,
}

/// What a verb makes of its operands: an operand, or an operation on such terms.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// The n-th operand as it is.
    Input(usize),
    /// An operation.
    Op(TensorOp, Vec<Term>),
}

impl Term {
    /// An operation on one term.
    pub fn of(op: TensorOp, term: Term) -> Term {
        Term::Op(op, vec![term])
    }
}

/// Why an operation cannot be applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum OpError {
    #[error("an entry that is no plain tensor can only be renamed or dropped")]
    Object,
    #[error("dim {dim} does not exist in {}", ShapeText(shape))]
    Dim { dim: i64, shape: Shape },
    #[error("{} has no dim to name: it is a scalar", ShapeText(&[]))]
    Scalar,
    #[error("dim {dim} of {} is {size}, which does not divide into {parts} parts", ShapeText(shape))]
    Uneven { dim: usize, size: u64, parts: usize, shape: Shape },
    #[error("the sizes add up to {sum}, and dim {dim} of {} is {size}", ShapeText(shape))]
    Sizes { sum: u64, dim: usize, size: u64, shape: Shape },
    #[error("{given} sizes for {parts} parts")]
    SizeCount { given: usize, parts: usize },
    #[error("{what} cannot be {value}")]
    Negative { what: &'static str, value: i64 },
    #[error("only one size can be -1")]
    TwoRests,
    #[error("{} has {}, {} has {to_count}", ShapeText(from), counted(*from_count, "element"), ShapeText(to))]
    Count { from: Shape, to: Shape, from_count: u64, to_count: u64 },
    #[error("{} cannot be divided by the other sizes of {to}", counted(*count, "element"))]
    Rest { count: u64, to: String },
    #[error("the shape {} is too large", ShapeText(shape))]
    TooLarge { shape: Shape },
    #[error(
        "`{first}` is {} and `{second}` is {}: they join along dim {dim} only if all other dims agree",
        ShapeText(first_shape),
        ShapeText(second_shape)
    )]
    Join { first: String, first_shape: Shape, second: String, second_shape: Shape, dim: usize },
    #[error("`{first}` is {first_dtype} and `{second}` is {second_dtype}: they join only in one dtype")]
    JoinDtypes { first: String, first_dtype: Dtype, second: String, second_dtype: Dtype },
    #[error("the dims {dims:?} do not name each of the {rank} dims once")]
    Dims { dims: Vec<i64>, rank: usize },
    #[error("{} is not a matrix: name the two dims", ShapeText(shape))]
    NotMatrix { shape: Shape },
    #[error("`{value}` needs {needs}")]
    Fill { value: String, needs: &'static str },
    #[error("{value} does not fit into {dtype}")]
    FillRange { value: String, dtype: Dtype },
    #[error("a cast from {from} to {to} is not defined")]
    Cast { from: Dtype, to: Dtype },
    #[error(
        "`{first}` is {} and `{second}` is {}: only tensors of one shape stack",
        ShapeText(first_shape),
        ShapeText(second_shape)
    )]
    Stack { first: String, first_shape: Shape, second: String, second_shape: Shape },
    #[error("dim {dim} of {} has {size} layers for {parts} names", ShapeText(shape))]
    Layers { dim: usize, size: u64, parts: usize, shape: Shape },
    #[error("`{first}` is {first_spec} and `{second}` is {second_spec}: they cannot be equal")]
    Unequal { first: String, first_spec: TensorSpec, second: String, second_spec: TensorSpec },
    #[error("{} for {}, which has {}", counted(*given, "slice"), ShapeText(shape), counted(shape.len(), "dim"))]
    TooManySlices { given: usize, shape: Shape },
    #[error("a slice keeps all dims, and {index} alone would take one away")]
    IndexInSlice { index: i64 },
    #[error("`{slice}` lies outside dim {dim} of {}", ShapeText(shape))]
    Range { slice: String, dim: usize, shape: Shape },
    #[error("{} cannot be padded to {to}", ShapeText(shape))]
    Pad { to: String, shape: Shape },
    #[error("`{key}` is {dtype}, and value arithmetic is for floating-point tensors")]
    NotReal { key: String, dtype: Dtype },
    #[error("`{slice}` ends before it begins, in dim {dim} of {}", ShapeText(shape))]
    Reversed { slice: String, dim: usize, shape: Shape },
    #[error("{} and {} do not broadcast", ShapeText(left), ShapeText(right))]
    Broadcast { left: Shape, right: Shape },
    #[error(
        "{} @ {} has no value: the inner dims are {inner} and {other}",
        ShapeText(left),
        ShapeText(right)
    )]
    MatMul { left: Shape, right: Shape, inner: u64, other: u64 },
    #[error("`{function}` is for matrices, and this is {}", ShapeText(shape))]
    NeedsMatrix { function: &'static str, shape: Shape },
    #[error("dim {dim} of {} is named twice", ShapeText(shape))]
    DimTwice { dim: usize, shape: Shape },
    #[error("the sizes {size:?} must all be 1 or more")]
    NotPositive { size: Vec<i64> },
    #[error("{} resamples {}, and `dims` names {given}", mode.name(), dims_of(*mode))]
    ModeDims { mode: Mode, given: usize },
    #[error("{what}")]
    Option { what: String },
}

impl OpError {
    /// Whether the message names the keys that it is about.
    pub fn names_keys(&self) -> bool {
        matches!(
            self,
            OpError::Join { .. }
                | OpError::JoinDtypes { .. }
                | OpError::Stack { .. }
                | OpError::Unequal { .. }
                | OpError::NotReal { .. }
        )
    }

    /// What to write instead.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            OpError::Uneven { size, parts, .. } => {
                let fitting =
                    (2..=16u64).filter(|parts| size.is_multiple_of(*parts)).map(|parts| parts.to_string());
                let fitting: Vec<String> = fitting.collect();
                let divides = match fitting.as_slice() {
                    [] => String::new(),
                    fitting => format!("{size} divides into {}; ", fitting.join(", ")),
                };
                format!("{divides}parts of unequal size are written `sizes [...]` with {parts} sizes")
            }
            OpError::Join { first_shape, second_shape, .. }
            | OpError::Stack { first_shape, second_shape, .. }
                if first_shape.len() != second_shape.len() =>
            {
                let (first, second) = (first_shape.len(), second_shape.len());
                format!(
                    "one has {}, the other {}: `reshape` one of them above",
                    counted(first, "dim"),
                    counted(second, "dim")
                )
            }
            OpError::Join { .. } => "look at the dim: it is counted from 0".to_owned(),
            OpError::Stack { .. } => {
                "`merge` joins along a dim that there is; `pad` or `slice` makes shapes equal".to_owned()
            }
            OpError::JoinDtypes { first_dtype, second, .. } => {
                format!("`cast {second} to {first_dtype}` above makes them one")
            }
            OpError::Unequal { first_spec, second, second_spec, .. }
                if first_spec.shape == second_spec.shape =>
            {
                format!("`cast {second} to {}` above gives them one dtype", first_spec.dtype)
            }
            OpError::Unequal { second, .. } => format!("`drop {second}` above, if it is not the same tensor"),
            OpError::NotMatrix { .. } => "write `dims [0, 1]`".to_owned(),
            OpError::IndexInSlice { index } => {
                format!("write `{index}:{}`, and `reshape` if the dim should go", index.saturating_add(1))
            }
            OpError::Layers { size, .. } => format!("name {size} tensors, or run an index with `over`"),
            OpError::NotReal { key, dtype } if super::verbs::castable(*dtype) => {
                format!("above, `cast {key} to f32 where dtype == {dtype}`")
            }
            OpError::Broadcast { .. } => {
                "dims pair from the last to the first, as in torch, and are equal or one of them is 1"
                    .to_owned()
            }
            OpError::MatMul { .. } => "`transpose(…)` exchanges the last two dims".to_owned(),
            OpError::NeedsMatrix { .. } => "`reshape` it above: to [1, n] or [n, 1]".to_owned(),
            OpError::Pad { .. } => {
                "`pad` names every size, and none is smaller than it was; `slice` cuts".to_owned()
            }
            OpError::ModeDims { given, .. } => {
                let fits = |mode: &Mode| mode.dims().contains(given);
                let modes: Vec<&str> = Mode::ALL.into_iter().filter(fits).map(Mode::name).collect();
                match modes.as_slice() {
                    [] => "no mode resamples more than 3 dims at once".to_owned(),
                    modes => format!("for {}: {}", counted(*given as u64, "dim"), modes.join(", ")),
                }
            }
            OpError::Count { .. } => "one size may be -1 and takes the rest".to_owned(),
            _ => return None,
        })
    }
}

impl TensorOp {
    /// The spec of the result.
    ///
    /// # Errors
    /// Where the operands' specs do not allow the operation.
    pub fn infer(&self, inputs: &[&TensorSpec]) -> Result<TensorSpec, OpError> {
        if let TensorOp::Fill { spec, .. } | TensorOp::Compute { spec, .. } = self {
            return Ok(spec.clone());
        }
        let Some(first) = inputs.first() else { return Err(OpError::Object) };
        if inputs.iter().any(|input| input.dtype.bytes().is_none()) && *self != TensorOp::Copy {
            return Err(OpError::Object);
        }
        let shape = match self {
            TensorOp::Reshape(to) => {
                let (from_count, to_count) = (count(&first.shape)?, count(to)?);
                if from_count != to_count {
                    let (from, to) = (first.shape.clone(), to.clone());
                    return Err(OpError::Count { from, to, from_count, to_count });
                }
                to.clone()
            }
            TensorOp::Permute(dims) => dims.iter().filter_map(|&dim| first.shape.get(dim).copied()).collect(),
            TensorOp::Narrow { dim, len, .. } => {
                let mut shape = first.shape.clone();
                if let Some(size) = shape.get_mut(*dim) {
                    *size = *len;
                }
                shape
            }
            TensorOp::Concat { dim } => {
                let mut shape = first.shape.clone();
                let sizes = inputs.iter().map(|input| input.shape.get(*dim).copied().unwrap_or(0));
                let size = sizes.into_iter().try_fold(0u64, u64::checked_add);
                let too_large = || OpError::TooLarge { shape: first.shape.clone() };
                if let Some(own) = shape.get_mut(*dim) {
                    *own = size.ok_or_else(too_large)?;
                }
                shape
            }
            TensorOp::Interpolate(interpolation) => {
                let mut shape = first.shape.clone();
                for &(dim, size) in &interpolation.dims {
                    if let Some(own) = shape.get_mut(dim) {
                        *own = size;
                    }
                }
                shape
            }
            TensorOp::Cast(_)
            | TensorOp::Fill { .. }
            | TensorOp::Copy
            | TensorOp::Flip { .. }
            | TensorOp::Scale(_)
            | TensorOp::Offset(_)
            | TensorOp::Compute { .. } => first.shape.clone(),
        };
        let dtype = if let TensorOp::Cast(dtype) = self { *dtype } else { first.dtype };
        count(&shape)?;
        Ok(TensorSpec { dtype, shape })
    }
}

/// How many dims a mode resamples, in words.
fn dims_of(mode: Mode) -> String {
    let (least, most) = mode.dims().into_inner();
    if least == most { counted(least as u64, "dim") } else { format!("{least} to {most} dims") }
}

/// The number of elements, bounded so that their bytes can be counted in 64 bits.
fn count(shape: &[u64]) -> Result<u64, OpError> {
    let count = numel(shape).filter(|count| count.checked_mul(128).is_some());
    count.ok_or_else(|| OpError::TooLarge { shape: shape.to_vec() })
}
