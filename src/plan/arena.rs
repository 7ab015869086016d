//! The expressions of a plan: which operations make a tensor of which source tensors.

use crate::rules::op::{OpError, TensorOp, Term};
use crate::tensor::TensorSpec;

/// An expression of an [`Arena`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(u32);

impl ExprId {
    /// Its place in the arena.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One node of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// The dtype and shape of its result.
    pub spec: TensorSpec,
}

/// A source tensor, or an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// The n-th tensor of the source.
    Source(usize),
    /// An operation on other nodes. Most nodes are sources, so that its own room is elsewhere.
    Op(Box<TensorOp>, Vec<ExprId>),
}

impl Node {
    /// The same elements in storage of their own.
    fn copy(of: ExprId, spec: TensorSpec) -> Self {
        Node { kind: NodeKind::Op(Box::new(TensorOp::Copy), vec![of]), spec }
    }
}

/// How a moment goes with the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// As the gradient.
    One,
    /// As its square.
    Two,
}

/// All expressions of a plan; operands stand before what is made of them.
#[derive(Clone, Debug, Default)]
pub struct Arena(Vec<Node>);

impl Arena {
    /// An empty arena with room for this many nodes.
    pub(super) fn with_room(count: usize) -> Self {
        Arena(Vec::with_capacity(count))
    }

    /// The node of an expression.
    pub fn node(&self, id: ExprId) -> &Node {
        &self.0[id.index()]
    }

    /// The spec of an expression.
    pub fn spec(&self, id: ExprId) -> &TensorSpec {
        &self.node(id).spec
    }

    /// The operation that makes an expression, and its operands, where it is no source tensor.
    pub fn op(&self, id: ExprId) -> Option<(&TensorOp, &[ExprId])> {
        match &self.node(id).kind {
            NodeKind::Op(op, operands) => Some((op, operands)),
            NodeKind::Source(_) => None,
        }
    }

    /// The source tensor that an expression is, where no operation is applied to it.
    pub fn source(&self, id: ExprId) -> Option<usize> {
        if let NodeKind::Source(index) = self.node(id).kind { Some(index) } else { None }
    }

    /// The source tensors that an expression is made of, in order, each once.
    pub fn sources(&self, id: ExprId) -> Vec<usize> {
        let (mut sources, mut open) = (Vec::new(), vec![id]);
        while let Some(id) = open.pop() {
            match &self.node(id).kind {
                NodeKind::Source(index) if !sources.contains(index) => sources.push(*index),
                NodeKind::Source(_) => {}
                NodeKind::Op(_, operands) => open.extend(operands.iter().rev()),
            }
        }
        sources
    }

    /// The expression below copies of the whole tensor.
    pub fn uncopied(&self, id: ExprId) -> ExprId {
        match self.op(id) {
            Some((TensorOp::Copy, operands)) => operands.first().map_or(id, |&id| self.uncopied(id)),
            _ => id,
        }
    }

    /// A tensor of its own that is a copy of the only source.
    pub fn copy_of_source(&mut self, spec: TensorSpec) -> ExprId {
        let source = self.add_source(0, spec.clone());
        self.push(Node::copy(source, spec))
    }

    /// The expression over other tensors of the same shapes: the moments of a gradient in the place of its
    /// parameter. `source` gives each source its new number and its spec; `power` says how the moment goes
    /// with the gradient, where that is known.
    ///
    /// # Errors
    /// The operation that changes values in a way that moments cannot follow, in words.
    pub fn over(
        &self,
        id: ExprId,
        source: &dyn Fn(usize) -> Option<(usize, TensorSpec)>,
        power: Option<Power>,
    ) -> Result<(Arena, ExprId), String> {
        let mut arena = Arena::default();
        let expr = self.copy_over(id, source, power, &mut arena)?;
        // A moment is never shared with that of another parameter: it is updated in place.
        let spec = arena.spec(expr).clone();
        let expr = arena.push(Node::copy(expr, spec));
        Ok((arena, expr))
    }

