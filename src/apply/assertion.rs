//! Assertions about values, checked before anything is written.

use super::cast;
use super::error::ApplyError;
use super::stream::Stream;
use crate::formats::StateDict;
use crate::plan::{Assertion, AssertionKind, Plan};

/// How many elements are looked at at a time.
const PIECE: u64 = 1 << 17;

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
    in_pieces(assertion, stream, |at, size, piece| {
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
    in_pieces(assertion, first, |at, size, piece| {
        let mut own = vec![0; piece.len()];
        second.read(at, &mut own)?;
        let differs = piece.chunks_exact(size).zip(own.chunks_exact(size)).position(|(a, b)| a != b);
        match differs {
            None => Ok(()),
            Some(index) => Err(ApplyError::Unequal {
                first: assertion.key.to_string(),
                second: other.to_owned(),
                index: at + index as u64,
                span: assertion.span,
            }),
        }
    })
}

/// Calls `look` with (first element, bytes of an element, bytes) for each piece of a tensor.
fn in_pieces(
    assertion: &Assertion,
    stream: &Stream,
    mut look: impl FnMut(u64, usize, &[u8]) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let Some(size) = stream.dtype().bytes().and_then(|size| usize::try_from(size).ok()) else {
        return Err(ApplyError::Opaque { key: assertion.key.to_string(), what: stream.dtype().to_string() });
    };
    let mut at = 0;
    let mut buffer = Vec::new();
    while at < stream.count() {
        let count = PIECE.min(stream.count() - at);
        buffer.resize(usize::try_from(count).unwrap_or(0) * size, 0);
        stream.read(at, &mut buffer)?;
        look(at, size, &buffer)?;
        at += count;
    }
    Ok(())
}
