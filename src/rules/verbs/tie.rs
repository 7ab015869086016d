//! `tie`: another name of a tensor; where the name exists, its bytes must be equal.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, Term};

pub(super) static VERB: Verb = Verb {
    name: "tie",
    summary: "makes another name of a tensor",
    example: "tie embed.weight -> lm_head.weight",
    flow: Flow::Tie,
    templates: Templates::Required,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    Ok(vec![Term::Input(0); call.outputs])
}