    fn copy_over(
        &self,
        id: ExprId,
        source: &dyn Fn(usize) -> Option<(usize, TensorSpec)>,
        power: Option<Power>,
        arena: &mut Arena,
    ) -> Result<ExprId, String> {
        let (op, operands) = match &self.node(id).kind {
            NodeKind::Source(index) => {
                let (index, spec) = source(*index).ok_or("a tensor without state")?;
                return Ok(arena.add_source(index, spec));
            }
            NodeKind::Op(op, operands) => (&**op, operands),
        };
        let inputs: Result<Vec<ExprId>, String> =
            operands.iter().map(|&operand| self.copy_over(operand, source, power, arena)).collect();
        let inputs = inputs?;
        let op = match (op, power) {
            // Moments keep their own dtype.
            (TensorOp::Cast(_), _) => return inputs.first().copied().ok_or_else(|| "nothing".to_owned()),
            (TensorOp::Scale(by), Some(Power::One)) => TensorOp::Scale(1.0 / by),
            (TensorOp::Scale(by), Some(Power::Two)) => TensorOp::Scale(1.0 / (by * by)),
            (TensorOp::Scale(_), None) => return Err("scaling, and this optimizer is not known".to_owned()),
            (TensorOp::Offset(_), _) => return Err("an offset".to_owned()),
            (TensorOp::Fill { .. }, _) => return Err("new elements beside old ones".to_owned()),
            (TensorOp::Compute { .. }, _) => return Err("`compute`".to_owned()),
            (TensorOp::Interpolate(_), _) => return Err("`interpolate`".to_owned()),
            (
                TensorOp::Copy
                | TensorOp::Permute(_)
                | TensorOp::Narrow { .. }
                | TensorOp::Reshape(_)
                | TensorOp::Flip { .. }
                | TensorOp::Concat { .. },
                _,
            ) => op.clone(),
        };
        arena.add_op(op, inputs).map_err(|error| error.to_string())
    }

    /// Copies all expressions into another arena, where other tensors stand for the sources: for each
    /// expression its copy, or none where a source has no counterpart.
    ///
    /// # Errors
    /// The operation that does not fit the other tensors, in words.
    pub(super) fn copied_into(
        &self,
        arena: &mut Arena,
        sources: &[Option<ExprId>],
    ) -> Result<Vec<Option<ExprId>>, String> {
        let mut copies: Vec<Option<ExprId>> = Vec::with_capacity(self.0.len());
        for node in &self.0 {
            let copy = match &node.kind {
                NodeKind::Source(index) => sources.get(*index).copied().flatten(),
                NodeKind::Op(op, operands) => {
                    let operands = operands.iter().map(|id| copies.get(id.index()).copied().flatten());
                    match operands.collect::<Option<Vec<ExprId>>>() {
                        Some(inputs) => {
                            let copy = arena.add_op(TensorOp::clone(op), inputs);
                            Some(copy.map_err(|error| error.to_string())?)
                        }
                        None => None,
                    }
                }
            };
            copies.push(copy);
        }
        Ok(copies)
    }

    /// The expression of the n-th source tensor, which the arena begins with.
    #[allow(clippy::cast_possible_truncation)] // four billion nodes do not fit into memory
    pub(super) fn of_source(index: usize) -> ExprId {
        ExprId(index as u32)
    }

    pub(super) fn add_source(&mut self, index: usize, spec: TensorSpec) -> ExprId {
        self.push(Node { kind: NodeKind::Source(index), spec })
    }

    /// Adds what a verb built over these operands.
    ///
    /// # Errors
    /// Where an operation does not fit its operands.
    pub(super) fn add_term(&mut self, term: &Term, operands: &[ExprId]) -> Result<ExprId, OpError> {
        match term {
            Term::Input(index) => operands.get(*index).copied().ok_or(OpError::Object),
            Term::Op(op, terms) => {
                let inputs: Result<Vec<ExprId>, OpError> =
                    terms.iter().map(|term| self.add_term(term, operands)).collect();
                self.add_op(op.clone(), inputs?)
            }
        }
    }

    fn add_op(&mut self, op: TensorOp, inputs: Vec<ExprId>) -> Result<ExprId, OpError> {
        let specs: Vec<&TensorSpec> = inputs.iter().map(|&id| self.spec(id)).collect();
        let spec = op.infer(&specs)?;
        // Views that change nothing are no operation, so that a reshape to the own shape stays a rename. Parts
        // of a tensor without elements are all equal to it, and still tensors of their own.
        if let [input] = inputs.as_slice()
            && self.spec(*input) == &spec
            && spec.numel() != Some(0)
            && is_identity(&op)
        {
            return Ok(*input);
        }
        Ok(self.push(Node { kind: NodeKind::Op(Box::new(op), inputs), spec }))
    }

    #[allow(clippy::cast_possible_truncation)] // four billion nodes do not fit into memory
    fn push(&mut self, node: Node) -> ExprId {
        self.0.push(node);
        ExprId((self.0.len() - 1) as u32)
    }
}

/// Whether the operation, applied to an operand of the result's own spec, changes nothing.
fn is_identity(op: &TensorOp) -> bool {
    match op {
        TensorOp::Reshape(_)
        | TensorOp::Narrow { .. }
        | TensorOp::Cast(_)
        | TensorOp::Concat { .. }
        | TensorOp::Interpolate(_) => true,
        TensorOp::Permute(dims) => dims.is_sorted(),
        TensorOp::Fill { .. }
        | TensorOp::Copy
        | TensorOp::Flip { .. }
        | TensorOp::Scale(_)
        | TensorOp::Offset(_)
        | TensorOp::Compute { .. } => false,
    }
}
