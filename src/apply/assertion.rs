//! Assertions about values, checked before anything is written.

use super::cast;
use super::error::ApplyError;
use super::pieces::{first_difference, in_pieces};
use super::stream::Stream;
use crate::formats::StateDict;
use crate::plan::{Assertion, AssertionKind, Plan};

/// Checks every assertion about values.
pub(super) fn check(plan: &Plan, source: &StateDict) -> Result<(), ApplyError> {
    for assertion in plan.assertions() {
        let stream = Stream::new(plan.arena(), assertion.expr, &assertion.key, source)?;
        match &assertion.kind {
            AssertionKind::Value(wanted) => value(assertion, &stream, *wanted)?,
            AssertionKind::Equal { other, other_expr } => {
                let other_stream = Stream::new(plan.arena(), *other_expr, other, source)?;
                equal(assertion, other, &stream, &other_stream)?;
            }
        }
    }
    Ok(())
}

/// Checks that a tensor holds one value everywhere.
fn value(assertion: &Assertion, stream: &Stream, wanted: f64) -> Result<(), ApplyError> {
    let dtype = stream.dtype();
    in_pieces(stream, |at, size, piece| {
        for (index, element) in (at..).zip(piece.chunks_exact(size)) {
            let found = cast::get(dtype, element);
            let same = found.is_some_and(|found| found == wanted || (found.is_nan() && wanted.is_nan()));
            if !same {
                let found = found.map_or_else(|| dtype.to_string(), |found| found.to_string());
                let (key, span) = (assertion.key.to_string(), assertion.span);
                return Err(ApplyError::Assertion { key, index, found, wanted, span });
            }
        }
        Ok(())
    })
}

/// Checks that two tensors of one spec hold equal bytes.
fn equal(assertion: &Assertion, other: &str, first: &Stream, second: &Stream) -> Result<(), ApplyError> {
    match first_difference(first, second, &())? {
        None => Ok(()),
        Some(difference) => Err(ApplyError::Unequal {
            first: assertion.key.to_string(),
            second: other.to_owned(),
            index: difference.index,
            span: assertion.span,
        }),
    }
}
