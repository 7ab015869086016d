//! Optimizer state in the graph of a torch file.

mod write;

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::path::Path;

use indexmap::IndexMap;

pub(super) use self::write::Writer;

use super::dicts;
use super::graph::{Graph, NodeId};
use super::joined::{JoinedKeys, TooLong};
use super::opcode::*;
use crate::formats::FormatError;
use crate::formats::optimizer::ParamId;

/// The nodes of one optimizer's state.
pub(super) struct Nodes {
    /// The keys and indices that lead to it.
    pub(super) path: Vec<String>,
    /// What holds it: a dict, or a list.
    holder: NodeId,
    pub(super) own: NodeId,
    form: Form,
    pub(super) groups: Vec<GroupNodes>,
    /// The state of each parameter that has one.
    pub(super) states: IndexMap<ParamId, StateNodes>,
}

/// How an optimizer's state is laid out.
enum Form {
    /// A dict `state` and a list `param_groups` (`torch.optim.Optimizer.state_dict`).
    Nested { state: NodeId },
    /// Items `state.<key>.<value>` and `param_groups.<key>.<option>` side by side, as
    /// `torch.distributed.checkpoint.state_dict` flattens it.
    Flat,
}

/// The nodes of one group.
pub(super) struct GroupNodes {
    /// The list of its parameters; none where the form is flat.
    params: Option<NodeId>,
    names: Option<NodeId>,
    pub(super) ids: Vec<ParamId>,
    pub(super) param_names: Option<Vec<String>>,
    /// The options that each of its parameters has, where the form is flat.
    options: Vec<(String, NodeId)>,
}

/// The nodes of one parameter's state.
#[derive(Default)]
pub(super) struct StateNodes {
    /// The dict; none where the form is flat.
    own: Option<NodeId>,
    pub(super) values: Vec<ValueNodes>,
}

/// The nodes of one value of a state.
#[derive(Clone)]
pub(super) struct ValueNodes {
    /// Such as `exp_avg`; empty where the key is no text.
    pub(super) name: String,
    key: NodeId,
    pub(super) value: NodeId,
}

/// The optimizers of a file, wherever they lie: their form tells them.
///
/// # Errors
/// Where the keys that lead to them are too long, or optimizers share more than any that torch has written.
pub(super) fn find(graph: &Graph) -> Result<Vec<Nodes>, Unlistable> {
    let mut found = Vec::new();
    let mut joined = JoinedKeys::of(graph);
    // torch gives each optimizer lists and dicts of its own: all together have no more elements than the file.
    let mut left = graph.uses().saturating_mul(4).saturating_add(1000);
    let mut seen = HashSet::from([graph.root]);
    let mut pending = VecDeque::from([(Vec::new(), graph.root)]);
    while let Some((path, holder)) = pending.pop_front() {
        for (segment, own) in children(graph, holder) {
            if !seen.insert(own) {
                continue;
            }
            joined
                .take(path.iter().map(String::len).sum::<usize>() + segment.len())
                .map_err(Unlistable::Keys)?;
            let path: Vec<String> = [path.as_slice(), &[segment.into_owned()]].concat();
            if let Some(nodes) = read(graph, (holder, own), &path, &mut left)? {
                found.push(nodes);
            } else if path.len() < dicts::MAX_DEPTH {
                pending.push_back((path, own));
            }
        }
    }
    Ok(found)
}

/// Why the optimizers of a file are not listed.
#[derive(Debug)]
pub(super) enum Unlistable {
    Keys(TooLong),
    /// Many hold one long list, or one large dict.
    Shared,
}

impl Unlistable {
    /// The error of the file.
    pub(super) fn in_file(self, file: &Path) -> FormatError {
        match self {
            Unlistable::Keys(error) => error.in_file(file),
            Unlistable::Shared => FormatError::NotTorch {
                path: file.to_owned(),
                what: "its optimizers share lists or dicts, which those that torch writes do not".to_owned(),
            },
        }
    }
}

/// Counts elements that are about to be listed.
fn count(elements: usize, left: &mut usize) -> Result<(), Unlistable> {
    *left = left.checked_sub(elements).ok_or(Unlistable::Shared)?;
    Ok(())
}

/// The dicts and lists that a dict holds under text keys, or a list.
fn children(graph: &Graph, holder: NodeId) -> Vec<(Cow<'_, str>, NodeId)> {
    let mut children: Vec<(Cow<'_, str>, NodeId)> = match elements(graph, holder) {
        Some(elements) => {
            let elements = elements.into_iter().enumerate();
            elements.map(|(index, value)| (index.to_string().into(), value)).collect()
        }
        None if graph.is_dict(holder) => {
            let items = graph.items(holder).into_iter();
            items.filter_map(|(key, value)| Some((graph.text(key)?, value))).collect()
        }
        None => Vec::new(),
    };
    children.retain(|(_, value)| graph.is_dict(*value) || elements(graph, *value).is_some());
    children
}

