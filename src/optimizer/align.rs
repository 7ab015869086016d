//! Which tensor each number of an optimizer stands for.

use std::collections::HashMap;

use super::{OptimizerError, Told};
use crate::formats::{EntryData, Optimizer, ParamId};
use crate::keyset::{KeySet, Role};
use crate::plan::Plan;

/// Buffers of torch's own modules: what batch norm carries along is no parameter.
const BUFFERS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];
/// State values that have the shape of their parameter (`torch.optim`, Lion).
const MOMENTS: [&str; 10] = [
    "exp_avg",
    "exp_avg_sq",
    "max_exp_avg_sq",
    "momentum_buffer",
    "square_avg",
    "grad_avg",
    "acc_delta",
    "exp_inf",
    "sum",
    "momentum",
];
/// More partial alignments than this are no proof of anything.
const MAX_STATES: usize = 1 << 21;

/// For each optimizer and each of its groups, the source tensors that its parameters are.
pub(super) type Alignment = Vec<Vec<Vec<usize>>>;

/// The source tensors that may be parameters, in the order of the state dict; `marked` is a key set that
/// may say which are.
pub(super) fn candidates(source: &KeySet, marked: Option<&KeySet>) -> Vec<usize> {
    let role = |key: &str| {
        let marked = marked.and_then(|marked| marked.get(key)).and_then(|info| info.role);
        marked.or_else(|| source.get(key).and_then(|info| info.role))
    };
    let all_marked = source.iter().all(|(key, _)| role(key).is_some());
    let may_be = |(_, (key, info)): &(usize, (&crate::keyset::Key, &crate::keyset::KeyInfo))| {
        let last = key.rsplit('.').next().unwrap_or_default();
        match role(key) {
            Some(Role::Buffer) => false,
            _ if info.tied.is_some() => false,
            Some(Role::Parameter) => true,
            None => !all_marked && info.spec.dtype.is_float() && !BUFFERS.contains(&last),
        }
    };
    source.iter().enumerate().filter(may_be).map(|(index, _)| index).collect()
}

/// Matches the parameters of all optimizers with tensors: by their names, else by the one way in which the
/// shapes, and what is told, allow it.
///
/// # Errors
/// Where there is no way, or more than one.
pub(super) fn align(
    plan: &Plan,
    optimizers: &[Optimizer],
    candidates: &[usize],
    told: &[Told],
) -> Result<Alignment, OptimizerError> {
    let named: Result<Vec<Option<Vec<Vec<usize>>>>, OptimizerError> =
        optimizers.iter().map(|optimizer| by_names(plan, optimizer)).collect();
    let named = named?;
    let taken: Vec<usize> = named.iter().flatten().flatten().flatten().copied().collect();
    let free: Vec<usize> = candidates.iter().copied().filter(|index| !taken.contains(index)).collect();
    let unnamed: Vec<&Optimizer> =
        optimizers.iter().zip(&named).filter(|(_, named)| named.is_none()).map(|(own, _)| own).collect();
    let mut found = by_shapes(plan, &unnamed, &free, told)?.into_iter();
    Ok(named.into_iter().map(|named| named.or_else(|| found.next()).unwrap_or_default()).collect())
}

/// The tensors by name, where every group has names.
fn by_names(plan: &Plan, optimizer: &Optimizer) -> Result<Option<Vec<Vec<usize>>>, OptimizerError> {
    let names = |group: &crate::formats::ParamGroup| -> Option<Vec<String>> {
        let own = group.params.iter().map(|id| match id {
            ParamId::Name(name) => Some(name.clone()),
            ParamId::Number(_) => None,
        });
        let given = group.names.clone().filter(|names| names.len() == group.params.len());
        given.or_else(|| own.collect())
    };
    let Some(groups) = optimizer.groups.iter().map(names).collect::<Option<Vec<Vec<String>>>>() else {
        return Ok(None);
    };
    let index = |name: String| {
        let found = plan.source().keys.get_index_of(name.as_str());
        found.ok_or_else(|| OptimizerError::UnknownName { path: optimizer.path.clone(), name })
    };
    let groups = groups.into_iter().map(|names| names.into_iter().map(index).collect());
    groups.collect::<Result<Vec<Vec<usize>>, OptimizerError>>().map(Some)
}

/// The shape that a parameter has by its state, where it has one.
fn shape_of<'o>(optimizer: &'o Optimizer, id: &ParamId) -> Option<&'o [u64]> {
    let values = optimizer.states.get(id)?;
    values.iter().find_map(|value| match &value.data {
        EntryData::Stored(tensor) if MOMENTS.contains(&value.name.as_str()) => {
            Some(tensor.spec.shape.as_slice())
        }
        _ => None,
    })
}

