//! Keys that a statement dropped, had back from what still holds their tensors.

use std::collections::HashMap;

use super::{Undone, Walk};
use crate::invert::act::Act;
use crate::keyset::Key;
use crate::plan::{Applied, AssertionKind, ExprId, NodeKind};
use crate::rules::op::TensorOp;

impl Walk<'_> {
    /// Keys that were dropped: had back where another key holds the same tensor, or where the rules say what
    /// they held.
    pub(super) fn recover(&mut self, undone: &mut Undone, applied: &Applied, before: &HashMap<Key, ExprId>) {
        let statement = undone.statement.unwrap_or_default();
        let held: HashMap<ExprId, &Key> = before
            .iter()
            .filter(|(key, _)| self.has(key))
            .map(|(key, expr)| (self.canonical(*expr), key))
            .fold(HashMap::new(), |mut held: HashMap<ExprId, &Key>, (expr, key)| {
                // The first by name, so that each run says the same.
                held.entry(expr).and_modify(|own| *own = (*own).min(key)).or_insert(key);
                held
            });
        let (mut copies, mut ties, mut fills) = (Vec::new(), Vec::new(), Vec::new());
        for key in &applied.dropped {
            let Some(&expr) = before.get(key) else { continue };
            self.lose([key], None, statement);
            let source = self.forward.plan.source();
            let own = self.forward.plan.arena().source(expr).and_then(|index| source.keys.get_index(index));
            let untouched = own.is_some_and(|(own, _)| own == key);
            if untouched && own.is_some_and(|(_, info)| info.tied.is_some()) {
                continue;
            }
            let to = vec![(key.clone(), self.spec(expr))];
            let (from, options) = match (held.get(&self.canonical(expr)), self.asserted(expr)) {
                (Some(&holder), _) => (vec![holder.clone()], Vec::new()),
                (None, Some(value)) if untouched => (Vec::new(), vec![format!("value {value}")]),
                _ => continue,
            };
            let same_storage = from.first().and_then(|holder| before.get(holder)).is_some_and(|holder| {
                let tied = own.is_some() && self.forward.plan.arena().source(*holder).is_some();
                *holder == expr || tied
            });
            let (verb, acts): (_, &mut Vec<Act>) = match (from.is_empty(), same_storage) {
                (true, _) => ("fill", &mut fills),
                (_, true) => ("tie", &mut ties),
                _ => ("copy", &mut copies),
            };
            match acts.iter_mut().find(|act| !from.is_empty() && act.from == from) {
                Some(act) => act.to.extend(to),
                None => acts.push(Act { verb, from, to, options }),
            }
        }
        self.stage(undone, copies);
        self.stage(undone, ties);
        self.stage(undone, fills);
    }

    /// The expression that stands for all that hold the same bytes: what a copy was made of, and the first of
    /// the source's tied keys.
    pub(super) fn canonical(&self, expr: ExprId) -> ExprId {
        let (plan, mut at) = (self.forward.plan, expr);
        loop {
            match &plan.arena().node(at).kind {
                NodeKind::Op(op, inputs) if **op == TensorOp::Copy => match inputs.first() {
                    Some(&input) => at = input,
                    None => return at,
                },
                NodeKind::Source(index) => {
                    let tied = plan.source().keys.get_index(*index).and_then(|(_, info)| info.tied.as_ref());
                    let first = tied.and_then(|tied| plan.source().keys.get_index_of(tied));
                    return first.and_then(|first| self.sources.get(first)).copied().unwrap_or(at);
                }
                NodeKind::Op(..) => return at,
            }
        }
    }

    /// The value that the rules assert of all elements of a tensor.
    fn asserted(&self, expr: ExprId) -> Option<f64> {
        self.forward.plan.assertions().iter().find_map(|assertion| match assertion.kind {
            AssertionKind::Value(value) if assertion.expr == expr => Some(value),
            _ => None,
        })
    }
}
