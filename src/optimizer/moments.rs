//! What the state of a parameter becomes when the parameter is made of others.

use super::{Made, OptimizerError, State};
use crate::formats::{Entry, EntryData, Optimizer, ParamId, StateDict, StateValue, StoredTensor};
use crate::plan::{Arena, ExprId, Plan, Power};
use crate::tensor::TensorSpec;

/// A source parameter: its number in the source, its key, and its id in the optimizer.
pub(super) struct Source<'a> {
    pub index: usize,
    pub key: &'a str,
    pub spec: &'a TensorSpec,
    pub id: &'a ParamId,
}

/// How a moment goes with the gradient: gradients shrink as values grow (`torch.optim`).
fn power(name: &str) -> Option<Power> {
    match name {
        "exp_avg" | "momentum_buffer" | "grad_avg" | "momentum" => Some(Power::One),
        "exp_avg_sq" | "max_exp_avg_sq" | "square_avg" | "sum" => Some(Power::Two),
        _ => None,
    }
}

/// The state of `key`, which `expr` makes of these parameters.
///
/// # Errors
/// Where values change in a way that moments cannot follow, or the sources' states do not go together.
pub(super) fn made(
    plan: &Plan,
    optimizer: &Optimizer,
    key: &str,
    expr: ExprId,
    sources: &[Source<'_>],
) -> Result<State, OptimizerError> {
    let states: Vec<Option<&Vec<StateValue>>> =
        sources.iter().map(|source| optimizer.states.get(source.id)).collect();
    let without = sources.iter().zip(&states).find(|(_, state)| state.is_none_or(Vec::is_empty));
    let with = sources.iter().zip(&states).find(|(_, state)| state.is_some_and(|state| !state.is_empty()));
    let (first, values) = match (with, without) {
        (None, _) => return Ok(State::Empty),
        (Some((with, _)), Some((without, _))) => {
            return Err(OptimizerError::Partial {
                key: key.to_owned(),
                with: with.key.to_owned(),
                without: without.key.to_owned(),
            });
        }
        (Some((with, values)), None) => (with, values.map_or(&[][..], Vec::as_slice)),
    };
    let (mut tensors, mut equal) = (Vec::new(), Vec::new());
    for value in values {
        let same: Result<Vec<&EntryData>, OptimizerError> = sources
            .iter()
            .zip(&states)
            .map(|(source, state)| {
                let found = state.iter().flat_map(|state| state.iter()).find(|own| own.name == value.name);
                found.map(|found| &found.data).ok_or_else(|| differs(value, first, source))
            })
            .collect();
        let Some(stored) = stored(&same?, sources, value)? else { continue };
        let is_moment = value.name != "step"
            && stored.iter().zip(sources).all(|(tensor, source)| tensor.spec.shape == source.spec.shape);
        if is_moment {
            tensors.push(moment(plan, key, expr, value, &stored, sources)?);
            continue;
        }
        let pure = plan.arena().source(plan.arena().uncopied(expr)).is_some();
        if let Some(tensor) = stored.first().filter(|tensor| tensor.spec.numel() != Some(1) && !pure) {
            let (key, name) = (first.key.to_owned(), value.name.clone());
            return Err(OptimizerError::Shape { key, name, what: tensor.spec.to_string() });
        }
        // A count of steps: each parameter has its own, since it is counted up in place.
        if let Some((tensor, others)) = stored.split_first() {
            equal.extend(others.iter().map(|other| [(*tensor).clone(), (*other).clone()]));
            let mut arena = Arena::default();
            let expr = arena.copy_of_source(tensor.spec.clone());
            let source = over(&[tensor]);
            tensors.push(Made { name: value.name.clone(), arena, expr, source });
        }
    }
    Ok(State::Made { like: first.id.clone(), tensors, equal })
}

fn differs(value: &StateValue, first: &Source<'_>, second: &Source<'_>) -> OptimizerError {
    let (first, second) = (first.key.to_owned(), second.key.to_owned());
    OptimizerError::Differs { name: value.name.clone(), first, second }
}

/// The tensors under one name, or none where it is something else, which must then be the same for all.
fn stored<'a>(
    data: &[&'a EntryData],
    sources: &[Source<'_>],
    value: &StateValue,
) -> Result<Option<Vec<&'a StoredTensor>>, OptimizerError> {
    let tensors: Vec<&StoredTensor> = data
        .iter()
        .filter_map(|data| match data {
            EntryData::Stored(tensor) => Some(tensor),
            EntryData::Opaque { .. } => None,
        })
        .collect();
    if tensors.len() == data.len() {
        return Ok(Some(tensors));
    }
    let what = |data: &EntryData| match data {
        EntryData::Opaque { what } => what.clone(),
        EntryData::Stored(tensor) => tensor.spec.to_string(),
    };
    let all: Vec<String> = data.iter().map(|data| what(data)).collect();
    match all.iter().position(|what| Some(what) != all.first()) {
        Some(other) => Err(differs(value, &sources[0], &sources[other])),
        None => Ok(None),
    }
}

/// A moment: the parameter's own expression over the moments of its sources.
fn moment(
    plan: &Plan,
    key: &str,
    expr: ExprId,
    value: &StateValue,
    stored: &[&StoredTensor],
    sources: &[Source<'_>],
) -> Result<Made, OptimizerError> {
    let number = |index: usize| sources.iter().position(|source| source.index == index);
    let spec = |index: usize| {
        let number = number(index)?;
        Some((number, stored.get(number)?.spec.clone()))
    };
    let (arena, expr) = plan
        .arena()
        .over(expr, &spec, power(&value.name))
        .map_err(|what| OptimizerError::Values { key: key.to_owned(), what })?;
    Ok(Made { name: value.name.clone(), arena, expr, source: over(stored) })
}

/// Tensors as a state dict that expressions can be over.
fn over(tensors: &[&StoredTensor]) -> StateDict {
    let entries = tensors.iter().map(|tensor| Entry {
        key: "".into(),
        data: EntryData::Stored((*tensor).clone()),
        parameter: false,
    });
    StateDict { entries: entries.collect(), ..StateDict::default() }
}
