//! Optimizer state in the graph of a torch file: found, and written again.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::build::{Builder, NewTensor};
use super::edit::{Bytes, NewStorage};
use super::graph::{Full, Graph, NodeId};
use super::opcode::*;
use crate::formats::FormatError;
use crate::formats::optimizer::{OutputOptimizer, OutputParam, OutputState, ParamId};

/// The nodes of one optimizer's state.
pub(super) struct Nodes {
    /// The keys and indices that lead to it.
    pub(super) path: Vec<String>,
    /// What holds it: a dict, or a list.
    holder: NodeId,
    own: NodeId,
    state: NodeId,
    pub(super) groups: Vec<GroupNodes>,
    /// The key and the dict of each parameter's state.
    pub(super) states: IndexMap<ParamId, (NodeId, NodeId)>,
}

/// The nodes of one group.
pub(super) struct GroupNodes {
    params: NodeId,
    names: Option<NodeId>,
    pub(super) ids: Vec<ParamId>,
    pub(super) param_names: Option<Vec<String>>,
}

/// The optimizers of a file: under a key of the root that says so, alone, in a list or in a dict.
pub(super) fn find(graph: &Graph) -> Vec<Nodes> {
    let mut found = Vec::new();
    if !graph.is_dict(graph.root) {
        return found;
    }
    for (key, value) in graph.items(graph.root) {
        let Some(key) = graph.text(key).filter(|key| key.to_ascii_lowercase().contains("optim")) else {
            continue;
        };
        let path = vec![key.into_owned()];
        if let Some(nodes) = read(graph, graph.root, value, &path) {
            found.push(nodes);
            continue;
        }
        let inner: Vec<(String, NodeId)> = match elements(graph, value) {
            Some(elements) => {
                elements.into_iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
            }
            None if graph.is_dict(value) => super::dicts::sub_dicts(graph, value),
            None => continue,
        };
        found.extend(inner.into_iter().filter_map(|(segment, inner)| {
            read(graph, value, inner, &[path.clone(), vec![segment]].concat())
        }));
    }
    found
}

/// The optimizer that a node is, where it has the form of one.
fn read(graph: &Graph, holder: NodeId, own: NodeId, path: &[String]) -> Option<Nodes> {
    if !graph.is_dict(own) {
        return None;
    }
    let state = graph.item(own, "state").filter(|&state| graph.is_dict(state))?;
    let groups = elements(graph, graph.item(own, "param_groups")?)?;
    let groups = groups.into_iter().map(|group| {
        let params = graph.is_dict(group).then(|| graph.item(group, "params"))??;
        let ids =
            elements(graph, params)?.into_iter().map(|id| param_id(graph, id)).collect::<Option<_>>()?;
        let names = graph.item(group, "param_names").filter(|&names| elements(graph, names).is_some());
        let texts = names.and_then(|names| {
            let names = elements(graph, names)?.into_iter();
            names.map(|name| Some(graph.text(name)?.into_owned())).collect::<Option<Vec<String>>>()
        });
        Some(GroupNodes { params, names, ids, param_names: texts })
    });
    let groups = groups.collect::<Option<Vec<GroupNodes>>>()?;
    let mut states = IndexMap::new();
    for (key, value) in graph.items(state) {
        if !graph.is_dict(value) {
            return None;
        }
        let id = param_id(graph, key)?;
        let number = numbered(&id, &groups).filter(|number| !states.contains_key(number));
        states.insert(number.unwrap_or(id), (key, value));
    }
    Some(Nodes { path: path.to_vec(), holder, own, state, groups, states })
}

fn param_id(graph: &Graph, id: NodeId) -> Option<ParamId> {
    match graph.text(id) {
        Some(name) => Some(ParamId::Name(name.into_owned())),
        None => graph.int(id).map(ParamId::Number),
    }
}

/// The number that a text of digits stands for, where the groups have it: what torch makes of a distributed
/// checkpoint (`dcp_to_torch`) has the texts of numbers as keys of the state, and the numbers in the groups.
fn numbered(id: &ParamId, groups: &[GroupNodes]) -> Option<ParamId> {
    let ParamId::Name(name) = id else { return None };
    let number = ParamId::Number(name.parse().ok().filter(|number: &i64| number.to_string() == *name)?);
    groups.iter().any(|group| group.ids.contains(&number)).then_some(number)
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

/// Writes optimizers of the source anew.
pub(super) struct Writer<'w, 'a, 'g> {
    pub(super) builder: &'w mut Builder<'g>,
    /// Where the bytes of new tensors are noted.
    pub(super) new: &'w mut HashMap<NodeId, NewStorage<'a>>,
    /// The device of a tensor of the source.
    pub(super) location: &'w dyn Fn(&Graph, NodeId) -> String,
    pub(super) wrong: &'w dyn Fn(String) -> FormatError,
}

