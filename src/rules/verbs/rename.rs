//! `rename`: moves a key.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, Term};

pub(super) static VERB: Verb = Verb {
    name: "rename",
    summary: "moves a key",
    example: "rename encoder.layer.{i}.* -> blocks.{i+1}.*",
    flow: Flow::Each,
    templates: Templates::Required,
    options: &[],
    doubt: Doubt::Names,
    reverse: Reverse::Exact,
    build,
};

fn build(_: &Call) -> Result<Vec<Term>, OpError> {
    Ok(vec![Term::Input(0)])
}
