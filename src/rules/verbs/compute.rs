//! `compute`: an expression over named tensors, in f64 with one rounding; its operands are consumed.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::tensor::TensorSpec;

pub(super) static VERB: Verb = Verb {
    name: "compute",
    summary: "makes a tensor by arithmetic on others",
    example: "compute fc.weight = fc.weight + 0.5 * (b @ a)",
    flow: Flow::Compute,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::Always,
    reverse: Reverse::Lossy,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let (Some(formula), Some((_, spec))) = (call.formula, call.inputs.first()) else {
        return Ok(Vec::new());
    };
    super::cast::values_of(call)?;
    // The result takes the dtype of the tensor whose name it has; without one, all must agree.
    let own = call.inputs.iter().find(|(key, _)| Some(*key) == call.output).map(|(_, spec)| spec.dtype);
    if own.is_none() {
        super::merge::same_dtype(call)?;
    }
    let shapes: Vec<&[u64]> = call.inputs.iter().map(|(_, spec)| spec.shape.as_slice()).collect();
    let shape = formula.shape(&shapes)?;
    let spec = TensorSpec { dtype: own.unwrap_or(spec.dtype), shape };
    let operands = (0..call.inputs.len()).map(Term::Input).collect();
    Ok(vec![Term::Op(TensorOp::Compute { formula: formula.clone(), spec }, operands)])
}
