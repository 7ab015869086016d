//! The object graph that a pickle describes, kept as symbols: nothing in it is imported or called.
//!
//! A node is one creation opcode with its operands, the mutation steps that follow it in order
//! (`APPENDS`, `SETITEMS`, `BUILD` …, with the pickler's batch boundaries), and whether the pickler
//! memoized it. That is enough to write the pickle again byte for byte, see `emit`.
//!
//! Nodes, steps, operand lists and literal bytes live in four arenas and refer to each other by
//! index, so that neither reading nor dropping a hostile graph recurses. A copy that is to be edited
//! shares the pickle, which never changes.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::opcode::*;

/// A node of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u32);

/// A range of one of the arenas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// How one value comes to be. There are ten of them for each tensor: what few of them have lies beside them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The opcode that creates the value.
    pub(super) op: u8,
    /// Whether the pickler put the value into its memo.
    pub(super) memoized: bool,
    /// Whether it is a literal: the opcode with its inline argument as it stood in the pickle. Else it has operands.
    is_literal: bool,
    /// The bytes of the literal, or the operands in the order in which they were pushed.
    span: Span,
}

/// One mutation of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) op: u8,
    pub(super) operands: Span,
    pub(super) next: Option<u32>,
}

/// The arenas are full: more than 2³² nodes, operands or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The values of a pickle and how they hang together.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) protocol: u8,
    pub(super) root: NodeId,
    nodes: Vec<Node>,
    /// The inline arguments of nodes that have operands too: `INST`.
    inline: HashMap<NodeId, Span, RandomState>,
    steps: Vec<Step>,
    /// The first and the last mutation step of the nodes that have some.
    changed: HashMap<NodeId, (u32, u32), RandomState>,
    operands: Vec<NodeId>,
    /// What was read: most literals are ranges of it.
    pickle: Arc<Vec<u8>>,
    /// The literals that edits add; in spans they follow the pickle.
    added: Vec<u8>,
    /// Unmemoized small constants, one node each.
    constants: HashMap<[u8; 9], NodeId, RandomState>,
    /// How many bytes of joined keys a walk through it may make.
    pub(super) key_bytes: u64,
    /// Which opcodes the pickle was read from: not all of them leave a node.
    opcodes: [bool; 256],
}

fn index(value: usize) -> Result<u32, Full> {
    u32::try_from(value).map_err(|_| Full)
}

impl Graph {
    /// A graph without nodes over the bytes of a pickle.
    pub(super) fn over(bytes: Vec<u8>) -> Self {
        Graph {
            protocol: 2,
            root: NodeId(0),
            nodes: Vec::new(),
            inline: HashMap::default(),
            steps: Vec::new(),
            changed: HashMap::default(),
            operands: Vec::new(),
            pickle: Arc::new(bytes),
            added: Vec::new(),
            constants: HashMap::default(),
            key_bytes: u64::MAX,
            opcodes: [false; 256],
        }
    }

    /// A copy with room for edits.
    pub(super) fn to_edit(&self) -> Self {
        Graph {
            protocol: self.protocol,
            root: self.root,
            nodes: with_room(&self.nodes),
            inline: self.inline.clone(),
            steps: with_room(&self.steps),
            changed: self.changed.clone(),
            operands: with_room(&self.operands),
            pickle: self.pickle.clone(),
            added: self.added.clone(),
            constants: self.constants.clone(),
            key_bytes: self.key_bytes,
            opcodes: self.opcodes,
        }
    }

    /// Gives back what the arenas have taken ahead of need.
    pub(super) fn complete(&mut self) {
        self.nodes.shrink_to_fit();
        self.steps.shrink_to_fit();
        self.operands.shrink_to_fit();
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The number of all operands, of nodes and of steps.
    pub(super) fn uses(&self) -> usize {
        self.operands.len()
    }

    /// The ids of all nodes, in the order in which they came to be.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        // Ids are numbers of 32 bits: `push` sees to it.
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    /// Notes that the pickle has an opcode.
    pub(super) fn note_opcode(&mut self, code: u8) {
        self.opcodes[usize::from(code)] = true;
    }

    /// The opcodes that the pickle was read from.
    pub(super) fn opcodes(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|&code| self.opcodes[usize::from(code)])
    }

    /// The pickle that it was read from.
    pub(super) fn pickle(&self) -> &[u8] {
        &self.pickle
    }

