//! There and back as one expression, brought to its simplest form: what is left shows what the way there and
//! back does to a tensor.

use std::rc::Rc;

use super::ops::widens;
use crate::plan::{Arena, ExprId, NodeKind};
use crate::rules::op::TensorOp;
use crate::rules::verbs::Reverse;
use crate::tensor::TensorSpec;

/// An expression over the source's tensors.
#[derive(Debug)]
pub(super) struct Tree {
    kind: Kind,
    spec: TensorSpec,
    /// How well what was simplified away here undoes itself.
    own: Reverse,
}

#[derive(Debug)]
enum Kind {
    /// The n-th tensor of the source.
    Leaf(usize),
    Op(TensorOp, Vec<Rc<Tree>>),
}

impl Tree {
    /// A tensor of the source.
    pub fn leaf(index: usize, spec: TensorSpec) -> Rc<Tree> {
        Rc::new(Tree { kind: Kind::Leaf(index), spec, own: Reverse::Exact })
    }

    /// The source's tensor that it is, and how well.
    pub fn identity(&self) -> Option<(usize, Reverse)> {
        if let Kind::Leaf(index) = self.kind { Some((index, self.own)) } else { None }
    }

    /// Whether it is made from nothing.
    pub fn is_filled(&self) -> bool {
        matches!(self.kind, Kind::Op(TensorOp::Fill { .. }, _))
    }

    /// An expression of an arena, in whose place of sources `leaf` stands.
    pub fn of(arena: &Arena, expr: ExprId, leaf: &dyn Fn(usize) -> Option<Rc<Tree>>) -> Option<Rc<Tree>> {
        let node = arena.node(expr);
        match &node.kind {
            NodeKind::Source(index) => leaf(*index),
            NodeKind::Op(op, inputs) => {
                let inputs: Option<Vec<Rc<Tree>>> =
                    inputs.iter().map(|&input| Tree::of(arena, input, leaf)).collect();
                Some(made(TensorOp::clone(op), inputs?, node.spec.clone()))
            }
        }
    }

    fn no_better_than(tree: &Rc<Tree>, reverse: Reverse) -> Rc<Tree> {
        if tree.own >= reverse {
            return tree.clone();
        }
        let kind = match &tree.kind {
            Kind::Leaf(index) => Kind::Leaf(*index),
            Kind::Op(op, inputs) => Kind::Op(op.clone(), inputs.clone()),
        };
        Rc::new(Tree { kind, spec: tree.spec.clone(), own: reverse })
    }

    fn same(&self, other: &Tree) -> bool {
        std::ptr::eq(self, other)
            || (self.spec == other.spec
                && self.own == other.own
                && match (&self.kind, &other.kind) {
                    (Kind::Leaf(own), Kind::Leaf(other)) => own == other,
                    (Kind::Op(op, inputs), Kind::Op(other, of)) => {
                        op == other
                            && inputs.len() == of.len()
                            && inputs.iter().zip(of).all(|(own, other)| own.same(other))
                    }
                    _ => false,
                })
    }
}

/// An operation on trees, in its simplest form.
fn made(op: TensorOp, inputs: Vec<Rc<Tree>>, spec: TensorSpec) -> Rc<Tree> {
    match (&op, inputs.as_slice()) {
        (TensorOp::Concat { dim }, _) => return joined(*dim, &inputs, spec),
        (_, [input]) => {
            if let Some(tree) = simpler(&op, input, &spec) {
                // Where the operand itself falls away, what fell away in its place is not forgotten.
                return Tree::no_better_than(&tree, input.own);
            }
        }
        _ => {}
    }
    Rc::new(Tree { kind: Kind::Op(op, inputs), spec, own: Reverse::Exact })
}

