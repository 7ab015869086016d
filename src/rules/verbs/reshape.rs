//! `reshape`: the same elements under a new shape.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};
use crate::tensor::numel;

pub(super) static VERB: Verb = Verb {
    name: "reshape",
    summary: "gives a tensor a new shape, one size of which may be -1",
    example: "reshape **.proj.weight to [shape[0], -1]",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "to", kind: OptionKind::Ints, required: true }],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let written = call.options.ints("to").unwrap_or_default();
    let shape = options::sizes(&written, |others| {
        let count = numel(call.shape()).unwrap_or_default();
        let product = numel(others).unwrap_or_default();
        if product == 0 || !count.is_multiple_of(product) {
            return Err(OpError::Rest { count, to: format!("{written:?}") });
        }
        Ok(count / product)
    })?;
    Ok(vec![Term::of(TensorOp::Reshape(shape), Term::Input(0))])
}
