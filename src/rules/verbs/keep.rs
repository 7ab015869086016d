//! `keep`: removes all keys but these, and renames them where a template follows.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, Term};

pub(super) static VERB: Verb = Verb {
    name: "keep",
    summary: "removes all keys but these",
    example: "keep visual.* -> *",
    flow: Flow::Keep,
    templates: Templates::Optional,
    options: &[],
    doubt: Doubt::Names,
    reverse: Reverse::Lossy,
    build,
};

fn build(_: &Call) -> Result<Vec<Term>, OpError> {
    Ok(vec![Term::Input(0)])
}
