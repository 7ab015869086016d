//! Arithmetic on tensors, as `compute` writes it.

use std::fmt;

use super::op::OpError;
use super::value::{Scope, Value, ValueError, ValueErrorKind, integer, real};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Glob, UnaryOp};
use crate::tensor::Shape;

/// An expression over the operands of `compute`; everything is worked out in f64 and rounded once.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// The n-th operand.
    Operand(usize),
    /// A number, which stands for a tensor without dims.
    Number(f64),
    /// Element by element, with broadcasting as in torch.
    Elementwise(Elementwise, Box<Formula>, Box<Formula>),
    /// Matrix product over the last two dims; the dims before them broadcast.
    MatMul(Box<Formula>, Box<Formula>),
    /// The last two dims exchanged.
    Transpose(Box<Formula>),
    /// Over dims, which stay with extent 1; over all dims, to a tensor without dims.
    Reduce(Reduction, Box<Formula>, Option<Vec<i64>>),
}

/// The element-by-element operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Elementwise {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// The operations over dims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The square root of the sum of squares.
    Norm,
}

impl fmt::Display for Formula {
    /// The expression with its operands as `$0`, `$1` …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Formula::Operand(index) => write!(f, "${index}"),
            Formula::Number(value) => write!(f, "{value}"),
            Formula::Elementwise(op, left, right) => {
                let sign = match op {
                    Elementwise::Add => "+",
                    Elementwise::Subtract => "-",
                    Elementwise::Multiply => "*",
                    Elementwise::Divide => "/",
                };
                write!(f, "({left} {sign} {right})")
            }
            Formula::MatMul(left, right) => write!(f, "({left} @ {right})"),
            Formula::Transpose(operand) => write!(f, "transpose({operand})"),
            Formula::Reduce(reduction, operand, dims) => {
                let name = match reduction {
                    Reduction::Sum => "sum",
                    Reduction::Mean => "mean",
                    Reduction::Norm => "norm",
                };
                match dims {
                    Some(dims) => write!(f, "{name}({operand}, dims {dims:?})"),
                    None => write!(f, "{name}({operand})"),
                }
            }
        }
    }
}

impl Formula {
    /// The formula that an expression writes; `operand` numbers its tensors.
    ///
    /// # Errors
    /// Names that are no operand and no value, and functions that do not exist.
    pub fn new(
        expr: &Expr,
        operand: &dyn Fn(&Glob) -> Option<usize>,
        scope: &dyn Scope,
    ) -> Result<Formula, ValueError> {
        let error = |kind| ValueError { kind, span: expr.span };
        let part = |expr: &Expr| Formula::new(expr, operand, scope).map(Box::new);
        Ok(match &expr.kind {
            ExprKind::Keys(glob) => match operand(glob) {
                Some(index) => Formula::Operand(index),
                None => match super::names::plain(glob).and_then(|name| scope.name(&name)) {
                    Some(value) => Formula::number(&value).ok_or_else(|| {
                        error(ValueErrorKind::Kind { what: value.to_string(), wanted: "a number" })
                    })?,
                    None => {
                        return Err(error(ValueErrorKind::UnknownName { name: "the operand".to_owned() }));
                    }
                },
            },
            ExprKind::Integer(_) | ExprKind::Float(_) => {
                let value = super::value::evaluate(expr, scope)?;
                Formula::number(&value).unwrap_or(Formula::Number(0.0))
            }
            ExprKind::Unary(UnaryOp::Minus, operand) => {
                let zero = Box::new(Formula::Number(-1.0));
                Formula::Elementwise(Elementwise::Multiply, zero, part(operand)?)
            }
            ExprKind::Binary(left, op, right) => {
                let (left, right) = (part(left)?, part(right)?);
                let op = match op.node {
                    BinaryOp::Add => Elementwise::Add,
                    BinaryOp::Subtract => Elementwise::Subtract,
                    BinaryOp::Multiply => Elementwise::Multiply,
                    BinaryOp::Divide if *right == Formula::Number(0.0) => {
                        return Err(error(ValueErrorKind::DivisionByZero));
                    }
                    BinaryOp::Divide => Elementwise::Divide,
                    _ => return Ok(Formula::MatMul(left, right)),
                };
                Formula::Elementwise(op, left, right)
            }
            ExprKind::Call(function, arguments) => {
                let reduction = match function.node.as_str() {
                    "sum" => Reduction::Sum,
                    "mean" => Reduction::Mean,
                    "norm" => Reduction::Norm,
                    "transpose" => {
                        return match arguments.as_slice() {
                            [operand] => Ok(Formula::Transpose(part(operand)?)),
                            _ => Err(error(ValueErrorKind::Arguments {
                                function: function.node.clone(),
                                takes: "one tensor",
                            })),
                        };
                    }
                    other => {
                        let function = other.to_owned();
                        return Err(error(ValueErrorKind::UnknownTensorFunction { function }));
                    }
                };
                let takes = || {
                    let takes = "a tensor, and `dim 0` or `dims [1, 2]`";
                    error(ValueErrorKind::Arguments { function: function.node.clone(), takes })
                };
                let (operand, dims) = match arguments.as_slice() {
                    [operand] => (operand, None),
                    [operand, Expr { kind: ExprKind::Named(_, dims), .. }] => {
                        let dims = match &dims.kind {
                            ExprKind::List(items) => items.iter().map(|item| integer(item, scope)).collect(),
                            _ => integer(dims, scope).map(|dim| vec![dim]),
                        };
                        (operand, Some(dims?))
                    }
                    _ => return Err(takes()),
                };
                Formula::Reduce(reduction, part(operand)?, dims)
            }
            _ => {
                return Err(error(ValueErrorKind::Kind {
                    what: "this".to_owned(),
                    wanted: "a tensor or a number",
                }));
            }
        })
    }

