//! Arithmetic on whole tensors, in f64.

use crate::rules::formula::{Elementwise, Formula, Reduction, broadcast, matrix};
use crate::rules::op::OpError;
use crate::tensor::{Shape, contiguous_strides};

/// A tensor of f64, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    pub shape: Shape,
    pub elements: Vec<f64>,
}

/// The value of a formula over operands, whose shapes were checked when the plan was made.
///
/// # Errors
/// As the plan's own check, were it to have missed something.
pub(super) fn evaluate(formula: &Formula, operands: &[Values]) -> Result<Values, OpError> {
    Ok(match formula {
        Formula::Operand(index) => operands.get(*index).cloned().ok_or(OpError::Object)?,
        Formula::Number(value) => Values { shape: Vec::new(), elements: vec![*value] },
        Formula::Elementwise(op, left, right) => {
            elementwise(*op, &evaluate(left, operands)?, &evaluate(right, operands)?)?
        }
        Formula::MatMul(left, right) => multiply(&evaluate(left, operands)?, &evaluate(right, operands)?)?,
        Formula::Transpose(operand) => transpose(evaluate(operand, operands)?),
        Formula::Reduce(reduction, operand, dims) => {
            reduce(*reduction, &evaluate(operand, operands)?, dims.as_deref())?
        }
    })
}

fn elementwise(op: Elementwise, left: &Values, right: &Values) -> Result<Values, OpError> {
    let shape = broadcast(&left.shape, &right.shape)?;
    let count: u64 = shape.iter().product();
    let (a, b) = (Stretched::new(left, &shape), Stretched::new(right, &shape));
    let value = |index: u64| {
        let (a, b) = (left.elements[a.at(index)], right.elements[b.at(index)]);
        match op {
            Elementwise::Add => a + b,
            Elementwise::Subtract => a - b,
            Elementwise::Multiply => a * b,
            Elementwise::Divide => a / b,
        }
    };
    Ok(Values { elements: (0..count).map(value).collect(), shape })
}

/// Where the elements of a stretched tensor lie in its own elements.
struct Stretched {
    /// The extent of each dim of the result, and the operand's stride in it (0 where it is stretched).
    dims: Vec<(u64, u64)>,
    /// The operand has the result's shape.
    same: bool,
}

impl Stretched {
    fn new(values: &Values, shape: &[u64]) -> Stretched {
        let strides = contiguous_strides(&values.shape).unwrap_or_default();
        let missing = shape.len() - values.shape.len();
        let dims = shape.iter().enumerate().map(|(dim, &size)| {
            let own = dim.checked_sub(missing).map(|dim| (values.shape[dim], strides[dim]));
            (size, own.map_or(0, |(extent, stride)| if extent == 1 { 0 } else { stride }))
        });
        Stretched { dims: dims.collect(), same: values.shape == shape }
    }

    #[allow(clippy::cast_possible_truncation)] // an index into elements that are in memory
    fn at(&self, mut index: u64) -> usize {
        if self.same {
            return index as usize;
        }
        let mut at = 0;
        for &(size, stride) in self.dims.iter().rev() {
            at += (index % size) * stride;
            index /= size;
        }
        at as usize
    }
}

#[allow(clippy::cast_possible_truncation)] // sizes of tensors that are in memory
fn multiply(left: &Values, right: &Values) -> Result<Values, OpError> {
    let (Some((m, k)), Some((_, n))) = (matrix(&left.shape), matrix(&right.shape)) else {
        return Err(OpError::NeedsMatrix { function: "@", shape: left.shape.clone() });
    };
    let batch = broadcast(&left.shape[..left.shape.len() - 2], &right.shape[..right.shape.len() - 2])?;
    let count: u64 = batch.iter().product();
    let batches = |values: &Values| Values {
        shape: values.shape[..values.shape.len() - 2].to_vec(),
        elements: Vec::new(),
    };
    let (a_at, b_at) = (Stretched::new(&batches(left), &batch), Stretched::new(&batches(right), &batch));
    let (m, k, n) = (m as usize, k as usize, n as usize);
    let mut elements = vec![0.0; count as usize * m * n];
    for index in 0..count {
        let a = &left.elements[a_at.at(index) * m * k..][..m * k];
        let b = &right.elements[b_at.at(index) * k * n..][..k * n];
        let out = &mut elements[index as usize * m * n..][..m * n];
        // Row by row of `b`, so that all three are read in order.
        for (row, a) in out.chunks_exact_mut(n.max(1)).zip(a.chunks_exact(k.max(1))) {
            for (factor, b) in a.iter().zip(b.chunks_exact(n.max(1))) {
                row.iter_mut().zip(b).for_each(|(out, b)| *out += factor * b);
            }
        }
    }
    let shape = batch.into_iter().chain([m as u64, n as u64]).collect();
    Ok(Values { shape, elements })
}

