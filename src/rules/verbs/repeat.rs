//! `repeat`: tiles a tensor along a dim.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

/// More repeats than any real tensor needs: each is a node of the plan.
const MAX_TIMES: i64 = 1 << 16;

pub(super) static VERB: Verb = Verb {
    name: "repeat",
    summary: "tiles a tensor along a dim",
    example: "repeat kv.weight by 4 dim 0",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[
        OptionRow { name: "by", kind: OptionKind::Int, required: true },
        OptionRow { name: "dim", kind: OptionKind::Int, required: true },
    ],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let (dim, by) = (call.dim()?, call.options.int("by").unwrap_or_default());
    if !(1..=MAX_TIMES).contains(&by) {
        return Err(OpError::Option { what: format!("`by` is between 1 and {MAX_TIMES}, not {by}") });
    }
    let tiles = (0..by).map(|_| Term::Input(0)).collect();
    Ok(vec![Term::Op(TensorOp::Concat { dim }, tiles)])
}
