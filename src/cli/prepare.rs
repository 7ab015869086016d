//! What applying and planning share: rules, input and target from the command line to a proved plan.

use std::path::PathBuf;

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::formats::{self, Checkpoint, Limits, Part};
use crate::keyset::{Difference, KeySet};
use crate::plan::{self, Plan, Problem, ProblemKind};
use crate::quantity::counted;
use crate::rules::RuleSet;
use crate::source::Sources;

use super::beside::{Beside, OptimizerArg};
use super::mirrors;
use super::named::Named;
use super::rule_file::{self, RuleFile};
use super::target::{keyset_of, load_keyset, tied_keys};
use super::towards::{self, Target};
use super::{Exit, Failure};

/// Which rules run over which checkpoint, towards which target.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The rule file
    #[arg(long, value_name = "FILE", required = true)]
    pub rules: Option<PathBuf>,
    /// The checkpoint to migrate; several are shards of one, or, as `NAME=INPUT`, put their keys under
    /// their names
    #[arg(value_name = "[NAME=]INPUT", required = true, num_args = 1.., value_parser = Named::parser())]
    pub inputs: Vec<Named>,
    #[command(flatten)]
    pub target: Target,
    /// A value for a `let` of the rule file
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The model's config.json: rules use its values as `config.hidden_size`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What becomes of optimizer state: it follows the weights, or is left out
    #[arg(long, value_name = "WHAT", value_enum)]
    pub optimizer: Option<OptimizerArg>,
    /// Which keys an optimizer's parameters are, where neither names nor shapes show it:
    /// `optimizer_states.0=generator.**`; of one group of them, `optimizer.param_groups.1=**.bias`
    #[arg(long, value_name = "OPTIMIZER=PATTERNS")]
    pub params: Vec<String>,
    /// Write the state dict alone; what else the file holds is left out
    #[arg(long)]
    pub weights_only: bool,
    /// Which dict of tensors, where the file holds several (`.` is the whole file)
    #[arg(long, value_name = "PATH")]
    pub at: Option<String>,
    /// Treat warnings as errors
    #[arg(long)]
    pub deny_warnings: bool,
}

/// Proved plans with what they were made from.
pub(super) struct Prepared {
    pub checkpoint: Checkpoint,
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
    pub outcome: Outcome,
    /// How many of the checkpoint's dicts, from the front, the rules run over; the others mirror the first.
    pub ruled: usize,
    /// What becomes of what the checkpoint holds besides weights.
    pub beside: Beside,
}

/// What the rules come to for this checkpoint.
pub(super) enum Outcome {
    /// One plan for each of the checkpoint's dicts, the main one first.
    Plans(Vec<Plan>),
    /// The checkpoint has the target's keys already, and the rules do not apply to it.
    AlreadyMigrated { target: String },
}

/// Reads everything and proves the plans. Mirrors of the main dict follow it where the outputs `hold_mirrors`.
///
/// # Errors
/// Rules that do not parse or resolve, unreadable files, and what the plans cannot prove.
pub(super) fn prepare(args: &PlanArgs, hold_mirrors: bool) -> Result<Prepared, Failure> {
    let Some(rules_path) = args.rules.as_ref().filter(|_| !args.inputs.is_empty()) else {
        let message = "both a rule file and a checkpoint are needed";
        return Err(Failure::new(Exit::Usage, Diagnostic::error("usage", message)));
    };
    let RuleFile { rules, sources, mut warnings } =
        rule_file::load(rules_path, &args.set, args.config.as_deref())?;
    let dicts = Dicts::open(&args.inputs, args.at.as_deref(), &rules)?;
    let checkpoint = &dicts.checkpoint;
    let migration = rules.migration.as_ref();
    let target = towards::target(&args.target, rules_path, migration.map(|migration| migration.to.as_str()))?;
    let main = match rules.steps.is_empty() {
        true => tied_keys(checkpoint, checkpoint.main_dict()),
        false => keyset_of(checkpoint)?,
    };
    let from = migration.and_then(|migration| towards::beside(rules_path, &migration.from));
    let marked = from.map(|path| load_keyset(&path, None)).transpose()?;
    if let Some(version) = &marked
        && !target.as_ref().is_some_and(|target| main.same_tensors(target))
        && let Some(problem) = wrong_version(&main, version)
    {
        return Err(Failure { exit: Exit::Different, diagnostics: vec![problem.diagnostic()], sources });
    }
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for (index, dict) in checkpoint.dicts.iter().enumerate() {
        let keys = tied_keys(checkpoint, dict);
        let (name, whole_file) = dicts.role(index);
        // A mirror of the main dict leads where that leads; another dict has no target.
        let target = target.as_ref().filter(|_| index == 0 || (whole_file && keys.same_tensors(&main)));
        let planned = plan::plan(&rules.of_dict(name, whole_file), &sources, keys, target);
        if index == 0
            && planned.already_migrated
            && let Some(target) = target
        {
            let outcome = Outcome::AlreadyMigrated { target: target.origin.clone() };
            let (checkpoint, ruled, beside) = (dicts.checkpoint, 1, Beside::default());
            return Ok(Prepared { checkpoint, sources, warnings, outcome, ruled, beside });
        }
        let several = checkpoint.dicts.len() > 1;
        let told = |diagnostic: Diagnostic| match several {
            true => diagnostic.note(format!("in the dict `{}`", dict.at.name())),
            false => diagnostic,
        };
        warnings.extend(planned.warnings.iter().map(Problem::warning).map(told));
        problems.extend(planned.problems.iter().map(Problem::diagnostic).map(told));
        plans.extend(planned.plan);
    }
    let marked = marked.as_ref();
    let (mut checkpoint, ruled) = (dicts.checkpoint, plans.len());
    // Rules that name the dicts of the whole file leave the others alone, as does an output of one dict.
    let follows = hold_mirrors && rules.dicts.is_empty() && rules.unwrap.is_none() && !args.weights_only;
    if let Some(plan) = plans.first().filter(|plan| follows && problems.is_empty() && !plan.changes_nothing())
        && args.inputs.len() == 1
    {
        let mirrors = mirrors::follow(&args.inputs, checkpoint, plan)?;
        checkpoint = mirrors.checkpoint;
        warnings.extend(mirrors.warnings);
        plans.extend(mirrors.plans);
    }
    let beside = Beside::prove(args, &rules, &checkpoint, plans.first(), marked, &mut problems);
    if args.deny_warnings && !warnings.is_empty() {
        let message = format!("{} denied by `--deny-warnings`", counted(warnings.len(), "warning"));
        warnings.push(Diagnostic::error("denied-warnings", message));
        return Err(Failure { exit: Exit::Different, diagnostics: warnings, sources });
    }
    if !problems.is_empty() {
        warnings.append(&mut problems);
        return Err(Failure { exit: Exit::Different, diagnostics: warnings, sources });
    }
    let outcome = Outcome::Plans(plans);
    Ok(Prepared { checkpoint, sources, warnings, outcome, ruled, beside })
}

