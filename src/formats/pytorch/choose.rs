//! Which dicts of tensors in a graph are meant.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::{DictPath, FormatError, Overlap};
use super::dicts::{self, MAX_DEPTH, Tree, direct_tensors, is_skipped, is_tensor, sub_dicts};
use super::graph::{Graph, NodeId};
use super::joined::{JoinedKeys, TooLong};

/// How many further dicts are looked at for mirrors, the largest: a file may hold one for each of its samples.
const MAX_FURTHER: usize = 64;
/// How many dicts an error names where none is at a path.
const MAX_SHOWN: usize = 100;

/// A dict on the way from the root.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: Vec<String>,
    /// The dicts from the root to this one.
    pub(super) way: Vec<NodeId>,
}

impl Place {
    /// The dict itself.
    fn node(&self) -> Option<NodeId> {
        self.way.last().copied()
    }

    /// A dict that this one holds.
    fn below(&self, key: &str, dict: NodeId, joined: &mut JoinedKeys) -> Result<Place, TooLong> {
        // Each key is a text of its own, and has its node beside it.
        let keys = self.path.iter().map(String::len).fold(key.len(), usize::saturating_add);
        joined.take(keys.saturating_add(32 * (self.path.len() + 1)))?;
        let mut next = self.clone();
        next.path.push(key.to_owned());
        next.way.push(dict);
        Ok(next)
    }
}

/// A dict of tensors that was chosen.
pub(super) struct Chosen {
    pub(super) place: Place,
    pub(super) node: NodeId,
    pub(super) tree: Tree,
}

/// Chooses the dicts of tensors: those that `at` names, in that order, or the one that is meant beyond
/// doubt. None where `at` is empty and the file has no dict of tensors at all.
///
/// # Errors
/// [`FormatError::ManyDicts`], [`FormatError::NoTensors`], [`FormatError::DictsOverlap`].
pub(super) fn choose(graph: &Graph, at: &[&str], file: &Path) -> Result<Vec<Chosen>, FormatError> {
    let places: Vec<Place> = match at {
        [] => search(graph, file)?.into_iter().collect(),
        named => named.iter().map(|at| find(graph, at, file)).collect::<Result<_, _>>()?,
    };
    let mut chosen = Vec::with_capacity(places.len());
    for place in places {
        let Some(node) = place.node() else { continue };
        let tree = dicts::tree(graph, node, file)?;
        chosen.push(Chosen { place, node, tree });
    }
    refuse_overlap(&chosen, file)?;
    Ok(chosen)
}

/// Refuses dicts that have parts in common: what one output dict says of a part, another could gainsay.
fn refuse_overlap(chosen: &[Chosen], file: &Path) -> Result<(), FormatError> {
    let overlap = |first: &Chosen, second: &Chosen, overlap| {
        let name = |chosen: &Chosen| DictPath(chosen.place.path.clone()).name();
        let (first, second) = (name(first), name(second));
        Err(FormatError::DictsOverlap { path: file.to_owned(), first, second, overlap })
    };
    // Whose the dict objects are that have been seen.
    let mut owners: HashMap<NodeId, usize> = HashMap::new();
    for (index, second) in chosen.iter().enumerate() {
        for first in &chosen[..index] {
            let (before, after) = (&first.place.path, &second.place.path);
            if before == after {
                return overlap(first, second, Overlap::Twice);
            } else if after.starts_with(before) {
                return overlap(first, second, Overlap::Inside);
            } else if before.starts_with(after) {
                return overlap(second, first, Overlap::Inside);
            }
        }
        for dict in &second.tree.dicts {
            let owner = *owners.entry(dict.node).or_insert(index);
            if let (true, Some(first)) = (owner != index, chosen.get(owner)) {
                return overlap(first, second, Overlap::Shared);
            }
        }
    }
    Ok(())
}

/// The other dicts that hold tensors, which may mirror a chosen one: also those that callbacks of a trainer
/// keep, and none of the optimizers, whose nodes are given.
pub(super) fn further(
    graph: &Graph,
    chosen: &[Chosen],
    optimizers: impl Iterator<Item = NodeId>,
) -> Result<Vec<DictPath>, TooLong> {
    let taken = chosen.iter().flat_map(|chosen| chosen.tree.dicts.iter().map(|dict| dict.node));
    let taken = taken.chain(optimizers).collect();
    let mut found = candidates(graph, taken, |key| !dicts::is_optimizer(key))?;
    // The root with a generator's state or a loose tensor in it is no dict of its own.
    found.retain(|(place, _)| !place.path.is_empty());
    if found.len() > MAX_FURTHER {
        found.sort_by_key(|(_, tensors)| std::cmp::Reverse(*tensors));
        found.truncate(MAX_FURTHER);
    }
    Ok(found.into_iter().map(|(place, _)| DictPath(place.path)).collect())
}

