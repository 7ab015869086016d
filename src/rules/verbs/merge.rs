//! `merge`: concatenates tensors along a dim.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "merge",
    summary: "concatenates tensors along a dim",
    example: "merge **.{q,k,v}.weight -> **.qkv.weight dim 0",
    flow: Flow::Join,
    templates: Templates::Required,
    options: &[
        OptionRow { name: "dim", kind: OptionKind::Int, required: true },
        OptionRow { name: "over", kind: OptionKind::Index, required: false },
    ],
    doubt: Doubt::Order,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    same_dtype(call)?;
    let dim = call.dim()?;
    let Some(((first, first_spec), others)) = call.inputs.split_first() else { return Ok(Vec::new()) };
    let outside = |shape: &[u64]| {
        let mut shape = shape.to_vec();
        shape.get_mut(dim).map(|size| *size = 0).map(|()| shape)
    };
    for (second, spec) in others {
        if outside(&spec.shape) != outside(&first_spec.shape) {
            return Err(OpError::Join {
                first: (*first).to_owned(),
                first_shape: first_spec.shape.clone(),
                second: (*second).to_owned(),
                second_shape: spec.shape.clone(),
                dim,
            });
        }
    }
    let operands = (0..call.inputs.len()).map(Term::Input).collect();
    Ok(vec![Term::Op(TensorOp::Concat { dim }, operands)])
}

/// Refuses operands of different dtypes: a join never casts.
pub(super) fn same_dtype(call: &Call) -> Result<(), OpError> {
    let Some(((first, first_spec), others)) = call.inputs.split_first() else { return Ok(()) };
    match others.iter().find(|(_, spec)| spec.dtype != first_spec.dtype) {
        None => Ok(()),
        Some((second, spec)) => Err(OpError::JoinDtypes {
            first: (*first).to_owned(),
            first_dtype: first_spec.dtype,
            second: (*second).to_owned(),
            second_dtype: spec.dtype,
        }),
    }
}
