//! `permute`: all dims in a new order.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "permute",
    summary: "puts all dims into a new order",
    example: "permute conv.weight dims [2, 3, 1, 0]",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "dims", kind: OptionKind::Ints, required: true }],
    doubt: Doubt::Arrangement,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let (shape, written) = (call.shape(), call.options.ints("dims").unwrap_or_default());
    let dims: Result<Vec<usize>, OpError> = written.iter().map(|&dim| options::dim(dim, shape)).collect();
    let dims = dims?;
    let mut seen = vec![false; shape.len()];
    dims.iter().for_each(|&dim| seen[dim] = true);
    if dims.len() != shape.len() || seen.contains(&false) {
        return Err(OpError::Dims { dims: written, rank: shape.len() });
    }
    Ok(vec![Term::of(TensorOp::Permute(dims), Term::Input(0))])
}
