//! Puts the graph of a legacy file into the words of a zip file.
//!
//! Four things are said differently. A storage's persistent id has a sixth field, which says that the storage
//! is a part of another one (`view_metadata`; torch has written `None` there since 0.4). The class of a pickled
//! module is a persistent id with its source text. And Python 2 wrote an `OrderedDict` as a call with a list of
//! its items.

use std::collections::{HashMap, HashSet};

use super::super::build::Builder;
use super::super::graph::{Full, Graph, NodeId};
use super::super::opcode::*;

/// Translates a graph.
///
/// # Errors
/// What of it torch does not write, or cannot be said in a zip file; as the rest of a sentence that begins
/// with the file.
pub(super) fn translate(graph: &mut Graph) -> Result<(), String> {
    let full = |Full| "has more values than can be numbered".to_owned();
    let mut classes = HashMap::new();
    let mut views = HashMap::new();
    for id in graph.ids() {
        match graph.node(id).op {
            PERSID => return Err(unknown()),
            BINPERSID => match persistent(graph, id)? {
                Persistent::Class(class) => drop(classes.insert(id, class)),
                Persistent::Storage { fields, view } => {
                    let tuple = graph.add(TUPLE, &fields).map_err(full)?;
                    graph.memoize(tuple);
                    graph.set_operands(id, &[tuple]).map_err(full)?;
                    if let Some(offset) = view {
                        views.insert(id, offset);
                    }
                }
            },
            _ => {}
        }
    }
    if !views.is_empty() {
        move_views(graph, &views)?;
    }
    if !classes.is_empty() {
        graph.substitute(&classes);
    }
    // Python makes a list for each; a file that gives many dicts one long list would make much of little.
    let mut lists = HashSet::new();
    let old: Vec<(NodeId, Vec<(NodeId, NodeId)>)> =
        graph.ids().filter_map(|id| Some((id, python2_items(graph, id, &mut lists)?))).collect();
    rebuild_dicts(&mut Builder::new(graph), &old).map_err(full)
}

/// What a persistent id stands for.
enum Persistent {
    /// The node of a class.
    Class(NodeId),
    /// A storage.
    Storage {
        /// What a zip file says of it: kind, class, key, location, size.
        fields: [NodeId; 5],
        /// Where it begins, in elements, in the storage of this key, of which it is a part.
        view: Option<u64>,
    },
}

fn unknown() -> String {
    "has a persistent id that torch does not write".to_owned()
}

fn persistent(graph: &Graph, id: NodeId) -> Result<Persistent, String> {
    let tuple = graph.operands(id).first().and_then(|&tuple| graph.tuple(tuple)).ok_or_else(unknown)?;
    let kind = tuple.first().and_then(|&kind| graph.text(kind));
    match (kind.as_deref(), tuple) {
        (Some("module"), &[_, class, _, _]) if graph.global(class).is_some() => Ok(Persistent::Class(class)),
        (Some("storage"), &[kind, class, key, location, size, view]) => {
            let fields = [kind, class, key, location, size];
            let view = match graph.node(view).op {
                NONE => None,
                _ => Some(view_offset(graph, size, view).ok_or_else(|| {
                    let key = graph.text(key).unwrap_or_default().into_owned();
                    format!("has a view of storage `{key}` that is not inside of it")
                })?),
            };
            Ok(Persistent::Storage { fields, view })
        }
        _ => Err(unknown()),
    }
}

/// Where a view begins, in elements: the second field of its key, offset and size.
fn view_offset(graph: &Graph, storage_size: NodeId, view: NodeId) -> Option<u64> {
    let &[_, offset, size] = graph.tuple(view)? else { return None };
    let number = |id| u64::try_from(graph.int(id)?).ok();
    let (offset, size) = (number(offset)?, number(size)?);
    (offset.checked_add(size)? <= number(storage_size)?).then_some(offset)
}

