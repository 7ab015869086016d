//! Plain values of a torch file, as Python writes them.

use std::collections::HashMap;

use super::dicts::describe;
use super::document::Document;
use super::graph::{Graph, NodeId};
use super::opcode::{BUILD, NEWOBJ, REDUCE, SETITEM, SETITEMS};
use super::optimizers::elements;
use crate::formats::Other;

/// How deep dicts in dicts are looked into.
const MAX_DEPTH: usize = 8;
/// How many values are listed; and how many characters one has, beyond which it is described.
const MAX_VALUES: usize = 2000;
const MAX_CHARS: usize = 120;
/// How many bytes the keys of all of them have together: one long key may stand before many.
const MAX_KEYS: usize = 1 << 20;

/// The keys of the dict under a key of the root dict.
pub(in crate::formats) fn keys(document: &Document, key: &str) -> Vec<String> {
    let graph = &document.graph;
    let value = graph.is_dict(graph.root).then(|| graph.item(graph.root, key)).flatten();
    let items = value.filter(|&value| graph.is_dict(value)).and_then(|value| items(graph, value));
    let mut left = MAX_KEYS;
    let fits = |key: &String| {
        left = left.saturating_sub(key.len());
        left > 0
    };
    let items = items.unwrap_or_default().into_iter().take(MAX_VALUES);
    items.map(|item| key_text(graph, item.0)).take_while(fits).collect()
}

/// The values in the dict or object under a key of the root dict, with the keys that lead to each.
pub(in crate::formats) fn values(document: &Document, key: &str) -> Vec<Other> {
    let graph = &document.graph;
    let mut values = Vec::new();
    let root = graph.is_dict(graph.root).then(|| graph.item(graph.root, key)).flatten();
    let Some(items) = root.and_then(|root| items(graph, root)) else { return values };
    let mut open = vec![(String::new(), items.into_iter())];
    // One value may stand under many keys: it is looked at once.
    let mut known: HashMap<NodeId, String> = HashMap::new();
    let mut left = MAX_KEYS;
    while let Some((prefix, items)) = open.last_mut() {
        let Some((name, value)) = items.next() else {
            open.pop();
            continue;
        };
        let path = format!("{prefix}{}", key_text(graph, name));
        left = left.saturating_sub(path.len());
        if values.len() >= MAX_VALUES || left == 0 {
            break;
        }
        let value = inner(graph, value);
        let inside = if open.len() < MAX_DEPTH { self::items(graph, value) } else { None };
        match inside.filter(|items| !items.is_empty()) {
            Some(items) => open.push((format!("{path}."), items.into_iter())),
            None => {
                let what = known.entry(value).or_insert_with(|| literal(graph, value)).clone();
                values.push(Other { path, what });
            }
        }
    }
    values
}

/// What an object was given by `BUILD`, where that is a dict.
fn attributes(graph: &Graph, object: NodeId) -> Option<NodeId> {
    let state = graph.steps(object).filter(|step| step.op == BUILD).last()?;
    let &[state] = graph.list(state.operands) else { return None };
    graph.is_dict(state).then_some(state)
}

/// The module of an object's class.
fn module(graph: &Graph, object: NodeId) -> Option<String> {
    if !matches!(graph.node(object).op, NEWOBJ | REDUCE) {
        return None;
    }
    let first = graph.operands(object).first().copied()?;
    // `copyreg._reconstructor` takes the class as its first argument.
    let class = match graph.call(object) {
        Some((callable, &[class, ..])) if graph.is_global(callable, "copyreg", "_reconstructor") => class,
        Some((callable, &[class, ..])) if graph.is_global(callable, "copy_reg", "_reconstructor") => class,
        _ => first,
    };
    graph.global(class).map(|(module, _)| module.into_owned())
}

/// OmegaConf keeps each value in an object of its own; this is what that holds.
fn inner(graph: &Graph, value: NodeId) -> NodeId {
    let mut value = value;
    for _ in 0..4 {
        let is_omegaconf = module(graph, value).is_some_and(|module| module.starts_with("omegaconf."));
        let held = is_omegaconf.then(|| attributes(graph, value)).flatten();
        let held = held.and_then(|held| graph.item(held, "_content").or_else(|| graph.item(held, "_val")));
        match held {
            Some(held) => value = held,
            None => break,
        }
    }
    value
}

/// The items of a dict, of an instance of a subclass of it, or the attributes of a namespace.
fn items(graph: &Graph, value: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
    let value = inner(graph, value);
    let is_mapping =
        graph.is_dict(value) || graph.steps(value).any(|step| matches!(step.op, SETITEM | SETITEMS));
    let is_namespace = || module(graph, value).is_some_and(|name| name == "argparse" || name == "types");
    let dict = match is_mapping {
        true => value,
        false => attributes(graph, value).filter(|_| is_namespace())?,
    };
    Some(graph.items(dict))
}

fn key_text(graph: &Graph, key: NodeId) -> String {
    graph.text(key).map_or_else(|| describe(graph, key), |text| text.into_owned())
}

/// A value as Python writes it, where it is plain and short; else what it is.
fn literal(graph: &Graph, value: NodeId) -> String {
    let mut text = String::new();
    match write(graph, value, &mut text, 4) {
        Some(()) => text,
        None => describe(graph, value),
    }
}

/// Writes a value; nothing where it is too long, too deep, or a dict that lies in a list.
fn write(graph: &Graph, value: NodeId, text: &mut String, depth: usize) -> Option<()> {
    let value = inner(graph, value);
    match elements(graph, value) {
        Some(values) => {
            let depth = depth.checked_sub(1)?;
            let is_tuple = graph.tuple(value).is_some();
            text.push(if is_tuple { '(' } else { '[' });
            for (place, &value) in values.iter().enumerate() {
                text.push_str(if place > 0 { ", " } else { "" });
                write(graph, value, text, depth)?;
            }
            text.push_str(if is_tuple && values.len() == 1 { "," } else { "" });
            text.push(if is_tuple { ')' } else { ']' });
        }
        None if graph.is_dict(value) && graph.items(value).is_empty() => text.push_str("{}"),
        None if graph.is_dict(value) && depth < 4 => return None,
        None => text.push_str(&describe(graph, value)),
    }
    (text.len() <= MAX_CHARS).then_some(())
}
