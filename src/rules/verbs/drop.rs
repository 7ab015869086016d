//! `drop`: removes keys.

use super::{Doubt, Flow, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "drop",
    summary: "removes keys",
    example: "drop **.num_batches_tracked",
    flow: Flow::Remove,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::None,
    build: nothing,
};
