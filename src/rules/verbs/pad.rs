//! `pad`: grows a tensor at the end of its dims with a value.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{FillValue, OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};
use crate::tensor::TensorSpec;

pub(super) static VERB: Verb = Verb {
    name: "pad",
    summary: "grows a tensor at the end of its dims",
    example: "pad wte.weight to [50304, 768] value 0",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[
        OptionRow { name: "to", kind: OptionKind::Ints, required: true },
        OptionRow { name: "value", kind: OptionKind::Number, required: true },
    ],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let Some((_, spec)) = call.inputs.first() else { return Ok(Vec::new()) };
    let to = call.options.ints("to").unwrap_or_default();
    let value = call.options.fill("value").unwrap_or(FillValue::Int(0));
    let mut shape = spec.shape.clone();
    let wanted: Vec<u64> = to.iter().filter_map(|&size| u64::try_from(size).ok()).collect();
    let grows = wanted.len() == to.len()
        && wanted.len() == shape.len()
        && wanted.iter().zip(&shape).all(|(wanted, size)| wanted >= size);
    if !grows {
        return Err(OpError::Pad { to: format!("{to:?}"), shape });
    }
    super::fill::check(value, spec.dtype, &[])?;
    let mut term = Term::Input(0);
    for (dim, &size) in wanted.iter().enumerate().filter(|(dim, size)| **size > spec.shape[*dim]) {
        let mut rest = shape.clone();
        rest[dim] = size - shape[dim];
        let rest = TensorSpec::new(spec.dtype, rest);
        let rest = Term::Op(TensorOp::Fill { value, spec: rest }, Vec::new());
        term = Term::Op(TensorOp::Concat { dim }, vec![term, rest]);
        shape[dim] = size;
    }
    Ok(vec![term])
}
