//! Puts the tensors of an output into the graph: into the source's own dicts, or into a new one.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::build::{Builder, NewTensor};
use super::choose::Chosen;
use super::document::{Document, RECORD, module_versions};
use super::graph::{Full, Graph, NodeId};
use super::opcode::PROTO;
use super::optimizers::Writer;
use super::tensors::{self, Meaning};
use super::values;
use crate::formats::checkpoint::{EntryData, StateDict};
use crate::formats::write::{Content, Output, OutputDict, OutputTensor};
use crate::formats::{Extent, FormatError, OutputOptimizer, Produce, Recording};
use crate::tensor::TensorSpec;

/// Where the bytes of a new storage come from.
pub(super) enum Bytes<'a> {
    Produce(&'a dyn Produce),
    Extent(Extent),
}

/// A storage that the output adds.
pub(super) struct NewStorage<'a> {
    pub(super) bytes: Bytes<'a>,
    pub(super) nbytes: u64,
}

/// A graph that says what the output says.
pub(super) struct Edited<'a> {
    pub(super) graph: Graph,
    /// The persistent ids of the storages that are new.
    pub(super) new: HashMap<NodeId, NewStorage<'a>>,
}

/// Whether the output is the source as it is, so that every byte can stay.
pub(super) fn changes_nothing(output: &Output<'_>, document: &Document) -> bool {
    let dicts = &output.source.dicts;
    let at_root = document.dicts.iter().all(|chosen| chosen.place.path.is_empty());
    output.edits.is_empty()
        && output.optimizers.iter().all(|optimizer| matches!(optimizer, OutputOptimizer::Kept))
        && output.dicts.len() == dicts.len()
        && output.dicts.iter().zip(dicts).all(|(wanted, source)| is_unchanged(wanted, source))
        && match output.record {
            Recording::Keep => true,
            Recording::Write(_) => false,
            Recording::Remove => document.record().is_none(),
        }
        && (at_root || !output.weights_only)
}

/// Whether the root dict can hold a record: in a state dict it would be an unexpected key.
pub(super) fn has_room_for_record(output: &Output<'_>) -> bool {
    let Some(document) = output.source.document.as_deref() else { return false };
    let root = document.graph.root;
    !output.weights_only
        && !document.dicts.is_empty()
        && document.dicts.iter().all(|chosen| chosen.node != root)
}

fn is_unchanged(wanted: &OutputDict<'_>, source: &StateDict) -> bool {
    let kept = |(index, tensor): (usize, &OutputTensor<'_>)| match tensor.content {
        Content::Kept { entry } => {
            entry == index && source.entries.get(index).is_some_and(|entry| *entry.key == *tensor.key)
        }
        Content::Produced { .. } | Content::Tied { .. } => false,
    };
    source.prefix.is_empty()
        && wanted.tensors.len() == source.entries.len()
        && wanted.tensors.iter().enumerate().all(kept)
        && source.modules.iter().all(|module| new_paths(wanted, module) == std::slice::from_ref(module))
}

/// The new paths of a module.
fn new_paths<'a>(wanted: &'a OutputDict<'_>, module: &'a String) -> &'a [String] {
    wanted.modules.get(module).map_or(std::slice::from_ref(module), Vec::as_slice)
}

struct Editor<'a, 'g> {
    path: &'a Path,
    document: Option<&'a Document>,
    builder: Builder<'g>,
    new: HashMap<NodeId, NewStorage<'a>>,
    /// The nodes of the tensors so far, of the dict at hand.
    values: Vec<NodeId>,
    /// The `_metadata` dicts that have been renamed, and for which dict: two may share one.
    renamed: HashMap<NodeId, &'a OutputDict<'a>>,
}

/// A dict of the output beside what it is made from.
#[derive(Clone, Copy)]
struct Dict<'a> {
    wanted: &'a OutputDict<'a>,
    source: &'a StateDict,
    /// Where the source is a torch file.
    chosen: Option<&'a Chosen>,
}

/// An item of a dict under construction.
enum Item {
    Value(NodeId, NodeId),
    Dict(usize),
}

