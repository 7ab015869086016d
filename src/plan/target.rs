//! The plan against the target: what is missing, unexpected, of another shape or dtype.

use foldhash::{HashMap, HashSet};

use indexmap::IndexMap;

use super::execute::Planner;
use super::problem::{Problem, ProblemKind};
use super::state::Entry;
use super::{Output, suggest};
use crate::keyset::{Key, KeyInfo, KeySet, fold, fold_specs};
use crate::quantity::counted;
use crate::tensor::{Dtype, TensorSpec};

/// How many folded lines a message shows of one kind before it counts the rest.
const SHOWN: usize = 12;
/// How many pairs of equal shape are shown with the way they went.
const EXAMPLES: usize = 4;

/// The outcome of the comparison.
#[derive(Default)]
pub(super) struct Outcome {
    pub outputs: Vec<Output>,
    pub left: Vec<Key>,
    /// Keys whose dtype and shape the target does not tell.
    pub untold: Vec<Key>,
}

impl Planner<'_> {
    /// Ends a plan: the outputs in their order, checked against the target where there is one.
    pub fn conclude(&mut self) -> Outcome {
        self.keep_ties();
        let mut outputs: Vec<Output> = self
            .state
            .iter()
            .map(|(_, entry)| Output { key: entry.key.clone(), expr: entry.expr, tied: self.is_tied(entry) })
            .collect();
        let Some(target) = self.target else {
            return Outcome { outputs, ..Outcome::default() };
        };
        let left = self.left(target);
        let mut missing: Vec<(&Key, &KeyInfo)> = Vec::new();
        let (mut fit, mut untold) = (0, Vec::new());
        for (key, info) in target.iter() {
            if left.contains(key) {
                continue;
            }
            match self.state.find(key) {
                Some(_) if !info.is_told => untold.push(key.clone()),
                Some(id) => {
                    let have = self.arena.spec(self.state.entry(id).expr).clone();
                    fit += usize::from(self.compare(key, &have, &info.spec));
                }
                None => match info.tied.as_ref().and_then(|tied| self.state.find(tied)) {
                    Some(id) => {
                        let expr = self.state.entry(id).expr;
                        outputs.push(Output { key: key.clone(), expr, tied: true });
                    }
                    None => missing.push((key, info)),
                },
            }
        }
        let unexpected: Vec<(Key, TensorSpec)> = self
            .state
            .iter()
            .filter(|(_, entry)| target.get(&entry.key).is_none())
            .map(|(_, entry)| (entry.key.clone(), self.arena.spec(entry.expr).clone()))
            .collect();
        self.report(target, &missing, &unexpected, fit);
        outputs.sort_by_cached_key(|output| target.keys.get_index_of(&output.key).unwrap_or(usize::MAX));
        Outcome {
            outputs,
            untold,
            left: target.iter().map(|(key, _)| key).filter(|key| left.contains(*key)).cloned().collect(),
        }
    }

    /// Whether the target calls a key tied to another one that is the same tensor here too.
    fn is_tied(&self, entry: &Entry) -> bool {
        let info = self.target.and_then(|target| target.get(&entry.key));
        let partner = info.and_then(|info| self.state.find(info.tied.as_ref()?));
        partner.is_some_and(|partner| self.equal(self.state.entry(partner).expr, entry.expr))
    }

    /// Whether a tensor is as the target wants it; reports where it is not.
    fn compare(&mut self, key: &Key, have: &TensorSpec, want: &TensorSpec) -> bool {
        let Some(entry) = self.state.find(key).map(|id| self.state.entry(id)) else { return false };
        let same = have == want || (self.any_dtype && have.shape == want.shape);
        if same || want.dtype == Dtype::Object {
            return true;
        }
        let (key, have, want) = (key.to_string(), have.clone(), want.clone());
        let by_shape = have.shape != want.shape;
        let cast = format!("`cast {key} to {}` makes it so", want.dtype);
        let kind = if by_shape {
            ProblemKind::Shape { key, have, want }
        } else {
            ProblemKind::Dtype { key, have, want }
        };
        let applied = entry.statement.and_then(|statement| self.applied.get(statement));
        let mut problem = Problem::new(kind, applied.map(|applied| applied.span));
        let parents: Vec<String> = entry
            .parents
            .iter()
            .map(|&id| self.state.entry(id))
            .map(|parent| format!("`{}` {}", parent.key, suggest::spec_of(&self.arena, parent)))
            .collect();
        if !parents.is_empty() {
            problem = problem.note(format!("this statement made it of {}", parents.join(", ")));
        } else if applied.is_none() {
            problem = problem.note("no statement touches it");
        }
        if !by_shape {
            problem = problem.help(cast);
        } else if let (Some(applied), [parent]) = (applied, entry.parents.as_slice()) {
            let parent = self.state.entry(*parent);
            problem.helps.extend(suggest::other_parts(
                applied,
                &parent.key,
                self.arena.spec(parent.expr),
                &problem.kind,
            ));
        }
        self.problems.push(problem);
        false
    }

    /// Reports missing and unexpected keys, those of one spec side by side.
    fn report(
        &mut self,
        target: &KeySet,
        missing: &[(&Key, &KeyInfo)],
        unexpected: &[(Key, TensorSpec)],
        fit: usize,
    ) {
        let facts = format!("{fit} of the target's {} keys fit ({})", target.len(), target.origin);
        if !unexpected.is_empty() {
            let keys = unexpected.iter().map(|(key, spec)| (&**key, Some(spec)));
            let kind = ProblemKind::Unexpected { count: unexpected.len() };
            let mut problem = Problem::new(kind, None)
                .note(facts.clone())
                .note(listing("unexpected (the checkpoint has it, the model does not)", keys));
            let histories: Vec<String> = unexpected
                .iter()
                .filter_map(|(key, _)| self.state.find(key))
                .filter_map(|id| self.history(self.state.entry(id)))
                .take(3)
                .collect();
            if !histories.is_empty() {
                problem = problem.note(format!("the way they went: {}", histories.join("; ")));
            }
            let names: HashSet<&str> = missing.iter().map(|(key, _)| &***key).collect();
            let is_missing = |key: &str| names.contains(key);
            let again = unexpected
                .iter()
                .filter_map(|(key, _)| self.state.find(key))
                .find_map(|id| self.renamed_again(self.state.entry(id), is_missing));
            problem.helps.extend(again);
            self.problems.push(problem.help("`rename` each to its name in the model, or `drop` it"));
        }
        if !missing.is_empty() {
            let keys = missing.iter().map(|(key, info)| (&***key, info.is_told.then_some(&info.spec)));
            let kind = ProblemKind::Missing { count: missing.len() };
            let problem = Problem::new(kind, None)
                .note(facts)
                .note(listing("missing (the model has it, the checkpoint does not)", keys));
            self.problems.push(problem.help(
                "`rename` what it was before, `fill` it, or `leave` it to the model's own initial value",
            ));
        }
        if !missing.iter().any(|(_, info)| info.is_told) || unexpected.is_empty() {
            return;
        }
        let examples = self.examples(missing, unexpected);
        if let Some(last) = self.problems.last_mut() {
            side_by_side(last, missing, unexpected, &examples);
        }
    }

    /// Pairs of an unexpected and a missing key of one spec and one last segment, one pair for each last
    /// segment: what a hasty mapping would put together. Keys that a statement moved come first.
    fn examples(&self, missing: &[(&Key, &KeyInfo)], unexpected: &[(Key, TensorSpec)]) -> Vec<String> {
        let mut wanted: HashMap<(&str, &TensorSpec), &Key> = HashMap::default();
        for (key, info) in missing {
            wanted.entry((last(key), &info.spec)).or_insert(key);
        }
        let mut pairs: IndexMap<&str, (bool, String)> = IndexMap::new();
        for (key, spec) in unexpected {
            let name = last(key);
            let Some(partner) = wanted.get(&(name, spec)) else { continue };
            let entry = self.state.find(key).map(|id| self.state.entry(id));
            let history = entry.and_then(|entry| self.history(entry));
            let (moved, way) = (history.is_some(), history.unwrap_or_else(|| format!("`{key}`")));
            let pair = format!("{way} and `{partner}` are both {spec}");
            match pairs.get_mut(name) {
                Some(held) if moved && !held.0 => *held = (moved, pair),
                Some(_) => {}
                None => drop(pairs.insert(name, (moved, pair))),
            }
        }
        let mut pairs: Vec<(bool, String)> = pairs.into_values().collect();
        pairs.sort_by_key(|(moved, _)| !moved);
        pairs.into_iter().map(|(_, pair)| pair).take(EXAMPLES).collect()
    }
}

