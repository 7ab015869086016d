//! `cast`: another dtype, rounded to nearest even.
//!
//! A float dtype touches floating-point tensors only, so that `cast ** to bf16` leaves counters and
//! masks alone; a condition about `dtype` says otherwise ([`Call::any_dtype`]).

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};
use crate::tensor::Dtype;

pub(super) static VERB: Verb = Verb {
    name: "cast",
    summary: "changes the dtype",
    example: "cast ** to bf16 except **.norm.*",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "to", kind: OptionKind::Dtype, required: true }],
    doubt: Doubt::None,
    reverse: Reverse::Lossy,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let Some(to) = call.options.dtype("to") else { return Ok(Vec::new()) };
    let from = call.inputs.first().map_or(to, |(_, spec)| spec.dtype);
    if from == to || (to.is_float() && !from.is_float() && !call.any_dtype) {
        return Ok(vec![Term::Input(0)]);
    }
    if !castable(from) || !castable(to) {
        return Err(OpError::Cast { from, to });
    }
    Ok(vec![Term::of(TensorOp::Cast(to), Term::Input(0))])
}

/// The dtypes that have values to convert.
pub(in crate::rules) fn castable(dtype: Dtype) -> bool {
    use Dtype::{Bf16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, F64 | F32 | F16 | Bf16 | I64 | I32 | I16 | I8 | U64 | U32 | U16 | U8 | Bool)
}

/// Refuses operands whose dtype has no values to compute with.
pub(super) fn values_of(call: &Call) -> Result<(), OpError> {
    match call.inputs.iter().find(|(_, spec)| !spec.dtype.is_float() || !castable(spec.dtype)) {
        None => Ok(()),
        Some((key, spec)) => Err(OpError::NotReal { key: (*key).to_owned(), dtype: spec.dtype }),
    }
}
