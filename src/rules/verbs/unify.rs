//! `unify`: one tensor of several that must be equal byte for byte.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, Term};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "unify",
    summary: "makes one tensor of several that must be equal",
    example: "unify r{r}.**.norm.weight -> **.norm.weight over r",
    flow: Flow::Unify,
    templates: Templates::Required,
    options: &[OptionRow { name: "over", kind: OptionKind::Index, required: false }],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let Some(((first, spec), others)) = call.inputs.split_first() else { return Ok(Vec::new()) };
    if let Some((second, other)) = others.iter().find(|(_, other)| other != spec) {
        return Err(OpError::Unequal {
            first: (*first).to_owned(),
            first_spec: (*spec).clone(),
            second: (*second).to_owned(),
            second_spec: (*other).clone(),
        });
    }
    Ok(vec![Term::Input(0)])
}