/// The last segment of a key.
fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or_default()
}

/// Shows missing and unexpected keys of one spec beside each other, or says that there are none.
fn side_by_side(
    problem: &mut Problem,
    missing: &[(&Key, &KeyInfo)],
    unexpected: &[(Key, TensorSpec)],
    examples: &[String],
) {
    // Of each spec the unexpected and the missing keys.
    let mut specs: IndexMap<&TensorSpec, (Vec<&str>, Vec<&str>)> = IndexMap::new();
    for (key, spec) in unexpected {
        specs.entry(spec).or_default().0.push(key);
    }
    for (key, info) in missing {
        if let Some((_, wanted)) = specs.get_mut(&info.spec) {
            wanted.push(key);
        }
    }
    let mut lines = Vec::new();
    let mut alone = 0;
    for (spec, (there, wanted)) in specs {
        if wanted.is_empty() {
            alone += there.len();
            continue;
        }
        let pair = (fold(there), fold(wanted));
        for index in 0..pair.0.len().max(pair.1.len()) {
            let name = |folds: &[crate::keyset::Folded]| {
                folds.get(index).map(|fold| fold.pattern.clone()).unwrap_or_default()
            };
            let spec = if index == 0 { spec.to_string() } else { String::new() };
            lines.push((spec, name(&pair.0), name(&pair.1)));
        }
    }
    if lines.is_empty() {
        problem.notes.push(
            "no unexpected key has the shape of a missing one: no renames cover this. If the two are different \
             architectures, no rules can; start the new parts from the model's own values (`leave`) and `drop` the old"
                .to_owned(),
        );
        return;
    }
    let width = lines.iter().map(|line| line.1.chars().count()).max().unwrap_or(0).min(60);
    let shown: Vec<String> = lines
        .iter()
        .take(SHOWN)
        .map(|(spec, left, right)| format!("  {left:<width$}  {right}  {spec}").trim_end().to_owned())
        .collect();
    let more = lines.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\n  … and {more} more lines") } else { String::new() };
    problem.notes.push(format!(
        "of one shape, unexpected beside missing; an equal shape alone is no evidence that one became the other:\n{}{more}",
        shown.join("\n")
    ));
    if !examples.is_empty() {
        problem.notes.push(format!(
            "for example: {}. Numbers of elements agree by chance all the time: that is no evidence",
            examples.join("; ")
        ));
    }
    if alone > 0 {
        problem.notes.push(format!(
            "{alone} of the {} unexpected keys have a shape that no missing key has. If most are such, these are \
             different architectures and no set of rules covers them: `leave` the missing ones and `drop` the others, \
             or look for the definition that the checkpoint was trained with",
            unexpected.len()
        ));
    }
}

/// Keys, folded, each with its spec where that is told.
fn listing<'k>(title: &str, keys: impl Iterator<Item = (&'k str, Option<&'k TensorSpec>)>) -> String {
    let keys: Vec<(&str, Option<&TensorSpec>)> = keys.collect();
    let folds = fold_specs(keys.iter().copied());
    let width = folds.iter().map(|fold| fold.pattern.chars().count()).max().unwrap_or(0).min(70);
    let mut text = format!("{title}:");
    for fold in folds.iter().take(SHOWN) {
        let spec = keys.get(fold.first).and_then(|(_, spec)| Some(spec.as_ref()?.to_string()));
        let (spec, count) = (
            spec.unwrap_or_default(),
            if fold.count > 1 { format!("  {} keys", fold.count) } else { String::new() },
        );
        text.push_str(format!("\n  {:<width$}  {spec}{count}", fold.pattern).trim_end());
    }
    if folds.len() > SHOWN {
        let rest: usize = folds[SHOWN..].iter().map(|fold| fold.count).sum();
        let rest = counted(rest, "more key");
        text.push_str(&format!("\n  … and {rest} (`migrate diff` lists them all)"));
    }
    text
}
