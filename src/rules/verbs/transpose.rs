//! `transpose`: swaps two dims; a matrix needs none named.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "transpose",
    summary: "swaps two dims",
    example: "transpose **.fc.weight",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "dims", kind: OptionKind::Ints, required: false }],
    doubt: Doubt::Arrangement,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let shape = call.shape();
    let rank = shape.len();
    let (first, second) = match call.options.ints("dims") {
        None if rank == 2 => (0, 1),
        None => return Err(OpError::NotMatrix { shape: shape.to_vec() }),
        Some(dims) => match dims.as_slice() {
            [first, second] => (options::dim(*first, shape)?, options::dim(*second, shape)?),
            _ => return Err(OpError::Option { what: "`dims` of a transpose names two dims".to_owned() }),
        },
    };
    let mut dims: Vec<usize> = (0..rank).collect();
    dims.swap(first, second);
    Ok(vec![Term::of(TensorOp::Permute(dims), Term::Input(0))])
}
