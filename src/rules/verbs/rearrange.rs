//! `rearrange`: einops notation, as reshape, permute, reshape.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::einops;
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "rearrange",
    summary: "moves elements as einops notation says",
    example: "rearrange **.q.weight by \"(h d two) i -> (h two d) i\" with h=8, two=2",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[
        OptionRow { name: "by", kind: OptionKind::Text, required: true },
        OptionRow { name: "with", kind: OptionKind::Bindings, required: false },
    ],
    doubt: Doubt::Always,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let notation = call.options.text("by").unwrap_or_default();
    let steps = einops::steps(notation, call.shape(), &call.options.bindings("with"))
        .map_err(|what| OpError::Option { what: format!("\"{notation}\": {what}") })?;
    let term = Term::of(TensorOp::Reshape(steps.split), Term::Input(0));
    let term = Term::of(TensorOp::Permute(steps.order), term);
    Ok(vec![Term::of(TensorOp::Reshape(steps.join), term)])
}