/// What an operation on one tree comes to, if that is simpler.
fn simpler(op: &TensorOp, input: &Rc<Tree>, spec: &TensorSpec) -> Option<Rc<Tree>> {
    let below = match &input.kind {
        Kind::Op(below, of) => Some((below, of.as_slice())),
        Kind::Leaf(_) => None,
    };
    let again = |op: TensorOp, of: &Rc<Tree>| made(op, vec![of.clone()], spec.clone());
    match (op, below) {
        (TensorOp::Copy, _) => Some(input.clone()),
        (TensorOp::Reshape(_) | TensorOp::Narrow { .. } | TensorOp::Cast(_), _) if input.spec == *spec => {
            Some(input.clone())
        }
        (TensorOp::Reshape(_), Some((TensorOp::Reshape(_), [of]))) => Some(again(op.clone(), of)),
        (TensorOp::Permute(dims), _) if dims.is_sorted() => Some(input.clone()),
        (TensorOp::Permute(dims), Some((TensorOp::Reshape(_), [of])))
            if is_squeeze(&of.spec.shape, &input.spec.shape) =>
        {
            let order = order_below(dims, &input.spec.shape, &of.spec.shape)?;
            let shape = order.iter().filter_map(|&dim| of.spec.shape.get(dim).copied()).collect::<Vec<u64>>();
            let turned = TensorSpec::new(spec.dtype, shape);
            let turned = made(TensorOp::Permute(order), vec![of.clone()], turned);
            Some(again(TensorOp::Reshape(spec.shape.clone()), &turned))
        }
        (TensorOp::Permute(dims), Some((TensorOp::Permute(first), [of]))) => {
            let both: Option<Vec<usize>> = dims.iter().map(|&dim| first.get(dim).copied()).collect();
            Some(again(TensorOp::Permute(both?), of))
        }
        // Dims of size 1 may stand anywhere: elements move only where the others change their order.
        (TensorOp::Permute(dims), _) => {
            let moving = dims.iter().filter(|dim| input.spec.shape.get(**dim).is_some_and(|size| *size != 1));
            moving.is_sorted().then(|| again(TensorOp::Reshape(spec.shape.clone()), input))
        }
        (TensorOp::Flip { dim }, Some((TensorOp::Flip { dim: own }, [of]))) if dim == own => Some(of.clone()),
        (
            TensorOp::Narrow { dim, start, len },
            Some((TensorOp::Narrow { dim: own, start: first, .. }, [of])),
        ) if dim == own => Some(again(TensorOp::Narrow { dim: *dim, start: start + first, len: *len }, of)),
        (TensorOp::Narrow { dim, start, len }, Some((TensorOp::Concat { dim: own }, parts)))
            if dim == own =>
        {
            part_of(*dim, *start, *len, parts, spec)
        }
        (TensorOp::Narrow { dim, .. }, Some((TensorOp::Concat { dim: other }, parts))) => {
            let cut = |part: &Rc<Tree>| {
                let mut shape = part.spec.shape.clone();
                *shape.get_mut(*dim)? = *spec.shape.get(*dim)?;
                Some(made(op.clone(), vec![part.clone()], TensorSpec::new(spec.dtype, shape)))
            };
            let parts: Option<Vec<Rc<Tree>>> = parts.iter().map(cut).collect();
            Some(joined(*other, &parts?, spec.clone()))
        }
        (TensorOp::Cast(dtype), Some((TensorOp::Cast(between), [of]))) if of.spec.dtype == *dtype => {
            let reverse = if widens(*dtype, *between) { Reverse::Exact } else { Reverse::Lossy };
            Some(Tree::no_better_than(of, reverse))
        }
        (TensorOp::Scale(by), Some((TensorOp::Scale(first), [of]))) if (by * first - 1.0).abs() < 1e-12 => {
            Some(Tree::no_better_than(of, Reverse::Numeric))
        }
        (TensorOp::Offset(by), Some((TensorOp::Offset(first), [of]))) if by + first == 0.0 => {
            Some(Tree::no_better_than(of, Reverse::Numeric))
        }
        _ => None,
    }
}

/// Whether two shapes differ in dims of size 1 alone.
fn is_squeeze(first: &[u64], second: &[u64]) -> bool {
    let without = |shape: &[u64]| shape.iter().copied().filter(|size| *size != 1).collect::<Vec<u64>>();
    first.len() != second.len() && without(first) == without(second)
}

