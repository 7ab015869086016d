//! Puts the tensors of an output into the graph: into the source's own dicts, or into a new one.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::build::{Builder, NewTensor};
use super::document::{Document, module_versions};
use super::graph::{Full, Graph, NodeId};
use super::opcode::PROTO;
use super::tensors;
use crate::formats::checkpoint::{Content, EntryData, Output};
use crate::formats::{Extent, FormatError, Produce};
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
    pub(super) key: String,
}

/// A graph that says what the output says.
pub(super) struct Edited<'a> {
    pub(super) graph: Graph,
    /// The persistent ids of the storages that are new.
    pub(super) new: HashMap<NodeId, NewStorage<'a>>,
}

/// Whether the output is the source as it is, so that every byte can stay.
pub(super) fn changes_nothing(output: &Output<'_>, document: &Document) -> bool {
    let source = output.source;
    let kept = |(index, tensor): (usize, &crate::formats::OutputTensor<'_>)| match tensor.content {
        Content::Kept { entry } => entry == index && source.entries[index].key == tensor.key,
        Content::Produced { .. } | Content::Tied { .. } => false,
    };
    let modules = source.modules.iter();
    let at_root = document.place.as_ref().is_none_or(|place| place.path.is_empty());
    output.tensors.len() == source.entries.len()
        && output.tensors.iter().enumerate().all(kept)
        && modules
            .filter_map(|module| Some((module, output.modules.get(module)?)))
            .all(|(old, new)| new.as_slice() == std::slice::from_ref(old))
        && (at_root || (output.record.is_none() && !output.weights_only))
}

struct Editor<'a, 'g> {
    output: &'a Output<'a>,
    path: &'a Path,
    builder: Builder<'g>,
    new: HashMap<NodeId, NewStorage<'a>>,
    /// The nodes of the output's tensors so far.
    values: Vec<NodeId>,
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
        Some(document) => document.graph.clone(),
        None => Graph::over(Vec::from([PROTO, 2])),
    };
    let mut editor =
        Editor { output, path, builder: Builder::new(&mut graph), new: HashMap::new(), values: Vec::new() };
    let root = match document {
        Some(document) => editor.fill_source(document)?,
        None => editor.fill_new_dict()?,
    };
    let new = editor.new;
    graph.root = root;
    Ok(Edited { graph, new })
}

