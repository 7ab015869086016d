//! The tensors of a checkpoint by module, as a tree of a few lines.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::keyset::index_text;
use crate::tensor::{Dtype, TensorSpec};

/// Deeper modules are not told apart, so that a hostile key costs no time.
const MAX_SEGMENTS: usize = 64;

/// A tree of more levels is no summary.
pub(super) const MAX_LEVELS: usize = 4;

/// A tensor, and whether its bytes are its own or were counted at another key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor<'a> {
    pub key: &'a str,
    pub spec: &'a TensorSpec,
    pub own: bool,
}

/// What some tensors come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub tensors: usize,
    pub elements: u64,
    pub bytes: u64,
}

impl Total {
    pub(super) fn of<'a>(tensors: impl IntoIterator<Item = Tensor<'a>>) -> Self {
        tensors.into_iter().fold(Total::default(), |total, tensor| {
            let counts = tensor.own && tensor.spec.dtype != Dtype::Object;
            let counted = |amount: Option<u64>| if counts { amount.unwrap_or(0) } else { 0 };
            Total {
                tensors: total.tensors + 1,
                elements: total.elements.saturating_add(counted(tensor.spec.numel())),
                bytes: total.bytes.saturating_add(counted(tensor.spec.nbytes())),
            }
        })
    }
}

/// A line of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// How deep it lies, from 0.
    pub depth: usize,
    /// Its name below the one above: `encoder`, `layers.{0…23}`.
    pub name: String,
    pub total: Total,
}

/// The tree that has as many levels as fit into `lines`, and at least one.
pub(super) fn tree(tensors: &[Tensor<'_>], lines: usize) -> Vec<Module> {
    let mut tree = levels(tensors, MAX_LEVELS);
    let fits = |levels: &usize| tree.iter().filter(|module| module.depth < *levels).count() <= lines;
    let shown = (2..=MAX_LEVELS).rev().find(fits).unwrap_or(1);
    tree.retain(|module| module.depth < shown);
    tree
}

/// The tree of that many levels.
///
/// A module that holds one module and nothing else is one with it (`model.encoder`), and numbered
/// modules that hold the same (names, dtypes and shapes) are one line (`{0…23}`).
pub(super) fn levels(tensors: &[Tensor<'_>], levels: usize) -> Vec<Module> {
    let split = |tensor: &Tensor<'_>| tensor.key.splitn(MAX_SEGMENTS, '.').map(str::len).collect();
    let builder = Builder { tensors, lengths: tensors.iter().map(split).collect() };
    let mut rows = Vec::new();
    let mut open = builder.children(&Node { members: (0..tensors.len()).collect(), ..Node::default() }, 0);
    open.reverse();
    while let Some(mut node) = open.pop() {
        let children = builder.go_down(&mut node);
        let total = Total::of(node.members.iter().map(|&member| tensors[member]));
        rows.push(Module { depth: node.depth, name: node.name, total });
        // A module of tensors alone is told by its own line.
        if node.depth + 1 < levels && children.iter().any(|child| !child.is_tensor) {
            open.extend(children.into_iter().rev());
        }
    }
    rows
}

/// A module that may stand for several that are alike, or a tensor.
#[derive(Default)]
struct Node {
    depth: usize,
    name: String,
    /// How many segments of its tensors' keys lead to it.
    at: usize,
    members: Vec<usize>,
    is_tensor: bool,
}

struct Builder<'a> {
    tensors: &'a [Tensor<'a>],
    /// The length of each segment of each key.
    lengths: Vec<Vec<usize>>,
}

impl<'a> Builder<'a> {
    /// Makes a module one with the only module in it, as long as there is one, and gives what lies in it.
    fn go_down(&self, node: &mut Node) -> Vec<Node> {
        loop {
            if node.is_tensor {
                return Vec::new();
            }
            let mut children = self.children(node, node.depth + 1);
            if children.len() != 1 || children.iter().any(|child| child.is_tensor) {
                return children;
            }
            if let Some(only) = children.pop() {
                *node = Node { depth: node.depth, name: format!("{}.{}", node.name, only.name), ..only };
            }
        }
    }