impl<'a> Writer<'_, 'a, '_> {
    /// Makes an optimizer what the output says.
    ///
    /// # Errors
    /// Where torch cannot hold a tensor, or the graph is full.
    pub(super) fn write(
        &mut self,
        nodes: &Nodes,
        output: &'a OutputOptimizer<'a>,
    ) -> Result<(), FormatError> {
        match output {
            OutputOptimizer::Kept => Ok(()),
            OutputOptimizer::Dropped => self.done(|builder| remove(builder, nodes)),
            OutputOptimizer::Groups(groups) => self.groups(nodes, groups),
        }
    }

    fn groups(&mut self, nodes: &Nodes, groups: &'a [Vec<OutputParam<'a>>]) -> Result<(), FormatError> {
        let by_name =
            nodes.groups.iter().flat_map(|group| &group.ids).any(|id| matches!(id, ParamId::Name(_)));
        let mut items = Vec::new();
        let mut number = 0;
        for (group, params) in nodes.groups.iter().zip(groups) {
            let mut ids = Vec::with_capacity(params.len());
            let mut names = Vec::with_capacity(params.len());
            for param in params {
                let id = self.done(|builder| match by_name {
                    true => builder.string(&param.name),
                    false => builder.int(number),
                })?;
                number += 1;
                ids.push(id);
                names.push(self.done(|builder| builder.string(&param.name))?);
                if let Some(state) = self.state(nodes, param)? {
                    items.push((id, state));
                }
            }
            self.done(|builder| builder.set_elements(group.params, &ids))?;
            if let Some(list) = group.names {
                self.done(|builder| builder.set_elements(list, &names))?;
            }
        }
        self.done(|builder| builder.set_items(nodes.state, &items))
    }

    /// The state of one parameter.
    fn state(&mut self, nodes: &Nodes, param: &'a OutputParam<'a>) -> Result<Option<NodeId>, FormatError> {
        let (like, tensors) = match &param.state {
            OutputState::Empty => return Ok(None),
            OutputState::Kept(id) => return Ok(nodes.states.get(id).map(|(_, state)| *state)),
            OutputState::Made { like, tensors } => (like, tensors),
        };
        let Some((_, source)) = nodes.states.get(like) else { return Ok(None) };
        let mut items = Vec::new();
        for (key, value) in self.builder.graph.items(*source) {
            let name = self.builder.graph.text(key).map(|name| name.into_owned());
            let made = tensors.iter().find(|(own, _)| Some(own) == name.as_ref());
            let Some((name, tensor)) = made else {
                items.push((key, value));
                continue;
            };
            let location = (self.location)(self.builder.graph, value);
            let spec = tensor.spec();
            let new = NewTensor { spec, location: &location, requires_grad: false, parameter: false };
            let built = self.done(|builder| builder.tensor(&new))?;
            let (Some((node, storage)), Some(nbytes)) = (built, spec.nbytes()) else {
                return Err((self.wrong)(format!(
                    "torch has no tensor of {spec} for `{name}` of `{}`",
                    param.name
                )));
            };
            let key_text = format!("{name} of {}", param.name);
            self.new.insert(storage, NewStorage { bytes: Bytes::Produce(*tensor), nbytes, key: key_text });
            items.push((key, node));
        }
        let state = self.done(|builder| {
            let state = builder.dict()?;
            builder.set_items(state, &items)?;
            Ok(state)
        })?;
        Ok(Some(state))
    }

    fn done<T>(&mut self, build: impl FnOnce(&mut Builder<'_>) -> Result<T, Full>) -> Result<T, FormatError> {
        build(self.builder).map_err(|Full| (self.wrong)("the pickle would exceed 4 GiB".to_owned()))
    }
}

/// Takes an optimizer out of what holds it.
fn remove(builder: &mut Builder<'_>, nodes: &Nodes) -> Result<(), Full> {
    if let Some(mut elements) = elements(builder.graph, nodes.holder) {
        elements.retain(|element| *element != nodes.own);
        return builder.set_elements(nodes.holder, &elements);
    }
    let mut items = builder.graph.items(nodes.holder);
    items.retain(|item| item.1 != nodes.own);
    builder.set_items(nodes.holder, &items)
}
