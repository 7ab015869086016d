//! The parameters of the new model, with the state of what they were made of.

use std::collections::{HashMap, HashSet};

use super::align::{self, Alignment};
use super::moments::{self, Source};
use super::{Followed, OptimizerError, Param, State, Told};
use crate::formats::{Optimizer, ParamId};
use crate::keyset::KeySet;
use crate::plan::{Output, Plan};

/// What becomes of each optimizer of a file when a plan is applied to its weights.
///
/// `marked` is a key set of the source's version that may say which tensors are parameters; `told` says of
/// some optimizers or groups which tensors theirs are.
///
/// # Errors
/// Everything that keeps the state from following.
pub fn follow(
    plan: &Plan,
    optimizers: &[Optimizer],
    marked: Option<&KeySet>,
    told: &[Told],
) -> Result<Vec<Followed>, Vec<OptimizerError>> {
    let candidates = align::candidates(plan.source(), marked);
    let named = optimizers.iter().any(|optimizer| {
        let groups = optimizer.groups.iter();
        groups.into_iter().any(|group| group.names.is_some())
            || optimizer.states.keys().any(|id| matches!(id, ParamId::Name(_)))
    });
    if optimizers.is_empty() || plan.changes_nothing() || (!named && keeps_order(plan, &candidates)) {
        return Ok(optimizers.iter().map(|_| Followed::Kept).collect());
    }
    // What no group names belongs to no parameter: it would be left out without a word.
    let strays = optimizers.iter().flat_map(|optimizer| {
        let known: HashSet<&ParamId> = optimizer.groups.iter().flat_map(|group| &group.params).collect();
        let strays = optimizer.states.keys().filter(move |id| !known.contains(id));
        strays.map(|id| OptimizerError::Stray { path: optimizer.path.clone(), id: id.to_string() })
    });
    let strays: Vec<OptimizerError> = strays.collect();
    if !strays.is_empty() {
        return Err(strays);
    }
    let alignment = align::align(plan, optimizers, &candidates, told).map_err(|error| vec![error])?;
    Follower::new(plan, optimizers, &candidates, &alignment).run()
}

/// Whether the parameters are the same tensors in the same order, whatever their names.
fn keeps_order(plan: &Plan, candidates: &[usize]) -> bool {
    let known: HashSet<usize> = candidates.iter().copied().collect();
    let mut order = Vec::with_capacity(candidates.len());
    for output in plan.outputs().iter().filter(|output| !output.tied) {
        match plan.arena().source(output.expr) {
            Some(source) if known.contains(&source) => order.push(source),
            Some(_) => {}
            // Something new, which may be a parameter.
            None if is_fill(plan, output) && !plan.arena().spec(output.expr).dtype.is_float() => {}
            None => return false,
        }
    }
    order == candidates
}

fn is_fill(plan: &Plan, output: &Output) -> bool {
    plan.arena().sources(output.expr).is_empty()
}

/// Where a source parameter is: which optimizer, which group, under which id.
type Seat<'a> = (usize, usize, &'a ParamId);

struct Follower<'a> {
    plan: &'a Plan,
    optimizers: &'a [Optimizer],
    candidates: HashSet<usize>,
    seats: HashMap<usize, Seat<'a>>,
    used: HashSet<usize>,
    errors: Vec<OptimizerError>,
}

impl<'a> Follower<'a> {
    fn new(plan: &'a Plan, optimizers: &'a [Optimizer], candidates: &[usize], alignment: &Alignment) -> Self {
        let mut seats = HashMap::new();
        for (number, (optimizer, groups)) in optimizers.iter().zip(alignment).enumerate() {
            for (group, (params, indices)) in optimizer.groups.iter().zip(groups).enumerate() {
                for (id, &index) in params.params.iter().zip(indices) {
                    seats.insert(index, (number, group, id));
                }
            }
        }
        let candidates = candidates.iter().copied().chain(seats.keys().copied()).collect();
        Follower { plan, optimizers, candidates, seats, used: HashSet::new(), errors: Vec::new() }
    }

    fn run(mut self) -> Result<Vec<Followed>, Vec<OptimizerError>> {
        let mut groups: Vec<Vec<Vec<Param>>> = self
            .optimizers
            .iter()
            .map(|optimizer| optimizer.groups.iter().map(|_| Vec::new()).collect())
            .collect();
        for output in self.plan.outputs().iter().filter(|output| !output.tied) {
            match self.param(output) {
                Ok(Some((optimizer, group, param))) => groups[optimizer][group].push(param),
                Ok(None) => {}
                Err(error) => self.errors.push(error),
            }
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(groups.into_iter().map(Followed::Groups).collect())
    }

    /// The parameter that an output is, with its seat; none where it is a buffer, or frozen.
    fn param(&mut self, output: &Output) -> Result<Option<(usize, usize, Param)>, OptimizerError> {
        let key = output.key.to_string();
        let sources = self.plan.arena().sources(output.expr);
        if sources.is_empty() {
            return self.new_param(output);
        }
        let seated: Vec<(usize, Seat<'a>)> =
            sources.iter().filter_map(|index| Some((*index, *self.seats.get(index)?))).collect();
        let name = |index: usize| self.plan.source().keys.get_index(index).map_or("", |(key, _)| &**key);
        let Some(&(first, (optimizer, group, id))) = seated.first() else { return Ok(None) };
        if let Some(frozen) = sources.iter().find(|index| !self.seats.contains_key(index)) {
            let (with, without) = (name(first).to_owned(), name(*frozen).to_owned());
            return Err(OptimizerError::Partial { key, with, without });
        }
        if let Some((other, _)) = seated.iter().find(|(_, seat)| (seat.0, seat.1) != (optimizer, group)) {
            let (first, second) = (name(first).to_owned(), name(*other).to_owned());
            return Err(OptimizerError::Groups { key, first, second });
        }
        let fresh = self.used.insert(first);
        let state = if fresh && self.plan.arena().source(output.expr).is_some() {
            let has = self.optimizers[optimizer].states.contains_key(id);
            if has { State::Kept(id.clone()) } else { State::Empty }
        } else {
            let source = |&(index, (_, _, id)): &(usize, Seat<'a>)| {
                let (key, info) = self.plan.source().keys.get_index(index)?;
                Some(Source { index, key, spec: &info.spec, id })
            };
            let sources: Vec<Source<'_>> = seated.iter().filter_map(source).collect();
            moments::made(self.plan, &self.optimizers[optimizer], &key, output.expr, &sources)?
        };
        Ok(Some((optimizer, group, Param { key: output.key.clone(), state })))
    }

    /// A parameter made from nothing has no state yet; a new buffer is no parameter.
    fn new_param(&self, output: &Output) -> Result<Option<(usize, usize, Param)>, OptimizerError> {
        let mut named = KeySet::new("");
        named.keys.insert(output.key.clone(), self.plan.arena().spec(output.expr).clone().into());
        if align::candidates(&named, None).is_empty() {
            return Ok(None);
        }
        let groups: usize = self.optimizers.iter().map(|optimizer| optimizer.groups.len()).sum();
        // Where parameters are frozen, a new one may be too.
        let all_trained = self.candidates.len() == self.seats.len();
        if groups != 1 || !all_trained {
            return Err(OptimizerError::NewParameter { key: output.key.to_string(), groups });
        }
        Ok(Some((0, 0, Param { key: output.key.clone(), state: State::Empty })))
    }
}