    /// The length of the pickle and of all literals that were added to it, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pickle.len() + self.added.len()
    }

    /// The bytes of a literal.
    fn slice(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        let (bytes, start) = match start.checked_sub(self.pickle.len()) {
            Some(start) => (&self.added, start),
            None => (&*self.pickle, start),
        };
        &bytes[start..start + span.len as usize]
    }

    /// The node of this id.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Marks a node as memoized.
    pub(super) fn memoize(&mut self, id: NodeId) {
        self.nodes[id.0 as usize].memoized = true;
    }

    /// The nodes of an operand list.
    pub(super) fn list(&self, span: Span) -> &[NodeId] {
        &self.operands[span.start as usize..span.start as usize + span.len as usize]
    }

    /// Where the operands of a node are; nowhere, where it is a literal.
    pub(super) fn operand_span(&self, id: NodeId) -> Span {
        let node = self.node(id);
        if node.is_literal { Span::default() } else { node.span }
    }

    /// The operands of a node.
    pub(super) fn operands(&self, id: NodeId) -> &[NodeId] {
        self.list(self.operand_span(id))
    }

    /// The opcode of a node with its inline argument; empty, where it has none.
    pub(super) fn literal(&self, id: NodeId) -> &[u8] {
        let node = self.node(id);
        let span =
            if node.is_literal { node.span } else { self.inline.get(&id).copied().unwrap_or_default() };
        self.slice(span)
    }

    /// The step of this index.
    pub(super) fn step(&self, index: u32) -> &Step {
        &self.steps[index as usize]
    }

    /// The first mutation step of a node.
    pub(super) fn first_step(&self, id: NodeId) -> Option<u32> {
        self.changed.get(&id).map(|&(first, _)| first)
    }

    /// The mutation steps of a node, in order.
    pub(super) fn steps(&self, id: NodeId) -> impl Iterator<Item = &Step> {
        let mut next = self.first_step(id);
        std::iter::from_fn(move || {
            let step = self.step(next?);
            next = step.next;
            Some(step)
        })
    }

    /// Adds a node that is one literal found at `start..end` of the bytes.
    pub(super) fn add_literal(&mut self, op: u8, start: usize, end: usize) -> Result<NodeId, Full> {
        let span = Span { start: index(start)?, len: index(end - start)? };
        let mut constant = [0; 9];
        let is_constant = matches!(
            op,
            NONE | NEWTRUE | NEWFALSE | EMPTY_TUPLE | BININT | BININT1 | BININT2 | BINFLOAT | LONG1
        ) && end - start <= constant.len();
        if is_constant {
            constant[..end - start].copy_from_slice(self.slice(span));
            if let Some(&id) = self.constants.get(&constant) {
                return Ok(id);
            }
        }
        let id = self.push(Node { op, memoized: false, is_literal: true, span })?;
        if is_constant {
            self.constants.insert(constant, id);
        }
        Ok(id)
    }

    /// Adds a node of an opcode over operands.
    pub(super) fn add(&mut self, op: u8, operands: &[NodeId]) -> Result<NodeId, Full> {
        let span = self.add_list(operands)?;
        self.push(Node { op, memoized: false, is_literal: false, span })
    }

    /// Notes the inline argument of a node over operands, found at `start..end` of the bytes.
    pub(super) fn set_inline(&mut self, id: NodeId, start: usize, end: usize) -> Result<(), Full> {
        self.inline.insert(id, Span { start: index(start)?, len: index(end - start)? });
        Ok(())
    }

    /// Adds a node whose literal is not in the bytes yet.
    pub(super) fn add_new_literal(&mut self, literal: &[u8], memoized: bool) -> Result<NodeId, Full> {
        let start = self.bytes();
        self.added.extend_from_slice(literal);
        let op = literal.first().copied().unwrap_or(NONE);
        let id = self.add_literal(op, start, start + literal.len())?;
        self.nodes[id.0 as usize].memoized |= memoized;
        Ok(id)
    }

    /// Adds an operand list.
    pub(super) fn add_list(&mut self, operands: &[NodeId]) -> Result<Span, Full> {
        let start = index(self.operands.len())?;
        let len = index(operands.len())?;
        start.checked_add(len).ok_or(Full)?;
        self.operands.extend_from_slice(operands);
        Ok(Span { start, len })
    }

    /// Adds a mutation step after the others of a node.
    pub(super) fn add_step(&mut self, id: NodeId, op: u8, operands: &[NodeId]) -> Result<(), Full> {
        let operands = self.add_list(operands)?;
        let new = index(self.steps.len())?;
        self.steps.push(Step { op, operands, next: None });
        let (_, last) = self.changed.entry(id).or_insert((new, new));
        if *last != new {
            self.steps[*last as usize].next = Some(new);
            *last = new;
        }
        Ok(())
    }

    /// Forgets all mutation steps of a node.
    pub(super) fn clear_steps(&mut self, id: NodeId) {
        self.changed.remove(&id);
    }

    /// Replaces the operands of a node.
    pub(super) fn set_operands(&mut self, id: NodeId, operands: &[NodeId]) -> Result<(), Full> {
        let span = self.add_list(operands)?;
        let node = &mut self.nodes[id.0 as usize];
        (node.is_literal, node.span) = (false, span);
        Ok(())
    }

    /// Puts another node in the place of each that is a key of `others`, wherever it is used.
    pub(super) fn substitute(&mut self, others: &HashMap<NodeId, NodeId>) {
        for id in self.operands.iter_mut().chain([&mut self.root]) {
            if let Some(other) = others.get(id) {
                *id = *other;
            }
        }
    }

    fn push(&mut self, node: Node) -> Result<NodeId, Full> {
        let id = index(self.nodes.len())?;
        self.nodes.push(node);
        Ok(NodeId(id))
    }
}

/// A copy that holds a quarter more before it has to move.
fn with_room<T: Copy>(list: &[T]) -> Vec<T> {
    let mut copy = Vec::with_capacity(list.len() + list.len() / 4);
    copy.extend_from_slice(list);
    copy
}