fn by_shapes(
    plan: &Plan,
    optimizers: &[&Optimizer],
    candidates: &[usize],
    told: &[Told],
) -> Result<Alignment, OptimizerError> {
    let Some(first) = optimizers.first() else { return Ok(Vec::new()) };
    // One row for each group of each optimizer.
    let groups = optimizers.iter().flat_map(|optimizer| {
        optimizer.groups.iter().enumerate().map(|(number, group)| (*optimizer, number, group))
    });
    let rows = groups.map(|(optimizer, number, group)| Row {
        shapes: group.params.iter().map(|id| shape_of(optimizer, id)).collect(),
        told: told.iter().filter(|told| told.is_of(optimizer, number)).collect(),
    });
    let rows: Vec<Row> = rows.collect();
    let params: usize = rows.iter().map(|row| row.shapes.len()).sum();
    let path = first.path.clone();
    let unmapped = || OptimizerError::Unmapped { path: path.clone(), params, tensors: candidates.len() };
    if params > candidates.len() {
        return Err(unmapped());
    }
    let tensors = candidates.iter().map(|&index| {
        let shape = plan.source().keys.get_index(index).map_or(&[][..], |(_, info)| &info.spec.shape);
        let is_told = rows.iter().any(|row| row.names(index));
        let takes = rows.iter().map(|row| if is_told { row.names(index) } else { row.told.is_empty() });
        Tensor { shape, takes: takes.collect() }
    });
    let tensors: Vec<Tensor> = tensors.collect();
    let chosen = match the_one_way(&rows, &tensors, candidates.len() - params) {
        Ways::None => return Err(unmapped()),
        Ways::Several => return Err(OptimizerError::Ambiguous { path, params }),
        Ways::One(chosen) => chosen,
    };
    let mut flat: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    for (row, &index) in chosen.into_iter().zip(candidates) {
        if let Some(row) = row.and_then(|row| flat.get_mut(row)) {
            row.push(index);
        }
    }
    let mut flat = flat.into_iter();
    Ok(optimizers.iter().map(|own| flat.by_ref().take(own.groups.len()).collect()).collect())
}

/// The parameters of a group, in its order.
struct Row<'a> {
    /// Their shapes, as far as their states show them.
    shapes: Vec<Option<&'a [u64]>>,
    /// What is told of them.
    told: Vec<&'a Told>,
}

impl Row<'_> {
    fn names(&self, tensor: usize) -> bool {
        self.told.iter().any(|told| told.tensors.contains(&tensor))
    }
}

/// A tensor that may be a parameter.
struct Tensor<'a> {
    shape: &'a [u64],
    /// For each row whether it can be one of its parameters: what is told to be one row's is no other's.
    takes: Vec<bool>,
}

enum Ways {
    None,
    /// For each tensor the row that takes it.
    One(Vec<Option<usize>>),
    Several,
}

/// How many tensors each row has taken so far, and in how many ways (two stands for more).
type Layer = HashMap<Vec<usize>, (u8, Option<usize>)>;

/// Deals the tensors out to the rows, each in its order; `spare` tensors may be left out.
fn the_one_way(rows: &[Row], tensors: &[Tensor], spare: usize) -> Ways {
    let start: Vec<usize> = vec![0; rows.len()];
    let mut layers: Vec<Layer> = vec![HashMap::from([(start.clone(), (1, None))])];
    let mut states = 0;
    for (dealt, tensor) in tensors.iter().enumerate() {
        let mut next: Layer = HashMap::new();
        let mut reach = |at: Vec<usize>, ways: u8, row: Option<usize>| {
            let entry = next.entry(at).or_insert((0, row));
            entry.0 = (entry.0 + ways).min(2);
        };
        for (at, (ways, _)) in layers.last().into_iter().flatten() {
            for (row, wanted) in rows.iter().enumerate() {
                let wanted = wanted.shapes.get(at[row]).filter(|_| tensor.takes[row]);
                if wanted.is_some_and(|wanted| wanted.is_none_or(|wanted| wanted == tensor.shape)) {
                    let mut at = at.clone();
                    at[row] += 1;
                    reach(at, *ways, Some(row));
                }
            }
            let left_out = dealt - at.iter().sum::<usize>();
            if left_out < spare {
                reach(at.clone(), *ways, None);
            }
        }
        states += next.len();
        if states > MAX_STATES {
            return Ways::Several;
        }
        layers.push(next);
    }
    let mut at: Vec<usize> = rows.iter().map(|row| row.shapes.len()).collect();
    let mut chosen = Vec::with_capacity(tensors.len());
    for layer in layers.iter().skip(1).rev() {
        match layer.get(&at) {
            None => return Ways::None,
            Some((1, row)) => {
                if let Some(row) = *row {
                    at[row] -= 1;
                }
                chosen.push(*row);
            }
            Some(_) => return Ways::Several,
        }
    }
    chosen.reverse();
    if at == start { Ways::One(chosen) } else { Ways::None }
}
