//! `unstack`: takes a dim apart into tensors without it.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "unstack",
    summary: "takes a dim apart into tensors without it",
    example: "unstack experts.w1 -> experts.{e}.w1.weight over e dim 0",
    flow: Flow::Part,
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
    let (dim, parts) = (call.dim()?, call.outputs);
    let size = call.shape()[dim];
    if size != parts as u64 {
        return Err(OpError::Layers { dim, size, parts, shape: call.shape().to_vec() });
    }
    let mut layer = call.shape().to_vec();
    layer.remove(dim);
    let layers = (0..size).map(|start| {
        let narrow = Term::of(TensorOp::Narrow { dim, start, len: 1 }, Term::Input(0));
        Term::of(TensorOp::Reshape(layer.clone()), narrow)
    });
    Ok(layers.collect())
}