/// Makes tensors of a part of a storage tensors of the whole storage that begin later: they share their bytes
/// with all others of it, as they did.
fn move_views(graph: &mut Graph, views: &HashMap<NodeId, u64>) -> Result<(), String> {
    let full = |Full| "has more values than can be numbered".to_owned();
    // The calls that rebuild a tensor of a view, and the tuples of their arguments.
    let mut calls: HashMap<NodeId, u64> = HashMap::new();
    let mut tuples = HashSet::new();
    for id in graph.ids() {
        let Some((callable, &[storage, ..])) = graph.call(id) else { continue };
        let rebuild = graph.global(callable).is_some_and(|(module, name)| {
            module == "torch._utils" && matches!(&*name, "_rebuild_tensor" | "_rebuild_tensor_v2")
        });
        if let (true, Some(&offset), Some(&arguments)) =
            (rebuild, views.get(&storage), graph.operands(id).get(1))
        {
            calls.insert(id, offset);
            tuples.insert(arguments);
        }
    }
    let strays = |id: &NodeId| {
        let others =
            graph.operands(*id).iter().chain(graph.steps(*id).flat_map(|step| graph.list(step.operands)));
        let mut others = others.copied();
        match (calls.contains_key(id), tuples.contains(id)) {
            (true, _) => false,
            // The first of the arguments is the view.
            (_, true) => others.skip(1).any(|other| views.contains_key(&other) || tuples.contains(&other)),
            _ => others.any(|other| views.contains_key(&other) || tuples.contains(&other)),
        }
    };
    if views.contains_key(&graph.root) || graph.ids().any(|id| strays(&id)) {
        return Err("has a part of a storage that stands by itself, which a zip file cannot hold".to_owned());
    }
    for (&call, &begin) in &calls {
        let Some((callable, arguments)) = graph.call(call) else { continue };
        let mut arguments = arguments.to_vec();
        let offset = arguments.get(1).and_then(|&offset| graph.int(offset)).filter(|&offset| offset >= 0);
        let Some(offset) = offset.and_then(|offset| offset.checked_add_unsigned(begin)) else {
            return Err("has a tensor with an invalid offset".to_owned());
        };
        if let Some(place) = arguments.get_mut(1) {
            *place = graph
                .add_new_literal(&[&[LONG1, 8][..], &offset.to_le_bytes()].concat(), false)
                .map_err(full)?;
        }
        let tuple = graph.add(TUPLE, &arguments).map_err(full)?;
        graph.memoize(tuple);
        graph.set_operands(call, &[callable, tuple]).map_err(full)?;
    }
    Ok(())
}

/// The items of an `OrderedDict` that Python 2 has pickled: `OrderedDict([[key, value], …])`.
fn python2_items(graph: &Graph, id: NodeId, lists: &mut HashSet<NodeId>) -> Option<Vec<(NodeId, NodeId)>> {
    let (callable, &[items]) = graph.call(id)? else { return None };
    if !graph.is_global(callable, "collections", "OrderedDict") || !lists.insert(items) {
        return None;
    }
    let pairs = list(graph, items)?;
    let pair = |pair: NodeId| match list(graph, pair)?.as_slice() {
        &[key, value] => Some((key, value)),
        _ => None,
    };
    pairs.into_iter().map(pair).collect()
}

fn list(graph: &Graph, id: NodeId) -> Option<Vec<NodeId>> {
    let is_list = matches!(graph.node(id).op, EMPTY_LIST | LIST);
    is_list.then(|| super::super::optimizers::elements(graph, id)).flatten()
}

/// Makes each of them an empty `OrderedDict` that is filled afterwards, as Python 3 does.
fn rebuild_dicts(builder: &mut Builder<'_>, old: &[(NodeId, Vec<(NodeId, NodeId)>)]) -> Result<(), Full> {
    for (dict, items) in old {
        let Some(&callable) = builder.graph.operands(*dict).first() else { continue };
        let none = builder.tuple(&[])?;
        builder.graph.set_operands(*dict, &[callable, none])?;
        builder.set_items(*dict, items)?;
    }
    Ok(())
}
