//! Finds the dict of tensors in a graph, and what lies beside it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::{FormatError, Other};
use super::graph::{Graph, NodeId};
use super::opcode::*;
use super::tensors::{self, Meaning};

/// Names that are never looked into when searching for a state dict: what an optimizer or Lightning's
/// trainer keeps there mirrors the weights or has nothing to do with them.
fn is_skipped(key: &str) -> bool {
    key.to_ascii_lowercase().contains("optim") || matches!(key, "callbacks" | "loops" | "lr_schedulers")
}

/// How deep dicts are looked into; what lies deeper is passed through whole. Real files have up to
/// five levels, and without a bound the joined keys of a hostile file grow with the square of its size.
const MAX_DEPTH: usize = 64;

/// A value in the chosen dict or one nested in it.
pub(super) struct Leaf {
    /// The keys that lead to it, joined with dots.
    pub(super) key: String,
    /// The node of its key.
    pub(super) key_node: NodeId,
    pub(super) value: NodeId,
    /// The index of its dict in [`Tree::dicts`].
    pub(super) dict: usize,
}

/// A dict that belongs to the state dict.
pub(super) struct Branch {
    pub(super) node: NodeId,
    /// The node of the key under which its parent holds it; the chosen dict has none.
    pub(super) key_node: Option<NodeId>,
    /// The keys that lead to it, each followed by a dot; empty for the chosen dict.
    pub(super) prefix: String,
    pub(super) parent: usize,
    /// Items whose key is no text: they stay as they are.
    pub(super) untouched: Vec<(NodeId, NodeId)>,
}

/// The chosen dict with those nested in it: one state dict.
pub(super) struct Tree {
    pub(super) dicts: Vec<Branch>,
    /// In file order.
    pub(super) leaves: Vec<Leaf>,
}

/// A dict on the way from the root.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: Vec<String>,
    /// The dicts from the root to this one.
    pub(super) way: Vec<NodeId>,
}

impl Place {
    fn node(&self) -> Option<NodeId> {
        self.way.last().copied()
    }
}

/// Whether a value is some kind of tensor, told from the function that rebuilds it alone.
fn is_tensor(graph: &Graph, id: NodeId) -> bool {
    let global = graph.call(id).and_then(|(callable, _)| graph.global(callable));
    global.is_some_and(|(module, name)| tensors::is_rebuild(&module, &name))
}

fn direct_tensors(graph: &Graph, dict: NodeId) -> usize {
    graph.items(dict).iter().filter(|item| is_tensor(graph, item.1)).count()
}

/// The dicts in a dict, with text keys.
fn sub_dicts(graph: &Graph, dict: NodeId) -> Vec<(String, NodeId)> {
    let items = graph.items(dict);
    let dicts = items.iter().filter(|item| graph.is_dict(item.1));
    dicts.filter_map(|item| Some((graph.text(item.0)?.into_owned(), item.1))).collect()
}

/// All dicts that hold tensors directly and can be reached from the root through dicts, outermost
/// first; those nested below another one belong to it and are left out.
fn candidates(graph: &Graph) -> Vec<(Place, usize)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
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
            for (key, dict) in sub_dicts(graph, node).into_iter().rev() {
                if !is_skipped(&key) {
                    let mut next = place.clone();
                    next.path.push(key);
                    next.way.push(dict);
                    pending.push(next);
                }
            }
        }
    }
    found
}

