//! `stack`: joins tensors of one spec along a new dim.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "stack",
    summary: "joins tensors along a new dim",
    example: "stack experts.{e}.w1.weight -> experts.w1 over e dim 0",
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
    super::merge::same_dtype(call)?;
    let Some(((first, spec), others)) = call.inputs.split_first() else { return Ok(Vec::new()) };
    if let Some((second, other)) = others.iter().find(|(_, other)| other.shape != spec.shape) {
        return Err(OpError::Stack {
            first: (*first).to_owned(),
            first_shape: spec.shape.clone(),
            second: (*second).to_owned(),
            second_shape: other.shape.clone(),
        });
    }
    // The new dim is counted among the dims of the result.
    let mut shape = spec.shape.clone();
    shape.push(1);
    let dim = options::dim(call.options.int("dim").unwrap_or_default(), &shape)?;
    let mut layer = spec.shape.clone();
    layer.insert(dim, 1);
    let layers =
        (0..call.inputs.len()).map(|index| Term::of(TensorOp::Reshape(layer.clone()), Term::Input(index)));
    Ok(vec![Term::Op(TensorOp::Concat { dim }, layers.collect())])
}
