//! `leave`: keys of the target that the file will not hold; the model's own initial value is meant.

use super::{Doubt, Flow, Reverse, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "leave",
    summary: "names target keys that the file will not hold",
    example: "leave classification_head.*",
    flow: Flow::Leave,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build: nothing,
};
