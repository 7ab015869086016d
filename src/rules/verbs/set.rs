//! `set`: gives a value of the file that is no tensor.

use super::{Doubt, Flow, Reverse, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "set",
    summary: "gives another value of the file",
    example: "set hyper_parameters.decoder = \"aspp\"",
    flow: Flow::Value,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Lossy,
    build: nothing,
};
