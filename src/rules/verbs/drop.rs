//! `drop`: removes keys.

use super::{Doubt, Flow, Reverse, Templates, Verb, nothing};

pub(super) static VERB: Verb = Verb {
    name: "drop",
    summary: "removes keys",
    example: "drop **.num_batches_tracked",
    flow: Flow::Remove,
    templates: Templates::Never,
    options: &[],
    doubt: Doubt::None,
    reverse: Reverse::Lossy,
    build: nothing,
};
