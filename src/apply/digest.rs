//! Digests of what a plan makes, without a file.

use sha2::{Digest, Sha256};

use super::error::ApplyError;
use super::pieces::in_pieces;
use super::stream::Stream;
use super::{assertion, optimizers};
use crate::formats::{EntryData, StateDict};
use crate::optimizer::Followed;
use crate::plan::{ExprId, Plan};

/// The digest of one tensor: the SHA-256 of its bytes in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorDigest {
    /// Its key, or which moment of which parameter it is.
    pub name: String,
    /// The digest; `None` where the entry is no plain tensor.
    pub sha256: Option<String>,
}

/// The digests of a plan's outputs, in their order, after its assertions have been checked.
///
/// # Errors
/// Where a value is not as a rule says, or reading fails.
pub fn digests(plan: &Plan, source: &StateDict) -> Result<Vec<TensorDigest>, ApplyError> {
    assertion::check(plan, source)?;
    let outputs = plan.outputs().iter().map(|output| {
        let name = output.key.to_string();
        let sha256 = match is_opaque(plan, output.expr, source) {
            true => None,
            false => Some(of(&Stream::new(plan.arena(), output.expr, &output.key, source)?)?),
        };
        Ok(TensorDigest { name, sha256 })
    });
    outputs.collect()
}

/// The digests of optimizer state that follows the weights: the tensors that are made anew.
///
/// # Errors
/// Where step counts that must be equal are not, or reading fails.
pub fn moment_digests(followed: &[Followed]) -> Result<Vec<TensorDigest>, ApplyError> {
    optimizers::check(followed)?;
    let streams = optimizers::streams(followed)?;
    let digests = streams.iter().map(|stream| {
        let name = stream.key().to_owned();
        Ok(TensorDigest { name, sha256: Some(of(stream)?) })
    });
    digests.collect()
}

/// Whether an output is an entry that is passed through and cannot be looked into.
pub(super) fn is_opaque(plan: &Plan, expr: ExprId, source: &StateDict) -> bool {
    let entry = plan.arena().source(expr).and_then(|index| source.entries.get(index));
    entry.is_some_and(|entry| matches!(entry.data, EntryData::Opaque { .. }))
}

fn of(stream: &Stream) -> Result<String, ApplyError> {
    let mut hasher = Sha256::new();
    in_pieces(stream, |_, _, piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
