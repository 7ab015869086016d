//! The rule files between two versions, in the order in which they run; on the way back, what undoes them.

use crate::cli::record::Step;
use crate::cli::{Exit, rule_file};
use crate::diagnostic::Diagnostic;
use crate::invert::{self, Forward};
use crate::keyset::{Key, KeySet, fold};
use crate::plan::{self, Plan, Problem};
use crate::printable::printable;
use crate::quantity::counted;
use crate::rules::{OptimizerMode, RuleSet};
use crate::source::Sources;

use super::error::ChainError;
use super::folder::{Folder, Link};

/// How many lines of keys an error shows.
const SHOWN: usize = 8;

/// One step of a way.
#[derive(Debug)]
pub(in crate::cli) struct Pace {
    /// The rules.
    pub rules: RuleSet,
    /// The number of the version that they lead to.
    pub to: usize,
    /// What is recorded of it.
    pub step: Step,
}

/// The way from one version to another.
#[derive(Debug, Default)]
pub(in crate::cli) struct Way {
    pub paces: Vec<Pace>,
    pub warnings: Vec<Diagnostic>,
}

/// The way between two versions, by their numbers.
///
/// # Errors
/// Where a step has no way back, or its rules do not fit the key sets.
pub(in crate::cli) fn way(
    folder: &mut Folder,
    from: usize,
    to: usize,
) -> Result<Way, (Exit, Vec<Diagnostic>)> {
    let mut way = Way::default();
    for link in folder.links.iter().take(to).skip(from) {
        way.warnings.extend(link.warnings.iter().cloned());
        let (rules, step) = (link.rules.clone(), link.step(&folder.sources));
        way.paces.push(Pace { rules, to: way.paces.len() + from + 1, step });
    }
    for to in (to..from).rev() {
        let pace = match folder.back.get(&to) {
            Some(link) => {
                way.warnings.extend(link.warnings.iter().cloned());
                Pace { rules: link.rules.clone(), to, step: link.step(&folder.sources) }
            }
            None => undo(folder, to, &mut way.warnings)?,
        };
        way.paces.push(pace);
    }
    merged(&way).map_err(|error| (error.exit(), vec![error.diagnostic()]))?;
    Ok(way)
}

/// What all rules of a way say of the whole file, as one.
///
/// # Errors
/// Where they are about different dicts of tensors.
pub(in crate::cli) fn merged(way: &Way) -> Result<RuleSet, Box<ChainError>> {
    let mut all = RuleSet::default();
    let named = way.paces.iter().map(|pace| &pace.rules.dicts);
    for dicts in named.filter(|dicts| !dicts.is_empty()) {
        if !all.dicts.is_empty() && all.dicts != *dicts {
            let text = |dicts: &[String]| format!("`{}`", dicts.join(", "));
            let (first, second) = (text(&all.dicts), text(dicts));
            return Err(Box::new(ChainError::Dicts { first, second }));
        }
        all.dicts.clone_from(dicts);
    }
    let silent = way.paces.iter().find(|pace| pace.rules.dicts.is_empty());
    if let (Some(silent), true) = (silent, all.dicts.len() > 1) {
        let first = format!("`{}`", all.dicts.join(", "));
        let second = format!("`{}` none", silent.step.rules);
        return Err(Box::new(ChainError::Dicts { first, second }));
    }
    for pace in &way.paces {
        all.steps.extend(pace.rules.steps.iter().cloned());
        all.edits.extend(pace.rules.edits.iter().cloned());
        if all.unwrap.is_none() {
            all.unwrap.clone_from(&pace.rules.unwrap);
        }
        if all.optimizer != Some(OptimizerMode::Drop) && pace.rules.optimizer.is_some() {
            all.optimizer = pace.rules.optimizer;
        }
    }
    Ok(all)
}

/// The plan of a rule file from the key set of its version to that of the next.
///
/// # Errors
/// What does not fit.
pub(in crate::cli) fn between(
    link: &Link,
    sources: &Sources,
    (from, to): (&KeySet, &KeySet),
) -> Result<(Plan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let planned = plan::plan(&own_rules(link), sources, from.clone(), Some(to));
    let warnings = planned.warnings.iter().map(Problem::warning).collect();
    let step = format!("in the step from `{}` to `{}`, between their key sets", link.from, link.to);
    let problems =
        || planned.problems.iter().map(|problem| problem.diagnostic().note(step.clone())).collect();
    planned.plan.map(|plan| (plan, warnings)).ok_or_else(problems)
}

