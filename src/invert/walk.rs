//! The resolved plan walked from its last statement to its first: what undoes each, with concrete keys.

use std::collections::{HashMap, HashSet};

use super::Forward;
use super::act::{Act, Step};
use super::ops;
use crate::keyset::{Key, KeyInfo, KeySet};
use crate::plan::{Applied, AssertionKind, ExprId, Move, NodeKind};
use crate::rules::op::TensorOp;
use crate::rules::verbs::{Flow, Reverse};
use crate::rules::{Options, Statement, Step as RuleStep};
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

/// Keys that one statement made of the same keys.
struct Group<'a> {
    from: &'a [Key],
    operands: &'a [ExprId],
    options: &'a Options,
    to: Vec<(&'a Key, ExprId)>,
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

    /// Renames, and operations on one tensor.
    fn undo_each(&mut self, undone: &mut Undone, applied: &Applied, before: &HashMap<Key, ExprId>) {
        let arena = self.forward.plan.arena();
        let (mut removed, mut chains) = (Vec::new(), Vec::new());
        for group in groups(applied) {
            let ([from], [operand], [(to, expr)]) = (group.from, group.operands, group.to.as_slice()) else {
                continue;
            };
            if !self.has(to) {
                self.lose([from], Some(to), undone.statement.unwrap_or_default());
                continue;
            }
            match ops::of_each(arena, *expr, *operand, group.options) {
                Some(steps) => chains.push((*to, from, steps, self.spec(*operand))),
                None => {
                    removed.push((*to).clone());
                    self.lose([from], None, undone.statement.unwrap_or_default());
                }
            }
        }
        if !removed.is_empty() {
            undone.remarks.push("lossy: nothing undoes this statement for what is dropped here".to_owned());
        }
        self.stage(undone, removals("drop", removed));
        if chains.iter().flat_map(|(.., steps, _)| steps).any(|step| step.reverse == Reverse::Lossy) {
            let what = match applied.verb.flow {
                Flow::Each if applied.verb.name == "cast" => "what the cast rounded away stays away",
                _ => "what was cut away is filled with 0",
            };
            undone.remarks.push(format!("lossy: {what}"));
        }
        self.chains(undone, chains);
        if applied.verb.name == "untie" {
            self.tie_again(undone, applied, before);
        }
    }

    /// Makes tensors that the source holds as one such again.
    fn tie_again(&mut self, undone: &mut Undone, applied: &Applied, before: &HashMap<Key, ExprId>) {
        let mut ties = Vec::new();
        for (from, operand) in
            applied.moves.iter().filter_map(|moved| moved.from.first().zip(moved.operands.first()))
        {
            let is_source = |expr: &ExprId| self.forward.plan.arena().source(*expr).is_some();
            let same = |(key, expr): &(&Key, &ExprId)| {
                *key != from
                    && *expr != operand
                    && is_source(expr)
                    && self.has(key)
                    && self.canonical(**expr) == self.canonical(*operand)
            };
            let holder = before.iter().filter(same).map(|(key, _)| key).min();
            if let Some(holder) = holder.filter(|_| is_source(operand) && self.has(from)) {
                let to = vec![(from.clone(), self.spec(*operand))];
                ties.push(Act { verb: "tie", from: vec![holder.clone()], to, options: Vec::new() });
            }
        }
        self.stage(undone, ties);
    }

    /// Does chains of steps, each on a tensor that gets its former name with the last one.
    fn chains(&mut self, undone: &mut Undone, chains: Vec<(&Key, &Key, Vec<Step>, TensorSpec)>) {
        let mut verbs = chains.iter().map(|(.., steps, _)| match steps.as_slice() {
            [] => "rename",
            [step] => step.verb,
            _ => "",
        });
        let first = verbs.next().unwrap_or_default();
        if !first.is_empty() && verbs.all(|verb| verb == first) {
            let acts = chains.into_iter().filter_map(|(to, from, steps, spec)| {
                let options = steps.into_iter().next().map(|step| step.options).unwrap_or_default();
                let moves = to != from || first != "rename";
                let (from_keys, to_keys) = (vec![to.clone()], vec![(from.clone(), spec)]);
                moves.then_some(Act { verb: first, from: from_keys, to: to_keys, options })
            });
            let acts = acts.collect();
            return self.stage(undone, acts);
        }
        // Verbs of several kinds cannot be done at once: the tensors first, then their names.
        let longest = chains.iter().map(|(.., steps, _)| steps.len()).max().unwrap_or(0);
        for place in 0..longest {
            let mut by_verb: Vec<(&'static str, Vec<Act>)> = Vec::new();
            for (to, _, steps, _) in &chains {
                let Some(step) = steps.get(place) else { continue };
                let (key, spec) = ((*to).clone(), step.spec.clone());
                let options = step.options.clone();
                let act = Act { verb: step.verb, from: vec![key.clone()], to: vec![(key, spec)], options };
                match by_verb.iter_mut().find(|(verb, _)| *verb == step.verb) {
                    Some((_, acts)) => acts.push(act),
                    None => by_verb.push((step.verb, vec![act])),
                }
            }
            for (_, acts) in by_verb {
                self.stage(undone, acts);
            }
        }
        let renames = chains.into_iter().filter(|(to, from, ..)| to != from).map(|(to, from, _, spec)| {
            let (from_keys, to_keys) = (vec![to.clone()], vec![(from.clone(), spec)]);
            Act { verb: "rename", from: from_keys, to: to_keys, options: Vec::new() }
        });
        let renames = renames.collect();
        self.stage(undone, renames);
    }

    /// Tensors that were cut into parts.
    fn undo_parts(&mut self, undone: &mut Undone, applied: &Applied) {
        let arena = self.forward.plan.arena();
        let (mut removed, mut merged, mut stacked, mut chains) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for group in groups(applied) {
            let ([from], [operand]) = (group.from, group.operands) else { continue };
            let statement = undone.statement.unwrap_or_default();
            if let Some((missing, _)) = group.to.iter().find(|(to, _)| !self.has(to)) {
                self.lose([from], Some(missing), statement);
                removed.extend(group.to.iter().map(|(to, _)| (*to).clone()).filter(|to| self.has(to)));
                continue;
            }
            if let [(to, expr)] = group.to.as_slice()
                && let Some(steps) = ops::of_each(arena, *expr, *operand, &Options::default())
            {
                chains.push((*to, from, steps, self.spec(*operand)));
                continue;
            }
            let parts: Vec<ExprId> = group.to.iter().map(|(_, expr)| *expr).collect();
            match ops::of_parts(arena, &parts, *operand, group.options) {
                Some((verb, dim, order)) => {
                    let from_keys = order.into_iter().filter_map(|part| group.to.get(part));
                    let from_keys = from_keys.map(|(key, _)| (*key).clone()).collect();
                    let to = vec![(from.clone(), self.spec(*operand))];
                    let act = Act { verb, from: from_keys, to, options: vec![format!("dim {dim}")] };
                    if verb == "stack" { stacked.push(act) } else { merged.push(act) }
                }
                None => {
                    self.lose([from], None, statement);
                    removed.extend(group.to.iter().map(|(to, _)| (*to).clone()));
                }
            }
        }
        if !removed.is_empty() {
            undone.remarks.push("lossy: parts of what cannot be put together again".to_owned());
        }
        self.stage(undone, removals("drop", removed));
        self.stage(undone, merged);
        self.stage(undone, stacked);
        self.chains(undone, chains);
    }

    /// Tensors that were made of several.
    fn undo_joins(&mut self, undone: &mut Undone, applied: &Applied) {
        let arena = self.forward.plan.arena();
        let statement = undone.statement.unwrap_or_default();
        let (mut removed, mut cut, mut taken_apart, mut chains) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for group in groups(applied) {
            let [(to, expr)] = group.to.as_slice() else { continue };
            if !self.has(to) {
                self.lose(group.from, Some(to), statement);
                continue;
            }
            if let ([from], [operand]) = (group.from, group.operands)
                && let Some(steps) = ops::of_each(arena, *expr, *operand, group.options)
            {
                chains.push((*to, from, steps, self.spec(*operand)));
                continue;
            }
            match ops::of_join(arena, *expr, group.operands) {
                Some((verb, options)) => {
                    let specs = group.operands.iter().map(|&operand| self.spec(operand));
                    let to_keys = group.from.iter().cloned().zip(specs).collect();
                    let (from, options) = (vec![(*to).clone()], vec![options]);
                    let act = Act { verb, from, to: to_keys, options };
                    if verb == "unstack" { taken_apart.push(act) } else { cut.push(act) }
                }
                None => {
                    removed.push((*to).clone());
                    self.lose(group.from, None, statement);
                }
            }
        }
        if !removed.is_empty() {
            undone.remarks.push("lossy: the tensors that this one was made of are not had back".to_owned());
        }
        self.stage(undone, removals("drop", removed));
        self.stage(undone, cut);
        self.stage(undone, taken_apart);
        self.chains(undone, chains);
    }

    /// Equal tensors of which one stayed.
    fn undo_unify(&mut self, undone: &mut Undone, applied: &Applied) {
        let (mut copies, mut removed) = (Vec::new(), Vec::new());
        for group in groups(applied) {
            let [(to, expr)] = group.to.as_slice() else { continue };
            if !self.has(to) {
                self.lose(group.from, Some(to), undone.statement.unwrap_or_default());
                continue;
            }
            let others: Vec<&Key> = group.from.iter().filter(|from| from != to).collect();
            if others.len() == group.from.len() {
                removed.push((*to).clone());
            }
            let to_keys = others.into_iter().map(|key| (key.clone(), self.spec(*expr))).collect();
            let from = vec![(*to).clone()];
            copies.push(Act { verb: "copy", from, to: to_keys, options: Vec::new() });
        }
        self.stage(undone, copies);
        self.stage(undone, removals("drop", removed));
    }

    /// Keys that were added: they go, unless what they were made of is lost and they still hold it.
    fn undo_added(&mut self, undone: &mut Undone, applied: &Applied) {
        let (mut removed, mut renamed, mut untied) = (Vec::new(), Vec::new(), Vec::new());
        for moved in applied.moves.iter().filter(|moved| self.has(&moved.to)) {
            if applied.verb.flow == Flow::Tie
                && let [holder, _] = moved.from.as_slice()
            {
                let (from, to) = (vec![moved.to.clone()], vec![(holder.clone(), self.spec(moved.expr))]);
                untied.push(Act { verb: "untie", from, to, options: Vec::new() });
                continue;
            }
            let holds = |from: &&Key| {
                applied.verb.flow != Flow::Fill
                    && !self.at.keys.contains_key(*from)
                    && !renamed.iter().any(|act: &Act| act.results().any(|key| key == *from))
            };
            match moved.from.first().filter(holds) {
                Some(from) => {
                    let (from_keys, to) =
                        (vec![moved.to.clone()], vec![(from.clone(), self.spec(moved.expr))]);
                    renamed.push(Act { verb: "rename", from: from_keys, to, options: Vec::new() });
                }
                None => removed.push(moved.to.clone()),
            }
        }
        self.stage(undone, removals("drop", removed));
        self.stage(undone, untied);
        self.stage(undone, renamed);
    }

    /// Keys that were dropped: had back where another key holds the same tensor, or where the rules say what
    /// they held.
    fn recover(&mut self, undone: &mut Undone, applied: &Applied, before: &HashMap<Key, ExprId>) {
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
    fn canonical(&self, expr: ExprId) -> ExprId {
        let (plan, mut at) = (self.forward.plan, expr);
        loop {
            match &plan.arena().node(at).kind {
                NodeKind::Op(TensorOp::Copy, inputs) => match inputs.first() {
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

/// One act for each key that goes.
fn removals(verb: &'static str, keys: impl IntoIterator<Item = Key>) -> Vec<Act> {
    let act = |key| Act { verb, from: vec![key], to: Vec::new(), options: Vec::new() };
    keys.into_iter().map(act).collect()
}

/// The moves of a statement, those of the same keys together.
fn groups(applied: &Applied) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for moved in &applied.moves {
        let Move { from, to, expr, operands, options, .. } = moved;
        match groups.last_mut() {
            Some(group) if !from.is_empty() && group.from == from.as_slice() => group.to.push((to, *expr)),
            _ => groups.push(Group { from, operands, options, to: vec![(to, *expr)] }),
        }
    }
    groups
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