/// Chooses the dict of tensors: the one that `at` names, or the one that is meant beyond doubt.
/// `None` where the file has no dict of tensors at all.
///
/// # Errors
/// [`FormatError::ManyDicts`], [`FormatError::NoTensors`].
pub(super) fn choose(graph: &Graph, at: Option<&str>, file: &Path) -> Result<Option<Place>, FormatError> {
    if let Some(at) = at {
        return find(graph, at, file).map(Some);
    }
    let mut found = candidates(graph);
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
    let mut seen = HashSet::new();
    while let Some((place, rest)) = pending.pop() {
        let Some(node) = place.node().filter(|&node| graph.is_dict(node) && seen.insert((node, rest.len())))
        else {
            continue;
        };
        if rest.is_empty() && tree(graph, node, file)?.leaves.iter().any(|leaf| is_tensor(graph, leaf.value))
        {
            return Ok(place);
        }
        let below = sub_dicts(graph, node);
        let path = place.path.join(".");
        if nearest.as_ref().is_none_or(|(known, _)| known.len() <= path.len()) {
            nearest = Some((path, below.iter().map(|dict| dict.0.clone()).collect()));
        }
        for (key, dict) in below.into_iter().rev() {
            let after = rest.strip_prefix(key.as_str());
            let after =
                after.and_then(|after| if after.is_empty() { Some(after) } else { after.strip_prefix('.') });
            if let (Some(after), false) = (after, rest.is_empty() || place.path.len() >= MAX_DEPTH) {
                let mut next = place.clone();
                next.path.push(key);
                next.way.push(dict);
                pending.push((next, after));
            }
        }
    }
    let (path, there) = nearest.unwrap_or_default();
    let there = there.into_iter().map(|key| if path.is_empty() { key } else { format!("{path}.{key}") });
    Err(FormatError::NoTensors { path: file.to_owned(), at: at.to_owned(), there: there.collect() })
}

/// Whether a dict belongs to the state dict around it: it leads to a tensor through text keys.
/// `barren` collects the dicts that are known not to.
fn is_branch(graph: &Graph, dict: NodeId, barren: &mut HashSet<NodeId>) -> bool {
    let mut seen = HashSet::new();
    let mut pending = vec![dict];
    while let Some(dict) = pending.pop() {
        if barren.contains(&dict) || !seen.insert(dict) {
            continue;
        }
        for (key, value) in graph.items(dict) {
            let Some(key) = graph.text(key) else { continue };
            if is_tensor(graph, value) {
                return true;
            }
            if graph.is_dict(value) && !is_skipped(&key) {
                pending.push(value);
            }
        }
    }
    barren.extend(seen);
    false
}

/// Lists a dict and those nested in it.
///
/// # Errors
/// [`FormatError::DuplicateKey`] where two values have one key.
pub(super) fn tree(graph: &Graph, chosen: NodeId, file: &Path) -> Result<Tree, FormatError> {
    let mut tree = Tree { dicts: Vec::new(), leaves: Vec::new() };
    let mut keys = HashSet::new();
    let mut inside = HashSet::from([chosen]);
    let mut barren = HashSet::new();
    tree.dicts.push(Branch {
        node: chosen,
        key_node: None,
        prefix: String::new(),
        parent: 0,
        untouched: Vec::new(),
    });
    // The items still to be listed, of the innermost dict last.
    let mut open = vec![(0, graph.items(chosen).into_iter())];
    while let Some((dict, items)) = open.last_mut() {
        let dict = *dict;
        let Some((key_node, value)) = items.next() else {
            open.pop();
            continue;
        };
        let Some(text) = graph.text(key_node) else {
            tree.dicts[dict].untouched.push((key_node, value));
            continue;
        };
        let key = format!("{}{text}", tree.dicts[dict].prefix);
        let candidate = graph.is_dict(value) && !is_skipped(&text) && !inside.contains(&value);
        let nested = candidate && open.len() < MAX_DEPTH && is_branch(graph, value, &mut barren);
        if !keys.insert(key.clone()) {
            return Err(FormatError::DuplicateKey { path: file.to_owned(), key });
        }
        if nested {
            inside.insert(value);
            open.push((tree.dicts.len(), graph.items(value).into_iter()));
            let prefix = format!("{key}.");
            tree.dicts.push(Branch {
                node: value,
                key_node: Some(key_node),
                prefix,
                parent: dict,
                untouched: Vec::new(),
            });
        } else {
            tree.leaves.push(Leaf { key, key_node, value, dict });
        }
    }
    Ok(tree)
}

