//! `set`: gives a value of the file that is no tensor.

use super::{Doubt, Flow, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "set",
    summary: "gives another value of the file",
    example: "set hyper_parameters.decoder = \"aspp\"",
    flow: Flow::Value,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::None,
    build: nothing,
};
