//! Changes to the values of a torch file that are no tensors: found by path in the graph.

use std::collections::HashSet;

use super::build::Builder;
use super::dicts;
use super::document::Document;
use super::graph::{Full, Graph, NodeId};
use super::opcode::*;
use super::optimizers::elements;
use crate::edit::{Change, Edit, Plain, path_text};
use crate::formats::EditError;

/// Why an edit cannot be made.
enum Refusal {
    /// There is no such value; what is wrong, as the rest of a sentence that begins with the path, and the
    /// keys that there are instead.
    Missing { what: String, there: Vec<String> },
    /// It cannot be changed; why, as the rest of the same sentence.
    Wrong(String),
    /// The graph is full.
    Full,
}

impl From<Full> for Refusal {
    fn from(Full: Full) -> Self {
        Refusal::Full
    }
}

/// Makes edits in a copy of the graph and forgets it; returns what each value was, where there was one.
///
/// # Errors
/// Where there is no such value, or no place for it: the number of the edit, and why.
pub(in crate::formats) fn check(
    document: &Document,
    edits: &[Edit],
) -> Result<Vec<Option<String>>, EditError> {
    let mut graph = document.graph.to_edit();
    let mut builder = Builder::new(&mut graph);
    edits.iter().enumerate().map(|(index, edit)| make(&mut builder, document, index, edit)).collect()
}

/// Makes the edit of this number; returns what the value was, where there was one.
///
/// # Errors
/// As [`check`].
pub(super) fn make(
    builder: &mut Builder<'_>,
    document: &Document,
    index: usize,
    edit: &Edit,
) -> Result<Option<String>, EditError> {
    apply(builder, document, edit).map_err(|refusal| {
        let value = path_text(&edit.path);
        match refusal {
            Refusal::Missing { what, there } => EditError { index, value, what, there },
            Refusal::Wrong(what) => EditError { index, value, what, there: Vec::new() },
            Refusal::Full => {
                EditError { index, value, what: "does not fit into the pickle".to_owned(), there: Vec::new() }
            }
        }
    })
}

/// Makes an edit; returns what the value was, where there was one.
fn apply(builder: &mut Builder<'_>, document: &Document, edit: &Edit) -> Result<Option<String>, Refusal> {
    let root = document.graph.root;
    let trees = document.dicts.iter().flat_map(|chosen| &chosen.tree.dicts);
    let tensors: HashSet<NodeId> = trees.map(|branch| branch.node).collect();
    let place = match Place::find(builder.graph, root, &edit.path, &tensors) {
        Err(Refusal::Missing { .. }) if edit.optional => return Ok(None),
        place => place?,
    };
    let Some(old) = place.value(builder.graph) else {
        return match &edit.change {
            Change::Set(value) if place.holder.is_mapping(builder.graph) => {
                let value = plain(builder, value)?;
                place.add(builder, value)?;
                Ok(None)
            }
            _ if edit.optional => Ok(None),
            _ => Err(place.missing(builder.graph)),
        };
    };
    let was = Some(dicts::describe(builder.graph, old));
    if tensors.contains(&old) && !matches!(edit.change, Change::Move(_)) {
        return Err(wrong("is the dict of tensors: `drop` removes tensors"));
    }
    match &edit.change {
        Change::Set(value) => {
            let value = plain(builder, value)?;
            place.replace(builder, Some(value))?;
        }
        Change::Unset => place.replace(builder, None)?,
        Change::Move(to) => {
            let target = Place::find(builder.graph, root, to, &tensors)?;
            if target.value(builder.graph).is_some() {
                return Err(wrong(&format!("cannot go to `{}`: there is a value already", path_text(to))));
            }
            if !target.holder.is_mapping(builder.graph) {
                return Err(wrong(&format!("cannot go to `{}`: no dict is there", path_text(to))));
            }
            place.replace(builder, None)?;
            target.add(builder, old)?;
        }
    }
    Ok(was)
}

fn wrong(what: &str) -> Refusal {
    Refusal::Wrong(what.to_owned())
}

/// What holds a value.
#[derive(Clone, Copy)]
struct Holder(NodeId);

impl Holder {
    /// Whether it has items by key: a dict or an instance of a subclass of it.
    fn is_mapping(self, graph: &Graph) -> bool {
        graph.is_dict(self.0) || graph.steps(self.0).any(|step| matches!(step.op, SETITEM | SETITEMS))
    }

    fn elements(self, graph: &Graph) -> Option<Vec<NodeId>> {
        elements(graph, self.0)
    }

    fn is_list(self, graph: &Graph) -> bool {
        matches!(graph.node(self.0).op, EMPTY_LIST | LIST)
    }

    /// The attributes of an object that keeps them in a dict.
    fn attributes(self, graph: &Graph) -> Option<NodeId> {
        let state = graph.steps(self.0).filter(|step| step.op == BUILD).last()?;
        let &[state] = graph.list(state.operands) else { return None };
        graph.is_dict(state).then_some(state)
    }
}

/// Where a value is, or would be.
struct Place {
    holder: Holder,
    key: String,
    /// The path of the holder.
    above: Vec<String>,
}