/// All dicts that hold tensors directly and can be reached from the root through dicts, outermost
/// first; those nested below another one belong to it and are left out, as are those that are `seen` already.
fn candidates(
    graph: &Graph,
    mut seen: HashSet<NodeId>,
    looks_into: fn(&str) -> bool,
) -> Result<Vec<(Place, usize)>, TooLong> {
    let mut found = Vec::new();
    let mut joined = JoinedKeys::of(graph);
    let mut pending = vec![Place { path: Vec::new(), way: vec![graph.root] }];
    while let Some(place) = pending.pop() {
        let Some(node) = place.node() else { continue };
        if !graph.is_dict(node) || !seen.insert(node) {
            continue;
        }
        let count = direct_tensors(graph, node);
        // Dicts below the root are looked at even where the root holds tensors: one may be `state_dict`.
        let look_below = (count == 0 || place.path.is_empty()) && place.path.len() < MAX_DEPTH;
        if count > 0 {
            found.push((place.clone(), count));
        }
        if look_below {
            for (key, dict) in sub_dicts(graph, node).rev() {
                if looks_into(&key) && !seen.contains(&dict) {
                    pending.push(place.below(&key, dict, &mut joined)?);
                }
            }
        }
    }
    Ok(found)
}

/// The dict of tensors that is meant beyond doubt; `None` where the file has none at all.
fn search(graph: &Graph, file: &Path) -> Result<Option<Place>, FormatError> {
    let found = candidates(graph, HashSet::new(), |key| !is_skipped(key));
    let mut found = found.map_err(|error| error.in_file(file))?;
    let named =
        |name: &str| found.iter().position(|(place, _)| place.path.len() == 1 && place.path[0] == name);
    let position = if found.len() <= 1 {
        (!found.is_empty()).then_some(0)
    } else if let Some(position) = named("state_dict") {
        Some(position)
    } else if let Some(position) = found.iter().position(|(place, _)| place.path.is_empty()) {
        Some(position)
    } else {
        let usual: Vec<usize> =
            ["model", "model_state_dict", "module"].into_iter().filter_map(named).collect();
        if let &[position] = usual.as_slice() {
            Some(position)
        } else {
            let candidates = found.iter().map(|(place, count)| (place.path.join("."), *count)).collect();
            return Err(FormatError::ManyDicts { path: file.to_owned(), candidates });
        }
    };
    Ok(position.map(|position| found.swap_remove(position).0))
}

/// The dict at a path of keys joined with dots; keys may hold dots themselves.
fn find(graph: &Graph, at: &str, file: &Path) -> Result<Place, FormatError> {
    let wanted = if at == "." { "" } else { at };
    let mut pending = vec![(Place { path: Vec::new(), way: vec![graph.root] }, wanted)];
    let mut nearest: Option<(String, Vec<String>)> = None;
    let mut joined = JoinedKeys::of(graph);
    let mut seen = HashSet::new();
    while let Some((place, rest)) = pending.pop() {
        let Some(node) = place.node().filter(|&node| graph.is_dict(node) && seen.insert((node, rest.len())))
        else {
            continue;
        };
        if rest.is_empty()
            && dicts::tree(graph, node, file)?.leaves.iter().any(|leaf| is_tensor(graph, leaf.value))
        {
            return Ok(place);
        }
        let below: Vec<(Cow<'_, str>, NodeId)> = sub_dicts(graph, node).collect();
        let path = place.path.join(".");
        if nearest.as_ref().is_none_or(|(known, _)| known.len() <= path.len()) {
            let shown = below.iter().take(MAX_SHOWN).map(|dict| dict.0.clone().into_owned());
            nearest = Some((path, shown.collect()));
        }
        for (key, dict) in below.into_iter().rev() {
            let after = rest.strip_prefix(key.as_ref());
            let after =
                after.and_then(|after| if after.is_empty() { Some(after) } else { after.strip_prefix('.') });
            if let (Some(after), false) = (after, rest.is_empty() || place.path.len() >= MAX_DEPTH) {
                let next = place.below(&key, dict, &mut joined).map_err(|error| error.in_file(file))?;
                pending.push((next, after));
            }
        }
    }
    let (path, there) = nearest.unwrap_or_default();
    let there = there.into_iter().map(|key| if path.is_empty() { key } else { format!("{path}.{key}") });
    Err(FormatError::NoTensors { path: file.to_owned(), at: at.to_owned(), there: there.collect() })
}
