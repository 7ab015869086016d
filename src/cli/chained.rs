//! What applying and planning share where the rules are a folder: from a version that the checkpoint tells to
//! a proved plan over all rule files on the way.

use std::path::Path;

use crate::keyset::{Difference, KeySet};
use crate::rules::RuleSet;

use super::chain::{self, Broken, ChainError, Folder};
use super::inputs::{Dicts, Inputs, record_of};
use super::plan_args::PlanArgs;
use super::prove::{Course, Laid, Prepared, prove};
use super::{Failure, towards};

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Failure {
        Failure { exit: broken.exit, diagnostics: broken.diagnostics, sources: broken.sources }
    }
}

impl From<Box<ChainError>> for Failure {
    fn from(error: Box<ChainError>) -> Failure {
        Failure::new(error.exit(), error.diagnostic())
    }
}

/// Reads a folder of rule files and the inputs, and proves the plans.
///
/// # Errors
/// What is wrong with the folder, where the version of the checkpoint cannot be told, and what the plans
/// cannot prove.
pub(super) fn prepare(args: &PlanArgs, path: &Path, hold_mirrors: bool) -> Result<Prepared, Failure> {
    let limits = args.limits.limits();
    let mut folder = Folder::load(path, args.values(&limits))?;
    let dicts = open(&folder, args.opening(&limits))?;
    let keys = dicts.main_keys()?;
    let before = record_of(&dicts.checkpoint);
    let start = chain::start(&folder, &keys, before.as_ref(), args.from.as_deref())?;
    let to = match &args.to {
        Some(to) => folder.number(to)?,
        None => folder.versions.len().saturating_sub(1),
    };
    if start.version == to {
        let target = folder.versions.get(to).map(|version| version.keys.origin.clone());
        let told = (folder.sources, Vec::new());
        return Ok(Prepared::already(dicts, target.unwrap_or_default(), told, Course::default()));
    }
    let way = chain::way(&mut folder, start.version, to);
    let fail = |(exit, diagnostics), folder: Folder| Failure { exit, diagnostics, sources: folder.sources };
    let way = match way {
        Ok(way) => way,
        Err(wrong) => return Err(fail(wrong, folder)),
    };
    let merged = chain::merged(&way)?;
    let name = |number: usize| folder.versions.get(number).map(|version| version.name.clone());
    let versions = [start.version].into_iter().chain(way.paces.iter().map(|pace| pace.to));
    let versions = versions.filter_map(name).collect();
    let last = name(to).unwrap_or_default();
    let target = towards::target(&args.target, (&folder.keys_file(&last), Some(&last)), &keys, &limits)?;
    let marked = folder.versions.get(start.version).map(|version| version.keys.clone());
    // What was left to the model is missing from the file that was recorded as this version, and from no other.
    let recorded = before.as_ref().filter(|before| before.to == name(start.version));
    let absent = marked.as_ref().map(|marked| chain::absent(marked, &keys, recorded)).unwrap_or_default();
    let any_dtype = marked.as_ref().is_some_and(|marked| !Difference::new(&keys, marked).dtype.is_empty());
    let steps = way.paces.iter().map(|pace| pace.step.clone()).collect();
    let mut targets: Vec<Option<KeySet>> = way
        .paces
        .iter()
        .map(|pace| folder.versions.get(pace.to).map(|version| version.keys.clone()))
        .collect();
    if let Some(of_last) = targets.last_mut() {
        *of_last = target;
    }
    let stages = way.paces.into_iter().map(|pace| pace.rules).zip(targets).collect();
    let dicts = Dicts::open(args.opening(&limits), &merged)?;
    let main = dicts.main_keys()?;
    let course = Course { steps, before, versions };
    let (sources, warnings) = (folder.sources, way.warnings);
    let laid = Laid { sources, warnings, stages, merged, marked, any_dtype, absent, course };
    prove(args, laid, dicts, main, hold_mirrors)
}

/// Opens inputs whose version is to be told; where a file holds several dicts of tensors, the rules say which
/// is meant.
pub(super) fn open(folder: &Folder, inputs: Inputs) -> Result<Dicts, Failure> {
    let rules = folder.links.iter().chain(folder.back.values()).map(|link| &link.rules);
    let mut rules = rules;
    let named = rules.find(|rules| !rules.dicts.is_empty() || rules.unwrap.is_some()).cloned();
    match (Dicts::open(inputs, &RuleSet::default()), named) {
        (Err(failure), Some(rules)) if inputs.at.is_none() && is_many_dicts(&failure) => {
            let (dicts, unwrap) = (rules.dicts, rules.unwrap);
            Dicts::open(inputs, &RuleSet { dicts, unwrap, ..RuleSet::default() })
        }
        (opened, _) => opened,
    }
}

fn is_many_dicts(failure: &Failure) -> bool {
    failure.diagnostics.iter().any(|diagnostic| diagnostic.code == "many-dicts")
}