/// Makes the graph of an output.
///
/// # Errors
/// Where two tensors claim one place, or torch cannot hold a tensor.
pub(super) fn edit<'a>(output: &'a Output<'a>, path: &'a Path) -> Result<Edited<'a>, FormatError> {
    let document = output.source.document.as_deref();
    let mut graph = match document {
        // Untouched, items whose keys are no texts stay where they are among the others.
        Some(document) if changes_nothing(output, document) => {
            return Ok(Edited { graph: document.graph.to_edit(), new: HashMap::new() });
        }
        Some(document) => document.graph.to_edit(),
        None => Graph::over(Vec::from([PROTO, 2])),
    };
    let mut editor = Editor {
        path,
        document,
        builder: Builder::new(&mut graph),
        new: HashMap::new(),
        values: Vec::new(),
        renamed: HashMap::new(),
    };
    let root = match document {
        Some(document) => editor.fill_source(document, output)?,
        None => editor.fill_new_dict(output)?,
    };
    let new = editor.new;
    graph.root = root;
    Ok(Edited { graph, new })
}

impl<'a> Editor<'a, '_> {
    /// A plain dict, as `torch.save` of what safetensors' `load_file` returns.
    fn fill_new_dict(&mut self, output: &'a Output<'a>) -> Result<NodeId, FormatError> {
        let [wanted] = output.dicts.as_slice() else {
            return Err(self.wrong("a new file holds one dict of tensors".to_owned()));
        };
        let dict = Dict { wanted, source: output.source.main_dict(), chosen: None };
        let root = self.done(|builder| builder.dict())?;
        let mut items = Vec::with_capacity(wanted.tensors.len());
        let mut keys = HashSet::new();
        for tensor in &wanted.tensors {
            let key = &tensor.key;
            if !keys.insert(key) {
                return Err(self.wrong(format!("the key `{key}` is written twice")));
            }
            let key = self.done(|builder| builder.string(key))?;
            items.push((key, self.value(dict, tensor)?));
        }
        self.done(|builder| builder.set_items(root, &items))?;
        Ok(root)
    }

    fn fill_source(&mut self, document: &'a Document, output: &'a Output<'a>) -> Result<NodeId, FormatError> {
        let root = document.graph.root;
        if document.dicts.is_empty() && output.dicts.iter().any(|dict| !dict.tensors.is_empty()) {
            return Err(self.wrong("the source has no dict that could take tensors".to_owned()));
        }
        let dicts = document.dicts.iter().zip(&output.source.dicts).zip(&output.dicts);
        for ((chosen, source), wanted) in dicts {
            self.values.clear();
            let dict = Dict { wanted, source, chosen: Some(chosen) };
            self.fill_tree(dict, chosen)?;
            self.rename_modules(dict, chosen.node)?;
        }
        if let (true, [chosen]) = (output.weights_only, document.dicts.as_slice()) {
            return Ok(chosen.node);
        }
        let location = |graph: &Graph, tensor: NodeId| match tensors::meaning(graph, tensor) {
            Ok(Meaning::Plain(plain)) => tensors::storage_id(graph, plain.storage).ok(),
            _ => None,
        };
        let location = |graph: &Graph, tensor: NodeId| {
            location(graph, tensor).map_or_else(|| "cpu".to_owned(), |id| id.location)
        };
        let path = self.path;
        let wrong = |what: String| FormatError::Output { path: path.to_owned(), what };
        for (nodes, optimizer) in document.optimizers.iter().zip(&output.optimizers) {
            let (builder, new) = (&mut self.builder, &mut self.new);
            Writer { builder, new, location: &location, wrong: &wrong }.write(nodes, optimizer)?;
        }
        for (index, edit) in output.edits.iter().enumerate() {
            let made = values::make(&mut self.builder, document, index, edit);
            made.map_err(|edit| FormatError::Edit { path: document.path.clone(), edit })?;
        }
        if output.record != Recording::Keep && has_room_for_record(output) {
            let mut items = self.builder.graph.items(root);
            items.retain(|item| self.builder.graph.text(item.0).as_deref() != Some(RECORD));
            if let Some(record) = output.record.text() {
                items.push(self.done(|builder| Ok((builder.string(RECORD)?, builder.string(record)?)))?);
            }
            self.done(|builder| builder.set_items(root, &items))?;
        }
        Ok(root)
    }

    /// Gives each dict of a source's state dict its new items.
    fn fill_tree(&mut self, dict: Dict<'a>, chosen: &'a Chosen) -> Result<(), FormatError> {
        let dicts = &chosen.tree.dicts;
        let by_prefix: HashMap<&str, usize> =
            dicts.iter().enumerate().map(|(index, dict)| (dict.prefix.as_str(), index)).collect();
        let lengths: HashSet<usize> = dicts.iter().map(|dict| dict.prefix.len()).collect();
        let mut contents: Vec<Vec<Item>> = dicts.iter().map(|_| Vec::new()).collect();
        let mut attached = vec![false; dicts.len()];
        let mut keys = HashSet::new();
        let mut attach = |dict: usize, contents: &mut Vec<Vec<Item>>| {
            let mut chain = Vec::new();
            let mut dict = dict;
            while dict != 0 && !attached[dict] {
                attached[dict] = true;
                chain.push(dict);
                dict = dicts[dict].parent;
            }
            for dict in chain.into_iter().rev() {
                contents[dicts[dict].parent].push(Item::Dict(dict));
            }
        };
        for tensor in &dict.wanted.tensors {
            let key = &tensor.key;
            if !keys.insert(&**key) || by_prefix.contains_key(format!("{key}.").as_str()) {
                return Err(self.wrong(format!("the key `{key}` is written twice, or a dict is there")));
            }
            let dots = key.rmatch_indices('.').map(|(at, _)| at + 1).filter(|&at| at < key.len());
            let mut dots = dots.filter(|at| lengths.contains(at));
            let at = dots.find(|&at| by_prefix.contains_key(&key[..at])).unwrap_or(0);
            let branch = by_prefix.get(&key[..at]).copied().unwrap_or(0);
            let key_node = self.key_node(chosen, tensor, branch, &key[at..])?;
            let value = self.value(dict, tensor)?;
            attach(branch, &mut contents);
            contents[branch].push(Item::Value(key_node, value));
        }
        for (index, dict) in dicts.iter().enumerate() {
            if !dict.untouched.is_empty() {
                attach(index, &mut contents);
                contents[index].extend(dict.untouched.iter().map(|&(key, value)| Item::Value(key, value)));
            }
        }
        for (dict, items) in dicts.iter().zip(contents) {
            let item = |item| match item {
                Item::Value(key, value) => Some((key, value)),
                Item::Dict(index) => Some((dicts[index].key_node?, dicts[index].node)),
            };
            let items: Vec<_> = items.into_iter().filter_map(item).collect();
            self.done(|builder| builder.set_items(dict.node, &items))?;
        }
        Ok(())
    }

    /// The source's key object where the entry keeps its key, else a new one.
    fn key_node(
        &mut self,
        chosen: &Chosen,
        tensor: &OutputTensor<'_>,
        branch: usize,
        text: &str,
    ) -> Result<NodeId, FormatError> {
        let entry = match tensor.content {
            Content::Kept { entry } => Some(entry),
            Content::Produced { like, .. } => like,
            Content::Tied { .. } => None,
        };
        let leaf = entry.and_then(|entry| chosen.tree.leaves.get(entry));
        match leaf.filter(|leaf| *leaf.key == *tensor.key && leaf.dict == branch) {
            Some(leaf) => Ok(leaf.key_node),
            None => self.done(|builder| builder.string(text)),
        }
    }

    /// The node of an output tensor; they are asked for in order.
    fn value(&mut self, dict: Dict<'a>, tensor: &'a OutputTensor<'a>) -> Result<NodeId, FormatError> {
        let node = match tensor.content {
            Content::Tied { to } => {
                let key = &tensor.key;
                let wrong =
                    || self.wrong(format!("`{key}` is tied to a tensor that does not come before it"));
                self.values.get(to).copied().ok_or_else(wrong)?
            }
            _ => self.own_value(dict, tensor)?,
        };
        self.values.push(node);
        Ok(node)
    }

    /// The node of a tensor that is not tied to another one.
    fn own_value(&mut self, dict: Dict<'a>, tensor: &'a OutputTensor<'a>) -> Result<NodeId, FormatError> {
        let (spec, bytes, like): (&TensorSpec, Bytes<'a>, Option<usize>) = match &tensor.content {
            Content::Kept { entry } => {
                let missing = || self.wrong(format!("there is no source entry {entry}"));
                if let Some(chosen) = dict.chosen {
                    return chosen.tree.leaves.get(*entry).map(|leaf| leaf.value).ok_or_else(missing);
                }
                let entry = dict.source.entries.get(*entry).ok_or_else(missing)?;
                let extent = match &entry.data {
                    EntryData::Stored(tensor) => tensor.extent(),
                    EntryData::Opaque { .. } => None,
                };
                let extent =
                    extent.ok_or_else(|| self.wrong(format!("`{}` is not contiguous", entry.key)))?;
                (entry.spec(), Bytes::Extent(extent), None)
            }
            Content::Produced { tensor, like } => (tensor.spec(), Bytes::Produce(*tensor), *like),
            Content::Tied { .. } => return Err(self.wrong(format!("`{}` is tied twice over", tensor.key))),
        };
        let like = dict.chosen.zip(like).and_then(|(chosen, like)| chosen.tree.leaves.get(like));
        let graph = self.document.map(|document| &document.graph);
        let plain = graph.zip(like).and_then(|(graph, like)| match tensors::meaning(graph, like.value) {
            Ok(Meaning::Plain(plain)) => Some(plain),
            _ => None,
        });
        let id = graph.zip(plain.as_ref());
        let id = id.and_then(|(graph, plain)| tensors::storage_id(graph, plain.storage).ok());
        let new = NewTensor {
            spec,
            location: id.as_ref().map_or("cpu", |id| &id.location),
            requires_grad: plain.as_ref().is_some_and(|plain| plain.requires_grad),
            parameter: plain.is_some_and(|plain| plain.parameter),
        };
        let built = self.done(|builder| builder.tensor(&new))?;
        let (Some((node, storage)), Some(nbytes)) = (built, spec.nbytes()) else {
            return Err(self.wrong(format!("torch has no tensor of {spec} for `{}`", tensor.key)));
        };
        self.new.insert(storage, NewStorage { bytes, nbytes });
        Ok(node)
    }

    /// Gives the modules in the `_metadata` of a state dict their new paths.
    fn rename_modules(&mut self, dict: Dict<'a>, chosen: NodeId) -> Result<(), FormatError> {
        let Some(metadata) = module_versions(self.builder.graph, chosen) else { return Ok(()) };
        let wanted = dict.wanted;
        if let Some(first) = self.renamed.insert(metadata, wanted) {
            let mut modules = dict.source.modules.iter();
            return match modules.find(|module| new_paths(first, module) != new_paths(wanted, module)) {
                Some(module) => Err(self.wrong(format!(
                    "two dicts share the version of the module `{module}` and give it different paths"
                ))),
                None => Ok(()),
            };
        }
        let old = self.builder.graph.items(metadata);
        let mut items = Vec::with_capacity(old.len());
        let mut paths = HashSet::new();
        let mut changed = false;
        for (key, value) in old {
            let text = self.builder.graph.text(key).map(|text| text.into_owned());
            let renamed = text.as_ref().and_then(|text| wanted.modules.get(text));
            let (Some(text), Some(renamed)) = (text.as_ref(), renamed) else {
                if text.is_none_or(|text| paths.insert(text)) {
                    items.push((key, value));
                }
                continue;
            };
            changed |= renamed.as_slice() != std::slice::from_ref(text);
            for (index, path) in renamed.iter().enumerate() {
                if !paths.insert(path.clone()) {
                    continue;
                }
                let key = if path == text { key } else { self.done(|builder| builder.string(path))? };
                let value = if index == 0 { value } else { self.done(|builder| builder.copy_of(value))? };
                items.push((key, value));
            }
        }
        if changed {
            self.done(|builder| builder.set_items(metadata, &items))?;
        }
        Ok(())
    }

    fn done<T>(&mut self, build: impl FnOnce(&mut Builder<'_>) -> Result<T, Full>) -> Result<T, FormatError> {
        build(&mut self.builder).map_err(|Full| self.wrong("the pickle would exceed 4 GiB".to_owned()))
    }

    fn wrong(&self, what: String) -> FormatError {
        FormatError::Output { path: self.path.to_owned(), what }
    }
}