/// An open checkpoint with what the rules and the command line say of its dicts.
struct Dicts {
    checkpoint: Checkpoint,
    /// The names of the dicts, the same number as there are dicts unless the one was found by itself.
    names: Vec<String>,
    /// How many of them the whole file is about; the others are named by blocks alone.
    whole_file: usize,
}

impl Dicts {
    fn open(inputs: &[Named], at: Option<&str>, rules: &RuleSet) -> Result<Dicts, Failure> {
        let mut names: Vec<String> = match (at, &rules.unwrap) {
            (Some(at), _) => vec![at.to_owned()],
            (None, Some(unwrap)) if rules.dicts.is_empty() => vec![unwrap.clone()],
            (None, _) => rules.dicts.clone(),
        };
        let blocks: Vec<&str> = rules.block_dicts();
        if names.is_empty() && !blocks.is_empty() {
            // What stands outside blocks is about the dict that is found by itself.
            names.push(open_all(inputs, &[])?.main_dict().at.name());
        }
        let whole_file = names.len().max(1);
        for block in blocks {
            if !names.iter().any(|name| name == block) {
                names.push(block.to_owned());
            }
        }
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let checkpoint = open_all(inputs, &paths)?;
        Ok(Dicts { checkpoint, names, whole_file })
    }

    /// The name of a dict in the rules, and whether what stands outside blocks is about it.
    fn role(&self, index: usize) -> (&str, bool) {
        (self.names.get(index).map_or(".", String::as_str), index < self.whole_file)
    }
}

/// Opens the inputs as one checkpoint.
pub(super) fn open_all(inputs: &[Named], at: &[&str]) -> Result<Checkpoint, Failure> {
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        let checkpoint = formats::open(&input.path, at, &Limits::default())?;
        parts.push(Part { name: input.name.clone(), checkpoint });
    }
    let none = || Failure::new(Exit::Usage, Diagnostic::error("usage", "a checkpoint is needed"));
    formats::join(parts)?.ok_or_else(none)
}

/// The problem of a checkpoint that is not the version which the header names. Dtypes may differ: a
/// half-precision copy of a version is that version.
fn wrong_version(source: &KeySet, version: &KeySet) -> Option<Problem> {
    let difference = Difference::new(source, version);
    let (missing, unexpected) = (difference.missing.len(), difference.unexpected.len());
    if missing == 0 && unexpected == 0 && difference.shape.is_empty() {
        return None;
    }
    let name = version.name.clone().unwrap_or_else(|| version.origin.clone());
    let problem = Problem::new(ProblemKind::NotTheVersion { version: name, missing, unexpected }, None)
        .note(format!("compared `{}` with {}", source.origin, version.origin))
        .help(format!("`migrate diff {} {}` shows where they differ", source.origin, version.origin));
    Some(problem)
}
