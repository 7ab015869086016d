//! `scale`: multiplies by a number, in f64 with one rounding.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "scale",
    summary: "multiplies by a number, with one rounding",
    example: "scale q.weight by 0.125",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "by", kind: OptionKind::Real, required: true }],
    doubt: Doubt::None,
    reverse: Reverse::Numeric,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let by = call.options.real("by").unwrap_or_default();
    super::cast::values_of(call)?;
    Ok(vec![Term::of(TensorOp::Scale(by), Term::Input(0))])
}
