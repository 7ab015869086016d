//! A dict of tensors in a graph, with those nested in it, and what lies beside it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

use indexmap::IndexMap;

use super::super::{FormatError, Other};
use super::choose::Place;
use super::graph::{Graph, NodeId};
use super::joined::{JoinedKeys, TooLong};
use super::opcode::*;
use super::tensors::{self, Meaning};
use crate::keyset::Key;

/// Names that are never looked into when searching for a state dict: what an optimizer or Lightning's
/// trainer keeps there mirrors the weights or has nothing to do with them.
pub(super) fn is_skipped(key: &str) -> bool {
    is_optimizer(key) || matches!(key, "callbacks" | "loops" | "lr_schedulers")
}

/// Whether a name says that an optimizer's state lies there.
pub(super) fn is_optimizer(key: &str) -> bool {
    key.to_ascii_lowercase().contains("optim")
}

/// How deep dicts are looked into; what lies deeper is passed through whole. Real files have up to
/// five levels, and without a bound the joined keys of a hostile file grow with the square of its size.
pub(super) const MAX_DEPTH: usize = 64;

/// A value in the chosen dict or one nested in it.
pub(super) struct Leaf {
    /// The keys that lead to it, joined with dots.
    pub(super) key: Key,
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

/// Whether a value is some kind of tensor, told from the function that rebuilds it alone.
pub(super) fn is_tensor(graph: &Graph, id: NodeId) -> bool {
    let global = graph.call(id).and_then(|(callable, _)| graph.global(callable));
    global.is_some_and(|(module, name)| tensors::is_rebuild(&module, &name))
}

/// How many tensors a dict holds itself. The states of random generators, which training loops keep beside
/// their state dicts (`torch.get_rng_state`), are none of a model's.
pub(super) fn direct_tensors(graph: &Graph, dict: NodeId) -> usize {
    let is_weight = |key: NodeId| !graph.text(key).is_some_and(|key| key.contains("rng_state"));
    graph.items(dict).iter().filter(|item| is_tensor(graph, item.1) && is_weight(item.0)).count()
}

/// The dicts in a dict, with their keys, which are texts.
pub(super) fn sub_dicts(
    graph: &Graph,
    dict: NodeId,
) -> impl DoubleEndedIterator<Item = (Cow<'_, str>, NodeId)> {
    let dicts = graph.items(dict).into_iter().filter(|item| graph.is_dict(item.1));
    dicts.filter_map(|item| Some((graph.text(item.0)?, item.1)))
}

/// The dicts below a dict that belong to its state dict: those that lead to a tensor through text keys.
fn branches(graph: &Graph, chosen: NodeId) -> HashSet<NodeId> {
    // Each dict is looked at once, however many hold it: found from the tensors back.
    let mut holders: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    let mut found = Vec::new();
    let mut seen = HashSet::from([chosen]);
    let mut pending = vec![chosen];
    while let Some(dict) = pending.pop() {
        let mut holds_tensor = false;
        for (key, value) in graph.items(dict) {
            let Some(key) = graph.text(key) else { continue };
            holds_tensor |= is_tensor(graph, value);
            if graph.is_dict(value) && !is_skipped(&key) {
                holders.entry(value).or_default().push(dict);
                if seen.insert(value) {
                    pending.push(value);
                }
            }
        }
        if holds_tensor {
            found.push(dict);
        }
    }
    let mut branches = HashSet::new();
    while let Some(dict) = found.pop() {
        if branches.insert(dict) {
            found.extend(holders.remove(&dict).into_iter().flatten());
        }
    }
    branches
}

/// Lists a dict and those nested in it.
///
/// # Errors
/// [`FormatError::DuplicateKey`] where two values have one key, [`FormatError::TooLarge`] where keys are too long.
pub(super) fn tree(graph: &Graph, chosen: NodeId, file: &Path) -> Result<Tree, FormatError> {
    let mut tree = Tree { dicts: Vec::new(), leaves: Vec::new() };
    let mut keys = HashSet::new();
    let mut inside = HashSet::from([chosen]);
    let branches = branches(graph, chosen);
    let mut joined = JoinedKeys::of(graph);
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
        joined.take(tree.dicts[dict].prefix.len() + text.len()).map_err(|error| error.in_file(file))?;
        let key = format!("{}{text}", tree.dicts[dict].prefix);
        let candidate = graph.is_dict(value) && !is_skipped(&text) && !inside.contains(&value);
        let nested = candidate && open.len() < MAX_DEPTH && branches.contains(&value);
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
            tree.leaves.push(Leaf { key: key.into(), key_node, value, dict });
        }
    }
    tree.leaves.shrink_to_fit();
    Ok(tree)
}