/// What lies beside the chosen dict, on every level from the root down to it.
pub(super) fn others(graph: &Graph, chosen: Option<&Place>) -> Vec<Other> {
    let Some(place) = chosen else {
        if !graph.is_dict(graph.root) {
            return vec![Other { path: "root".to_owned(), what: describe(graph, graph.root) }];
        }
        return listed(graph, graph.root, "", None);
    };
    let mut others = Vec::new();
    let mut prefix = String::new();
    for (dict, key) in place.way.iter().zip(&place.path) {
        others.extend(listed(graph, *dict, &prefix, Some(key)));
        prefix.push_str(key);
        prefix.push('.');
    }
    others
}

fn listed(graph: &Graph, dict: NodeId, prefix: &str, but: Option<&str>) -> Vec<Other> {
    // One value may stand under many keys: it is described once.
    let mut known: HashMap<NodeId, String> = HashMap::new();
    let mut others = Vec::new();
    for (key, value) in graph.items(dict) {
        let key = graph.text(key).map_or_else(|| describe(graph, key), |text| text.into_owned());
        if Some(key.as_str()) != but {
            let what = known.entry(value).or_insert_with(|| describe(graph, value)).clone();
            others.push(Other { path: format!("{prefix}{key}"), what });
        }
    }
    others
}

/// Says in a few words what a value is.
pub(super) fn describe(graph: &Graph, id: NodeId) -> String {
    match tensors::meaning(graph, id) {
        Ok(Meaning::Plain(plain)) => {
            return format!("tensor {}", crate::tensor::TensorSpec::new(plain.dtype, plain.shape));
        }
        Ok(Meaning::Opaque(what)) => return what,
        Ok(Meaning::Other) => {}
        Err(what) => return format!("a tensor that {what}"),
    }
    if graph.is_dict(id) {
        let items = graph.items(id).len();
        return match direct_tensors(graph, id) {
            0 => format!("dict of {items}"),
            1 => "dict of 1 tensor".to_owned(),
            tensors => format!("dict of {tensors} tensors"),
        };
    }
    if let Some(text) = graph.text(id) {
        let short: String = text.chars().take(60).collect();
        return format!("\"{}{}\"", short.escape_default(), if short.len() < text.len() { "…" } else { "" });
    }
    let node = graph.node(id);
    if let Some(value) = graph.boolean(id) {
        return if value { "True" } else { "False" }.to_owned();
    }
    if let Some(value) = graph.int(id) {
        return value.to_string();
    }
    if let Some(value) = graph.float(id) {
        return value.to_string();
    }
    if let Some((module, name)) = graph.global(id) {
        return format!("{module}.{name}");
    }
    let stepped = |op| graph.steps(id).filter(move |step| step.op == op);
    match node.op {
        NONE => "None".to_owned(),
        EMPTY_LIST | LIST => {
            let appended: u32 = stepped(APPEND).chain(stepped(APPENDS)).map(|step| step.operands.len).sum();
            format!("list of {}", appended + node.operands.len)
        }
        EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3 => format!("tuple of {}", node.operands.len),
        EMPTY_SET | FROZENSET => "set".to_owned(),
        BINBYTES | SHORT_BINBYTES | BINBYTES8 | BYTEARRAY8 => "bytes".to_owned(),
        INT | LONG | LONG1 | LONG4 => "a large number".to_owned(),
        REDUCE | NEWOBJ | NEWOBJ_EX | OBJ => {
            let class = match (graph.call(id), graph.operands(id).first()) {
                // copyreg._reconstructor and __newobj__ take the class as their first argument.
                (Some((callable, &[class, ..])), _)
                    if graph.global(callable).is_some_and(|(module, _)| module.starts_with("copy")) =>
                {
                    Some(class)
                }
                (_, first) => first.copied(),
            };
            match class.and_then(|class| graph.global(class)) {
                Some((module, name)) => format!("object {module}.{name}"),
                None => "object".to_owned(),
            }
        }
        _ => "a value".to_owned(),
    }
}
