//! `select`: rows by indices and ranges, in the order written.

use super::{Call, Doubt, Flow, Reverse, Templates, Verb};
use crate::rules::op::{OpError, TensorOp, Term};
use crate::rules::options::{self, OptionKind, OptionRow};

pub(super) static VERB: Verb = Verb {
    name: "select",
    summary: "takes rows by indices and ranges, in the order written",
    example: "select ada.weight at [shape[0]/2:, :shape[0]/2] dim 0",
    flow: Flow::Each,
    templates: Templates::Optional,
    options: &[
        OptionRow { name: "at", kind: OptionKind::Slices, required: true },
        OptionRow { name: "dim", kind: OptionKind::Int, required: true },
    ],
    doubt: Doubt::Always,
    reverse: Reverse::Exact,
    build,
};

fn build(call: &Call) -> Result<Vec<Term>, OpError> {
    let dim = call.dim()?;
    let parts = call.options.list("at").iter().map(|slice| {
        let (start, len) = options::range(slice, dim, call.shape())?;
        Ok(Term::of(TensorOp::Narrow { dim, start, len }, Term::Input(0)))
    });
    let parts = parts.collect::<Result<Vec<Term>, OpError>>()?;
    if parts.is_empty() {
        return Err(OpError::Option { what: "`at` selects nothing".to_owned() });
    }
    Ok(vec![Term::Op(TensorOp::Concat { dim }, parts)])
}
