//! `slice`: a part of a tensor, dim by dim.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};
use crate::rules::value::Value;

pub(super) static VERB: Verb = Verb {
    name: "slice",
    summary: "takes a part of a tensor",
    example: "slice wte.weight at [0:50257, :]",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "at", kind: OptionKind::Slices, required: true }],
    doubt: Doubt::None,
    reverse: Reverse::Lossy,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let (shape, slices) = (call.shape(), call.options.list("at"));
    if slices.len() > shape.len() {
        return Err(OpError::TooManySlices { given: slices.len(), shape: shape.to_vec() });
    }
    let mut term = Term::Input(0);
    for (dim, slice) in slices.iter().enumerate() {
        // An index alone would take the dim away in other languages; here a part keeps all dims.
        if let Value::Int(index) = slice {
            return Err(OpError::IndexInSlice { index: *index });
        }
        let (start, len) = options::range(slice, dim, shape)?;
        term = Term::of(TensorOp::Narrow { dim, start, len }, term);
    }
    Ok(vec![term])
}
