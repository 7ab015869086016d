//! `assert`: stops where a condition does not hold; about values while the tensors are written.

use super::{Doubt, Flow, Reverse, Templates, Verb, nothing};
use crate::rules::options::{OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "assert",
    summary: "stops where keys, shapes, dtypes or values are not as said",
    example: "assert **.k_bias value 0",
    flow: Flow::Check,
    templates: Templates::Never,
    options: &[OptionRow { name: "value", kind: OptionKind::Number, required: false }],
    doubt: Doubt::None,
    reverse: Reverse::Exact,
    build: nothing,
};