impl<'a> Editor<'a, '_> {
    /// A plain dict, as `torch.save` of what safetensors' `load_file` returns.
    fn fill_new_dict(&mut self) -> Result<NodeId, FormatError> {
        let root = self.done(|builder| builder.dict())?;
        let mut items = Vec::with_capacity(self.output.tensors.len());
        let mut keys = HashSet::new();
        for index in 0..self.output.tensors.len() {
            let key = &self.output.tensors[index].key;
            if !keys.insert(key) {
                return Err(self.wrong(format!("the key `{key}` is written twice")));
            }
            let key = self.done(|builder| builder.string(key))?;
            items.push((key, self.value(index)?));
        }
        self.done(|builder| builder.set_items(root, &items))?;
        Ok(root)
    }

    fn fill_source(&mut self, document: &Document) -> Result<NodeId, FormatError> {
        let root = document.graph.root;
        let Some(place) = &document.place else {
            if !self.output.tensors.is_empty() {
                return Err(self.wrong("the source has no dict that could take tensors".to_owned()));
            }
            return Ok(root);
        };
        let chosen = place.way.last().copied().unwrap_or(root);
        self.fill_tree(document)?;
        self.rename_modules(chosen)?;
        if self.output.weights_only {
            return Ok(chosen);
        }
        if let (Some(record), false) = (&self.output.record, chosen == root) {
            let mut items = self.builder.graph.items(root);
            items.retain(|item| self.builder.graph.text(item.0).as_deref() != Some("migrate"));
            let item = self.done(|builder| Ok((builder.string("migrate")?, builder.string(record)?)))?;
            items.push(item);
            self.done(|builder| builder.set_items(root, &items))?;
        }
        Ok(root)
    }

    /// Gives each dict of the source's state dict its new items.
    fn fill_tree(&mut self, document: &Document) -> Result<(), FormatError> {
        let dicts = &document.tree.dicts;
        let by_prefix: HashMap<&str, usize> =
            dicts.iter().enumerate().map(|(index, dict)| (dict.prefix.as_str(), index)).collect();
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
        for index in 0..self.output.tensors.len() {
            let key = &self.output.tensors[index].key;
            if !keys.insert(key.as_str()) || by_prefix.contains_key(format!("{key}.").as_str()) {
                return Err(self.wrong(format!("the key `{key}` is written twice, or a dict is there")));
            }
            let dots = key.rmatch_indices('.').map(|(at, _)| at + 1).filter(|&at| at < key.len());
            let at = dots.into_iter().find(|&at| by_prefix.contains_key(&key[..at])).unwrap_or(0);
            let dict = by_prefix.get(&key[..at]).copied().unwrap_or(0);
            let key_node = self.key_node(document, index, dict, &key[at..])?;
            let value = self.value(index)?;
            attach(dict, &mut contents);
            contents[dict].push(Item::Value(key_node, value));
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
        document: &Document,
        index: usize,
        dict: usize,
        text: &str,
    ) -> Result<NodeId, FormatError> {
        let tensor = &self.output.tensors[index];
        let entry = match tensor.content {
            Content::Kept { entry } => Some(entry),
            Content::Produced { like, .. } => like,
            Content::Tied { .. } => None,
        };
        let leaf = entry.and_then(|entry| document.tree.leaves.get(entry));
        match leaf.filter(|leaf| leaf.key == tensor.key && leaf.dict == dict) {
            Some(leaf) => Ok(leaf.key_node),
            None => self.done(|builder| builder.string(text)),
        }
    }

    /// The node of an output tensor; they are asked for in order.
    fn value(&mut self, index: usize) -> Result<NodeId, FormatError> {
        let node = match self.output.tensors[index].content {
            Content::Tied { to } => {
                let key = &self.output.tensors[index].key;
                let wrong =
                    || self.wrong(format!("`{key}` is tied to a tensor that does not come before it"));
                self.values.get(to).copied().ok_or_else(wrong)?
            }
            _ => self.own_value(index)?,
        };
        self.values.push(node);
        Ok(node)
    }

    /// The node of a tensor that is not tied to another one.
    fn own_value(&mut self, index: usize) -> Result<NodeId, FormatError> {
        let source = self.output.source;
        let tensor = &self.output.tensors[index];
        let document = source.document.as_deref();
        let (spec, bytes, like): (&TensorSpec, Bytes<'a>, Option<usize>) = match &tensor.content {
            Content::Kept { entry } => {
                let missing = || self.wrong(format!("there is no source entry {entry}"));
                if let Some(document) = document {
                    return document.tree.leaves.get(*entry).map(|leaf| leaf.value).ok_or_else(missing);
                }
                let entry = source.entries.get(*entry).ok_or_else(missing)?;
                let extent = match &entry.data {
                    EntryData::Stored(tensor) => tensor.extent(),
                    EntryData::Opaque { .. } => None,
                };
                let extent =
                    extent.ok_or_else(|| self.wrong(format!("`{}` is not contiguous", entry.key)))?;
                (&entry.spec, Bytes::Extent(extent), None)
            }
            Content::Produced { tensor, like } => (tensor.spec(), Bytes::Produce(*tensor), *like),
            Content::Tied { .. } => return Err(self.wrong(format!("`{}` is tied twice over", tensor.key))),
        };
        let plain = document.zip(like).and_then(|(document, like)| document.plains.get(like)?.as_ref());
        let id = document
            .zip(plain)
            .and_then(|(document, plain)| tensors::storage_id(&document.graph, plain.storage).ok());
        let new = NewTensor {
            spec,
            location: id.as_ref().map_or("cpu", |id| &id.location),
            requires_grad: plain.is_some_and(|plain| plain.requires_grad),
            parameter: plain.is_some_and(|plain| plain.parameter),
        };
        let built = self.done(|builder| builder.tensor(&new))?;
        let (Some((node, storage)), Some(nbytes)) = (built, spec.nbytes()) else {
            return Err(self.wrong(format!("torch has no tensor of {spec} for `{}`", tensor.key)));
        };
        self.new.insert(storage, NewStorage { bytes, nbytes, key: tensor.key.clone() });
        Ok(node)
    }

    fn rename_modules(&mut self, chosen: NodeId) -> Result<(), FormatError> {
        let Some(metadata) = module_versions(self.builder.graph, chosen) else { return Ok(()) };
        let old = self.builder.graph.items(metadata);
        let mut items = Vec::with_capacity(old.len());
        let mut paths = HashSet::new();
        let mut changed = false;
        for (key, value) in old {
            let text = self.builder.graph.text(key).map(|text| text.into_owned());
            let renamed = text.as_ref().and_then(|text| self.output.modules.get(text));
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