/// What lies beside the chosen dicts, on every level from the root down to them.
///
/// # Errors
/// Where the joined keys take too much room.
pub(super) fn others(graph: &Graph, chosen: &[&Place]) -> Result<Vec<Other>, TooLong> {
    let mut joined = JoinedKeys::of(graph);
    if chosen.is_empty() {
        if !graph.is_dict(graph.root) {
            return Ok(vec![Other { path: "root".to_owned(), what: describe(graph, graph.root) }]);
        }
        return listed(graph, graph.root, ("", &mut joined), |_| false);
    }
    let mut others = Vec::new();
    // Dicts on the way, outermost first: the keys that lead to each, and the chosen ones below it.
    let mut pending = VecDeque::from([(String::new(), graph.root, 0, chosen.to_vec())]);
    while let Some((prefix, dict, depth, places)) = pending.pop_front() {
        let mut below: IndexMap<&str, Vec<&Place>> = IndexMap::new();
        for place in places {
            if let Some(key) = place.path.get(depth) {
                below.entry(key).or_default().push(place);
            }
        }
        if below.is_empty() {
            continue; // a chosen dict itself
        }
        others.extend(listed(graph, dict, (&prefix, &mut joined), |key| below.contains_key(key))?);
        for (key, places) in below {
            if let Some(&dict) = places.first().and_then(|place| place.way.get(depth + 1)) {
                pending.push_back((format!("{prefix}{key}."), dict, depth + 1, places));
            }
        }
    }
    Ok(others)
}

/// The values of a chosen dict, and of those nested in it, whose keys are no texts: no rule can name them, and none of
/// them is a tensor of a state dict.
///
/// # Errors
/// Where the joined keys take too much room.
pub(super) fn untouched(graph: &Graph, place: &Place, tree: &Tree) -> Result<Vec<Other>, TooLong> {
    let mut joined = JoinedKeys::of(graph);
    let at: String = place.path.iter().map(|key| format!("{key}.")).collect();
    let mut others = Vec::new();
    for (dict, &(key, value)) in
        tree.dicts.iter().flat_map(|dict| dict.untouched.iter().map(move |item| (dict, item)))
    {
        let path = format!("{at}{}{}", dict.prefix, describe(graph, key));
        joined.take(path.len())?;
        others.push(Other { path, what: describe(graph, value) });
    }
    Ok(others)
}

fn listed(
    graph: &Graph,
    dict: NodeId,
    (prefix, joined): (&str, &mut JoinedKeys),
    is_chosen: impl Fn(&str) -> bool,
) -> Result<Vec<Other>, TooLong> {
    // One value may stand under many keys: it is described once.
    let mut known: HashMap<NodeId, String> = HashMap::new();
    let mut others = Vec::new();
    for (key, value) in graph.items(dict) {
        let text = graph.text(key);
        if !text.as_ref().is_some_and(|text| is_chosen(text)) {
            let key = text.map_or_else(|| describe(graph, key), |text| text.into_owned());
            joined.take(prefix.len() + key.len())?;
            let what = known.entry(value).or_insert_with(|| describe(graph, value)).clone();
            others.push(Other { path: format!("{prefix}{key}"), what });
        }
    }
    Ok(others)
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
            let appended = stepped(APPEND).chain(stepped(APPENDS));
            let appended: usize = appended.map(|step| graph.list(step.operands).len()).sum();
            format!("list of {}", appended + graph.operands(id).len())
        }
        EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3 => format!("tuple of {}", graph.operands(id).len()),
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