/// The rules as they act on the dict that key sets are of.
fn own_rules(link: &Link) -> RuleSet {
    let dict = link.rules.dicts.first().map_or(".", String::as_str);
    link.rules.of_dict(dict, true)
}

/// What undoes a step, proved.
pub(in crate::cli) struct Undoing {
    /// The text of its rules.
    pub text: String,
    /// How many keys it gives back up to rounding.
    pub numeric: usize,
}

/// What undoes the step to the version behind `to`, or the plan's problems, or what would be lost.
pub(in crate::cli) fn undoing(folder: &Folder, to: usize) -> Result<Undoing, (Exit, Vec<Diagnostic>)> {
    let pair = folder.versions.get(to).zip(folder.versions.get(to + 1));
    let (Some(link), Some((old, new))) = (folder.links.get(to), pair) else {
        return Err((Exit::Usage, Vec::new()));
    };
    let planned = between(link, &folder.sources, (&old.keys, &new.keys));
    let (plan, _) = planned.map_err(|problems| (Exit::Different, problems))?;
    let rules = own_rules(link);
    let forward = Forward {
        name: &link.name,
        rules: &rules,
        sources: &folder.sources,
        plan: &plan,
        target: Some(&new.keys),
    };
    let inverse = invert::invert(&forward);
    let none = |what: String, keys: Vec<String>| {
        let (from, to) = (link.to.clone(), link.from.clone());
        let written = link.path.with_file_name(format!("{from}_to_{to}.rules")).display().to_string();
        let (rules, keys) = (link.path.display().to_string(), keys.join("\n"));
        let error = ChainError::NoWayBack { from, to, rules, written, what, keys };
        (error.exit(), vec![error.diagnostic()])
    };
    let Ok(proof) = &inverse.proof else {
        return Err(none("its rules cannot be turned round".to_owned(), Vec::new()));
    };
    let lost = proof.left.len() + proof.changed.len();
    if lost > 0 {
        let what = format!("{} of `{}` would not be had back", counted(lost, "key"), link.from);
        let keys = [listing(&proof.left, "gone"), listing(&proof.changed, "with other values")].concat();
        return Err(none(what, keys));
    }
    // What `optimizer drop`, blocks of other dicts and changes of other values did is not in the key sets.
    if let Some(lossy) = inverse.lossy().next() {
        return Err(none(lossy.to_owned(), Vec::new()));
    }
    let numeric = proof.numeric.len();
    Ok(Undoing { text: inverse.text, numeric })
}

/// The step back to a version whose next one has no rule file that leads back.
fn undo(
    folder: &mut Folder,
    to: usize,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Pace, (Exit, Vec<Diagnostic>)> {
    let Undoing { text, numeric } = undoing(folder, to)?;
    let Some(link) = folder.links.get(to) else { return Err((Exit::Usage, Vec::new())) };
    if numeric > 0 {
        let keys = counted(numeric, "key");
        let message =
            format!("the step from `{}` back to `{}` gives {keys} up to rounding", link.to, link.from);
        warnings.push(Diagnostic::warning("inexact-way-back", message));
    }
    let (from, back_to) = (Some(link.to.clone()), Some(link.from.clone()));
    let step = Step { from, to: back_to, reversed: true, ..link.step(&folder.sources) };
    let file = folder.sources.add(format!("the way back of {}", link.path.display()), text);
    let rules = rule_file::from_text(&mut folder.sources, file)?.rules;
    Ok(Pace { rules, to, step })
}

/// Keys that do not come back, folded.
fn listing(keys: &[Key], what: &str) -> Vec<String> {
    let folds = fold(keys.iter().map(|key| &**key));
    let line = |fold: &crate::keyset::Folded| {
        let count = if fold.count > 1 { format!("  {} keys", fold.count) } else { String::new() };
        format!("  {}{count}  {what}", printable(&fold.pattern))
    };
    let mut lines: Vec<String> = folds.iter().take(SHOWN).map(line).collect();
    let rest: usize = folds.iter().skip(SHOWN).map(|fold| fold.count).sum();
    if rest > 0 {
        lines.push(format!("  … and {}", counted(rest, "more key")));
    }
    lines
}
