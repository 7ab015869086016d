//! Assertions about values, checked before anything is written.

use super::cast;
use super::error::ApplyError;
use super::stream::Stream;
use crate::formats::StateDict;
use crate::plan::Plan;

/// How many elements are looked at at a time.
const PIECE: u64 = 1 << 17;

/// Checks that every asserted tensor holds its value everywhere.
pub(super) fn check(plan: &Plan, source: &StateDict) -> Result<(), ApplyError> {
    for assertion in plan.assertions() {
        let stream = Stream::new(plan.arena(), assertion.expr, &assertion.key, source)?;
        let dtype = stream.dtype();
        let Some(size) = dtype.bytes().and_then(|size| usize::try_from(size).ok()) else {
            return Err(ApplyError::Opaque { key: assertion.key.to_string(), what: dtype.to_string() });
        };
        let mut at = 0;
        while at < stream.count() {
            let count = PIECE.min(stream.count() - at);
            let mut buffer = vec![0; usize::try_from(count).unwrap_or(0) * size];
            stream.read(at, &mut buffer)?;
            for (index, element) in (at..).zip(buffer.chunks_exact(size)) {
                let found = cast::get(dtype, element);
                let same = found.is_some_and(|found| {
                    found == assertion.value || (found.is_nan() && assertion.value.is_nan())
                });
                if !same {
                    let found = found.map_or_else(|| dtype.to_string(), |found| found.to_string());
                    let (key, wanted, span) = (assertion.key.to_string(), assertion.value, assertion.span);
                    return Err(ApplyError::Assertion { key, index, found, wanted, span });
                }
            }
            at += count;
        }
    }
    Ok(())
}