/// A permutation of a tensor's dims, said of the same tensor with other dims of size 1; these come last.
fn order_below(dims: &[usize], shape: &[u64], below: &[u64]) -> Option<Vec<usize>> {
    let long = |shape: &[u64]| (0..shape.len()).filter(|&dim| shape[dim] != 1).collect::<Vec<usize>>();
    let (own, others) = (long(shape), long(below));
    let moved = dims.iter().filter(|&&dim| own.contains(&dim));
    let order: Option<Vec<usize>> =
        moved.map(|dim| others.get(own.iter().position(|own| own == dim)?).copied()).collect();
    let mut order = order?;
    order.extend((0..below.len()).filter(|&dim| below[dim] == 1));
    Some(order)
}

/// A range of a concatenation: of one part, or of several that stay concatenated.
fn part_of(dim: usize, start: u64, len: u64, parts: &[Rc<Tree>], spec: &TensorSpec) -> Option<Rc<Tree>> {
    let (mut offset, mut taken) = (0, Vec::new());
    for part in parts {
        let size = *part.spec.shape.get(dim)?;
        let (first, last) = (start.max(offset), (start + len).min(offset + size));
        if first < last {
            let mut shape = part.spec.shape.clone();
            *shape.get_mut(dim)? = last - first;
            let op = TensorOp::Narrow { dim, start: first - offset, len: last - first };
            taken.push(made(op, vec![part.clone()], TensorSpec::new(part.spec.dtype, shape)));
        }
        offset += size;
    }
    (!taken.is_empty()).then(|| joined(dim, &taken, spec.clone()))
}

/// A concatenation without parts inside parts, and without cuts between neighbours.
fn joined(dim: usize, inputs: &[Rc<Tree>], spec: TensorSpec) -> Rc<Tree> {
    let mut parts: Vec<Rc<Tree>> = Vec::new();
    let inner = |input: &Rc<Tree>| match &input.kind {
        Kind::Op(TensorOp::Concat { dim: own }, of) if *own == dim => {
            of.iter().map(|part| Tree::no_better_than(part, input.own)).collect()
        }
        _ => vec![input.clone()],
    };
    for input in inputs.iter().flat_map(inner) {
        let empty = input.spec.shape.get(dim) == Some(&0);
        if empty && spec.shape.get(dim) != Some(&0) {
            continue;
        }
        match parts.last().and_then(|last| neighbours(dim, last, &input)) {
            Some(both) => {
                parts.pop();
                parts.push(both);
            }
            None => parts.push(input),
        }
    }
    if let [first, filling] = parts.as_slice()
        && let (Kind::Op(TensorOp::Narrow { dim: own, start: 0, .. }, of), true) =
            (&first.kind, filling.is_filled())
        && let [of] = of.as_slice()
        && *own == dim
        && of.spec == spec
    {
        return Tree::no_better_than(of, Reverse::Lossy);
    }
    match parts.as_slice() {
        [one] if one.spec == spec => one.clone(),
        _ => Rc::new(Tree { kind: Kind::Op(TensorOp::Concat { dim }, parts), spec, own: Reverse::Exact }),
    }
}

/// Two ranges of one tensor that lie side by side, as one.
fn neighbours(dim: usize, first: &Rc<Tree>, second: &Rc<Tree>) -> Option<Rc<Tree>> {
    let (
        Kind::Op(TensorOp::Narrow { dim: own, start, len }, of),
        Kind::Op(TensorOp::Narrow { dim: other, start: next, len: more }, second_of),
    ) = (&first.kind, &second.kind)
    else {
        return None;
    };
    let (of, second_of) = (of.first()?, second_of.first()?);
    if (*own, *other) != (dim, dim) || start + len != *next || !of.same(second_of) {
        return None;
    }
    let mut shape = of.spec.shape.clone();
    *shape.get_mut(dim)? = len + more;
    let op = TensorOp::Narrow { dim, start: *start, len: len + more };
    let spec = TensorSpec::new(of.spec.dtype, shape);
    Some(Tree::no_better_than(&made(op, vec![of.clone()], spec), first.own.max(second.own)))
}
