//! Keys that are names of one tensor, in the source or by `tie`: they stay so, or a statement says otherwise.

use foldhash::HashMap;

use super::arena::{ExprId, NodeKind};
use super::execute::Planner;
use super::problem::{Problem, ProblemKind};
use super::state::{Entry, EntryId};
use crate::rules::op::TensorOp;
use crate::rules::verbs::Flow;

/// What a tensor was before statements took one key each: keys with one origin are names of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    /// A tensor of the source, the first of those that are tied.
    Source(usize),
    /// What a statement made of several tensors, or in storage of its own.
    Made(EntryId),
}

impl Planner<'_> {
    /// Checks that names of one tensor had the same done to them, and gives them one expression, so that
    /// they are written as one tensor.
    pub(super) fn keep_ties(&mut self) {
        let mut first_of: HashMap<Origin, EntryId> = HashMap::default();
        let mut same: Vec<(EntryId, ExprId)> = Vec::new();
        let mut apart: Vec<(EntryId, EntryId)> = Vec::new();
        for (id, entry) in self.state.iter() {
            let Some(&first) = first_of.get(&self.origin(id)) else {
                first_of.insert(self.origin(id), id);
                continue;
            };
            let expr = self.state.entry(first).expr;
            match self.equal(expr, entry.expr) {
                false => apart.push((first, id)),
                // A source tensor that nothing is done to is written as it is, ties and all.
                true if self.arena.source(entry.expr).is_none() => same.push((id, expr)),
                true => {}
            }
        }
        for (id, expr) in same {
            self.state.set_expr(id, expr);
        }
        for (first, second) in apart {
            let problem = self.tied_apart(first, second);
            self.problems.push(problem);
        }
    }

    fn tied_apart(&self, first: EntryId, second: EntryId) -> Problem {
        let (first, second) = (self.state.entry(first), self.state.entry(second));
        let spec = |entry: &Entry| format!("`{}` is {}", entry.key, self.arena.spec(entry.expr));
        // The statement to blame is the last one that changed one of the two.
        let changed = [second, first].into_iter().find(|entry| self.arena.source(entry.expr).is_none());
        let applied = changed.and_then(|entry| self.applied.get(entry.statement?));
        let (one, other) = (first.key.to_string(), second.key.to_string());
        let kind = ProblemKind::TiedApart { first: one, second: other.clone() };
        let mut problem = Problem::new(kind, applied.map(|applied| applied.span)).note(format!(
            "at the end {} and {}",
            spec(first),
            spec(second)
        ));
        for history in [first, second].into_iter().filter_map(|entry| self.history(entry)) {
            problem = problem.note(format!("the way it went: {history}"));
        }
        problem.help("do the same to both; or, above, `untie` one of them, which gives it storage of its own, or `drop` it")
    }

    /// Follows a key back through statements that take one tensor and make one.
    fn origin(&self, mut id: EntryId) -> Origin {
        loop {
            let entry = self.state.entry(id);
            if let Some(index) = self.arena.source(entry.expr) {
                return Origin::Source(self.ties.get(index).copied().unwrap_or(index));
            }
            let flow = entry.statement.and_then(|at| self.applied.get(at)).map(|applied| applied.verb.flow);
            let own_storage = matches!(self.arena.op(entry.expr), Some((TensorOp::Copy, _)));
            let parent = match flow {
                _ if own_storage => None,
                Some(Flow::Each | Flow::Keep) => entry.parents.first(),
                // The tensor that gives its storage stands last.
                Some(Flow::Tie) => entry.parents.last(),
                Some(Flow::Compute) => {
                    entry.parents.iter().find(|&&parent| self.state.entry(parent).key == entry.key)
                }
                // Another name that the target of the stage before gave it.
                None => entry.parents.first(),
                _ => None,
            };
            match parent {
                Some(&parent) => id = parent,
                None => return Origin::Made(id),
            }
        }
    }

    /// Whether two expressions do the same to the same tensors.
    pub(super) fn equal(&self, one: ExprId, other: ExprId) -> bool {
        self.equal_beyond(one, other, &mut HashMap::default())
    }

    /// As [`Planner::equal`]; `seen` holds the pairs that were compared before, as a tile stands many times.
    fn equal_beyond(&self, one: ExprId, other: ExprId, seen: &mut HashMap<(ExprId, ExprId), bool>) -> bool {
        if let Some(&known) = seen.get(&(one, other)) {
            return known;
        }
        let equal = one == other || self.equal_nodes(one, other, seen);
        seen.insert((one, other), equal);
        equal
    }

    fn equal_nodes(&self, one: ExprId, other: ExprId, seen: &mut HashMap<(ExprId, ExprId), bool>) -> bool {
        match (&self.arena.node(one).kind, &self.arena.node(other).kind) {
            (NodeKind::Source(one), NodeKind::Source(other)) => self.ties.get(*one) == self.ties.get(*other),
            (NodeKind::Op(op, operands), NodeKind::Op(other_op, others)) => {
                op == other_op
                    && operands.len() == others.len()
                    && operands.iter().zip(others).all(|(&one, &other)| self.equal_beyond(one, other, seen))
            }
            _ => false,
        }
    }
}
