//! `unset`: takes a value away that is no tensor.

use super::{Doubt, Flow, Reverse, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "unset",
    summary: "takes another value of the file away",
    example: "unset hyper_parameters.old_option",
    flow: Flow::Value,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Lossy,
    build: nothing,
};
