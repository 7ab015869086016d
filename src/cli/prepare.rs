//! What applying and planning share: rules, input and target from the command line to a proved plan.

use crate::diagnostic::Diagnostic;
use crate::keyset::{Difference, Key, KeySet};
use crate::plan::{Problem, ProblemKind};
use crate::tensor::TensorSpec;

use super::chain::{self, Taken};
use super::inputs::{Dicts, record_of};
use super::plan_args::PlanArgs;
use super::prove::{Course, Laid, Prepared, prove};
use super::record::Step;
use super::rule_file::{self, RuleFile};
use super::target::load_keyset;
use super::{Exit, Failure, chained, towards};

/// Reads everything and proves the plans. Mirrors of the main dict follow it where the outputs `hold_mirrors`.
///
/// # Errors
/// Rules that do not parse or resolve, unreadable files, and what the plans cannot prove.
pub(super) fn prepare(args: &PlanArgs, hold_mirrors: bool) -> Result<Prepared, Failure> {
    let Some(rules_path) = args.rules.as_ref().filter(|_| !args.inputs.is_empty()) else {
        let message = "both a rule file and a checkpoint are needed";
        return Err(Failure::new(Exit::Usage, Diagnostic::error("usage", message)));
    };
    if rules_path.is_dir() {
        return chained::prepare(args, rules_path, hold_mirrors);
    }
    if let Some(option) = args.from.as_ref().map(|_| "--from").or(args.to.as_ref().map(|_| "--to")) {
        let message =
            format!("`{option}` needs a folder of rule files, and `{}` is one file", rules_path.display());
        let diagnostic = Diagnostic::error("usage", message).help("write `--rules FOLDER`");
        return Err(Failure::new(Exit::Usage, diagnostic));
    }
    let limits = args.limits.limits();
    let RuleFile { rules, sources, warnings, texts } = rule_file::load(rules_path, args.values(&limits))?;
    let dicts = Dicts::open(args.opening(&limits), &rules)?;
    let checkpoint = &dicts.checkpoint;
    let migration = rules.migration.as_ref();
    let main = match rules.steps.is_empty() {
        true => dicts.keys(checkpoint.main_dict()),
        false => dicts.main_keys()?,
    };
    let to = migration.map(|migration| migration.to.as_str());
    let target = towards::target(&args.target, (rules_path, to), &main, &limits)?;
    let from = migration.and_then(|migration| towards::beside(rules_path, &migration.from));
    let marked = from.map(|path| load_keyset(&path, None, &limits)).transpose()?;
    // A file that an earlier migration made is without what that left to the model.
    let before = record_of(checkpoint);
    let from = migration.map(|migration| migration.from.clone());
    let recorded = before.as_ref().filter(|before| before.to == from);
    let absent = marked.as_ref().map(|marked| chain::absent(marked, &main, recorded)).unwrap_or_default();
    if let Some(version) = &marked
        && !target.as_ref().is_some_and(|target| main.same_tensors(target))
        && let Some(problem) = wrong_version(&main, version, &absent)
    {
        return Err(Failure { exit: Exit::Different, diagnostics: vec![problem.diagnostic()], sources });
    }
    let to = migration.map(|migration| migration.to.clone());
    let taken = Taken { texts, from, to, reversed: false };
    let course = Course { steps: vec![Step::new(&taken, &sources)], before, versions: Vec::new() };
    let stages = vec![(rules.clone(), target)];
    let (merged, any_dtype) = (rules, false);
    let laid = Laid { sources, warnings, stages, merged, marked, any_dtype, absent, course };
    prove(args, laid, dicts, main, hold_mirrors)
}

/// The problem of a checkpoint that is not the version which the header names. Dtypes may differ: a
/// half-precision copy of a version is that version.
///
/// `absent` keys are missing for a reason.
fn wrong_version(source: &KeySet, version: &KeySet, absent: &[(Key, TensorSpec)]) -> Option<Problem> {
    let difference = Difference::new(source, version);
    let missing = difference.missing.len().saturating_sub(absent.len());
    let unexpected = difference.unexpected.len();
    if missing == 0 && unexpected == 0 && difference.shape.is_empty() {
        return None;
    }
    let name = version.name.clone().unwrap_or_else(|| version.origin.clone());
    let problem = Problem::new(ProblemKind::NotTheVersion { version: name, missing, unexpected }, None)
        .note(format!("compared `{}` with {}", source.origin, version.origin))
        .help(format!("`migrate diff {} {}` shows where they differ", source.origin, version.origin));
    Some(problem)
}
