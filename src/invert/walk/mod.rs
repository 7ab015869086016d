//! The resolved plan walked from its last statement to its first: what undoes each, with concrete keys.

mod recover;
mod undo;

use std::collections::{HashMap, HashSet};

use super::Forward;
use super::act::Act;
use crate::keyset::{Key, KeyInfo, KeySet};
use crate::plan::{Applied, ExprId};
use crate::rules::verbs::Flow;
use crate::rules::{Statement, Step as RuleStep};
use crate::tensor::TensorSpec;

/// What undoes one statement.
#[derive(Debug)]
pub(super) struct Undone {
    /// The statement, as an index into the plan's; none for what goes before the first is undone.
    pub statement: Option<usize>,
    /// What is to be said of it.
    pub remarks: Vec<String>,
    /// The statements that undo it: acts of one verb each, with the keys that they run over.
    pub stages: Vec<Stage>,
}

/// Acts of one verb that are done at once.
#[derive(Debug)]
pub(super) struct Stage {
    pub acts: Vec<Act>,
    /// The keys before.
    pub before: KeySet,
}

impl Stage {
    /// The keys after.
    pub fn after(&self) -> KeySet {
        let mut keys = self.before.clone();
        for key in self.acts.iter().filter(|act| !act.keeps()).flat_map(|act| &act.from) {
            keys.keys.swap_remove(key);
        }
        for (key, spec) in self.acts.iter().flat_map(|act| &act.to) {
            keys.keys.insert(key.clone(), KeyInfo::from(spec.clone()));
        }
        keys
    }
}

/// The way back with concrete keys.
#[derive(Debug)]
pub(super) struct Back {
    /// In the order of the way back.
    pub undone: Vec<Undone>,
    /// The keys of the source that do not come back, each with the statement that lost it.
    pub left: Vec<(Key, usize)>,
}

struct Walk<'a> {
    forward: &'a Forward<'a>,
    /// The expressions of the source's keys, in their order.
    sources: Vec<ExprId>,
    /// The keys that the way back has here.
    at: KeySet,
    /// The keys that the rules had here and the way back does not have, each with the statement that lost it.
    lost: HashMap<Key, usize>,
    undone: Vec<Undone>,
}

/// Walks back through all statements.
pub(super) fn walk(forward: &Forward) -> Back {
    let plan = forward.plan;
    // What the rules had before each statement.
    let mut states: Vec<HashMap<Key, ExprId>> = Vec::with_capacity(plan.applied().len());
    let mut state: HashMap<Key, ExprId> =
        plan.source_exprs().map(|(key, expr)| (key.clone(), expr)).collect();
    for applied in plan.applied() {
        states.push(state.clone());
        let dropped: HashSet<&Key> = applied.dropped.iter().collect();
        state.retain(|key, _| !dropped.contains(key));
        if !applied.verb.flow.keeps_matches() {
            let consumed: HashSet<&Key> = applied.moves.iter().flat_map(|moved| &moved.from).collect();
            state.retain(|key, _| !consumed.contains(key));
        }
        state.extend(applied.moves.iter().map(|moved| (moved.to.clone(), moved.expr)));
    }
    let sources = plan.source_exprs().map(|(_, expr)| expr).collect();
    let (at, lost, undone) = (forward.outcome(), HashMap::new(), Vec::new());
    let mut walk = Walk { forward, sources, at, lost, undone };
    walk.before_the_first();
    for (statement, (applied, before)) in plan.applied().iter().zip(&states).enumerate().rev() {
        walk.undo(statement, applied, before);
    }
    let source = plan.source();
    let comes_back = |key: &Key| walk.at.keys.contains_key(key);
    let left = source.iter().filter(|(key, info)| {
        // A key that is another name of one which comes back is made with it.
        !comes_back(key) && !info.tied.as_ref().is_some_and(comes_back)
    });
    let left = left.map(|(key, _)| (key.clone(), walk.lost.get(key).copied().unwrap_or_default())).collect();
    Back { undone: walk.undone, left }
}

impl Walk<'_> {
    /// Removes what the target has and the rules did not make.
    fn before_the_first(&mut self) {
        let plan = self.forward.plan;
        let mut undone = Undone { statement: None, remarks: Vec::new(), stages: Vec::new() };
        let left: Vec<Key> = plan.left().to_vec();
        if !left.is_empty() {
            undone.remarks.push("the rules leave these to the model's own initial values".to_owned());
        }
        let tied = plan.outputs().iter().filter(|output| output.tied).map(|output| output.key.clone());
        let tied: Vec<Key> = tied.collect();
        if !tied.is_empty() {
            undone.remarks.push("another name of a tensor, which the former model does not have".to_owned());
        }
        self.stage(&mut undone, removals("drop?", left.into_iter().chain(tied)));
        self.note(undone);
    }

    fn undo(&mut self, statement: usize, applied: &Applied, before: &HashMap<Key, ExprId>) {
        let mut undone = Undone { statement: Some(statement), remarks: Vec::new(), stages: Vec::new() };
        match applied.verb.flow {
            Flow::Each | Flow::Keep => self.undo_each(&mut undone, applied, before),
            Flow::Part => self.undo_parts(&mut undone, applied),
            Flow::Join | Flow::Compute => self.undo_joins(&mut undone, applied),
            Flow::Unify => self.undo_unify(&mut undone, applied),
            Flow::Add | Flow::Fill | Flow::Tie => self.undo_added(&mut undone, applied),
            Flow::Remove | Flow::Leave | Flow::Check | Flow::Value => {}
        }
        if !applied.dropped.is_empty() {
            self.recover(&mut undone, applied, before);
        }
        self.note(undone);
    }

    fn note(&mut self, undone: Undone) {
        if !undone.stages.is_empty() || !undone.remarks.is_empty() {
            self.undone.push(undone);
        }
    }

    /// Does acts of one verb at once.
    fn stage(&mut self, undone: &mut Undone, acts: Vec<Act>) {
        if acts.is_empty() {
            return;
        }
        let stage = Stage { acts, before: self.at.clone() };
        self.at = stage.after();
        undone.stages.push(stage);
    }

    fn has(&self, key: &Key) -> bool {
        self.at.keys.contains_key(key)
    }

    fn spec(&self, expr: ExprId) -> TensorSpec {
        self.forward.plan.arena().spec(expr).clone()
    }

    /// Notes that keys do not come back, because another is lost already (`of`) or by this statement.
    fn lose<'k>(&mut self, keys: impl IntoIterator<Item = &'k Key>, of: Option<&Key>, statement: usize) {
        let reason = of.and_then(|key| self.lost.get(key)).copied().unwrap_or(statement);
        for key in keys {
            self.lost.insert(key.clone(), reason);
        }
    }
}

/// One act for each key that goes.
fn removals(verb: &'static str, keys: impl IntoIterator<Item = Key>) -> Vec<Act> {
    let act = |key| Act { verb, from: vec![key], to: Vec::new(), options: Vec::new() };
    keys.into_iter().map(act).collect()
}

/// The statements of a rule set, in the order of the plan's.
pub(super) fn statements<'a>(forward: &Forward<'a>) -> Vec<&'a Statement> {
    let steps = forward.rules.steps.iter();
    steps
        .filter_map(|step| match step {
            RuleStep::Statement(statement) => Some(statement),
            RuleStep::Let(_) => None,
        })
        .collect()
}