impl Place {
    /// Follows a path down to what holds its last segment.
    fn find(
        graph: &Graph,
        root: NodeId,
        path: &[String],
        tensors: &HashSet<NodeId>,
    ) -> Result<Place, Refusal> {
        let Some((last, above)) = path.split_last() else { return Err(wrong("is no path")) };
        let mut holder = Holder(root);
        for (depth, segment) in above.iter().enumerate() {
            let place =
                Place { holder: holder.open(graph), key: segment.clone(), above: path[..depth].to_vec() };
            match place.value(graph) {
                Some(value) => holder = Holder(value),
                None => return Err(place.missing(graph)),
            }
        }
        let holder = holder.open(graph);
        if tensors.contains(&holder.0) {
            return Err(wrong("lies in the dict of tensors: the other verbs are about those"));
        }
        Ok(Place { holder, key: last.clone(), above: above.to_vec() })
    }

    fn value(&self, graph: &Graph) -> Option<NodeId> {
        if let Some(elements) = self.holder.elements(graph) {
            return elements.get(self.key.parse::<usize>().ok()?).copied();
        }
        // A key that is set again is listed again; the last counts.
        let items = graph.items(self.holder.0);
        items.iter().rev().find(|(key, _)| is_key(graph, *key, &self.key)).map(|item| item.1)
    }

    /// Why there is nothing: what there is instead.
    fn missing(&self, graph: &Graph) -> Refusal {
        let at = match self.above.as_slice() {
            [] => "the file".to_owned(),
            above => format!("`{}`", path_text(above)),
        };
        let there: Vec<String> = match self.holder.elements(graph) {
            Some(elements) => (0..elements.len()).map(|index| index.to_string()).collect(),
            None => graph.items(self.holder.0).iter().filter_map(|item| key_text(graph, item.0)).collect(),
        };
        let what = match there.is_empty() {
            true => format!("is not there: {at} is {}", dicts::describe(graph, self.holder.0)),
            false => format!("is not there: {at} has no `{}`", self.key),
        };
        Refusal::Missing { what, there }
    }

    /// Puts another value into the place, or takes the place away.
    fn replace(&self, builder: &mut Builder<'_>, value: Option<NodeId>) -> Result<(), Refusal> {
        if self.holder.is_list(builder.graph) {
            let mut elements = self.holder.elements(builder.graph).unwrap_or_default();
            let Some(at) = self.key.parse::<usize>().ok().filter(|&at| at < elements.len()) else {
                return Ok(());
            };
            match value {
                Some(value) => elements[at] = value,
                None => drop(elements.remove(at)),
            }
            return Ok(builder.set_elements(self.holder.0, &elements)?);
        }
        if builder.graph.tuple(self.holder.0).is_some() {
            return Err(wrong("is in a tuple, which cannot change"));
        }
        let mut items = builder.graph.items(self.holder.0);
        let is_it = |graph: &Graph, item: &(NodeId, NodeId)| is_key(graph, item.0, &self.key);
        match value {
            Some(value) => {
                let at = items.iter().rposition(|item| is_it(builder.graph, item));
                if let Some(item) = at.and_then(|at| items.get_mut(at)) {
                    item.1 = value;
                }
            }
            None => items.retain(|item| !is_it(builder.graph, item)),
        }
        Ok(builder.set_items(self.holder.0, &items)?)
    }

    fn add(&self, builder: &mut Builder<'_>, value: NodeId) -> Result<(), Refusal> {
        let mut items = builder.graph.items(self.holder.0);
        items.push((builder.string(&self.key)?, value));
        Ok(builder.set_items(self.holder.0, &items)?)
    }
}

impl Holder {
    /// The dict of an object's attributes, where it is an object; else itself.
    fn open(self, graph: &Graph) -> Holder {
        let plain = self.is_mapping(graph) || self.elements(graph).is_some();
        match self.attributes(graph) {
            Some(attributes) if !plain => Holder(attributes),
            _ => self,
        }
    }
}

/// A key as a segment of a path: texts and whole numbers.
fn key_text(graph: &Graph, key: NodeId) -> Option<String> {
    graph.text(key).map(|text| text.into_owned()).or_else(|| graph.int(key).map(|number| number.to_string()))
}

fn is_key(graph: &Graph, key: NodeId, segment: &str) -> bool {
    key_text(graph, key).is_some_and(|text| text == segment)
}

/// The node of a plain value, as Python's pickler would have made it.
fn plain(builder: &mut Builder<'_>, value: &Plain) -> Result<NodeId, Full> {
    match value {
        Plain::None => builder.none(),
        Plain::Bool(value) => builder.boolean(*value),
        Plain::Int(value) => builder.signed(*value),
        Plain::Float(value) => builder.float(*value),
        Plain::Text(text) => builder.string(text),
        Plain::List(values) => {
            let elements = values.iter().map(|value| plain(builder, value)).collect::<Result<Vec<_>, _>>()?;
            let list = builder.list()?;
            builder.set_elements(list, &elements)?;
            Ok(list)
        }
        Plain::Dict(items) => {
            let items = items.iter().map(|(key, value)| Ok((builder.string(key)?, plain(builder, value)?)));
            let items = items.collect::<Result<Vec<_>, Full>>()?;
            let dict = builder.dict()?;
            builder.set_items(dict, &items)?;
            Ok(dict)
        }
    }
}
