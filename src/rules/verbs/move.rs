//! `move`: holds a value that is no tensor under another path.

use super::{Doubt, Flow, Reverse, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "move",
    summary: "holds another value of the file elsewhere",
    example: "move hyper_parameters.lr -> hyper_parameters.optim.lr",
    flow: Flow::Value,
    templates: Templates::Required,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build: nothing,
};
