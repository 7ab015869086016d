//! `untie`: gives a tensor storage of its own.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};

pub(super) static VERB: Verb = Verb {
    name: "untie",
    summary: "gives a tensor storage of its own",
    example: "untie lm_head.weight",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(_: &Call) -> Result<Vec<Term>, OpError> {
    Ok(vec![Term::of(TensorOp::Copy, Term::Input(0))])
}
