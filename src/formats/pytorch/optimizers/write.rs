//! Writes the state of optimizers again.

use std::collections::HashMap;

use super::{Form, Nodes, ValueNodes, elements};
use crate::formats::optimizer::{OutputOptimizer, OutputParam, OutputState, ParamId};
use crate::formats::pytorch::build::{Builder, NewTensor};
use crate::formats::pytorch::edit::{Bytes, NewStorage};
use crate::formats::pytorch::graph::{Full, Graph, NodeId};
use crate::formats::{FormatError, Produce};

/// Writes optimizers of the source anew.
pub(in crate::formats::pytorch) struct Writer<'w, 'a, 'g> {
    pub(in crate::formats::pytorch) builder: &'w mut Builder<'g>,
    /// Where the bytes of new tensors are noted.
    pub(in crate::formats::pytorch) new: &'w mut HashMap<NodeId, NewStorage<'a>>,
    /// The device of a tensor of the source.
    pub(in crate::formats::pytorch) location: &'w dyn Fn(&Graph, NodeId) -> String,
    pub(in crate::formats::pytorch) wrong: &'w dyn Fn(String) -> FormatError,
}

impl<'a> Writer<'_, 'a, '_> {
    /// Makes an optimizer what the output says.
    ///
    /// # Errors
    /// Where torch cannot hold a tensor, or the graph is full.
    pub(in crate::formats::pytorch) fn write(
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
        let Form::Nested { state } = nodes.form else { return self.flat(nodes, groups) };
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
                if let OutputState::Kept(kept) = &param.state {
                    let own = nodes.states.get(kept).and_then(|state| state.own);
                    items.extend(own.map(|own| (id, own)));
                } else if let Some(values) = self.values(nodes, param)? {
                    let values: Vec<_> = values.into_iter().map(|value| (value.key, value.value)).collect();
                    let own = self.done(|builder| {
                        let own = builder.dict()?;
                        builder.set_items(own, &values)?;
                        Ok(own)
                    })?;
                    items.push((id, own));
                }
            }
            for (list, elements) in [(group.params, &ids), (group.names, &names)] {
                if let Some(list) = list {
                    self.done(|builder| builder.set_elements(list, elements))?;
                }
            }
        }
        self.done(|builder| builder.set_items(state, &items))
    }

    /// The states, then the options, as torch writes them.
    fn flat(&mut self, nodes: &Nodes, groups: &'a [Vec<OutputParam<'a>>]) -> Result<(), FormatError> {
        let mut items = Vec::new();
        for param in groups.iter().flatten() {
            let values = self.values(nodes, param)?.unwrap_or_default().into_iter();
            let values = values.map(|value| (value.name, value.value)).collect();
            items.extend(self.named(values, &format!("state.{}.", param.name))?);
        }
        for (group, params) in nodes.groups.iter().zip(groups) {
            for param in params {
                items.extend(self.named(group.options.clone(), &format!("param_groups.{}.", param.name))?);
            }
        }
        self.done(|builder| builder.set_items(nodes.own, &items))
    }

    /// Items with text keys below a prefix.
    fn named(
        &mut self,
        values: Vec<(String, NodeId)>,
        prefix: &str,
    ) -> Result<Vec<(NodeId, NodeId)>, FormatError> {
        let mut items = Vec::with_capacity(values.len());
        for (name, value) in values {
            items.push((self.done(|builder| builder.string(&format!("{prefix}{name}")))?, value));
        }
        Ok(items)
    }

    /// The values of one parameter's state; none where it has no state.
    fn values(
        &mut self,
        nodes: &Nodes,
        param: &'a OutputParam<'a>,
    ) -> Result<Option<Vec<ValueNodes>>, FormatError> {
        let none: &[(String, &dyn Produce)] = &[];
        let (like, tensors) = match &param.state {
            OutputState::Empty => return Ok(None),
            OutputState::Kept(id) => (id, none),
            OutputState::Made { like, tensors } => (like, tensors.as_slice()),
        };
        let Some(source) = nodes.states.get(like) else { return Ok(None) };
        let mut values = Vec::with_capacity(source.values.len());
        for own in &source.values {
            let Some((_, tensor)) = tensors.iter().find(|(name, _)| *name == own.name) else {
                values.push(own.clone());
                continue;
            };
            let location = (self.location)(self.builder.graph, own.value);
            let spec = tensor.spec();
            let new = NewTensor { spec, location: &location, requires_grad: false, parameter: false };
            let built = self.done(|builder| builder.tensor(&new))?;
            let (Some((node, storage)), Some(nbytes)) = (built, spec.nbytes()) else {
                return Err((self.wrong)(format!(
                    "torch has no tensor of {spec} for `{}` of `{}`",
                    own.name, param.name
                )));
            };
            self.new.insert(storage, NewStorage { bytes: Bytes::Produce(*tensor), nbytes });
            values.push(ValueNodes { value: node, ..own.clone() });
        }
        Ok(Some(values))
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
