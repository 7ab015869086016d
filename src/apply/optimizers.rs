//! The state of optimizers that follow the weights: its tensors are made while they are written.

use super::error::ApplyError;
use super::stream::Stream;
use crate::formats::{OutputOptimizer, OutputParam, OutputState, Produce, StoredTensor};
use crate::optimizer::{Followed, State};

/// Checks that what must be equal is: the step counts of parameters that become one.
pub(super) fn check(optimizers: &[Followed]) -> Result<(), ApplyError> {
    for (key, state) in params(optimizers) {
        let State::Made { equal, .. } = state else { continue };
        for [first, second] in equal {
            if bytes(first)? != bytes(second)? {
                return Err(ApplyError::UnequalSteps { key: key.to_owned() });
            }
        }
    }
    Ok(())
}

fn params(optimizers: &[Followed]) -> impl Iterator<Item = (&str, &State)> {
    let groups = optimizers.iter().filter_map(|optimizer| match optimizer {
        Followed::Groups(groups) => Some(groups),
        Followed::Kept | Followed::Dropped => None,
    });
    groups.flatten().flatten().map(|param| (&*param.key, &param.state))
}

/// The bytes of a small tensor.
fn bytes(tensor: &StoredTensor) -> Result<Vec<u8>, ApplyError> {
    let Some(extent) = tensor.extent() else { return Ok(Vec::new()) };
    let mut bytes = vec![0; usize::try_from(extent.len).unwrap_or(0)];
    extent.file.read_at(&mut bytes, extent.offset)?;
    Ok(bytes)
}

/// The streams of all tensors of states that are made, in order.
pub(super) fn streams(optimizers: &[Followed]) -> Result<Vec<Stream>, ApplyError> {
    let mut streams = Vec::new();
    for (key, state) in params(optimizers) {
        let State::Made { tensors, .. } = state else { continue };
        for made in tensors {
            let name = format!("{} of {key}", made.name);
            streams.push(Stream::new(&made.arena, made.expr, &name, &made.source)?);
        }
    }
    Ok(streams)
}

/// The optimizers as the writer takes them, over the streams of [`streams`].
pub(super) fn outputs<'a>(optimizers: &[Followed], streams: &'a [Stream]) -> Vec<OutputOptimizer<'a>> {
    let mut streams = streams.iter();
    let mut state = |state: &State| match state {
        State::Empty => OutputState::Empty,
        State::Kept(id) => OutputState::Kept(id.clone()),
        State::Made { like, tensors, .. } => {
            let names = tensors.iter().map(|made| made.name.clone());
            let tensors = names.zip(streams.by_ref().map(|stream| stream as &dyn Produce));
            OutputState::Made { like: like.clone(), tensors: tensors.collect() }
        }
    };
    let outputs = optimizers.iter().map(|optimizer| match optimizer {
        Followed::Kept => OutputOptimizer::Kept,
        Followed::Dropped => OutputOptimizer::Dropped,
        Followed::Groups(groups) => {
            let groups = groups.iter().map(|group| {
                let params = group
                    .iter()
                    .map(|param| OutputParam { name: param.key.to_string(), state: state(&param.state) });
                params.collect()
            });
            OutputOptimizer::Groups(groups.collect())
        }
    });
    outputs.collect()
}
