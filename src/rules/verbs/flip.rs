//! `flip`: reverses a dim.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "flip",
    summary: "reverses a dim",
    example: "flip stem.conv.weight dim 1",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[OptionRow { name: "dim", kind: OptionKind::Int, required: true }],
    doubt: Doubt::Always,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    Ok(vec![Term::of(TensorOp::Flip { dim: call.dim()? }, Term::Input(0))])
}
