//! `copy`: more tensors with the same elements, each in storage of its own.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "copy",
    summary: "makes more tensors of one, which stays",
    example: "copy embed.weight -> lm_head.weight",
    flow: Flow::Add,
    templates: Templates::Required,
    options: &[
        OptionRow { name: "over", kind: OptionKind::Index, required: false },
        OptionRow { name: "into", kind: OptionKind::Int, required: false },
    ],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    Ok(vec![Term::of(TensorOp::Copy, Term::Input(0)); call.outputs])
}
