//! Writes a graph as a pickle again, as Python's pickler would: each value where it is first used,
//! later uses through the memo, which is numbered anew.
//!
//! A graph that was read from what torch wrote, and not edited, gives the same bytes. `FRAME` is
//! not written; memo entries are `BINPUT` and `LONG_BINPUT` whatever the source had.

use std::collections::BTreeSet;

use super::graph::{Graph, NodeId, Span};
use super::opcode::{self, *};
use super::weights_only::mentioned;

/// A pickle, and the persistent ids in it.
pub(super) struct Emission {
    pub(super) bytes: Vec<u8>,
    /// The `BINPERSID` nodes in the order of their first mention.
    pub(super) persistent: Vec<NodeId>,
    /// Every `module.name` in it.
    pub(super) globals: BTreeSet<String>,
}

/// The graph cannot be written within the budget: it is entangled with itself.
#[derive(Debug)]
pub(super) struct Entangled;

/// What is left to do; a stack of these replaces recursion.
enum Task {
    Value(NodeId),
    /// The operands from this index on.
    Operands(Span, u32),
    /// The opcode of a node whose operands are written.
    Create(NodeId),
    /// The step of this index, and those after it.
    Steps(u32),
    Opcode(u8),
}

const UNSEEN: u32 = u32::MAX;

struct Emitter<'a> {
    graph: &'a Graph,
    out: Vec<u8>,
    memo: Vec<u32>,
    next: u32,
    memoize: Vec<bool>,
    persistent: Vec<NodeId>,
    /// Which persistent ids and mentions of classes and functions have been written.
    seen: Vec<bool>,
    globals: BTreeSet<String>,
    tasks: Vec<Task>,
}

/// Writes the graph from its root.
///
/// # Errors
/// Where the pickle would be larger than `max_bytes`.
pub(super) fn emit(graph: &Graph, max_bytes: usize) -> Result<Emission, Entangled> {
    let mut emitter = Emitter {
        graph,
        // An edited pickle is about as long as what it is made of.
        out: Vec::with_capacity(graph.bytes().min(max_bytes)),
        memo: vec![UNSEEN; graph.len()],
        next: 0,
        memoize: to_memoize(graph),
        persistent: Vec::new(),
        seen: vec![false; graph.len()],
        globals: BTreeSet::new(),
        tasks: vec![Task::Value(graph.root)],
    };
    if graph.protocol >= 2 {
        emitter.out.extend([PROTO, graph.protocol]);
    }
    while let Some(task) = emitter.tasks.pop() {
        emitter.run(task);
        if emitter.out.len() > max_bytes {
            return Err(Entangled);
        }
    }
    emitter.out.push(STOP);
    Ok(Emission { bytes: emitter.out, persistent: emitter.persistent, globals: emitter.globals })
}

/// Which nodes need a memo entry: those the pickler memoized, and those that are used twice.
fn to_memoize(graph: &Graph) -> Vec<bool> {
    let mut memoize = vec![false; graph.len()];
    let mut seen = vec![false; graph.len()];
    let mut cyclic_risk = Vec::new();
    let mut pending = vec![graph.root];
    while let Some(id) = pending.pop() {
        let place = id.0 as usize;
        if seen[place] {
            // A small constant is written again, as Python does; what is larger gets an entry.
            memoize[place] |=
                graph.literal(id).len() > 9 || !graph.operands(id).is_empty() || is_mutable(graph, id);
            continue;
        }
        seen[place] = true;
        let node = graph.node(id);
        memoize[place] |= node.memoized;
        if graph.first_step(id).is_some() && !node.memoized {
            cyclic_risk.push(id);
        }
        pending.extend(graph.operands(id));
        for step in graph.steps(id) {
            pending.extend(graph.list(step.operands));
        }
    }
    // A value that holds itself must be in the memo before its steps are written. Picklers see to
    // that; where a pickle without memo entries is not a plain tree, every changed value gets one.
    if memoize.iter().zip(0u32..).any(|(&wanted, id)| wanted && !graph.node(NodeId(id)).memoized) {
        for id in cyclic_risk {
            memoize[id.0 as usize] = true;
        }
    }
    memoize
}

fn is_mutable(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, EMPTY_LIST | EMPTY_DICT | EMPTY_SET) || graph.first_step(id).is_some()
}

impl Span {
    fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl Emitter<'_> {
    fn run(&mut self, task: Task) {
        match task {
            Task::Value(id) => self.value(id),
            Task::Operands(span, at) => {
                if let Some(&id) = self.graph.list(span).get(at as usize) {
                    self.tasks.push(Task::Operands(span, at + 1));
                    self.tasks.push(Task::Value(id));
                }
            }
            Task::Create(id) => self.create(id),
            Task::Steps(index) => {
                let step = *self.graph.step(index);
                if let Some(next) = step.next {
                    self.tasks.push(Task::Steps(next));
                }
                if opcode::takes_mark(step.op) {
                    self.out.push(MARK);
                }
                self.tasks.push(Task::Opcode(step.op));
                self.tasks.push(Task::Operands(step.operands, 0));
            }
            Task::Opcode(op) => self.out.push(op),
        }
    }

    fn value(&mut self, id: NodeId) {
        let index = self.memo[id.0 as usize];
        if index != UNSEEN {
            self.get(index);
            return;
        }
        let node = self.graph.node(id);
        let operands = self.graph.operand_span(id);
        if operands.is_empty() && !opcode::takes_mark(node.op) {
            self.create(id);
            return;
        }
        if opcode::takes_mark(node.op) {
            self.out.push(MARK);
        }
        self.tasks.push(Task::Create(id));
        self.tasks.push(Task::Operands(operands, 0));
    }

    fn create(&mut self, id: NodeId) {
        let place = id.0 as usize;
        let node = self.graph.node(id);
        let index = self.memo[place];
        if index != UNSEEN {
            self.take_back(id, index);
            return;
        }
        match self.graph.literal(id) {
            [] => self.out.push(node.op),
            literal => self.out.extend_from_slice(literal),
        }
        if !self.seen[place] {
            self.seen[place] = true;
            if node.op == BINPERSID {
                self.persistent.push(id);
            }
            self.globals.extend(mentioned(self.graph, id));
        }
        if self.memoize[place] {
            self.memo[place] = self.next;
            match u8::try_from(self.next) {
                Ok(short) => self.out.extend([BINPUT, short]),
                Err(_) => {
                    self.out.push(LONG_BINPUT);
                    self.out.extend(self.next.to_le_bytes());
                }
            }
            self.next += 1;
        }
        if let Some(first) = self.graph.first_step(id) {
            self.tasks.push(Task::Steps(first));
        }
    }

    /// Its own operands have created the value already (a tuple inside a list that it holds). As
    /// Python does: the operands go, and the value comes from the memo.
    fn take_back(&mut self, id: NodeId, index: u32) {
        let node = self.graph.node(id);
        match node.op {
            TUPLE => self.out.push(POP_MARK),
            TUPLE1 | TUPLE2 | TUPLE3 => {
                let pops = self.graph.operands(id).len();
                self.out.extend(std::iter::repeat_n(POP, pops));
            }
            op => {
                match self.graph.literal(id) {
                    [] => self.out.push(op),
                    literal => self.out.extend_from_slice(literal),
                }
                self.out.push(POP);
            }
        }
        self.get(index);
    }

    fn get(&mut self, index: u32) {
        match u8::try_from(index) {
            Ok(short) => self.out.extend([BINGET, short]),
            Err(_) => {
                self.out.push(LONG_BINGET);
                self.out.extend(index.to_le_bytes());
            }
        }
    }
}
