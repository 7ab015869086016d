//! `split`: cuts a tensor along a dim, in equal parts or by sizes.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "split",
    summary: "cuts a tensor along a dim",
    example: "split **.qkv.weight -> **.{q,k,v}.weight dim 0",
    flow: Flow::Part,
    templates: Templates::Required,
    options: &[
        OptionRow { name: "dim", kind: OptionKind::Int, required: true },
        OptionRow { name: "sizes", kind: OptionKind::Ints, required: false },
        OptionRow { name: "over", kind: OptionKind::Index, required: false },
        OptionRow { name: "into", kind: OptionKind::Int, required: false },
    ],
    doubt: Doubt::Order,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let (dim, parts) = (call.dim()?, call.outputs);
    let shape = call.shape().to_vec();
    let size = shape[dim];
    let sizes = match call.options.ints("sizes") {
        None => {
            let count = parts as u64;
            if count == 0 || !size.is_multiple_of(count) {
                return Err(OpError::Uneven { dim, size, parts, shape });
            }
            vec![size / count; parts]
        }
        Some(written) if written.len() != parts => {
            return Err(OpError::SizeCount { given: written.len(), parts });
        }
        Some(written) => {
            let wrong = |sum| OpError::Sizes { sum, dim, size, shape: shape.clone() };
            let sum = |sizes: &[u64]| sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
            let sizes = options::sizes(&written, |others| {
                let others = sum(others).unwrap_or(u64::MAX);
                size.checked_sub(others).ok_or_else(|| wrong(others))
            })?;
            match sum(&sizes) {
                Some(total) if total == size => sizes,
                total => return Err(wrong(total.unwrap_or(u64::MAX))),
            }
        }
    };
    let mut start = 0;
    let parts = sizes.into_iter().map(|len| {
        let part = TensorOp::Narrow { dim, start, len };
        start += len;
        Term::of(part, Term::Input(0))
    });
    Ok(parts.collect())
}
