//! What undoes one statement, by what its verb does with tensors.

use std::collections::HashMap;

use super::{Undone, Walk, removals};
use crate::invert::act::{Act, Step};
use crate::invert::ops;
use crate::keyset::Key;
use crate::plan::{Applied, ExprId, Move};
use crate::rules::Options;
use crate::rules::verbs::{Flow, Reverse};
use crate::tensor::TensorSpec;

/// Keys that one statement made of the same keys.
struct Group<'a> {
    from: &'a [Key],
    operands: &'a [ExprId],
    options: &'a Options,
    to: Vec<(&'a Key, ExprId)>,
}

impl Walk<'_> {
    /// Renames, and operations on one tensor.
    pub(super) fn undo_each(
        &mut self,
        undone: &mut Undone,
        applied: &Applied,
        before: &HashMap<Key, ExprId>,
    ) {
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
    pub(super) fn undo_parts(&mut self, undone: &mut Undone, applied: &Applied) {
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
    pub(super) fn undo_joins(&mut self, undone: &mut Undone, applied: &Applied) {
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
    pub(super) fn undo_unify(&mut self, undone: &mut Undone, applied: &Applied) {
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
    pub(super) fn undo_added(&mut self, undone: &mut Undone, applied: &Applied) {
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