/// The optimizer that a node is, where it has the form of one.
fn read(
    graph: &Graph,
    (holder, own): (NodeId, NodeId),
    path: &[String],
    left: &mut usize,
) -> Result<Option<Nodes>, Unlistable> {
    if !graph.is_dict(own) {
        return Ok(None);
    }
    let Some(state) = graph.item(own, "state").filter(|&state| graph.is_dict(state)) else {
        return Ok(read_flat(graph, holder, own, path));
    };
    let Some(group_nodes) = graph.item(own, "param_groups").and_then(|groups| elements(graph, groups)) else {
        return Ok(None);
    };
    let mut groups = Vec::with_capacity(group_nodes.len());
    for node in group_nodes {
        let Some(group) = group(graph, node, left)? else { return Ok(None) };
        groups.push(group);
    }
    let numbers: HashSet<ParamId> = groups.iter().flat_map(|group| group.ids.iter().cloned()).collect();
    let mut states = IndexMap::new();
    for (key, value) in graph.items(state) {
        let (true, Some(id)) = (graph.is_dict(value), param_id(graph, key)) else { return Ok(None) };
        let values = graph.items(value);
        count(values.len(), left)?;
        let name = |key| graph.text(key).map(|name| name.into_owned()).unwrap_or_default();
        let values =
            values.into_iter().map(|(key, value)| ValueNodes { name: name(key), key, value }).collect();
        let number = numbered(&id, &numbers).filter(|number| !states.contains_key(number));
        states.insert(number.unwrap_or(id), StateNodes { own: Some(value), values });
    }
    let form = Form::Nested { state };
    Ok(Some(Nodes { path: path.to_vec(), holder, own, form, groups, states }))
}

/// The group that a node is, where it has the form of one.
fn group(graph: &Graph, group: NodeId, left: &mut usize) -> Result<Option<GroupNodes>, Unlistable> {
    let items = if graph.is_dict(group) { graph.items(group) } else { Vec::new() };
    count(items.len(), left)?;
    let item = |name: &str| {
        let found = items.iter().rev().find(|item| graph.text(item.0).is_some_and(|text| text == name));
        found.map(|item| item.1)
    };
    let Some((params, ids)) = item("params").and_then(|params| Some((params, elements(graph, params)?)))
    else {
        return Ok(None);
    };
    count(ids.len(), left)?;
    let Some(ids) = ids.into_iter().map(|id| param_id(graph, id)).collect() else { return Ok(None) };
    let names = item("param_names").and_then(|names| Some((names, elements(graph, names)?)));
    count(names.as_ref().map_or(0, |(_, names)| names.len()), left)?;
    let texts = names.as_ref().and_then(|(_, names)| {
        names.iter().map(|&name| Some(graph.text(name)?.into_owned())).collect::<Option<Vec<String>>>()
    });
    let names = names.map(|names| names.0);
    Ok(Some(GroupNodes { params: Some(params), names, ids, param_names: texts, options: Vec::new() }))
}

/// The same where all lies side by side. Parameters of equal options are a group: of what they were handed over
/// in, nothing else is left.
fn read_flat(graph: &Graph, holder: NodeId, own: NodeId, path: &[String]) -> Option<Nodes> {
    let mut options: IndexMap<String, Vec<(String, NodeId)>> = IndexMap::new();
    let mut states: IndexMap<ParamId, StateNodes> = IndexMap::new();
    for (key_node, value) in graph.items(own) {
        let key = graph.text(key_node)?;
        if let Some((name, option)) = key.strip_prefix("param_groups.").and_then(|key| key.rsplit_once('.')) {
            options.entry(name.to_owned()).or_default().push((option.to_owned(), value));
        } else {
            let (name, state) = key.strip_prefix("state.")?.rsplit_once('.')?;
            let nodes = states.entry(ParamId::Name(name.to_owned())).or_default();
            nodes.values.push(ValueNodes { name: state.to_owned(), key: key_node, value });
        }
    }
    let mut groups: IndexMap<String, GroupNodes> = IndexMap::new();
    for (name, options) in options {
        let told = options.iter().map(|(option, value)| format!("{option}={}", value_text(graph, *value)));
        let group = groups.entry(told.collect::<Vec<String>>().join(";")).or_insert_with(|| GroupNodes {
            params: None,
            names: None,
            ids: Vec::new(),
            param_names: None,
            options,
        });
        group.ids.push(ParamId::Name(name));
    }
    let groups: Vec<GroupNodes> = groups.into_values().collect();
    (!groups.is_empty()).then(|| Nodes { path: path.to_vec(), holder, own, form: Form::Flat, groups, states })
}

/// An option's value as a text that is equal for equal values, as far as options have such: numbers, words, and
/// tuples of them.
fn value_text(graph: &Graph, value: NodeId) -> String {
    let leaf = |value: NodeId| match graph.tuple(value) {
        Some(_) => format!("node {}", value.0),
        None => dicts::describe(graph, value),
    };
    match graph.tuple(value) {
        Some(elements) => elements.iter().map(|&element| leaf(element) + ",").collect(),
        None => leaf(value),
    }
}

fn param_id(graph: &Graph, id: NodeId) -> Option<ParamId> {
    match graph.text(id) {
        Some(name) => Some(ParamId::Name(name.into_owned())),
        None => graph.int(id).map(ParamId::Number),
    }
}

/// The number that a text of digits stands for, where the groups have it: what torch makes of a distributed
/// checkpoint (`dcp_to_torch`) has the texts of numbers as keys of the state, and the numbers in the groups.
fn numbered(id: &ParamId, known: &HashSet<ParamId>) -> Option<ParamId> {
    let ParamId::Name(name) = id else { return None };
    let number = ParamId::Number(name.parse().ok().filter(|number: &i64| number.to_string() == *name)?);
    known.contains(&number).then_some(number)
}

/// The elements of a list or a tuple.
pub(super) fn elements(graph: &Graph, id: NodeId) -> Option<Vec<NodeId>> {
    if let Some(elements) = graph.tuple(id) {
        return Some(elements.to_vec());
    }
    if !matches!(graph.node(id).op, EMPTY_LIST | LIST) {
        return None;
    }
    let appended = graph.steps(id).filter(|step| matches!(step.op, APPEND | APPENDS));
    let appended = appended.flat_map(|step| graph.list(step.operands).iter().copied());
    Some(graph.operands(id).iter().copied().chain(appended).collect())
}
