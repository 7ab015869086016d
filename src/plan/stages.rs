//! Rule files run after each other as one plan: each over the keys that the one before it leads to.
//!
//! The expressions of all of them stand in one arena, so that what several files do to a tensor is one
//! expression over the source, and the data is read and written once.

use super::execute::Planner;
use super::problem::{Problem, ProblemKind};
use super::state::{Entry, EntryId, Parents};
use super::target::Outcome;
use super::{Assertion, Output, Plan, Planned, doubt, nothing_applies};
use crate::keyset::{Key, KeySet};
use crate::rules::RuleSet;
use crate::source::Sources;
use crate::tensor::TensorSpec;

/// A rule file with the keys that it leads to.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The rules.
    pub rules: &'a RuleSet,
    /// The keys that they lead to.
    pub target: Option<&'a KeySet>,
    /// Whether the target's dtypes are not to be compared: those of a source of other dtypes go through.
    pub any_dtype: bool,
}

/// Runs rules of several files after each other over the source's keys, and proves what each leads to.
///
/// `absent` are keys that the source's version has and that the source itself was left without. Where a stage
/// fails, those behind it are not run: they stand on it.
pub fn plan_stages(
    stages: &[Stage],
    sources: &Sources,
    source: KeySet,
    absent: &[(Key, TensorSpec)],
) -> Planned {
    let mut planner = Planner::new(&source, sources);
    for (key, spec) in absent {
        let id = planner.absent(key, spec);
        let order = planner.state.iter().map(|(id, _)| id).chain([id]).collect();
        planner.state.set_order(order);
    }
    let mut outcome = Outcome::default();
    let mut failed = None;
    for (index, stage) in stages.iter().enumerate() {
        if index > 0 {
            planner.go_on(std::mem::take(&mut outcome));
        }
        planner.begin(stage);
        planner.run(stage.rules);
        if planner.problems.is_empty() {
            outcome = planner.conclude();
        }
        if !planner.problems.is_empty() {
            failed = Some(index);
            break;
        }
    }
    if failed.is_none() {
        planner.leave_absent(&mut outcome);
    }
    let target = stages.last().and_then(|stage| stage.target);
    let already_migrated =
        target.is_some_and(|target| source.same_tensors(target)) && nothing_applies(&planner.problems);
    let (problems, warnings) = (planner.problems, planner.warnings);
    let plan = problems.is_empty().then(|| {
        let arena = planner.arena;
        let unproved = doubt::unproved(&planner.applied, &arena);
        Plan {
            unproved,
            source,
            target: target.map(|target| target.origin.clone()),
            outputs: outcome.outputs,
            applied: planner.applied,
            left: outcome.left,
            untold: outcome.untold,
            assertions: planner.assertions,
            arena,
        }
    });
    Planned { plan, problems, warnings, already_migrated, failed }
}

impl Planner<'_> {
    /// Makes the outcome of a stage the keys of the next.
    fn go_on(&mut self, outcome: Outcome) {
        let mut order: Vec<EntryId> = Vec::with_capacity(outcome.outputs.len() + outcome.left.len());
        for Output { key, expr, .. } in outcome.outputs {
            let id = self.state.find(&key).unwrap_or_else(|| {
                // It is here because the target calls it tied to a key that is produced.
                let tied = self.target.and_then(|target| target.get(&key)?.tied.as_ref());
                let parents = tied.and_then(|tied| self.state.find(tied)).into_iter().collect();
                self.state.remember(Entry { key, expr, parents, statement: None })
            });
            order.push(id);
        }
        for key in &outcome.left {
            // Rules of later stages may speak of a key that this one leaves to the model: it goes through them
            // as if it were there, and what becomes of it is left to the model in the end.
            if let Some(info) = self.target.and_then(|target| target.get(key)) {
                order.push(self.absent(key, &info.spec));
            }
        }
        if let Some(target) = self.target {
            let place = |id: &EntryId| target.keys.get_index_of(&self.state.entry(*id).key);
            order.sort_by_cached_key(|id| place(id).unwrap_or(usize::MAX));
        }
        self.state.set_order(order);
    }

    /// A key that is not there and goes through the rules as if it were.
    fn absent(&mut self, key: &Key, spec: &TensorSpec) -> EntryId {
        let index = self.ties.len();
        self.ties.push(index);
        self.absent.push(key.clone());
        let expr = self.arena.add_source(index, spec.clone());
        self.state.remember(Entry { key: key.clone(), expr, parents: Parents::new(), statement: None })
    }

    /// Takes what is made of absent keys out of the outputs.
    fn leave_absent(&mut self, outcome: &mut Outcome) {
        if self.absent.is_empty() {
            return;
        }
        let real = self.ties.len() - self.absent.len();
        let mut outputs = Vec::with_capacity(outcome.outputs.len());
        for output in std::mem::take(&mut outcome.outputs) {
            let of = self.arena.sources(output.expr);
            let present = of.iter().find(|&&index| index < real);
            let absent = of.iter().find(|&&index| index >= real);
            match (present, absent.and_then(|index| self.absent.get(index - real))) {
                (_, None) => outputs.push(output),
                (None, Some(_)) => outcome.left.push(output.key),
                (Some(&present), Some(absent)) => {
                    let present = self.state.history().get(present).map(|entry| entry.key.to_string());
                    let (key, absent) = (output.key.to_string(), absent.to_string());
                    let kind = ProblemKind::PartlyLeft { key, absent, present: present.unwrap_or_default() };
                    let problem = Problem::new(kind, None);
                    self.problems.push(problem.help(
                        "migrate up to the version before, let the model fill in what was left to it, save it, and go on from there",
                    ));
                }
            }
        }
        outcome.outputs = outputs;
        let arena = &self.arena;
        let absent = |expr| arena.sources(expr).iter().any(|&index| index >= real);
        self.assertions.retain(|Assertion { expr, kind, .. }| {
            let other = match kind {
                super::AssertionKind::Equal { other_expr, .. } => absent(*other_expr),
                super::AssertionKind::Value(_) => false,
            };
            !absent(*expr) && !other
        });
    }
}