#[allow(clippy::cast_possible_truncation)] // sizes of tensors that are in memory
fn transpose(mut values: Values) -> Values {
    let Some((rows, columns)) = matrix(&values.shape) else { return values };
    let (rows, columns) = (rows as usize, columns as usize);
    let rank = values.shape.len();
    values.shape.swap(rank - 2, rank - 1);
    let mut elements = Vec::with_capacity(values.elements.len());
    for matrix in values.elements.chunks_exact((rows * columns).max(1)) {
        for column in 0..columns {
            elements.extend((0..rows).map(|row| matrix[row * columns + column]));
        }
    }
    values.elements = elements;
    values
}

fn reduce(reduction: Reduction, values: &Values, dims: Option<&[i64]>) -> Result<Values, OpError> {
    let mut shape = values.shape.clone();
    match dims {
        None => shape.iter_mut().for_each(|size| *size = 1),
        Some(dims) => {
            for &dim in dims {
                let dim = crate::rules::dim_of(dim, &shape)?;
                shape[dim] = 1;
            }
        }
    }
    let count: u64 = shape.iter().product();
    let mut totals = vec![0.0; usize::try_from(count).unwrap_or(0)];
    let target = Values { shape: shape.clone(), elements: Vec::new() };
    let place = Stretched::new(&target, &values.shape);
    for (index, &value) in (0..).zip(&values.elements) {
        totals[place.at(index)] += if reduction == Reduction::Norm { value * value } else { value };
    }
    #[allow(clippy::cast_precision_loss)] // a count of elements in memory
    let each = values.elements.len() as f64 / (totals.len().max(1)) as f64;
    for total in &mut totals {
        *total = match reduction {
            Reduction::Sum => *total,
            Reduction::Mean => *total / each,
            Reduction::Norm => total.sqrt(),
        };
    }
    if dims.is_none() {
        shape.clear();
    }
    Ok(Values { shape, elements: totals })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(shape: &[u64], elements: &[f64]) -> Values {
        Values { shape: shape.to_vec(), elements: elements.to_vec() }
    }

    #[test]
    fn products_and_broadcasts() {
        let product = multiply(&values(&[2, 1], &[1.0, 3.0]), &values(&[1, 2], &[2.0, 4.0]));
        assert_eq!(product, Ok(values(&[2, 2], &[2.0, 4.0, 6.0, 12.0])));
        let batched = multiply(&values(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]), &values(&[2, 1], &[1.0, 10.0]));
        assert_eq!(batched, Ok(values(&[2, 1, 1], &[21.0, 43.0])));
        let sum = elementwise(Elementwise::Add, &values(&[2, 1], &[1.0, 2.0]), &values(&[2], &[10.0, 20.0]));
        assert_eq!(sum, Ok(values(&[2, 2], &[11.0, 21.0, 12.0, 22.0])));
        assert_eq!(
            transpose(values(&[1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])).elements,
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
    }

    #[test]
    fn reductions_keep_their_dims() {
        let v = values(&[2, 2], &[3.0, 4.0, 6.0, 8.0]);
        assert_eq!(reduce(Reduction::Norm, &v, Some(&[1])), Ok(values(&[2, 1], &[5.0, 10.0])));
        assert_eq!(reduce(Reduction::Sum, &v, Some(&[0])), Ok(values(&[1, 2], &[9.0, 12.0])));
        assert_eq!(reduce(Reduction::Mean, &v, None), Ok(values(&[], &[5.25])));
    }
}
