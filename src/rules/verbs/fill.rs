//! `fill`: makes a tensor that the source lacks.
//!
//! With `->`, one beside each match, of its dtype and shape unless others are given; without, one for
//! each key that the target has and the state lacks, of the target's dtype and shape.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{FillValue, OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};
use crate::tensor::{Dtype, TensorSpec};

pub(super) static VERB: Verb = Verb {
    name: "fill",
    summary: "makes a tensor that the source lacks",
    example: "fill **.num_batches_tracked value 0",
    flow: Flow::Fill,
    templates: Templates::Optional,
    options: &[
        OptionRow { name: "value", kind: OptionKind::Fill, required: true },
        OptionRow { name: "shape", kind: OptionKind::Ints, required: false },
        OptionRow { name: "dtype", kind: OptionKind::Dtype, required: false },
    ],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let like = call.inputs.first().map(|(_, spec)| *spec);
    let wanted = |what| OpError::Option { what: format!("nothing gives the {what}: write `{what} ...`") };
    let shape = match call.options.ints("shape") {
        Some(written) => options::sizes(&written, |_| Err(OpError::Negative { what: "a size", value: -1 }))?,
        None => like.map(|spec| spec.shape.clone()).ok_or_else(|| wanted("shape"))?,
    };
    let dtype = call.options.dtype("dtype").or(like.map(|spec| spec.dtype)).ok_or_else(|| wanted("dtype"))?;
    let value = call.options.fill("value").unwrap_or(FillValue::Int(0));
    check(value, dtype, &shape)?;
    Ok(vec![Term::Op(TensorOp::Fill { value, spec: TensorSpec { dtype, shape } }, Vec::new())])
}

pub(super) fn check(value: FillValue, dtype: Dtype, shape: &[u64]) -> Result<(), OpError> {
    let range = |value: String| Err(OpError::FillRange { value, dtype });
    let bits = dtype.bits();
    match value {
        _ if !super::cast::castable(dtype) => {
            Err(OpError::Fill { value: dtype.to_string(), needs: "a plain number dtype" })
        }
        FillValue::Eye if shape.len() != 2 => {
            Err(OpError::Fill { value: "eye".to_owned(), needs: "a matrix: a shape of two dims" })
        }
        FillValue::Int(value) if dtype == Dtype::Bool && !(0..=1).contains(&value) => {
            range(value.to_string())
        }
        FillValue::Int(value) if !dtype.is_float() && dtype != Dtype::Bool => {
            let unsigned = matches!(dtype, Dtype::U64 | Dtype::U32 | Dtype::U16 | Dtype::U8);
            let (least, most) = if unsigned {
                (0, 2i128.pow(u32::try_from(bits).unwrap_or(64)) - 1)
            } else {
                (
                    -(2i128.pow(u32::try_from(bits).unwrap_or(64) - 1)),
                    2i128.pow(u32::try_from(bits).unwrap_or(64) - 1) - 1,
                )
            };
            if (least..=most).contains(&i128::from(value)) { Ok(()) } else { range(value.to_string()) }
        }
        FillValue::Float(value) if !dtype.is_float() => range(value.to_string()),
        _ => Ok(()),
    }
}