    /// What lies in a module, in order.
    fn children(&self, node: &Node, depth: usize) -> Vec<Node> {
        let mut named: IndexMap<(&str, bool), Vec<usize>> = IndexMap::new();
        for &member in &node.members {
            let is_tensor = self.lengths[member].len() <= node.at + 1;
            named.entry((self.segment(member, node.at), is_tensor)).or_default().push(member);
        }
        let mut alike: HashMap<Vec<(&str, &TensorSpec)>, usize> = HashMap::new();
        let mut children: Vec<(Node, Vec<u64>)> = Vec::new();
        for ((name, is_tensor), members) in named {
            let index = name.parse().ok().filter(|index: &u64| !is_tensor && index.to_string() == name);
            if let Some(index) = index {
                let place = *alike.entry(self.content(&members, node.at)).or_insert(children.len());
                if let Some((child, indices)) = children.get_mut(place) {
                    child.members.extend(members);
                    indices.push(index);
                    continue;
                }
            }
            let child = Node { depth, name: name.to_owned(), at: node.at + 1, members, is_tensor };
            children.push((child, index.into_iter().collect()));
        }
        let finish = |(mut child, mut indices): (Node, Vec<u64>)| {
            if indices.len() > 1 {
                indices.sort_unstable();
                child.name = format!("{{{}}}", index_text(&indices));
            }
            child
        };
        children.into_iter().map(finish).collect()
    }

    /// What the tensors are called below the segment at `at`, and what they are.
    fn content(&self, members: &[usize], at: usize) -> Vec<(&'a str, &'a TensorSpec)> {
        let below = |&member: &usize| {
            let tensor = self.tensors[member];
            let start: usize = self.lengths[member].iter().take(at + 1).map(|length| length + 1).sum();
            (tensor.key.get(start..).unwrap_or_default(), tensor.spec)
        };
        members.iter().map(below).collect()
    }

    fn segment(&self, member: usize, at: usize) -> &'a str {
        let lengths = &self.lengths[member];
        let start: usize = lengths.iter().take(at).map(|length| length + 1).sum();
        let length = lengths.get(at).copied().unwrap_or(0);
        self.tensors[member].key.get(start..start + length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(keys: &[String], depth: usize) -> Vec<String> {
        let spec = TensorSpec::new(Dtype::F32, [10]);
        let tensors: Vec<Tensor<'_>> =
            keys.iter().map(|key| Tensor { key, spec: &spec, own: true }).collect();
        let line = |module: Module| {
            format!("{}{} {}", "  ".repeat(module.depth), module.name, module.total.elements)
        };
        levels(&tensors, depth).into_iter().map(line).collect()
    }

    #[test]
    fn layers_that_are_alike_are_one_line() {
        let mut keys = vec!["model.embed".to_owned()];
        for layer in 0..4 {
            for name in ["attn.q.weight", "attn.q.bias", "norm.weight"] {
                keys.push(format!("model.layers.{layer}.{name}"));
            }
        }
        keys.push("model.layers.4.odd.weight".to_owned());
        keys.push("head.weight".to_owned());
        assert_eq!(
            show(&keys, 3),
            ["model 140", "  embed 10", "  layers 130", "    {0…3} 120", "    4.odd 10", "head 10"]
        );
        assert_eq!(show(&keys, 1), ["model 140", "head 10"]);
    }

    #[test]
    fn chains_are_one_line_and_odd_keys_do_no_harm() {
        assert_eq!(show(&["a.b.c.w".to_owned(), "a.b.d.w".to_owned()], 2), ["a.b 20", "  c 10", "  d 10"]);
        let odd = ["".to_owned(), ".".to_owned(), "x.".repeat(100_000)];
        assert_eq!(show(&odd, 2).len(), 3);
    }
}