    fn number(value: &Value) -> Option<Formula> {
        real(value).map(Formula::Number)
    }

    /// The shape of the result over operands of these shapes.
    ///
    /// # Errors
    /// Shapes that do not broadcast or multiply.
    pub fn shape(&self, operands: &[&[u64]]) -> Result<Shape, OpError> {
        match self {
            Formula::Operand(index) => {
                Ok(operands.get(*index).map(|shape| shape.to_vec()).unwrap_or_default())
            }
            Formula::Number(_) => Ok(Vec::new()),
            Formula::Elementwise(_, left, right) => {
                broadcast(&left.shape(operands)?, &right.shape(operands)?)
            }
            Formula::Transpose(operand) => {
                let mut shape = operand.shape(operands)?;
                let rank = shape.len();
                if rank < 2 {
                    return Err(OpError::NeedsMatrix { function: "transpose", shape });
                }
                shape.swap(rank - 2, rank - 1);
                Ok(shape)
            }
            Formula::MatMul(left, right) => {
                let (left, right) = (left.shape(operands)?, right.shape(operands)?);
                let (Some((m, k)), Some((inner, n))) = (matrix(&left), matrix(&right)) else {
                    let shape = if left.len() < 2 { left } else { right };
                    return Err(OpError::NeedsMatrix { function: "@", shape });
                };
                if k != inner {
                    return Err(OpError::MatMul { left, right, inner: k, other: inner });
                }
                let mut shape = broadcast(&left[..left.len() - 2], &right[..right.len() - 2])?;
                shape.extend([m, n]);
                Ok(shape)
            }
            Formula::Reduce(_, operand, dims) => {
                let mut shape = operand.shape(operands)?;
                let Some(dims) = dims else { return Ok(Vec::new()) };
                for &dim in dims {
                    let dim = super::options::dim(dim, &shape)?;
                    shape[dim] = 1;
                }
                Ok(shape)
            }
        }
    }
}

/// The sizes of the last two dims.
pub fn matrix(shape: &[u64]) -> Option<(u64, u64)> {
    if let [.., rows, columns] = shape { Some((*rows, *columns)) } else { None }
}

/// The common shape of two: aligned at the last dim, a dim of extent 1 stretches.
///
/// # Errors
/// Where two dims differ and neither is 1.
pub fn broadcast(left: &[u64], right: &[u64]) -> Result<Shape, OpError> {
    let rank = left.len().max(right.len());
    let size = |shape: &[u64], dim: usize| (dim + shape.len()).checked_sub(rank).map_or(1, |dim| shape[dim]);
    (0..rank)
        .map(|dim| match (size(left, dim), size(right, dim)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => Err(OpError::Broadcast { left: left.to_vec(), right: right.to_vec() }),
        })
        .collect()
}
